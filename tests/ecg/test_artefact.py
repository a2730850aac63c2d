"""Rules of the artefact ladder."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.artefact import FIBRILLATORY_S, LEVEL_1, LEVEL_2, LOOKED_AT, QUIET_S, Ladder, Level, is_noisy
from ecg.condition import CONDITIONS, LETHAL, Finding
from ecg.quality import Verdict
from ecg.rhythm import Step

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


def findings(*names: str) -> Step:
    return Step([Finding(name, 0) for name in names], 80.0, "regular")


def decided(noisy_s: int, step: Step, *, clear: bool = False) -> Step:
    ladder = Ladder()
    walk(ladder, noise(noisy_s))
    return ladder.decided(step, 9, clear=clear)


def test_below_level_1_a_step_is_left_as_it_is() -> None:
    step = findings(*CONDITIONS)
    assert decided(LEVEL_1 - 1, step) is step


def test_at_level_1_lethal_and_technical_findings_stay_and_the_noise_is_told() -> None:
    step = decided(LEVEL_1, findings("ventricular_tachycardia", "rate_high", "lead_off"))
    assert [f.condition for f in step.findings] == ["ventricular_tachycardia", "lead_off", "artefact"]
    assert (step.heart_rate_bpm, step.rhythm) == (80.0, "regular")


def test_at_level_2_technical_findings_alone_stay_and_neither_rate_nor_rhythm_is_said() -> None:
    step = decided(LEVEL_2, findings("ventricular_tachycardia", "rate_high", "lead_off"))
    assert [f.condition for f in step.findings] == ["lead_off", "artefact_suspended"]
    assert (step.heart_rate_bpm, step.rhythm) == (None, "artefact")


@pytest.mark.parametrize("condition", LETHAL)
def test_a_lethal_condition_that_rests_on_beats_of_one_shape_is_never_suspended(condition: str) -> None:
    step = decided(LOOKED_AT, findings(condition, "rate_low"), clear=True)
    assert [f.condition for f in step.findings] == [condition, "artefact"]
    other = decided(LOOKED_AT, findings("rate_low"), clear=True)
    assert [f.condition for f in other.findings] == ["artefact_suspended"]


@pytest.mark.parametrize("noisy_s", [LEVEL_1, LOOKED_AT])
def test_what_alarms_already_goes_on_as_its_rule_finds_it_in_any_noise(noisy_s: int) -> None:
    ladder = Ladder()
    walk(ladder, noise(noisy_s))
    held = ladder.decided(findings("atrial_fibrillation", "rate_high"), 9, ("atrial_fibrillation",))
    assert [f.condition for f in held.findings][:-1] == ["atrial_fibrillation"]


@pytest.mark.parametrize("condition", ["asystole", "ventricular_fibrillation"])
def test_asystole_and_fibrillation_that_a_rule_has_found_are_never_suspended(condition: str) -> None:
    step = decided(LOOKED_AT, findings(condition, "rate_low"))
    assert [f.condition for f in step.findings] == [condition, "artefact"]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_flat_lead_or_one_of_mains_is_never_noisy_and_one_without_signal_has_no_say(verdict: Verdict) -> None:
    assert not is_noisy([(verdict, True), (Verdict.FLAT, True)])
    assert not is_noisy([(verdict, True), (Verdict.MAINS, True)])
    assert is_noisy([(verdict, True), (Verdict.LEAD_OFF, True)]) == (
        verdict not in (Verdict.FLAT, Verdict.MAINS, Verdict.LEAD_OFF, Verdict.MISSING)
    )
    assert is_noisy([(verdict, False)]) == (verdict == Verdict.MUSCLE)


def test_one_calm_lead_is_enough_and_no_lead_is_no_noise() -> None:
    assert not is_noisy([(Verdict.GOOD, True), (Verdict.GOOD, False)])
    assert not is_noisy([])
