"""How judgements of the wave become evidence of fibrillation or of a tachycardia, and what speaks against it.

A judgement (`ecg.fibrillation`) says of four seconds how fibrillatory they look. What alarms is a wave that goes on:
the mean of the last judgements must be above a limit. Two things deny it that the judgement cannot see. Where most of
the beats in these seconds are like the patient's normal ones, and slower than anything that is to be shocked, the heart
beats, however wide and round its beats are. And a wave that is small beside the normal beats is what is left where a
heart stands still: that is asystole, not fibrillation.
"""

from __future__ import annotations

import itertools

import numpy as np

from ecg.fibrillation import WINDOW
from ecg.resample import ANALYSIS_HZ
from ecg.rhythm_state import State

SMOOTHED, LEAST_ODDS = 3, -4.0
"""Judgements whose mean counts, and the lowest log-odds that one of them brings."""
WAVE_LEAD_S = 1.0
"""Seconds of the first judgement's window of 4 s that count as evidence of a fibrillatory wave: half of what a
sudden onset needs to tip the judgement, so that what tips it for a moment is no alarm."""
WAVE_BEGINS, WAVE_STAYS = 1.0, 0.0
"""A wave counts while the mean of its log-odds is above the first, and above the second once it alarms. Both are higher
than the 0 from which a judgement is fibrillatory: that holds back who would call it noise, this rings the alarm."""
WAVE_GAP_S = 2.0
"""Evidence of a wave is forgotten when this long no judgement found one."""
ORGANISED, ORGANISED_BPM = 0.85, 240.0
"""A wave at least this regular and at most this fast is a tachycardia, any other fibrillation or flutter."""
BEATS_ALIKE, SHARE_ALIKE, ALIKE_BPM = 3, 0.75, 150.0
"""At least so many beats, and this share of all in a judgement's window, that are like the normal ones and slower than
this deny fibrillation: 150 bpm is the rate from which a tachycardia is to be shocked (`ecg.segments`)."""
SMALL_WAVE = 0.2
"""A wave smaller than this share of the normal beats is no fibrillation."""


def take_judgement(state: State, judgement: np.void, fibrillation_s: float) -> None:
    """Take one `ecg.fibrillation.FIBRILLATION`."""
    end = int(judgement["end"])
    state.usable = int(judgement["usable"])
    if not state.usable:
        state.quiet_since = end
    if not judgement["flat"]:
        state.flat_since = -1
    elif state.flat_since < 0:
        state.flat_since = end
    state.wave_odds = [*state.wave_odds[1 - SMOOTHED :], max(float(judgement["score"]), LEAST_ODDS)]
    limit = WAVE_STAYS if state.waving else WAVE_BEGINS
    if sum(state.wave_odds) > limit * len(state.wave_odds) and not _is_denied(state, judgement, end):
        _take_wave(state, judgement, end)
        state.waving = end - state.wave_since >= fibrillation_s * ANALYSIS_HZ
    elif state.wave_since >= 0 and end - state.wave_last > WAVE_GAP_S * ANALYSIS_HZ:
        if state.waving:
            state.quiet_since = max(state.quiet_since, state.wave_last)
        state.wave_since, state.waving = -1, False


def _is_denied(state: State, judgement: np.void, end: int) -> bool:
    """Say whether a wave is small beside the normal beats, or its window full of slow beats like those."""
    if judgement["size_mv"] < SMALL_WAVE * state.normal_mv:
        return True
    beats = [beat for beat in state.beats if beat.sample >= end - WINDOW]
    alike = sum(not beat.unlike for beat in beats)
    if alike < max(BEATS_ALIKE, SHARE_ALIKE * len(beats)):
        return False
    intervals = sorted(b.sample - a.sample for a, b in itertools.pairwise(beats))
    return intervals[len(intervals) // 2] * ALIKE_BPM > 60 * ANALYSIS_HZ


def _take_wave(state: State, judgement: np.void, end: int) -> None:
    bpm = 60.0 * float(judgement["rate_hz"])
    tachycardia = float(judgement["regularity"] >= ORGANISED and 0 < bpm <= ORGANISED_BPM)
    if state.wave_since < 0:
        state.wave_since = max(0, end - int(WAVE_LEAD_S * ANALYSIS_HZ))
        state.organised = tachycardia
    state.organised += 0.2 * (tachycardia - state.organised)
    state.wave_last, state.wave_leads = end, int(judgement["leads"]) or state.wave_leads
    if tachycardia:
        state.wave_bpm = bpm
