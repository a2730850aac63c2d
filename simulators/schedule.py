"""When a generated heart beats: rhythms by name, and scripts of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ecg.clinical import Settings

Segment = tuple[str, float, Mapping[str, float]]
"""A rhythm's name, for how many seconds, and its parameters."""

_BEATING = {"rate_bpm": 72.0, "variability": 1.0, "st_mv": 0.0, "qrs_gain": 1.0}
RHYTHMS: dict[str, dict[str, float]] = {
    "sinus": _BEATING,
    "ventricular_tachycardia": _BEATING | {"rate_bpm": 180.0, "variability": 0.3},
    "ventricular_fibrillation": {"wave_hz": 5.0, "wave_mv": 0.8},
    "ventricular_flutter": {"wave_hz": 4.6, "wave_mv": 1.6},
    "asystole": {},
    "atrial_fibrillation": _BEATING | {"rate_bpm": 95.0, "irregularity": 0.22, "f_mv": 0.12},
    "pauses": _BEATING | {"rate_bpm": 62.0, "every": 8.0, "pause_s": 3.5},
    "bigeminy": _BEATING | {"rate_bpm": 80.0},
    "pvcs": _BEATING | {"rate_bpm": 78.0, "every": 5.0},
    "st_shift": _BEATING | {"st_mv": 0.25},
    "paced": _BEATING | {"rate_bpm": 70.0, "variability": 0.0},
}
"""Every rhythm with its parameters and what they are unless a script says otherwise.

`every` is how many beats lie from one event to the next; `variability` scales what breathing and tone do to RR;
`irregularity` is the coefficient of variation of RR in atrial fibrillation; `wave_mv` is about the size in lead II.
"""


class Beat(NamedTuple):
    """One beat of the ventricles: when, of which label (N, V or P), RR before it, its segment and parameters."""

    at_s: float
    label: str
    rr_s: float
    segment: int
    atria: bool


class Span(NamedTuple):
    """Samples first <= i < end in which a condition holds."""

    condition: str
    first: int
    end: int


def complete(script: Sequence[Segment]) -> list[tuple[str, float, dict[str, float]]]:
    """Return a script with every parameter in it.

    Raises
    ------
    ValueError
        If it is empty, a rhythm or parameter is unknown, or a number is outside what a heart can do.
    """
    if not script:
        raise ValueError("script must hold at least one segment, got none")
    return [_complete(rhythm, seconds, given) for rhythm, seconds, given in script]


def _complete(rhythm: str, seconds: float, given: Mapping[str, float]) -> tuple[str, float, dict[str, float]]:
    if rhythm not in RHYTHMS:
        raise ValueError(f"rhythm must be one of {', '.join(RHYTHMS)}, got {rhythm!r}")
    if not 0.5 <= seconds <= 86_400:
        raise ValueError(f"seconds must be between 0.5 and 86400, got {seconds!r}")
    unknown = [name for name in given if name not in RHYTHMS[rhythm]]
    if unknown:
        raise ValueError(f"parameters of {rhythm} are {', '.join(RHYTHMS[rhythm]) or 'none'}, got {unknown[0]!r}")
    params = RHYTHMS[rhythm] | dict(given)
    if not 10 <= params.get("rate_bpm", 60) <= 350:
        raise ValueError(f"rate_bpm must be between 10 and 350, got {params['rate_bpm']!r}")
    if params.get("every", 2) < 2:
        raise ValueError(f"every must be at least 2, got {params['every']!r}")
    return rhythm, float(seconds), params


def beats(script: Sequence[Segment], breath_hz: float, rng: np.random.Generator) -> list[Beat]:
    """Return all beats of a script, spaced so that the last is followed by the first without a break."""
    whole = complete(script)
    found: list[Beat] = []
    start = 0.0
    for segment, part in enumerate(whole):
        if part[0] in _INTERVALS:
            found += _segment(found, segment, part, start, breath_hz, rng)
        start += part[1]
    if whole[0][0] in _INTERVALS and whole[-1][0] in _INTERVALS:
        return _closed(found, start)
    return found


def _segment(
    before: list[Beat],
    segment: int,
    whole: tuple[str, float, dict[str, float]],
    start: float,
    breath_hz: float,
    rng: np.random.Generator,
) -> list[Beat]:
    rhythm, seconds, params = whole
    mean_rr = 60 / params["rate_bpm"]
    resumed = not before or before[-1].segment < segment - 1
    at = start + min(0.35, mean_rr / 2) if resumed else before[-1].at_s
    found: list[Beat] = []
    for factor, label in _INTERVALS[rhythm](params, rng):
        rr = mean_rr * factor * _tone(params["variability"], at, breath_hz, rng)
        if not (resumed and not found):
            at = max(at + rr, start)
        if at >= start + seconds:
            return found
        found.append(Beat(at, label, rr, segment, label == "N" and rhythm != "atrial_fibrillation"))
    return found


