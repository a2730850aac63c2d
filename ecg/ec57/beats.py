"""Beat by beat: which were found, what was false, what each was called, after EC57 as `bxb` computes it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ecg.ec57.label import BEATS, CLASSES, Mapping, is_shutdown, marks
from ecg.record import Annotations

WINDOW_S = 0.15
FIRST_S = 300.0
END = 2**62
"""Stands for the time of a beat that does not come."""

ROWS = "NSVFQOX"
"""Classes of the reference, down, and of the test, across; O is no beat, X no beat in a shutdown."""

Fibrillation = Literal["file", "union"]
"""Which flutter and fibrillation is left out: `file` as bxb does, each annotator's own beats inside its own marks and
test beats without a match inside the reference's; `union`, the sound rule: every beat inside anyone's marks."""


class Counts(NamedTuple):
    """Beats of one kind, of one record or of several together."""

    found: int
    missed: int
    false: int

    @property
    def sensitivity(self) -> float:
        """Share of the reference beats that were found, in percent; NaN where there are none."""
        return percent(self.found, self.found + self.missed)

    @property
    def ppv(self) -> float:
        """Share of the test's beats that are in the reference, in percent; NaN where there are none."""
        return percent(self.found, self.found + self.false)

    @property
    def f1(self) -> float:
        """Harmonic mean of sensitivity and predictive value, in percent; NaN where there is nothing to find."""
        return percent(2 * self.found, 2 * self.found + self.missed + self.false)


def percent(part: float, of: float) -> float:
    """Return a share in percent, NaN of nothing."""
    return 100.0 * part / of if of > 0 else float("nan")


def total(counts: list[Counts]) -> Counts:
    """Return the gross counts of several records."""
    return Counts(*(sum(column) for column in zip(*counts, strict=True))) if counts else Counts(0, 0, 0)


@dataclass(frozen=True)
class Table:
    """What bxb counts in one record; sums of tables are gross counts.

    Attributes
    ----------
    counts : ndarray of int64, shape (7, 7)
        Pairs by class in the reference (rows, `ROWS`) and in the test (columns).
    rr_squared, rr_pairs : float, int
        Sum of squared errors of RR intervals in s^2, and how many, as bxb takes them: at each step of the comparison,
        between the intervals that end in the two beats then at hand, whether these match or not.
    matched_rr_squared, matched_rr_pairs : float, int
        The same by the sound rule: between two beats that match and whose predecessors match each other.
    shutdown_s : int
        Seconds of the test's shutdowns, of the whole record, rounded as bxb does.
    """

    counts: NDArray[np.int64]
    rr_squared: float = 0.0
    rr_pairs: int = 0
    matched_rr_squared: float = 0.0
    matched_rr_pairs: int = 0
    shutdown_s: int = 0

    def __add__(self, other: Table) -> Table:
        return Table(
            self.counts + other.counts,
            self.rr_squared + other.rr_squared,
            self.rr_pairs + other.rr_pairs,
            self.matched_rr_squared + other.matched_rr_squared,
            self.matched_rr_pairs + other.matched_rr_pairs,
            self.shutdown_s + other.shutdown_s,
        )

    def sum(self, reference: str, test: str) -> int:
        """Return the pairs of any of these classes of the reference with any of these of the test."""
        rows, columns = [ROWS.index(r) for r in reference.upper()], [ROWS.index(t) for t in test.upper()]
        return int(self.counts[np.ix_(rows, columns)].sum())

    @property
    def qrs(self) -> Counts:
        """All beats, whatever their class."""
        return Counts(self.sum("NSVFQ", "nsvfq"), self.sum("NSVFQ", "ox"), self.sum("OX", "nsvfq"))

    @property
    def veb(self) -> Counts:
        """Ventricular beats; fusion and unknown beats that are called ventricular are not false."""
        return Counts(self.sum("V", "v"), self.sum("V", "nsfqox"), self.sum("NSOX", "v"))

    @property
    def sveb(self) -> Counts:
        """Supraventricular beats; unknown beats that are called supraventricular are not false."""
        return Counts(self.sum("S", "s"), self.sum("S", "nvfqox"), self.sum("NVFOX", "s"))

    def false_rate(self, label: str) -> float:
        """Return how many percent of what is not a beat of this class, V or S, was called one."""
        counts = self.veb if label == "V" else self.sveb
        right = self.sum("NSVFQOX".replace(label, ""), "NSVFQ".replace(label, ""))
        return percent(counts.false, counts.false + right)

    @property
    def rr_error_ms(self) -> float:
        """Root mean square of the errors of RR intervals as bxb takes them; NaN where there are none."""
        return 1000.0 * float(np.sqrt(self.rr_squared / self.rr_pairs)) if self.rr_pairs else float("nan")

    @property
    def matched_rr_error_ms(self) -> float:
        """The same between beats that match, by the sound rule."""
        squared, n = self.matched_rr_squared, self.matched_rr_pairs
        return 1000.0 * float(np.sqrt(squared / n)) if n else float("nan")


