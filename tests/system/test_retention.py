"""For how long topics are kept, on a real Kafka: as they were made, as it was changed, and what is wrong with it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from stream import topics
from stream.embedded import Services
from stream.kafka import Kafka
from stream.retention import FOREVER, HOUR_MS
from tests.system.fresh import anew

pytestmark = pytest.mark.system


async def set_by_hand(kafka: Kafka, topic: str, **settings: str) -> None:
    """Set these on a topic, and nothing else, as somebody with Kafka's own tool may."""
    admin = AIOKafkaAdminClient(**kafka)
    await admin.start()
    try:
        configs = {name.replace("_", "."): value for name, value in settings.items()}
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)])
    finally:
        await admin.close()
    while not next(each for each in await topics.listed(kafka) if each.name == topic).chosen.items() >= configs.items():
        await asyncio.sleep(0.1)


def found(kafka: Kafka, topic: str) -> topics.Found:
    return next(each for each in asyncio.run(topics.listed(kafka)) if each.name == topic)


@pytest.fixture
def kafka(services: Services) -> Iterator[Kafka]:
    kafka = {"bootstrap_servers": services.kafka}
    yield kafka
    asyncio.run(anew(kafka))


def vigil(kafka: Kafka, *arguments: str) -> tuple[int, str, str]:
    named = os.environ | {"VIGIL_KAFKA": kafka["bootstrap_servers"]}
    done = subprocess.run(
        [sys.executable, "-m", "stream", "topics", *arguments], env=named, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


def test_topics_are_kept_as_long_as_they_were_made_for_and_as_was_changed_later(kafka: Kafka) -> None:
    asyncio.run(anew(kafka, input=336, vitals=1))
    assert asyncio.run(topics.check(kafka)) == []
    assert found(kafka, topics.CHECKPOINTS).retention_ms == 337 * HOUR_MS
    kept = asyncio.run(topics.retain(kafka, {"input": 48 * HOUR_MS, "seals": 100 * HOUR_MS}))
    assert kept == {
        topics.INPUT: 48 * HOUR_MS,
        topics.CHECKPOINTS: 49 * HOUR_MS,
        topics.VITALS: HOUR_MS,
        topics.ALERTS: FOREVER,
        topics.SEALS: 100 * HOUR_MS,
        topics.DEAD_LETTERS: 720 * HOUR_MS,
    }
    assert {each.name: each.retention_ms for each in asyncio.run(topics.listed(kafka)) if each.name in kept} == kept
    assert asyncio.run(topics.check(kafka)) == []
    assert found(kafka, topics.INPUT).settings["message.timestamp.type"] == "LogAppendTime"
    with pytest.raises(ValueError, match="seals must be kept at least as long as the input, 200 h, got 100 h"):
        asyncio.run(topics.retain(kafka, {"input": 200 * HOUR_MS}))


def test_what_was_set_by_hand_is_told_put_right_and_left_alone_where_it_is_nobody_elses(kafka: Kafka) -> None:
    asyncio.run(anew(kafka))
    ours = dict(found(kafka, topics.INPUT).chosen)
    by_hand = {name.replace(".", "_"): value for name, value in ours.items()}
    by_hand |= {"message_timestamp_type": "CreateTime", "index_interval_bytes": "8192"}
    asyncio.run(set_by_hand(kafka, topics.INPUT, **by_hand))
    status, said, _ = vigil(kafka, "check")
    assert (status, said.splitlines()) == (
        1,
        [f"{topics.INPUT}: message.timestamp.type is CreateTime, should be LogAppendTime"],
    )
    status, said, _ = vigil(kafka, "retain", "--keep-input", "forever", "--json")
    hours = msgspec.json.decode(said)["kept_hours"]
    assert (status, hours[topics.INPUT], hours[topics.CHECKPOINTS]) == (0, None, None)
    assert found(kafka, topics.INPUT).chosen["index.interval.bytes"] == "8192"
    assert vigil(kafka, "check", "--keep-input", "forever") == (0, "", "")
    status, said, _ = vigil(kafka, "check", "--keep-input", "168", "--json")
    assert status == 1
    assert f"{topics.INPUT}: retention.ms is -1, should be {168 * HOUR_MS}" in msgspec.json.decode(said)["faults"]


def test_a_topic_that_is_made_later_fits_those_that_are_there(kafka: Kafka) -> None:
    asyncio.run(anew(kafka, input=500))

    async def lose() -> list[str]:
        admin = AIOKafkaAdminClient(**kafka)
        await admin.start()
        try:
            await admin.delete_topics([topics.CHECKPOINTS])
        finally:
            await admin.close()
        while topics.CHECKPOINTS in {each.name for each in await topics.listed(kafka)}:
            await asyncio.sleep(0.1)
        return await topics.create(kafka)

    assert asyncio.run(lose()) == [topics.CHECKPOINTS]
    assert asyncio.run(topics.check(kafka)) == []


def test_hours_that_are_none_end_with_2(kafka: Kafka) -> None:
    status, _, said = vigil(kafka, "retain", "--keep-input", "0")
    assert (status, said) == (2, "vigil: hours must be 1 to 1000000, or `forever`, got '0'\n")
