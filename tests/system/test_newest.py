"""State on a real Kafka: the newest rows from the end of the topic, and a worker that finds rows of another schema."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs

from ecg.alert import decode_alert
from ecg.clinical import Settings
from ecg.frame import Frame, Setup, Tick, encode
from simulators.bedside import Framer
from simulators.heart import Heart
from stream import snapshot, topics
from stream.batch import Record
from stream.health import Health
from stream.kafka import Kafka, Send, durable, producing, read_to_end, reading
from stream.newest import RECORDS, newest_rows
from stream.placement import partition_of
from stream.snapshot import PARTITION_KEY, SCHEMA
from stream.worker import Worker

pytestmark = pytest.mark.system
SECOND_NS = 1_000_000_000
T0_NS = 1_800_000_000 * SECOND_NS
DEVICES = ("one", "two", "three")
SECONDS = 26


async def all_read(kafka: Kafka, topic: str) -> list[Any]:
    async with reading(kafka) as reader:
        return [record async for record in read_to_end(reader, topic, await topics.partitions(kafka, topic))]


def row(devices: tuple[str, ...] = (), covers: int = 0) -> bytes:
    return msgspec.msgpack.encode((SCHEMA, "0", "m", covers, "", 0, devices, None))


def test_rows_come_from_the_end_and_from_further_back_only_where_one_is_lacking(kafka: Kafka) -> None:
    names = tuple(f"bed-{n}" for n in range(6))
    begun = [Send(topics.STATE, name.encode(), row(covers=1), part) for part in (0, 1) for name in names]
    early = [Send(topics.STATE, b"silent", row(covers=2), 1), Send(topics.STATE, b"gone", row(), 1)]
    later = [
        Send(topics.STATE, name.encode(), row(covers=3 + turn), part)
        for turn in range(2 * RECORDS // len(names))
        for part in (0, 1)
        for name in names
    ]
    listed = {0: names[1:], 1: (*names, "silent")}
    ends = [Send(topics.STATE, PARTITION_KEY, row(listed[part]), part) for part in (0, 1)]
    last = [Send(topics.STATE, names[0].encode(), None, 0), Send(topics.STATE, b"fresh", row(covers=9), 0)]

    async def found() -> tuple[dict[int, dict[bytes, bytes]], list[int]]:
        async with producing(kafka) as producer:
            await durable(producer, [*begun, *early, *later, *ends, *last])
        async with reading(kafka) as reader:
            sought: list[int] = []
            seek = reader.seek
            reader.seek = lambda part, offset: (sought.append(offset), seek(part, offset))[1]  # pyright: ignore
            return await newest_rows(reader, [0, 1, 2]), sought

    rows, sought = asyncio.run(found())
    newest = {name.encode(): row(covers=2 + 2 * RECORDS // len(names)) for name in names}
    shared = {part: row(devices) for part, devices in listed.items()}
    without = {key: value for key, value in newest.items() if key != names[0].encode()}
    assert rows[0] == {**without, PARTITION_KEY: shared[0], b"fresh": row(covers=9)}
    assert rows[1] == {**newest, PARTITION_KEY: shared[1], b"silent": row(covers=2), b"gone": row()}
    assert rows[2] == {}
    assert len(sought) == 3, "partition 0 was read once, from its end; partition 1 once more, from its beginning"
    assert min(sought) == 0
    assert sorted(sought)[1] > RECORDS


def entries() -> list[tuple[int, bytes | None, Frame | Tick | Setup]]:
    """A ward of three devices, of which one stands still, second by second."""
    script = [("sinus", 9, {}), ("asystole", 9, {}), ("sinus", 8, {})]
    framers = {name: Framer(Heart(script, seed=n).source(), name, T0_NS, 1.0) for n, name in enumerate(DEVICES)}
    setup = Setup("test", "a schema", T0_NS, Settings(), unsigned=True)
    given: list[tuple[int, bytes | None, Frame | Tick | Setup]] = [
        (part, None, setup) for part in range(topics.INPUT_PARTITIONS)
    ]
    for second in range(SECONDS):
        for name, each in framers.items():
            part = partition_of(name.encode(), topics.INPUT_PARTITIONS)
            given.append((part, name.encode(), each.frame(second, second * each.n, each.n)))
        tick = Tick("ticker", second, T0_NS + (second + 1) * SECOND_NS)
        given += [(part, None, tick) for part in range(topics.INPUT_PARTITIONS)]
    return given


def test_a_worker_that_finds_another_schema_says_so_and_derives_the_state_again_without_a_double(kafka: Kafka) -> None:
    parts = range(topics.INPUT_PARTITIONS)

    async def run() -> tuple[list[Any], dict[int, int], dict[int, int]]:
        async with producing(kafka) as producer:
            await durable(producer, [Send(topics.INPUT, key, encode(what), part) for part, key, what in entries()])
            log = [Record(r.partition, r.offset, r.key, r.value) for r in await all_read(kafka, topics.INPUT)]
            half = [record for record in log if record.offset < 20]
            first = Worker(kafka, producer, Health("first"))
            await first.restore(parts)
            await first.take(half)
            async with reading(kafka) as reader:
                rows = await newest_rows(reader, list(parts))
            foreign = [Send(topics.STATE, key, _foreign(own[key]), part) for part, own in rows.items() for key in own]
            await durable(producer, foreign)
            with capture_logs() as said:
                second = Worker(kafka, producer, Health("second"))
                begun = await second.restore(parts)
                await second.take(log)
            third = Worker(kafka, producer, Health("third"))
            return said, begun, await third.restore(parts)

    said, begun, after = asyncio.run(run())
    assert begun == dict.fromkeys(parts, 0)
    assert [entry["log_level"] for entry in said if entry["event"] == "snapshots_unusable"] == ["error"] * len(parts)
    why = next(entry["error"] for entry in said if entry["event"] == "snapshots_unusable")
    assert f"must have schema {SCHEMA}, got {SCHEMA + 1}, by version 9.9" in why
    assert min(after.values()) == SECONDS + 1
    alerts = [record.value for record in asyncio.run(all_read(kafka, topics.ALERTS))]
    assert set(Counter(decode_alert(value).id for value in alerts).values()) == {1}
    starts = Counter(alert.condition for alert in map(decode_alert, alerts) if alert.phase == "start")
    assert starts["asystole"] == len(DEVICES)
    assert starts["data_loss"] == 0


def _foreign(value: bytes) -> bytes:
    head = snapshot.head(value)
    return msgspec.msgpack.encode((SCHEMA + 1, "9.9", "m", head.covers, head.chain, head.links, head.devices, {"x": 1}))
