"""Rules of measuring an averaged beat: QT ends where the T wave does, ST is where it stands, and doubt says nothing."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from numpy.typing import NDArray

import ecg.qt_measure
from ecg.qt_measure import PRE, WIDTH, measure

T_S = (np.arange(WIDTH) - PRE) / 250
QUIET = np.full(12, 0.002, np.float32)


def beat(t_end_s: float, t_mv: float = 0.3, st_mv: float = 0.0, r_mv: float = 1.0) -> NDArray[np.float32]:
    """A lead: QRS of about 80 ms, ST that goes over into T, and a T of 180 ms that is over at `t_end_s` after R."""
    qrs = r_mv * np.exp(-((T_S / 0.012) ** 2)) - 0.2 * r_mv * np.exp(-(((T_S - 0.03) / 0.01) ** 2))
    phase = np.clip((T_S - (t_end_s - 0.09)) / 0.09, -1, 1)
    segment = st_mv * np.clip((T_S - 0.035) / 0.01, 0, 1) * np.clip((t_end_s - 0.09 - T_S) / 0.06, 0, 1)
    return (qrs + t_mv * 0.5 * (1 + np.cos(np.pi * phase)) + segment).astype(np.float32)


@pytest.mark.parametrize(("rr_s", "t_end_s"), [(0.45, 0.25), (0.8, 0.33), (0.8, 0.45), (1.0, 0.50), (1.3, 0.55)])
@pytest.mark.parametrize("t_mv", [0.12, 0.6, -0.3])
def test_qt_is_within_15_ms_of_what_was_generated(rr_s: float, t_end_s: float, t_mv: float) -> None:
    seen = measure(np.stack([beat(t_end_s, t_mv), beat(t_end_s, 0.7 * t_mv)]), QUIET[:2], rr_s)
    assert abs(seen.qt_ms - (t_end_s * 1000 - 4 * seen.qrs_first)) < 15
    assert -32 <= 4 * seen.qrs_first <= -16
    assert seen.t_leads == 3


@pytest.mark.parametrize("st_mv", [-0.3, -0.1, 0.0, 0.15, 0.4])
def test_st_of_each_lead_is_its_own(st_mv: float) -> None:
    seen = measure(np.stack([beat(0.4, st_mv=st_mv), beat(0.4), beat(0.4, 0.2, -st_mv, 0.5)]), QUIET[:3], 0.9)
    assert np.abs(seen.st_mv - (st_mv, 0.0, -st_mv)).max() < 0.012
    assert 60 <= seen.qrs_ms <= 100


def test_a_flat_t_a_noisy_one_and_leads_that_contradict_each_other_say_nothing_of_qt() -> None:
    assert np.isnan(measure(np.stack([beat(0.4, 0.02)] * 2), QUIET[:2], 0.9).qt_ms)
    assert np.isnan(measure(np.stack([beat(0.4, 0.3)] * 2), np.full(2, 0.06, np.float32), 0.9).qt_ms)
    assert np.isnan(measure(np.stack([beat(0.35), beat(0.5)]), QUIET[:2], 1.0).qt_ms)
    assert measure(np.stack([beat(0.35), beat(0.36)]), QUIET[:2], 1.0).qt_ms == pytest.approx(380, abs=15)


def test_of_leads_that_contradict_each_other_the_one_with_by_far_the_larger_t_is_believed() -> None:
    seen = measure(np.stack([beat(0.4, 0.6), beat(0.5, 0.15)]), QUIET[:2], 1.0)
    assert (seen.t_leads, round(seen.qt_ms / 20)) == (1, 21)


def test_a_lead_that_is_missing_is_left_out_and_nothing_at_all_is_no_error() -> None:
    seen = measure(np.stack([beat(0.4), np.full(WIDTH, np.nan, np.float32)]), QUIET[:2], 0.9)
    assert (seen.t_leads, np.isnan(seen.st_mv[1])) == (1, True)
    for nothing in (np.full((2, WIDTH), np.nan, np.float32), np.zeros((2, WIDTH), np.float32)):
        assert np.isnan(measure(nothing, QUIET[:2], 0.9).qt_ms)


def test_the_example_runs() -> None:
    assert doctest.testmod(ecg.qt_measure).failed == 0
