"""The virtual clock runs as fast as it is told, and two processes can share it."""

from __future__ import annotations

import asyncio
import time

import pytest

from simulators.clock import Clock


def test_time_runs_at_its_speed() -> None:
    now = time.time_ns()
    clock = Clock(start_ns=10**18, speed=20.0, real_start_ns=now - 10**9)
    assert clock.now_s() == pytest.approx(20.0, abs=2.0)
    assert clock.now_ns() == pytest.approx(10**18 + 20 * 10**9, abs=2e9)


def test_clocks_of_one_start_agree() -> None:
    one, other = (Clock(10**18, 3.0, real_start_ns=time.time_ns() - 5 * 10**9) for _ in range(2))
    assert one.now_s() == pytest.approx(other.now_s(), abs=0.5)


def test_it_sleeps_until_the_virtual_second_has_come() -> None:
    clock = Clock(10**18, speed=100.0)
    asyncio.run(clock.until(5.0))
    assert 5.0 <= clock.now_s() < 100.0


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan")])
def test_a_clock_that_stands_still_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed must be above 0"):
        Clock(0, speed)
