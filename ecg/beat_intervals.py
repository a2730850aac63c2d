"""How a beat's interval lies among the last minutes' intervals, and whether it is of a fast run that began at once."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ecg.beat_class import N_FEATURES
from ecg.beat_state import MANY, NEAR

# what a beat is described by beside `ecg.beat_class`; logarithms of ratios, unless it says otherwise
FIRST = N_FEATURES
SINCE_NEAR = FIRST  # interval over the median of the last 32
SINCE_LONG = FIRST + 1  # over the median of the last 128
SINCE_LAST = FIRST + 2  # over the interval before
BACK_1 = FIRST + 3  # the intervals before over the median of the last 32
BACK_2 = FIRST + 4
BACK_3 = FIRST + 5
BACK_4 = FIRST + 6
RANK_NEAR = FIRST + 7  # share of the last 32 that were shorter
RANK_LONG = FIRST + 8  # of the last 128
SPREAD_NEAR = FIRST + 9  # upper over lower quartile of the last 32
SPREAD_LONG = FIRST + 10  # upper over lower tenth of the last 128
JUMP = FIRST + 11  # median change from one interval to the next, of the last 32
RATE = FIRST + 12  # median interval of the last 32, over 1 s
ALIKE = FIRST + 13  # smallest change against one of the last four intervals
CHANGE = FIRST + 14  # mean change between the last four intervals
SHORTEST = FIRST + 15  # interval over the lower tenth of the last 128
EARLIER = FIRST + 37  # share of the last beats that came early

RUN_CHANGE = 0.15
"""Change of an interval, as logarithm, by which a run begins or ends."""
RUN_KEPT = 8
"""Intervals outside a run after which it is forgotten; a run of fewer beats is forgotten at once."""
AT_ONCE = 0.3
"""Change, as logarithm, from the intervals before a run to its own, from which on it began at once: by a quarter."""
FAST_RR = 150.0
"""A supraventricular run is faster than this interval, in samples: 100 a minute."""


@njit(cache=True)
def _insert(kept, n, value):
    i = n
    while i > 0 and kept[i - 1] > value:
        kept[i] = kept[i - 1]
        i -= 1
    kept[i] = value


@njit(cache=True)
def _remove(kept, n, value):
    i = 0
    while i < n - 1 and kept[i] != value:
        i += 1
    while i < n - 1:
        kept[i] = kept[i + 1]
        i += 1


@njit(cache=True)
def _slide(kept, n_before, room, old, new):
    """Put a value among sorted ones, in place of the oldest where there is no room."""
    n = min(n_before, room)
    if n == room:
        _remove(kept, n, old)
        n -= 1
    _insert(kept, n, new)


@njit(cache=True)
def _quantile(kept, n, share):
    return kept[min(n - 1, int(share * n))] if n > 0 else np.float32(200.0)


@njit(cache=True)
def _rank(kept, n, value):
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        if kept[middle] < value:
            low = middle + 1
        else:
            high = middle
    return low / n if n > 0 else 0.5


@njit(cache=True)
def note_interval(s, since):
    """Note an interval, in samples."""
    rr = np.float32(since)
    n = s.n_long
    if n > 0:
        change = np.float32(abs(math.log(rr / s.long_rr[(n - 1) % MANY])))
        at = (n - 1) % NEAR
        _slide(s.jump_sorted, n - 1, NEAR, s.jumps[at], change)
        s.jumps[at] = change
    _slide(s.near_sorted, n, NEAR, s.long_rr[(n - NEAR) % MANY], rr)
    _slide(s.long_sorted, n, MANY, s.long_rr[n % MANY], rr)
    s.long_rr[n % MANY] = rr
    s.n_long = n + 1
    s.early += 0.04 * ((1.0 if rr < 0.85 * _quantile(s.near_sorted, min(n + 1, NEAR), 0.5) else 0.0) - s.early)


@njit(cache=True)
def note_run(s, since):
    """Follow a run of beats that began to come faster from one to the next; it outlasts a few longer intervals."""
    rr = float(max(50, min(since, 500)))
    near = _quantile(s.near_sorted, min(s.n_long, NEAR), 0.5)
    if s.run_kept > 0:
        change = math.log(rr / s.run_rr)
        if change > RUN_CHANGE:
            s.run_kept = s.run_kept - 1 if s.run == 0 or s.run >= RUN_KEPT else 0
            s.run = 0
        else:
            s.run, s.run_kept = s.run + 1, RUN_KEPT
            s.run_rr += (0.2 if change > -RUN_CHANGE else 1.0) * (rr - s.run_rr)
    elif s.n_long >= 4 and math.log(rr / near) < -RUN_CHANGE:
        s.run, s.run_kept, s.run_rr, s.run_before = 1, RUN_KEPT, rr, near


@njit(cache=True)
def in_supraventricular_run(s):
    """Whether the last three beats or more are of a fast run that began at once, as a sinus rhythm does not."""
    return s.run >= 3 and s.run_rr < FAST_RR and math.log(s.run_before / s.run_rr) > AT_ONCE


@njit(cache=True)
def _back(s, k, otherwise):
    return s.long_rr[(s.n_long - k) % MANY] if s.n_long >= k else otherwise


@njit(cache=True)
def intervals(s, since, f):
    """Describe an interval, in samples, that is not noted yet, and the run that it may belong to."""
    rr = float(max(50, min(since, 500)))
    n_near, n_long = min(s.n_long, NEAR), min(s.n_long, MANY)
    near, far = _quantile(s.near_sorted, n_near, 0.5), _quantile(s.long_sorted, n_long, 0.5)
    f[SINCE_NEAR], f[SINCE_LONG] = math.log(rr / near), math.log(rr / far)
    last = rr
    alike, change = 9.0, 0.0
    for k in range(1, 5):
        past = _back(s, k, near)
        f[SINCE_LAST + k] = math.log(past / near)
        if k == 1:
            f[SINCE_LAST] = math.log(rr / past)
        alike = min(alike, abs(math.log(rr / past)))
        change += abs(math.log(last / past)) if k > 1 else 0.0
        last = past
    f[ALIKE], f[CHANGE] = alike, change / 3.0
    f[RANK_NEAR], f[RANK_LONG] = _rank(s.near_sorted, n_near, rr), _rank(s.long_sorted, n_long, rr)
    f[SPREAD_NEAR] = math.log(_quantile(s.near_sorted, n_near, 0.75) / _quantile(s.near_sorted, n_near, 0.25))
    f[SPREAD_LONG] = math.log(_quantile(s.long_sorted, n_long, 0.9) / _quantile(s.long_sorted, n_long, 0.1))
    f[JUMP] = _quantile(s.jump_sorted, max(0, min(s.n_long - 1, NEAR)), 0.5) if s.n_long > 1 else 0.0
    f[RATE] = math.log(near / 250.0)
    f[SHORTEST] = math.log(rr / _quantile(s.long_sorted, n_long, 0.1))
    f[EARLIER] = s.early
