"""The newest vitals of each device, from their topic to its bed; and where each device was last."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from stream import topics
from stream.kafka import Kafka, reading
from stream.outage import Outage
from stream.process import told_to_end
from stream.store import Place, Store

IDLE_MS = 1000
LOOK_BACK = 2000
"""Vitals of each partition that are read again at the start, so that a bed is shown before its device speaks."""

log = structlog.get_logger("publisher")


class Seen(msgspec.Struct, frozen=True):
    """The part of vitals that the publisher goes by."""

    device: str
    ward: str
    bed: str
    alarms: tuple[str, ...] = ()
    offset: int = -1
    gone: bool = False

    @property
    def place(self) -> Place:
        """Where the device was."""
        return Place(self.ward, self.bed)


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

    def newest(self, device: str) -> int:
        """Return the newest input offset that a device was seen at; what is older does not show where it is."""
        return self._last[device][0]


class VitalsPublisher:
    """Brings vitals to the beds until it is cancelled.

    Parameters
    ----------
    kafka : Kafka
        How to reach the brokers.
    store : Store
        Where to write.
    outage : Outage
        Makes the calls of Redis.
    places : Places
        Shared with whoever brings the alerts.

    Attributes
    ----------
    turned_s : float
        When it last came round, by the loop's clock.
    """

    def __init__(self, kafka: Kafka, store: Store, outage: Outage, places: Places) -> None:
        self._kafka, self._store, self._outage, self._places = kafka, store, outage, places
        self._again = True
        self.turned_s = float("-inf")

    def again(self) -> None:
        """Show again what was shown, as Redis has lost some of it."""
        self._again = True

    async def run(self) -> None:
        """Show the newest vitals of each device as they come; raises RefusedError where Redis refuses."""
        options = {"fetch_max_wait_ms": 200, "fetch_min_bytes": 65_536}
        async with reading(self._kafka, **options) as consumer:
            parts = [TopicPartition(topics.VITALS, p) for p in await topics.partitions(self._kafka, topics.VITALS)]
            consumer.assign(parts)
            while not told_to_end():
                if self._again:
                    self._again = False
                    await self._look_back(consumer, parts)
                batches = await consumer.getmany(*parts, timeout_ms=IDLE_MS)
                newest = dict(self._newest(record for records in batches.values() for record in records))
                if newest:
                    await self._outage.until_there(self._show, *self._plan(newest))
                self.turned_s = asyncio.get_running_loop().time()

    async def _look_back(self, consumer: AIOKafkaConsumer, parts: list[TopicPartition]) -> None:
        first, ends = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
        for part in parts:
            consumer.seek(part, max(first[part], ends[part] - LOOK_BACK))

    def _newest(self, records: Iterable[ConsumerRecord]) -> Iterable[tuple[Seen, bytes]]:
        """Decode the last record of each device."""
        for record in {record.key: record for record in records}.values():
            try:
                yield _vitals.decode(record.value or b""), record.value or b""
            except msgspec.DecodeError as error:
                log.error("vitals_undecodable", partition=record.partition, offset=record.offset, reason=str(error))

    def _plan(self, newest: dict[Seen, bytes]) -> tuple[list[tuple[str, Place, int]], dict[str, tuple[Place, bytes]]]:
        """Return who is to be taken off which bed, and who is shown; a device that is gone stays for its alarms."""
        leaving, here = [], {}
        for seen, value in newest.items():
            left = self._places.move(seen.device, seen.place, seen.offset)
            if left is not None:
                leaving.append((seen.device, left, self._places.newest(seen.device)))
            if seen.gone and not seen.alarms:
                leaving.append((seen.device, seen.place, seen.offset + 1))
            elif left != seen.place:
                here[seen.device] = (seen.place, value)
        return leaving, here

    async def _show(self, leaving: list[tuple[str, Place, int]], here: dict[str, tuple[Place, bytes]]) -> None:
        for left in leaving:
            await self._store.leave(*left)
        await self._store.show(here)
