"""Run by run: couplets, short runs and long ones of ectopic beats, after EC57 as `rxr` computes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.ec57.beats import FIRST_S, WINDOW_S, whole
from ecg.ec57.label import CLASSES, FLUTTER_WAVE, is_shutdown
from ecg.ec57.table import percent
from ecg.record import Annotations

LONGEST = 6
"""Longer runs count as this; flutter and fibrillation count as a run of it."""

Kind = Literal["V", "S"]


class Matched(NamedTuple):
    """Runs or episodes of one kind, counted from either side.

    `found` and `missed` are those of the reference, `confirmed` and `false` those of the test.
    """

    found: int
    missed: int
    confirmed: int
    false: int

    @property
    def sensitivity(self) -> float:
        """Share of the reference's that the test shows, in percent; NaN where there are none."""
        return percent(self.found, self.found + self.missed)

    @property
    def ppv(self) -> float:
        """Share of the test's that the reference shows, in percent; NaN where there are none."""
        return percent(self.confirmed, self.confirmed + self.false)


@dataclass(frozen=True)
class Runs:
    """Lengths of runs, 0 ... 6, in the reference (rows) and in the test (columns); sums are gross counts.

    Attributes
    ----------
    by_reference : ndarray of int64, shape (7, 7)
        For each run of the reference, the longest of the test that overlaps it.
    by_test : ndarray of int64, shape (7, 7)
        For each run of the test, the longest of the reference.
    """

    by_reference: NDArray[np.int64]
    by_test: NDArray[np.int64]

    def __add__(self, other: Runs) -> Runs:
        return Runs(self.by_reference + other.by_reference, self.by_test + other.by_test)

    @property
    def couplets(self) -> Matched:
        """Runs of two; a couplet of the reference is found if the test shows two beats or more."""
        return self._matched(2, 2)

    @property
    def short(self) -> Matched:
        """Runs of three to five; found if the other side shows three or more."""
        return self._matched(3, 5)

    @property
    def long(self) -> Matched:
        """Runs of six or more, and flutter and fibrillation; found if the other side shows one."""
        return self._matched(LONGEST, LONGEST)

    def _matched(self, least: int, most: int) -> Matched:
        true, called = self.by_reference[least : most + 1], self.by_test[:, least : most + 1]
        return Matched(*(int(n.sum()) for n in (true[:, least:], true[:, :least], called[least:], called[:least])))


def no_runs() -> Runs:
    """Return counts of nothing, from which sums start."""
    return Runs(np.zeros((7, 7), np.int64), np.zeros((7, 7), np.int64))


def compare_runs(
    reference: Annotations,
    test: Annotations,
    rate_hz: float,
    *,
    length: int | None,
    first_s: float = FIRST_S,
    fibrillation_is_run: bool = True,
) -> dict[Kind, Runs]:
    """Compare two annotators' runs of ventricular (V) and supraventricular (S) ectopic beats.

    Parameters
    ----------
    reference, test : Annotations
        Both at the record's rate.
    length : int or None
        Samples of the record; None where nobody knows.
    first_s : float
        Where the comparison begins.
    fibrillation_is_run : bool
        As rxr has it, atrial fibrillation is a long supraventricular run, and normal beats in it are supraventricular.
        False is the sound rule: only beats that are marked as supraventricular make a run.
    """
    comparison = _Comparison(
        (_Reader(reference), _Reader(test)),
        whole(WINDOW_S, rate_hz),
        whole(first_s, rate_hz),
        length,
        fibrillation_is_run,
    )
    # in rxr's order, since what it read last in one pass is what it looks at first in the next
    return {kind: Runs(comparison.count(0, kind), comparison.count(1, kind)) for kind in ("V", "S")}


