"""What a beat is like beside those before it: intervals over minutes, and waves before and after the QRS."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ecg.beat_class import APART, N_FEATURES
from ecg.beat_state import JOIN, MANY, NEAR, RING, SHAPE_LEADS, WIDE

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
P_LIKE = FIRST + 16  # likeness of what is before the QRS to the normal beat's
P_REST = FIRST + 17  # energy of the difference over the normal QRS's
P_SIZE = FIRST + 18  # energy before the normal QRS over the QRS's
P_NOW = FIRST + 19  # energy before this QRS over the normal QRS's
Q_LIKE = FIRST + 20  # the same two of the QRS
Q_GAIN = FIRST + 21
T_LIKE = FIRST + 22  # of what comes after the QRS
T_GAIN = FIRST + 23
LEAST_LIKE = FIRST + 24  # likeness of the QRS lead by lead: the smallest and the largest
MOST_LIKE = FIRST + 25
P_USUAL = FIRST + 26  # P_LIKE of normal beats, of late
P_CHANGE = FIRST + 27  # how much less P_LIKE is
P_MORE = FIRST + 28  # how much more P_REST is than for normal beats of late
LAST_LIKE = FIRST + 29  # likeness to the beat before
COUNT = FIRST + 30  # beats of its shape
THICK = FIRST + 31  # width by mass of its shape over the normal one's
T_RR = FIRST + 32  # interval before beats of its shape over the median
T_NEXT = FIRST + 33  # interval after beats of its shape over the median
T_V = FIRST + 34  # share of its shape's beats that looked ventricular
LAST_ODDS = FIRST + 35  # first impression of the beat before: log-odds of being ventricular
ODDS = FIRST + 36  # and of this one
EARLIER = FIRST + 37  # share of the last beats that came early
WIDTH = FIRST + 38  # width, over 100 ms
P_BEST = FIRST + 39  # P_LIKE, moved up to 40 ms
EARLY_ODDS = FIRST + 40  # first impression of having come early, log-odds
N_CONTEXT = FIRST + 41

RUN_CHANGE = 0.15
"""Change of an interval, as logarithm, by which a run begins or ends."""
RUN_KEPT = 8
"""Intervals outside a run after which it is forgotten."""
AT_ONCE = 0.3
"""Change, as logarithm, from the intervals before a run to its own, from which on it began at once: by a quarter."""
FAST_RR = 150.0
"""A supraventricular run is faster than this interval, in samples: 100 a minute."""
_BEFORE = 74
"""Samples of the long shape before the anchor, 296 ms; every second one is kept, up to 192 ms behind it."""
_P_END = 29
_P_MOVED = 5
_Q_FIRST, _Q_END = 28, 48
_T_FIRST = 46
_MASK = RING - 1


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
def note_run(s, rr, near):
    """Follow a run of beats that began to come faster from one to the next; it outlasts a few longer intervals."""
    if s.run_kept > 0:
        change = math.log(rr / s.run_rr)
        if change > RUN_CHANGE:
            s.run, s.run_kept = 0, s.run_kept - 1
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
    note_run(s, rr, near)


@njit(cache=True)
def _part(s, leads, x, y, first, end, shift, sums):
    """Sum xx, yy, xy over leads of part of two long shapes, each less its mean there."""
    sums[0], sums[1], sums[2] = 0.0, 0.0, 0.0
    n = end - first
    for j in range(min(leads, SHAPE_LEADS)):
        q = s.lead[j]
        if q.blind_now > 0:
            continue
        share = q.weight / (q.level * q.level)
        a, b, aa, bb, ab = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(first, end):
            u, v = x[j, i + shift], y[j, i]
            a += u
            b += v
            aa += u * u
            bb += v * v
            ab += u * v
        sums[0] += share * (aa - a * a / n)
        sums[1] += share * (bb - b * b / n)
        sums[2] += share * (ab - a * b / n)


@njit(cache=True)
def _r(sums):
    product = sums[0] * sums[1]
    return sums[2] / math.sqrt(product) if product > 1e-18 else 0.0


@njit(cache=True)
def _log(a, b):
    return math.log((a + 1e-6) / (b + 1e-6))


@njit(cache=True)
def cut_long(s, leads, anchor, x):
    """Cut a complex with what is before and after it out of the ring, x of shape (SHAPE_LEADS, WIDE)."""
    for j in range(min(leads, SHAPE_LEADS)):
        for k in range(WIDE):
            x[j, k] = s.ring[j, (anchor - _BEFORE + 2 * k) & _MASK]


@njit(cache=True)
def _lead_by_lead(s, leads, x, f):
    """Compare the QRS with the normal beat's in each lead that shows it."""
    least, most = 2.0, -2.0
    n = _Q_END - _Q_FIRST
    for j in range(min(leads, SHAPE_LEADS)):
        if s.lead[j].blind_now > 0 or s.lead[j].weight < 0.1:
            continue
        a, b, aa, bb, ab = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(_Q_FIRST, _Q_END):
            u, v = x[j, i], s.long[j, i]
            a += u
            b += v
            aa += u * u
            bb += v * v
            ab += u * v
        product = (aa - a * a / n) * (bb - b * b / n)
        r = (ab - a * b / n) / math.sqrt(product) if product > 1e-12 else 0.0
        least, most = min(least, r), max(most, r)
    f[LEAST_LIKE], f[MOST_LIKE] = (least, most) if least < 1.5 else (f[Q_LIKE], f[Q_LIKE])


