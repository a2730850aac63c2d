"""The publisher: from the alert topic to what wards read, in order, each alert once; and the newest vitals of each bed.

It is a plain reader of one partition. How far it has come is kept by Redis itself, with what was written, and compared
in each call: a Redis that lost its data or was rolled back is noticed within a second, and caught up from Kafka.
Where Redis does not answer it reads nothing, and says so in the topic of all alerts, the path that still works.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from ecg.alert import decode_alert
from ecg.condition import Finding
from stream import topics
from stream.health import Health
from stream.kafka import Kafka, Send, durable, kafka_of, producing, reading
from stream.outage import Outage, RefusedError
from stream.process import run_service, told_to_end
from stream.publish_vitals import Places, VitalsPublisher
from stream.service_alarm import ServiceAlarms
from stream.settings import Settings
from stream.store import BehindError, Entry, Head, Store, Wrote, reached
from stream.tls import redis_of

BATCH = 1000
"""Most alerts that are taken at once."""
IDLE_MS = 1000
"""How long to wait for alerts before the positions are compared without any."""
STORE_DOWN_S, BACK_S = 5.0, 1.0
"""Once a call has waited for Redis for so long, an alarm says so; once all that wait began so lately, it is over."""
QUIET_S = 600.0
"""A conflict or a fork is over once there was none for this long."""
LATE_S = 10.0
"""An alert that is older than this and not yet in Redis, or brokers or vitals unheard for so long: not ready."""
WATCH_S, TRIM_S = 0.25, 10.0
"""How often the publisher looks whether it has to raise an alarm, and whether a stream has to be trimmed."""
SEND_MS = 4000
"""How long the brokers may take for an alarm of the publisher's own before it is sent again."""

