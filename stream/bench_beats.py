"""`vigil bench beats`: what finding and naming beats costs, beside public detectors, on the same samples in one run.

Speed is time of one processor per sample and lead, medians of turns that each side takes one after the other. Peers get
whole leads at once and name no classes; those of them that are slow get few leads. NeuroKit2 runs in an environment of
its own (`make peers`), as a subprocess, so that its time is that of the clock.
"""

from __future__ import annotations

import importlib
import json as plain_json
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg.beats import BEAT, Beats
from ecg.clinical import Settings
from ecg.fibrillation import FIBRILLATION, Fibrillation
from ecg.resample import ANALYSIS_HZ
from ecg.rhythm import STEP, Rhythm
from simulators.heart import Heart
from stream.bed_state import SAMPLE_NS, Queue
from stream.evaluate.peers import ENVIRONMENT, SCRIPT

Signals = NDArray[np.float32]
Side = tuple[Callable[[], object], int, bool]
"""What is run, over how many samples, and whether the clock is to be read instead of the processor's time."""

BEDS, LEADS, CHUNK, TURN_CHUNKS = 500, 2, ANALYSIS_HZ, 8
MINUTE = 60 * ANALYSIS_HZ
PEER_LEADS = {"sleepecg": 20, "xqrs": 2, "neurokit2": 4}


def beats(*, json: bool, quick: bool = False, environment: Path = ENVIRONMENT) -> int:
    """Measure, and print what came of it; returns the exit status 0.

    Parameters
    ----------
    quick : bool
        Fewer beds and turns: to see that it runs.
    environment : Path
        Where NeuroKit2 lives.
    """
    figures, left_out = speed(20 if quick else BEDS, 2 if quick else 7, environment)
    if json:
        print(msgspec.json.encode({"figures": figures, "left_out": left_out}).decode())
    else:
        print("\n".join([*(f"{name:40} {value:>12}" for name, value in figures.items()), *left_out]))
    return 0


def speed(beds: int, turns: int, environment: Path = ENVIRONMENT) -> tuple[dict[str, float], list[str]]:
    """Return nanoseconds a sample and lead of each side, and which peers are not here."""
    leads = ward(PEER_LEADS["sleepecg"])
    with _sides(beds, leads, environment) as (sides, left_out):
        spent: dict[str, list[float]] = {name: [] for name in sides}
        for turn in range(turns + 1):
            for name, (run, samples, by_clock) in sides.items():
                took = _spent_ns(run, by_clock=by_clock) / samples
                if turn:  # the first one compiles and fills caches
                    spent[name].append(took)
    figures = {f"{name}_ns_per_sample_lead": round(statistics.median(each), 1) for name, each in spent.items()}
    figures |= {
        f"ratio_to_{name}": round(figures[f"{name}_ns_per_sample_lead"] / figures["beats_ns_per_sample_lead"], 2)
        for name in PEER_LEADS
        if name in spent
    }
    return {"beds": beds, "leads": LEADS, **figures}, left_out


