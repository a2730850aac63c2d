"""Between the log and the pipeline: restore, feed, make durable. What runs it, Faust or another, is not known here.

For each batch: alerts durable, then snapshots, vitals and dead letters durable; only then may it be acknowledged.
A restore and a batch take turns, so that memory never changes under a batch that is on its way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from stream import topics
from stream.health import Health
from stream.kafka import Kafka, Send, durable, read_to_end, reading
from stream.nets import load_net
from stream.pipeline import Out, Pipeline, Predict, Record
from stream.warm import warm_up

log = structlog.get_logger("worker")
Answer = TypeVar("Answer")


class WeightsError(Exception):
    """A setup in force names weights that this worker cannot load: it must not join the group."""


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
    """

    def __init__(self, kafka: Kafka, producer: AIOKafkaProducer, health: Health) -> None:
        self._kafka, self._producer, self._health = kafka, producer, health
        self._nets: dict[str, Predict] = {}
        self._pipeline = Pipeline(self._nets)
        self._thread = ThreadPoolExecutor(1, "pipeline")  # its own: heartbeats, answers and metrics go on meanwhile
        self._next: dict[int, int] = {}
        self._seen: set[int] = set()
        self.turn = asyncio.Lock()
        self._records = health.counter("records", "Records of the input taken")
        self._frames = health.counter("frames", "Frames accepted")
        self._windows = health.counter("windows", "Windows that a network has seen")
        self._alerts = health.counter("alerts", "Alerts published")
        self._dead = health.counter("dead_letters", "Inputs that could not be accepted")
        self._jumps = health.counter("offset_jumps", "Times that a partition's offsets were not contiguous")
        self._strays = health.counter("stray_records", "Records dropped that came out of their turn after a restore")
        self._fed = health.seconds("pipeline", "Time of a batch in the pipeline")
        self._stored = health.seconds("durable", "Time until a batch was durable")
        self._restoring = health.gauge("restore_seconds", "Time of the last restore")

    async def restore(self, partitions: Iterable[int]) -> dict[int, int]:
        """Forget everything, put the devices of these partitions back from their snapshots, and return where to go on.

        Raises
        ------
        WeightsError
            If a setup in force names weights that cannot be loaded.
        ValueError
            If a snapshot is not this version's, or covers what the log has not got.
        """
        started = time.monotonic()
        parts = sorted(partitions)
        async with self.turn, reading(self._kafka, max_partition_fetch_bytes=16_777_216) as reader:
            await self._run(self._pipeline.drop, list(self._next))
            self._next, self._seen = {}, set()
            if parts:
                self._next = await self._restore(reader, parts)
                await self._load(self._pipeline.missing_weights([]), must=True)
        took_s = time.monotonic() - started
        self._restoring.set(took_s)
        log.info("restored", partitions=parts, seconds=round(took_s, 3), offsets=self._next)
        return dict(self._next)

    async def _restore(self, reader: AIOKafkaConsumer, parts: list[int]) -> dict[int, int]:
        self._pipeline.partitions = len(await topics.partitions(self._kafka, topics.INPUT))
        inputs = {p: TopicPartition(topics.INPUT, p) for p in parts}
        first, end = await reader.beginning_offsets(inputs.values()), await reader.end_offsets(inputs.values())
        rows: dict[int, dict[bytes, bytes]] = {p: {} for p in parts}
        async for record in read_to_end(reader, topics.STATE, parts):
            if record.value is None:
                rows[record.partition].pop(record.key or b"", None)
            else:
                rows[record.partition][record.key or b""] = record.value
        resume = {}
        for p, part in inputs.items():
            wanted = await self._run(self._pipeline.restore, p, rows[p])
            if wanted is not None and wanted > end[part]:
                raise ValueError(f"snapshots must not be ahead of {part.topic}/{p}, got {wanted} of {end[part]}")
            resume[p] = max(first[part], wanted or 0)
            if wanted is not None and first[part] > wanted:
                log.error("input_gone", partition=p, wanted_offset=wanted, first_offset=first[part])
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
        """
        fresh = [record for record in records if await self._in_turn(record)]
        if not fresh:
            return
        started = time.monotonic()
        if missing := await self._run(self._pipeline.missing_weights, fresh):
            await self._load(missing, must=False)
        out = await self._run(self._pipeline.feed, fresh)
        fed = time.monotonic()
        await durable(self._producer, [Send(topics.ALERTS, key, value) for key, value in out.alerts])
        await durable(self._producer, [*_rest(out), *self._letters(out, fresh)])
        self._fed.observe(fed - started)
        self._stored.observe(time.monotonic() - fed)
        self._records.inc(len(fresh))
        self._frames.inc(out.frames)
        self._windows.inc(out.windows)
        self._alerts.inc(len(out.alerts))
        self._health.ready()

    async def _in_turn(self, record: Record) -> bool:
        """Say whether a record is to be taken: those below what is next were, those above it may be strays.

        Offsets leave one out where the log itself does (a transaction's marker, an end of retention). Else the record
        was fetched before the last assignment, and is dropped; or, later on, records got lost on their way.
        """
        partition, offset = record.partition, record.offset
        expected = self._next.get(partition)
        if expected is not None and offset > expected:
            follows = await self._first_from(partition, expected)
            if follows < offset and partition in self._seen:
                raise ValueError(
                    f"offset after {expected - 1} of partition {partition} must be {follows}, got {offset}"
                )
            if follows < offset:
                expected = None
            else:
                self._jumps.inc()
                log.error("offset_jump", partition=partition, expected_offset=expected, offset=offset)
        if expected is None or offset < expected:
            self._strays.inc()
            return False
        self._seen.add(partition)
        self._next[partition] = offset + 1
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
            self._dead.inc()
            log.warning("dead_letter", partition=record.partition, offset=record.offset, reason=reason)
            yield Send(topics.DEAD_LETTERS, original.key, original.value, None, named)

    async def _load(self, wanted: set[str], *, must: bool) -> None:
        """Load networks from the log; one that is not there or is none stays unknown: the pipeline refuses its setup.

        Only where a setup in force needs it (`must`) does the worker end: another worker may be able to load it.
        """
        if not wanted:
            return
        found: dict[str, bytes] = {}
        async with reading(self._kafka, max_partition_fetch_bytes=16_777_216) as reader:
            async for record in read_to_end(reader, topics.WEIGHTS, [0]):
                if (sha256 := (record.key or b"").decode(errors="replace")) in wanted and record.value is not None:
                    found[sha256] = record.value
        for sha256, data in found.items():
            try:
                really, net = await self._run(load_net, data)
            except ValueError as error:
                if must:
                    raise WeightsError(f"weights {sha256[:12]} cannot be loaded: {error}") from error
                log.error("weights_unusable", sha256=sha256, error=str(error))
            else:
                self._nets[really] = net
        if must and (missing := wanted - self._nets.keys()):
            raise WeightsError(f"weights {', '.join(sorted(sha[:12] for sha in missing))} are in force, not in the log")

    async def _run(self, function: Callable[..., Answer], *arguments: object) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)


async def prepare(kafka: Kafka) -> None:
    """Check the topics, and do what takes seconds once: before this worker joins the group, and beds wait for it.

    Raises
    ------
    ConnectionError
        If Kafka does not answer, or a topic is not there.
    ValueError
        If input and state do not have the same partitions.
    """
    inputs, states = [await topics.partitions(kafka, name) for name in (topics.INPUT, topics.STATE)]
    if inputs != states:
        raise ValueError(f"{topics.STATE} must have {len(inputs)} partitions, as the input has, got {len(states)}")
    async with reading(kafka) as reader:
        ends = await reader.end_offsets([TopicPartition(topics.WEIGHTS, 0)])
    if any(ends.values()):
        import model.weights  # noqa: F401
    warm_up({})


def _rest(out: Out) -> Iterable[Send]:
    yield from (Send(topics.STATE, key, value, partition) for partition, key, value in out.snapshots)
    yield from (Send(topics.CHECKPOINTS, key, value, partition) for partition, key, value in out.checkpoints)
    yield from (Send(topics.VITALS, key, value) for key, value in out.vitals)
