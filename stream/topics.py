"""Administration of the topics of `stream.topic_table`: make them, look at them, change for how long they are kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    NotCoordinatorForGroupError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from stream.kafka import Kafka, allowed, start
from stream.retention import Keep
from stream.topic_table import (
    ALERTS,
    CHECKPOINTS,
    DEAD_LETTERS,
    INPUT,
    SEALS,
    STATE,
    TOPICS,
    VITALS,
    WEIGHTS,
    Found,
    faults,
    faults_of,
    kept_ms,
    partitions_of,
    settings_of,
    table,
)

__all__ = [
    "ALERTS",
    "CHECKPOINTS",
    "DEAD_LETTERS",
    "INPUT",
    "SEALS",
    "STATE",
    "TOPICS",
    "VITALS",
    "WEIGHTS",
    "Found",
    "acknowledged",
    "check",
    "create",
    "faults",
    "listed",
    "partitions",
    "partitions_of",
    "retain",
    "settings_of",
    "table",
]

GROUP = "vigil"
"""The workers' consumer group over the input."""
INPUT_PARTITIONS = 4


async def create(
    kafka: Kafka, partitions: int = INPUT_PARTITIONS, replication: int = 1, keep: Keep = MappingProxyType({})
) -> list[str]:
    """Create the topics that are not there yet, and return their names.

    Parameters
    ----------
    kafka : Kafka
        How to reach the brokers.
    partitions : int
        Of the input, and of all that follow it; fixed for good: another count means another version of the topics.
    replication : int
        Copies of each partition; 3 outside of a demo.
    keep : Keep
        What is kept for another time than the table says.

    Raises
    ------
    ValueError
        If a count is not positive, or alerts or seals are to be kept for less time than the input.
    aiokafka.errors.KafkaError
        If the brokers refuse.
    """
    for name, count in (("partitions", partitions), ("replication", replication)):
        if count < 1:
            raise ValueError(f"{name} must be positive, got {count}")
    async with _admin(kafka) as admin:
        there = set(await admin.list_topics())
        as_it_is = {"input": int((await _settings(admin, INPUT))[0]["retention.ms"])} if INPUT in there else {}
        chosen = kept_ms({**as_it_is, **keep})
        new = [
            NewTopic(
                topic.name,
                partitions_of(topic, partitions),
                replication,
                topic_configs=settings_of(topic, replication, chosen.get(topic.name)),
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
    made = [topic.name for topic in new]
    await _shown(kafka, lambda found: found.keys() >= set(made))
    return made


async def retain(kafka: Kafka, keep: Keep) -> dict[str, int]:
    """Change for how long topics that are there are kept, and return that of each that is not only the newest, in ms.

    What else was set on a topic, by whomever, stays.

    Raises
    ------
    ValueError
        If alerts or seals would be kept for less time than the input.
    aiokafka.errors.KafkaError
        If the brokers refuse.
    """
    found = {topic.name: topic for topic in await listed(kafka)}
    kept = {name: topic.retention_ms for name, topic in found.items() if TOPICS[name].cleanup == "delete"}
    chosen = {name: ms for name, ms in kept_ms(_by_choice(kept) | dict(keep)).items() if name in kept}
    changed = {name: ms for name, ms in chosen.items() if faults_of(found[name], ms)}
    if changed:
        async with _admin(kafka) as admin:
            answers: list[Any] = await admin.alter_configs(
                [
                    ConfigResource(
                        ConfigResourceType.TOPIC,
                        name,
                        configs={**found[name].chosen, **settings_of(TOPICS[name], found[name].replication, ms)},
                    )
                    for name, ms in changed.items()
                ]
            )
        for code, message, _, name in (item for answer in answers for item in answer.resources):
            if code:
                raise for_code(code)(f"topic {name}: {message or ''}")
        await _shown(kafka, lambda found: not any(faults_of(found[name], ms) for name, ms in changed.items()))
    return kept | chosen


async def _shown(kafka: Kafka, as_wanted: Callable[[dict[str, Found]], bool]) -> None:
    """Wait, for a few seconds at most, until brokers show what their controller has agreed to."""
    for _ in range(50):
        if as_wanted({topic.name: topic for topic in await listed(kafka)}):
            return
        await asyncio.sleep(0.1)


def _by_choice(kept: Mapping[str, int]) -> dict[str, int]:
    return {TOPICS[name].kept_as: ms for name, ms in kept.items() if TOPICS[name].kept_as}


async def listed(kafka: Kafka) -> list[Found]:
    """Return those of the topics that the brokers have, in the order of the table."""
    async with _admin(kafka) as admin:
        described = {item["topic"]: item for item in await admin.describe_topics() if item["topic"] in TOPICS}
        found = []
        for name in (name for name in TOPICS if name in described):
            parts = described[name]["partitions"]
            replication = min((len(part["replicas"]) for part in parts), default=0)
            with suppress(UnknownTopicOrPartitionError):  # it was deleted meanwhile
                found.append(Found(name, len(parts), replication, *await _settings(admin, name)))
    return found


async def partitions(kafka: Kafka, topic: str) -> range:
    """Return the partitions that a topic has; raises ConnectionError where it is not there."""
    async with _admin(kafka) as admin:
        described = await admin.describe_topics([topic])
        if described and described[0]["error_code"] == TopicAuthorizationFailedError.errno:
            raise TopicAuthorizationFailedError(topic)
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


async def check(kafka: Kafka, keep: Keep = MappingProxyType({})) -> list[str]:
    """Return what is wrong with the topics, a line each; nothing where a worker may start."""
    return faults(await listed(kafka), keep)


@asynccontextmanager
async def _admin(kafka: Kafka) -> AsyncGenerator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**kafka)
    await start(admin, kafka)
    try:
        with allowed():
            yield admin
    finally:
        await admin.close()


async def _settings(admin: AIOKafkaAdminClient, name: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return a topic's settings, those that the table names and those that were set on the topic itself."""
    answers: list[Any] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    found = [item for answer in answers for item in answer.resources]
    if refused := [item[0] for item in found if item[0]]:
        raise for_code(refused[0])(name)
    entries = [entry for item in found for entry in item[4]]
    wanted = settings_of(TOPICS[name], 1)
    chosen = {entry[0]: entry[1] for entry in entries if entry[3] == _SET_ON_TOPIC}
    return {entry[0]: entry[1] for entry in entries if entry[0] in wanted}, chosen


_SET_ON_TOPIC = 1
"""Kafka's DYNAMIC_TOPIC_CONFIG, as the source of a setting."""
