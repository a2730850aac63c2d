"""The publisher between a real Kafka and a Redis that goes away, comes back, and forgets."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ecg.alert import Alert, Evidence, Source, Vitals, chain_hash, decode_alert, encode
from ecg.condition import Finding
from stream import topics
from stream.child import Service, free_port
from stream.client import find_alert, read_alerts, read_beds, read_services
from stream.embedded import Services, start_redis
from stream.health import Health
from stream.kafka import Kafka, Send, durable, producing, read_to_end, reading
from stream.outage import RefusedError
from stream.process import end
from stream.processes import Process
from stream.publish import Publisher
from stream.service_alarm import ServiceAlarms
from stream.store import Store, answer, connect

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
async def published(log: Log, name: str = "publisher") -> AsyncIterator[Health]:
    """Run a publisher meanwhile; an error of its own is the test's."""
    async with connect(log.url) as redis:
        health = Health("publisher")
        task = asyncio.create_task(Publisher(log.kafka, Store(redis), health, name).run())
        try:
            yield health
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


async def in_kafka(log: Log, device: str) -> list[Alert]:
    """What a service raised of itself, as it stands in the log."""
    async with reading(log.kafka) as reader:
        values = [record.value or b"" async for record in read_to_end(reader, topics.ALERTS, [0])]
    return [alert for alert in (decoded(value) for value in values) if alert is not None and alert.device == device]


def decoded(value: bytes) -> Alert | None:
    with suppress(msgspec.DecodeError):
        return decode_alert(value)
    return None


def test_a_redis_killed_for_longer_than_5_s_is_an_alarm_in_kafka_and_afterwards_in_redis(log: Log) -> None:
    """The way that still works is the log: what the wards could not be told stands there, and reaches them later."""

    async def story() -> None:
        await log.emit(*[alert("silent", "a", at) for at in range(3)])
        async with published(log, "silent-redis") as health:
            await until_held(log, "silent", 3)
            log.redis.kill()
            killed_s = asyncio.get_running_loop().time()
            await log.emit(*[alert("silent", "a", at) for at in range(3, 6)])

            async def raised() -> bool:
                return bool(await in_kafka(log, "vigil:silent-redis"))

            await until(raised)
            assert 5.0 < asyncio.get_running_loop().time() - killed_s < 9.0
            assert health.answer("/ready")[0] == 503
            (start,) = await in_kafka(log, "vigil:silent-redis")
            assert (start.condition, start.phase, start.priority) == ("store_down", "start", "high")
            log.redis.start()

            async def ended() -> bool:
                held = [a for _, a in await log.held("unassigned") if a.device == "vigil:silent-redis"]
                return [a.phase for a in held] == ["start", "end"]

            await until(ended)
            assert [a.source.last_offset for _, a in await until_held(log, "silent", 6)] == list(range(6))
            await until(lambda: ready(health))
            told = await in_kafka(log, "vigil:silent-redis")
            assert [a.phase for a in told] == ["start", "end"]
            assert told[1].chain == chain_hash(encode(told[0]))

    asyncio.run(story())


async def ready(health: Health) -> bool:
    return health.answer("/ready")[0] == 200


def test_a_redis_that_hangs_before_there_is_any_ward_is_an_alarm_as_well(log: Log) -> None:
    """SIGSTOP: connections stay open, and nothing is answered."""

    async def story() -> None:
        async with published(log, "hangs") as health:
            await until(lambda: ready(health))
            os.kill(log.redis.pid, signal.SIGSTOP)

            async def raised() -> bool:
                return [a.phase for a in await in_kafka(log, "vigil:hangs")] == ["start"]

            try:
                await until(raised)
                assert health.answer("/ready")[0] == 503
            finally:
                os.kill(log.redis.pid, signal.SIGCONT)

            async def ended() -> bool:
                return [a.phase for a in await in_kafka(log, "vigil:hangs")] == ["start", "end"]

            await until(ended)

    asyncio.run(story())


