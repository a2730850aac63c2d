"""Streaming estimate of baseline wander: a smooth mean of the second around a sample, with 0.42 s of look-ahead.

Means of 10 samples (40 ms) are weighted by a window that rises as half a cosine over the last 0.8 s and is level over
the next 0.4 s; straight lines join the results. All weights are positive: the estimate overshoots nothing, and where
blocks are missing, or lie before the record's start or after a gap, the weights of the others make up for them. The
window was chosen so that subtracting the estimate comes close to a zero-phase Butterworth high-pass of 0.5 Hz, of
which a causal filter of this delay can only see half; `docs/denoising.md` says what that does to the ST segment.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

TICK = 10
"""Samples at 250 Hz whose mean is one value of the grid."""
PAST, FUTURE = 20, 9
"""Values before and after the one in the middle."""
LOOK_AHEAD = TICK * (FUTURE + 1) + TICK // 2 - 1
"""Samples after a sample that must have come before its baseline is known."""

_WINDOW = PAST + 1 + FUTURE
_FLOATS = _WINDOW + 4

_SUM, _HELD, _BEFORE, _AFTER = range(_WINDOW, _FLOATS)
_RISE = 0.5 * (1 + np.cos(np.pi * np.arange(-PAST, 0) / (PAST + 1)))
_WEIGHTS = np.concatenate([_RISE, np.ones(1 + FUTURE)]).astype(np.float32)


def floats(delay: int) -> int:
    """Return how many numbers of float32 the state of a stream takes."""
    return _FLOATS + max(delay - LOOK_AHEAD, 0)


def clear(state: NDArray[np.float32]) -> None:
    """Bring the state of a stream to that before its first sample."""
    state[:] = 0
    state[:_WINDOW] = np.nan
    state[_BEFORE : _AFTER + 1] = np.nan


@njit(cache=True, error_model="numpy")
def baselines(memory, at, delay, limit_mv, seen, rows, x, count, out):  # pyright: ignore
    """Give the baseline of each sample of a batch `delay` samples after it, or as early as that is at least known.

    Parameters
    ----------
    memory : ndarray of float32, shape (streams, m)
        State of the streams, changed in place: `floats(delay)` numbers from column `at` on.
    at, delay : int
        With a delay under `LOOK_AHEAD` the baseline is that of an earlier sample.
    limit_mv : float32
        Samples that are not under this magnitude are missing.
    seen : ndarray of int64, shape (streams,)
        Samples of each stream before these.
    rows, x, count : ndarray
        As `Denoiser.feed` takes them.
    out : ndarray of float32, shape (n, width)
        Filled with the baseline of samples `seen - delay` and on; 0 as long as none is known.
    """
    behind = max(delay - LOOK_AHEAD, 0)
    line = np.empty(behind + x.shape[1], dtype=np.float32)
    for i in range(rows.shape[0]):
        own, n = memory[rows[i], at : at + _FLOATS + behind], count[i]
        line[:behind] = own[_FLOATS:]
        _follow(own, seen[rows[i]] % TICK, limit_mv, x[i, :n], line[behind : behind + n])
        out[i, :n] = line[:n]
        own[_FLOATS:] = line[n : n + behind]


@njit(cache=True, error_model="numpy")
def _follow(state, inside, limit_mv, x, out):  # pyright: ignore
    """Take samples of one stream, the first of which is the `inside`-th of its block; give the newest baselines."""
    total, held = state[_SUM], state[_HELD]
    before, after = state[_BEFORE], state[_AFTER]
    for i in range(x.shape[0]):
        if abs(x[i]) < limit_mv:
            total += x[i]
            held += 1
        inside += 1
        if inside == TICK:
            state[: _WINDOW - 1] = state[1:_WINDOW]
            state[_WINDOW - 1] = total / held if held > 0 else np.float32(np.nan)
            level = _mean(state[:_WINDOW])
            before = after
            if level == level:
                after = level
                if before != before:
                    before = level
            total, held, inside = np.float32(0), np.float32(0), 0
        level = before + (after - before) * np.float32((inside + 0.5) / TICK)
        out[i] = level if level == level else np.float32(0)
    state[_SUM], state[_HELD] = total, held
    state[_BEFORE], state[_AFTER] = before, after


@njit(cache=True, error_model="numpy")
def _mean(values):  # pyright: ignore
    """Return the weighted mean of the values that are there, NaN if none is."""
    total, weight = np.float32(0), np.float32(0)
    for k in range(_WINDOW):
        if values[k] == values[k]:
            total += _WEIGHTS[k] * values[k]
            weight += _WEIGHTS[k]
    return total / weight if weight > 0 else np.float32(np.nan)
