"""Topics and Redis without what other tests left in them: the clocks of their wards are not one's own."""

from __future__ import annotations

import asyncio

from aiokafka.admin import AIOKafkaAdminClient

from stream import topics
from stream.kafka import Kafka
from stream.retention import HOUR_MS
from stream.store import connect


async def anew(kafka: Kafka, **keep_h: int) -> None:
    """Throw away what is in the topics, and make them from nothing, kept for so many hours."""
    admin = AIOKafkaAdminClient(**kafka)
    await admin.start()
    try:
        if there := sorted(set(await admin.list_topics()) & topics.TOPICS.keys()):
            await admin.delete_topics(there)
    finally:
        await admin.close()
    while await topics.listed(kafka):
        await asyncio.sleep(0.1)
    await topics.create(kafka, keep={name: hours * HOUR_MS for name, hours in keep_h.items()})


async def clear(kafka: Kafka, url: str) -> None:
    """Leave nothing of other tests, neither in the topics nor in Redis."""
    await anew(kafka)
    async with connect(url) as redis:
        await redis.flushall()