def test_a_redis_that_becomes_full_is_an_alarm_before_the_publisher_ends(log: Log) -> None:
    async def story() -> None:
        async with connect(log.url) as redis:
            health = Health("publisher")
            task = asyncio.create_task(Publisher(log.kafka, Store(redis), health, "full").run())
            await until(lambda: ready(health))
            await redis.config_set("maxmemory", "1")
            await log.emit(alert("fuller", "a", 1))
            with pytest.raises(ExceptionGroup) as refused:
                await asyncio.wait_for(task, DEADLINE_S)
            assert refused.group_contains(RefusedError)
            (start,) = await in_kafka(log, "vigil:full")
            assert (start.condition, start.phase) == ("store_down", "start")
            assert "Redis refuses" in start.evidence.trace

    asyncio.run(story())


def test_an_alarm_that_a_killed_publisher_left_is_ended_by_the_next_one_of_its_name(log: Log) -> None:
    async def story() -> None:
        alarms = ServiceAlarms("left-alone")
        alarms.start(Finding("store_down", 7, 6.0, 5.0, "s"), 0)
        await log.emit(decode_alert(alarms.outbox[0]))
        async with published(log, "left-alone"), connect(log.url) as redis:

            async def ended() -> bool:
                return [a.phase for a in await in_kafka(log, "vigil:left-alone")] == ["start", "end"]

            await until(ended)
            await until(lambda: none_from(redis, "vigil:left-alone"))

    asyncio.run(story())


async def none_from(redis: Redis, device: str) -> bool:
    return not [a for a in await read_services(redis) if a.device == device]


@pytest.mark.parametrize("dump", [True, False], ids=["an older dump", "nothing"])
def test_a_redis_started_again_from_less_than_it_held_is_caught_up_with_the_same_ids(log: Log, dump: bool) -> None:
    """Killed while it holds six alerts, and started from the dump of when it held three, or without anything."""
    ward = "dump" if dump else "empty"

    async def story() -> None:
        await log.emit(*[alert(ward, "a", at) for at in range(3)])
        async with published(log) as health:
            await until_held(log, ward, 3)
            async with connect(log.url) as redis:
                await redis.config_set("appendonly", "no")
                if dump:
                    await redis.save()
            await log.emit(*[alert(ward, "a", at) for at in range(3, 6)])
            held = await until_held(log, ward, 6)
            log.redis.kill()
            shutil.rmtree(log.redis.folder / "appendonlydir", ignore_errors=True)
            log.redis.command[log.redis.command.index("--appendonly") + 1] = "no"
            log.redis.start()
            assert await until_held(log, ward, 6) == held
            assert b"redis_caught_up_total 1.0" in health.answer("/metrics")[2]
            await log.emit(alert(ward, "a", 6))
            assert len(await until_held(log, ward, 7)) == 7

    asyncio.run(story())


def chained(item: Alert, chain: str) -> Alert:
    return msgspec.structs.replace(item, chain=chain)


def test_a_conflict_and_a_fork_are_alarms_on_every_ward_and_change_nothing_that_is_there(log: Log) -> None:
    async def story() -> None:
        first = [chained(alert("odd", "odd-one", at), f"head-{at}") for at in range(3)]
        await log.emit(*first)
        async with published(log, "judge") as health, connect(log.url) as redis:
            held = await until_held(log, "odd", 3)
            altered = msgspec.structs.replace(first[1], text="*** altered")
            fork = chained(alert("odd", "odd-one", 9), "head-1")
            await log.emit(altered, altered, fork)

            async def raised() -> bool:
                conditions = {a.condition for a in await read_services(redis) if a.device == "vigil:judge"}
                return conditions == {"alert_conflict", "chain_fork"}

            await until(raised)
            after = await log.held("odd")
            assert after[:3] == held
            assert [a for _, a in after[3:]] == [fork], "a fork may be the alert that matters"
            told = await in_kafka(log, "vigil:judge")
            assert sorted(a.condition for a in told) == ["alert_conflict", "chain_fork"], "each is said once"
            assert all("odd-one" in a.evidence.trace for a in told)
            metrics = health.answer("/metrics")[2]
            assert b"alert_conflicts_total 2.0" in metrics
            assert b"chain_forks_total 1.0" in metrics
            await redis.flushall()
            assert len(await until_held(log, "odd", 4)) == 4
            await until(raised)
            assert len(await in_kafka(log, "vigil:judge")) == 2, "a rebuilt Redis is no new episode"

    asyncio.run(story())


