"""Episode by episode: atrial fibrillation, ventricular fibrillation and ST, after EC57 as `epicmp` computes it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from ecg.ec57.beats import FIRST_S, whole
from ecg.ec57.label import BEATS
from ecg.ec57.runs import Matched
from ecg.ec57.table import percent
from ecg.record import Annotations

Kind = Literal["AF", "VF", "ST0", "ST1", "ST"]
"""Fibrillation of the atria, of the ventricles; ischemic ST change in signal 0, in signal 1, in either."""

FibrillationMarks = Literal["brackets", "rhythm"]
"""Where ventricular fibrillation is marked: `brackets`, [ and ], alone as epicmp reads it, or by changes of rhythm to
one that begins (VF, too: the sound rule for files that have no brackets."""


class Episode(NamedTuple):
    """An episode in samples, with the extremes of ST in signal 0 and 1 where it has them."""

    first: int
    last: int
    extreme_0: int | None = None
    extreme_1: int | None = None


@dataclass(frozen=True)
class Episodes:
    """Episodes and their duration, of one record or of several together.

    Attributes
    ----------
    matched : Matched
        Episodes of the reference that were found and missed, of the test that were confirmed and false.
    reference_s, reference_overlap_s : float
        Duration of the reference's episodes, and how much of it the test shows.
    test_s, test_overlap_s : float
        Duration of the test's episodes, and how much of it the reference shows.
    """

    matched: Matched
    reference_s: float
    reference_overlap_s: float
    test_s: float
    test_overlap_s: float

    def __add__(self, other: Episodes) -> Episodes:
        return Episodes(
            Matched(*(a + b for a, b in zip(self.matched, other.matched, strict=True))),
            self.reference_s + other.reference_s,
            self.reference_overlap_s + other.reference_overlap_s,
            self.test_s + other.test_s,
            self.test_overlap_s + other.test_overlap_s,
        )

    @property
    def duration_sensitivity(self) -> float:
        """Share of the reference's duration that the test shows, in percent; NaN where there is none."""
        return percent(self.reference_overlap_s, self.reference_s)

    @property
    def duration_ppv(self) -> float:
        """Share of the test's duration that the reference shows, in percent; NaN where there is none."""
        return percent(self.test_overlap_s, self.test_s)


def no_episodes() -> Episodes:
    """Return an account of nothing, from which sums start."""
    return Episodes(Matched(0, 0, 0, 0), 0.0, 0.0, 0.0, 0.0)


def find_episodes(
    annotations: Annotations, kind: Kind, length: int, fibrillation: FibrillationMarks = "brackets"
) -> list[Episode]:
    """Return the episodes of one kind that one annotator marked.

    What ends one episode cannot begin another. One that does not end lasts to the end of the record, or to the last
    annotation behind it.
    """
    found: list[Episode] = []
    opened: int | None = None
    extremes: list[int | None] = [None, None]
    depth = 0
    for at, symbol, note in zip(annotations.samples.tolist(), annotations.symbols, annotations.aux, strict=True):
        if opened is None:
            if _begins(symbol, note, kind, fibrillation):
                opened, depth = at, 1
                extremes[:] = (None, None)
            continue
        if symbol == "s" and (extreme := re.match(r"AST([01])", note)) and kind in ("ST", f"ST{extreme[1]}"):
            extremes[int(extreme[1])] = at
        elif kind == "ST" and symbol == "s" and note.startswith(("(ST", "ST")):
            depth += 1 if note[0] == "(" else -1
        if (depth == 0) if kind == "ST" else _ends(symbol, note, kind, fibrillation):
            found.append(Episode(opened, at, *extremes))
            opened = None
    if opened is not None:
        found.append(Episode(opened, max(length, int(annotations.samples[-1])), *extremes))
    return found


def _begins(symbol: str, note: str, kind: Kind, fibrillation: FibrillationMarks) -> bool:
    if kind == "AF":
        return symbol == "+" and note.startswith("(AFIB")
    if kind == "VF":
        return symbol == "[" or (fibrillation == "rhythm" and symbol == "+" and note.startswith("(VF"))
    return symbol == "s" and note.startswith(f"({kind}")


def _ends(symbol: str, note: str, kind: Kind, fibrillation: FibrillationMarks) -> bool:
    if kind == "AF":
        return symbol == "+" and not note.startswith("(AFIB")
    if kind == "VF":
        return symbol == "]" or (fibrillation == "rhythm" and symbol == "+" and not note.startswith("(VF"))
    return symbol == "s" and note.startswith(kind)


def compare_episodes(
    reference: Annotations,
    test: Annotations,
    rate_hz: float,
    kind: Kind,
    *,
    length: int,
    first_s: float = FIRST_S,
    fibrillation: FibrillationMarks = "brackets",
) -> Episodes:
    """Compare two annotators' episodes of one kind.

    An episode of AF or VF is matched by any overlap; one of ST if the other side's covers its extreme or half of it.

    Parameters
    ----------
    reference, test : Annotations
        Both at the record's rate.
    length : int
        Samples of the record.
    first_s : float
        Where the comparison begins; what began earlier counts from there.
    fibrillation : FibrillationMarks
        How ventricular fibrillation is marked.
    """
    theirs, ours = (find_episodes(side, kind, length, fibrillation) for side in (reference, test))
    start = whole(first_s, rate_hz)
    found, missed, reference_n, reference_overlap = _account(theirs, ours, kind, start, length)
    confirmed, false, test_n, test_overlap = _account(ours, theirs, kind, start, length)
    seconds = (n / rate_hz for n in (reference_n, reference_overlap, test_n, test_overlap))
    return Episodes(Matched(found, missed, confirmed, false), *seconds)


def _account(mine: list[Episode], others: list[Episode], kind: Kind, start: int, length: int) -> tuple[int, ...]:
    """Count one side's episodes that the other side has and has not, their duration, and how much of it overlaps."""
    matched, unmatched, duration, overlaps = 0, 0, 0, 0
    kept = [episode for episode in mine if episode.last > 0]
    while kept and kept[0].last < start:
        kept.pop(0)
    at = 0
    for k, episode in enumerate(kept):
        if episode.first >= length:
            break
        first, last = max(episode.first, start) if k == 0 else episode.first, min(episode.last, length)
        if last < first:
            continue
        duration += last - first
        overlap, covered, at = _overlap(others, at, first, last, _extremes(episode, kind, start, length))
        enough = overlap > 0 and (kind in ("AF", "VF") or covered or 2 * overlap >= last - first)
        matched, unmatched = matched + enough, unmatched + (not enough)
        overlaps += overlap
    return matched, unmatched, duration, overlaps


def _extremes(episode: Episode, kind: Kind, start: int, length: int) -> list[int]:
    """Return the extremes of an episode of ST that lie in what is compared."""
    if kind in ("AF", "VF"):
        return []
    return [at for at in (episode.extreme_0, episode.extreme_1) if at is not None and start < at < length]


def _overlap(others: list[Episode], at: int, first: int, last: int, extremes: list[int]) -> tuple[int, bool, int]:
    """Return how much of a range the other side's episodes cover, whether an extreme, and from which to go on."""
    overlap, covered = 0, False
    while at < len(others) and others[at].last < first:
        at += 1
    while at < len(others) and others[at].first <= last:
        begin, end = max(others[at].first, first), min(others[at].last, last)
        overlap += end - begin
        covered |= any(begin <= extreme <= end for extreme in extremes)
        if others[at].last >= last:
            break
        at += 1
        if at < len(others) and others[at].first >= last:
            break
    return overlap, covered, at


class Deviation(NamedTuple):
    """An ST deviation at an extreme of the reference, and the test's nearest in time, in microvolts."""

    sample: int
    lead: int
    reference: int
    test: int


def compare_deviations(reference: Annotations, test: Annotations, lead: int | None = None) -> list[Deviation]:
    """Pair the ST deviation at each extreme of the reference with the test's at the beat nearest in time.

    Parameters
    ----------
    reference : Annotations
        Extremes are ST changes (`s`) noted AST, the lead (0, 1, or none in a record of one lead), and the deviation.
    test : Annotations
        Beats whose notes begin with one deviation or two; a beat without has that of the beat before.
    lead : int or None
        One of the two signals, or both.
    """
    beats = np.flatnonzero(np.isin(test.symbols, list(BEATS)))
    at, values = test.samples[beats], _deviations([test.aux[i] for i in beats])
    found: list[Deviation] = []
    for sample, symbol, note in zip(reference.samples.tolist(), reference.symbols, reference.aux, strict=True):
        extreme = re.match(r"AST([01]?)([+-]?\d+)", note) if symbol == "s" else None
        if extreme is None or (lead is not None and int(extreme[1] or 0) != lead):
            continue
        following = int(np.searchsorted(at, sample, side="right"))
        before = max(following - 1, 0)
        later = following < len(at) and (following == 0 or sample - at[before] >= at[following] - sample)
        which = following if later else before
        signal = int(extreme[1] or 0)
        found.append(Deviation(sample, signal, int(extreme[2]), values[which][signal] if len(at) else 0))
    return found


def _deviations(notes: list[str]) -> list[tuple[int, int]]:
    now, values = (0, 0), []
    for note in notes:
        numbers = re.match(r"\s*([+-]?\d+)(?:\s*([+-]?\d+))?", note)
        if numbers:
            now = (int(numbers[1]), int(numbers[2]) if numbers[2] else now[1])
        values.append(now)
    return values
