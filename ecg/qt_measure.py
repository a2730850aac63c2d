"""ST level, QRS and QT of an averaged normal beat: a pure function of the beat, of as many leads as there are.

The edges of the QRS are sought on all leads together, where the slope of the vector that they make falls under a share
of its steepest; both were chosen so. The isoelectric level of a lead is the mean of the flattest 20 ms within 48 ms
before the QRS. The end of T is where the tangent at the steepest slope behind a wave meets that level (Lepeschkin and
Surawicz, Circulation 6:378, 1952), and `LATER` further on, as experts see it. Of several waves that one is T which is
steep, large, followed by rest, and ends about when a heart of this rate would have repolarised: the last weighs little
within 120 ms of the usual. Leads agree by a weighted median.

The constants were chosen on every second record of `qtdb` (`vigil evaluate intervals` scores the others).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ecg.resample import ANALYSIS_HZ

PRE, POST = 48, 152
"""Samples of an averaged beat at 250 Hz before its fiducial point, and from it on."""
WIDTH = PRE + POST
QRS_BEFORE, QRS_AFTER = 25, 30
"""Samples around the fiducial point within which the QRS is steepest."""
BIG, ONSET, END, REST = 0.4, 0.03, 0.07, 1.5
"""Shares of the steepest slope: surely QRS, its first, its last; its first is so many times the slope before, too."""
LONGEST_QRS = 45
"""Samples after the fiducial point beyond which no QRS goes on, 180 ms."""
PR, FLAT = 12, 5
"""Samples before the QRS in which the isoelectric level is sought, and samples of which it is the mean."""
ST = 15
"""Samples from the J point to where ST is measured, 60 ms."""
ST_MEAN = 2
"""ST is the mean of so many samples to either side too, 20 ms in all: a turn of mains of 50 Hz."""
T_FIRST = 12
"""Samples after the J point in which no T wave ends."""
P_WAVE_S = 0.16
"""So long before the next QRS the T wave is over."""
LONGEST_QT_S, USUAL_S, SPREAD_S, RATE_POWER = 0.62, 0.4, 0.06, 0.4
"""QT at a rate of 60: the longest, the usual, how far others lie from it; it goes with the interval to this power."""
SMOOTH = 9
"""Samples over which a lead is averaged before its T wave is sought."""
SLOPE = 0.25
"""Share of the steepest slope after the QRS from which a slope may be that of T."""
QUIET, UNREST, SIZE, LEAST_SCORE = 12, 1.5, 0.7, -3.0
"""Samples behind T that should rest, the weights of their unrest and of the wave's size, and the least likeness."""
LEAST_T_MV, LEAST_T_NOISE = 0.06, 8.0
"""A T wave smaller than this, or than so many standard errors of the average, says nothing."""
AGREE, SHARE = 12.0, 0.66
"""Leads agree whose T ends within so many samples of the median, and must carry this share of all size."""
LATER = 3.0
"""Samples by which experts see T end after the tangent, 12 ms."""

_CLOSE = 20.0


class Measured(NamedTuple):
    """What an averaged beat shows; samples are counted from its fiducial point, NaN where it cannot be said.

    `st_mv` and `t_end` are by lead; `t_leads` has a bit for each lead whose T wave decided `qt_ms`.
    """

    qrs_first: float
    qrs_last: float
    st_mv: NDArray[np.float32]
    t_end: NDArray[np.float32]
    qt_ms: float
    t_leads: int

    @property
    def qrs_ms(self) -> float:
        """Duration of the QRS."""
        return (self.qrs_last - self.qrs_first) * 1000 / ANALYSIS_HZ


