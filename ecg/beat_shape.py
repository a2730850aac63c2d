"""The shape of a complex: its size, steepness and width, and how like the patient's known shapes it is."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ecg.beat_state import JOIN, POINTS, RING, SHAPE_LEADS, TEMPLATES

_BEFORE = 30
"""Samples of a template before the anchor, 120 ms."""
_MASK = RING - 1
_SPAN = 40
"""Samples on either side of the anchor that are measured, 160 ms."""
_FLANK = 4
"""Samples of a flank on either side of a point, 16 ms."""
_HALF_WAVE = 24
"""Samples of a wave on either side of its middle, 96 ms."""
_QUIET = 4
"""Samples of rest at which a QRS ends, 16 ms."""
SHAPES = 120
"""Numbers that shapes are given, one after another."""
_T_FIRST, _T_LAST, _T_FREE, _T_REST = 40, 110, 25, 15
"""Samples: where a T wave's peak may lie after its beat (160 to 440 ms), how far from the next beat, and from the end
of where it was looked for, so that it is a peak and not the begin of that beat."""


@njit(cache=True)
def measure(s, leads, anchor, m):
    """Measure the complex around `anchor`.

    Fills m with: size (p-p mV in the largest lead), steepness (levels a sample), width (ms, from the first to the last
    steep sample), fiducial (absolute sample of the largest deflection), mass (ms, steepness summed over the complex),
    sharpness (levels by which the flanks differ on either side of a point, at most).
    """
    activity = np.zeros(2 * _SPAN + 1)
    deflection = np.zeros(2 * _SPAN + 1)
    m[0], m[1], m[5] = 0.0, 0.0, 0.0
    for j in range(min(leads, SHAPE_LEADS)):
        q = s.lead[j]
        share = q.weight / q.level
        mean = 0.0
        for i in range(2 * _SPAN + 1):
            mean += s.ring[j, (anchor - _SPAN + i) & _MASK]
        mean /= 2 * _SPAN + 1
        low, high, steep, sharp = 1e9, -1e9, 0.0, 0.0
        for i in range(2 * _SPAN + 1):
            at = anchor - _SPAN + i
            v = s.ring[j, at & _MASK]
            d = abs(s.ring[j, (at + 1) & _MASK] - s.ring[j, (at - 1) & _MASK])
            activity[i] += share * d
            deflection[i] += share * abs(v - mean)
            if abs(i - _SPAN) <= 22:
                low, high, steep = min(low, v), max(high, v), max(steep, d)
                turn = s.ring[j, (at + _FLANK) & _MASK] + s.ring[j, (at - _FLANK) & _MASK] - 2.0 * v
                sharp = max(sharp, abs(turn))
        m[0] = max(m[0], high - low)
        m[1] += share * steep
        m[5] += share * sharp
    top, best, fiducial = 0, 0.0, _SPAN
    for i in range(_SPAN - 18, _SPAN + 19):
        if activity[i] > activity[top]:
            top = i
        if deflection[i] > best:
            best, fiducial = deflection[i], i
    m[3] = anchor - _SPAN + fiducial
    _extent(activity, top, m)


@njit(cache=True)
def _extent(activity, top, m):
    limit = 0.15 * activity[top]
    ends = (top, top)
    mass = activity[top]
    for way in (-1, 1):
        i, last = top + way, top
        while 0 <= i < len(activity) and abs(i - last) <= _QUIET:
            mass += activity[i]
            if activity[i] > limit:
                last = i
            i += way
        ends = (last, ends[1]) if way < 0 else (ends[0], last)
    m[2] = (ends[1] - ends[0]) * 4.0
    m[4] = mass / activity[top] * 4.0 if activity[top] > 0.0 else 0.0


@njit(cache=True)
def t_peak(s, leads, beat, following):
    """Return where the T wave of `beat` is highest (samples of the ring), before the beat that follows; -1: unknown.

    A beat that follows too early covers it: then it is thought to be as late as those before were.
    """
    best, lag = 0.0, -1
    end = min(_T_LAST, following - _T_FREE - beat) if s.time - beat < RING - 4 else 0
    for i in range(_T_FIRST, end):
        size = 0.0
        for j in range(min(leads, SHAPE_LEADS)):
            q = s.lead[j]
            v = s.ring[j, (beat + i) & _MASK] + s.ring[j, (beat + i - 2) & _MASK] + s.ring[j, (beat + i + 2) & _MASK]
            size += q.weight / q.level * abs(v)
        if size > best:
            best, lag = size, i
    if 0 < lag < end - _T_REST:
        s.t_lag += (lag - s.t_lag) * (0.1 if s.t_lag > 0.0 else 1.0)
        return beat + lag
    return beat + np.int64(s.t_lag) if s.t_lag > 0.0 else np.int64(-1)


@njit(cache=True)
def cut(s, leads, anchor, x):
    """Cut a complex out, x of shape (SHAPE_LEADS, POINTS), each lead less its mean; absent leads are zero."""
    for j in range(SHAPE_LEADS):
        if j >= leads:
            for k in range(POINTS):
                x[j, k] = 0.0
            continue
        mean = 0.0
        for k in range(POINTS):
            v = s.ring[j, (anchor - _BEFORE + 2 * k) & _MASK]
            x[j, k] = v
            mean += v
        mean /= POINTS
        for k in range(POINTS):
            x[j, k] -= mean


@njit(cache=True)
def likeness(s, leads, x, k, sums):
    """Return the correlation of x with template k over all leads, each by its weight and level; sums = xx, yy, xy."""
    y = s.template[k].shape
    sums[0], sums[1], sums[2] = 0.0, 0.0, 0.0
    for j in range(min(leads, SHAPE_LEADS)):
        q = s.lead[j]
        if q.blind_now > 0:
            continue
        share = q.weight / (q.level * q.level)
        xx, yy, xy = 0.0, 0.0, 0.0
        for i in range(POINTS):
            p, r = x[j, i], y[j, i]
            xx += p * p
            yy += r * r
            xy += p * r
        sums[0] += share * xx
        sums[1] += share * yy
        sums[2] += share * xy
    product = sums[0] * sums[1]
    return sums[2] / math.sqrt(product) if product > 0.0 else 0.0


@njit(cache=True)
def came_before(s, leads, anchor, back):
    """Return whether a wave like this one, in size too, lies so many samples before it, or up to 16 ms beside that."""
    if s.time - anchor + back + _HALF_WAVE + 4 >= RING:
        return False
    for shift in range(-4, 5, 2):
        xx, yy, xy = 0.0, 0.0, 0.0
        for j in range(min(leads, SHAPE_LEADS)):
            q = s.lead[j]
            share, mean, other = q.weight / (q.level * q.level), 0.0, 0.0
            for i in range(-_HALF_WAVE, _HALF_WAVE + 1, 2):
                mean += s.ring[j, (anchor + i) & _MASK]
                other += s.ring[j, (anchor - back + shift + i) & _MASK]
            mean, other = mean / (_HALF_WAVE + 1), other / (_HALF_WAVE + 1)
            for i in range(-_HALF_WAVE, _HALF_WAVE + 1, 2):
                u, v = s.ring[j, (anchor + i) & _MASK] - mean, s.ring[j, (anchor - back + shift + i) & _MASK] - other
                xx += share * u * u
                yy += share * v * v
                xy += share * u * v
        if xy > JOIN * math.sqrt(xx * yy) and 0.4 * xx < yy < 2.5 * xx:
            return True
    return False


@njit(cache=True)
def fit(s, leads, anchor, x, k, sums):
    """Move the complex up to 32 ms to where it is most like template k; returns (likeness, anchor), x cut there."""
    cut(s, leads, anchor, x)
    like, moved = likeness(s, leads, x, k, sums), anchor
    for way in (-2, 2):
        for n in range(1, 5):
            cut(s, leads, anchor + way * n, x)
            r = likeness(s, leads, x, k, sums)
            if r <= like:
                break
            like, moved = r, anchor + way * n
    cut(s, leads, moved, x)
    likeness(s, leads, x, k, sums)
    return like, moved


@njit(cache=True)
def recognise(s, leads, anchor, x, sums):
    """Find the template most like the complex; returns (template or -1, likeness), x cut where it fits best."""
    cut(s, leads, anchor, x)
    best, like = -1, -2.0
    for k in range(TEMPLATES):
        if s.template[k].count > 0:
            r = likeness(s, leads, x, k, sums)
            if r > like:
                best, like = k, r
    if best < 0:
        return -1, 0.0
    return best, fit(s, leads, anchor, x, best, sums)[0]


@njit(cache=True)
def learn(s, leads, anchor, template, like, x):
    """Let a beat's shape join the template that it is like, or begin one in place of the least used; returns which."""
    k = template
    if template < 0 or like < JOIN:
        cut(s, leads, anchor, x)  # x was moved to fit another
        k = 0
        for j in range(TEMPLATES):
            if j != s.dominant and (k == s.dominant or _worth(s, j) < _worth(s, k)):
                k = j
        s.template[k].count = 0
        s.template[k].share = 0.0
        s.template[k].number = s.n_shapes % SHAPES
        s.n_shapes += 1
    t = s.template[k]
    t.count += 1
    t.last = s.n_beats
    gain = max(1.0 / t.count, 0.1)
    for j in range(SHAPE_LEADS):
        for i in range(POINTS):
            t.shape[j, i] += (x[j, i] - t.shape[j, i]) * gain if t.count > 1 else x[j, i] - t.shape[j, i]
    for j in range(TEMPLATES):
        s.template[j].share *= 0.99
    t.share += 0.01
    return k


@njit(cache=True)
def _worth(s, k):
    t = s.template[k]
    return -1e18 if t.count == 0 else min(t.count, 20) * 20.0 + t.last
