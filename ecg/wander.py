"""Streaming estimate of baseline wander: two moving medians, of 0.2 s and 0.6 s, on a grid of 20 ms.

The pair of medians is the usual baseline filter of beat classifiers (de Chazal, O'Dwyer and Reilly, IEEE Trans.
Biomed. Eng. 51(7), 2004, doi:10.1109/TBME.2004.827359): the first takes out QRS complexes and P waves, the second T
waves. A median follows a step without ringing and leaves no undershoot after a QRS, as a causal high-pass would.
Deviation: the medians run over means of 5 samples, the result is joined by straight lines.
"""

from __future__ import annotations

import numpy as np
from numba import njit

TICK = 5
"""Samples at 250 Hz whose mean is one value of the medians' grid."""
FIRST, SECOND = 11, 29
"""Values in the windows of the two medians: 0.22 s and 0.58 s."""
LOOK_AHEAD = TICK * (FIRST // 2 + SECOND // 2) + TICK // 2 + TICK
"""Samples after a sample that must have come before its baseline is known."""
FLOATS = 2 * (FIRST + SECOND) + 6
"""Numbers of float32 that the state of a stream takes."""

_SUM, _HELD, _COUNT_1, _COUNT_2, _BEFORE, _AFTER = range(2 * (FIRST + SECOND), FLOATS)


@njit(cache=True, error_model="numpy")
def clear(state):  # pyright: ignore
    """Bring the state of a stream to that before its first sample."""
    state[:] = 0
    state[: FIRST + SECOND] = np.nan
    state[_BEFORE:] = np.nan


@njit(cache=True, error_model="numpy")
def baseline(state, seen, x, n, out):  # pyright: ignore
    """Take samples `seen` to `seen + n` of a stream, NaN where missing; give the baseline `LOOK_AHEAD` samples earlier.

    Parameters
    ----------
    state : ndarray of float32, shape (FLOATS,)
        Changed in place.
    seen : int
        Samples of the stream before these.
    x : ndarray of float32, shape (n,) or more
    n : int
    out : ndarray of float32, shape (n,) or more
        Filled with the baseline of samples `seen - LOOK_AHEAD` and on; 0 as long as none is known.
    """
    recent_1, recent_2 = state[:FIRST], state[FIRST : FIRST + SECOND]
    sorted_1 = state[FIRST + SECOND : 2 * FIRST + SECOND]
    sorted_2 = state[2 * FIRST + SECOND : 2 * (FIRST + SECOND)]
    inside = seen % TICK
    tick = seen // TICK
    for i in range(n):
        # from one tick's centre to the next, the first of which became known at the last end of a tick
        share = (inside + 1) / TICK
        if x[i] == x[i]:
            state[_SUM] += x[i]
            state[_HELD] += 1
        inside += 1
        if inside == TICK:
            value = state[_SUM] / state[_HELD] if state[_HELD] > 0 else np.float32(np.nan)
            state[_SUM] = 0
            state[_HELD] = 0
            middle = _median(recent_1, sorted_1, state, _COUNT_1, tick % FIRST, value)
            smooth = _median(recent_2, sorted_2, state, _COUNT_2, tick % SECOND, middle)
            state[_BEFORE] = state[_AFTER]
            if smooth == smooth:
                state[_AFTER] = smooth
                if state[_BEFORE] != state[_BEFORE]:
                    state[_BEFORE] = smooth
            tick += 1
            inside = 0
            share = 0.0
        level = state[_BEFORE] + (state[_AFTER] - state[_BEFORE]) * np.float32(share)
        out[i] = level if level == level else np.float32(0)


@njit(cache=True, error_model="numpy")
def _median(recent, ordered, state, counter, at, value):  # pyright: ignore
    """Put a value in the place of the oldest one and return the median of those that are there, NaN if none is."""
    count = int(state[counter])
    gone = recent[at]
    recent[at] = value
    k = 0
    if gone == gone:
        while k < count - 1 and ordered[k] != gone:
            k += 1
    elif value == value:
        k = count
        count += 1
    if value == value:
        while k > 0 and ordered[k - 1] > value:
            ordered[k] = ordered[k - 1]
            k -= 1
        while k < count - 1 and ordered[k + 1] < value:
            ordered[k] = ordered[k + 1]
            k += 1
        ordered[k] = value
    elif gone == gone:
        count -= 1
        for j in range(k, count):
            ordered[j] = ordered[j + 1]
    state[counter] = count
    if count == 0:
        return np.float32(np.nan)
    if count % 2 == 1:
        return ordered[count // 2]
    return np.float32(0.5) * (ordered[count // 2 - 1] + ordered[count // 2])
