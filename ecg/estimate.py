"""Estimates with their uncertainty: ratios by bootstrap over patients, waiting times after Kaplan and Meier."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 2000
"""Resamples of the patients behind an interval."""
SEED = 2015
"""Seed of the resamples, so that an interval is the same whenever it is printed."""
LEVEL = 0.95
"""Share of the resamples that lies in an interval."""

Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From sums of counts, shape (n, k), to a figure each, shape (n,); NaN where it says nothing."""


def interval(counts: ArrayLike, statistic: Statistic, *, seed: int = SEED) -> tuple[float, float] | None:
    """Return the bootstrap interval (percentiles) of a figure over patients.

    Parameters
    ----------
    counts : array_like of float, shape (n_patients, k)
        What each patient counts; a figure is a function of their sums.
    statistic : callable
        That function, for many resamples at once.
    seed : int
        Of the resamples.

    Returns
    -------
    tuple of float, or None
        Low and high end; None where fewer than two patients count anything, or the figure says nothing.
    """
    counts = np.asarray(counts, np.float64)
    counts = counts[counts.any(axis=1)] if counts.size else counts
    if len(counts) < 2:
        return None
    drawn = np.random.default_rng(seed).multinomial(len(counts), np.full(len(counts), 1 / len(counts)), RESAMPLES)
    figures = statistic(drawn @ counts)
    figures = figures[np.isfinite(figures)]
    if not len(figures):
        return None
    low, high = np.quantile(figures, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def percent(part: ArrayLike, whole: ArrayLike) -> NDArray[np.float64]:
    """Return a share in per cent, NaN of nothing.

    Examples
    --------
    >>> percent([1, 0], [4, 0])
    array([25., nan])
    """
    part, whole = np.asarray(part, np.float64), np.asarray(whole, np.float64)
    return 100.0 * np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0)


def share(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the first column in per cent of the second: the statistic of a proportion."""
    return percent(sums[:, 0], sums[:, 1])


def waited(times_s: Sequence[float], seen: Sequence[bool], part: float) -> float | None:
    """Return the time within which a part of all events has come, where some were only watched for so long.

    After Kaplan and Meier 1958 (doi:10.1080/01621459.1958.10501452). An event and an end of watching at the same time
    count as in that order.

    Parameters
    ----------
    times_s : sequence of float
        When each event came, or until when it was watched for.
    seen : sequence of bool
        Whether it came; the others are censored.
    part : float
        The part, 0 to 1.

    Returns
    -------
    float, or None
        None where that part did not come while enough were watched.
    """
    still, waiting = 1.0, len(times_s)
    for time_s, came in sorted(zip(times_s, seen, strict=True), key=lambda each: (each[0], not each[1])):
        if came:
            still *= 1.0 - 1.0 / waiting
            if still <= 1.0 - part + 1e-12:
                return time_s
        waiting -= 1
    return None