def ward(n: int) -> Signals:
    """Return a minute of `n` leads, all at other places of one heart with ventricular beats."""
    lead = Heart([("pvcs", 60, {"every": 12})], ("II", "V1"), ANALYSIS_HZ, 1, noise_mv=0.02).samples(0, MINUTE)
    return np.stack([np.roll(lead[k % LEADS], 29 * (k // LEADS)) for k in range(n)]).astype(np.float32)


class Ward:
    """Beds of two leads each, whose beats are found second by second, and decided on by the rules if asked."""

    def __init__(self, beds: int, *, rules: bool) -> None:
        self.signals = ward(beds * LEADS).reshape(beds, LEADS, MINUTE)
        self.at, self.rows = 0, np.arange(beds)
        self.leads, self.count = np.full(beds, LEADS), np.full(beds, CHUNK)
        self.beats, self.fibrillation = Beats(), Fibrillation()
        for row in self.rows.tolist():
            self.beats.reset(row)
            self.fibrillation.reset(row)
        self.rhythms = [Rhythm(["II", "V1"]) for _ in range(beds)] if rules else []
        self.waiting = [(Queue(BEAT, "confirmed"), Queue(FIBRILLATION, "end")) for _ in self.rhythms]
        self.settings = Settings()

    def turn(self) -> None:
        """Take some seconds of all beds."""
        for _ in range(TURN_CHUNKS):
            first = self.at % MINUTE
            x = np.ascontiguousarray(self.signals[:, :, first : first + CHUNK])
            found = self.beats.feed(self.rows, x, self.leads, self.count)
            if self.rhythms:
                judged = self.fibrillation.feed(self.rows, x, self.leads, self.count)
                for bed, (beats, waves) in enumerate(self.waiting):
                    beats.add(found[bed])
                    waves.add(judged[bed])
                    self._decide(self.rhythms[bed], beats, waves)
            self.at += CHUNK

    def _decide(self, rhythm: Rhythm, beats: Queue, waves: Queue) -> None:
        for end in range(self.at + STEP, self.at + CHUNK + 1, STEP):
            rhythm.step(end, end * SAMPLE_NS, beats.before(end), waves.before(end + 1), 0, self.settings)


@contextmanager
def _sides(beds: int, leads: Signals, environment: Path) -> Iterator[tuple[dict[str, Side], list[str]]]:
    """Give what is measured, and which peers are left out."""
    samples = beds * LEADS * CHUNK * TURN_CHUNKS
    alone, ruled = Ward(beds, rules=False), Ward(beds, rules=True)
    sides: dict[str, Side] = {"beats": (alone.turn, samples, False), "beats_and_rhythm": (ruled.turn, samples, False)}
    left_out: list[str] = []
    double = leads.astype(np.float64)
    for name, module, run in (
        ("sleepecg", "sleepecg.heartbeats", lambda own, lead: own.detect_heartbeats(lead, ANALYSIS_HZ)),
        ("xqrs", "wfdb.processing", _xqrs),
    ):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = importlib.import_module(module)
        except ImportError:
            left_out.append(f"{name}: not installed")
            continue
        own = double[: PEER_LEADS[name]]
        sides[name] = (lambda run=run, found=found, own=own: [run(found, lead) for lead in own], own.size, False)
    python = environment / "bin" / "python"
    if not python.exists():
        left_out.append(f"neurokit2: {environment} is not there, `make peers` makes it")
        yield sides, left_out
        return
    with _neurokit2(python, double[: PEER_LEADS["neurokit2"]]) as run:
        sides["neurokit2"] = (run, double[: PEER_LEADS["neurokit2"]].size, True)
        yield sides, left_out


def _xqrs(processing: object, lead: NDArray[np.float64]) -> None:
    getattr(processing, "XQRS")(sig=lead, fs=ANALYSIS_HZ).detect(verbose=False)  # noqa: B009


@contextmanager
def _neurokit2(python: Path, leads: NDArray[np.float64]) -> Iterator[Callable[[], None]]:
    """Give a call that lets NeuroKit2 find the beats of each lead."""
    with tempfile.TemporaryDirectory() as folder:
        waves = [Path(folder) / f"{k}.npy" for k in range(len(leads))]
        for wave, lead in zip(waves, leads, strict=True):
            np.save(wave, lead)
        with subprocess.Popen(
            [str(python), str(SCRIPT)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            asked, answered = process.stdin, process.stdout
            assert asked is not None
            assert answered is not None

            def run() -> None:
                for wave in waves:
                    asked.write(plain_json.dumps({"wave": str(wave), "rate_hz": ANALYSIS_HZ}) + "\n")
                    asked.flush()
                    if not answered.readline():
                        raise ValueError("neurokit2 ended")

            yield run
            asked.close()


def _spent_ns(run: Callable[[], object], *, by_clock: bool) -> int:
    now = time.perf_counter_ns if by_clock else time.process_time_ns
    began = now()
    run()
    return now() - began
