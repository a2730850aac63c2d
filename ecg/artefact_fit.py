"""How the rule of a restless second (`ecg.quality.RESTLESS`) is chosen, on which records, and anew without some.

The choice is among `CANDIDATES`, by what the ladder of `ecg.artefact` then suspends: as much as can be of what the
reference of `vfdb` calls noise, where a second of ventricular fibrillation, flutter or tachycardia costs `COST` of it,
and no more than `MOST_CLEAN` of clean `mitdb` nor `MOST_NOISY` of it at 6 dB of electrode motion (the first half of
that noise: the second is for scoring).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.artefact import Ladder, Level, is_noisy
from ecg.ec57.label import BEATS
from ecg.ec57.noise import mix, noisy_stretches, second_half
from ecg.episodes import Stretches, union
from ecg.frontend import Chunk, FrontEnd
from ecg.quality import RESTLESS, Unrest, unrest
from ecg.record import annotations, read
from ecg.resample import ANALYSIS_HZ, Resampler
from ecg.segments import unreadable, ventricular
from ecg.wave_fit import patient

CANDIDATES = tuple(Unrest(*each) for each in product((0.1, 0.12, 0.15), (0.18, 0.2, 0.24), (35.0, 38.0, 40.0, 43.0)))
COST = 200.0
MOST_CLEAN, MOST_NOISY = 0.005, 0.15

SETS = ("vfdb", "cudb", "mitdb")
NOISE_DB = (12.0, 6.0)
KINDS = ("lethal", "unreadable", "noise", "rest", "clean", "tuned_6", "em_12", "em_6")
"""What seconds are: of VF, flutter or VT; the same where no lead can be read; marked as noise in `vfdb`; without a mark
in `vfdb`; `mitdb`; and `mitdb` in the stretches with electrode motion, at 6 dB of its first half and at 12 and 6 dB of
the second."""


class Tally(NamedTuple):
    """What the ladder does in one record, by each of `CANDIDATES`.

    `suspended` are seconds, shape (candidates, kinds), and `seconds` how many there are, shape (kinds,); `noisy` is how
    many of the seconds of each kind were noisy by the shipped rule.
    """

    record: str
    patient: str
    seconds: NDArray[np.float64]
    suspended: NDArray[np.float64]
    noisy: NDArray[np.float64]


class Seconds(NamedTuple):
    """A bed's seconds: verdict per lead (n, leads), unrest per lead (leads, n, 3), and whether the wave fibrillated."""

    verdicts: NDArray[np.int64]
    unrest: NDArray[np.float64]
    fibrillatory: NDArray[np.bool_]


def seconds(mv: NDArray[np.float32], rate_hz: float) -> Seconds:
    """Return what the stages of the ward say of the leads of a record, shape (n_leads, n_samples), second by second."""
    front, resampler = FrontEnd(), Resampler()
    found = front.feed([Chunk(front.open(rate_hz, len(mv)), mv, 0, (), last=True)])[0]
    rows = np.arange(len(mv))
    for row in rows.tolist():
        resampler.reset(row, rate_hz)
    raw, count = resampler.feed(rows, np.ascontiguousarray(mv, np.float32), np.full(len(mv), mv.shape[1]))
    verdicts = np.array([each.verdicts for each in found.quality], np.int64).reshape(-1, len(mv))
    restless = unrest(raw[:, : int(count[0])])
    n = min(len(verdicts), restless.shape[1])
    judged = found.fibrillation[found.fibrillation["fibrillatory"]]["end"]
    heard = (judged - 1) // ANALYSIS_HZ
    fibrillatory = np.zeros(n, np.bool_)
    fibrillatory[heard[heard < n]] = True
    return Seconds(verdicts[:n], restless[:, :n], fibrillatory)


def noisy(of: Seconds, rule: Unrest = RESTLESS) -> NDArray[np.bool_]:
    """Return which seconds were noisy for the bed."""
    restless: NDArray[np.bool_] = np.all(of.unrest >= np.array(rule), axis=2).T
    leads = zip(of.verdicts.tolist(), restless.tolist(), strict=True)
    return np.array([is_noisy(zip(verdicts, so, strict=True)) for verdicts, so in leads], np.bool_)


