"""`vigil evaluate 60601`: what a heart rate meter and its alarms have to disclose, and lethal events that must alarm.

The inputs of IEC 60601-2-27 are generated (`simulators.standard`), or taken from PhysioNet's `aami-ec13` where a user
has it; the standards' own texts were not read, so this is tested against what is known of them. Everything goes through
the ward's pipeline, as frames of half a second with a tick a second.

* **Rates**: what is shown, once a second; for a step, when it came within 10 % of the new rate, to stay.
* **Delays** are detection delays: from the onset in the signal to the sample that the decision stands at. What the
  filters are behind stands apart (`filters_s`); delivery to the ward is measured on a running ward (`vigil bench`).
* **Lethal events** (`simulators.lethal`), several of each kind: alarmed, by their own condition or a worse one of its
  chains, within 10 s of their onset, the filters with it. Also in noise of 12 dB, and with one of two leads failing.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg.alert import Alert, Vitals, decode_alert, decode_vitals
from ecg.clinical import Settings
from ecg.condition import worse
from ecg.frame import Frame, Setup, Tick, encode
from ecg.record import read
from ecg.resample import ANALYSIS_HZ
from ecg.wavelet import Denoiser
from simulators import lethal, standard
from simulators.bedside import Bedside
from simulators.source import Source
from stream.analyze import EPOCH_NS, analyze
from stream.batch import Record
from stream.evaluate.run import records
from stream.pipeline import Pipeline

WITHIN_S = 10.0
"""A lethal event must alarm within so many seconds of its onset."""
SETTLED_S = 20.0
"""Waveforms 3 are read from this second on."""
NEAR = 0.1
"""A rate that was shown has followed a step when it is this near to the new one."""
OVER = ("ended", "no data")
"""What a board says of an input that is over, while others go on."""
FILTERS_S = Denoiser().delay / ANALYSIS_HZ


class Seen(NamedTuple):
    """What a ward would have been told of one source."""

    alerts: list[Alert]
    vitals: list[Vitals]

    def alarm_s(self, conditions: Sequence[str], after_s: float) -> float | None:
        """Return how long after a second an alarm of one of these conditions was decided, None where none was."""
        starts = ((a.decided_ns - EPOCH_NS) / 1e9 for a in self.alerts if _sounds(a) and a.condition in conditions)
        return next((at - after_s for at in starts if at >= after_s), None)

    def rates(self, first_s: float = SETTLED_S) -> list[float | None]:
        """Return the rates shown from a second on."""
        return [v.heart_rate_bpm for v in self.vitals if (v.time_ns - EPOCH_NS) / 1e9 >= first_s]

    def follows_s(self, bpm: float, after_s: float) -> float | None:
        """Return how long after a second the rate shown came near to one, to stay there."""
        shown = [((v.time_ns - EPOCH_NS) / 1e9, v.heart_rate_bpm) for v in self.vitals]
        away = [at for at, rate in shown if rate is None or abs(rate - bpm) > NEAR * bpm]
        there = [at for at, _ in shown if at > max(away, default=0.0)]
        return there[0] - after_s if there else None


def _sounds(alert: Alert) -> bool:
    return alert.phase == "start" or (alert.phase == "update" and alert.presence == "on")


def watch(sources: Sequence[Source], settings: Settings | None = None) -> list[Seen]:
    """Run sources through the pipeline of one ward without a network, each as a device of its own."""
    setup = Setup("60601", "generated inputs", EPOCH_NS, settings or Settings(), {"net": None}, unsigned=True)
    log: list[tuple[float, int, Frame | Tick]] = []
    for number, source in enumerate(sources):
        frames = Bedside(f"input-{number}", source, EPOCH_NS, 0.5).frames()
        log += [(due_s, number, frame) for due_s, frame in frames]
    last_s = max((due_s for due_s, *_ in log), default=0.0)
    log += [(s + 0.001, -1, Tick("60601", s, EPOCH_NS + s * 1_000_000_000)) for s in range(int(last_s) + 1)]
    entries: list[tuple[bytes, Setup | Frame | Tick]] = [(b"", setup)]
    entries += [(f"input-{number}".encode(), each) for _, number, each in sorted(log, key=lambda row: row[:2])]
    out = Pipeline({}).feed([Record(0, at, key, encode(entry)) for at, (key, entry) in enumerate(entries)])
    if out.dead:
        raise ValueError(f"{out.dead[0][0].key!r}: {out.dead[0][1]}")
    seen = [Seen([], []) for _ in sources]
    for _, value in out.alerts:
        alert = decode_alert(value)
        seen[_number(alert.device)].alerts.append(alert)
    for _, value in out.vitals:
        vitals = decode_vitals(value)
        if vitals.rhythm not in OVER:
            seen[_number(vitals.device)].vitals.append(vitals)
    return seen


def _number(device: str) -> int:
    return int(device.rpartition("-")[2])


def meter() -> dict[str, float | None]:
    """Return the figures of the heart rate meter and of its alarms, from generated inputs."""
    given = inputs()
    seen = dict(zip(given, watch([each.source for each in given.values()]), strict=True))
    found: dict[str, float | None] = {"filters_s": FILTERS_S}
    for name, (bpm, condition) in _STEPS.items():
        onset_s = given[name].onset_s
        found[f"{name}_shown_after_s"] = seen[name].follows_s(bpm, onset_s)
        if condition:
            found[f"{name}_alarm_after_s"] = seen[name].alarm_s((condition,), onset_s)
    for name in standard.ALTERNATING:
        found[f"{name}_lowest_bpm"], found[f"{name}_highest_bpm"] = _range(seen[name].rates())
    for name in (each for each in given if each[:2] in standard.TACHYCARDIA):
        found[f"{name}_alarm_after_s"] = seen[name].alarm_s(VENTRICULAR, given[name].onset_s)
    for name in (each for each in given if each.startswith(("tall_t", "qrs", "mains", "paced"))):
        found[f"{name}_lowest_bpm"], found[f"{name}_highest_bpm"] = _range(seen[name].rates())
    for name, condition in _ALARMS.items():
        found[f"{name}_alarm_after_s"] = seen[name].alarm_s((condition,), given[name].onset_s)
    return {name: None if value is None else round(value, 2) for name, value in found.items()}


VENTRICULAR = ("ventricular_tachycardia", "ventricular_fibrillation")
_STEPS = {"step_80_120": (120.0, ""), "step_80_40": (40.0, "rate_low"), "step_80_130": (130.0, "rate_high")}
_ALARMS = {"standstill": "asystole", "spikes_alone": "asystole", "lead_off": "all_leads_off"}
TALL_T_MV = (0.4, 0.8, 1.2)
QRS = ((0.1, 100), (0.15, 70), (0.15, 120), (0.5, 70), (0.5, 120), (1.0, 100), (5.0, 70), (5.0, 120))
"""Heights in mV and widths in ms of QRS complexes; the first three are to be counted as none."""
SPIKES = ((2.0, 0.1), (2.0, 2.0), (700.0, 0.1), (700.0, 2.0))
"""Heights in mV and lengths in ms of a pacer's spikes."""


