"""A verdict per lead and second on the raw signal at 250 Hz, with its reason: what the lead is worth, and why.

Each verdict is a function of that second's 250 samples alone, on the session's grid, so that no cutting of the stream
changes it. A verdict is information: `FLAT` in particular suspends nothing by itself, since a lead that is flat without
the device's lead-off flag shows asystole until something shows otherwise.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ecg.resample import ANALYSIS_HZ
from ecg.rows import Rows, Spans


class Verdict(IntEnum):
    """What a lead was worth in one second; the first reason that holds, in the order of the numbers from 1."""

    GOOD = 0
    LEAD_OFF = 1
    """The device said so for over half of the second."""
    MISSING = 2
    """Over half of the samples are missing."""
    FLAT = 3
    """Peak to peak under `FLAT_MV`."""
    CLIPPED = 4
    """The signal stands at its highest or lowest value, entered steeply, for over `CLIPPED_S`."""
    NOISE = 5
    """Muscle or mains: what moves faster than a QRS complex is large between the complexes."""
    WANDER = 6
    """Electrode motion or deep wander: the level moves more than the heart does."""


FLAT_MV = 0.03
"""Peak to peak, over a second, under which a lead is flat; fine VF has 0.1 mV and more."""
CLIPPED_S = 0.06
"""Time at a rail within a second from which a lead is clipped."""
NOISE_MV, NOISE_SHARE = 0.02, 0.045
"""Mean magnitude of the fast residue between complexes: at least so much, and so much of the smooth peak to peak."""
WANDER_MV, WANDER_SHARE = 1.0, 0.45
"""Step between the means of a second's halves: at least so much, and so much of the smooth peak to peak."""

_N = ANALYSIS_HZ
_LIMIT_MV = np.float32(10_000.0)
_SMOOTH = 5
_PARTS = 10
_RANK = 3
_RAIL_RUN = 8

_STREAM = np.dtype([("seen", "i8"), ("off", "i8"), ("second", "f4", (_N,))])
_HEAD = 16


