"""Rules of ST and QTc: which lead, which side, since when, by which limits, and when nothing is said."""

from __future__ import annotations

import doctest
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ecg.rhythm_st
from ecg.average_beat import EVERY, MEASURED
from ecg.clinical import Settings
from ecg.condition import Finding
from ecg.rhythm_st import STANDS, StQt

LEADS = ("II", "V1", "V5")


def one(n: int, st_mv: Sequence[float] = (0.0, 0.0, 0.0), **fields: float) -> NDArray[np.void]:
    """Return the n-th measurement of a bed."""
    made = np.zeros(1, MEASURED)
    made["at"], made["first"], made["beats"], made["rr_s"], made["qrs_ms"], made["qt_ms"] = n * EVERY, 1, 16, 1, 90, 400
    made["st_mv"][0, :3] = st_mv
    for name, value in fields.items():
        made[name] = value
    return made


def said(rules: StQt, measured: NDArray[np.void], settings: Settings | None = None, **late: int) -> list[Finding]:
    end = int(measured["at"][0]) + late.get("late", 0)
    return rules.step(end, end * 4_000_000, measured, settings or Settings(), paced=False)


def of(found: Sequence[Finding]) -> list[tuple[str, tuple[str, ...], float]]:
    return [(each.condition, each.leads, round(each.value or 0.0, 3)) for each in found]


def test_each_lead_beyond_a_limit_is_named_on_its_side_the_farthest_first() -> None:
    found = said(StQt(LEADS), one(1, (0.21, -0.5, 0.3)))
    assert of(found) == [("st_high", ("V5", "II"), 0.3), ("st_low", ("V1",), -0.5)]
    assert not said(StQt(LEADS), one(1, (0.2, -0.2, 0.19)))


def test_the_onset_is_the_first_measurement_beyond_and_stays_until_it_is_not() -> None:
    rules = StQt(LEADS)
    for n in (1, 2, 3):
        found = said(rules, one(n, (0.3, 0, 0)))
        assert found[0].onset_ns == EVERY * 4_000_000
    assert not said(rules, one(4))
    assert said(rules, one(5, (0.3, 0, 0)))[0].onset_ns == 5 * EVERY * 4_000_000


def test_st_that_is_not_measured_again_is_forgotten() -> None:
    rules, nothing = StQt(LEADS), np.zeros(0, MEASURED)
    said(rules, one(1, (0.3, 0, 0)))
    for late, holds in ((STANDS, True), (STANDS + 50, False)):
        end = EVERY + late
        assert bool(rules.step(end, end * 4_000_000, nothing, Settings(), paced=False)) is holds


@pytest.mark.parametrize(
    "field", [{"qrs_ms": 124.0}, {"qrs_ms": np.nan}, {"st_error_mv": 0.03}, {"st_error_mv": np.nan}]
)
def test_a_wide_qrs_and_an_unsure_level_say_nothing_of_st(field: dict[str, Any]) -> None:
    assert not said(StQt(LEADS), one(1, (0.5, 0.5, 0.5), **field))


def test_a_patient_with_a_pacer_and_beats_of_the_patient_before_say_nothing() -> None:
    high = one(1, (0.5, 0.5, 0.5))
    assert not StQt(LEADS).step(EVERY, 10**10, high, Settings(), paced=True)
    assert not said(StQt(LEADS, first=2), high)


def test_limits_and_what_is_off_hold_at_once() -> None:
    rules = StQt(LEADS)
    assert not said(rules, one(1, (0.15, 0, 0)))
    end = EVERY + 50
    nothing = np.zeros(0, MEASURED)
    found = rules.step(end, end * 4_000_000, nothing, Settings(st_high_mv=0.1), paced=False)
    assert of(found) == [("st_high", ("II",), 0.15)]
    assert not rules.step(end, end * 4_000_000, nothing, Settings(st_high_mv=0.1, off=("st_high",)), paced=False)


def fed(rules: StQt, first: int, n: int, settings: Settings | None = None, **fields: Any) -> list[Finding]:
    return [said(rules, one(k, **fields), settings) for k in range(first, first + n)][-1]


def test_qtc_is_over_its_limit_once_most_of_five_minutes_are_and_a_minute_is_known() -> None:
    rules = StQt(LEADS)
    assert not fed(rules, 1, 5, qt_ms=520)
    assert [(f.condition, f.value) for f in fed(rules, 6, 1, qt_ms=520)] == [("qtc_high", 520.0)]
    rules = StQt(LEADS)
    fed(rules, 1, 40)
    assert not fed(rules, 41, 14, qt_ms=520)
    assert {f.condition for f in fed(rules, 55, 4, qt_ms=520)} == {"qtc_high", "qtc_delta"}


def test_qtc_follows_the_rate_by_the_formula_that_is_set() -> None:
    slow: dict[str, Any] = {"qt_ms": 450.0, "rr_s": 1.2}
    fast: dict[str, Any] = {"qt_ms": 370.0, "rr_s": 0.5}
    assert not fed(StQt(LEADS), 1, 8, **slow)
    assert not fed(StQt(LEADS), 1, 8, **fast)
    assert fed(StQt(LEADS), 1, 8, Settings(qtc_formula="bazett"), **fast)[0].value == pytest.approx(523.3, abs=0.1)


def test_the_change_is_against_the_first_five_minutes_also_after_a_restart_of_the_device() -> None:
    rules = StQt(LEADS)
    fed(rules, 1, 30, qt_ms=390)
    again = StQt(LEADS, baseline=rules.baseline)
    assert not fed(again, 1, 10, qt_ms=449)
    found = fed(StQt(LEADS, baseline=rules.baseline), 1, 10, qt_ms=460)
    assert [(f.condition, f.value, f.limit) for f in found] == [("qtc_delta", 70.0, 60.0)]
    assert not fed(StQt(LEADS), 1, 10, qt_ms=460)


def test_of_a_wide_qrs_the_change_of_qtc_alone_is_said() -> None:
    rules = StQt(LEADS)
    fed(rules, 1, 30, qt_ms=450, qrs_ms=150)
    assert [f.condition for f in fed(rules, 31, 30, qt_ms=530, qrs_ms=150)] == ["qtc_delta"]


@pytest.mark.parametrize("fields", [{"rr_s": 0.39, "qt_ms": 480.0}, {"qt_ms": np.nan}])
def test_a_fast_heart_and_a_t_wave_without_an_end_have_no_qtc(fields: dict[str, Any]) -> None:
    assert not fed(StQt(LEADS), 1, 12, Settings(qtc_high_ms=300), **fields)


def test_qt_that_jumps_between_waves_is_none() -> None:
    rules = StQt(LEADS)
    found = [said(rules, one(k, qt_ms=440 + 130 * (k % 2))) for k in range(1, 20)]
    assert not any(found[5:])


def test_it_goes_on_from_a_snapshot_anywhere_as_if_nothing_had_been() -> None:
    rules, again = StQt(LEADS), StQt(LEADS)
    for k in range(1, 70):
        measured = one(k, (0.25 * (k // 7 % 2), -0.1, 0.05 * (k % 5)), qt_ms=400 + 2 * k)
        settings = Settings(st_high_mv=0.1) if k > 50 else Settings()
        again = StQt.restored(again.snapshot())
        assert said(rules, measured, settings) == said(again, measured, settings)
        assert rules.snapshot() == again.snapshot()


def test_the_example_runs() -> None:
    assert doctest.testmod(ecg.rhythm_st).failed == 0