def inputs() -> dict[str, standard.Given]:
    """Return the inputs of a heart rate meter by name."""
    given = {
        "step_80_120": standard.rate_step(80.0, 120.0),
        "step_80_40": standard.rate_step(80.0, 40.0),
        "step_80_130": standard.rate_step(80.0, 130.0),
        "standstill": standard.standstill(),
        "lead_off": standard.lead_off(),
        "spikes_alone": standard.paced(*SPIKES[-1], beats=False),
    }
    given |= {name: standard.alternating(name) for name in standard.ALTERNATING}
    given |= {
        f"{name}_{size}": standard.tachycardia(name, gain)
        for name in standard.TACHYCARDIA
        for size, gain in (("half", 0.5), ("full", 1.0), ("double", 2.0))
    }
    given |= {f"tall_t_{mv:g}_mv": standard.steady(qrs_ms=100.0, s_share=0.3, t_mv=mv) for mv in TALL_T_MV}
    given |= {f"tall_t_{mv:g}_mv_qrs_without_s": standard.steady(qrs_ms=100.0, t_mv=mv) for mv in TALL_T_MV}
    given |= {f"qrs_{mv:g}_mv_{ms}_ms": standard.steady(qrs_mv=mv, qrs_ms=float(ms)) for mv, ms in QRS}
    given |= {f"mains_{hz}_hz": standard.mains(hz=float(hz)) for hz in (50, 60)}
    return given | {f"paced_{mv:g}_mv_{ms:g}_ms": standard.paced(mv, ms, beats=True) for mv, ms in SPIKES}


def _range(rates: Sequence[float | None]) -> tuple[float | None, float | None]:
    shown = [rate for rate in rates if rate is not None]
    return (min(shown), max(shown)) if shown else (None, None)


class Happened(NamedTuple):
    """One lethal event and what became of it: how long after its onset an alarm was decided, None where none was."""

    variant: str
    condition: str
    seed: int
    after_s: float | None

    @property
    def alarmed(self) -> bool:
        """Whether that was soon enough, the time that the filters take with it."""
        return self.after_s is not None and self.after_s + FILTERS_S <= WITHIN_S


def events(seeds: int, variants: Sequence[str], records: Path | None = None) -> list[Happened]:
    """Run lethal events, `seeds` of each kind in each variant.

    Parameters
    ----------
    seeds : int
    variants : sequence of str
        Of `VARIANTS`.
    records : Path or None
        Folder of the record sets: noise is then that of `nstdb`, its second half, and else generated.
    """
    found = []
    for variant in variants:
        made = [_event(variant, kind, seed, records) for kind in lethal.KINDS for seed in range(seeds)]
        seen = watch([each.source for each in made])
        for (number, each), told in zip(enumerate(made), seen, strict=True):
            names = (each.condition, *worse(each.condition))
            found.append(Happened(variant, each.condition, number % seeds, told.alarm_s(names, each.onset_s)))
    return found


