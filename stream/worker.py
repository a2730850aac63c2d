"""Between the log and the pipeline: restore, feed, make durable. What runs it, Faust or another, is not known here.

For each batch: alerts durable, then seals, then snapshots, vitals and dead letters; only then may it be acknowledged.
A restore and a batch take turns, so that memory never changes under a batch that is on its way.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import msgspec
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from ecg.frame import Signed, encode
from stream import topics
from stream.batch import Out, Record
from stream.health import Health
from stream.inforce import Nets, load_in_force
from stream.kafka import Kafka, Send, durable, reading
from stream.newest import last_values, newest_rows
from stream.pipeline import Pipeline
from stream.signing import Signer
from stream.snapshot import RowsError, check_rows
from stream.standstill import Standstill, StoodStillError
from stream.warm import warm_up
from stream.watch import Watch

COMPRESSION = "snappy"
"""Of what a worker writes, mostly snapshots: zstd makes them a fifth smaller at eight times the cost."""
SEND_BYTES = 900_000
"""A worker's producer sends up to so much at once to a partition; every topic that it writes takes 1 MiB."""
SEAL_WITHIN_S = 10.0
"""A seal that the log says it has is there within this time."""

YOUNG = 50_000
"""New objects from one look for cycles among them to the next."""

CLOSE_S = 5.0
"""How long a batch may take that is on its way when the worker ends; then it is given again by another."""

log = structlog.get_logger("worker")
Answer = TypeVar("Answer")
_signed = msgspec.msgpack.Decoder(Signed)


