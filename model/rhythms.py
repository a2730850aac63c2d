"""Which rhythms the annotations of monitors' records allow in a window of ten seconds. One table a set, in code.

A label is the set of rhythms that an annotation allows, and whether there is an arrhythmia: a `(N` of `vfdb`, which
marks no beats, may hold ectopic ones, so that its arrhythmia is unknown. The loss and the figures use what is known and
nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from model.labels import RHYTHMS, UNKNOWN


class Label(NamedTuple):
    """What is known of a window: rhythms that it may be, and an arrhythmia as 1, 0 or unknown."""

    rhythm: frozenset[str]
    arrhythmia: int = UNKNOWN


def _of(*names: str, arrhythmia: int = UNKNOWN) -> Label:
    return Label(frozenset(names), arrhythmia)


PLAIN, SINUS, ECTOPY = (_of("sinus", arrhythmia=known) for known in (0, UNKNOWN, 1))
AF = _of("atrial_fibrillation", arrhythmia=1)
SVT = _of("supraventricular_tachycardia", arrhythmia=1)
VT = _of("ventricular_tachycardia", arrhythmia=1)
VF = _of("ventricular_fibrillation", arrhythmia=1)
ASYSTOLE = _of("asystole", arrhythmia=1)
PACED, NOISE = _of("paced"), _of("noise")
ORGANISED = _of("sinus", "supraventricular_tachycardia", "paced", arrhythmia=1)
"""Any rhythm with beats but the ones that have a name here: junctional, idioventricular, escape."""
RUNS = _of("sinus", "ventricular_tachycardia", arrhythmia=1)
NOT_VF = Label(frozenset(RHYTHMS) - VF.rhythm)

MITDB: dict[str, Label] = {
    "(N": SINUS,
    "(AFIB": AF,
    "(AFL": AF,
    "(VT": VT,
    "(VFL": VF,
    "(SVTA": SVT,
    "(P": PACED,
    "(SBR": SINUS,
    "(PREX": SINUS,
    "(BII": SINUS,
    "(IVR": ORGANISED,
    "(NOD": ORGANISED,
} | dict.fromkeys(("(AB", "(B", "(T"), ECTOPY)
"""Rhythm notes of `mitdb`; a window of `(N` is judged further by its beats (`sinus`)."""

VFDB: dict[str, Label] = {
    "(N": SINUS,
    "(NSR": SINUS,
    "(AFIB": AF,
    "(VT": VT,
    "(VF": VF,
    "(VFIB": VF,
    "(VFL": VF,
    "(ASYS": ASYSTOLE,
    "(SVTA": SVT,
    "(PM": PACED,
    "(NOISE": NOISE,
    "(BI": SINUS,
    "(SBR": SINUS,
    "(B": ECTOPY,
    "(HGEA": RUNS,
    "(NOD": ORGANISED,
    "(VER": ORGANISED,
}
"""Rhythm notes of `vfdb`; VF and VFIB are one, HGEA is high-grade ventricular ectopy, BI first-degree block."""

CUDB: dict[str, Label] = {"[": VF, "(VF": VF, "(VT": VT, "(AF": AF, "": NOT_VF, "]": NOT_VF, "(N": NOT_VF}
"""Marks of `cudb`: outside fibrillation its rhythm and its noise are only marked in places."""

CINC2017: dict[str, Label] = {"N": PLAIN, "A": AF, "O": ORGANISED, "~": NOISE}
"""Classes of `cinc2017/REFERENCE.csv`, third release."""

LETHAL_S = 4.0
"""A window holds VT, VF or asystole from this many seconds of it on; with less than that, but some, it is left out."""
NOISE_S, ECTOPY_S, AF_S = 5.0, 3.0, 8.0
ECTOPIC = frozenset("VFSAaJE!")
UNSURE = frozenset("LRejn/fQ?")
"""Beats of sinus rhythm with a conduction block, escape or paced beats and the like."""


class Span(NamedTuple):
    """A stretch of a record with what its annotation says; None where it says nothing of use."""

    first_s: float
    end_s: float
    label: Label | None


def spans(
    marks: Sequence[tuple[float, str]], table: Mapping[str, Label], end_s: float, before: str | None = None
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
    return [Span(first, end, label) for (first, label), end in zip(changes, ends, strict=True) if end > first]


def of_window(rhythm: Sequence[Span], first_s: float, end_s: float) -> Label | None:
    """Return what is known of a window, or None where it is to be left out.

    A window of at least `LETHAL_S` of VT or VF is that, whatever else it holds. Less than that but some, a stretch
    without annotation, and mixtures without a clear part are left out.
    """
    held: dict[Label | None, float] = {}
    for span in rhythm:
        overlap = min(span.end_s, end_s) - max(span.first_s, first_s)
        if overlap > 0:
            held[span.label] = held.get(span.label, 0.0) + overlap
    vt, vf = held.get(VT, 0.0), held.get(VF, 0.0)
    if vt + vf > 0:
        return _lethal(vt, vf)
    if None in held or not held:
        return None
    return _mixture({label: seconds for label, seconds in held.items() if label is not None})


def _lethal(vt_s: float, vf_s: float) -> Label | None:
    if vt_s + vf_s < LETHAL_S:
        return None
    if vf_s < 1.0 or vt_s < 1.0:
        return VT if vf_s < vt_s else VF
    return Label(VT.rhythm | VF.rhythm, 1)


def _mixture(held: Mapping[Label, float]) -> Label | None:
    if len(held) == 1:
        return next(iter(held))
    for label, least_s in ((ASYSTOLE, LETHAL_S), (NOISE, NOISE_S), (AF, AF_S)):
        if label in held:
            return label if held[label] >= least_s else None
    if NOT_VF in held:
        return None
    abnormal = sum(seconds for label, seconds in held.items() if label.arrhythmia == 1)
    return Label(frozenset().union(*(label.rhythm for label in held)), 1) if abnormal >= ECTOPY_S else None


def sinus(symbols: Sequence[str]) -> Label:
    """Return what a window marked sinus rhythm is by its beats: ectopic ones make an arrhythmia of it."""
    if ECTOPIC.intersection(symbols):
        return ECTOPY
    return _of("sinus", "paced") if UNSURE.intersection(symbols) else PLAIN
