"""Beat by beat: which were found, what was false, what each was called, after EC57 as `bxb` computes it."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.ec57.label import Mapping, marks
from ecg.ec57.table import ROWS, Counts, Table
from ecg.ec57.walk import END, PAIR, REFERENCE_ALONE, TEST_ALONE, File, outside, walk
from ecg.record import Annotations

WINDOW_S = 0.15
FIRST_S = 300.0

Fibrillation = Literal["file", "union"]
"""Which flutter and fibrillation is left out: `file` as bxb does, each annotator's own beats inside its own marks and
test beats without a match inside the reference's; `union`, the sound rule: every beat inside anyone's marks."""


def whole(seconds: float, rate_hz: float) -> int:
    """Return a time in samples, rounded as the reference tools do: halves up."""
    return int(np.floor(seconds * rate_hz + 0.5))


class Score(NamedTuple):
    """What one record scored: all beats, then ventricular and supraventricular ones by their class."""

    qrs: Counts
    veb: Counts
    sveb: Counts


def score(reference: Annotations, samples: NDArray[np.int64], labels: str, rate_hz: float) -> Score:
    """Score a record's beats with the papers' mapping, the first five minutes left out.

    Parameters
    ----------
    reference : Annotations
        The record's reference annotations.
    samples : ndarray of int64
        Beats to score, in order of time, at the record's own rate.
    labels : str
        Their classes, one of N S V F Q P each.
    rate_hz : float
        The record's rate.
    """
    last = max((int(at[-1]) for at in (reference.samples, samples) if len(at)), default=0)
    table = compare(reference, marks(samples, labels), rate_hz, length=max(last, 1), mapping="papers")
    return Score(table.qrs, table.veb, table.sveb)


def compare(
    reference: Annotations,
    test: Annotations,
    rate_hz: float,
    *,
    length: int | None,
    mapping: Mapping = "bxb",
    first_s: float = FIRST_S,
    end_s: float | None = None,
    fibrillation: Fibrillation = "file",
) -> Table:
    """Compare two annotators' beats of one record.

    Parameters
    ----------
    reference, test : Annotations
        Both at the record's rate.
    length : int or None
        Samples of the record; None where nobody knows: then test beats behind the last reference beat do not count.
    mapping : Mapping
        Which class an escape beat has.
    first_s, end_s : float
        The stretch to score; by default from minute 5 to the end.
    fibrillation : Fibrillation
        Which beats inside flutter and fibrillation are left out.
    """
    walked = _Walked(reference, test, rate_hz, length, mapping, (first_s, end_s), fibrillation)
    table = np.zeros((7, 7), np.int64)
    for pair in walked.pairs():
        table[ROWS.index(pair.reference), ROWS.index(pair.test)] += 1
    return Table(table, *walked.rr_errors(), shutdown_s=walked.shutdown_s())


class Pair(NamedTuple):
    """A beat of the reference and one of the test; where one has none there, the time is the other's.

    `reference` and `test` are one of `ROWS` each.
    """

    reference_at: int
    test_at: int
    reference: str
    test: str


def pairs(
    reference: Annotations, test: Annotations, rate_hz: float, *, length: int | None, mapping: Mapping = "bxb"
) -> list[Pair]:
    """Return what `compare` counts, pair by pair, in order of time."""
    return _Walked(reference, test, rate_hz, length, mapping, (FIRST_S, None), "file").pairs()


class _Walked:
    """Both files, and the steps of their comparison."""

    def __init__(
        self,
        reference: Annotations,
        test: Annotations,
        rate_hz: float,
        length: int | None,
        mapping: Mapping,
        stretch_s: tuple[float, float | None],
        fibrillation: Fibrillation,
    ) -> None:
        first_s, end_s = stretch_s
        window, self._rate_hz = whole(WINDOW_S, rate_hz), rate_hz
        self._end = whole(end_s, rate_hz) if end_s is not None else (-1 if length is None else length)
        if fibrillation == "union":
            reference, test = outside(reference, test), outside(test, reference)
        self._theirs = File(reference, mapping, window, END)
        self._ours = File(test, mapping, window, None)
        steps, self._last = walk(self._theirs.at, self._ours.at, window, whole(first_s, rate_hz), self._end)
        self._steps: list[tuple[int, int, int]] = steps.tolist()

    def pairs(self) -> list[Pair]:
        """Return the pairs that count."""
        theirs, ours = self._theirs, self._ours
        found: list[Pair] = []
        for i, j, kind in self._steps:
            at, test_at = int(theirs.at[i]), int(ours.at[j])
            if kind == TEST_ALONE:
                pair = Pair(test_at, test_at, theirs.absent(test_at, i, fibrillates=True), ours.label[j])
            elif kind == REFERENCE_ALONE:
                pair = Pair(at, at, theirs.label[i], ours.absent(at, j, fibrillates=False))
            else:
                pair = Pair(at, test_at, theirs.label[i], ours.label[j])
            if "*" not in pair[2:] and not (pair.reference in "OX" and pair.test in "OX"):
                found.append(pair)
        return found

    def rr_errors(self) -> tuple[float, int, float, int]:
        """Sum up the errors of RR intervals: squares in s^2 and number, as bxb takes them and between matches."""
        squared, n, matched_squared, matched_n = 0.0, 0, 0.0, 0
        matches = {(i, j) for i, j, kind in self._steps if kind == PAIR}
        for i, j, _ in self._steps:
            a, b = self._theirs.interval(i), self._ours.interval(j)
            if a > 0 and b > 0:
                error = ((a - b) / whole(1.0, self._rate_hz)) ** 2
                squared, n = squared + error, n + 1
                if (i, j) in matches and (i - 1, j - 1) in matches:
                    matched_squared, matched_n = matched_squared + error, matched_n + 1
        return squared, n, matched_squared, matched_n

    def shutdown_s(self) -> int:
        """Return the seconds of the test's shutdowns, rounded."""
        down = whole(0.5, self._rate_hz) + self._ours.down(self._last, self._end)
        return int(down / whole(1.0, self._rate_hz))