def suspended(is_noise: NDArray[np.bool_], fibrillatory: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which seconds nothing was decided in: what the ladder said at the end of the second before holds."""
    ladder, out, level = Ladder(), np.zeros(len(is_noise), np.bool_), Level.WHOLE
    for k, each in enumerate(zip(is_noise.tolist(), fibrillatory.tolist(), strict=True)):
        out[k] = level == Level.SUSPENDED
        level = ladder.step(noisy=each[0], fibrillatory=each[1])
    return out


def collect(path: Path, record_set: str) -> Tally:
    """Return the tally of a record, without extension, of one of `SETS`; of `mitdb` with `nstdb/em` beside the set."""
    size = len(KINDS)
    total, given, marked = np.zeros(size), np.zeros((len(CANDIDATES), size)), np.zeros(size)
    for of, weights in _mitdb(path) if record_set == "mitdb" else _marked(path, record_set):
        total += weights.sum(axis=1)
        marked += weights @ noisy(of)
        for k, rule in enumerate(CANDIDATES):
            given[k] += weights @ suspended(noisy(of, rule), of.fibrillatory)
    return Tally(f"{record_set}/{path.name}", patient(record_set, path.name), total, given, marked)


def fit(tallies: Collection[Tally], without: Collection[str] = ()) -> int:
    """Return which of `CANDIDATES` is best on all records but those of some patients.

    Raises
    ------
    ValueError
        If no record is left.
    """
    used = [each for each in tallies if each.patient not in without]
    if not used:
        raise ValueError("records must be left once those patients are left out")
    total = np.sum([each.seconds for each in used], axis=0)
    given = np.sum([each.suspended for each in used], axis=0)
    lethal, noise, clean, tuned = (KINDS.index(kind) for kind in ("lethal", "noise", "clean", "tuned_6"))
    gain = given[:, noise] - COST * given[:, lethal]
    within = (given[:, clean] <= MOST_CLEAN * total[clean]) & (given[:, tuned] <= MOST_NOISY * total[tuned])
    return int(np.where(within, gain, gain.min() - 1.0 - given[:, clean]).argmax())


def _marked(path: Path, record_set: str) -> Iterator[tuple[Seconds, NDArray[np.float64]]]:
    """Give a record of `vfdb` or `cudb`, and how much of each second is of each kind."""
    recording, reference = read(path), annotations(path)
    of = seconds(recording.mv(), recording.rate_hz)
    n = len(of.fibrillatory)
    rhythms = ventricular(reference, recording.rate_hz, recording.duration_s)
    lethal = covered(union(rhythms["vf"], rhythms["vt"]), n)
    noise = covered(rhythms["noise"], n)
    lost = np.pad(unreadable(recording)[:n], (0, max(0, n - int(recording.duration_s))))
    weights = np.zeros((len(KINDS), n))
    weights[0], weights[1] = np.where(lost, 0.0, lethal), np.where(lost, lethal, 0.0)
    if record_set == "vfdb":
        weights[2], weights[3] = noise, np.maximum(0.0, 1.0 - lethal - noise)
    yield of, weights


def _mitdb(path: Path) -> Iterator[tuple[Seconds, NDArray[np.float64]]]:
    """Give a record clean, and with each electrode motion in its noisy stretches."""
    recording, reference = read(path), annotations(path)
    mv, rate_hz = recording.mv(), recording.rate_hz
    clean = seconds(mv, rate_hz)
    n = len(clean.fibrillatory)
    yield clean, _of("clean", np.ones(n))
    motion = read(path.parent.parent / "nstdb" / "em").counts.astype(np.float64)
    halves = {"tuned_6": (motion[:, : motion.shape[1] // 2], 6.0)}
    halves |= {f"em_{db:g}": (second_half(motion), db) for db in NOISE_DB}
    beats = _normal(reference.samples, reference.symbols)
    turns = [(first / rate_hz, last / rate_hz) for first, last in noisy_stretches(mv.shape[1], rate_hz)]
    for kind, (wave, snr_db) in halves.items():
        mixed = mix(mv.astype(np.float64), wave, beats, rate_hz, snr_db).astype(np.float32)
        yield seconds(mixed, rate_hz), _of(kind, covered(np.array(turns).reshape(-1, 2), n))


def _of(kind: str, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.zeros((len(KINDS), len(weight)))
    weights[KINDS.index(kind)] = weight
    return weights


def _normal(samples: NDArray[np.int64], symbols: NDArray[np.str_]) -> NDArray[np.int64]:
    normal = symbols == "N"
    return samples[normal if normal.any() else np.isin(symbols, list(BEATS))]


def covered(stretches: Stretches, n: int) -> NDArray[np.float64]:
    """Return how much of each of n seconds these stretches cover.

    Examples
    --------
    >>> covered(np.array([[0.5, 2.25]]), 4).tolist()
    [0.5, 1.0, 0.25, 0.0]
    """
    at, out = np.arange(n), np.zeros(n)
    for first, end in stretches.tolist():
        out += np.clip(np.minimum(end, at + 1) - np.maximum(first, at), 0.0, None)
    return out
