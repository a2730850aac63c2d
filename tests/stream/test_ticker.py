"""The ward's virtual clock."""

from __future__ import annotations

import time

import pytest

from stream.ticker import virtual_clock


def test_a_clock_starts_where_it_is_told_and_runs_as_fast_as_it_is_told() -> None:
    start_ns = 1_800_000_000_000_000_000
    clock = virtual_clock(start_ns, 100.0)
    before = time.monotonic_ns()
    first_ns = clock()
    time.sleep(0.05)
    passed_ns = clock() - first_ns
    real_ns = time.monotonic_ns() - before
    assert start_ns <= first_ns
    assert 100 * 50_000_000 * 0.99 <= passed_ns <= 100 * real_ns * 1.01


def test_without_a_start_a_clock_shows_the_wall() -> None:
    assert abs(virtual_clock(None, 1.0)() - time.time_ns()) < 1_000_000_000


def test_a_clock_must_go_on() -> None:
    with pytest.raises(ValueError, match="speed must be positive, got 0"):
        virtual_clock(None, 0)