log = structlog.get_logger("publisher")
_head = msgspec.json.Decoder(Head)


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
    name : str
        Of this publisher, for alarms of its own; no other may have it.
    """

    def __init__(self, kafka: Kafka, store: Store, health: Health, name: str = "publisher") -> None:
        self._kafka, self._store, self._health = kafka, store, health
        self._places, self._outage, self._alarms = Places(), Outage(health), ServiceAlarms(name)
        self._vitals = VitalsPublisher(kafka, store, self._outage, self._places)
        self._quiet_at: dict[str, float] = {}
        self._suspects: dict[str, list[tuple[int, Head]]] = {}
        self._end = self._judged = self._lost_until = 0
        self._placed, self._settled, self._trim_at = False, False, 0.0
        self._written = health.counter("alerts_written", "Alerts written to Redis")
        self._fenced = health.counter("alerts_fenced", "Alerts that Redis held already")
        self._conflicts = health.counter("alert_conflicts", "Alerts that came again with other bytes")
        self._forks = health.counter("chain_forks", "Alerts that name the same one before them as another does")
        self._refused = health.counter("alerts_undecodable", "Records of the alert topic that are no alert")
        self._caught_up = health.counter("redis_caught_up", "Times that Redis began anew or held less than before")
        self._trimmed = health.counter("alerts_trimmed", "Alerts taken from streams that grew too long")
        self._unread = health.counter("alerts_trimmed_unread", "Alerts of those that some consumer group had not read")
        self._lag = health.gauge("lag_alerts", "Alerts in Kafka that Redis has not got")
        self._down = health.gauge("store_down", "1 while Redis has not answered for 5 s")
        self._delay = health.seconds("alert_delay", "From an alert's record in Kafka to its entry in Redis")

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
        try:
            async with asyncio.TaskGroup() as tasks:
                for part in (self.alerts(), self._vitals.run(), self._watch()):
                    tasks.create_task(part)
        except* RefusedError as refused:
            if self._settled:  # else it was refused at once, and a supervisor starting it again would fill the topic
                self._raise(Finding("store_down", time.time_ns(), 0.0, None, "s", str(refused.exceptions[0])))
                await self._send()
            raise

    async def alerts(self) -> None:
        """Bring alerts to Redis in the order of the alert topic."""
        part = TopicPartition(topics.ALERTS, 0)
        async with reading(self._kafka, fetch_max_wait_ms=500, max_partition_fetch_bytes=4_194_304) as consumer:
            consumer.assign([part])
            await self._start(consumer, part)
            while not told_to_end():
                records = (await consumer.getmany(part, timeout_ms=IDLE_MS, max_records=BATCH)).get(part, [])
                await self._publish(consumer, part, records)
                await self._trim()
                await self._say(consumer, part, records)

    async def _start(self, consumer: AIOKafkaConsumer, part: TopicPartition) -> None:
        self._end = (await consumer.end_offsets([part]))[part]  # an alarm of ours stands behind those of before
        self._placed = True
        position = await self._outage.until_there(self._store.open)
        for value in await self._outage.until_there(self._store.raised, self._alarms.name):
            self._alarms.saw(value)
        self._places.learn(await self._outage.until_there(self._store.places))
        await self._seek(consumer, part, position)
        self._lost_until = 0 if position else self._end

    async def _seek(self, consumer: AIOKafkaConsumer, part: TopicPartition, position: int) -> None:
        first = (await consumer.beginning_offsets([part]))[part]
        self._end = (await consumer.end_offsets([part]))[part]
        if position > self._end:
            raise ValueError(
                f"Redis must not be ahead of {part.topic}, got position {position} of {self._end}: another log"
            )
        if first > position:
            log.warning("alerts_gone", topic=part.topic, position=position, first_offset=first)
        consumer.seek(part, max(first, position))

    async def _publish(self, consumer: AIOKafkaConsumer, part: TopicPartition, records: list[ConsumerRecord]) -> None:
        """Write a batch; where Redis turns out to hold less than before, go back to what it holds."""
        entries = list(self._entries(records))
        end = records[-1].offset + 1 if records else await consumer.position(part)
        try:
            wrote = await self._outage.until_there(self._store.put, entries, end)
        except BehindError as behind:
            self._caught_up.inc()
            self._lost_until = max(self._lost_until, end)
            log.warning("redis_behind", positions=dict(behind.positions))
            self._places.learn(await self._outage.until_there(self._store.places))
            self._vitals.again()
            await self._seek(consumer, part, min(behind.positions.values()))
            return
        await self._tidy(entries)
        self._tell(records, {entry.offset: entry.head for entry in entries}, wrote)
        self._judge({entry.offset: entry.head for entry in entries}, wrote)
        self._judged = max(self._judged, end)

    def _entries(self, records: Iterable[ConsumerRecord]) -> Iterable[Entry]:
        for record in records:
            try:
                head = _head.decode(record.value or b"")
                decode_alert(record.value or b"")  # what a ward could not read would hold up those behind it
                if head.device == self._alarms.device:
                    self._alarms.saw(record.value or b"")
                yield Entry(record.offset, head, record.value or b"")
            except msgspec.DecodeError as error:
                self._refused.inc()
                log.error("alert_undecodable", offset=record.offset, reason=str(error))

    async def _tidy(self, entries: Iterable[Entry]) -> None:
        """Take devices off the beds that they have left."""
        for head in (entry.head for entry in entries):
            if (left := self._places.move(head.device, head.place, head.source.last_offset)) is not None:
                before = self._places.newest(head.device)
                await self._outage.until_there(self._store.leave, head.device, left, before)

    def _tell(self, records: list[ConsumerRecord], heads: dict[int, Head], wrote: Wrote) -> None:
        """Count what was written, and say when each alert came, but for those that a lost Redis is given again."""
        self._written.inc(len(wrote.written))
        self._fenced.inc(len(wrote.fenced))
        now_s, new = time.time(), set(wrote.written)
        for record in records:
            if record.offset in new and record.offset >= self._lost_until:
                self._delay.observe(max(0.0, now_s - record.timestamp / 1000))
                head = heads[record.offset]
                log.info(
                    "alert", device=head.device, condition=head.condition, phase=head.phase, alert=head.id,
                    offset=record.offset, input_offset=head.source.last_offset,
                )  # fmt: skip

    def _judge(self, heads: dict[int, Head], wrote: Wrote) -> None:
        """Note alerts that contradict others, unless they were judged before, or a later alarm in the log says it."""
        kinds = (("alert_conflict", wrote.conflicts, self._conflicts), ("chain_fork", wrote.forks, self._forks))
        for condition, offsets, counter in kinds:
            for offset in (offset for offset in offsets if offset >= self._judged):
                head = heads[offset]
                counter.inc()
                log.error(condition, device=head.device, alert=head.id, offset=offset)
                if not head.is_service:  # else of another process of the same name: an alarm on it would be one more
                    self._suspects.setdefault(condition, []).append((offset, head))
        for at, head in heads.items():
            if head.is_service and head.condition in self._suspects:
                self._suspects[head.condition] = [each for each in self._suspects[head.condition] if each[0] > at]

    def _accuse(self) -> None:
        """Raise an alarm on what was noted, once the log was read to its end."""
        now_s = asyncio.get_running_loop().time()
        for condition, found in self._suspects.items():
            for offset, head in found:
                trace = f"alert {head.id} of {head.device} at offset {offset} of {topics.ALERTS}"
                self._raise(Finding(condition, time.time_ns(), trace=trace), offset)
                self._quiet_at[condition] = now_s + QUIET_S
        self._suspects.clear()

    def _raise(self, finding: Finding, first: int | None = None) -> None:
        if self._alarms.start(finding, self._end, first):
            log.error("alarm_raised", condition=finding.condition, device=self._alarms.device, trace=finding.trace)

    async def _watch(self) -> None:
        """Raise and end the publisher's own alarms, whatever its other parts wait for."""
        while not told_to_end():
            await asyncio.sleep(WATCH_S)
            silent_s, now_s = self._outage.silent_s, asyncio.get_running_loop().time()
            self._down.set(silent_s > STORE_DOWN_S)
            if silent_s > STORE_DOWN_S and self._placed:
                trace = "Redis has not answered; alerts wait in Kafka"
                self._raise(Finding("store_down", time.time_ns(), silent_s, STORE_DOWN_S, "s", trace))
            elif self._settled:
                over = ["store_down"] if silent_s < BACK_S else []
                open_ = self._alarms.open - {"store_down"}
                over += [c for c in open_ if now_s > self._quiet_at.setdefault(c, now_s + QUIET_S)]
                for condition in over:
                    if self._alarms.end(condition, time.time_ns(), self._end):
                        log.warning("alarm_ended", condition=condition, device=self._alarms.device)
            await self._send()

    async def _send(self) -> None:
        """Bring the publisher's own alarms into the log, in order, or try again later."""
        outbox = self._alarms.outbox
        if not outbox:
            return
        try:
            async with producing({**self._kafka, "request_timeout_ms": SEND_MS}) as producer:
                while outbox:
                    await durable(producer, [Send(topics.ALERTS, self._alarms.device.encode(), outbox[0])])
                    outbox.popleft()
        except (KafkaError, ConnectionError) as error:
            log.error("alarm_not_sent", error=type(error).__name__)
            await asyncio.sleep(1.0)

    async def _trim(self) -> None:
        now_s = asyncio.get_running_loop().time()
        if now_s < self._trim_at:
            return
        self._trim_at = now_s + TRIM_S
        for done in await self._outage.until_there(self._store.trim):
            self._trimmed.inc(done.alerts)
            self._unread.inc(done.unread)
            if done.unread:
                log.error("unread_alerts_trimmed", ward=done.ward, count=done.unread)
            elif done.alerts:
                log.info("alerts_trimmed", ward=done.ward, count=done.alerts)

    async def _say(self, consumer: AIOKafkaConsumer, part: TopicPartition, records: list[ConsumerRecord]) -> None:
        """Say how far the alerts have come, and whether the publisher does its work."""
        position, loop_s = await consumer.position(part), asyncio.get_running_loop().time()
        self._settled = self._settled or position >= self._end
        self._end = max(self._end, consumer.highwater(part) or 0)
        lag, now_s = self._end - position, time.time()
        if not lag:
            self._accuse()
        self._lag.set(lag)
        asked_ms = consumer.last_poll_timestamp(part)
        if asked_ms is not None and now_s - asked_ms / 1000 > LATE_S:
            self._health.not_ready("kafka")
        elif lag and records and now_s - records[-1].timestamp / 1000 > LATE_S:
            self._health.not_ready("lag")
        elif self._vitals.turned_s + LATE_S < loop_s and self._settled:
            self._health.not_ready("vitals")
        else:
            self._health.ready()


def run_publisher(settings: Settings, name: str = "publisher") -> int:
    """Run `vigil publisher` until it is asked to end, and return its exit status: 3 where a service is not there.

    A Redis that goes away later on is waited for.
    """
    health = Health("publisher")

    async def publish() -> None:
        async with reached(redis_of(settings)) as redis:
            await Publisher(kafka_of(settings), Store(redis), health, name).run()

    return run_service(settings, health, publish)