def test_two_publishers_with_the_same_log_write_each_alert_once_and_raise_nothing(log: Log) -> None:
    async def story() -> None:
        async with published(log, "twin-1"), published(log, "twin-2"):
            for at in range(20):
                await log.emit(alert("twins", "a", at))
            held = await until_held(log, "twins", 20)
            assert [a.source.last_offset for _, a in held] == list(range(20))
        for name in ("vigil:twin-1", "vigil:twin-2"):
            assert await in_kafka(log, name) == []

    asyncio.run(story())


def test_a_device_that_is_gone_leaves_its_bed_unless_an_alarm_still_stands(log: Log) -> None:
    def vitals(device: str, second: int, *, gone: bool, alarms: tuple[str, ...] = ()) -> Vitals:
        return Vitals(device, device, "gone", second, None, "ended", {}, None, alarms, (), 0, second, second, gone)

    async def story() -> None:
        await log.emit(alert("gone", "alarmed", 1, bed="alarmed"))
        async with published(log), connect(log.url) as redis, producing(log.kafka) as producer:

            async def show(*items: Vitals) -> None:
                sends = [Send(topics.VITALS, item.device.encode(), msgspec.json.encode(item)) for item in items]
                await durable(producer, sends)

            async def shown(second: int, *, gone: bool, expected: list[str]) -> bool:
                alarmed = vitals("alarmed", second, gone=gone, alarms=("asystole",))
                await show(vitals("calm", second, gone=gone), alarmed)
                return [bed.device for bed in await read_beds(redis, "gone") if bed.vitals] == expected

            await until(lambda: shown(10, gone=False, expected=["alarmed", "calm"]))
            await until(lambda: shown(20, gone=True, expected=["alarmed"]))
            assert b"calm" not in await answer(redis.smembers("beds:{gone}"))

    asyncio.run(story())


def test_a_publisher_counts_what_it_wrote_and_says_how_long_each_alert_took(log: Log) -> None:
    async def story() -> dict[str, float]:
        async with published(log, "counts") as health:
            await until(lambda: ready(health))
            await log.emit(*[alert("counted", "a", at) for at in range(4)])
            await log.emit(*[alert("counted", "a", at) for at in range(2)])
            await log.emit(alert("counted", "a", 9))
            await until_held(log, "counted", 5)
            await until(lambda: ready(health))
            text = health.answer("/metrics")[2].decode()
        samples = [s for family in text_string_to_metric_families(text) for s in family.samples if "le" not in s.labels]
        return {sample.name.removeprefix("vigil_publisher_"): sample.value for sample in samples}

    counted = asyncio.run(story())
    assert counted["alert_delay_seconds_count"] == 5, "of what was in the log before it started it cannot tell"
    assert 0 < counted["alert_delay_seconds_sum"] < 5 * DEADLINE_S
    assert counted["alerts_fenced_total"] >= 2
    assert counted["lag_alerts"] == counted["store_down"] == counted["redis_caught_up_total"] == 0


@pytest.mark.parametrize("absent", ["redis", "nothing"])
def test_a_publisher_that_is_told_to_end_has_ended_within_3_s(
    log: Log, services: Services, tmp_path: Path, absent: str
) -> None:
    process = Process("publisher", ["publisher", "--name", "ends"], free_port(), tmp_path / "publisher.log")
    process.start(services.kafka, log.url)
    process.wait_ready()
    if absent == "redis":
        log.redis.kill()
        time.sleep(1.0)
    assert process.process is not None
    process.process.send_signal(signal.SIGTERM)
    assert process.process.wait(3.0) == 0
