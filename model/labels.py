"""Rhythm classes of a 10-s window, and what each record set's annotations say about them.

A label is the set of classes that an annotation allows: a `(N` of `vfdb`, which marks no beats, may hold ectopic
ones, so it allows `normal` and `other`. The loss and the figures use what is known and nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

CLASSES: tuple[str, ...] = (
    "normal",
    "atrial_fibrillation",
    "ventricular_tachycardia",
    "ventricular_fibrillation",
    "other",
    "noise",
)
"""Classes in the order of the network's answer. Flutter of the atria is in `atrial_fibrillation`, of the ventricles in
`ventricular_fibrillation`; `other` is every rhythm but these, sinus rhythm with ectopic beats or outside 50-110 bpm,
and asystole, which is the rules' to decide (three patients here have it)."""

Allowed = frozenset[str]
NORMAL, AF, VT, VF, OTHER, NOISE = (frozenset({name}) for name in CLASSES)
SINUS: Allowed = NORMAL | OTHER
NOT_VF: Allowed = frozenset(CLASSES) - VF

MITDB: dict[str, Allowed] = {
    "(N": NORMAL,
    "(SBR": OTHER,
    "(AFIB": AF,
    "(AFL": AF,
    "(VT": VT,
    "(VFL": VF,
} | dict.fromkeys(("(AB", "(B", "(BII", "(IVR", "(NOD", "(P", "(PREX", "(SVTA", "(T"), OTHER)
"""Rhythm notes of `mitdb`; a window of `(N` is judged further by its beats (`sinus`)."""

VFDB: dict[str, Allowed] = {
    "(N": SINUS,
    "(NSR": SINUS,
    "(AFIB": AF,
    "(VT": VT,
    "(VF": VF,
    "(VFIB": VF,
    "(VFL": VF,
    "(NOISE": NOISE,
} | dict.fromkeys(("(ASYS", "(B", "(BI", "(HGEA", "(NOD", "(SBR", "(SVTA", "(VER"), OTHER)
"""Rhythm notes of `vfdb`; VF and VFIB are one, HGEA is high-grade ventricular ectopy, BI first-degree block."""

CUDB: dict[str, Allowed] = {"[": VF, "(VF": VF, "(VT": VT, "(AF": AF, "": NOT_VF, "]": NOT_VF, "(N": NOT_VF}
"""Marks of `cudb`: outside fibrillation its rhythm and its noise are only marked in places."""

CINC2017: dict[str, Allowed] = {"N": NORMAL, "A": AF, "O": OTHER, "~": NOISE}
"""Classes of `cinc2017/REFERENCE.csv`, third release."""

LETHAL_S = 4.0
"""A window holds VT or VF from this many seconds of it on; with less than that, but some, it is left out."""
NOISE_S, OTHER_S, AF_S = 5.0, 3.0, 8.0
NORMAL_BPM = (50.0, 110.0)
ECTOPIC = frozenset("VFSAaJE!")
UNSURE = frozenset("LRejn/fQ?")
"""Beats of sinus rhythm with a conduction block, escape beats and the like: `normal` to one set, `other` to another."""


class Span(NamedTuple):
    """A stretch of a record with the classes that its annotation allows; None where it says nothing of use."""

    first_s: float
    end_s: float
    allowed: Allowed | None


def spans(
    marks: Sequence[tuple[float, str]], table: dict[str, Allowed], end_s: float, before: str | None = None
) -> list[Span]:
    """Turn marks of change, in order of time, into spans up to the next mark.

    Parameters
    ----------
    marks : sequence of (time in s, note)
        A note that the table lacks gives a span that says nothing.
    before : str, optional
        The note that holds before the first mark; None where nothing is known.
    """
    changes = [(0.0, table.get(before) if before is not None else None)]
    changes += [(at_s, table.get(note)) for at_s, note in marks]
    ends = [at_s for at_s, _ in changes[1:]] + [end_s]
    return [Span(first, end, allowed) for (first, allowed), end in zip(changes, ends, strict=True) if end > first]


def window_label(rhythm: Sequence[Span], first_s: float, end_s: float) -> Allowed | None:
    """Return the classes that a window may have, or None where it is to be left out.

    A window of at least `LETHAL_S` of VT or VF is that, whatever else it holds. Less than that but some, a stretch
    without annotation, and mixtures without a clear part are left out.
    """
    held: dict[Allowed | None, float] = {}
    for span in rhythm:
        overlap = min(span.end_s, end_s) - max(span.first_s, first_s)
        if overlap > 0:
            held[span.allowed] = held.get(span.allowed, 0.0) + overlap
    vt, vf = held.get(VT, 0.0), held.get(VF, 0.0)
    if vt + vf > 0:
        return _lethal(vt, vf)
    if None in held or not held:
        return None
    return _mixture({allowed: seconds for allowed, seconds in held.items() if allowed is not None})


def _lethal(vt_s: float, vf_s: float) -> Allowed | None:
    if vt_s + vf_s < LETHAL_S:
        return None
    if vf_s < 1.0 or vt_s < 1.0:
        return VT if vf_s < vt_s else VF
    return VT | VF


def _mixture(held: dict[Allowed, float]) -> Allowed | None:
    if len(held) == 1:
        return next(iter(held))
    if held.get(NOISE, 0.0) > 0:
        return NOISE if held[NOISE] >= NOISE_S else None
    if held.get(AF, 0.0) > 0:
        return AF if held[AF] >= AF_S else None
    if NOT_VF in held:
        return None
    return OTHER if held.get(OTHER, 0.0) >= OTHER_S else None


def sinus(symbols: Sequence[str], window_s: float) -> Allowed:
    """Return what a window marked sinus rhythm is by its beats: ectopic ones make it `other`, as `cinc2017` has it."""
    if ECTOPIC.intersection(symbols):
        return OTHER
    rate_bpm = 60.0 * len(symbols) / window_s
    if UNSURE.intersection(symbols) or not NORMAL_BPM[0] <= rate_bpm <= NORMAL_BPM[1]:
        return SINUS
    return NORMAL
