"""Rules of the artefact ladder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.artefact import FIBRILLATORY_S, LEVEL_2, LOOKED_AT, NOISY, QUIET_S, Ladder, Level, is_noisy
from ecg.quality import Verdict

SECONDS = st.lists(st.tuples(st.booleans(), st.booleans()), max_size=120)


def walk(ladder: Ladder, seconds: list[tuple[bool, bool]]) -> list[Level]:
    return [ladder.step(noisy=noisy, fibrillatory=fibrillatory) for noisy, fibrillatory in seconds]


def noise(seconds: int) -> list[tuple[bool, bool]]:
    return [(True, False)] * seconds


def test_20_noisy_seconds_of_30_suspend_and_19_do_not() -> None:
    assert walk(Ladder(), noise(20))[18:] == [Level.LETHAL_ONLY, Level.SUSPENDED]
    spread = [(k % 3 != 0, False) for k in range(29)]
    assert Level.SUSPENDED not in walk(Ladder(), spread)
    assert walk(Ladder(), [*spread, (True, False)])[-1] == Level.SUSPENDED


def test_noise_of_more_than_30_s_ago_is_forgotten() -> None:
    levels = walk(Ladder(), [*noise(19), *[(False, False)] * 25, *noise(1)])
    assert levels[-1] == Level.WHOLE
    assert Level.SUSPENDED not in levels


def test_nothing_is_suspended_while_the_wave_fibrillates_and_4_s_from_then_on() -> None:
    levels = walk(Ladder(), [*noise(30), (True, True), *noise(5)])
    assert levels[29] == Level.SUSPENDED
    assert levels[30 : 30 + FIBRILLATORY_S] == [Level.LETHAL_ONLY] * FIBRILLATORY_S
    assert levels[30 + FIBRILLATORY_S] == Level.SUSPENDED


def test_what_comes_clean_out_of_noise_is_seen_after_3_s() -> None:
    levels = walk(Ladder(), [*noise(30), *[(False, False)] * QUIET_S])
    assert levels[-2:] == [Level.SUSPENDED, Level.LETHAL_ONLY]


@given(SECONDS)
def test_it_suspends_never_without_20_noisy_seconds_nor_during_fibrillation(seconds: list[tuple[bool, bool]]) -> None:
    for k, level in enumerate(walk(Ladder(), seconds)):
        last = seconds[max(0, k + 1 - LOOKED_AT) : k + 1]
        if level == Level.SUSPENDED:
            assert sum(noisy for noisy, _ in last) >= LEVEL_2
            assert not any(fibrillatory for _, fibrillatory in last[-FIBRILLATORY_S:])
            assert any(noisy for noisy, _ in last[-QUIET_S:])


@given(SECONDS, SECONDS)
def test_a_restored_ladder_goes_on_as_the_other(
    before: list[tuple[bool, bool]], after: list[tuple[bool, bool]]
) -> None:
    ladder, other = Ladder(), Ladder()
    walk(ladder, before)
    other.restore(ladder.snapshot())
    assert walk(other, after) == walk(ladder, after)
    assert other.level == ladder.level


@pytest.mark.parametrize("kept", [(-1, 0), (1 << LOOKED_AT, 0), (0, -1), (0, FIBRILLATORY_S + 1)])
def test_a_state_that_no_ladder_has_is_refused(kept: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="a ladder must hold"):
        Ladder().restore(kept)


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_flat_lead_is_never_noisy_and_one_without_signal_has_no_say(verdict: Verdict) -> None:
    assert not is_noisy([(verdict, True), (Verdict.FLAT, True)])
    assert is_noisy([(verdict, True), (Verdict.LEAD_OFF, True)]) == (
        verdict not in (Verdict.FLAT, Verdict.LEAD_OFF, Verdict.MISSING)
    )
    assert is_noisy([(verdict, False)]) == (verdict in NOISY)


def test_one_calm_lead_is_enough_and_no_lead_is_no_noise() -> None:
    assert not is_noisy([(Verdict.GOOD, True), (Verdict.GOOD, False)])
    assert not is_noisy([])