@njit(cache=True)
def waves(s, leads, x, sums, f):
    """Compare a long shape, part by part, with the normal beat's and with the last beat's."""
    f[P_LIKE : LAST_LIKE + 1] = 0.0
    f[P_BEST] = 0.0
    if s.n_beats > 0:
        _part(s, leads, x, s.last_long, _Q_FIRST, _Q_END, 0, sums)
        f[LAST_LIKE] = _r(sums)
    if s.dominant < 0 or s.long_count < 3:
        return
    y = s.long
    _part(s, leads, x, y, _Q_FIRST, _Q_END, 0, sums)
    size = sums[1]
    f[Q_LIKE], f[Q_GAIN] = _r(sums), _log(sums[0], sums[1])
    _part(s, leads, x, y, 0, _P_END, 0, sums)
    f[P_LIKE] = f[P_BEST] = _r(sums)
    rest = max(0.0, sums[0] + sums[1] - 2.0 * sums[2])
    f[P_REST], f[P_SIZE], f[P_NOW] = _log(rest, size), _log(sums[1], size), _log(sums[0], size)
    for shift in range(-_P_MOVED, _P_MOVED + 1):
        _part(s, leads, x, y, _P_MOVED, _P_END - _P_MOVED, shift, sums)
        f[P_BEST] = max(f[P_BEST], _r(sums))
    _part(s, leads, x, y, _T_FIRST, WIDE, 0, sums)
    f[T_LIKE], f[T_GAIN] = _r(sums), _log(sums[0], sums[1])
    _lead_by_lead(s, leads, x, f)
    f[P_USUAL], f[P_CHANGE], f[P_MORE] = s.p_usual, s.p_usual - f[P_LIKE], f[P_REST] - s.p_rest


@njit(cache=True)
def shape_history(s, template, joins, m, f):
    """Describe the shape that a beat has by the beats that had it before."""
    for k in range(COUNT, T_V + 1):
        f[k] = 0.0
    if joins:
        t = s.template[template]
        f[COUNT] = math.log(1.0 + t.count)
        normal = s.template[s.dominant].mass_ms if s.dominant >= 0 else 80.0
        f[THICK] = math.log(max(t.mass_ms, 8.0) / max(normal, 8.0))
        f[T_RR], f[T_NEXT], f[T_V] = t.before, t.after, t.ventricular
    elif s.dominant >= 0:
        f[THICK] = math.log(max(m[4], 8.0) / max(s.template[s.dominant].mass_ms, 8.0))


@njit(cache=True)
def describe_beat(s, leads, anchor, since, template, like, m, x, sums, f):
    """Describe a beat beside those before it; x, of shape (SHAPE_LEADS, WIDE), is filled with its long shape."""
    intervals(s, since, f)
    cut_long(s, leads, anchor, x)
    waves(s, leads, x, sums, f)
    shape_history(s, template, template >= 0 and like > JOIN, m, f)
    f[LAST_ODDS], f[WIDTH] = s.last_odds, m[2] * 0.01


@njit(cache=True)
def learn_context(s, leads, k, x, f):
    """Note what a beat says of its shape, and of what comes before and after a normal beat."""
    if s.shape_last >= 0:
        t = s.template[s.shape_last]
        if t.number == s.shape_number:
            t.after += max(1.0 / t.count, 0.1) * (f[SINCE_NEAR] - t.after)
    t = s.template[k]
    t.before += max(1.0 / t.count, 0.1) * (f[SINCE_NEAR] - t.before) if t.count > 1 else f[SINCE_NEAR] - t.before
    if t.count == 1:
        t.after = 0.0
    s.shape_last, s.shape_number = k, t.number
    s.last_odds = f[ODDS]
    for j in range(min(leads, SHAPE_LEADS)):
        for i in range(WIDE):
            s.last_long[j, i] = x[j, i]
    if s.dominant < 0:
        return
    if s.template[s.dominant].number != s.long_of:
        s.long_of, s.long_count = s.template[s.dominant].number, 0
    if k != s.dominant or s.run_kept > 0 or f[SINCE_NEAR] < -0.12 or (s.long_count >= 3 and f[APART] < 0.5):
        return
    s.long_count += 1
    gain = max(1.0 / s.long_count, 0.04)
    for j in range(min(leads, SHAPE_LEADS)):
        for i in range(WIDE):
            s.long[j, i] += gain * (x[j, i] - s.long[j, i])
    if s.long_count == 4:
        s.p_usual, s.p_rest = f[P_LIKE], f[P_REST]
    elif s.long_count > 4:
        s.p_usual += 0.04 * (f[P_LIKE] - s.p_usual)
        s.p_rest += 0.04 * (f[P_REST] - s.p_rest)