class Worker:
    """One worker's pipeline with its place in the log.

    Parameters
    ----------
    kafka : Kafka
        How to reach the brokers.
    producer : AIOKafkaProducer
        Started; idempotent, so that alerts stay in order.
    health : Health
        What the process says of itself.
    nets : Nets or None
        The networks that are loaded already, and where others come from.
    signer : Signer or None
        Signs seals; None: they carry no signature.

    Attributes
    ----------
    turn : asyncio.Lock
        Held by whoever calls `take`.
    closed : bool
        Nothing more is taken: this worker is about to leave its group.
    stopped : set of int
        Partitions of which nothing more is taken until the next restore, since too many of their devices fail.
    next : dict of int to int
        By partition, the offset that is next.
    """

    def __init__(
        self,
        kafka: Kafka,
        producer: AIOKafkaProducer,
        health: Health,
        nets: Nets | None = None,
        signer: Signer | None = None,
    ) -> None:
        nets = nets or Nets(kafka)
        self._kafka, self._producer, self._nets, self._signer = kafka, producer, nets, signer
        self._pipeline = Pipeline(nets.loaded)
        self._thread = ThreadPoolExecutor(1, "pipeline")  # its own: heartbeats, answers and metrics go on meanwhile
        nets.thread = self._thread
        self._seen: set[int] = set()
        self._standstill = Standstill()
        self.turn = asyncio.Lock()
        self.closed, self._whole = False, False
        self.stopped: set[int] = set()
        self.next: dict[int, int] = {}
        self.watch = Watch(health)
        self._health = health

    async def restore(self, partitions: Iterable[int]) -> dict[int, int]:
        """Forget everything, put the devices of these partitions back from their snapshots, and return where to go on.

        Raises
        ------
        stream.inforce.WeightsError
            If a setup in force names weights that cannot be loaded.
        ValueError
            If a snapshot covers what the log has not got.
        """
        started = time.monotonic()
        parts = sorted(partitions)
        async with self.turn, reading(self._kafka, max_partition_fetch_bytes=16_777_216) as reader:
            await self._run(self._pipeline.drop, list(self.next))
            self.next, self._seen, self.stopped, self._whole = {}, set(), set(), False
            self.watch.forget()
            if parts:
                self.next = await self._restore(reader, parts)
                await self._nets.load(self._pipeline.missing_weights([]), must=True)
        took_s = time.monotonic() - started
        self.watch.restored(took_s)
        log.info("restored", partitions=parts, seconds=round(took_s, 3), offsets=self.next)
        return dict(self.next)

    async def _restore(self, reader: AIOKafkaConsumer, parts: list[int]) -> dict[int, int]:
        self._pipeline.partitions = len(await topics.partitions(self._kafka, topics.INPUT))
        inputs = {p: TopicPartition(topics.INPUT, p) for p in parts}
        rows = await newest_rows(reader, parts)  # before the ends: who still writes rows is never ahead of what is read
        first, end = await reader.beginning_offsets(inputs.values()), await reader.end_offsets(inputs.values())
        async with asyncio.timeout(SEAL_WITHIN_S):
            seals = await last_values(reader, topics.SEALS, parts)
        resume = {}
        for p, part in inputs.items():
            sealed = _signed.decode(seals[p]).body if p in seals else None
            try:
                check_rows(rows[p])
                wanted = await self._run(self._pipeline.restore, p, rows[p], sealed)
            except RowsError as error:
                log.error("snapshots_unusable", partition=p, error=str(error), derived_from_offset=first[part])
                wanted = await self._run(self._pipeline.rebuild, p, rows[p], first[part], sealed)
            if wanted is not None and wanted > end[part]:
                raise ValueError(f"snapshots must not be ahead of {part.topic}/{p}, got {wanted} of {end[part]}")
            resume[p] = max(first[part], wanted or 0)
            if wanted is not None and first[part] > wanted:
                log.error("input_gone", partition=p, wanted_offset=wanted, first_offset=first[part])
            self.watch.holds((p, key) for key in rows[p])
        return resume

    async def take(self, records: Sequence[Record]) -> None:
        """Feed records of the input to the pipeline, and return when all that comes of them is durable.

        To be called while holding `turn`.

        Raises
        ------
        aiokafka.errors.KafkaError
            If the brokers refuse.
        ValueError
            If records that the log holds were left out on the way here.
        stream.standstill.StoodStillError
            If this process stood still for so long that another may have taken its place.
        """
        fresh = [record for record in records if await self._in_turn(record)]
        if not fresh:
            return
        started, self._whole = time.monotonic(), False
        self._standstill.begin()
        if missing := await self._run(self._pipeline.missing_weights, fresh):
            await self._nets.load(missing, must=False)
        out = await self._run(self._pipeline.feed, fresh)
        fed = time.monotonic()
        self._standstill.check()
        await durable(self._producer, [Send(topics.ALERTS, key, value) for key, value in out.alerts])
        await durable(self._producer, [*self._seals(out), *self._letters(out, fresh)])
        self._standstill.check()
        await durable(self._producer, _rest(out))
        self._whole = True
        self.watch.took(fresh, out, fed - started, time.monotonic() - fed)
        for partition in sorted(out.stopped - self.stopped):
            log.error("partition_stopped", partition=partition, next_offset=self.next[partition])
        self.stopped |= out.stopped
        self._health.ready()

    async def close(self) -> None:
        """Finish the batch that is on its way, take no other, and leave state from which others go on at once."""
        self.closed = True
        with suppress(TimeoutError, KafkaError, StoodStillError):  # brokers that do not answer hold nobody up
            async with asyncio.timeout(CLOSE_S), self.turn:
                await self._leave()
                self._thread.shutdown(wait=False)

    async def _leave(self) -> None:
        """Write a snapshot of every device, due or not; but of nothing that a batch which failed went through."""
        if not self._whole:
            return
        self._standstill.check()
        rows = await self._run(self._rows)
        self._standstill.check()
        await durable(self._producer, rows)

    def _rows(self) -> list[Send]:
        parts = [p for p in sorted(self.next.keys() - self.stopped) if self._pipeline.is_settled(p)]
        return [Send(topics.STATE, key, row, p) for p in parts for key, row in self._pipeline.snapshot(p).items()]

    def _seals(self, out: Out) -> Iterable[Send]:
        for partition, body in out.seals:
            value = encode(Signed("", body, b"")) if self._signer is None else self._signer.seal(body)
            yield Send(topics.SEALS, str(partition).encode(), value, partition)

    async def _in_turn(self, record: Record) -> bool:
        """Say whether a record is to be taken: those below what is next were, those above it may be strays.

        Offsets leave one out where the log itself does (a transaction's marker, an end of retention). Else the record
        was fetched before the last assignment, and is dropped; or, later on, records got lost on their way.
        """
        partition, offset = record.partition, record.offset
        expected = self.next.get(partition)
        if expected is not None and offset > expected:
            follows = await self._first_from(partition, expected)
            if follows < offset and partition in self._seen:
                raise ValueError(
                    f"offset after {expected - 1} of partition {partition} must be {follows}, got {offset}"
                )
            if follows < offset:
                expected = None
            else:
                self.watch.jumps.inc()
                log.error("offset_jump", partition=partition, expected_offset=expected, offset=offset)
        if expected is None or offset < expected:
            self.watch.strays.inc()
            return False
        self._seen.add(partition)
        self.next[partition] = offset + 1
        return True

    async def _first_from(self, partition: int, offset: int) -> int:
        """Return the offset of the first record that the log has from an offset on."""
        part = TopicPartition(topics.INPUT, partition)
        async with reading(self._kafka, auto_offset_reset="earliest") as reader:
            reader.assign([part])
            reader.seek(part, offset)
            return (await reader.getone(part)).offset

    def _letters(self, out: Out, records: Sequence[Record]) -> Iterable[Send]:
        """Make the dead letters: the bytes as they came, and in headers from where and why."""
        came = {(record.partition, record.offset): record for record in records}
        for record, reason in out.dead:
            original = came.get((record.partition, record.offset), record)
            headers = {"topic": topics.INPUT, "partition": record.partition, "offset": record.offset, "reason": reason}
            named = tuple((name, str(value).encode()) for name, value in headers.items())
            log.warning("dead_letter", partition=record.partition, offset=record.offset, reason=reason)
            yield Send(topics.DEAD_LETTERS, original.key, original.value, None, named)

    async def _run(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)


async def prepare(kafka: Kafka) -> Nets:
    """Check the topics, and do what takes seconds once: before this worker joins the group, and beds wait for it.

    Returns
    -------
    Nets
        The networks of the setup in force, loaded.

    Raises
    ------
    ConnectionError
        If Kafka does not answer, or a topic is not there.
    stream.inforce.WeightsError
        If the log puts weights into force that this worker cannot load.
    ValueError
        If input and state do not have the same partitions.
    """
    inputs, states = [await topics.partitions(kafka, name) for name in (topics.INPUT, topics.STATE)]
    if inputs != states:
        raise ValueError(f"{topics.STATE} must have {len(inputs)} partitions, as the input has, got {len(states)}")
    nets = Nets(kafka)
    await load_in_force(kafka, inputs, nets)
    warm_up(nets.loaded)
    _settle()
    return nets


def _settle() -> None:
    """Let the collector of cycles pass over what was loaded, and come seldom: a tenth of a batch's time went there."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)


def _rest(out: Out) -> Iterable[Send]:
    yield from (Send(topics.STATE, key, value, partition) for partition, key, value in out.snapshots)
    yield from (Send(topics.CHECKPOINTS, key, value, partition) for partition, key, value in out.checkpoints)
    yield from (Send(topics.VITALS, key, value) for key, value in out.vitals)
