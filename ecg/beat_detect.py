"""Where the beats are: a vote of all leads, peak by peak; thresholds follow each lead's own beats and noise."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ecg.beat_class import FEATURES, describe, evidence, remember, supraventricular, ventricular
from ecg.beat_shape import learn, measure, recognise
from ecg.beat_state import BOX, POINTS, RECENT, RING, SHAPE_LEADS

N, S, V = ord("N"), ord("S"), ord("V")
LEARNING = 400
HOLD = 40
DELAY = 19
SHAPE_DELAY = 2
"""Samples by which the shape lags behind the lead."""
SPIKE_MV = 0.3
"""A sample that stands out from both its neighbours by more is cut to this: a pacer's spike, no heart."""
REFRACTORY = 50
FLOOR_MV = 0.012
SMALLEST_MV = 0.16
MAX_LAG = 330


@njit(cache=True)
def _filter(q, value_mv, box_at):
    """Take one sample of a lead; returns its shape (1-35 Hz), and leaves the energy of its QRS band (5-20 Hz) in q."""
    if not math.isfinite(value_mv):
        v = q.held_mv
        q.blind = 60
    else:
        if q.blind == 60 or math.isnan(q.offset_mv):
            q.offset_mv = value_mv - q.held_mv
        v = min(500.0, max(-500.0, value_mv - q.offset_mv))
        if q.blind > 0:
            q.blind -= 1
    least, most = min(v, q.older_mv) - SPIKE_MV, max(v, q.older_mv) + SPIKE_MV
    q.older_mv, v, q.held_mv = q.held_mv, min(most, max(least, q.held_mv)), v
    low = q.low_z
    y = 0.99128002 * v + low[0]
    low[0] = -0.99128002 * v + 0.98256004 * y
    v = 0.11735104 * y + low[1]
    low[1] = 0.23470207 * y + 0.82523238 * v + low[2]
    low[2] = 0.11735104 * y - 0.29463653 * v
    band = q.band_z
    y = 0.91496914 * v + band[0]
    band[0] = -1.82993829 * v + 1.82269493 * y + band[1]
    band[1] = 0.91496914 * v - 0.83718165 * y
    w = 0.0461318 * y + band[2]
    band[2] = 0.0922636 * y + 1.30728503 * w + band[3]
    band[3] = 0.0461318 * y - 0.49181224 * w
    size = np.float32(abs(w))
    q.box_sum += size - q.box[box_at]
    q.box[box_at] = size
    q.energy = max(0.0, q.box_sum / BOX)
    return v


