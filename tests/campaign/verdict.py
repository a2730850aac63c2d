"""What a disturbed ward came to, against an undisturbed replay of the log that it wrote."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec
from aiokafka import TopicPartition
from aiokafka.structs import ConsumerRecord

from ecg.alert import Alert, decode_alert, decode_vitals
from ecg.condition import LETHAL
from stream import topics
from stream.audit.chains import audit_log, told
from stream.audit.log import KafkaLog
from stream.batch import Record
from stream.client import read_wards
from stream.kafka import Kafka, read_to_end, reading
from stream.nets import load_nets
from stream.pipeline import Pipeline
from stream.store import connect, stream_key

CUT = 997
"""Records that the undisturbed replay takes at once: no worker's number."""
STUCK_S = 60.0
"""A ward in which nothing was written for so long has nothing more to give."""
MS_NS = 1_000_000


class Verdict(msgspec.Struct):
    """Alerts that the log gives, those not in Kafka or not in Redis, those there twice in Redis, and all else.

    `differences` are alerts with other bytes, alerts that the log does not give, alerts out of order, and faults of the
    chains and seals;
    `again` those that workers emitted more than once, which is no fault; `blind_s` the longest time in which nothing
    new of a bed came into `ecg.vitals.v1`, by device; `lethal_delay_s` the longest time from the input that decided a
    lethal condition to its alert, both by the broker's clock.
    """

    alerts: int
    lethal: int
    lost: int
    doubled: int
    differences: int
    again: int
    dead_letters: int
    blind_s: dict[str, float]
    lethal_delay_s: float
    examples: list[str]
    seals: int = 0

    @property
    def blind_max_s(self) -> float:
        """The longest blind time of a bed whose device sends all the time, in real seconds."""
        return round(max((s for device, s in self.blind_s.items() if device.startswith("bedside")), default=0.0), 3)


async def log(kafka: Kafka, topic: str) -> list[ConsumerRecord]:
    """Return all records of a topic, by partition and offset."""
    parts = await topics.partitions(kafka, topic)
    async with reading(kafka) as reader:
        records = [record async for record in read_to_end(reader, topic, parts)]
    return sorted(records, key=lambda record: (record.partition, record.offset))


def derived(inputs: list[ConsumerRecord]) -> dict[str, bytes]:
    """Return each alert by its id, as the pipeline alone derives it from the log."""
    pipeline = Pipeline(load_nets("shipped"))
    pipeline.partitions = len({record.partition for record in inputs})
    records = [_record(record) for record in inputs]
    given = [pipeline.feed(records[at : at + CUT]) for at in range(0, len(records), CUT)]
    return {decode_alert(value).id: value for out in given for _, value in out.alerts}


def _record(record: ConsumerRecord) -> Record:
    return Record(record.partition, record.offset, record.key, record.value or b"", record.timestamp * MS_NS)


async def on_redis(url: str) -> list[tuple[tuple[int, int], bytes]]:
    """Return every entry of every ward's stream: its id and the alert's bytes."""
    held = []
    async with connect(url) as redis:
        for ward in await read_wards(redis):
            entries: Any = await redis.xrange(stream_key(ward))
            held += [(tuple(map(int, entry.split(b"-"))), fields[b"alert"]) for entry, fields in entries]
    return sorted(held)


async def verdict(kafka: Kafka, url: str) -> Verdict:
    """Wait until Redis holds what the log gives, for as long as the ward goes on, and compare."""
    inputs = await log(kafka, topics.INPUT)
    expected = await asyncio.to_thread(derived, inputs)
    seen, since = None, time.monotonic()
    while True:
        held = await on_redis(url)
        done = (len(held), await _ends(kafka))
        since = since if done == seen else time.monotonic()
        seen = done
        if expected.keys() <= {decode_alert(value).id for _, value in held} or time.monotonic() - since > STUCK_S:
            break
        await asyncio.sleep(0.5)
    found = _compare(expected, held, inputs, await log(kafka, topics.ALERTS), await _rest(kafka))
    chains = await audit_log(KafkaLog(kafka))
    found.seals = chains.figures["seals"]
    if not chains.intact:
        found.differences += len(chains.faults)
        found.examples = [*told(chains)[:20], *found.examples]
    return found


