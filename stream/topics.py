"""The topics, in one table: who writes what to them, under which key, kept how long; and their administration."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    NotCoordinatorForGroupError,
    TopicAlreadyExistsError,
    for_code,
)

from ecg.frame import MAX_BYTES
from stream.kafka import Kafka, start

INPUT = "ecg.input.v1"
STATE = "ecg.state.v1"
CHECKPOINTS = "ecg.checkpoints.v1"
WEIGHTS = "ecg.weights.v1"
VITALS = "ecg.vitals.v1"
ALERTS = "ecg.alerts.v1"
DEAD_LETTERS = "ecg.dead-letters.v1"

GROUP = "vigil"
"""The workers' consumer group over the input."""
INPUT_PARTITIONS = 4
HOUR_MS = 3_600_000
FOREVER = -1


class Topic(NamedTuple):
    """One topic: `partitions` 0 stands for as many as the input has, `retention_ms` -1 for ever."""

    name: str
    key: str
    value: str
    what: str
    partitions: int = 0
    retention_ms: int = FOREVER
    cleanup: Literal["delete", "compact"] = "delete"
    max_bytes: int = 1_048_576
    settings: Mapping[str, str] = {}


_ALL = (
    Topic(
        INPUT,
        "device id",
        "Frame, Tick, Command or Setup",
        "all that goes in: a partition's offsets are the one order of everything that its devices' alarms depend on",
        retention_ms=168 * HOUR_MS,
        max_bytes=MAX_BYTES + 4096,
        settings={"message.timestamp.type": "LogAppendTime"},
    ),
    Topic(
        STATE,
        "device id",
        "Snapshot",
        "newest state of each device with the offset that it covers, in the partition of its input",
        cleanup="compact",
        settings={
            "segment.bytes": str(32 * 1024 * 1024),
            "min.cleanable.dirty.ratio": "0.1",
            "max.compaction.lag.ms": "10000",
            "delete.retention.ms": "60000",
        },
    ),
    Topic(
        CHECKPOINTS,
        "device id",
        "Snapshot",
        "one in ten minutes: where a replay starts",
        retention_ms=169 * HOUR_MS,
    ),
    Topic(
        WEIGHTS,
        "sha256",
        "safetensors bytes",
        "every weights file ever in force",
        partitions=1,
        cleanup="compact",
        max_bytes=32 * 1024 * 1024,
    ),
    Topic(VITALS, "device id", "Vitals", "once a second: heart rate, rhythm, quality, risk", retention_ms=24 * HOUR_MS),
    Topic(
        ALERTS,
        "device id",
        "Alert",
        "each phase of each alarm and each change of risk level: the system of record",
        partitions=1,
    ),
    Topic(
        DEAD_LETTERS,
        "device id",
        "the original bytes; headers say topic, partition, offset and reason",
        "inputs that could not be accepted",
        partitions=1,
        retention_ms=720 * HOUR_MS,
        max_bytes=2 * 1_048_576,
    ),
)
TOPICS: Mapping[str, Topic] = {topic.name: topic for topic in _ALL}
"""Every topic by its name."""


class Found(NamedTuple):
    """A topic as the brokers have it; `settings` those that the table names."""

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]


def settings_of(topic: Topic, replication: int) -> dict[str, str]:
    """Return the settings that a topic is created with, as Kafka names them."""
    return {
        "cleanup.policy": topic.cleanup,
        "retention.ms": str(topic.retention_ms),
        "max.message.bytes": str(topic.max_bytes),
        "min.insync.replicas": "2" if replication > 2 else "1",
        **topic.settings,
    }


def partitions_of(topic: Topic, input_partitions: int) -> int:
    """Return how many partitions a topic must have beside an input of so many."""
    return topic.partitions or input_partitions


