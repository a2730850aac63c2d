"""Clinical settings: each inside its range, the patient's over the ward's, and one hash for what decided an alert."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.clinical import RANGES, Limits, Settings
from ecg.condition import LETHAL, MAY_BE_OFF


def replaced(name: str, value: float) -> Settings:
    """The settings with one changed, and the other limit of the rate, or of ST, out of its way."""
    away = {"rate_low_bpm": "rate_high_bpm", "rate_high_bpm": "rate_low_bpm"}
    away |= {"st_low_mv": "st_high_mv", "st_high_mv": "st_low_mv"}
    other = {away[name]: RANGES[away[name]][int("high" in away[name])]} if name in away else {}
    return msgspec.structs.replace(Settings(), **{**other, name: value})


def test_every_setting_has_a_range_and_the_defaults_are_inside_them() -> None:
    assert set(RANGES) == set(Settings.__struct_fields__) - {"off", "qtc_formula"}
    assert set(Limits.__struct_fields__) <= set(RANGES)
    Settings().check()
    Limits().check()


@pytest.mark.parametrize("name", RANGES)
def test_the_ends_of_a_range_are_inside_and_what_lies_beyond_is_refused(name: str) -> None:
    low, high, unit, _ = RANGES[name]
    replaced(name, low).check()
    replaced(name, high).check()
    for value in (low - 0.001, high + 0.001, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"{name} must be between {low:g} and {high:g} {unit}, got {value!r}"):
            replaced(name, value).check()


def test_medium_rhythms_can_be_off_and_nothing_else() -> None:
    Settings(off=MAY_BE_OFF).check()
    assert {"couplet", "atrial_fibrillation", "rate_low"} <= set(MAY_BE_OFF)
    for name in (*LETHAL, "no_data", "lead_off", "risk_level", "hunger"):
        with pytest.raises(ValueError, match=f"off must be of .*, got '{name}'"):
            Settings(off=("couplet", name)).check()


@pytest.mark.parametrize("values", [Settings(rate_low_bpm=90, rate_high_bpm=90), Limits(90, 80)])
def test_the_low_limit_must_lie_below_the_high_one(values: Settings | Limits) -> None:
    with pytest.raises(ValueError, match=r"rate_low_bpm must be below rate_high_bpm \([89]0\), got 90"):
        values.check()


def test_a_patient_s_limit_is_checked_and_left_out_ones_are_not() -> None:
    Limits(rate_high_bpm=150).check()
    with pytest.raises(ValueError, match="rate_high_bpm must be between 60 and 220 bpm, got 221"):
        Limits(rate_high_bpm=221).check()


def test_a_patient_s_limits_lie_over_the_ward_s() -> None:
    assert Settings().with_limits(Limits()) == Settings()
    changed = Settings().with_limits(Limits(rate_high_bpm=150, no_data_s=0.0))
    assert (changed.rate_high_bpm, changed.no_data_s, changed.rate_low_bpm) == (150, 0.0, 50)


@pytest.mark.parametrize(("low", "extreme"), [(50, 40), (40, 30), (35, 30), (30, 30)])
def test_extreme_bradycardia_is_never_sought_below_30(low: float, extreme: float) -> None:
    assert Settings(rate_low_bpm=low).extreme_low_bpm == extreme


@pytest.mark.parametrize(("high", "extreme"), [(120, 140), (180, 200), (190, 200), (220, 200)])
def test_extreme_tachycardia_is_never_sought_above_200(high: float, extreme: float) -> None:
    assert Settings(rate_high_bpm=high).extreme_high_bpm == extreme


@given(st.floats(3, 8), st.floats(3, 8))
def test_settings_that_differ_have_different_hashes(one: float, two: float) -> None:
    a, b = Settings(asystole_s=one), Settings(asystole_s=two)
    assert (a.sha256() == b.sha256()) == (a == b)


def test_the_hash_is_that_of_a_setup_that_went_through_the_log() -> None:
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(Settings()), type=Settings)
    assert kept.sha256() == Settings().sha256()
