"""Where the beats are: a vote of all leads, peak by peak; thresholds follow each lead's own beats and noise."""

from __future__ import annotations

import numpy as np
from numba import njit

from ecg.beat_class import (
    LAST_STEEP,
    NORMAL,
    describe,
    evidence,
    is_t_wave,
    remember,
    supraventricular,
    ventricular,
)
from ecg.beat_context import (
    EARLY_ODDS,
    N_CONTEXT,
    ODDS,
    beat_odds,
    describe_beat,
    is_none,
    learn_context,
    ventricular_or_early,
)
from ecg.beat_filter import BLOCK, SHAPE_DELAY, filtered, settle
from ecg.beat_intervals import note_interval, note_run
from ecg.beat_shape import learn, measure, recognise, t_peak
from ecg.beat_state import MAX_LEADS, POINTS, RECENT, RING, SHAPE_LEADS, WIDE

N, S, V, F, Q = ord("N"), ord("S"), ord("V"), ord("F"), ord("Q")
LEARNING = 400
"""Samples with a signal before the first beat is sought, 1.6 s."""
HOLD = 40
"""Samples that a peak must stand before it is judged, 160 ms."""
DELAY = 19
"""Samples from a complex's middle, in the shape, to the peak of the vote."""
REFRACTORY = 50
"""Samples after a beat in which there is no other, 200 ms: 300 bpm."""
FLOOR_MV = 0.012
"""Level below which a lead is thought to show nothing."""
NO_LOG = np.zeros((0, 2 + N_CONTEXT))
"""What `detect` takes where nobody asks what beats were chosen from."""
SMALLEST_MV = 0.16
"""A complex smaller than this, from peak to peak in the largest lead, is no beat (IEC 60601-2-27: 0.15 mV is not)."""
MAX_LAG = 330
"""Samples that search-back looks back: a beat is confirmed within 1.5 s."""


