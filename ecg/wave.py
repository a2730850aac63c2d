"""The shape of four seconds of one lead: eight features, and the log-odds of fibrillation that they give.

Features after Amann et al. 2007 (doi:10.1109/TBME.2006.880909, phase space), Arafat et al. 2011
(doi:10.1007/s11760-009-0136-1, crossings of a threshold) and Irusta et al. 2012
(doi:10.1016/j.resuscitation.2012.01.032, slope and spectrum), on samples at 125 Hz. Deviations: the threshold is a
share of each second's own peak and the second is not tapered; the slope is not averaged. `ORIGIN` says what the weights
were fitted on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from ecg.resample import ANALYSIS_HZ

WAVE_HZ = ANALYSIS_HZ // 2
"""Rate at which a wave is looked at."""
SAMPLES = 4 * WAVE_HZ
"""Samples of a window."""
FLOOR, DENIED = -6.0, -1.5
"""Lowest log-odds of a lead, and those below which it denies fibrillation."""

FEATURES = ("above", "mid", "still", "space", "even", "peak", "drift", "size")
"""What is weighed, in this order: share of samples above a fifth of their second's peak; share of the power from 2.2
to 8 Hz; share of samples with little slope; boxes of the phase space visited, a point; smallest over largest second;
log of the spectrum's peak in Hz; drift of the seconds' means over the size; log10 of the size in mV."""
WEIGHTS = np.array([8.855, 3.93, -5.09, 4.487, -4.67, 1.03, -1.883, 3.001])
BIAS = -6.052
ORIGIN = (
    "Logistic regression (L2 0.001 on standardised features, a record's windows of a class weighed by the root of"
    " their number) on 4-s windows of clean leads, VF and flutter against all else but VT, noise and windows on a"
    " boundary. vfdb: 418 419 420 421 422 424 425 426 428 430 605 607 609 610 611. cudb: cu01 02 04 07 08 11 12 13 14"
    " 15 16 17 18 20 21 22 26 28 29 30 31 33 34 35. mitdb, DS1: 101 106 108 109 112 114 115 116 118 119 122 124 201"
    " 203 205 207 208 209 215 220 223 230. nstdb: first half of em, ma and bw, alone and added to 101, 119 and 223 at 0"
    " and 6 dB. The threshold was then moved by 1.5 towards sensitivity."
)
"""What the weights were fitted on."""


_CELLS = 40
_LAG = WAVE_HZ // 2
_BINS = 256
_BIN_HZ = WAVE_HZ / 2 / _BINS
"""The spectrum is that of 250 samples at 62.5 Hz, padded to 256."""
_TOP_PEAK = float(np.log(10.0))
_HANN = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(SAMPLES // 2) + 0.5) / (SAMPLES // 2))
_TURN = np.exp(-2j * np.pi * np.arange(_BINS // 2) / _BINS)
_SWAP = np.array([int(f"{k:08b}"[::-1], 2) for k in range(_BINS)])


_in_force = [np.append(WEIGHTS, BIAS)]


def in_force() -> NDArray[np.float64]:
    """Return the weights that judge, and the bias behind them: those above, but for `weighing`."""
    return _in_force[-1]


@contextmanager
def weighing(weights: ArrayLike, bias: float) -> Iterator[None]:
    """Judge by other weights for a while, in this process: for a scorer whose weights have not seen a patient."""
    _in_force.append(np.append(np.asarray(weights, np.float64), bias))
    try:
        yield
    finally:
        _in_force.pop()


class Weighed(NamedTuple):
    """Features of one lead and the log-odds that they give."""

    features: NDArray[np.float64]
    score: float


def weigh(window_mv: NDArray[np.float32]) -> Weighed:
    """Return the features and the log-odds of one window.

    Parameters
    ----------
    window_mv : ndarray of float32, shape (500,)
        Four seconds of one clean lead at 125 Hz, nothing missing.

    Raises
    ------
    ValueError
        If the window has another shape or holds something that is not finite.
    """
    if window_mv.shape != (SAMPLES,) or not np.isfinite(window_mv).all():
        raise ValueError(f"window_mv must be {SAMPLES} finite samples, got shape {window_mv.shape}")
    window, features = window_mv.astype(np.float64), np.zeros(len(FEATURES))
    seconds = np.empty((SAMPLES // WAVE_HZ, 3))
    centre, low, high, _ = extent(window, seconds)
    score = log_odds(window, seconds, centre, low, max(high - low, 1e-3), features, in_force())
    return Weighed(features, float(score))


def describe(window_mv: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return all features of a window of 500 samples at 125 Hz, nothing missing: what weights are fitted to."""
    features = np.zeros(len(FEATURES))
    seconds = np.empty((SAMPLES // WAVE_HZ, 3))
    centre, low, high, _ = extent(window_mv, seconds)
    none = np.zeros(len(FEATURES) + 1)
    log_odds(window_mv, seconds, centre, low, max(high - low, 1e-3), features, none)
    return features


@njit(cache=True)
def extent(window, seconds):  # pyright: ignore
    """Fill least value, largest value and sum of each second; return a window's mean, extremes and stillest range."""
    total, lowest, highest, least = 0.0, np.inf, -np.inf, np.inf
    for second in range(SAMPLES // WAVE_HZ):
        low, high, own = _range(window[second * WAVE_HZ : (second + 1) * WAVE_HZ])
        seconds[second, 0], seconds[second, 1], seconds[second, 2] = low, high, own
        total += own
        lowest, highest, least = min(lowest, low), max(highest, high), min(least, high - low)
    return total / SAMPLES, lowest, highest, least


@njit(cache=True)
def _range(x):  # pyright: ignore
    """Return the least and largest of at least four values, and their sum: four lanes, so that none waits."""
    l0, l1, l2, l3 = x[0], x[1], x[2], x[3]
    h0, h1, h2, h3 = l0, l1, l2, l3
    t0, t1, t2, t3 = l0, l1, l2, l3
    whole = x.shape[0] // 4 * 4
    for k in range(4, whole, 4):
        a, b, c, d = x[k], x[k + 1], x[k + 2], x[k + 3]
        l0, l1, l2, l3 = (a if a < l0 else l0), (b if b < l1 else l1), (c if c < l2 else l2), (d if d < l3 else l3)
        h0, h1, h2, h3 = (a if a > h0 else h0), (b if b > h1 else h1), (c if c > h2 else h2), (d if d > h3 else h3)
        t0, t1, t2, t3 = t0 + a, t1 + b, t2 + c, t3 + d
    low, high, total = min(min(l0, l1), min(l2, l3)), max(max(h0, h1), max(h2, h3)), (t0 + t1) + (t2 + t3)
    for k in range(whole, x.shape[0]):
        low, high, total = min(low, x[k]), max(high, x[k]), total + x[k]
    return low, high, total


@njit(cache=True)
def log_odds(window, seconds, centre, low, size, features, weights):  # pyright: ignore
    """Return the log-odds of a window and fill its features, in the order of `FEATURES`.

    `seconds` and `centre` are what `extent` said, `low` and `size` the least value and the range. The spectrum is left
    out where no spectrum could keep the lead from denying a wave; its features then are the largest ones, and the
    log-odds an upper bound.
    """
    features[0], features[4], features[6] = _seconds(window, seconds, centre, size)
    features[1], features[5] = 1.0, _TOP_PEAK
    features[2] = _still(window)
    features[3] = _space(window, low, size)
    features[7] = min(max(np.log10(size), -1.0), 0.5)
    total = _sum(features, weights)
    if total < DENIED:
        return total
    features[1], features[5] = _spectrum(window, centre)
    return _sum(features, weights)


@njit(cache=True)
def _sum(features, weights):  # pyright: ignore
    """Weigh the features; the bias stands behind the weights."""
    total = weights[-1]
    for k in range(features.shape[0]):
        total += weights[k] * features[k]
    return total


@njit(cache=True)
def _seconds(window, seconds, centre, size):  # pyright: ignore
    """Return the share of samples above a fifth of their second's peak, evenness of the seconds, and their drift."""
    above = 0
    least, most, lowest, highest = np.inf, 0.0, np.inf, -np.inf
    for second in range(SAMPLES // WAVE_HZ):
        low, high, total = seconds[second, 0], seconds[second, 1], seconds[second, 2]
        threshold = 0.2 * max(centre - low, high - centre)
        for k in range(second * WAVE_HZ, (second + 1) * WAVE_HZ):
            above += abs(window[k] - centre) > threshold
        least, most = min(least, high - low), max(most, high - low)
        lowest, highest = min(lowest, total), max(highest, total)
    return above / SAMPLES, least / most if most > 0 else 0.0, (highest - lowest) / WAVE_HZ / size


@njit(cache=True)
def _still(window):  # pyright: ignore
    """Return the share of samples whose slope is under a tenth of the steepest (mean of the two steepest seconds)."""
    slope = np.empty(SAMPLES)
    slope[0] = slope[1] = 0.0
    for k in range(2, SAMPLES):
        slope[k] = abs(window[k] - window[k - 2])
    first, second = 0.0, 0.0
    for start in range(0, SAMPLES, WAVE_HZ):
        _, steepest, _ = _range(slope[start : start + WAVE_HZ])
        if steepest > first:
            first, second = steepest, first
        elif steepest > second:
            second = steepest
    threshold = 0.05 * (first + second)
    still = 0
    for k in range(2, SAMPLES):
        still += slope[k] < threshold
    return still / (SAMPLES - 2)


@njit(cache=True)
def _space(window, low, size):  # pyright: ignore
    """Return how many boxes of the phase space (delay 0.5 s, 40 x 40) are visited, a point tried; a bit a box."""
    seen = np.zeros(_CELLS, np.uint64)
    scale = (_CELLS - 1e-3) / size
    for k in range(0, SAMPLES - _LAG, 2):
        a, b = int((window[k] - low) * scale), int((window[k + _LAG] - low) * scale)
        seen[a] |= np.uint64(1) << np.uint64(b)
    visited = 0
    for row in seen:
        left = row
        while left:
            left &= left - np.uint64(1)
            visited += 1
    return visited / ((SAMPLES - _LAG + 1) // 2)


@njit(cache=True)
def _spectrum(window, centre):  # pyright: ignore
    """Return the share of power from 2.2 to 8 Hz in that of 0.5 to 30 Hz, and the log of the peak's frequency in Hz."""
    z = np.zeros(_BINS, np.complex128)
    for k in range(SAMPLES // 2):
        z[_SWAP[k]] = (0.5 * (window[2 * k] + window[2 * k + 1]) - centre) * _HANN[k]
    span = 1
    while span < _BINS:
        for start in range(0, _BINS, 2 * span):
            for k in range(span):
                odd = _TURN[k * (_BINS // (2 * span))] * z[start + k + span]
                z[start + k + span] = z[start + k] - odd
                z[start + k] += odd
        span *= 2
    mid, total, peak, most = 0.0, 1e-12, 4, -1.0
    for k in range(2, 124):
        power = z[k].real * z[k].real + z[k].imag * z[k].imag
        total += power
        if 2.2 <= k * _BIN_HZ < 8.0:
            mid += power
        if 1.0 <= k * _BIN_HZ <= 10.0 and power > most:
            most, peak = power, k
    return mid / total, np.log(peak * _BIN_HZ)


@njit(cache=True)
def period(window):  # pyright: ignore
    """Return the frequency in Hz and the height of the first peak of the autocorrelation within a tenth of its best."""
    half = np.empty(SAMPLES // 2)
    for k in range(half.shape[0]):
        half[k] = 0.5 * (window[2 * k] + window[2 * k + 1])
    half -= half.mean()
    height = np.full(96, -1.0)
    best, fell = 0.0, False
    for lag in range(5, 95):
        a, b, c = 0.0, 1e-12, 1e-12
        for k in range(half.shape[0] - lag):
            a += half[k] * half[k + lag]
            b += half[k] * half[k]
            c += half[k + lag] * half[k + lag]
        value = a / np.sqrt(b * c)
        fell = fell or value < 0.3
        if fell:
            height[lag] = value
            best = max(best, value)
    for lag in range(6, 95):
        if height[lag] >= 0.9 * best and height[lag] >= height[lag - 1] and height[lag] >= height[lag + 1]:
            return WAVE_HZ / 2 / lag, height[lag]
    return 0.0, 0.0