class Quality:
    """Verdicts on the seconds of many leads, a row a stream.

    Examples
    --------
    >>> quality = Quality()
    >>> quality.reset(0)
    >>> seconds = quality.feed(np.array([0]), np.zeros((1, 600), dtype=np.float32), np.array([600]))[0]
    >>> [(second, code.name) for second, code in seconds]
    [(0, 'FLAT'), (1, 'FLAT')]
    """

    def __init__(self) -> None:
        self.rows = Rows(np.zeros((), dtype=_STREAM))

    def reset(self, row: int) -> None:
        """Start a stream in a row; its first sample begins second 0."""
        self.rows.reset(row)

    def snapshot(self, row: int) -> bytes:
        """Return the state of a stream: of its samples those of the second that has not ended."""
        return self.rows.snapshot(row, _spans(int(self.rows.state["seen"][row]) % _N))

    def restore(self, row: int, kept: bytes) -> None:
        """Put back what `snapshot` returned; raises ValueError where it is of another layout."""
        self.rows.restore(row, kept, _spans(min(_N, max(0, len(kept) - _HEAD) // 4)))

    def feed(
        self,
        rows: NDArray[np.int64],
        raw: NDArray[np.float32],
        count: NDArray[np.int64],
        off: NDArray[np.bool_] | None = None,
    ) -> list[list[tuple[int, Verdict]]]:
        """Take samples of some streams and return a verdict on each second that they complete.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            Rows of the streams, each at most once.
        raw : ndarray of float32, shape (n, width)
            Samples at 250 Hz in mV before any denoising; NaN where missing; beyond 10 V is missing too.
            Only `raw[i, :count[i]]` is read.
        count : ndarray of int64, shape (n,)
            Samples given of each stream.
        off : ndarray of bool, shape (n, width), optional
            Where the device says that the electrode is off; nowhere if not given.

        Returns
        -------
        list of list of (int, Verdict)
            For each stream the seconds completed, counted from the stream's first sample, in order.
        """
        state = self.rows.state
        raw = np.ascontiguousarray(raw, dtype=np.float32)
        flags = np.zeros(raw.shape, dtype=np.bool_) if off is None else np.ascontiguousarray(off, dtype=np.bool_)
        first = state["seen"][rows] // _N
        codes = np.zeros((len(rows), raw.shape[1] // _N + 1), dtype=np.int64)
        done = np.zeros(len(rows), dtype=np.int64)
        if codes.size:
            _feed(state["seen"], state["off"], state["second"], rows, raw, count, flags, codes, done)
        return [
            [(start + k, Verdict(code)) for k, code in enumerate(own[:n])]
            for start, own, n in zip(first.tolist(), codes.tolist(), done.tolist(), strict=True)
        ]


def _spans(samples: int) -> Spans:
    return ((0, _HEAD + 4 * samples),)


@njit(cache=True)
def _feed(seen, off, second, rows, raw, count, flags, codes, done):  # pyright: ignore
    held = np.empty(_N, dtype=np.float32)
    smooth = np.empty(_N, dtype=np.float32)
    for i in range(rows.shape[0]):
        row, k = rows[i], 0
        while k < count[i]:
            at = seen[row] % _N
            n = min(_N - at, count[i] - k)
            second[row, at : at + n] = raw[i, k : k + n]
            for j in range(k, k + n):
                off[row] += flags[i, j]
            seen[row] += n
            k += n
            if at + n == _N:
                held[:] = second[row]
                codes[i, done[i]] = _judge(held, off[row], smooth)
                done[i] += 1
                off[row] = 0


@njit(cache=True)
def _judge(x, off, smooth):  # pyright: ignore
    """Return the code of one second; `x` is changed in place: missing samples are filled with the one before."""
    missing = _fill(x)
    if 2 * off > _N:
        return 1
    if 2 * missing > _N:
        return 1 if 2 * off >= missing else 2
    low, high = x.min(), x.max()
    if high - low < FLAT_MV:
        return 3
    if _railed(x, low, high) > CLIPPED_S * _N:
        return 4
    fast = _fast_residue(x, smooth)
    inner = smooth[_SMOOTH // 2 : _N - _SMOOTH // 2]
    excursion = inner.max() - inner.min()
    if fast > NOISE_MV and fast > NOISE_SHARE * excursion:
        return 5
    step = abs(x[: _N // 2].mean() - x[_N // 2 :].mean())
    if step > WANDER_MV and step > WANDER_SHARE * excursion:
        return 6
    return 0


@njit(cache=True)
def _fill(x):  # pyright: ignore
    """Hold the last value where samples are missing, the first one before it, and return how many are."""
    missing, last = 0, np.float32(0)
    for k in range(_N):
        if abs(x[k]) < _LIMIT_MV:
            last = x[k]
            break
    for k in range(_N):
        if abs(x[k]) < _LIMIT_MV:
            last = x[k]
        else:
            x[k] = last
            missing += 1
    return missing


@njit(cache=True)
def _railed(x, low, high):  # pyright: ignore
    """Return how many samples stand still at the second's lowest or highest value after a steep way there."""
    near = max(0.002 * (high - low), 0.002)
    total, k = 0, 0
    while k < _N:
        at_low, at_high = x[k] - low < near, high - x[k] < near
        end = k + 1
        while end < _N and abs(x[end] - x[k]) < near:
            end += 1
        if (at_low or at_high) and end - k >= _RAIL_RUN and _steep(x, k, end, 0.1 * (high - low)):
            total += end - k
        k = end
    return total


@njit(cache=True)
def _steep(x, start, end, enough):  # pyright: ignore
    """Tell whether the signal comes to the run, or leaves it, by more than `enough` within 12 ms."""
    came = start >= 3 and abs(x[start - 3] - x[start]) > enough
    return came or (end + 2 < _N and abs(x[end + 2] - x[end - 1]) > enough)


@njit(cache=True)
def _fast_residue(x, smooth):  # pyright: ignore
    """Return the mean magnitude of what a mean of 5 samples leaves, in the fourth calmest tenth of the second."""
    half, part = _SMOOTH // 2, (_N - _SMOOTH + 1) // _PARTS
    means = np.empty(_PARTS, dtype=np.float32)
    for k in range(half, _N - half):
        smooth[k] = (x[k - 2] + x[k - 1] + x[k] + x[k + 1] + x[k + 2]) * np.float32(0.2)
    for p in range(_PARTS):
        total = np.float32(0)
        for k in range(half + p * part, half + (p + 1) * part):
            total += abs(x[k] - smooth[k])
        means[p] = total / part
    means.sort()
    return means[_RANK]