class Score(NamedTuple):
    """What one record scored: all beats, then ventricular and supraventricular ones by their class."""

    qrs: Counts
    veb: Counts
    sveb: Counts


def empty() -> Table:
    """Return a table of nothing, from which sums start."""
    return Table(np.zeros((7, 7), np.int64))


def whole(seconds: float, rate_hz: float) -> int:
    """Return a time in samples, rounded as the reference tools do: halves up."""
    return int(np.floor(seconds * rate_hz + 0.5))


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
    window, start = whole(WINDOW_S, rate_hz), whole(first_s, rate_hz)
    end = whole(end_s, rate_hz) if end_s is not None else (-1 if length is None else length)
    if fibrillation == "union":
        reference, test = _outside(reference, test), _outside(test, reference)
    theirs = _File(reference, mapping, window, END)
    ours = _File(test, mapping, window, None)
    steps, last = _walk(theirs.at, ours.at, window, start, end)
    table = np.zeros((7, 7), np.int64)
    for i, j, kind in steps.tolist():
        row = theirs.label[i] if kind != TEST_ALONE else theirs.absent(int(ours.at[j]), i, fibrillates=True)
        column = ours.label[j] if kind != REFERENCE_ALONE else ours.absent(int(theirs.at[i]), j, fibrillates=False)
        if row in ROWS and column in ROWS and (row not in "OX" or column not in "OX"):
            table[ROWS.index(row), ROWS.index(column)] += 1
    second = whole(1.0, rate_hz)
    down = whole(0.5, rate_hz) + ours.down(last, end)
    return Table(table, *_rr_errors(theirs, ours, steps, second), shutdown_s=int(down / second))


PAIR, TEST_ALONE, REFERENCE_ALONE = 0, 1, 2


@njit(cache=True)
def _walk(reference, test, window, start, end):
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
    steps, _ = _walk(_padded(reference + shift), _padded(test + shift), window, 0, END - 1)
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


class _File:
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


def _outside(annotations: Annotations, other: Annotations) -> Annotations:
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


def _rr_errors(theirs: _File, ours: _File, steps: NDArray[np.int64], rate_hz: int) -> tuple[float, int, float, int]:
    """Sum up the errors of RR intervals: squares in s^2 and number, as bxb takes them and between matching beats."""
    squared, n, matched_squared, matched_n = 0.0, 0, 0.0, 0
    pairs = {(i, j) for i, j, kind in steps.tolist() if kind == PAIR}
    for i, j, kind in steps.tolist():
        a, b = theirs.interval(i), ours.interval(j)
        if a > 0 and b > 0:
            error = ((a - b) / rate_hz) ** 2
            squared, n = squared + error, n + 1
            if kind == PAIR and (i - 1, j - 1) in pairs:
                matched_squared, matched_n = matched_squared + error, matched_n + 1
    return squared, n, matched_squared, matched_n
