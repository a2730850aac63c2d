"""Beats over 10 s instead of half an hour: the area under the distribution of sensitivity and predictive value.

After Daluwatte and others, A novel ECG detector performance metric and its relationship with missing and false heart
rate limit alarms, J Electrocardiol 51, 2018, doi:10.1016/j.jelectrocard.2017.08.030 (PMC5965672): missed and false
beats make a false rate alarm only where they come close together, which a gross share does not show.

Deviations: windows do not overlap; beats inside the reference's flutter and fibrillation are left out, and by default
the first five minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.ec57.beats import FIRST_S, pairs
from ecg.record import Annotations

INTERVAL_S = 10.0


class Short(NamedTuple):
    """Shares of found and of true beats in each interval that has beats of the reference, or of the test, 0 ... 1."""

    sensitivity: NDArray[np.float64]
    ppv: NDArray[np.float64]


def short_intervals(
    reference: Annotations,
    test: Annotations,
    rate_hz: float,
    *,
    length: int,
    stretches_s: Sequence[tuple[float, float | None]] = ((FIRST_S, None),),
) -> Short:
    """Return the sensitivity and predictive value of each interval of `INTERVAL_S` in a record.

    A pair of beats counts in the interval of the reference's beat, a false beat in its own. Intervals count that begin
    in one of the stretches, given in seconds (None: the record's end).
    """
    found, missed, false = (np.zeros(int(length / rate_hz / INTERVAL_S) + 1, np.int64) for _ in range(3))
    for pair in pairs(reference, test, rate_hz, length=length):
        k = min(int(pair.reference_at / rate_hz / INTERVAL_S), len(found) - 1)
        (false if pair.reference in "OX" else missed if pair.test in "OX" else found)[k] += 1
    begins = np.arange(len(found)) * INTERVAL_S
    ends = [(first, np.inf if last is None else last) for first, last in stretches_s]
    inside = np.array([any(first <= at < last for first, last in ends) for at in begins])
    found, missed, false = found[inside], missed[inside], false[inside]
    of, called = found + missed, found + false
    return Short(found[of > 0] / of[of > 0], found[called > 0] / called[called > 0])


def auecdf(shares: NDArray[np.float64]) -> float:
    """Return the area under the empirical distribution function of shares, from 0 to 1, in percent; less is better.

    The function is 1 from the largest share on, so the area is what the mean lacks to 1. NaN of nothing.
    """
    return 100.0 * (1.0 - float(shares.mean())) if len(shares) else float("nan")