def _tone(variability: float, at: float, breath_hz: float, rng: np.random.Generator) -> float:
    waves = 0.03 * np.sin(2 * np.pi * breath_hz * at) + 0.015 * np.sin(2 * np.pi * 0.1 * at)
    return float(1 + variability * (waves + 0.006 * rng.standard_normal()))


def _steady(label: str) -> Iterator[tuple[float, str]]:
    while True:
        yield 1.0, label


def _irregular(params: dict[str, float], rng: np.random.Generator) -> Iterator[tuple[float, str]]:
    spread = params["irregularity"]
    shortest = 0.34 * params["rate_bpm"] / 60
    while True:
        yield max(shortest, float(np.exp(spread * rng.standard_normal() - spread**2 / 2))), "N"


def _pauses(params: dict[str, float], rng: np.random.Generator) -> Iterator[tuple[float, str]]:
    while True:
        yield from ((1.0, "N") for _ in range(int(params["every"]) - 1))
        yield params["pause_s"] * params["rate_bpm"] / 60, "N"


def _premature(every: int) -> Iterator[tuple[float, str]]:
    after = 1.0
    while True:
        yield after, "N"
        yield from ((1.0, "N") for _ in range(every - 2))
        yield 0.62, "V"
        after = 1.38


_INTERVALS = {
    "sinus": lambda params, rng: _steady("N"),
    "st_shift": lambda params, rng: _steady("N"),
    "paced": lambda params, rng: _steady("P"),
    "ventricular_tachycardia": lambda params, rng: _steady("V"),
    "atrial_fibrillation": _irregular,
    "pauses": _pauses,
    "bigeminy": lambda params, rng: _premature(2),
    "pvcs": lambda params, rng: _premature(int(params["every"])),
}


def _closed(found: list[Beat], total_s: float) -> list[Beat]:
    """Spread what the last interval is too long or too short over the last eight, as a heart would."""
    joint = total_s + found[0].at_s - found[-1].at_s
    if joint < 0.6 * found[-1].rr_s and len(found) > 1:
        found = found[:-1]
        joint = total_s + found[0].at_s - found[-1].at_s
    tail = min(8, len(found) - 1, sum(b.segment == found[-1].segment for b in found) - 1)
    if tail < 1 or found[-1].label == "V":
        return found
    step = (joint - found[-1].rr_s) / (tail + 1)
    moved = [b._replace(at_s=b.at_s + step * k, rr_s=b.rr_s + step) for k, b in enumerate(found[-tail:], 1)]
    return found[:-tail] + moved


def conditions(script: Sequence[Segment], rate_hz: float, settings: Settings | None = None) -> tuple[Span, ...]:
    """Return which conditions a script shows, by the rhythm's nature, and from which sample to which."""
    limits = settings or Settings()
    spans, start = [], 0.0
    for rhythm, seconds, params in complete(script):
        first, end = round(start * rate_hz), round((start + seconds) * rate_hz)
        spans += [Span(name, first, end) for name in _shown(rhythm, seconds, params, limits)]
        start += seconds
    return tuple(spans)


def _shown(rhythm: str, seconds: float, params: dict[str, float], limits: Settings) -> list[str]:
    if rhythm == "asystole":
        return ["asystole"] if seconds > limits.asystole_s else []
    if rhythm in ("ventricular_fibrillation", "ventricular_flutter"):
        return ["ventricular_fibrillation"] if seconds > limits.fibrillation_s else []
    rate = params["rate_bpm"]
    if rhythm == "ventricular_tachycardia":
        enough = rate > limits.vt_rate_bpm and seconds * rate / 60 > limits.vt_beats
        return ["ventricular_tachycardia"] if enough else []
    named = ["atrial_fibrillation"] if rhythm == "atrial_fibrillation" else []
    every = {"bigeminy": 2.0, "pvcs": params.get("every", 0.0)}.get(rhythm)
    if every and rate / every > limits.pvcs_per_minute:
        named.append("pvcs_per_minute")
    return named + _rate_conditions(rate, limits)


def _rate_conditions(rate_bpm: float, limits: Settings) -> list[str]:
    if rate_bpm > limits.rate_high_bpm:
        return ["extreme_tachycardia"] if rate_bpm > limits.extreme_high_bpm else ["rate_high"]
    if rate_bpm < limits.rate_low_bpm:
        return ["extreme_bradycardia"] if rate_bpm < limits.extreme_low_bpm else ["rate_low"]
    return []
