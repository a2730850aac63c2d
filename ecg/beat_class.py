"""What a complex is: described in a few numbers against the patient's normal beat, and named from them."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ecg.beat_shape import came_before, fit
from ecg.beat_state import JOIN, RECENT, TEMPLATES

# what a complex is described by; a feature that cannot be said yet is 0
VOTE = 0  # log of the leads' vote
AGREE = 1  # log of the smallest vote among the trusted leads
LIKE = 2  # likeness to the nearest shape that was seen before
KNOWN = 3  # the same, where that shape was seen three times
NORMAL = 4  # likeness to the patient's normal beat
APART = 5  # the same, in size too
GAIN = 6  # log of size over the normal beat's
STEEP = 7  # log of steepness over the normal beat's
MASS = 8  # log of width, by mass, over 100 ms
EARLY = 9  # log of the interval over the median one
BEFORE = 10  # the same of the beat before
UNEVEN = 11  # how uneven the last intervals were
SHARE = 12  # of the last hundred beats, how many had this shape
HABIT = 13  # how often, of late, beats of this shape came early
LAST_STEEP = 14  # log of steepness over the last beat's
SINCE = 15  # seconds since the last beat
N_FEATURES = 16

_OWN, _MOSTLY, _ESTABLISHED = 200, 0.8, 60
"""Beats of one shape, and their share of late, from which on it is the patient's own, though wide and fast, where
no other shape was there for so many beats."""
T_WAVE, BLUNT = 80, 0.67
"""Samples after a beat, 320 ms, up to which a complex whose turns are less sharp than this share of its is a T wave."""


@njit(cache=True)
def silent(s, q):
    """Return whether a lead showed next to nothing of the last two beats: it has failed, and does not disagree."""
    limit = 0.2 * q.level
    return q.levels[(s.n_beats - 1) % RECENT] < limit and q.levels[(s.n_beats - 2) % RECENT] < limit


@njit(cache=True)
def describe(s, leads, anchor, since, vote, m, template, like, x, sums, f):
    """Describe a complex against what the bed has shown; returns its anchor, moved to fit the normal beat's."""
    moved = anchor
    f[VOTE] = math.log(max(vote, 0.02))
    agree, weights = 9.0, 0.0
    for j in range(leads):
        q = s.lead[j]
        weights = max(weights, q.weight)
    for j in range(leads):
        q = s.lead[j]
        if q.weight > 0.3 * weights and q.blind_now == 0 and not silent(s, q):
            agree = min(agree, q.at_peak / q.level)
    f[AGREE] = math.log(max(agree, 0.1))
    f[LIKE] = like
    count = s.template[template].count if template >= 0 else 0
    f[KNOWN] = like if count >= 3 else 0.0
    f[HABIT] = s.template[template].early if template >= 0 and like > JOIN else 0.0
    f[SHARE] = 0.0
    if template >= 0 and like > JOIN:
        t = s.template[template]
        f[SHARE] = t.share if t.ventricular < 0.5 or t.interval > 150.0 else 0.0
    f[NORMAL], f[APART], f[GAIN], f[STEEP] = 0.0, 0.0, 0.0, 0.0
    if s.dominant >= 0:
        t = s.template[s.dominant]
        f[NORMAL], moved = fit(s, leads, anchor, x, s.dominant, sums)
        f[APART] = 2 * sums[2] / (sums[0] + sums[1]) if sums[0] + sums[1] > 0.0 else 0.0
        f[GAIN] = 0.5 * math.log(max(sums[0], 1e-9) / max(sums[1], 1e-9))
        f[STEEP] = math.log(max(m[1], 1e-9) / max(t.steep, 1e-9))
    f[MASS] = math.log(max(m[4], 8.0) / 100.0)
    f[EARLY] = math.log(min(since, 500) / s.interval)
    f[BEFORE] = math.log(max(s.found.rr_s, 0.1) * 250 / s.interval) if s.found.rr_s > 0 else 0.0
    n = min(s.n_intervals, len(s.intervals))
    uneven = 0.0
    for i in range(n):
        uneven += abs(math.log(s.intervals[i] / s.interval))
    f[UNEVEN] = uneven / max(n, 1)
    f[LAST_STEEP] = math.log(max(m[1], 1e-9) / s.beat_slope) if s.beat_slope > 0.0 else 0.0
    f[SINCE] = since * 0.004
    return moved


