"""The publisher between a real Kafka and a Redis that goes away, comes back, and forgets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from redis.exceptions import RedisError

from ecg.alert import Alert, Evidence, Source, Vitals, encode
from stream import topics
from stream.child import Service
from stream.client import find_alert, read_alerts, read_beds
from stream.embedded import Services, start_redis
from stream.health import Health
from stream.kafka import Kafka, Send, durable, producing
from stream.process import end
from stream.publish import Publisher, RefusedError
from stream.store import Store, connect

pytestmark = pytest.mark.system
DEADLINE_S = 20.0


@dataclass
class Log:
    """The alert topic as this test wrote it, on a Kafka that may hold alerts of others."""

    kafka: Kafka
    redis: Service
    written: list[Alert] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"redis://{self.redis.address}/0"

    async def emit(self, *alerts: Alert) -> None:
        async with producing(self.kafka) as producer:
            await durable(producer, [Send(topics.ALERTS, a.device.encode(), encode(a)) for a in alerts])
        self.written += alerts

    async def held(self, ward: str) -> list[tuple[str, Alert]]:
        return [pair async for pair in read_alerts(self.url, ward)]


@pytest.fixture
def log(services: Services, tmp_path: Path) -> Iterator[Log]:
    kafka = {"bootstrap_servers": services.kafka}
    asyncio.run(topics.create(kafka))
    redis = start_redis(tmp_path)
    yield Log(kafka, redis)
    redis.kill()


def alert(ward: str, device: str, offset: int, *, bed: str = "1") -> Alert:
    """The alert that an input offset gave a device."""
    return Alert(
        f"{device}-{offset}", f"{device}-e", 0, 0, "", device, bed, ward, "asystole", "MDC 199684", "high", "***",
        "start", "on", offset, offset, 5.0, 4.0, "s", None, Evidence(), Source(topics.INPUT, 0, offset, offset), (),
        "", "0",
    )  # fmt: skip


@asynccontextmanager
async def published(log: Log) -> AsyncIterator[None]:
    """Run a publisher meanwhile; an error of its own is the test's."""
    async with connect(log.url) as redis:
        task = asyncio.create_task(Publisher(log.kafka, Store(redis), Health("publisher")).run())
        try:
            yield
        finally:
            done = task.done()
            await end(task)
            with suppress(asyncio.CancelledError):
                await task
            assert not done


async def until(there: Callable[[], Awaitable[bool]]) -> None:
    """Wait until something is so, a refused connection being no."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            with suppress(ConnectionError, RedisError):
                if await there():
                    return
            await asyncio.sleep(0.02)


async def until_held(log: Log, ward: str, count: int) -> list[tuple[str, Alert]]:
    async def there() -> bool:
        return len(await log.held(ward)) >= count

    await until(there)
    return await log.held(ward)


def test_alerts_emitted_again_are_there_once_and_a_rebuild_has_the_same_ids(log: Log) -> None:
    async def story() -> None:
        first = [alert("again", "a", at) for at in range(5)]
        await log.emit(*first)
        await log.emit(*first[2:], alert("again", "a", 5))
        async with published(log):
            held = await until_held(log, "again", 6)
            assert [a for _, a in held] == [*first, alert("again", "a", 5)]
        async with connect(log.url) as redis:
            await redis.flushall()
        async with published(log):
            assert await until_held(log, "again", 6) == held
        assert await find_alert(log.url, "a-3") == first[3]

    asyncio.run(story())


def test_redis_lost_under_a_publisher_with_nothing_to_do_is_rebuilt(log: Log) -> None:
    async def story() -> None:
        await log.emit(*[alert("lost", "a", at) for at in range(3)])
        async with published(log), connect(log.url) as redis:
            held = await until_held(log, "lost", 3)
            await redis.flushall()
            assert await until_held(log, "lost", 3) == held

    asyncio.run(story())


def test_while_redis_is_down_alerts_wait_in_order(log: Log) -> None:
    async def story() -> None:
        await log.emit(*[alert("down", "a", at) for at in range(3)])
        async with published(log):
            await until_held(log, "down", 3)
            log.redis.kill()
            await log.emit(*[alert("down", "a", at) for at in range(3, 9)])
            await asyncio.sleep(0.3)
            log.redis.start()
            held = await until_held(log, "down", 9)
        assert [a.source.last_offset for _, a in held] == list(range(9))

    asyncio.run(story())


def test_what_is_no_alert_does_not_hold_up_the_others(log: Log) -> None:
    async def story() -> None:
        async with producing(log.kafka) as producer:
            await durable(producer, [Send(topics.ALERTS, b"a", b"{"), Send(topics.ALERTS, b"a", b'{"id": 1}')])
        await log.emit(alert("poison", "a", 1))
        async with published(log):
            await until_held(log, "poison", 1)

    asyncio.run(story())


def test_a_bed_shows_the_newest_vitals_of_its_device_and_loses_it_when_it_moves(log: Log) -> None:
    def vitals(bed: str, time_ns: int) -> Vitals:
        return Vitals("mover", bed, "move", time_ns, 61.0, "sinus", {}, None, (), (0.5,), offset=time_ns)

    async def show(*items: Vitals) -> None:
        async with producing(log.kafka) as producer:
            await durable(producer, [Send(topics.VITALS, b"mover", msgspec.json.encode(item)) for item in items])

    async def story() -> None:
        await log.emit(alert("move", "mover", 1))
        async with published(log), connect(log.url) as redis:
            await until_held(log, "move", 1)

            async def at(bed: str, time_ns: int) -> bool:
                await show(vitals(bed, time_ns - 1), vitals(bed, time_ns))
                beds = await read_beds(redis, "move")
                return [(b.bed, b.vitals and b.vitals.time_ns) for b in beds] == [(bed, time_ns)]

            await until(lambda: at("1", 10))
            (bed,) = await read_beds(redis, "move")
            assert list(bed.on) == ["asystole"]
            await until(lambda: at("2", 20))

    asyncio.run(story())


def test_a_redis_that_was_filled_from_another_log_is_refused(log: Log) -> None:
    async def story() -> None:
        async with connect(log.url) as redis:
            await redis.sadd("wards", "elsewhere")  # pyright: ignore[reportGeneralTypeIssues]
            await redis.set("position:{elsewhere}", 10**9)
            with pytest.raises(ExceptionGroup) as refused:
                await asyncio.wait_for(Publisher(log.kafka, Store(redis), Health("publisher")).run(), DEADLINE_S)
            assert refused.group_contains(ValueError, match="Redis must not be ahead")

    asyncio.run(story())


def test_a_redis_that_refuses_ends_the_publisher_with_what_it_said(log: Log) -> None:
    async def story() -> None:
        await log.emit(alert("full", "a", 1))
        async with connect(log.url) as redis:
            await redis.config_set("maxmemory", "1")
            with pytest.raises(ExceptionGroup) as refused:
                await asyncio.wait_for(Publisher(log.kafka, Store(redis), Health("publisher")).run(), DEADLINE_S)
            assert refused.group_contains(RefusedError, match="^Redis refuses: .*maxmemory")

    asyncio.run(story())
