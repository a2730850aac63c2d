"""The table of topics, and what is said of brokers that differ from it."""

from __future__ import annotations

import asyncio

import pytest

from ecg.frame import MAX_BYTES
from stream.retention import FOREVER, HOUR_MS, hours_ms, segment_ms
from stream.topic_table import Topic, kept_ms
from stream.topics import (
    ALERTS,
    CHECKPOINTS,
    DEAD_LETTERS,
    INPUT,
    SEALS,
    STATE,
    TOPICS,
    VITALS,
    Found,
    create,
    faults,
    settings_of,
    table,
)


def as_made(partitions: int = 4, replication: int = 1, **kept_h: int) -> dict[str, Found]:
    """The topics as brokers have them right after `create`."""
    kept = kept_ms({name: hours * HOUR_MS for name, hours in kept_h.items()})

    def made(topic: Topic) -> Found:
        settings = settings_of(topic, replication, kept.get(topic.name))
        return Found(topic.name, topic.partitions or partitions, replication, settings)

    return {name: made(topic) for name, topic in TOPICS.items()}


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


def test_what_was_chosen_is_no_fault_until_something_else_is_asked_for() -> None:
    found = list(as_made(input=336, vitals=1).values())
    assert faults(found) == faults(found, {"input": 336 * HOUR_MS, "vitals": HOUR_MS}) == []
    assert f"{VITALS}: retention.ms is 3600000, should be 7200000" in faults(found, {"vitals": 2 * HOUR_MS})


def test_checkpoints_that_end_before_the_input_are_told() -> None:
    found = as_made(input=336)
    found[CHECKPOINTS] = as_made()[CHECKPOINTS]
    assert faults(list(found.values())) == [
        f"{CHECKPOINTS}: retention.ms is {169 * HOUR_MS}, should be {337 * HOUR_MS}"
    ]


@pytest.mark.parametrize("name", [ALERTS, SEALS])
def test_alerts_and_seals_that_end_before_the_input_are_told(name: str) -> None:
    found = as_made()
    short = settings_of(TOPICS[name], 1, HOUR_MS)
    found[name] = found[name]._replace(settings=short)
    assert f"{name}: retention.ms is {HOUR_MS}, should be {168 * HOUR_MS}" in faults(list(found.values()))


def test_alerts_cannot_be_kept_for_less_time_than_the_input() -> None:
    with pytest.raises(ValueError, match="alerts must be kept at least as long as the input, 10 h, got 9 h"):
        kept_ms({"input": 10 * HOUR_MS, "alerts": 9 * HOUR_MS})
    assert kept_ms({"input": FOREVER, "alerts": FOREVER})[CHECKPOINTS] == FOREVER
    with pytest.raises(ValueError, match="input, for ever"):
        kept_ms({"input": FOREVER, "seals": HOUR_MS})


def test_every_topic_but_those_of_the_newest_and_checkpoints_can_be_kept_as_long_as_one_likes() -> None:
    chosen = {topic.name for topic in TOPICS.values() if topic.kept_as}
    assert chosen == {INPUT, VITALS, ALERTS, SEALS, DEAD_LETTERS}
    assert {n for n, t in TOPICS.items() if t.cleanup == "delete"} == chosen | {CHECKPOINTS}


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "ever", "", "1000001", "\u0663"])
def test_hours_are_a_whole_number_or_for_ever(given: str) -> None:
    with pytest.raises(ValueError, match="hours must be 1 to 1000000, or `forever`"):
        hours_ms(given)


def test_a_segment_is_closed_soon_enough_to_be_deleted_in_time() -> None:
    assert segment_ms(168 * HOUR_MS) == 24 * HOUR_MS
    assert segment_ms(HOUR_MS) == 600_000
    assert segment_ms(70 * HOUR_MS) == 10 * HOUR_MS