async def create(kafka: Kafka, partitions: int = INPUT_PARTITIONS, replication: int = 1) -> list[str]:
    """Create the topics that are not there yet, and return their names.

    Parameters
    ----------
    kafka : Kafka
        How to reach the brokers.
    partitions : int
        Of the input, and of all that follow it; fixed for good: another count means another version of the topics.
    replication : int
        Copies of each partition; 3 outside of a demo.

    Raises
    ------
    ValueError
        If a count is not positive.
    aiokafka.errors.KafkaError
        If the brokers refuse.
    """
    for name, count in (("partitions", partitions), ("replication", replication)):
        if count < 1:
            raise ValueError(f"{name} must be positive, got {count}")
    async with _admin(kafka) as admin:
        there = set(await admin.list_topics())
        new = [
            NewTopic(
                topic.name, partitions_of(topic, partitions), replication, topic_configs=settings_of(topic, replication)
            )
            for topic in TOPICS.values()
            if topic.name not in there
        ]
        if not new:
            return []
        answer: Any = await admin.create_topics(new)
    for name, code, *message in answer.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:  # another process may have created it meanwhile
            raise error(f"topic {name}: {message[0] if message else ''}")
    return [topic.name for topic in new]


def table() -> str:
    """Return the table of topics as text, a line each."""
    rows = [("topic", "partitions", "kept", "key", "value")]
    for topic in TOPICS.values():
        kept = "for ever" if topic.retention_ms == FOREVER else f"{topic.retention_ms // HOUR_MS} h"
        count = str(topic.partitions or "as input")
        rows.append((topic.name, count, "newest" if topic.cleanup == "compact" else kept, topic.key, topic.value))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip() for row in rows)


async def listed(kafka: Kafka) -> list[Found]:
    """Return those of the topics that the brokers have, in the order of the table."""
    async with _admin(kafka) as admin:
        described = {item["topic"]: item for item in await admin.describe_topics() if item["topic"] in TOPICS}
        found = []
        for name in (name for name in TOPICS if name in described):
            parts = described[name]["partitions"]
            replication = min((len(part["replicas"]) for part in parts), default=0)
            found.append(Found(name, len(parts), replication, await _settings(admin, name)))
    return found


async def partitions(kafka: Kafka, topic: str) -> range:
    """Return the partitions that a topic has; raises ConnectionError where it is not there."""
    async with _admin(kafka) as admin:
        described = await admin.describe_topics([topic])
    if not described or not (count := len(described[0]["partitions"])):
        raise ConnectionError(f"kafka has no topic {topic}: `vigil topics create` makes it")
    return range(count)


async def acknowledged(kafka: Kafka) -> dict[int, int]:
    """Return by partition of the input the offset up to which the workers have acknowledged it; what none has, lacks.

    What is acknowledged is done, and all that came of it is durable.
    """
    async with _admin(kafka) as admin:
        try:
            group = await admin.list_consumer_group_offsets(GROUP)
        except (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError):
            return {}
    return {part.partition: meta.offset for part, meta in group.items() if part.topic == INPUT}


async def check(kafka: Kafka) -> list[str]:
    """Return what is wrong with the topics, a line each; nothing where a worker may start."""
    return faults(await listed(kafka))


def faults(found: list[Found]) -> list[str]:
    """Return what is wrong with topics as they were found: absent ones, counts and settings that differ."""
    there = {topic.name: topic for topic in found}
    said = [f"{name}: is not there; `vigil topics create` makes it" for name in TOPICS if name not in there]
    if INPUT not in there:
        return said
    for name, topic in there.items():
        count = partitions_of(TOPICS[name], there[INPUT].partitions)
        if topic.partitions != count:
            said.append(f"{name}: has {topic.partitions} partitions, must have {count}")
        for setting, value in settings_of(TOPICS[name], topic.replication).items():
            if (has := topic.settings.get(setting, "")) != value:
                said.append(f"{name}: {setting} is {has or 'not set'}, should be {value}")
    return said


@asynccontextmanager
async def _admin(kafka: Kafka) -> AsyncGenerator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**kafka)
    await start(admin, kafka)
    try:
        yield admin
    finally:
        await admin.close()


async def _settings(admin: AIOKafkaAdminClient, name: str) -> dict[str, str]:
    wanted = settings_of(TOPICS[name], 1)
    resource = ConfigResource(ConfigResourceType.TOPIC, name, configs=dict.fromkeys(wanted))
    answers: list[Any] = await admin.describe_configs([resource])
    return {entry[0]: entry[1] for answer in answers for item in answer.resources for entry in item[4]}
