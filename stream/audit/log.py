"""The log as an auditor reads it: ranges of a topic's partition, from Kafka or from memory, and places in it by time.

A log has `bounds`, and `read`, which goes through a range in batches and never holds more than one. What is built on
these two (`stream.audit.places`, `replay`, `chain`) is the same for both.
"""

from __future__ import annotations

import bisect
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import NamedTuple, Protocol

from aiokafka import TopicPartition

from ecg.frame import FrameError, Input, Signed, decode
from stream import topics
from stream.batch import Record
from stream.kafka import Kafka, reading

BATCH = 4000
"""Most records that are read together."""
FETCH_BYTES = 16 * 1024 * 1024


class Entry(NamedTuple):
    """One record of any topic; `append_ns` is its time in Kafka, `value` None a tombstone."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    append_ns: int = 0
    headers: tuple[tuple[str, bytes], ...] = ()


class Log(Protocol):
    """Topics with their partitions, to be read."""

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return the first offset and the one after the last, by partition."""
        ...

    async def acknowledged(self) -> dict[int, int]:
        """Return by partition of the input the offset before which all that came of it was published, where known."""
        ...

    def read(self, topic: str, partition: int, first: int, end: int) -> AsyncGenerator[list[Entry]]:
        """Yield the records from one offset to before another, in batches; what the log has lost is left out."""
        ...


class KafkaLog:
    """The log in Kafka.

    Parameters
    ----------
    kafka : Kafka
        How to reach the brokers.
    """

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return the first offset and the one after the last, by partition; raises ConnectionError without a topic."""
        parts = [TopicPartition(topic, partition) for partition in await topics.partitions(self._kafka, topic)]
        async with reading(self._kafka) as reader:
            first, end = await reader.beginning_offsets(parts), await reader.end_offsets(parts)
        return {part.partition: (first[part], end[part]) for part in parts}

    async def acknowledged(self) -> dict[int, int]:
        """Return by partition of the input the offset up to which the workers have acknowledged it, where one has."""
        return await topics.acknowledged(self._kafka)

    async def read(self, topic: str, partition: int, first: int, end: int) -> AsyncGenerator[list[Entry]]:
        """Yield the records from one offset to before another, in batches."""
        part = TopicPartition(topic, partition)
        async with reading(self._kafka, max_partition_fetch_bytes=FETCH_BYTES) as reader:
            begin, last = (await reader.beginning_offsets([part]))[part], (await reader.end_offsets([part]))[part]
            at, last = max(first, begin), min(end, last)
            reader.assign([part])
            reader.seek(part, at)
            while at < last:
                got = (await reader.getmany(part, timeout_ms=500, max_records=BATCH)).get(part, [])
                found = [
                    Entry(partition, r.offset, r.key, r.value, r.timestamp * 1_000_000, tuple(r.headers))
                    for r in got
                    if r.offset < last
                ]
                if found:
                    yield found
                at = await reader.position(part)


class MemoryLog:
    """The same in memory.

    Parameters
    ----------
    topics : mapping of str to mapping of int to sequence of Entry
        By topic and partition, its records in the order of their offsets, which need not follow each other.
    acknowledged : mapping of int to int
        By partition of the input, the offset before which all that came of it was published; unknown by default.
    """

    def __init__(
        self, topics: Mapping[str, Mapping[int, Sequence[Entry]]], acknowledged: Mapping[int, int] | None = None
    ) -> None:
        self._topics, self._acknowledged = topics, dict(acknowledged or {})

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Return the first offset and the one after the last, by partition."""
        parts = self._topics.get(topic, {})
        return {p: (its[0].offset, its[-1].offset + 1) if its else (0, 0) for p, its in parts.items()}

    async def acknowledged(self) -> dict[int, int]:
        """Return by partition of the input the offset before which all that came of it was published, where known."""
        return self._acknowledged

    async def read(self, topic: str, partition: int, first: int, end: int) -> AsyncGenerator[list[Entry]]:
        """Yield the records from one offset to before another, in batches."""
        its = self._topics.get(topic, {}).get(partition, ())
        at = bisect.bisect_left(its, first, key=lambda entry: entry.offset)
        stop = bisect.bisect_left(its, end, key=lambda entry: entry.offset)
        for begin in range(at, stop, BATCH):
            yield list(its[begin : min(begin + BATCH, stop)])


async def input_records(kafka: Kafka, partition: int, first: int, end: int) -> AsyncGenerator[Record]:
    """Yield the records of a partition of the input, from one offset to before another."""
    async with aclosing(KafkaLog(kafka).read(topics.INPUT, partition, first, end)) as batches:
        async for batch in batches:
            for record in batch:
                yield as_record(record)


def as_record(entry: Entry) -> Record:
    """Return a record of the input as the pipeline takes it."""
    return Record(entry.partition, entry.offset, entry.key, entry.value or b"", entry.append_ns)


def opened(value: bytes | None) -> Input | None:
    """Return what a record of the input holds, out of its signature, which is not verified; None if it holds nothing.

    What comes of it may say where to look in the log, never what to believe.
    """
    try:
        entry = decode(value or b"")
        return decode(entry.body) if isinstance(entry, Signed) else entry
    except FrameError:
        return None
