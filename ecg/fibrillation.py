"""Ventricular fibrillation and flutter found from the wave itself, without beats.

Eight features of the last four seconds of each lead are weighed into a log-odds (logistic regression); the leads' mean
decides. Features after Amann et al. 2007 (doi:10.1109/TBME.2006.880909, phase space), Arafat et al. 2011
(doi:10.1007/s11760-009-0136-1, crossings of a threshold) and Irusta et al. 2012
(doi:10.1016/j.resuscitation.2012.01.032, slope and spectrum), on samples at 125 Hz. Deviations: the threshold is a
share of each second's own peak and the second is not tapered; the slope is not averaged. `ORIGIN` says what the weights
were fitted on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ecg.resample import ANALYSIS_HZ
from ecg.rows import Rows

GRID = 100
"""Samples between two judgements (0.4 s); a judgement stands at each multiple of it."""
WINDOW = 1000
"""Samples that a judgement looks back on (4 s)."""
MAX_LEADS = 16
"""Leads of one bed that can be judged; further ones are not looked at."""
FLAT_MV = 0.05
"""A lead that moves less than this from peak to peak in a second is flat."""

FIBRILLATION = np.dtype(
    [
        ("end", "i8"),
        ("fibrillatory", "?"),
        ("score", "f4"),
        ("rate_hz", "f4"),
        ("regularity", "f4"),
        ("leads", "u2"),
        ("flat", "?"),
        ("usable", "u2"),
    ]
)
"""One judgement: `end` is the sample after the last one seen; `score` the log-odds (mean over leads, above 0 is
fibrillatory); `rate_hz` and `regularity` (0 to 1, the height of the autocorrelation's peak) describe the wave of the
most fibrillatory lead; `leads` show it, `usable` ones have a signal for at least half of the last two seconds
(flat ones included), a bit a lead; `flat` that all usable leads were flat in these."""

FEATURES = ("above", "mid", "still", "space", "even", "peak", "drift", "size")
"""What is weighed, in this order: share of samples above a fifth of their second's peak; share of the power from 2.2
to 8 Hz; share of samples with little slope; boxes of the phase space visited, a point; smallest over largest second;
log of the spectrum's peak in Hz; drift of the seconds' means over the size; log10 of the size in mV."""
WEIGHTS = np.array([6.929, 3.443, -6.074, 4.25, -4.598, 0.957, 10.672, 2.325])
BIAS = -4.402
ORIGIN = (
    "Logistic regression (L2 0.001 on standardised features, a record's windows of a class weighed by the root of"
    " their number) on 4-s windows of clean leads, VF and flutter against all else but VT, noise and windows on a"
    " boundary. vfdb: 418 419 420 421 422 424 425 426 428 430 605 607 609 610 611. cudb: cu01 02 04 07 08 11 12 13 14"
    " 15 16 17 18 20 21 22 26 28 29 30 31 33 34 35. mitdb, DS1: 101 106 108 109 112 114 115 116 118 119 122 124 201"
    " 203 205 207 208 209 215 220 223 230. nstdb: first half of em, ma and bw, alone and added to 101, 119 and 223 at 0"
    " and 6 dB. The threshold was then moved by 1.5 towards sensitivity."
)
"""What the weights were fitted on."""

_HALF = WINDOW // 2
_HALF_HZ = ANALYSIS_HZ // 2
_BLOCKS = WINDOW // GRID
_PRESENT = 5
_LEAST_MV = 0.2
"""Coarse fibrillation begins here (Kerber et al., Circulation 95(6), 1997, doi:10.1161/01.CIR.95.6.1677)."""
_FLOOR, _STILL = -6.0, -2.0
"""Lowest log-odds of a lead, and those of one that stood still for a second: a wave that stopped, or slow beats."""
_CELLS = 40
_LAG = _HALF_HZ // 2
_BINS = 256
_BIN_HZ = _HALF_HZ / 2 / _BINS
"""The spectrum is that of 250 samples at 62.5 Hz, padded to 256."""
_HANN = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(_HALF // 2) + 0.5) / (_HALF // 2))
_TURN = np.exp(-2j * np.pi * np.arange(_BINS // 2) / _BINS)
_SWAP = np.array([int(f"{k:08b}"[::-1], 2) for k in range(_BINS)])


class Weighed(NamedTuple):
    """Features of one lead and the log-odds that they give."""

    features: NDArray[np.float64]
    score: float


class Fibrillation:
    """Judges many beds' clean leads at 250 Hz every `GRID` samples, a row a bed.

    Missing samples are bridged by the last one that was there. A lead with more than half of its window missing, or
    smaller than 0.2 mV over all of it, does not vote; one that moved less than 0.1 mV in a second of it votes against.
    Judgements are the same whatever the chunks and the batch.

    Examples
    --------
    >>> t = np.arange(2500) / 250
    >>> wave = np.sin(2 * np.pi * 5 * t + 2 * np.sin(4.4 * t)) * (0.4 + 0.16 * np.sin(5.7 * t))
    >>> fibrillation = Fibrillation()
    >>> fibrillation.reset(0)
    >>> found = fibrillation.feed(np.array([0]), wave.astype("f4")[None, None], np.array([1]), np.array([2500]))[0]
    >>> int(found["end"][-1]), bool(found["fibrillatory"][-1])
    (2500, True)
    """

    def __init__(self) -> None:
        layout = np.dtype(
            [
                ("seen", "i8"),
                ("leads", "i8"),
                ("held", "f4", (MAX_LEADS,)),
                ("first", "f4", (MAX_LEADS,)),
                ("missing", "i2", (MAX_LEADS, _BLOCKS)),
                ("recent", "f4", (MAX_LEADS, _HALF)),
            ]
        )
        initial = np.zeros((), dtype=layout)
        initial["missing"] = GRID
        self.rows = Rows(initial)

    def reset(self, row: int) -> None:
        """Start a bed in a row."""
        self.rows.reset(row)

    def feed(
        self, rows: NDArray[np.int64], x: NDArray[np.float32], leads: NDArray[np.int64], count: NDArray[np.int64]
    ) -> list[NDArray[np.void]]:
        """Take clean samples of some beds and return the judgements that they complete.

        Parameters
        ----------
        rows : ndarray of int64, shape (b,)
            Rows of the beds, each at most once.
        x : ndarray of float32, shape (b, max_leads, width)
            Clean samples in mV at 250 Hz, NaN where missing. Only `x[i, :leads[i], :count[i]]` is read.
        leads, count : ndarray of int64, shape (b,)
            Leads of each bed and samples given of each.

        Returns
        -------
        list of ndarray of `FIBRILLATION`
            The judgements of each bed, in order.
        """
        most = int(count.max(initial=0)) // GRID + 1
        found = np.zeros((len(rows), most), dtype=FIBRILLATION)
        made = np.zeros(len(rows), dtype=np.int64)
        if len(rows):
            state = self.rows.state
            kept = (state["seen"], state["leads"], state["held"], state["first"], state["missing"], state["recent"])
            _feed(rows, x, leads, count, *kept, found, made, _HANN, _TURN, _SWAP, WEIGHTS, BIAS)
        return [found[i, : made[i]] for i in range(len(rows))]

    def snapshot(self, row: int) -> bytes:
        """Return a bed's state as bytes."""
        return self.rows.snapshot(row)

    def restore(self, row: int, kept: bytes) -> None:
        """Put back what `snapshot` returned; raises ValueError where it is of another layout."""
        self.rows.restore(row, kept)


def weigh(window_mv: NDArray[np.float32]) -> Weighed:
    """Return the features and the log-odds of one window.

    Parameters
    ----------
    window_mv : ndarray of float32, shape (500,)
        Four seconds of one clean lead at 125 Hz, nothing missing.
    """
    features = np.zeros(len(FEATURES))
    _describe(window_mv.astype(np.float64), _HANN, _TURN, _SWAP, features)
    return Weighed(features, float(_log_odds(features, WEIGHTS, BIAS)))


@njit(cache=True)
def _feed(  # pyright: ignore
    rows, x, leads, count, seen, n_leads, held, first, missing, recent, found, made, hann, turn, swap, weights, bias
):
    """Take each bed's samples up to the next point of the grid, judge there, and go on."""
    window = np.empty(_HALF)
    features = np.empty(weights.shape[0])
    for i in range(rows.shape[0]):
        row = rows[i]
        n_leads[row] = min(leads[i], MAX_LEADS)
        done = 0
        while done < count[i]:
            take = min(count[i] - done, GRID - seen[row] % GRID)
            for k in range(n_leads[row]):
                part = x[i, k, done : done + take]
                _take(part, seen[row], held[row], first[row], missing[row, k], recent[row, k], k)
            seen[row] += take
            done += take
            if seen[row] % GRID == 0:
                judgement = found[i, made[i]]
                judgement.end = seen[row]
                judgement.usable, judgement.flat = _present(missing[row], recent[row], n_leads[row], seen[row])
                _judge(judgement, missing[row], recent[row], window, features, hann, turn, swap, weights, bias)
                made[i] += 1


@njit(cache=True)
def _judge(judgement, missing, recent, window, features, hann, turn, swap, weights, bias):  # pyright: ignore
    """Let the usable leads vote, and describe the wave of the one that is surest."""
    total, voters, surest, most = 0.0, 0, -1, _FLOOR
    for k in range(MAX_LEADS):
        if not (judgement.usable >> k) & 1 or 2 * missing[k].sum() > WINDOW:
            continue
        _unroll(recent[k], judgement.end, window)
        if window.max() - window.min() < _LEAST_MV:
            continue
        odds = _STILL
        if not _has_still_second(window):
            _describe(window, hann, turn, swap, features)
            odds = min(max(_log_odds(features, weights, bias), _FLOOR), -_FLOOR)
        total += odds
        voters += 1
        if odds > 0:
            judgement.leads |= 1 << k
        if surest < 0 or odds > most:
            surest, most = k, odds
    judgement.score = total / voters if voters else _FLOOR
    judgement.fibrillatory = judgement.score > 0
    if judgement.fibrillatory:
        _unroll(recent[surest], judgement.end, window)
        judgement.rate_hz, judgement.regularity = _period(window)


@njit(cache=True)
def _has_still_second(window):  # pyright: ignore
    for second in range(_HALF // _HALF_HZ):
        part = window[second * _HALF_HZ : (second + 1) * _HALF_HZ]
        if part.max() - part.min() < 0.5 * _LEAST_MV:
            return True
    return False


@njit(cache=True)
def _take(x, seen, held, first, missing, recent, lead):  # pyright: ignore
    """Put samples that end at most at the next point of the grid into a lead's ring, two to one."""
    block = (seen // GRID) % _BLOCKS
    if seen % GRID == 0:
        missing[block] = 0
    for k in range(x.shape[0]):
        if np.isfinite(x[k]):
            held[lead] = x[k]
        else:
            missing[block] += 1
        if (seen + k) & 1:
            recent[((seen + k) >> 1) % _HALF] = 0.5 * (first[lead] + held[lead])
        else:
            first[lead] = held[lead]


@njit(cache=True)
def _present(missing, recent, n_leads, seen):  # pyright: ignore
    """Return the bits of the leads with a signal in the last two seconds, and whether all of them were flat."""
    usable, all_flat = 0, True
    last = seen // GRID - 1
    blocks = min(_PRESENT, last + 1)
    for lead in range(n_leads):
        lacking = 0
        for back in range(blocks):
            lacking += missing[lead, (last - back) % _BLOCKS]
        if 2 * lacking > blocks * GRID:
            continue
        usable |= 1 << lead
        low, high = np.inf, -np.inf
        for back in range(1, blocks * GRID // 2 + 1):
            value = recent[lead, ((seen >> 1) - back) % _HALF]
            low, high = min(low, value), max(high, value)
        all_flat = all_flat and high - low < FLAT_MV
    return usable, usable != 0 and all_flat


@njit(cache=True)
def _unroll(recent, seen, window):  # pyright: ignore
    """Copy a ring into a window, oldest first."""
    start = (seen >> 1) % _HALF
    for k in range(_HALF):
        window[k] = recent[(start + k) % _HALF]


@njit(cache=True)
def _log_odds(features, weights, bias):  # pyright: ignore
    total = bias
    for k in range(weights.shape[0]):
        total += weights[k] * features[k]
    return total


@njit(cache=True)
def _describe(window, hann, turn, swap, features):  # pyright: ignore
    """Fill the features of a window of four seconds at 125 Hz, in the order of `FEATURES`; centres the window."""
    centre = window.mean()
    for k in range(_HALF):
        window[k] -= centre
    low, high = window.min(), window.max()
    size = max(high - low, 1e-4)
    features[0], features[4], features[6] = _seconds(window, size)
    features[1], features[5] = _spectrum(window, hann, turn, swap)
    features[2] = _still(window)
    features[3] = _space(window, low, size)
    features[7] = min(max(np.log10(size), -1.0), 0.5)


@njit(cache=True)
def _seconds(window, size):  # pyright: ignore
    """Return the share of samples above a fifth of their second's peak, evenness of the seconds, and their drift."""
    above = 0
    least, most, lowest, highest = np.inf, 0.0, np.inf, -np.inf
    for second in range(_HALF // _HALF_HZ):
        part = window[second * _HALF_HZ : (second + 1) * _HALF_HZ]
        low, high, total = np.inf, -np.inf, 0.0
        for value in part:
            low, high, total = min(low, value), max(high, value), total + value
        threshold = 0.2 * max(-low, high)
        for value in part:
            if abs(value) > threshold:
                above += 1
        least, most = min(least, high - low), max(most, high - low)
        lowest, highest = min(lowest, total), max(highest, total)
    return above / _HALF, least / most if most > 0 else 0.0, (highest - lowest) / _HALF_HZ / size


@njit(cache=True)
def _still(window):  # pyright: ignore
    """Return the share of samples whose slope is under a tenth of the steepest (mean of the two steepest seconds)."""
    first, second = 0.0, 0.0
    for part in range(_HALF // _HALF_HZ):
        steepest = 0.0
        for k in range(max(2, part * _HALF_HZ), (part + 1) * _HALF_HZ):
            steepest = max(steepest, abs(window[k] - window[k - 2]))
        if steepest > first:
            first, second = steepest, first
        else:
            second = max(second, steepest)
    threshold = 0.05 * (first + second)
    still = 0
    for k in range(2, _HALF):
        if abs(window[k] - window[k - 2]) < threshold:
            still += 1
    return still / (_HALF - 2)


@njit(cache=True)
def _space(window, low, size):  # pyright: ignore
    """Return how many boxes of the phase space (delay 0.5 s, 40 x 40) are visited, a point tried."""
    seen = np.zeros((_CELLS, _CELLS), np.uint8)
    visited, tried = 0, 0
    scale = (_CELLS - 1e-3) / size
    for k in range(0, _HALF - _LAG, 2):
        a, b = int((window[k] - low) * scale), int((window[k + _LAG] - low) * scale)
        visited += 1 - seen[a, b]
        seen[a, b] = 1
        tried += 1
    return visited / tried


@njit(cache=True)
def _spectrum(window, hann, turn, swap):  # pyright: ignore
    """Return the share of power from 2.2 to 8 Hz in that of 0.5 to 30 Hz, and the log of the peak's frequency in Hz."""
    z = np.zeros(_BINS, np.complex128)
    for k in range(_HALF // 2):
        z[swap[k]] = 0.5 * (window[2 * k] + window[2 * k + 1]) * hann[k]
    span = 1
    while span < _BINS:
        for start in range(0, _BINS, 2 * span):
            for k in range(span):
                odd = turn[k * (_BINS // (2 * span))] * z[start + k + span]
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
def _period(window):  # pyright: ignore
    """Return the frequency in Hz and the height of the first peak of the autocorrelation within a tenth of its best."""
    half = np.empty(_HALF // 2)
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
            return _HALF_HZ / 2 / lag, height[lag]
    return 0.0, 0.0
