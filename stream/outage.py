"""Calls of Redis that are made until they are answered, and for how long none was."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from redis.exceptions import NoPermissionError, RedisError

from stream.health import Health
from stream.store import REFUSALS

SHORTEST_S, LONGEST_S = 0.1, 2.0
"""How long to wait before Redis is asked again, doubled each time."""

log = structlog.get_logger("publisher")
Answer = TypeVar("Answer")


class RefusedError(Exception):
    """Redis answers, and refuses what is written: it is full, read-only, or holds something else under a key."""


class Outage:
    """Makes calls of Redis, and knows for how long they have had no answer.

    Parameters
    ----------
    health : Health
        Is told while Redis is not there.
    """

    def __init__(self, health: Health) -> None:
        self._health = health
        self._asked: dict[object, float] = {}

    @property
    def silent_s(self) -> float:
        """For how many seconds some call has waited for Redis to carry it out; 0 where nothing is asked."""
        now_s = asyncio.get_running_loop().time()
        return now_s - min(self._asked.values(), default=now_s)

    async def until_there(self, call: Callable[..., Awaitable[Answer]], *arguments: Any) -> Answer:
        """Make a call again and again while Redis is not there.

        Raises
        ------
        RefusedError
            If Redis is there, and refuses it.
        """
        token, loop, wait_s = object(), asyncio.get_running_loop(), SHORTEST_S
        self._asked[token] = loop.time()
        try:
            while True:
                try:
                    return await call(*arguments)
                except NoPermissionError as error:
                    raise ConnectionError(f"redis does not allow this user to write: {error}") from None
                except REFUSALS as error:
                    reason = str(error).rpartition(" caused error: ")[2]  # before it stands the command, and its data
                    log.error("redis_refuses", reason=reason)
                    raise RefusedError(f"Redis refuses: {reason}") from None
                except RedisError as error:
                    self._health.not_ready("redis")
                    log.warning("redis_not_there", error=type(error).__name__, again_in_s=wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, LONGEST_S)
        finally:
            del self._asked[token]
