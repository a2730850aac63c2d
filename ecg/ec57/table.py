"""Tables of matched, missed and false beats, and the shares that are read from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ROWS = "NSVFQOX"
"""Classes of the reference, down, and of the test, across; O is no beat, X no beat in a shutdown."""


def percent(part: float, of: float) -> float:
    """Return a share in percent, NaN of nothing."""
    return 100.0 * part / of if of > 0 else float("nan")


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


def empty() -> Table:
    """Return a table of nothing, from which sums start."""
    return Table(np.zeros((7, 7), np.int64))
