"""The shape of a complex: its size, steepness and width, and how like the patient's known shapes it is."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ecg.beat_state import POINTS, RING, SHAPE_LEADS, TEMPLATES

_BEFORE = 30
"""Samples of a template before the anchor, 120 ms."""
_MASK = RING - 1


@njit(cache=True)
def measure(s, leads, anchor, out):
    """Measure the complex around `anchor`: out = [p-p mV, slope in levels a sample, width ms, fiducial]."""
    n = min(leads, SHAPE_LEADS)
    ring = s.ring
    act = np.zeros(81)
    dev = np.zeros(81)
    pp_max = 0.0
    slope = 0.0
    for j in range(n):
        q = s.lead[j]
        if q.weight <= 0.0:
            continue
        u = q.weight / q.level
        lo, hi, steep, mean = 1e9, -1e9, 0.0, 0.0
        for i in range(81):
            mean += ring[j, (anchor - 40 + i) & _MASK]
        mean /= 81.0
        for i in range(81):
            at = anchor - 40 + i
            v = ring[j, at & _MASK]
            d = abs(ring[j, (at + 1) & _MASK] - ring[j, (at - 1) & _MASK])
            act[i] += u * d
            dev[i] += u * abs(v - mean)
            if 18 <= i <= 62:
                lo, hi = min(lo, v), max(hi, v)
                steep = max(steep, d)
        pp_max = max(pp_max, hi - lo)
        slope += u * steep
    top, best, fid = 0.0, 0.0, 40
    for i in range(22, 59):
        top = max(top, act[i])
        if dev[i] > best:
            best, fid = dev[i], i
    first, last = 40, 40
    limit = 0.2 * top
    for i in range(10, 71):
        if act[i] > limit:
            first = min(first, i)
            last = max(last, i)
    out[0] = pp_max
    out[1] = slope
    out[2] = (last - first) * 4.0
    out[3] = anchor - 40 + fid


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
def likeness(s, leads, x, k):
    """Return the correlation of x with template k over all leads, each lead by its weight and level."""
    y = s.template[k].shape
    xy, xx, yy = 0.0, 0.0, 0.0
    for j in range(min(leads, SHAPE_LEADS)):
        q = s.lead[j]
        if q.weight <= 0.0:
            continue
        u = q.weight / (q.level * q.level)
        a, b, c = 0.0, 0.0, 0.0
        for i in range(POINTS):
            p, r = x[j, i], y[j, i]
            a += p * r
            b += p * p
            c += r * r
        xy += u * a
        xx += u * b
        yy += u * c
    return xy / math.sqrt(xx * yy) if xx * yy > 0.0 else 0.0


@njit(cache=True)
def recognise(s, leads, anchor, x):
    """Find the template most like the complex; returns (template or -1, likeness, anchor moved to fit it)."""
    cut(s, leads, anchor, x)
    best, like = -1, -2.0
    for k in range(TEMPLATES):
        if s.template[k].count > 0:
            r = likeness(s, leads, x, k)
            if r > like:
                best, like = k, r
    if best < 0:
        return -1, 0.0, anchor
    moved = anchor
    for step in (-1, 1):
        for n in range(1, 5):
            cut(s, leads, anchor + 2 * step * n, x)
            r = likeness(s, leads, x, best)
            if r <= like:
                break
            like, moved = r, anchor + 2 * step * n
    cut(s, leads, moved, x)
    return best, like, moved