@njit(cache=True)
def evidence(f, since, w):
    """Return the points that speak for a complex being a beat; above 0 it is one."""
    points = w.base + w.vote * min(0.0, f[VOTE]) + w.agree * min(0.0, f[AGREE])
    points += w.like * max(0.5, f[LIKE]) + w.known * max(0.0, f[KNOWN]) + w.apart * max(0.0, f[APART])
    points += w.early * max(-0.7, min(0.0, f[EARLY])) + w.steep * min(0.0, f[STEEP])
    if since < 100:
        points += w.t_wave * min(0.0, f[LAST_STEEP]) * (2.0 if since < 80 else 1.0)
    return points


@njit(cache=True)
def is_t_wave(s, leads, anchor, m, since):
    """Return whether a complex is the T wave of the beat before, however tall: soon after it, less steep and blunter.

    A half sine turns over its whole width, a QRS within a few samples, so that a T wave of the QRS's steepness, or a
    little less, has far less sharp a turn. So has a wide beat that falls upon a T wave; yet a T wave comes after each
    beat: the same wave lies one interval before, or two, where the one before was taken for a beat.
    """
    if since >= T_WAVE or m[1] >= s.beat_slope or m[5] >= BLUNT * s.beat_sharp or s.n_intervals < 2:
        return False
    last = np.int64(s.intervals[(s.n_intervals - 1) % RECENT])
    older = last + np.int64(s.intervals[(s.n_intervals - 2) % RECENT])
    return came_before(s, leads, anchor, last) or came_before(s, leads, anchor, older)


@njit(cache=True)
def ventricular(s, f, w):
    """Return the first impression: the log-odds of being ventricular rather than normal or supraventricular."""
    if s.dominant < 0:
        return 8.0 * (f[MASS] + 0.2)
    early = max(-0.7, min(0.1, f[EARLY]))
    z = (
        w.base
        + w.apart * f[APART]
        + w.very_like * max(0.0, f[APART] - 0.8)
        + w.early * early
        + w.gain * f[GAIN]
        + w.habit * f[HABIT]
        + w.mass * f[MASS]
    )
    common = min(0.3, f[SHARE]) * (1.0 - f[HABIT])
    z = z + w.steep * f[STEEP] + w.before * max(-0.5, min(0.7, f[BEFORE]))
    return z + w.uneven * f[UNEVEN] + w.common * common


@njit(cache=True)
def supraventricular(s, f, w):
    """Return the first impression of what is not ventricular: the log-odds of having come early from above."""
    if s.dominant < 0:
        return -1.0
    z = w.base + w.early * min(0.0, f[EARLY] + 0.1) + w.earlier * min(0.0, f[EARLY] + 0.25)
    return z + w.uneven * f[UNEVEN] + w.before * min(0.0, f[BEFORE])


@njit(cache=True)
def remember(s, k, f, m, odds):
    """Note what a beat says of its template, and which template is the patient's normal beat."""
    t = s.template[k]
    gain = max(1.0 / t.count, 0.1)
    t.steep += gain * (m[1] - t.steep)
    t.width_ms += gain * (m[2] - t.width_ms)
    t.mass_ms += gain * (m[4] - t.mass_ms)
    t.interval += gain * (min(f[SINCE], 2.0) * 250.0 - t.interval)
    t.early += gain * ((1.0 if f[EARLY] < -0.12 else 0.0) - t.early)
    t.ventricular += gain * ((1.0 if odds > 0.0 else 0.0) - t.ventricular)
    best, most = s.dominant, -1.0
    unknown = s.dominant < 0 or s.template[s.dominant].count < _ESTABLISHED
    for j in range(TEMPLATES):
        c = s.template[j]
        slow = c.interval > 150.0  # below 100 bpm
        ordinary = c.ventricular < 0.5 and (c.mass_ms < 82.0 or c.count >= 60)
        own = unknown and c.count >= _OWN and c.share > _MOSTLY and c.interval > 125.0  # below 120 bpm
        if c.count >= 3 and (slow or ordinary or own):
            score = c.share * (1.0 - 0.8 * c.early) * (1.0 - 0.9 * c.ventricular) / max(c.mass_ms, 30.0)
            score *= 1.5 if j == s.dominant else 1.0
            if score > most:
                best, most = j, score
    s.dominant = best