def measure(beat_mv: NDArray[np.float32], error_mv: NDArray[np.float32], rr_s: float) -> Measured:
    """Measure one averaged beat.

    Parameters
    ----------
    beat_mv : ndarray of float32, shape (n_leads, WIDTH)
        Millivolts at 250 Hz, the fiducial point at `PRE`; a lead that is to be left out is NaN.
    error_mv : ndarray of float32, shape (n_leads,)
        Standard error of the average of each lead.
    rr_s : float
        Mean interval between the beats.

    Examples
    --------
    >>> t = (np.arange(WIDTH) - PRE) / 250
    >>> beat = np.exp(-((t / 0.012) ** 2)) + 0.3 * np.exp(-(((t - 0.28) / 0.06) ** 2))
    >>> seen = measure(beat[None].astype("f4"), np.zeros(1, "f4"), 0.9)
    >>> 350 < seen.qt_ms < 420, abs(float(seen.st_mv[0])) < 0.01
    (True, True)
    """
    n = len(beat_mv)
    st, ends = np.full(n, np.nan, np.float32), np.full(n, np.nan, np.float32)
    first, last, qt_ms, leads = measure_into(
        np.ascontiguousarray(beat_mv, np.float32), np.ascontiguousarray(error_mv, np.float32), rr_s, st, ends
    )
    return Measured(first - PRE, last - PRE, st, ends, float(qt_ms), leads)


