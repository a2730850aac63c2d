"""Two annotators' beats side by side: which belong together, and what bxb knows of either file at each step."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ecg.ec57.label import BEATS, CLASSES, Mapping, is_shutdown
from ecg.record import Annotations

END = 2**62
"""Stands for the time of a beat that does not come."""

PAIR, TEST_ALONE, REFERENCE_ALONE = 0, 1, 2


@njit(cache=True)
def walk(reference, test, window, start, end):
    """Go through both lists of beats; returns the steps (index in either, and which had a beat), and the last index.

    Both lists begin with a 0 that is no beat, and end with two `END`. Each step pairs the earlier of the two beats at
    hand with the other one, if that lies in the window and neither's next beat fits better, or leaves it alone.
    """
    steps = np.empty((len(reference) + len(test), 3), np.int64)
    n, i, j = 0, 0, 0
    while reference[i] < start:
        i += 1
    while test[j + 1] < start:
        j += 1
    last_i, last_j = len(reference) - 2, len(test) - 2
    before, after = reference[i] - test[j], abs(reference[i] - test[j + 1])
    if before < after and before <= window:
        if i > 0 or j > 0:
            steps[n] = i, j, PAIR
            n += 1
        i, j = min(i + 1, last_i), min(j + 1, last_j)
    else:
        j = min(j + 1, last_j)
        if test[j] - start <= window and abs(reference[i] - test[j + 1]) < abs(reference[i] - test[j]):
            j = min(j + 1, last_j)
    while (end > 0 and min(reference[i], test[j]) <= end) or (end < 0 and reference[i] != END):
        r, t, next_r, next_t = reference[i], test[j], reference[i + 1], test[j + 1]
        first_is_test = t < r
        rival = abs(r - next_t) if first_is_test else abs(t - next_r)
        if abs(r - t) <= window and (abs(r - t) < rival or abs(next_r - next_t) < rival):
            steps[n] = i, j, PAIR
            i, j = min(i + 1, last_i), min(j + 1, last_j)
        elif first_is_test:
            steps[n] = i, j, TEST_ALONE
            j = min(j + 1, last_j)
        else:
            steps[n] = i, j, REFERENCE_ALONE
            i = min(i + 1, last_i)
        n += 1
    return steps[:n], j


def match(reference: NDArray[np.int64], test: NDArray[np.int64], window: int) -> NDArray[np.int64]:
    """Pair reference beats with test beats, one to one, each with the better of its neighbours.

    Parameters
    ----------
    reference, test : ndarray of int64
        Positions in order of time, in the same unit as `window`, the largest distance of a pair.

    Returns
    -------
    ndarray of int64, shape (len(reference),)
        Index of the test beat of each reference beat, -1 where it was missed.
    """
    pairs = np.full(len(reference), -1, np.int64)
    shift = 2 * window + 1 - min((int(at[0]) for at in (reference, test) if len(at)), default=0)
    steps, _ = walk(_padded(reference + shift), _padded(test + shift), window, 0, END - 1)
    for i, j, kind in steps.tolist():
        if kind == PAIR:
            pairs[i - 1] = j - 1
    return pairs


def _padded(at: NDArray[np.int64] | list[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.asarray(at, np.int64), [END, END]])


class _Stretch(NamedTuple):
    """Flutter, fibrillation or a shutdown: the index of the beat that was read next, and from where to where."""

    before: int
    first: int
    last: int


class File:
    """One annotator's beats, and what bxb remembers of flutter, fibrillation and shutdowns while it reads on.

    It knows the last two of either kind that were read before the next beat. An end that is missing stays that of the
    stretch before, or open where there was none.
    """

    def __init__(self, annotations: Annotations, mapping: Mapping, window: int, shutdown_end: int | None) -> None:
        self.label = ["*"]
        self.fibrillations: list[_Stretch] = []
        self.shutdowns: list[_Stretch] = []
        self.open_shutdown = -1
        self._window, self._shutdown_end = window, shutdown_end
        self._beats = [0]
        self._read(annotations, CLASSES[mapping])
        self.at = _padded(self._beats[1:])
        self.label += ["*", "*"]

    def _read(self, annotations: Annotations, classes: dict[str, str]) -> None:
        at, symbols, subtypes = annotations.samples.tolist(), annotations.symbols.tolist(), annotations.subtypes
        i = 0
        while i < len(at):
            if symbols[i] in BEATS:
                self._beats.append(at[i])
                self.label.append(classes[symbols[i]])
            elif symbols[i] == "~" and is_shutdown(subtypes[i]):
                ended = i + 1 < len(at) and symbols[i + 1] == "~" and not is_shutdown(subtypes[i + 1])
                self._shut_down(at[i], at[i + 1] if i + 1 < len(at) else None, ended)
                i += ended
            elif symbols[i] == "[":
                ends = [k for k in range(i + 1, len(at)) if symbols[k] == "]"][:1]
                last = at[ends[0]] if ends else _last(self.fibrillations)
                self.fibrillations.append(_Stretch(len(self._beats), at[i], last))
                i = ends[0] if ends else len(at)
            i += 1

    def _shut_down(self, first: int, following: int | None, ended: bool) -> None:
        """Note a shutdown; one that is marked by a single annotation lasts from beat to annotation, less the window."""
        if following is None:
            last = _last(self.shutdowns) if self._shutdown_end is None else self._shutdown_end
            self.open_shutdown = first
        elif ended:
            last = following
        else:
            last = following - self._window
            first = min(max(_last(self.fibrillations), self._beats[-1]) + self._window, last)
        self.shutdowns.append(_Stretch(len(self._beats), first, last))

    def absent(self, at: int, current: int, *, fibrillates: bool) -> str:
        """Return what stands for a beat of this file where it has none: O, X in a shutdown, * if it is not scored."""
        if fibrillates and _inside(self.fibrillations, at, current):
            return "*"
        return "X" if _inside(self.shutdowns, at, current) else "O"

    def interval(self, i: int) -> int:
        """Return the RR interval that ends in a beat, in samples; 0 where there is none, or not without a break."""
        before, at = int(self.at[i - 1]), int(self.at[i])
        if i == 0 or before == 0 or at == END:
            return 0
        known = _known(self.fibrillations, i) + _known(self.shutdowns, i)
        return 0 if any(before <= stretch.first < at for stretch in known) else at - before

    def down(self, current: int, end: int) -> int:
        """Return the samples of shutdown that were read when this beat was at hand."""
        read = [stretch for stretch in self.shutdowns if stretch.before <= current + 1]
        if self.open_shutdown >= 0 and len(read) == len(self.shutdowns):
            rest = end - self.open_shutdown if end > 0 else 0
            return sum(stretch.last - stretch.first for stretch in read[:-1]) + rest
        return sum(stretch.last - stretch.first for stretch in read)


def _last(stretches: list[_Stretch]) -> int:
    return stretches[-1].last if stretches else -1


def _known(stretches: list[_Stretch], following: int) -> list[_Stretch]:
    return stretches[max(0, (n := bisect_right(stretches, following, key=lambda s: s.before)) - 2) : n]


def _inside(stretches: list[_Stretch], at: int, current: int) -> bool:
    known = _known(stretches, current + 1)
    return any(s.first <= at and (at <= s.last or (s.last == -1 and s is known[-1])) for s in known)


def outside(annotations: Annotations, other: Annotations) -> Annotations:
    """Leave out the beats inside the other annotator's flutter and fibrillation."""
    keep = np.ones(len(annotations.samples), np.bool_)
    opened = None
    for at, symbol in zip(other.samples.tolist(), other.symbols.tolist(), strict=True):
        if symbol == "[" and opened is None:
            opened = at
        elif symbol == "]" and opened is not None:
            keep &= (annotations.samples < opened) | (annotations.samples > at)
            opened = None
    if opened is not None:
        keep &= annotations.samples < opened
    keep |= ~np.isin(annotations.symbols, list(BEATS))
    aux = tuple(note for note, kept in zip(annotations.aux, keep, strict=True) if kept)
    return Annotations(annotations.samples[keep], annotations.symbols[keep], aux, annotations.subtypes[keep])