@njit(cache=True)
def _ranked(values, n, rank):
    kept = np.sort(values[: min(n, RECENT)])
    return kept[min(rank, len(kept) // 2)]


@njit(cache=True)
def _weigh(s, leads, levels):
    """Bring the leads' weights, and what turns their energy into a vote, in line with their levels."""
    for j in range(leads):
        q = s.lead[j]
        ratio = (q.level - q.noise) / (q.level + q.noise)
        q.weight = max(0.02, ratio) ** levels.trust if q.level > FLOOR_MV else 0.001
        q.taken_off = levels.noise_share * q.noise
        q.gain = 1.0 / max(q.level - q.taken_off, 0.2 * q.level)


@njit(cache=True)
def _vote(s, leads, energy, blind, i, levels):
    total, weights = 0.0, 0.0
    for j in range(leads):
        if blind[j, i] == 0:
            q = s.lead[j]
            total += q.weight * min(levels.most_vote, max(0.0, energy[j, i] - q.taken_off) * q.gain)
            weights += q.weight
    return total / weights if weights > 0.0 else 0.0


@njit(cache=True)
def _impress(s, leads, moved, since, like, template, scratch, of_v, of_s):
    """Describe a complex that may be a beat beside those before it, and give a first impression of its class."""
    m, long, f, sums = scratch[0], scratch[3], scratch[4], scratch[5]
    describe_beat(s, leads, moved, since, template, like, m, long, sums, f)
    f[ODDS], f[EARLY_ODDS] = ventricular(s, f, of_v), supraventricular(s, f, of_s)


@njit(cache=True)
def _accept(s, leads, at, scratch, like, template, back, unsure, judges):
    """Take a complex that is described as a beat: levels, intervals, templates.

    One of no class that may be none, `unsure`, is unclassifiable; its shape is remembered all the same, or a heart
    whose beats change for good would stay so.
    """
    m, x, long, f = scratch[0], scratch[1], scratch[3], scratch[4]
    since = at - s.beat_at
    note_run(s, since)
    if s.beat_at >= 0 and REFRACTORY <= since <= 500:
        s.intervals[s.n_intervals % RECENT] = since
        s.n_intervals += 1
        s.interval = np.median(s.intervals[: min(s.n_intervals, RECENT)])
        note_interval(s, since)
    s.beat_at = at
    s.beat_slope, s.beat_sharp = m[1], m[5]
    found = s.found
    sample = max(np.int64(m[3]) - SHAPE_DELAY, found.sample + 1)
    t_at = t_peak(s, leads, found.sample + SHAPE_DELAY, np.int64(m[3])) if found.sample >= 0 else np.int64(-1)
    found.t_peak = t_at - SHAPE_DELAY if t_at >= 0 else t_at
    found.rr_s = (sample - found.sample) / 250.0 if s.n_beats > 0 else np.nan
    found.sample = sample
    kind = ventricular_or_early(s, f, f[ODDS], judges)
    found.label = V if kind == 1 else S if kind == 2 else F if kind == 3 else Q if unsure else N
    found.width_ms = m[2]
    found.similarity = f[NORMAL]
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
    found.shape = s.template[k].number
    remember(s, k, f, m, f[ODDS])
    learn_context(s, leads, k, long, f)


@njit(cache=True)
def _reject(s, leads, at, points, t_wave, levels):
    """Take a peak as noise; the best since the last beat is kept for search-back."""
    for j in range(leads):
        q = s.lead[j]
        q.noises[s.n_noise % RECENT] = min(q.at_peak, levels.noise_cap * q.level)
    s.n_noise += 1
    for j in range(leads):
        q = s.lead[j]
        q.noise = _ranked(q.noises, s.n_noise, 4)
    if points > levels.back and not t_wave and (s.back_at < 0 or points > s.back):
        s.back, s.back_at, s.back_vote = points, at, s.peak
        for j in range(leads):
            q = s.lead[j]
            q.at_back = q.at_peak


@njit(cache=True)
def _note(log, at, taken, f):
    """Write a complex into the log, if there is one: its middle, whether it is a beat (2: after all), and features."""
    k = int(log[0, 0]) + 1 if len(log) else 0
    if k < len(log):
        log[0, 0] = k
        log[k, 0], log[k, 1] = at - DELAY - SHAPE_DELAY, taken
        log[k, 2:] = f


@njit(cache=True)
def _judge(s, leads, scratch, rules):
    """Judge the peak that has stood for HOLD samples; True where it is a beat."""
    m, x, x2, _, f, sums, log = scratch
    levels, weights = rules.levels, rules.weights
    at, vote = s.peak_at, s.peak
    since = at - s.beat_at
    if since < REFRACTORY:
        return False
    points, t_wave = -99.0, False
    if vote >= levels.least_vote:
        measure(s, leads, at - DELAY, m)
        if m[0] >= SMALLEST_MV:
            template, like = recognise(s, leads, at - DELAY, x, sums)
            moved = describe(s, leads, at - DELAY, since, vote, m, template, like, x2, sums, f)
            t_wave = is_t_wave(s, leads, at - DELAY, m, since)
            points = evidence(f, since, weights.evidence)
            points = min(0.0, points) if t_wave else points
            if points > 0.0:
                _impress(s, leads, moved, since, like, template, scratch, weights.ventricular, weights.supraventricular)
                odds = beat_odds(s, f, weights.doubt)
                if is_none(s, odds):
                    points = 0.0
                else:
                    _accept(s, leads, at, scratch, like, template, False, odds < 0.0, weights.judges)
            _note(log, at, 1 if points > 0.0 else 0, f)
    if points <= 0.0:
        _reject(s, leads, at, points, t_wave or (since < 100 and f[LAST_STEEP] < -0.5), levels)
    _weigh(s, leads, levels)
    return points > 0.0


@njit(cache=True)
def _search_back(s, leads, now, scratch, rules):
    """Take the best peak since the last beat as one after all, where none came for long."""
    m, x, x2, _, f, sums, log = scratch
    weights, at = rules.weights, s.back_at
    if now - at > MAX_LAG:
        s.back_at = -1
        return False
    measure(s, leads, at - DELAY, m)
    template, like = recognise(s, leads, at - DELAY, x, sums)
    moved = describe(s, leads, at - DELAY, at - s.beat_at, s.back_vote, m, template, like, x2, sums, f)
    _impress(s, leads, moved, at - s.beat_at, like, template, scratch, weights.ventricular, weights.supraventricular)
    _accept(s, leads, at, scratch, like, template, True, False, weights.judges)
    _note(log, at, 2, f)
    _weigh(s, leads, rules.levels)
    return True


@njit(cache=True)
def _learn(s, leads, energy, blind, i, levels):
    usable = False
    for j in range(leads):
        if blind[j, i] == 0:
            usable = True
            if s.learned > 60:
                s.lead[j].largest = max(s.lead[j].largest, energy[j, i])
    if usable:
        s.learned += 1
    if s.learned == LEARNING:
        for j in range(leads):
            q = s.lead[j]
            q.level = max(FLOOR_MV, 0.7 * q.largest)
        _weigh(s, leads, levels)
        s.beat_at = s.time


@njit(cache=True)
def _mark_blind(s, leads, blind, i):
    for j in range(leads):
        s.lead[j].blind_now = blind[j, i]


@njit(cache=True)
def _fade(s, leads, levels):
    """Let the levels sink while no beat comes, so that smaller ones are found."""
    for j in range(leads):
        s.lead[j].level = max(FLOOR_MV, 0.85 * s.lead[j].level)
    _weigh(s, leads, levels)


@njit(cache=True)
def _block(s, n_leads, size, energy, blind, scratch, rules, out, n):
    """Look at up to BLOCK filtered samples of a bed, one after another; returns how many beats `out` holds now."""
    levels = rules.levels
    for i in range(size):
        t = s.time
        s.time = t + 1
        if s.learned < LEARNING:
            _learn(s, n_leads, energy, blind, i, levels)
            continue
        vote = _vote(s, n_leads, energy, blind, i, levels)
        if s.rising == 0 and vote > s.vote:
            s.rising, s.peak = 1, 0.0
        s.vote = vote
        hit = False
        if s.rising == 1:
            if vote > s.peak:
                s.peak, s.peak_at = vote, t
                for j in range(n_leads):
                    s.lead[j].at_peak = energy[j, i]
            elif t - s.peak_at >= HOLD:
                s.rising = 0
                _mark_blind(s, n_leads, blind, i)
                hit = _judge(s, n_leads, scratch, rules)
        since = t - s.beat_at
        if not hit and s.back_at >= 0 and since > levels.gap * s.interval + HOLD:
            _mark_blind(s, n_leads, blind, i)
            hit = _search_back(s, n_leads, t, scratch, rules)
        if hit:
            s.found.confirmed = t
            out[n] = s.found
            n += 1
        elif since > 500 and since % 50 == 0:
            _fade(s, n_leads, levels)
    return n


@njit(cache=True)
def detect(state, rows, x, leads, count, rules, out, n_out, log):
    """Feed samples of beds; writes beats into out[b, :n_out[b]], and what they were chosen from into a log, if any."""
    shapes = (np.zeros((SHAPE_LEADS, POINTS)), np.zeros((SHAPE_LEADS, POINTS)))
    long = np.zeros((SHAPE_LEADS, WIDE))
    scratch = (np.zeros(6), shapes[0], shapes[1], long, np.zeros(N_CONTEXT), np.zeros(3), log)
    energy, blind = np.zeros((MAX_LEADS, BLOCK)), np.zeros((MAX_LEADS, BLOCK), np.int64)
    unkept = np.zeros(RING, np.float32)
    for b in range(len(rows)):
        s = state[rows[b]]
        n, done = 0, 0
        while done < count[b]:
            t = s.time
            size = min(count[b] - done, BLOCK - t % BLOCK)
            for j in range(leads[b]):
                shape = s.ring[j] if j < SHAPE_LEADS else unkept
                filtered(s.lead[j], x[b, j, done : done + size], t, shape, energy[j], blind[j])
            n = _block(s, leads[b], size, energy, blind, scratch, rules, out[b], n)
            done += size
            if s.time % BLOCK == 0:
                settle(s, leads[b])
        n_out[b] = n
