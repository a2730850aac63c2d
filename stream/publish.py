"""The publisher: from the alert topic to what wards read, in order, each alert once; and the newest vitals of each bed.

It is a plain reader of one partition. How far it has come is kept by Redis itself, with what was written, and compared
in each call: a Redis that lost its data or was rolled back is noticed within a second, and caught up from Kafka.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord
from redis.exceptions import RedisError

from stream import topics
from stream.health import Health
from stream.kafka import Kafka, kafka_of, reading
from stream.process import run_service
from stream.settings import Settings
from stream.store import REFUSALS, BehindError, Entry, Head, Place, Store, reached
from stream.tls import redis_of

BATCH = 1000
"""Most alerts that are taken at once."""
IDLE_MS = 1000
"""How long to wait for alerts before the positions are compared without any."""
SHORTEST_S, LONGEST_S = 0.1, 2.0
"""How long to wait before Redis is asked again, doubled each time."""

log = structlog.get_logger("publisher")
Answer = TypeVar("Answer")
_alert = msgspec.json.Decoder(Head)


class RefusedError(Exception):
    """Redis answers, and refuses what is written: it is full, read-only, or holds something else under a key."""


class Seen(msgspec.Struct, frozen=True):
    """The part of vitals that the publisher goes by."""

    device: str
    ward: str
    bed: str
    offset: int = -1


_vitals = msgspec.json.Decoder(Seen)


class Places:
    """Where each device was last: alerts and vitals come by two ways, and one may be ahead.

    Newer is what a later input of the device gave, by its offset: the clock of a device may be set back, and all its
    inputs are in one partition.

    Examples
    --------
    >>> places = Places()
    >>> places.move("monitor-7", Place("icu", "1"), 10), places.move("monitor-7", Place("icu", "2"), 20)
    (None, Place(ward='icu', bed='1'))
    >>> places.move("monitor-7", Place("icu", "1"), 15)
    Place(ward='icu', bed='1')
    """

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, Place]] = {}

    def learn(self, places: dict[str, Place]) -> None:
        """Start from what Redis shows, as older than anything that comes."""
        self._last = {device: (-1, place) for device, place in places.items()}

    def move(self, device: str, place: Place, offset: int) -> Place | None:
        """Note where a device was at some input offset, and return the place that it must be taken off, if any."""
        known_offset, known = self._last.get(device, (-1, place))
        if offset < known_offset:
            return None if place == known else place
        self._last[device] = (offset, place)
        return None if place == known else known


class Publisher:
    """Writes alerts and vitals to the wards' Redis until it is cancelled.

    Parameters
    ----------
    kafka : Kafka
        How to reach the brokers.
    store : Store
        Where to write.
    health : Health
        What the process says of itself.
    """

    def __init__(self, kafka: Kafka, store: Store, health: Health) -> None:
        self._kafka, self._store, self._health = kafka, store, health
        self._places = Places()
        self._written = health.counter("alerts_written", "Alerts written to Redis")
        self._fenced = health.counter("alerts_fenced", "Alerts that Redis held already")
        self._conflicts = health.counter("alert_conflicts", "Alerts that came again with other bytes")
        self._refused = health.counter("alerts_undecodable", "Records of the alert topic that are no alert")
        self._caught_up = health.counter("redis_caught_up", "Times that Redis held less than before")
        self._lag = health.gauge("lag_alerts", "Alerts in Kafka that Redis has not got")

    async def run(self) -> None:
        """Publish for ever.

        Raises
        ------
        RefusedError
            If Redis refuses what is written.
        stream.store.ConflictError
            If Redis was filled by somebody else.
        ValueError
            If Redis is ahead of the alert topic: it was filled from another log.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.alerts())
            tasks.create_task(self.vitals())

    async def alerts(self) -> None:
        """Bring alerts to Redis in the order of the alert topic."""
        part = TopicPartition(topics.ALERTS, 0)
        async with reading(self._kafka, fetch_max_wait_ms=500, max_partition_fetch_bytes=4_194_304) as consumer:
            consumer.assign([part])
            await self._start(consumer, part)
            while not _told_to_end():
                records = (await consumer.getmany(part, timeout_ms=IDLE_MS, max_records=BATCH)).get(part, [])
                await self._publish(consumer, part, records)
                self._lag.set(max(0, (consumer.highwater(part) or 0) - await consumer.position(part)))
                self._health.ready()

    async def _start(self, consumer: AIOKafkaConsumer, part: TopicPartition) -> None:
        position = await self._until_there(self._store.open)
        self._places.learn(await self._until_there(self._store.places))
        await self._seek(consumer, part, position)

    async def _seek(self, consumer: AIOKafkaConsumer, part: TopicPartition, position: int) -> None:
        first = (await consumer.beginning_offsets([part]))[part]
        end = (await consumer.end_offsets([part]))[part]
        if position > end:
            raise ValueError(f"Redis must not be ahead of {part.topic}, got position {position} of {end}: another log")
        if first > position:
            log.warning("alerts_gone", topic=part.topic, position=position, first_offset=first)
        consumer.seek(part, max(first, position))

    async def _publish(self, consumer: AIOKafkaConsumer, part: TopicPartition, records: list[ConsumerRecord]) -> None:
        """Write a batch; where Redis turns out to hold less than before, go back to what it holds."""
        entries = list(self._entries(records))
        end = records[-1].offset + 1 if records else await consumer.position(part)
        try:
            wrote = await self._until_there(self._store.put, entries, end)
        except BehindError as behind:
            self._caught_up.inc()
            log.warning("redis_behind", positions=dict(behind.positions))
            await self._until_there(self._store.remember_wards)
            self._places.learn(await self._until_there(self._store.places))
            await self._seek(consumer, part, min(behind.positions.values()))
            return
        await self._until_there(self._tidy, entries)
        self._written.inc(wrote.written)
        self._fenced.inc(wrote.fenced)
        if wrote.conflicts:
            self._conflicts.inc(wrote.conflicts)
            log.error("alert_conflict", count=wrote.conflicts, before_offset=end)

    def _entries(self, records: Iterable[ConsumerRecord]) -> Iterable[Entry]:
        for record in records:
            try:
                yield Entry(record.offset, _alert.decode(record.value or b""), record.value or b"")
            except msgspec.DecodeError as error:
                self._refused.inc()
                log.error("alert_undecodable", offset=record.offset, reason=str(error))

    async def _tidy(self, entries: Iterable[Entry]) -> None:
        """Take devices off the beds that they have left."""
        for head in (entry.head for entry in entries):
            if (left := self._places.move(head.device, head.place, head.source.last_offset)) is not None:
                await self._store.leave(head.device, left)

    async def vitals(self) -> None:
        """Bring the newest vitals of each device to its bed; what was before them is of no interest here."""
        options = {"fetch_max_wait_ms": 200, "fetch_min_bytes": 65_536}
        async with reading(self._kafka, **options) as consumer:
            parts = [TopicPartition(topics.VITALS, p) for p in await topics.partitions(self._kafka, topics.VITALS)]
            ends = await consumer.end_offsets(parts)
            consumer.assign(parts)
            for part in parts:
                consumer.seek(part, ends[part])
            while not _told_to_end():
                batches = await consumer.getmany(*parts, timeout_ms=IDLE_MS)
                newest = dict(self._newest(record for records in batches.values() for record in records))
                if newest:
                    await self._until_there(self._show, newest)

    def _newest(self, records: Iterable[ConsumerRecord]) -> Iterable[tuple[Seen, bytes]]:
        """Decode the last record of each device."""
        for record in {record.key: record for record in records}.values():
            try:
                yield _vitals.decode(record.value or b""), record.value or b""
            except msgspec.DecodeError as error:
                log.error("vitals_undecodable", partition=record.partition, offset=record.offset, reason=str(error))

    async def _show(self, newest: dict[Seen, bytes]) -> None:
        here = {}
        for seen, value in newest.items():
            place = Place(seen.ward, seen.bed)
            left = self._places.move(seen.device, place, seen.offset)
            if left is not None:
                await self._store.leave(seen.device, left)
            if left != place:
                here[seen.device] = (place, value)
        await self._store.show(here)

    async def _until_there(self, call: Callable[..., Awaitable[Answer]], *arguments: Any) -> Answer:
        """Make a call of Redis, again and again while Redis is not there; nothing is read from Kafka meanwhile."""
        wait_s = SHORTEST_S
        while True:
            try:
                return await call(*arguments)
            except REFUSALS as error:
                reason = str(error).rpartition(" caused error: ")[2]  # before it stands the command, with a bed's data
                log.error("redis_refuses", reason=reason)
                raise RefusedError(f"Redis refuses: {reason}") from None
            except RedisError as error:
                self._health.not_ready("redis")
                log.warning("redis_not_there", error=type(error).__name__, again_in_s=wait_s)
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_S)


def run_publisher(settings: Settings) -> int:
    """Run `vigil publisher` until it is asked to end, and return its exit status: 3 where a service is not there.

    A Redis that goes away later on is waited for.
    """
    health = Health("publisher")

    async def publish() -> None:
        async with reached(redis_of(settings)) as redis:
            await Publisher(kafka_of(settings), Store(redis), health).run()

    return run_service(settings, health, publish)


def _told_to_end() -> bool:
    """Say whether this task was cancelled: Kafka's client may take the one cancellation for its own wait's end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
