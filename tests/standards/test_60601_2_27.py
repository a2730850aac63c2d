"""Tested against the inputs of IEC 60601-2-27 as described, through the ward's pipeline; its text was not read.

Every delay is from the onset in the signal to the decision, with the time that the filters take.
"""

from __future__ import annotations

import pytest

from simulators import standard
from stream.evaluate.standards import (
    FILTERS_S,
    QRS,
    SPIKES,
    TALL_T_MV,
    VENTRICULAR,
    WITHIN_S,
    Seen,
    inputs,
    watch,
)

INPUTS = inputs()


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    return dict(zip(INPUTS, watch([given.source for given in INPUTS.values()]), strict=True))


def delay_s(seen: dict[str, Seen], name: str, *conditions: str) -> float:
    """How long after the onset one of these alarmed, the filters with it; infinite where none did."""
    after_s = seen[name].alarm_s(conditions, INPUTS[name].onset_s)
    return float("inf") if after_s is None else after_s + FILTERS_S


def rates(seen: dict[str, Seen], name: str) -> set[int | None]:
    return {None if rate is None else round(rate) for rate in seen[name].rates()}


@pytest.mark.parametrize(("name", "bpm"), [("step_80_120", 120.0), ("step_80_40", 40.0)])
def test_60601_2_27_the_rate_shown_follows_a_step_in_under_11_s(seen: dict[str, Seen], name: str, bpm: float) -> None:
    after_s = seen[name].follows_s(bpm, INPUTS[name].onset_s)
    assert after_s is not None
    assert 1.0 < after_s + FILTERS_S < 11.0


@pytest.mark.parametrize(("name", "bpm"), [("3a", 80), ("3b", 60), ("3c", 120), ("3d", 90)])
def test_60601_2_27_irregular_rhythms_show_the_rate_of_all_complexes(
    seen: dict[str, Seen], name: str, bpm: int
) -> None:
    assert rates(seen, name) <= {bpm - 1, bpm, bpm + 1}


@pytest.mark.parametrize("size", ["half", "full", "double"])
@pytest.mark.parametrize("name", ["4a", "4b"])
def test_60601_2_27_ventricular_tachycardia_alarms_in_under_11_s_at_any_amplitude(
    seen: dict[str, Seen], name: str, size: str
) -> None:
    assert 1.0 < delay_s(seen, f"{name}_{size}", *VENTRICULAR) < WITHIN_S


@pytest.mark.parametrize("qrs", ["", "_qrs_without_s"])
@pytest.mark.parametrize("mv", TALL_T_MV)
def test_60601_2_27_tall_t_waves_are_not_counted(seen: dict[str, Seen], mv: float, qrs: str) -> None:
    assert rates(seen, f"tall_t_{mv:g}_mv{qrs}") == {80}


@pytest.mark.parametrize(("mv", "ms"), SPIKES)
def test_60601_2_27_pacer_spikes_are_not_counted(seen: dict[str, Seen], mv: float, ms: float) -> None:
    assert rates(seen, f"paced_{mv:g}_mv_{ms:g}_ms") == {80}


def test_60601_2_27_spikes_that_evoke_no_beat_hide_no_standstill(seen: dict[str, Seen]) -> None:
    assert 4.0 < delay_s(seen, "spikes_alone", "asystole") < WITHIN_S


@pytest.mark.parametrize(("mv", "ms"), QRS)
def test_60601_2_27_complexes_of_half_a_millivolt_and_more_are_counted_and_small_ones_are_not(
    seen: dict[str, Seen], mv: float, ms: int
) -> None:
    assert rates(seen, f"qrs_{mv:g}_mv_{ms}_ms") == ({80} if mv >= 0.5 else {0})


@pytest.mark.parametrize("hz", [50, 60])
def test_60601_2_27_mains_of_100_uv_are_not_counted(seen: dict[str, Seen], hz: int) -> None:
    assert rates(seen, f"mains_{hz}_hz") == {0}


def test_60601_2_27_standstill_alarms_within_10_s(seen: dict[str, Seen]) -> None:
    assert 4.0 < delay_s(seen, "standstill", "asystole") < WITHIN_S


@pytest.mark.parametrize(("name", "condition"), [("step_80_40", "rate_low"), ("step_80_130", "rate_high")])
def test_60601_2_27_a_rate_past_its_limit_alarms_within_10_s(seen: dict[str, Seen], name: str, condition: str) -> None:
    assert 3.0 < delay_s(seen, name, condition) < WITHIN_S


def test_60601_2_27_a_lead_that_is_off_is_a_technical_alarm_within_10_s(seen: dict[str, Seen]) -> None:
    assert 3.0 <= delay_s(seen, "lead_off", "all_leads_off") < WITHIN_S
    assert set(seen["lead_off"].rates(25.0)) == {None}


def test_60601_2_27_no_input_of_a_steady_normal_rhythm_gives_a_high_alarm(seen: dict[str, Seen]) -> None:
    for name in ("qrs_1_mv_100_ms", "qrs_0.5_mv_70_ms", "tall_t_0.8_mv", "paced_2_mv_2_ms", "3a", "3b", "3c"):
        assert {alert.condition for alert in seen[name].alerts if alert.priority == "high"} == set(), name


def test_the_inputs_are_those_of_the_table() -> None:
    tachycardia = {f"{name}_{size}" for name in standard.TACHYCARDIA for size in ("half", "full", "double")}
    assert {*standard.ALTERNATING, *tachycardia, "standstill", "lead_off", "spikes_alone"} <= set(INPUTS)
