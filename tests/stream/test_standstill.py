"""Whether a process stood still."""

from __future__ import annotations

import asyncio
import time

import pytest

from stream.standstill import STILL_S, Standstill, StoodStillError


def test_a_process_that_stood_still_for_too_long_learns_it_before_it_publishes() -> None:
    now = [0.0]
    standstill = Standstill(clock=lambda: now[0])

    async def story() -> None:
        standstill.begin()
        now[0] += STILL_S / 2
        standstill.check()
        now[0] += STILL_S + 1
        with pytest.raises(StoodStillError, match="stood still for 6"):
            standstill.check()

    asyncio.run(story())


def test_a_process_that_stood_still_between_two_batches_takes_none_that_was_waiting() -> None:
    now = [0.0]
    standstill = Standstill(clock=lambda: now[0])

    async def story() -> None:
        standstill.begin()
        now[0] += STILL_S - 1
        standstill.begin()
        now[0] += STILL_S + 1
        with pytest.raises(StoodStillError):
            standstill.begin()

    asyncio.run(story())


def test_long_work_beside_a_loop_that_goes_on_is_no_standstill() -> None:
    async def story() -> float:
        standstill = Standstill()
        standstill.begin()
        await asyncio.to_thread(time.sleep, 1.2)
        standstill.check()
        return standstill.longest_s

    assert asyncio.run(story()) < 1.1