CLEAN, MOTION, MUSCLE, FLAT, OFF = "clean", "motion_12_db", "muscle_12_db", "one_lead_flat", "one_lead_off"
VARIANTS = (CLEAN, FLAT, OFF, MOTION, MUSCLE)
NOISY = {MOTION: ("motion", "em"), MUSCLE: ("muscle", "ma")}
NOISE_DB = 12.0


def _event(variant: str, kind: str, seed: int, records: Path | None) -> lethal.Event:
    given = lethal.event(kind, seed)
    if variant in NOISY:
        generated, name = NOISY[variant]
        recorded = None if records is None else _recorded(records / "nstdb" / name, given, seed)
        made = lethal.generated_noise(generated, given, seed) if recorded is None else recorded  # pyright: ignore
        return lethal.noisy(given, made, NOISE_DB)
    if variant == FLAT:
        return lethal.failing(given, seed % 2, "flat")
    return lethal.failing(given, seed % 2, "lead_off") if variant == OFF else given


def _recorded(path: Path, given: lethal.Event, seed: int) -> NDArray[np.float32] | None:
    """Return noise of the second half of a record of `nstdb` at an event's rate; None where it is not there."""
    if not path.with_suffix(".hea").exists():
        return None
    mv = read(path).mv()
    half = np.nan_to_num(mv[:, mv.shape[1] // 2 :])
    source = given.source
    at = seed * 61.0 + np.arange(source.n_samples) / source.rate_hz
    return np.stack([np.interp(at, np.arange(half.shape[1]) / NOISE_HZ, row) for row in half]).astype(np.float32)


NOISE_HZ = 360.0


def shares(happened: Sequence[Happened]) -> dict[str, float]:
    """Return the share of events that alarmed in time, in per cent, by variant and kind, and the longest delays."""
    found: dict[str, float] = {}
    for variant in dict.fromkeys(each.variant for each in happened):
        of = [each for each in happened if each.variant == variant]
        found[f"lethal_{variant}_alarmed_pct"] = round(100 * float(np.mean([each.alarmed for each in of])), 2)
        for kind in lethal.KINDS:
            own = [each for each in of if each.condition == kind]
            found[f"lethal_{variant}_{kind}_alarmed_pct"] = round(
                100 * float(np.mean([each.alarmed for each in own])), 2
            )
            delays = [each.after_s for each in own if each.after_s is not None]
            if delays:
                found[f"lethal_{variant}_{kind}_longest_s"] = round(max(delays), 2)
    return found


def of_records(data: Path) -> dict[str, float | None]:
    """Return what the records of `aami-ec13` give: rates after 20 s, and when ventricular tachycardia alarmed."""
    found: dict[str, float | None] = {}
    for path in records(data):
        analyzed = analyze(read(path), {})
        seen = Seen(analyzed.alerts, analyzed.vitals)
        if path.name.startswith("aami4"):
            found[f"{path.name}_alarm_at_s"] = seen.alarm_s(VENTRICULAR, 0.0)
        else:
            found[f"{path.name}_lowest_bpm"], found[f"{path.name}_highest_bpm"] = _range(seen.rates())
    return found


def evaluate(*, json: bool, data: Path | None, noise: bool, seeds: int, sets: Path | None) -> int:
    """Print the figures; returns the exit status, 1 where a lethal event did not alarm in time."""
    happened = events(seeds, VARIANTS if noise else (CLEAN, FLAT, OFF), sets)
    missed = [each for each in happened if not each.alarmed]
    figures: dict[str, float | None] = {**meter(), **shares(happened), **(of_records(data) if data else {})}
    recorded = noise and sets is not None and (sets / "nstdb").is_dir()
    result: dict[str, Any] = {
        "tested against": "IEC 60601-2-27 and 60601-1-8 as publicly described; their texts were not read",
        "noise": "nstdb, second half" if recorded else "generated" if noise else "none",
        "seeds": seeds,
        "missed": [each._asdict() for each in missed],
        "figures": figures,
    }
    print(msgspec.json.encode(result).decode() if json else _text(result))
    return 1 if missed else 0


def _text(result: dict[str, Any]) -> str:
    lines = [f"tested against {result['tested against']}; noise: {result['noise']}"]
    lines += [f"{name:<60} {'-' if value is None else value}" for name, value in result["figures"].items()]
    for each in result["missed"]:
        late = "no alarm" if each["after_s"] is None else f"after {each['after_s']:.1f} s"
        lines.append(f"missed: {each['variant']} {each['condition']} seed {each['seed']}, {late}")
    return "\n".join(lines)
