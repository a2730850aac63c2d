"""Calls of a Redis that is not there, or refuses."""

from __future__ import annotations

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisError, ResponseError

from stream.health import Health
from stream.outage import Outage, RefusedError


class Answers:
    """A Redis as its caller sees it: errors, one a call, and then an answer."""

    def __init__(self, *errors: RedisError) -> None:
        self.errors = list(errors)
        self.asked = 0

    async def call(self, given: str) -> str:
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)
        return given


def test_a_call_is_made_until_it_is_answered_and_the_service_is_not_ready_meanwhile() -> None:
    async def story() -> None:
        health, redis = Health("publisher"), Answers(RedisConnectionError(), RedisConnectionError())
        health.ready()
        outage = Outage(health)
        assert outage.silent_s == 0.0
        calling = asyncio.create_task(outage.until_there(redis.call, "there"))
        await asyncio.sleep(0.2)
        assert 0.1 < outage.silent_s < 2.0
        assert health.why_not_ready() == "redis"
        assert await calling == "there"
        assert (redis.asked, outage.silent_s) == (3, 0.0)

    asyncio.run(story())


def test_the_call_that_waits_longest_says_for_how_long_redis_was_silent() -> None:
    """A call that is never carried out counts, also where others are."""

    async def story() -> None:
        outage, stuck = Outage(Health("publisher")), asyncio.Event()
        waiting = asyncio.create_task(outage.until_there(stuck.wait))
        await asyncio.sleep(0.1)
        assert await outage.until_there(Answers().call, "there") == "there"
        assert outage.silent_s >= 0.1
        stuck.set()
        await waiting
        assert outage.silent_s == 0.0

    asyncio.run(story())


def test_a_call_that_is_given_up_is_not_waited_for() -> None:
    async def story() -> None:
        outage = Outage(Health("publisher"))
        waiting = asyncio.create_task(outage.until_there(asyncio.Event().wait))
        await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait([waiting])
        assert outage.silent_s == 0.0

    asyncio.run(story())


@pytest.mark.parametrize("error", [OutOfMemoryError("OOM command not allowed"), ResponseError("READONLY")])
def test_a_redis_that_refuses_is_not_asked_again_and_what_was_asked_is_not_repeated(error: ResponseError) -> None:
    """redis-py puts the command before the reason, and with it what a bed shows."""
    said = type(error)(f"Command # 1 (HSET bed:{{icu}}:1 vitals:a ...) of pipeline caused error: {error}")
    redis = Answers(said)
    with pytest.raises(RefusedError, match=f"^Redis refuses: {error}$"):
        asyncio.run(Outage(Health("publisher")).until_there(redis.call, "there"))
    assert redis.asked == 1
