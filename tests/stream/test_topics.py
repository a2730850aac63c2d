"""The table of topics, and what is said of brokers that differ from it."""

from __future__ import annotations

import asyncio

import pytest

from ecg.frame import MAX_BYTES
from stream.topics import ALERTS, CHECKPOINTS, INPUT, STATE, TOPICS, Found, create, faults, settings_of, table


def as_made(partitions: int = 4, replication: int = 1) -> dict[str, Found]:
    """The topics as brokers have them right after `create`."""
    return {
        name: Found(name, topic.partitions or partitions, replication, settings_of(topic, replication))
        for name, topic in TOPICS.items()
    }


def test_topics_as_created_have_no_faults() -> None:
    for partitions, replication in ((1, 1), (4, 1), (7, 3)):
        assert faults(list(as_made(partitions, replication).values())) == []


def test_each_absent_topic_is_told() -> None:
    assert len(faults([])) == len(TOPICS)
    found = as_made()
    del found[STATE]
    assert faults(list(found.values())) == [f"{STATE}: is not there; `vigil topics create` makes it"]


def test_input_and_state_must_have_as_many_partitions() -> None:
    found = as_made()
    found[STATE] = found[STATE]._replace(partitions=5)
    assert faults(list(found.values())) == [f"{STATE}: has 5 partitions, must have 4"]


def test_the_order_of_alerts_needs_one_partition() -> None:
    found = as_made()
    found[ALERTS] = found[ALERTS]._replace(partitions=2)
    assert faults(list(found.values())) == [f"{ALERTS}: has 2 partitions, must have 1"]


def test_a_setting_that_differs_is_told_with_both_values() -> None:
    found = as_made()
    found[INPUT] = found[INPUT]._replace(settings={**found[INPUT].settings, "message.timestamp.type": "CreateTime"})
    assert faults(list(found.values())) == [f"{INPUT}: message.timestamp.type is CreateTime, should be LogAppendTime"]


def test_three_copies_need_two_in_sync() -> None:
    assert settings_of(TOPICS[INPUT], 1)["min.insync.replicas"] == "1"
    assert settings_of(TOPICS[INPUT], 3)["min.insync.replicas"] == "2"


def test_the_input_takes_the_largest_frame_and_checkpoints_outlive_it() -> None:
    assert TOPICS[INPUT].max_bytes > MAX_BYTES
    assert TOPICS[CHECKPOINTS].retention_ms == TOPICS[INPUT].retention_ms + 3_600_000


def test_the_table_names_every_topic_once() -> None:
    lines = table().splitlines()
    assert [line.split()[0] for line in lines[1:]] == list(TOPICS)


@pytest.mark.parametrize(("partitions", "replication", "field"), [(0, 1, "partitions"), (4, -1, "replication")])
def test_a_count_must_be_positive(partitions: int, replication: int, field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} must be positive"):
        asyncio.run(create({"bootstrap_servers": "127.0.0.1:1"}, partitions, replication))
