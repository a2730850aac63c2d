"""What the beat detector hears of a lead: its shape without wander and noise, and the energy of its QRS band."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ecg.beat_state import BOX, RING

BLOCK = 64
"""Samples that are filtered at once; what is decided does not depend on it."""
BLIND = 60
"""Samples after a gap during which a lead does not vote, 0.24 s."""
SHAPE_DELAY = 2
"""Samples by which the shape lags behind the lead."""
SPIKE_MV = 0.3
"""A sample that stands out from both its neighbours by more is cut to this: a pacer's spike, no heart."""


@njit(cache=True)
def filtered(q, x, t, shape, energy, blind):
    """Take up to BLOCK samples of a lead; gives its shape (1-35 Hz, into its ring) and the energy of its QRS band.

    The numbers are Butterworth filters at 250 Hz: high-pass 0.7 Hz, low-pass 35 Hz; high-pass 5 Hz, low-pass 20 Hz.
    """
    offset, held, older, wait, total = q.offset_mv, q.held_mv, q.older_mv, q.blind, q.box_sum
    a0, a1, a2 = q.low_z[0], q.low_z[1], q.low_z[2]
    b0, b1, b2, b3 = q.band_z[0], q.band_z[1], q.band_z[2], q.band_z[3]
    at = t % BOX
    for i in range(len(x)):
        v = held
        if not math.isfinite(x[i]):
            wait = BLIND
        else:
            if wait == BLIND or math.isnan(offset):
                offset = x[i] - held
            v = min(500.0, max(-500.0, x[i] - offset))
            wait = max(0, wait - 1)
        w = min(max(v, older) + SPIKE_MV, max(min(v, older) - SPIKE_MV, held))
        older, held = held, v
        y = 0.99128002 * w + a0
        a0 = -0.99128002 * w + 0.98256004 * y
        v = 0.11735104 * y + a1
        a1 = 0.23470207 * y + 0.82523238 * v + a2
        a2 = 0.11735104 * y - 0.29463653 * v
        shape[(t + i) & (RING - 1)] = v
        y = 0.91496914 * v + b0
        b0 = -1.82993829 * v + 1.82269493 * y + b1
        b1 = 0.91496914 * v - 0.83718165 * y
        w = 0.0461318 * y + b2
        b2 = 0.0922636 * y + 1.30728503 * w + b3
        b3 = 0.0461318 * y - 0.49181224 * w
        size = np.float32(abs(w))
        total += size - q.box[at]
        q.box[at] = size
        at = at + 1 if at + 1 < BOX else 0
        energy[i] = max(0.0, total * (1.0 / BOX))
        blind[i] = wait
    q.offset_mv, q.held_mv, q.older_mv, q.blind, q.box_sum = offset, held, older, wait, total
    q.low_z[0], q.low_z[1], q.low_z[2] = a0, a1, a2
    q.band_z[0], q.band_z[1], q.band_z[2], q.band_z[3] = b0, b1, b2, b3


@njit(cache=True)
def _settle_one(z):
    for k in range(len(z)):
        if abs(z[k]) < 1e-30:
            z[k] = 0.0


@njit(cache=True)
def settle(s, leads):
    """Bring filters that hear nothing to exact rest: numbers near the smallest that there are would be slow."""
    for j in range(leads):
        q = s.lead[j]
        _settle_one(q.low_z)
        _settle_one(q.band_z)
