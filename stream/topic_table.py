"""The topics, in one table: what they hold, under which key, kept how long; and what is wrong with some as found."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from ecg.frame import MAX_BYTES
from stream.retention import CHECKPOINTS_OUTLIVE_MS, FOREVER, HOUR_MS, Keep, at_least, longer, segment_ms, shown

INPUT = "ecg.input.v1"
STATE = "ecg.state.v1"
CHECKPOINTS = "ecg.checkpoints.v1"
WEIGHTS = "ecg.weights.v1"
VITALS = "ecg.vitals.v1"
ALERTS = "ecg.alerts.v1"
SEALS = "ecg.seals.v1"
DEAD_LETTERS = "ecg.dead-letters.v1"


class Topic(NamedTuple):
    """One topic: `partitions` 0 stands for as many as the input has, `retention_ms` -1 for ever.

    `kept_as` is the name under which its retention may be chosen; checkpoints follow the input.
    """

    name: str
    key: str
    value: str
    what: str
    partitions: int = 0
    retention_ms: int = FOREVER
    cleanup: Literal["delete", "compact"] = "delete"
    max_bytes: int = 1_048_576
    settings: Mapping[str, str] = {}
    kept_as: str = ""


_ALL = (
    Topic(
        INPUT,
        "device id",
        "Frame, Tick, Command, Setup or Signed",
        "all that goes in: a partition's offsets are the one order of everything that its devices' alarms depend on",
        retention_ms=168 * HOUR_MS,
        max_bytes=MAX_BYTES + 4096,
        settings={"message.timestamp.type": "LogAppendTime"},
        kept_as="input",
    ),
    Topic(
        STATE,
        "device id, or * for what a partition shares",
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
        "device id, or * for what a partition shares",
        "Snapshot",
        "one in ten minutes, in the partition of its input: where a replay starts",
        retention_ms=168 * HOUR_MS + CHECKPOINTS_OUTLIVE_MS,
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
    Topic(
        VITALS,
        "device id",
        "Vitals",
        "once a second: heart rate, rhythm, quality, risk",
        retention_ms=24 * HOUR_MS,
        kept_as="vitals",
    ),
    Topic(
        ALERTS,
        "device id",
        "Alert",
        "each phase of each alarm and each change of risk level: the system of record",
        partitions=1,
        kept_as="alerts",
    ),
    Topic(
        SEALS,
        "partition of the input",
        "Signed Seal",
        "once a minute the head of each device's chain of alerts and commands, signed",
        kept_as="seals",
    ),
    Topic(
        DEAD_LETTERS,
        "device id",
        "the bytes as they came; headers say topic, partition, offset and reason; or a mark of what was put back",
        "inputs that could not be accepted",
        partitions=1,
        retention_ms=720 * HOUR_MS,
        max_bytes=2 * 1_048_576,
        settings={"message.timestamp.type": "LogAppendTime"},
        kept_as="dead-letters",
    ),
)
TOPICS: Mapping[str, Topic] = {topic.name: topic for topic in _ALL}
"""Every topic by its name."""


class Found(NamedTuple):
    """A topic as the brokers have it; `settings` those that the table names, `chosen` all that were set on it."""

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]
    chosen: Mapping[str, str] = MappingProxyType({})

    @property
    def retention_ms(self) -> int:
        """For how long it is kept."""
        return int(self.settings.get("retention.ms", FOREVER))


def settings_of(topic: Topic, replication: int, retention_ms: int | None = None) -> dict[str, str]:
    """Return the settings that a topic is created with, as Kafka names them, kept for so long or as the table says."""
    kept_ms = topic.retention_ms if retention_ms is None else retention_ms
    rolls = {"segment.ms": str(segment_ms(kept_ms))} if topic.cleanup == "delete" else {}
    return {
        "cleanup.policy": topic.cleanup,
        "retention.ms": str(kept_ms),
        **rolls,
        "max.message.bytes": str(topic.max_bytes),
        "min.insync.replicas": "2" if replication > 2 else "1",
        **topic.settings,
    }


def partitions_of(topic: Topic, input_partitions: int) -> int:
    """Return how many partitions a topic must have beside an input of so many."""
    return topic.partitions or input_partitions


def kept_ms(keep: Keep) -> dict[str, int]:
    """Return how long each topic is to be kept, where that was chosen, in ms; checkpoints an hour more than the input.

    Raises
    ------
    ValueError
        If alerts or seals are to be kept for less time than the input.
    """
    chosen = {topic.name: keep[topic.kept_as] for topic in TOPICS.values() if topic.kept_as in keep}
    if INPUT in chosen:
        chosen[CHECKPOINTS] = longer(chosen[INPUT], CHECKPOINTS_OUTLIVE_MS)
    for name in (ALERTS, SEALS):
        least = chosen.get(INPUT, 0)
        if name in chosen and not at_least(chosen[name], least):
            raise ValueError(
                f"{TOPICS[name].kept_as} must be kept at least as long as the input, {shown(least)}, "
                f"got {shown(chosen[name])}"
            )
    return chosen


def table(kept: Mapping[str, int] = MappingProxyType({})) -> str:
    """Return the table of topics as text, a line each, kept as it says or, where that is known, as brokers do."""
    rows = [("topic", "partitions", "kept", "key", "value")]
    for topic in TOPICS.values():
        keep = "newest" if topic.cleanup == "compact" else shown(kept.get(topic.name, topic.retention_ms))
        rows.append((topic.name, str(topic.partitions or "as input"), keep, topic.key, topic.value))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)).rstrip() for row in rows)


def faults(found: list[Found], keep: Keep = MappingProxyType({})) -> list[str]:
    """Return what is wrong with topics as they were found: absent ones, counts and settings that differ.

    For how long something is kept is chosen when topics are made, and wrong only where it differs from `keep`, or is
    too short for a replay.
    """
    there = {topic.name: topic for topic in found}
    said = [f"{name}: is not there; `vigil topics create` makes it" for name in TOPICS if name not in there]
    if INPUT not in there:
        return said
    for name, topic in there.items():
        count = partitions_of(TOPICS[name], there[INPUT].partitions)
        if topic.partitions != count:
            said.append(f"{name}: has {topic.partitions} partitions, must have {count}")
        said += faults_of(topic, _due_ms(name, there, kept_ms(keep)))
    return said


def faults_of(topic: Found, retention_ms: int) -> list[str]:
    """Return which settings of a topic differ from those that it should have when it is kept for so long."""
    return [
        f"{topic.name}: {setting} is {has or 'not set'}, should be {value}"
        for setting, value in settings_of(TOPICS[topic.name], topic.replication, retention_ms).items()
        if (has := topic.settings.get(setting, "")) != value
    ]


def _due_ms(name: str, there: Mapping[str, Found], chosen: Mapping[str, int]) -> int:
    """Return for how long a topic should be kept: as chosen, else as it is if that is right, else as it must be."""
    topic, input_ms = TOPICS[name], chosen.get(INPUT, there[INPUT].retention_ms)
    if name == CHECKPOINTS:
        return longer(input_ms, CHECKPOINTS_OUTLIVE_MS)
    has_ms = chosen.get(name, there[name].retention_ms if topic.kept_as else topic.retention_ms)
    return has_ms if name not in (ALERTS, SEALS) or at_least(has_ms, input_ms) else input_ms
