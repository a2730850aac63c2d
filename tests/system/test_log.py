"""What is put into the log on a real Kafka: topics, ticks, setups and weights."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress

import pytest

from ecg.clinical import Settings
from ecg.frame import Setup, Tick, decode
from stream import topics
from stream.client import check_services, put_weights, send_setup
from stream.embedded import Services
from stream.health import Health
from stream.kafka import Kafka, read_to_end, reading
from stream.ticker import tick

pytestmark = pytest.mark.system
SECOND_NS = 1_000_000_000


@pytest.fixture(scope="module")
def kafka(services: Services) -> Kafka:
    kafka = {"bootstrap_servers": services.kafka}
    asyncio.run(topics.create(kafka))
    return kafka


async def entries(kafka: Kafka) -> dict[int, list[object]]:
    """What each partition of the input holds."""
    parts = await topics.partitions(kafka, topics.INPUT)
    held: dict[int, list[object]] = {part: [] for part in parts}
    async with reading(kafka) as reader:
        async for record in read_to_end(reader, topics.INPUT, parts):
            held[record.partition].append(decode(record.value or b""))
    return held


def test_topics_are_created_once_and_as_the_table_says(kafka: Kafka) -> None:
    assert asyncio.run(topics.create(kafka)) == []
    assert asyncio.run(topics.check(kafka)) == []


def test_a_topic_that_is_not_there_is_a_service_that_is_not_there(kafka: Kafka) -> None:
    with pytest.raises(ConnectionError, match="kafka has no topic of-nobody"):
        asyncio.run(topics.partitions(kafka, "of-nobody"))


def test_every_whole_second_of_the_virtual_clock_is_in_every_partition(kafka: Kafka) -> None:
    now_ns = 10 * SECOND_NS - 1

    def clock() -> int:
        nonlocal now_ns
        now_ns += SECOND_NS // 4
        return now_ns

    async def story() -> dict[int, list[object]]:
        health = Health("ticker")
        ticking = asyncio.create_task(tick(kafka, "metronome", clock, 1000.0, health))
        while health.why_not_ready() or now_ns < 20 * SECOND_NS:
            await asyncio.sleep(0.01)
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking
        return await entries(kafka)

    for held in asyncio.run(story()).values():
        ticks = [entry for entry in held if isinstance(entry, Tick) and entry.ticker == "metronome"]
        assert len(ticks) >= 8
        assert [entry.seq for entry in ticks] == list(range(len(ticks)))
        times_s = [entry.time_ns / SECOND_NS for entry in ticks]
        assert times_s == sorted({float(round(time_s)) for time_s in times_s})


def test_a_setup_is_in_every_partition(kafka: Kafka) -> None:
    setup = Setup("test", "every partition", 1, Settings(), {"net": None}, unsigned=True)
    asyncio.run(send_setup(kafka, setup))
    assert all(setup in held for held in asyncio.run(entries(kafka)).values())


def test_weights_larger_than_a_frame_may_be_are_in_the_log_under_their_hash(kafka: Kafka) -> None:
    weights = bytes(range(256)) * 20_000

    async def story() -> dict[bytes, bytes]:
        await put_weights(kafka, weights)
        async with reading(kafka) as reader:
            return {record.key or b"": record.value or b"" async for record in read_to_end(reader, topics.WEIGHTS, [0])}

    assert asyncio.run(story())[hashlib.sha256(weights).hexdigest().encode()] == weights


def test_services_that_answer_are_described_and_one_that_does_not_is_named(kafka: Kafka, services: Services) -> None:
    assert asyncio.run(check_services(kafka, services.redis)).startswith("kafka has 8 of 8 topics; redis ")
    with pytest.raises(ConnectionError, match=r"redis at 127\.0\.0\.1:1 does not answer"):
        asyncio.run(check_services(kafka, "redis://user:secret@127.0.0.1:1/0"))
    with pytest.raises(ConnectionError, match=r"kafka at 127\.0\.0\.1:1 does not answer"):
        asyncio.run(check_services({"bootstrap_servers": "127.0.0.1:1"}, services.redis))