class _Reader:
    """One annotator's file, an annotation at a time, as rxr's labels need it: what goes on when it is read."""

    def __init__(self, annotations: Annotations) -> None:
        self._at, self._symbols = annotations.samples.tolist(), annotations.symbols.tolist()
        self._aux, self._subtypes = annotations.aux, annotations.subtypes.tolist()
        self._next, self._now = 0, -1
        self.symbol, self.time = "", 0
        self._going = self._unreadable = ""

    def rewind(self) -> None:
        """Go back to the start; the annotation that was read last stays at hand."""
        self._next, self.time, self._going, self._unreadable = 0, 0, "", ""

    def read(self) -> bool:
        """Read the next annotation, if there is one."""
        if self._next == len(self._at):
            return False
        self._now, self._next = self._next, self._next + 1
        self.time, self.symbol = self._at[self._now], self._symbols[self._now]
        return True

    def label(self, fibrillation_is_run: bool) -> str:
        """Return what the annotation at hand means; it may be asked once for each annotation.

        It is a class of beats, `U` where nothing is readable any more, `[` `]` `{` `}` where ventricular or atrial
        fibrillation begins and ends, and O if it is nothing of that.
        """
        symbol = self.symbol
        if symbol == "~":
            was, self._unreadable = self._unreadable, "U" if is_shutdown(self._subtypes[self._now]) else ""
            return "U" if self._unreadable and not was else "O"
        if symbol == "+":
            label = self._rhythm(self._aux[self._now])
            return label if fibrillation_is_run or label not in "{}" else "O"
        if symbol == "[":
            return self._begin("[")
        if symbol == "]":
            ends = self._going == "["
            self._going = "" if ends else self._going
            return "]" if ends else "O"
        label = CLASSES["bxb"].get(symbol, "O") if symbol != FLUTTER_WAVE else "O"
        return "S" if label == "N" and self._going == "{" and fibrillation_is_run else label

    def _rhythm(self, name: str) -> str:
        for beginning, label in (("(AF", "{"), ("(VF", "[")):
            if name.startswith(beginning):
                return self._begin(label)
        if not name:
            return "O"
        ended, self._going = self._going, ""
        return {"{": "}", "[": "]", "": "O"}[ended]

    def _begin(self, what: str) -> str:
        begins, self._going = self._going != what, what
        return what if begins else "O"


class _Comparison:
    """Both files, and the stretch of time that is compared."""

    def __init__(
        self, files: tuple[_Reader, _Reader], window: int, start: int, length: int | None, fibrillation: bool
    ) -> None:
        self._files, self._window, self._start, self._fibrillation = files, window, start, fibrillation
        self._end = length or 0
        self._until = 0

    def count(self, side: int, kind: Kind) -> NDArray[np.int64]:
        """Find each run of one side (0 the reference's, 1 the test's), and the longest of the other that overlaps."""
        counts = np.zeros((7, 7), np.int64)
        for file in self._files:
            file.rewind()
        self._until = 0
        file = self._files[side]
        n, first, last = self._before(file, kind)
        going = n >= 0
        while going and (self._end <= 0 or file.time <= self._end):
            label = file.label(self._fibrillation)
            if self._extends(label, kind):
                first = first if n else file.time - self._window
                n, last = min(n + 1, LONGEST), file.time + self._window
            elif n and label in "NQUSVF":
                other = self._longest(self._files[1 - side], first, last, kind)
                counts[(n, other) if side == 0 else (other, n)] += 1
                n = 0
            elif n and label == _CLOSING[kind]:
                last = file.time + self._window
            elif not n and label == _OPENING[kind]:
                n, first = LONGEST, file.time - self._window
            if not file.read():
                going = n > 0
                file.symbol = "Q" if going else file.symbol
        return counts

    @staticmethod
    def _extends(label: str, kind: Kind) -> bool:
        return label in ("V", "F") if kind == "V" else label == "S"

    def _before(self, file: _Reader, kind: Kind) -> tuple[int, int, int]:
        """Read up to the start; returns the run that goes on there (-1: nothing to compare), and its range."""
        n = -1
        while file.read():
            if file.time >= self._start:
                n = max(n, 0)
                break
            label = file.label(self._fibrillation)
            if label == _OPENING[kind]:
                n = LONGEST
            elif label and label in "]}":
                n = 0
        return (n, self._start - self._window, self._start + self._window) if n > 0 else (n, 0, 0)

    def _longest(self, file: _Reader, first: int, last: int, kind: Kind) -> int:
        """Read on through a range of time and return the longest run in it."""
        if self._until < 0 or self._until > first:
            return LONGEST
        if file.time < 0:
            return 0
        while file.time < first:
            if file.label(self._fibrillation) == _OPENING[kind]:
                self._to_the_end(file, kind)
                if self._until < 0 or file.time > first:
                    return LONGEST
                self._until = 0
            if not file.read():
                file.time = -1
                return 0
        return self._longest_up_to(file, last, kind)

    def _longest_up_to(self, file: _Reader, last: int, kind: Kind) -> int:
        n, longest = 0, 0
        while file.time <= last:
            label = file.label(self._fibrillation)
            if self._extends(label, kind):
                n = min(n + 1, LONGEST)
            elif label == _OPENING[kind]:
                self._to_the_end(file, kind)
                return LONGEST
            elif label in "NQUSVF[{":
                longest, n = max(longest, n), 0
            if not file.read():
                file.time = -1
                break
        return max(longest, n)

    def _to_the_end(self, file: _Reader, kind: Kind) -> None:
        """Read to the end of fibrillation and keep it; without one it lasts to the record's end."""
        ends = _CLOSING[kind] + _OPENING["S" if kind == "V" else "V"] + "U"
        while file.read():
            if file.label(self._fibrillation) in ends:
                self._until = file.time
                return
        self._until = -1


_OPENING: dict[Kind, str] = {"V": "[", "S": "{"}
_CLOSING: dict[Kind, str] = {"V": "]", "S": "}"}
