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
        row, n = rows[i], count[i]
        for k in range(behind):
            line[k] = memory[row, at + _FLOATS + k]
        _follow(memory, row, at, seen[row] % TICK, limit_mv, x, i, n, line, behind)
        for k in range(n):
            out[i, k] = line[k]
        for k in range(behind):
            memory[row, at + _FLOATS + k] = line[n + k]


@njit(cache=True, error_model="numpy")
def _follow(memory, row, at, inside, limit_mv, x, i, n, out, first):  # pyright: ignore
    """Take samples of one stream, the first of which is the `inside`-th of its block; give the newest baselines."""
    total, held = memory[row, at + _SUM], memory[row, at + _HELD]
    before, after = memory[row, at + _BEFORE], memory[row, at + _AFTER]
    k = 0
    while k < n:
        end = min(n, k + TICK - inside)
        for j in range(np.uintp(k), np.uintp(end)):
            there = abs(x[i, j]) < limit_mv
            total += x[i, j] if there else np.float32(0)
            held += np.float32(1) if there else np.float32(0)
        _draw(before, after, inside + 1, end - k, out, first + k)
        inside += end - k
        if inside == TICK:
            level = _shift(memory, row, at, total / held if held > 0 else np.float32(np.nan))
            before = after
            if level == level:
                after = level
                if before != before:
                    before = level
            total, held, inside = np.float32(0), np.float32(0), 0
            _draw(before, after, 0, 1, out, first + end - 1)
        k = end
    memory[row, at + _SUM], memory[row, at + _HELD] = total, held
    memory[row, at + _BEFORE], memory[row, at + _AFTER] = before, after


@njit(cache=True, error_model="numpy")
def _draw(before, after, inside, n, out, first):  # pyright: ignore
    """Draw the line from one level to the next for some samples of a block; 0 as long as no level is known."""
    known = before + after == before + after
    for k in range(n):
        level = before + (after - before) * np.float32((inside + k + 0.5) / TICK)
        out[first + k] = level if known else np.float32(0)


@njit(cache=True, error_model="numpy")
def _shift(memory, row, at, newest):  # pyright: ignore
    """Put the mean of a block behind the others, and return the weighted mean of those that are there, NaN if none."""
    total, weight = np.float32(0), np.float32(0)
    for k in range(_WINDOW):
        value = memory[row, at + k + 1] if k < _WINDOW - 1 else newest
        memory[row, at + k] = value
        there = value == value
        total += _WEIGHTS[k] * value if there else np.float32(0)
        weight += _WEIGHTS[k] if there else np.float32(0)
    return total / weight if weight > 0 else np.float32(np.nan)
