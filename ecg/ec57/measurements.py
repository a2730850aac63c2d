"""Measurement by measurement: heart rate and the like against a reference, after EC57 as `mxm` computes it."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.ec57.beats import FIRST_S, whole
from ecg.ec57.table import percent
from ecg.record import Annotations

FOREVER = 2**62


class Measured(NamedTuple):
    """Errors of one kind of measurement in one record.

    Attributes
    ----------
    n : int
        Measurements of the test that were read, by which mxm divides, whether they were compared or not.
    squared, reference : float
        Sum of the squared errors, and of the reference measurements, over all pairs that mxm makes.
    pairs : int
        How many pairs these are; the sound divisor.
    """

    n: int
    squared: float
    reference: float
    pairs: int

    @property
    def mean_reference(self) -> float:
        """Mean of the reference measurements as mxm divides; NaN where there are none."""
        return self.reference / self.n if self.n else float("nan")

    @property
    def rms_error(self) -> float:
        """Root mean square error in the measurement's own unit (`-u`), as mxm divides; NaN where there are none."""
        return float(np.sqrt(self.squared / self.n)) if self.n else float("nan")

    @property
    def rms_error_percent(self) -> float:
        """The same as a share of the mean reference, in percent."""
        return percent(self.rms_error, abs(self.mean_reference)) if self.n else float("nan")

    @property
    def rms_error_of_pairs(self) -> float:
        """Root mean square error over the pairs, by the sound rule; NaN where there are none."""
        return float(np.sqrt(self.squared / self.pairs)) if self.pairs else float("nan")


def compare_measurements(
    reference: Annotations, test: Annotations, rate_hz: float, *, length: int, kind: int = 0, first_s: float = FIRST_S
) -> Measured:
    """Compare each measurement of the test with the reference's that is nearest in time.

    Parameters
    ----------
    reference, test : Annotations
        Measurements are annotations `=` of subtype `kind`, with a number as their note; one without a number repeats
        the one before.
    length : int
        Samples of the record.
    kind : int
        Which measurement, -128 ... 127.
    first_s : float
        Where the comparison begins.
    """
    their_at, theirs = _measurements(reference, kind)
    at, ours = _measurements(test, kind)
    start = whole(first_s, rate_hz)
    pairs: list[tuple[float, float]] = []
    i = int(np.searchsorted(at, start))
    before, following = -1, 0
    # as mxm has it: nothing was measured as 0 before the record, and where the test ends first, its last measurement
    # is compared once more with the reference's last
    while min(their_at[following - 1] if following else -1, at[i]) <= length:
        while (their_at[following - 1] if following else -1) < at[i]:
            before, following = (their_at[following - 1] if following else -1), following + 1
        after = their_at[following - 1]
        nearer = following - 1 if at[i] - before < after - at[i] else following
        pairs.append((theirs[nearer], ours[i + 1]))
        i = min(i + 1, len(at) - 1)
    errors = np.array([(a - b) ** 2 for a, b in pairs])
    return Measured(min(i + 1, len(at) - 1), float(errors.sum()), float(sum(a for a, _ in pairs)), len(pairs))


def _measurements(annotations: Annotations, kind: int) -> tuple[NDArray[np.int64], list[float]]:
    """Return times, with an end that does not come, and values from the one before the first (0) to the end's."""
    chosen = np.flatnonzero((annotations.symbols == "=") & (annotations.subtypes == kind))
    values = [0.0]
    for i in chosen:
        number = re.match(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", annotations.aux[i])
        values.append(float(number[0]) if number else (0.0 if annotations.aux[i] else values[-1]))
    return np.append(annotations.samples[chosen], FOREVER), [*values, values[-1]]