async def _ends(kafka: Kafka) -> int:
    """Return how many records of state there ever were."""
    parts = [TopicPartition(topics.STATE, p) for p in await topics.partitions(kafka, topics.STATE)]
    async with reading(kafka) as reader:
        return sum((await reader.end_offsets(parts)).values())


async def _rest(kafka: Kafka) -> tuple[list[ConsumerRecord], int]:
    return await log(kafka, topics.VITALS), len(await log(kafka, topics.DEAD_LETTERS))


def _compare(
    expected: dict[str, bytes],
    held: list[tuple[tuple[int, int], bytes]],
    inputs: list[ConsumerRecord],
    logged: list[ConsumerRecord],
    rest: tuple[list[ConsumerRecord], int],
) -> Verdict:
    on_ward = _of_input([value for _, value in held])
    in_log = _of_input([record.value or b"" for record in logged])
    missing = sorted(expected.keys() - {a.id for a, _ in on_ward} | expected.keys() - {a.id for a, _ in in_log})
    wrong = sorted({a.id for a, value in on_ward + in_log if expected.get(a.id) != value})
    orders: dict[str, list[tuple[int, int]]] = {}
    for alert, _ in on_ward:
        orders.setdefault(alert.device, []).append((alert.source.last_offset, alert.ordinal))
    unordered = [device for device, at in orders.items() if at != sorted(at)]
    known = {a.id: a for a, _ in on_ward + in_log} | {i: decode_alert(expected[i]) for i in missing}
    examples = [f"lost {_name(known[i])}" for i in missing] + [
        f"{'differs' if i in expected else 'extra'} {_name(known[i])}" for i in wrong
    ]
    vitals, letters = rest
    return Verdict(
        alerts=len(expected),
        lethal=sum(decode_alert(value).condition in LETHAL for value in expected.values()),
        lost=len(missing),
        doubled=sum(n - 1 for n in Counter(a.id for a, _ in on_ward).values()),
        differences=len(wrong) + len(unordered),
        again=len(in_log) - len({a.id for a, _ in in_log}),
        dead_letters=letters,
        blind_s=blind(vitals),
        lethal_delay_s=_lethal_delay_s(inputs, logged),
        examples=(examples + [f"out of order on {device}" for device in unordered])[:20],
    )


def _of_input(values: list[bytes]) -> list[tuple[Alert, bytes]]:
    """Return what devices gave; what services said of themselves comes of no input."""
    alerts = [(decode_alert(value), value) for value in values]
    return [(alert, value) for alert, value in alerts if alert.source.topic == topics.INPUT]


def _of_devices(values: Iterable[bytes]) -> list[tuple[Alert, bytes]]:
    """Decode alerts, without those that a publisher gives of itself: no log of devices gives those again."""
    pairs = [(decode_alert(value), value) for value in values]
    return [(alert, value) for alert, value in pairs if alert.source.topic == topics.INPUT]


def _name(alert: Alert) -> str:
    return f"{alert.device} {alert.condition} {alert.phase} at {alert.source.partition}/{alert.source.last_offset}"


def blind(vitals: list[ConsumerRecord], least: int = 20) -> dict[str, float]:
    """Return by device the longest time between two vitals of which the later tells of a later second.

    What a worker gives again after a restore tells nothing new. Devices with fewer than `least` seconds are left out.
    """
    came: dict[str, list[tuple[int, int]]] = {}
    for record in vitals:
        given = decode_vitals(record.value or b"")
        came.setdefault(given.device, []).append((record.timestamp, given.time_ns))
    longest = {}
    for device, pairs in came.items():
        newest, fresh = 0, []
        for at_ms, time_ns in sorted(pairs):
            if time_ns > newest:
                newest = time_ns
                fresh.append(at_ms)
        if len(fresh) >= least:
            longest[device] = max(b - a for a, b in itertools.pairwise(fresh)) / 1000
    return longest


def _lethal_delay_s(inputs: list[ConsumerRecord], logged: list[ConsumerRecord]) -> float:
    appended = {(record.partition, record.offset): record.timestamp for record in inputs}
    delays, seen = [0.0], set()
    for record in logged:
        for alert, _ in _of_devices([record.value or b""]):
            if alert.condition in LETHAL and alert.phase == "start" and alert.id not in seen:
                seen.add(alert.id)
                at = appended[alert.source.partition, alert.source.last_offset]
                delays.append((record.timestamp - at) / 1000)
    return max(delays)