@njit(cache=True, error_model="numpy")
def measure_into(beat, error, rr_s, st, ends):  # pyright: ignore
    """Measure, filling `st` (mV) and `ends` (samples after the fiducial point); return QRS edges, QT in ms, leads."""
    n_leads = beat.shape[0]
    first, last = edges(beat)
    if first < 0:
        return np.nan, np.nan, np.nan, 0
    smooth, slope = np.empty(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
    size = np.zeros(n_leads, np.float32)
    flat = isoelectric_at(beat, first)
    for i in range(n_leads):
        if not _is_there(beat[i]):
            continue
        level = mean_of(beat[i], flat, flat + FLAT)
        at = last + ST
        st[i] = mean_of(beat[i], at - ST_MEAN, at + ST_MEAN + 1) - level
        _smoothed(beat[i], level, smooth, slope)
        end, height = _t_end(smooth, slope, first, last, rr_s)
        if end > 0 and height > max(LEAST_T_MV, LEAST_T_NOISE * error[i]):
            ends[i], size[i] = end - PRE + LATER, height
    end, leads = _agreed(ends, size)
    return first, last, (end + PRE - first) * 1000.0 / ANALYSIS_HZ, leads


@njit(cache=True, error_model="numpy")
def _is_there(lead):  # pyright: ignore
    return lead[0] == lead[0]


@njit(cache=True, error_model="numpy")
def mean_of(lead, first, end):  # pyright: ignore
    """Return the mean of some samples of a lead."""
    total = np.float32(0)
    for k in range(first, end):
        total += lead[k]
    return total / np.float32(end - first)


@njit(cache=True, error_model="numpy")
def edges(beat):  # pyright: ignore
    """Return the first and the last sample of the QRS, -1 where there is none."""
    steep = np.zeros(WIDTH, np.float32)
    for i in range(beat.shape[0]):
        if _is_there(beat[i]):
            for k in range(1, PRE + LONGEST_QRS + 5):
                steep[k] += (beat[i, k + 1] - beat[i, k - 1]) ** 2
    steep = np.sqrt(steep)
    most = steep[PRE - QRS_BEFORE : PRE + QRS_AFTER].max()
    if not most > 0:
        return -1, -1
    first = PRE - QRS_BEFORE
    while steep[first] <= BIG * most:
        first += 1
    last = PRE + QRS_AFTER - 1
    while steep[last] <= BIG * most:
        last -= 1
    rest = np.median(steep[1 : max(2, first - 8)])
    least = max(ONSET * most, min(REST * rest, 2 * END * most))
    while first > PR + FLAT and not (
        steep[first - 1] < least and steep[first - 2] < least and steep[first - 3] < least
    ):
        first -= 1
    least = END * most
    while last < PRE + LONGEST_QRS and not (
        steep[last + 1] < least and steep[last + 2] < least and steep[last + 3] < least
    ):
        last += 1
    return first, last


@njit(cache=True, error_model="numpy")
def isoelectric_at(beat, first):  # pyright: ignore
    """Return where, before a QRS, all leads together are flattest."""
    best, found = np.float32(np.inf), first - PR
    for k in range(max(0, first - PR), first - FLAT):
        spread = np.float32(0)
        for i in range(beat.shape[0]):
            if _is_there(beat[i]):
                spread += beat[i, k : k + FLAT].max() - beat[i, k : k + FLAT].min()
        if spread < best:
            best, found = spread, k
    return found


@njit(cache=True, error_model="numpy")
def _smoothed(lead, level, smooth, slope):  # pyright: ignore
    """Give a lead above its isoelectric level, averaged, and how much it climbs in a sample."""
    half = SMOOTH // 2
    for k in range(WIDTH):
        smooth[k] = mean_of(lead, max(0, k - half), min(WIDTH, k + half + 1)) - level
    for k in range(2, WIDTH - 2):
        slope[k] = (smooth[k + 2] - smooth[k - 2]) / np.float32(4)


@njit(cache=True, error_model="numpy")
def _t_end(lead, slope, first, last, rr_s):  # pyright: ignore
    """Return where the T wave of a lead ends by its tangent, -1 where none is like one, and its height."""
    start = last + T_FIRST
    stretch = rr_s**RATE_POWER
    until = PRE + ANALYSIS_HZ * min(rr_s - P_WAVE_S, LONGEST_QT_S * math.sqrt(max(rr_s, 0.5)))
    until = int(min(WIDTH - 4.0, until))
    if not until - start >= 15:
        return -1.0, np.float32(0)
    steepest, tallest = np.abs(slope[start:until]).max(), np.abs(lead[start:until]).max()
    best, found, size = LEAST_SCORE, -1.0, np.float32(0)
    for k in range(start + 3, until - 1):
        steep = abs(slope[k])
        peak = steep >= abs(slope[k - 1]) and steep >= abs(slope[k + 1])
        if not peak or steep < SLOPE * steepest or lead[k] * slope[k] >= 0:
            continue
        end = min(k - lead[k] / slope[k], k + _CLOSE)
        height = _height(lead, slope, k, start)
        usual = ((end - first) / ANALYSIS_HZ / stretch - USUAL_S) / SPREAD_S
        score = math.log(steep / steepest) + SIZE * math.log(max(height / tallest, 1e-3)) - 0.5 * usual**2
        score -= UNREST * _unrest(slope, int(end) + 2) / steep
        if score > best:
            best, found, size = score, end, height
    return found, size


@njit(cache=True, error_model="numpy")
def _height(lead, slope, k, start):  # pyright: ignore
    """Return how high the wave stands from which a slope comes down."""
    top = k
    while top > start and slope[top] * slope[k] > 0:
        top -= 1
    return abs(lead[top])


@njit(cache=True, error_model="numpy")
def _unrest(slope, first):  # pyright: ignore
    """Return the mean slope behind a wave, either way."""
    total, n = np.float32(0), 0
    for k in range(first, min(WIDTH - 3, first + QUIET)):
        total += abs(slope[k])
        n += 1
    return total / max(n, 1)


@njit(cache=True, error_model="numpy")
def _agreed(ends, size):  # pyright: ignore
    """Return where T ends by the leads that agree, weighted by its size there, and their bits; NaN where too few do."""
    total = size.sum()
    if not total > 0:
        return np.nan, 0
    order = np.argsort(ends)
    below, median = np.float32(0), np.float32(np.nan)
    for i in order:
        if size[i] > 0:
            below += size[i]
            if below >= 0.5 * total:
                median = ends[i]
                break
    near, weighted, leads = np.float32(0), np.float32(0), 0
    for i in range(len(ends)):
        if size[i] > 0 and abs(ends[i] - median) <= AGREE:
            near += size[i]
            weighted += size[i] * ends[i]
            leads |= 1 << i
    if near < SHARE * total:
        return np.nan, 0
    return weighted / near, leads
