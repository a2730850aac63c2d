"""What the last RR intervals are like: the numbers by which atrial fibrillation is told from other rhythms.

Each of three windows is described by the same fourteen: how fast the heart beats, how much neighbouring intervals
differ (in several measures, since some are robust against single early beats and others are not), whether they turn at
random or alternate, and how often a pair of intervals, once alike, is alike again at the next beat (sample entropy,
Lake and Moorman 2011, doi:10.1152/ajpheart.00561.2010; turning points, Dash et al. 2009,
doi:10.1007/s10439-009-9740-z). Sums run in a fixed order, so that the same intervals give the same bits.
"""

from __future__ import annotations

import numpy as np
from numba import njit

WINDOWS = (16, 40, 100)
"""Intervals of each window."""
NAMES = (
    "log_median_s",
    "log_rmssd",
    "mean_step",
    "median_step",
    "share_50_ms",
    "share_10_percent",
    "share_under_20_ms",
    "turning_points",
    "step_correlation",
    "every_other_correlation",
    "interquartile_range",
    "log_entropy",
    "log_alike",
    "early_beats",
)
"""What is said of a window; steps, the range and early beats are shares of the median interval."""
N_FEATURES = len(NAMES) * len(WINDOWS)
SHARE_50_MS = len(NAMES) + NAMES.index("share_50_ms")
"""Place of the share of irregular intervals in the second window."""
_ALIKE_S = 0.03
_REACH = 23
_SPANS = np.array(WINDOWS)


@njit(cache=True, error_model="numpy")
def describe(rr_s, out):
    """Describe the last intervals of `rr_s`, at least 3, into `out`, shape (N_FEATURES,), window by window."""
    for w in range(len(_SPANS)):
        n = min(_SPANS[w], len(rr_s))
        _describe(rr_s[len(rr_s) - n :], out[w * 14 : (w + 1) * 14])


@njit(cache=True, error_model="numpy")
def _describe(x, f):
    n = len(x)
    steps = n - 1
    ordered = np.sort(x)
    median, mean = ordered[n // 2], 0.0
    for i in range(n):
        mean += x[i]
    mean /= n
    sizes = np.empty(steps)
    squares = total = 0.0
    over_50, over_share, under_20 = 0, 0, 0
    for i in range(steps):
        size = abs(x[i + 1] - x[i])
        sizes[i] = size
        squares += size * size
        total += size
        over_50 += size >= 0.05
        over_share += size > 0.1 * median
        under_20 += size < 0.02
    ordered_sizes = np.sort(sizes)
    f[0] = np.log(median)
    f[1] = np.log(np.sqrt(squares / steps) / median + 1e-3)
    f[2] = total / steps / median
    f[3] = 0.5 * (ordered_sizes[steps // 2] + ordered_sizes[(steps - 1) // 2]) / median
    f[4] = over_50 / steps
    f[5] = over_share / steps
    f[6] = under_20 / steps
    f[10] = (ordered[(3 * n) // 4] - ordered[n // 4]) / median
    _turns(x, mean, squares, median, f)
    _entropy(x, f)


@njit(cache=True, error_model="numpy")
def _turns(x, mean, squares, median, f):
    turns, steps_together, together, variance, early = 0, 0.0, 0.0, 0.0, 0.0
    n = len(x)
    for i in range(n):
        variance += (x[i] - mean) ** 2
    for i in range(2, n):
        a, b, c = x[i - 2], x[i - 1], x[i]
        turns += (b > a and b > c) or (b < a and b < c)
        steps_together += (c - b) * (b - a)
        together += (c - mean) * (a - mean)
        early += abs(b - max(min(a, b), min(max(a, b), c)))
    f[7] = turns / (n - 2)
    f[8] = steps_together / (squares + 1e-6)
    f[9] = together / (variance + 1e-6)
    f[13] = early / (n - 2) / median


@njit(cache=True, error_model="numpy")
def _entropy(x, f):
    alike, again = 0, 0
    n = len(x)
    for i in range(n - 1):
        for j in range(i + 1, min(n - 1, i + 1 + _REACH)):
            if abs(x[i] - x[j]) < _ALIKE_S:
                alike += 1
                again += abs(x[i + 1] - x[j + 1]) < _ALIKE_S
    f[11] = np.log((again + 1.0) / (alike + 1.0))
    f[12] = np.log((alike + 1.0) / (12.0 * n + 1.0))
