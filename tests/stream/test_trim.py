"""A ward's stream is kept short, but not in front of who has yet to read it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from stream.keys import stream_key, trimmed_key
from stream.trim import Trimmed, trim

pytestmark = pytest.mark.system
ICU = stream_key("icu")


@pytest.fixture
def run(run: Callable[[Callable[[Redis], Awaitable[Any]]], Any]) -> Callable[[Callable[[Redis], Awaitable[Any]]], Any]:
    """Run a test's story against a Redis that holds 1000 alerts of one ward, at every third offset."""

    def filled(tell: Callable[[Redis], Awaitable[Any]]) -> Any:
        async def story(redis: Redis) -> Any:
            pipe = redis.pipeline(transaction=False)
            for nth in range(1000):
                pipe.xadd(ICU, {"alert": "{}"}, id=f"{3 * nth}-1")
            await pipe.execute()
            return await tell(redis)

        return run(story)

    return filled


async def first(redis: Redis) -> bytes:
    page: Any = await redis.xrange(ICU, count=1)
    return page[0][0]


async def read(redis: Redis, group: str, count: int, *, acknowledged: int) -> None:
    """Let a consumer take so many alerts, and acknowledge the first of them."""
    await redis.xgroup_create(ICU, group, "0")
    await redis.xreadgroup(group, "a", {ICU: ">"}, count=count)
    if acknowledged:
        await redis.xack(ICU, group, *[f"{3 * nth}-1" for nth in range(acknowledged)])


def test_a_stream_that_is_short_enough_is_left_alone(run) -> None:
    async def story(redis: Redis) -> None:
        assert await trim(redis, "icu", kept=950, most=2000) == Trimmed("icu", 0, 0)
        assert await redis.xlen(ICU) == 1000

    run(story)


def test_the_newest_are_kept_and_what_was_taken_is_noted(run) -> None:
    async def story(redis: Redis) -> None:
        assert await trim(redis, "icu", kept=250, most=2000) == Trimmed("icu", 750, 0)
        assert await first(redis) == b"2250-1"
        assert await redis.get(trimmed_key("icu")) == b"2247-1"

    run(story)


def test_what_the_slowest_group_has_not_acknowledged_stays(run) -> None:
    async def story(redis: Redis) -> None:
        await read(redis, "fast", 1000, acknowledged=1000)
        await read(redis, "slow", 600, acknowledged=400)
        assert await trim(redis, "icu", kept=100, most=2000) == Trimmed("icu", 400, 0)
        assert await first(redis) == b"1200-1"

    run(story)


def test_what_the_slowest_group_was_not_even_given_stays(run) -> None:
    async def story(redis: Redis) -> None:
        await read(redis, "slow", 300, acknowledged=300)
        assert await trim(redis, "icu", kept=100, most=2000) == Trimmed("icu", 300, 0)
        assert await first(redis) == b"900-1"

    run(story)


def test_beyond_the_hard_limit_unread_alerts_go_and_are_counted(run) -> None:
    async def story(redis: Redis) -> None:
        await read(redis, "dead", 200, acknowledged=100)
        assert await trim(redis, "icu", kept=100, most=500) == Trimmed("icu", 500, 400)
        assert await redis.xlen(ICU) == 500

    run(story)
