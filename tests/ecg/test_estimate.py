"""Intervals and waiting times on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from ecg.estimate import interval, percent, share, waited


def test_an_interval_holds_the_figure_and_is_the_same_each_time() -> None:
    counts = np.array([[8, 10], [5, 10], [9, 10], [3, 10], [10, 10], [6, 10]])
    low, high = interval(counts, share) or (np.nan, np.nan)
    assert low < percent(41, 60) < high
    assert interval(counts, share) == (low, high)


def test_an_interval_is_over_patients_not_over_what_they_count() -> None:
    split = np.repeat([[1.0, 1.0], [0.0, 1.0]], 50, axis=0)
    two = np.array([[50.0, 50.0], [0.0, 50.0]])
    assert interval(two, share) == (0.0, 100.0)
    low, high = interval(split, share) or (0.0, 100.0)
    assert 35 < low < 50 < high < 65


def test_one_patient_or_none_gives_no_interval() -> None:
    assert interval(np.array([[3, 4]]), share) is None
    assert interval(np.array([[3, 4], [0, 0]]), share) is None
    assert interval([], share) is None


def test_a_figure_that_no_resample_has_gives_no_interval() -> None:
    assert interval(np.array([[1, 0], [2, 0]]), share) is None


def test_without_censoring_a_quantile_is_that_of_the_times() -> None:
    times = [4.0, 1.0, 3.0, 2.0]
    assert [waited(times, [True] * 4, part) for part in (0.25, 0.5, 0.75, 1.0)] == [1.0, 2.0, 3.0, 4.0]


def test_what_was_not_seen_is_waited_for_until_it_was_watched_no_longer() -> None:
    # one of three is lost at 2 s: of the two that are then watched one comes at 3 s (1/3 + 2/3/2), the other at 4 s
    times, seen = [1.0, 2.0, 3.0, 4.0], [True, False, True, True]
    assert waited(times, seen, 0.5) == 3.0
    assert waited(times, seen, 0.7) == 4.0
    assert waited([1.0, 3.0, 4.0], [True] * 3, 0.6) == 3.0


def test_censoring_is_neither_an_event_nor_left_out() -> None:
    assert waited([1.0, 10.0], [True, False], 0.5) == 1.0
    assert waited([1.0, 10.0], [True, False], 0.95) is None
    assert waited([], [], 0.5) is None


def test_an_event_comes_before_an_end_of_watching_at_the_same_time() -> None:
    assert waited([2.0, 2.0], [False, True], 0.5) == 2.0


def test_a_share_of_nothing_is_no_number() -> None:
    assert percent([1.0, 0.0], [2.0, 0.0])[0] == pytest.approx(50.0)
    assert np.isnan(percent(0, 0))
