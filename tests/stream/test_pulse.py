"""Whether a process stood still."""

from __future__ import annotations

import asyncio
import time

import pytest

from stream.pulse import STILL_S, Pulse, StoodStillError


def test_a_process_that_stood_still_for_too_long_learns_it_before_it_publishes() -> None:
    now = [0.0]
    pulse = Pulse(clock=lambda: now[0])

    async def story() -> None:
        pulse.begin()
        now[0] += STILL_S / 2
        pulse.check()
        now[0] += STILL_S + 1
        with pytest.raises(StoodStillError, match="stood still for 6"):
            pulse.check()

    asyncio.run(story())


def test_a_process_that_stood_still_between_two_batches_takes_none_that_was_waiting() -> None:
    now = [0.0]
    pulse = Pulse(clock=lambda: now[0])

    async def story() -> None:
        pulse.begin()
        now[0] += STILL_S - 1
        pulse.begin()
        now[0] += STILL_S + 1
        with pytest.raises(StoodStillError):
            pulse.begin()

    asyncio.run(story())


def test_long_work_beside_a_loop_that_goes_on_is_no_standstill() -> None:
    async def story() -> float:
        pulse = Pulse()
        pulse.begin()
        await asyncio.to_thread(time.sleep, 1.2)
        pulse.check()
        return pulse.longest_s

    assert asyncio.run(story()) < 1.1