@njit(cache=True)
def _ranked(values, n, rank):
    kept = np.sort(values[: min(n, RECENT)])
    return kept[min(rank, len(kept) // 2)]


@njit(cache=True)
def _weigh(s, leads, rules):
    for j in range(leads):
        q = s.lead[j]
        ratio = (q.level - q.noise) / (q.level + q.noise)
        q.weight = max(0.02, ratio) ** rules.trust if q.level > FLOOR_MV else 0.001


@njit(cache=True)
def _vote(s, leads, rules):
    total, weights = 0.0, 0.0
    for j in range(leads):
        q = s.lead[j]
        if q.blind == 0 and q.weight > 0.0:
            noise = rules.noise_share * q.noise
            above = max(0.0, q.energy - noise) / max(q.level - noise, 0.2 * q.level)
            total += q.weight * min(rules.most_vote, above)
            weights += q.weight
    return total / weights if weights > 0.0 else 0.0


@njit(cache=True)
def _accept(s, leads, at, m, x, f, like, template, back):
    """Take a complex as a beat: levels, intervals, templates."""
    since = at - s.beat_at
    if s.beat_at >= 0 and REFRACTORY <= since <= 500:
        s.intervals[s.n_intervals % RECENT] = since
        s.n_intervals += 1
        s.interval = np.median(s.intervals[: min(s.n_intervals, RECENT)])
    s.beat_at = at
    s.beat_slope = m[1]
    found = s.found
    sample = max(np.int64(m[3]) - SHAPE_DELAY, found.sample + 1)
    found.rr_s = (sample - found.sample) / 250.0 if s.n_beats > 0 else np.nan
    found.sample = sample
    odds = ventricular(s, f)
    found.label = V if odds > 0.0 else S if supraventricular(s, f) > 0.0 else N
    found.width_ms = m[2]
    found.similarity = f[4]
    found.amplitude_mv = m[0]
    found.leads = 0
    for j in range(leads):
        q = s.lead[j]
        if (q.at_back if back else q.at_peak) > 0.3 * q.level:
            found.leads |= 1 << j
    s.back_at = -1
    for j in range(leads):
        q = s.lead[j]
        q.levels[s.n_beats % RECENT] = q.at_back if back else q.at_peak
    s.n_beats += 1
    for j in range(leads):
        q = s.lead[j]
        q.level = max(FLOOR_MV, _ranked(q.levels, s.n_beats, 3))
    k = learn(s, leads, at - DELAY, template, like, x)
    remember(s, k, f, m, odds)


@njit(cache=True)
def _reject(s, leads, at, points, t_wave, rules):
    """Take a peak as noise; the best since the last beat is kept for search-back."""
    for j in range(leads):
        q = s.lead[j]
        q.noises[s.n_noise % RECENT] = min(q.at_peak, rules.noise_cap * q.level)
    s.n_noise += 1
    for j in range(leads):
        q = s.lead[j]
        q.noise = _ranked(q.noises, s.n_noise, 4)
    if points > rules.back and not t_wave and (s.back_at < 0 or points > s.back):
        s.back, s.back_at, s.back_vote = points, at, s.peak
        for j in range(leads):
            q = s.lead[j]
            q.at_back = q.at_peak


@njit(cache=True)
def _judge(s, leads, m, x, x2, f, sums, rules):
    """Judge the peak that has stood for HOLD samples; True where it is a beat."""
    at, vote = s.peak_at, s.peak
    since = at - s.beat_at
    if since < REFRACTORY:
        return False
    points = -99.0
    if vote >= rules.least_vote:
        measure(s, leads, at - DELAY, m)
        if m[0] >= SMALLEST_MV:
            template, like = recognise(s, leads, at - DELAY, x, sums)
            describe(s, leads, at - DELAY, since, vote, m, template, like, x2, sums, f)
            points = evidence(f, since, rules)
            if points > 0.0:
                _accept(s, leads, at, m, x, f, like, template, False)
    if points <= 0.0:
        _reject(s, leads, at, points, since < 100 and f[20] < -0.5, rules)
    _weigh(s, leads, rules)
    return points > 0.0


@njit(cache=True)
def _search_back(s, leads, now, m, x, x2, f, sums, rules):
    """Take the best peak since the last beat as one after all, where none came for long."""
    if s.back_at < 0 or now - s.beat_at <= rules.gap * s.interval + HOLD:
        return False
    at = s.back_at
    if now - at > MAX_LAG:
        s.back_at = -1
        return False
    measure(s, leads, at - DELAY, m)
    template, like = recognise(s, leads, at - DELAY, x, sums)
    describe(s, leads, at - DELAY, at - s.beat_at, s.back_vote, m, template, like, x2, sums, f)
    _accept(s, leads, at, m, x, f, like, template, True)
    _weigh(s, leads, rules)
    return True


@njit(cache=True)
def _learn(s, leads):
    usable = False
    for j in range(leads):
        q = s.lead[j]
        if q.blind == 0:
            usable = True
            if s.learned > 60:
                q.largest = max(q.largest, q.energy)
    if usable:
        s.learned += 1
    if s.learned == LEARNING:
        for j in range(leads):
            q = s.lead[j]
            q.level = max(FLOOR_MV, 0.7 * q.largest)
        s.beat_at = s.time


@njit(cache=True)
def detect(state, rows, x, leads, count, rules, out, n_out):
    """Feed samples of beds; writes beats into out[b, :n_out[b]]."""
    m, sums, f = np.zeros(5), np.zeros(3), np.zeros(len(FEATURES))
    x1, x2 = np.zeros((SHAPE_LEADS, POINTS)), np.zeros((SHAPE_LEADS, POINTS))
    for b in range(len(rows)):
        s = state[rows[b]]
        n = 0
        for i in range(count[b]):
            t = s.time
            box_at = t % BOX
            for j in range(leads[b]):
                shape = _filter(s.lead[j], x[b, j, i], box_at)
                if j < SHAPE_LEADS:
                    s.ring[j, t & (RING - 1)] = shape
            s.time = t + 1
            if s.learned < LEARNING:
                _learn(s, leads[b])
                continue
            vote = _vote(s, leads[b], rules)
            hit = False
            if s.rising == 0 and vote > s.vote:
                s.rising, s.peak = 1, 0.0
            if s.rising == 1:
                if vote > s.peak:
                    s.peak, s.peak_at = vote, t
                    for j in range(leads[b]):
                        q = s.lead[j]
                        q.at_peak = q.energy
                elif t - s.peak_at >= HOLD:
                    s.rising = 0
                    hit = _judge(s, leads[b], m, x1, x2, f, sums, rules)
            s.vote = vote
            if not hit:
                hit = _search_back(s, leads[b], t, m, x1, x2, f, sums, rules)
            if hit:
                s.found.confirmed = t
                out[b, n] = s.found
                n += 1
            since = t - s.beat_at
            if since > 500 and since % 50 == 0:
                for j in range(leads[b]):
                    q = s.lead[j]
                    q.level = max(FLOOR_MV, 0.85 * q.level)
        n_out[b] = n
