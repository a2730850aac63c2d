"""What beats are whose places are known: the ward's classes at given R peaks, as many papers have them.

Where the beats are is not asked; all else, the filters, shapes, measures and rules, is `ecg.beats`'s own, and just as
causal. It needs the whole signal at once and keeps nothing.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ecg.beat_class import describe
from ecg.beat_context import N_CONTEXT
from ecg.beat_detect import (
    DELAY,
    HOLD,
    LEARNING,
    NO_LOG,
    N,
    _accept,
    _fade,
    _impress,
    _learn,
    _mark_blind,
    _note,
    _ranked,
    _vote,
    _weigh,
)
from ecg.beat_filter import BLOCK, filtered, settle
from ecg.beat_shape import measure, recognise
from ecg.beat_state import MAX_LEADS, POINTS, RECENT, RING, SHAPE_LEADS, WIDE, Rules, first_state
from ecg.beat_weights import in_force
from ecg.rows import Rows

ALIGN = 15
"""Samples by which the peak of the vote may lie off a given peak, 60 ms: annotators and the vote differ by some."""
FAR = 50
"""Samples from a given peak on, 200 ms, behind which energy is noise."""


def classify(x: NDArray[np.float32], peaks: NDArray[np.int64], rules: Rules | None = None) -> str:
    """Return the class of each given beat, N S V or F.

    Parameters
    ----------
    x : ndarray of float32, shape (n_leads, n_samples)
        Clean leads in millivolts at 250 Hz, NaN where missing, as the beat detector gets them.
    peaks : ndarray of int64
        R peaks in samples of `x`, in order of time. Those in the first 1.6 s with a signal, and those behind the last
        sample that decides on them, are N.
    rules : Rules
        Those of the detector.
    """
    rows = Rows(first_state())
    rows.reset(0)
    labels = np.full(len(peaks), N, np.uint8)
    used = np.ascontiguousarray(x[:MAX_LEADS], np.float32)
    at = np.ascontiguousarray(peaks, np.int64)
    _classify(rows.state, used, at, rules or Rules(weights=in_force()), labels, NO_LOG)
    return labels.tobytes().decode()


@njit(cache=True)
def _classify(state, x, peaks, rules, labels, log):
    leads, n = x.shape
    shapes = (np.zeros((SHAPE_LEADS, POINTS)), np.zeros((SHAPE_LEADS, POINTS)))
    long = np.zeros((SHAPE_LEADS, WIDE))
    scratch = (np.zeros(6), shapes[0], shapes[1], long, np.zeros(N_CONTEXT), np.zeros(3), log)
    energy, blind = np.zeros((MAX_LEADS, n)), np.zeros((MAX_LEADS, n), np.int64)
    unkept = np.zeros(RING, np.float32)
    s = state[0]
    k, done = 0, 0
    while done < n:
        size = min(n - done, BLOCK - s.time % BLOCK)
        for j in range(leads):
            shape = s.ring[j] if j < SHAPE_LEADS else unkept
            block = slice(done, done + size)
            filtered(s.lead[j], x[j, block], s.time, shape, energy[j, block], blind[j, block])
        for i in range(done, done + size):
            s.time += 1
            if s.learned < LEARNING:
                _learn(s, leads, energy, blind, i, rules.levels)
            while k < len(peaks) and i >= peaks[k] + DELAY + ALIGN + HOLD:
                if s.learned >= LEARNING and peaks[k] >= 0:
                    _mark_blind(s, leads, blind, i)
                    before = peaks[k - 1] if k > 0 else peaks[k] - 500
                    labels[k] = _take(s, leads, peaks[k], before, energy, blind, scratch, rules)
                k += 1
            since = i - s.beat_at
            if s.learned >= LEARNING and since > 500 and since % 50 == 0:
                _fade(s, leads, rules.levels)
        done += size
        if s.time % BLOCK == 0:
            settle(s, leads)


@njit(cache=True)
def _take(s, leads, peak, before, energy, blind, scratch, rules):
    """Take a given peak as a beat where the vote is largest near it; returns its class."""
    m, x, x2, _, f, sums, log = scratch
    at, vote = peak + DELAY, -1.0
    for i in range(max(0, peak + DELAY - ALIGN), peak + DELAY + ALIGN + 1):
        now = _vote(s, leads, energy, blind, i, rules.levels)
        if now > vote:
            at, vote = i, now
    at = max(at, s.beat_at + 1)
    _note_noise(s, leads, max(0, before + DELAY + FAR), at - FAR, energy, rules.levels)
    for j in range(leads):
        s.lead[j].at_peak = energy[j, at]
    measure(s, leads, at - DELAY, m)
    template, like = recognise(s, leads, at - DELAY, x, sums)
    moved = describe(s, leads, at - DELAY, at - s.beat_at, vote, m, template, like, x2, sums, f)
    weights = rules.weights
    _impress(s, leads, moved, at - s.beat_at, like, template, scratch, weights.ventricular, weights.supraventricular)
    _accept(s, leads, at, scratch, like, template, False, False, weights.judges)
    _note(log, at, 1, f)
    _weigh(s, leads, rules.levels)
    return s.found.label


@njit(cache=True)
def _note_noise(s, leads, first, last, energy, levels):
    """Note the largest energy between two beats as noise."""
    if last <= first:
        return
    for j in range(leads):
        q = s.lead[j]
        q.noises[s.n_noise % RECENT] = min(np.max(energy[j, first:last]), levels.noise_cap * q.level)
    s.n_noise += 1
    for j in range(leads):
        q = s.lead[j]
        q.noise = _ranked(q.noises, s.n_noise, 4)
