"""For how long a heart that beats as it should leaves the rules nothing to say, if nothing comes to be known.

Most beds are calm most of the time. For these the rules need not be asked one by one: what each of them would need to
speak is compared here at once, with what it will be when the next beat is overdue. What is not certainly calm is left
to the rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ecg import rate
from ecg.clinical import Settings
from ecg.resample import ANALYSIS_HZ
from ecg.rhythm_ectopy import MINUTE, many_pvcs
from ecg.rhythm_lethal import BRADY_BEATS, TACHY_BEATS
from ecg.rhythm_now import QUICK_BEATS, RUN_GAP_S, UNSURE_S, Lately
from ecg.rhythm_rate import in_fibrillation
from ecg.rhythm_state import Mark, State

_UNSURE = round(UNSURE_S * ANALYSIS_HZ)


class Calm(NamedTuple):
    """What holds up to sample `until` of a calm heart beside what the rules on beats say, in the order of the rules."""

    until: int
    marks: list[Mark]


def calm(state: State, end: int, lately: Lately, settings: Settings) -> Calm | None:
    """Return what holds if nothing comes, None where the rules must be asked, or for one paced.

    Parameters
    ----------
    state : State
        Of a patient without a pacemaker: who has one is left to the rules.
    end : int
        Sample from which on it holds.
    lately : Lately
        What the last beats say (`ecg.rhythm_now.of_beats`).
    settings : Settings
        In force.
    """
    intervals, bpm = state.intervals, lately.bpm
    if bpm is None or len(intervals) < QUICK_BEATS or lately.run:
        return None
    if not state.usable or state.wave_since >= 0 or state.flat_since >= 0 or max(state.off_since, default=-1) >= 0:
        return None
    if not settings.rate_low_bpm <= bpm <= settings.rate_high_bpm:
        return None
    if intervals[-1] + 1 >= settings.pause_s * ANALYSIS_HZ or _is_extreme(intervals, lately.usual, settings):
        return None
    until = _until(state, lately.usual, settings)
    pvcs, fibrillation = many_pvcs(state, end, settings), in_fibrillation(state, end, bpm, settings)
    if pvcs is not None:
        until = min(until, pvcs.onset + MINUTE - 1)
    if until < end or (fibrillation is None) is not (in_fibrillation(state, until, bpm, settings) is None):
        return None
    return Calm(until, [mark for mark in (pvcs, fibrillation) if mark is not None])


def _is_extreme(intervals: Sequence[int], usual: Sequence[int], settings: Settings) -> bool:
    low, high = settings.extreme_low_bpm, settings.extreme_high_bpm
    slow = (intervals[-BRADY_BEATS:], usual[-BRADY_BEATS:])
    if any(len(last) == BRADY_BEATS and rate.bpm(last) < low for last in slow):
        return True
    return len(intervals) >= TACHY_BEATS and rate.bpm(intervals[-TACHY_BEATS:]) > high


def _until(state: State, usual: Sequence[int], settings: Settings) -> int:
    """Return the last sample at which no beat is overdue, -1 where the heart may stand still until then."""
    quiet, last = state.quiet_since, max(state.beats[-1].sample, state.quiet_since)
    until = last + state.intervals[-1] + _UNSURE
    if usual:
        until = min(until, max(state.usual[-1], quiet) + usual[-1] + _UNSURE)
    still = (until - max(state.sure_at, quiet)) / ANALYSIS_HZ >= settings.asystole_s + UNSURE_S
    return -1 if still or (until - last) / ANALYSIS_HZ > RUN_GAP_S else until
