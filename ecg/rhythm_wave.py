"""How judgements of the wave become evidence of fibrillation or of a tachycardia, and what speaks against it.

A judgement (`ecg.fibrillation`) says of four seconds how fibrillatory they look. What alarms is a wave that goes on:
the mean of the last judgements must be above a limit. Two things deny it that the judgement cannot see. Where the beats
in these seconds are like the patient's normal ones, or all alike, and slower than anything that is to be shocked, the
heart beats, however wide and round its beats are. And a wave that is small beside the normal beats is what is left
where a heart stands still: that is asystole, not fibrillation.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ecg.fibrillation import WINDOW
from ecg.resample import ANALYSIS_HZ
from ecg.rhythm_state import Beat, State

SMOOTHED, LEAST_ODDS = 3, -4.0
"""Judgements whose mean counts, and the lowest log-odds that one of them brings."""
WAVE_LEAD_S = 1.0
"""Seconds of the first judgement's window of 4 s that count as evidence of a fibrillatory wave: half of what a
sudden onset needs to tip the judgement, so that what tips it for a moment is no alarm."""
WAVE_BEGINS, WAVE_STAYS = 0.6, -0.2
"""A wave counts while the mean of its log-odds is above the first, and above the second once it alarms. The first is
higher than the 0 from which a judgement is fibrillatory: that holds back who would call it noise, this alarms."""
WAVE_GAP_S, COVERED_S = 2.0, 10.0
"""Evidence of a wave is forgotten when no judgement found one for the first; for the second where the wave alarms and
what came is at least as large: then something has come over it, as resuscitation does, and nobody saw it end."""
WAVE_SIZE = 0.1
"""What a judgement counts in the size of a wave."""
ORGANISED, REGULAR_BPM = 0.9, (100.0, 240.0)
"""A wave at least this regular, at a rate between these, is a tachycardia; any other is fibrillation or flutter."""
NAMING, RENAMING = 0.2, 0.01
"""What a judgement counts in the name of a wave, and what once it was called fibrillation: 28 s of a regular wave make
a tachycardia of it, so that the alarm does not change its name from moment to moment."""
SLOW_BPM = 150.0
"""Beats slower than this can deny fibrillation: it is the rate from which a tachycardia is to be shocked
(`ecg.segments`)."""
BEATS_ALIKE, SHARE_ALIKE = 3, 0.75
"""They do if at least so many in a judgement's window, and this share of all there, are like the normal ones, ..."""
BEATS_SAME = 4
"""... or if there are at least so many, all of one shape, whichever it is."""
SMALL_WAVE = 0.2
"""A wave smaller than this share of the normal beats is no fibrillation."""


class Judgement(NamedTuple):
    """An `ecg.fibrillation.FIBRILLATION` as Python's own numbers."""

    end: int
    fibrillatory: bool
    score: float
    rate_hz: float
    regularity: float
    leads: int
    flat: bool
    usable: int
    size_mv: float


def take_judgements(state: State, judgements: Iterable[tuple[Any, ...]], fibrillation_s: float) -> bool:
    """Take some of `ecg.fibrillation.FIBRILLATION` as rows; say whether that changed anything that rules look at."""
    changed = False
    for row in judgements:
        changed |= _take_judgement(state, Judgement._make(row), fibrillation_s)
    return changed


def _take_judgement(state: State, judgement: Judgement, fibrillation_s: float) -> bool:
    end, usable = judgement.end, judgement.usable
    changed = usable != state.usable or not usable
    state.usable = usable
    if not usable:
        state.quiet_since = end
    if judgement.flat != (state.flat_since >= 0):
        state.flat_since, changed = end if judgement.flat else -1, True
    state.wave_odds = odds = [*state.wave_odds[1 - SMOOTHED :], max(judgement.score, LEAST_ODDS)]
    likely = sum(odds) > (WAVE_STAYS if state.waving else WAVE_BEGINS) * len(odds)
    if not likely and state.wave_since < 0:
        return changed
    _take_evidence(state, judgement, fibrillation_s, likely=likely)
    return True


def _take_evidence(state: State, judgement: Judgement, fibrillation_s: float, *, likely: bool) -> None:
    """Go on with a wave that there is, or may be."""
    end = judgement.end
    denied = (likely or state.waving) and _is_denied(state, judgement, end)
    covered = state.waving and not denied and judgement.size_mv >= state.wave_mv
    if likely and not denied:
        _take_wave(state, judgement, end)
        state.waving = end - state.wave_since >= fibrillation_s * ANALYSIS_HZ
    elif state.wave_since >= 0 and end - state.wave_last > (COVERED_S if covered else WAVE_GAP_S) * ANALYSIS_HZ:
        if state.waving:
            state.quiet_since = max(state.quiet_since, state.wave_last)
        state.wave_since, state.waving = -1, False


def _is_denied(state: State, judgement: Judgement, end: int) -> bool:
    """Say whether a wave is small beside the normal beats, or no tachycardia and its window full of slow beats."""
    if judgement.size_mv < SMALL_WAVE * state.normal_mv:
        return True
    return not _is_regular(judgement) and _beating([beat for beat in state.beats if beat.sample >= end - WINDOW])


def _is_regular(judgement: Judgement) -> bool:
    bpm = 60.0 * judgement.rate_hz
    return judgement.regularity >= ORGANISED and REGULAR_BPM[0] < bpm <= REGULAR_BPM[1]


def _beating(beats: Sequence[Beat]) -> bool:
    """Say whether slow beats fill a window: most are like the patient's normal ones, or all have one shape."""
    alike = sum(not beat.unlike for beat in beats)
    same = len(beats) >= BEATS_SAME and {beat.shape for beat in beats} == {max(0, beats[0].shape)}
    if not same and alike < max(BEATS_ALIKE, SHARE_ALIKE * len(beats)):
        return False
    intervals = sorted(b.sample - a.sample for a, b in itertools.pairwise(beats))
    return intervals[len(intervals) // 2] * SLOW_BPM > 60 * ANALYSIS_HZ


def _take_wave(state: State, judgement: Judgement, end: int) -> None:
    regular, size_mv = _is_regular(judgement), judgement.size_mv
    if state.wave_since < 0:
        state.wave_since = max(0, end - int(WAVE_LEAD_S * ANALYSIS_HZ))
        state.organised = float(regular)
    renamed = state.waving and state.organised <= 0.5
    state.organised += (RENAMING if renamed else NAMING) * (regular - state.organised)
    state.wave_mv += (WAVE_SIZE if state.waving else 1.0) * (size_mv - state.wave_mv)
    state.wave_last, state.wave_leads = end, judgement.leads or state.wave_leads
    if regular:
        state.wave_bpm = 60.0 * judgement.rate_hz
