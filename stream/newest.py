"""The newest rows of the state topic, and the last seals: little is read for them, from the ends of the partitions.

Every device that is there writes a row in each 5 s, so that the newest of all lie close together, however much lies
before them that the brokers have not yet compacted. What a partition shares names the devices that have a row: where
one is not among what was read, more is read, back to the first offset.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from stream import topics
from stream.snapshot import PARTITION_KEY, head_or_none

RECORDS = 256
"""So many are read of a partition at first."""

Rows = dict[bytes, bytes]


async def newest_rows(reader: AIOKafkaConsumer, partitions: list[int]) -> dict[int, Rows]:
    """Return the newest row of each key of some partitions of the state topic, without those of tombstones.

    A device that has a tombstone and is named by the newest row of what its partition shares keeps the row before it:
    a worker that stood still has brought that row late, and what follows on it is derived again, the tombstone as well.
    """
    parts = [TopicPartition(topics.STATE, partition) for partition in partitions]
    first, end = await reader.beginning_offsets(parts), await reader.end_offsets(parts)
    found: dict[TopicPartition, dict[bytes, bytes | None]] = {part: {} for part in parts}
    rows: dict[TopicPartition, Rows] = {part: {} for part in parts}
    begins, back = dict(end), RECORDS
    while lacking := {part for part in parts if begins[part] > first[part] and not _are_all(rows[part])}:
        until = {part: begins[part] for part in lacking}
        begins |= {part: max(first[part], end[part] - back) for part in lacking}
        older: dict[TopicPartition, dict[bytes, bytes | None]] = {part: {} for part in lacking}
        before: dict[TopicPartition, Rows] = {part: {} for part in lacking}
        async for part, record in _between(reader, begins, until):
            older[part][record.key or b""] = record.value
            if record.value is not None:
                before[part][record.key or b""] = record.value
        found |= {part: {**older[part], **found[part]} for part in lacking}
        rows |= {part: {**before[part], **rows[part]} for part in lacking}
        back *= 4
    return {part.partition: _standing(rows[part], found[part]) for part in parts}


async def last_values(reader: AIOKafkaConsumer, topic: str, partitions: list[int]) -> dict[int, bytes]:
    """Return the value of the last record of each partition of a topic that has any."""
    parts = [TopicPartition(topic, partition) for partition in partitions]
    first, end = await reader.beginning_offsets(parts), await reader.end_offsets(parts)
    until = {part: end[part] for part in parts if first[part] < end[part]}
    begins = {part: offset - 1 for part, offset in until.items()}
    return {part.partition: record.value or b"" async for part, record in _between(reader, begins, until)}


def _are_all(rows: Rows) -> bool:
    """Say whether rows hold one of each device of their partition."""
    named = _named(rows)
    return named is not None and named <= rows.keys()


def _standing(rows: Rows, newest: Mapping[bytes, bytes | None]) -> Rows:
    """Return the rows of devices that are not gone."""
    named = _named(rows) or set()
    return {key: row for key, row in rows.items() if newest[key] is not None or key in named}


def _named(rows: Rows) -> set[bytes] | None:
    """Return the keys of the devices that have a row, where what their partition shares says so."""
    shared = head_or_none(rows.get(PARTITION_KEY) or b"")
    return None if shared is None else {device.encode() for device in shared.devices}


async def _between(
    reader: AIOKafkaConsumer, begins: Mapping[TopicPartition, int], until: Mapping[TopicPartition, int]
) -> AsyncIterator[tuple[TopicPartition, ConsumerRecord]]:
    """Yield the records from one offset to before another, of each partition that `until` has."""
    waiting = set(until)
    reader.assign(list(until))
    for part in until:
        reader.seek(part, begins[part])
    while waiting:
        for part, records in (await reader.getmany(*waiting, timeout_ms=500)).items():
            for record in records:
                if record.offset < until[part]:
                    yield part, record
        waiting = {part for part in waiting if await reader.position(part) < until[part]}
