"""Evidence of a wave: how long it must go on, what denies it, and what it leaves behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ecg.fibrillation import FIBRILLATION, GRID
from ecg.rhythm_state import Beat, State
from ecg.rhythm_wave import (
    COVERED_S,
    REGULAR_BPM,
    SLOW_BPM,
    SMALL_WAVE,
    WAVE_BEGINS,
    WAVE_GAP_S,
    WAVE_STAYS,
    take_judgements,
)

HZ = 250


def judgement(
    end: int, score: float = 3.0, size_mv: float = 1.0, rate_hz: float = 0.0, usable: int = 1
) -> tuple[Any, ...]:
    regularity = 0.95 if rate_hz else 0.0
    judged = (end, score > 0, score, rate_hz, regularity, score > 0, False, usable, size_mv)
    return np.array(judged, FIBRILLATION).tolist()


def watched(state: State, *scores: float, size_mv: float = 1.0, rate_hz: float = 0.0) -> State:
    """Let a bed take judgements, one on each point of the grid after the last."""
    for score in scores:
        state.end += GRID
        take_judgements(state, [judgement(state.end, score, size_mv, rate_hz)], 4.0)
    return state


def beats(bpm: float, until: int, *, unlike: bool = False, shapes: int = 2) -> list[Beat]:
    rr = round(60 * HZ / bpm)
    at = range(until - 6 * HZ, until, rr)
    return [Beat(sample, rr, False, unlike, 90.0, 1.0, k % shapes) for k, sample in enumerate(at)]


def test_a_wave_alarms_once_there_was_evidence_for_4_s() -> None:
    state = State(end=20 * HZ)
    for k in range(1, 11):
        watched(state, 3.0)
        assert state.waving == (k >= 9)
    assert state.end - state.wave_since == pytest.approx(4.6 * HZ, abs=GRID)


def test_a_single_judgement_is_no_evidence() -> None:
    assert watched(State(end=20 * HZ), -4.0, -4.0, 5.0, -4.0, -4.0).wave_since < 0


def test_a_wave_that_alarms_goes_on_below_where_one_begins() -> None:
    between = (WAVE_BEGINS + WAVE_STAYS) / 2
    assert watched(State(end=20 * HZ), *[between] * 30).wave_since < 0
    assert watched(State(end=20 * HZ), *[3.0] * 15, *[between] * 30).waving


def test_a_gap_in_the_evidence_is_bridged_and_a_longer_one_ends_the_wave() -> None:
    short, long = (round(s * HZ / GRID) for s in (WAVE_GAP_S - 1.2, WAVE_GAP_S + 1.2))
    state = watched(State(end=20 * HZ), *[3.0] * 15)
    assert watched(watched(state, *[-4.0] * short, size_mv=0.5), *[3.0] * 5).waving
    last = state.wave_last
    watched(state, *[-4.0] * long, size_mv=0.5)
    assert not state.waving
    assert state.wave_since < 0
    assert state.quiet_since >= last, "beats are awaited from the end of the wave on"


def test_what_comes_over_a_wave_that_alarms_and_is_larger_does_not_end_it_for_10_s() -> None:
    within, beyond = (round(s * HZ / GRID) for s in (COVERED_S - 1.2, 2.4))
    state = watched(watched(State(end=20 * HZ), *[3.0] * 15), *[-4.0] * within, size_mv=4.0)
    assert state.waving
    assert not watched(state, *[-4.0] * beyond, size_mv=4.0).waving
    early = watched(watched(State(end=20 * HZ), *[3.0] * 5), *[-4.0] * 8, size_mv=4.0)
    assert early.wave_since < 0, "a wave that was too short to alarm is forgotten"


def test_beats_end_a_wave_however_large_they_are() -> None:
    state = watched(State(end=20 * HZ, normal_mv=1.0), *[3.0] * 15)
    for _ in range(round((WAVE_GAP_S + 0.8) * HZ / GRID)):
        state.beats = beats(100, state.end)
        watched(state, -4.0, size_mv=4.0)
    assert not state.waving


def test_beats_like_the_patients_own_deny_a_wave_and_end_one() -> None:
    state = State(end=20 * HZ, normal_mv=1.0)
    for _ in range(20):
        state.beats = beats(100, state.end)
        watched(state, 3.0)
        assert state.wave_since < 0
    state = watched(State(end=20 * HZ, normal_mv=1.0), *[3.0] * 15)
    for _ in range(8):
        state.beats = beats(100, state.end)
        watched(state, 3.0)
    assert not state.waving


def test_beats_unlike_them_or_as_fast_as_what_is_to_be_shocked_deny_nothing() -> None:
    for given in (lambda end: beats(100, end, unlike=True), lambda end: beats(SLOW_BPM + 10, end)):
        state = State(end=20 * HZ, normal_mv=1.0)
        for _ in range(15):
            state.beats = given(state.end)
            watched(state, 3.0)
        assert state.waving


def test_slow_beats_of_one_shape_deny_a_wave_though_they_are_unlike_the_normal_ones() -> None:
    for shapes in (1, 2):
        state = State(end=20 * HZ, normal_mv=1.0)
        for _ in range(15):
            state.beats = beats(100, state.end, unlike=True, shapes=shapes)
            watched(state, 3.0)
        assert state.waving == (shapes == 2)


def test_fibrillation_becomes_a_tachycardia_slowly_and_the_other_way_at_once() -> None:
    state = watched(State(end=20 * HZ), *[3.0] * 15)
    assert watched(state, *[3.0] * 60, rate_hz=3.0).organised < 0.5
    assert watched(state, *[3.0] * 20, rate_hz=3.0).organised > 0.5
    assert watched(state, *[3.0] * 5).organised < 0.5


def test_a_regular_wide_wave_is_a_tachycardia_though_its_beats_have_become_the_normal_ones() -> None:
    state = State(end=20 * HZ, normal_mv=1.0)
    for _ in range(15):
        state.beats = beats(120, state.end)
        watched(state, 3.0, rate_hz=2.0)
    assert state.waving
    assert state.organised > 0.5
    assert state.wave_bpm == pytest.approx(120)


@pytest.mark.parametrize(("share", "waves"), [(0.9 * SMALL_WAVE, False), (1.1 * SMALL_WAVE, True)])
def test_a_wave_that_is_small_beside_the_normal_beats_is_standstill(share: float, waves: bool) -> None:
    state = State(end=20 * HZ, normal_mv=2.0)
    assert watched(state, *[3.0] * 15, size_mv=2.0 * share).waving == waves


def test_a_fine_wave_is_fibrillation_where_no_beat_is_known() -> None:
    assert watched(State(end=20 * HZ), *[3.0] * 15, size_mv=0.2).waving


@pytest.mark.parametrize("bpm", [160.0, 0.98 * REGULAR_BPM[1]])
def test_a_regular_wave_is_a_tachycardia_of_its_rate(bpm: float) -> None:
    state = watched(State(end=20 * HZ), *[3.0] * 15, rate_hz=bpm / 60)
    assert state.waving
    assert state.organised > 0.5
    assert state.wave_bpm == pytest.approx(bpm)


def test_a_wave_slower_or_faster_than_a_tachycardia_or_irregular_is_not_organised() -> None:
    for bpm in (0.98 * REGULAR_BPM[0], 1.02 * REGULAR_BPM[1]):
        assert watched(State(end=20 * HZ), *[3.0] * 15, rate_hz=bpm / 60).organised == 0
    assert watched(State(end=20 * HZ), *[3.0] * 15).organised == 0


def test_without_a_usable_lead_nothing_is_awaited_before_it_comes_back() -> None:
    state = State(end=20 * HZ)
    take_judgements(state, [judgement(21 * HZ, -6.0, usable=0)], 4.0)
    assert state.quiet_since == 21 * HZ
    assert not state.usable
