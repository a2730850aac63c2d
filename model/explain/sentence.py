"""An alert in words: what it says, by which rule, and what was measured in the ten seconds before it; nothing else.

What of diagnoses cannot be excluded stands beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.alert import Alert
from model.score import CONFORMAL_LEVEL

SECONDS = 10.0
Words = tuple[str, ...]
"""What a conformal set of a diagnosis holds of "no" and "yes"."""


class Measured(NamedTuple):
    """What was measured in the seconds before an alert was decided.

    Attributes
    ----------
    beats : int
    rr_s : ndarray of float32
        Intervals between them.
    qrs_ms : ndarray of float32
        Width of each; NaN where none could be told.
    pulses : int or None
        None where no lead shows a pulse.
    leads : tuple of str
        Leads that showed at least half of the beats.
    """

    beats: int
    rr_s: NDArray[np.float32]
    qrs_ms: NDArray[np.float32]
    pulses: int | None
    leads: tuple[str, ...]


def sentence(alert: Alert, seen: Measured) -> str:
    """Return an alert in words.

    Examples
    --------
    >>> _beats(Measured(3, np.float32([0.8, 0.9]), np.float32([92, 96, np.nan]), 3, ("II", "V1")))
    'three beats, RR 0.80 to 0.90 s (median 0.85 s, 71 bpm), QRS 94 ms wide, seen in II and V1'
    """
    parts = [f"{alert.text.strip('*! ')}: {alert.evidence.trace}".rstrip(": ")]
    parts.append(f"In the {SECONDS:g} s before it: {_beats(seen)}; {_pulse(seen.pulses)}")
    if alert.evidence.leads:
        parts.append(f"Decided on {_listed(alert.evidence.leads)}")
    return ". ".join(parts) + "."


def _beats(seen: Measured) -> str:
    if not seen.beats:
        return "no beat"
    parts = ["one beat" if seen.beats == 1 else f"{_NUMBERS.get(seen.beats, seen.beats)} beats"]
    rr = seen.rr_s[np.isfinite(seen.rr_s)]
    if len(rr):
        middle = float(np.median(rr))
        parts.append(f"RR {rr.min():.2f} to {rr.max():.2f} s (median {middle:.2f} s, {60 / middle:.0f} bpm)")
    widths = seen.qrs_ms[np.isfinite(seen.qrs_ms)]
    if len(widths):
        parts.append(f"QRS {np.median(widths):.0f} ms wide")
    if seen.leads:
        parts.append(f"seen in {_listed(seen.leads)}")
    return ", ".join(parts)


_NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}


def _pulse(pulses: int | None) -> str:
    if pulses is None:
        return "no lead of a pulse"
    return "no pulse" if not pulses else f"{pulses} pulse{'s' * (pulses > 1)}"


def _listed(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def diagnoses(sets: Mapping[str, Words]) -> str:
    """Return what is left of diagnoses once what can be excluded is left out.

    Examples
    --------
    >>> diagnoses({"normal": ("no",), "st_t_or_other": ("yes",), "arrhythmia": ("no", "yes"), "hypertrophy": ()})
    'at 90 %: st t or other; arrhythmia cannot be excluded; neither yes nor no fits hypertrophy'
    >>> diagnoses({"normal": ("no",)})
    'at 90 %: none'
    """
    parts = []
    if sure := _with(sets, ("yes",)):
        parts.append(_listed(sure))
    if possible := _with(sets, ("no", "yes")):
        parts.append(f"{_listed(possible)} cannot be excluded")
    if strange := _with(sets, ()):
        parts.append(f"neither yes nor no fits {_listed(strange)}")
    return f"at {100 * CONFORMAL_LEVEL:g} %: " + ("; ".join(parts) or "none")


def _with(sets: Mapping[str, Words], words: Words) -> tuple[str, ...]:
    return tuple(name.replace("_", " ") for name, held in sets.items() if held == words)
