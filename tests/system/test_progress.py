"""A worker that keeps its partitions and takes nothing ends, on a real Kafka; one that has nothing to take goes on."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from ecg.frame import Tick, encode
from stream import topics
from stream.embedded import Services
from stream.kafka import Kafka, Send, durable, producing
from stream.progress import BUSY_S, PATIENCE_S, Progress, StuckError

pytestmark = pytest.mark.system
LOST = """
import sys
import stream.app, stream.progress
from stream.settings import read_settings

async def nothing(*_):
    pass

stream.progress.PATIENCE_S = 2.0
stream.app._take = nothing
sys.exit(stream.app.run_worker(read_settings()))
"""
"""A worker that beats its heart in the group and takes nothing that is fetched."""


async def tick(kafka: Kafka, partition: int, count: int) -> None:
    async with producing(kafka) as producer:
        ticks = [encode(Tick("a", n, n * 10**9)) for n in range(count)]
        await durable(producer, [Send(topics.INPUT, None, value, partition) for value in ticks])


def test_a_partition_stands_still_only_where_its_log_goes_on(kafka: Kafka) -> None:
    now = [0.0]

    async def story() -> None:
        await tick(kafka, 1, 8)
        progress = Progress(kafka, clock=lambda: now[0])
        for taken in ({0: 0, 1: 5}, {0: 0, 1: 8}, {0: 0, 1: 8}, {0: 0, 1: 8}):  # 0 is empty, 1 was taken whole
            await progress.check([0, 1], taken)
            now[0] += PATIENCE_S + 1
        await progress.check([0, 1], {0: 0, 1: 8})
        await tick(kafka, 1, 3)
        now[0] += PATIENCE_S + 1
        with pytest.raises(StuckError, match="partition 1 must go on, got nothing behind offset 8 of 11 for 20 s"):
            await progress.check([0, 1], {0: 0, 1: 8})

    asyncio.run(story())


def test_a_partition_that_was_given_and_never_begun_stands_still(kafka: Kafka) -> None:
    now = [0.0]

    async def story() -> None:
        await tick(kafka, 2, 1)
        progress = Progress(kafka, clock=lambda: now[0])
        await progress.check([2], {})
        now[0] += PATIENCE_S + 1
        await progress.check([2], {}, busy=True)  # a long restore
        with pytest.raises(StuckError, match="partition 2"):
            await progress.check([2], {})

    asyncio.run(story())


def test_work_that_never_ends_is_a_standstill_too(kafka: Kafka) -> None:
    now = [0.0]

    async def story() -> None:
        await tick(kafka, 2, 1)
        progress = Progress(kafka, clock=lambda: now[0])
        await progress.check([2], {}, busy=True)
        now[0] += BUSY_S + 1
        with pytest.raises(StuckError, match="for 60 s"):
            await progress.check([2], {}, busy=True)

    asyncio.run(story())


def test_brokers_that_are_away_are_no_fault_of_the_worker() -> None:
    now = [0.0]

    async def story() -> None:
        progress = Progress({"bootstrap_servers": "127.0.0.1:9"}, clock=lambda: now[0])
        for _ in range(3):
            await progress.check([0], {0: 4})
            now[0] += PATIENCE_S + 1

    asyncio.run(story())


def test_a_worker_that_has_lost_its_way_ends_and_leaves_its_beds_to_others(kafka: Kafka, services: Services) -> None:
    asyncio.run(tick(kafka, 0, 20))
    world = {**os.environ, "VIGIL_KAFKA": services.kafka, "VIGIL_REDIS": services.redis, "VIGIL_HEALTH_PORT": "0"}
    ended = subprocess.run([sys.executable, "-c", LOST], env=world, capture_output=True, timeout=90, check=False)
    assert ended.returncode == 1
    assert b"partition 0 must go on" in ended.stdout + ended.stderr
