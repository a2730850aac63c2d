"""A real Redis for the tests of a module, and a way to tell a story to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from stream.child import Service
from stream.embedded import start_redis
from stream.store import connect


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = start_redis(Path(tmp_path_factory.mktemp("redis")))
    yield service
    service.kill()


@pytest.fixture
def run(server: Service) -> Callable[[Callable[[Redis], Awaitable[Any]]], Any]:
    """Run a test's story against an empty Redis."""

    async def story(tell: Callable[[Redis], Awaitable[Any]]) -> Any:
        async with connect(f"redis://{server.address}/0") as redis:
            await redis.flushall()
            return await tell(redis)

    return lambda tell: asyncio.run(story(tell))
