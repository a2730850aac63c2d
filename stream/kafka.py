"""Clients of Kafka, set as delivery needs them: producers that wait for every replica, readers without a group.

`Kafka` is what every client is made from: the keyword arguments of aiokafka that say where the brokers are and how to
speak to them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError
from aiokafka.structs import ConsumerRecord

Kafka = Mapping[str, Any]
MAX_REQUEST_BYTES = 64 * 1024 * 1024
"""Larger than any record of any topic: what a topic takes is its own setting, and the broker's answer."""


class Send(NamedTuple):
    """One record to publish; without a partition its key decides, by murmur2."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: tuple[tuple[str, bytes], ...] = ()


async def start(client: Any, kafka: Kafka) -> None:
    """Start a client; raises ConnectionError, in one line, where no broker answers."""
    try:
        await client.start()
    except (KafkaConnectionError, NodeNotReadyError) as error:
        with suppress(KafkaError):
            await (client.close() if isinstance(client, AIOKafkaAdminClient) else client.stop())
        raise ConnectionError(f"kafka at {kafka.get('bootstrap_servers')} does not answer") from error


@asynccontextmanager
async def producing(kafka: Kafka) -> AsyncGenerator[AIOKafkaProducer]:
    """Yield a started producer: in order, without doubles of its own, acknowledged by all replicas."""
    producer = AIOKafkaProducer(enable_idempotence=True, max_request_size=MAX_REQUEST_BYTES, **kafka)
    await start(producer, kafka)
    try:
        yield producer
    finally:
        await producer.stop()


@asynccontextmanager
async def reading(kafka: Kafka, **options: Any) -> AsyncGenerator[AIOKafkaConsumer]:
    """Yield a started consumer without a group: it is told what to read and from where, and commits nothing."""
    consumer = AIOKafkaConsumer(enable_auto_commit=False, **{"fetch_max_wait_ms": 20, **kafka, **options})
    await start(consumer, kafka)
    try:
        yield consumer
    finally:
        await consumer.stop()


async def durable(producer: AIOKafkaProducer, records: Iterable[Send]) -> None:
    """Publish records and return once the brokers hold all of them; raises aiokafka.errors.KafkaError."""
    pending = [
        await producer.send(item.topic, item.value, item.key, item.partition, headers=list(item.headers))
        for item in records
    ]
    await asyncio.gather(*pending)


async def read_to_end(
    consumer: AIOKafkaConsumer, topic: str, partitions: Iterable[int], since: int = 0
) -> AsyncIterator[ConsumerRecord]:
    """Yield the records of some partitions, from the first that the log holds to what its end was at the call.

    What is before the offset `since` is left out.

    Offsets are asked for before the assignment and sought explicitly: after `assign`, `seek_to_beginning` with the
    default reset reads nothing, silently.
    """
    parts = [TopicPartition(topic, partition) for partition in partitions]
    first, last = await consumer.beginning_offsets(parts), await consumer.end_offsets(parts)
    first = {part: max(offset, since) for part, offset in first.items()}
    waiting = {part for part in parts if first[part] < last[part]}
    consumer.assign(parts)
    for part in parts:
        consumer.seek(part, first[part])
    while waiting:
        for part, records in (await consumer.getmany(*waiting, timeout_ms=500)).items():
            for record in records:
                if record.offset < last[part]:
                    yield record
        waiting = {part for part in waiting if await consumer.position(part) < last[part]}
