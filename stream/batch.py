"""What goes into the pipeline and what comes out of it, a batch at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Record(NamedTuple):
    """One record of the input topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes
    append_ns: int = 0
    """When the broker took it; only ticks are judged by it."""


@dataclass
class Out:
    """What a batch gave, in the order in which it is to be published: alerts and seals first, then the rest.

    `alerts` and `vitals` are (key, value), `seals` (partition, body), `snapshots` and `checkpoints` (partition, key,
    value), a snapshot without a value the tombstone of a device that is forgotten; `dead` the records that could not be
    accepted with the reason; `stopped` the partitions of which nothing more must be taken, since too many of their
    devices fail. `frames` and `windows` count what was taken and what the network saw, `withheld` what a quarantine
    kept from the dead letters, by partition.
    """

    alerts: list[tuple[bytes, bytes]] = field(default_factory=list)
    vitals: list[tuple[bytes, bytes]] = field(default_factory=list)
    seals: list[tuple[int, bytes]] = field(default_factory=list)
    snapshots: list[tuple[int, bytes, bytes | None]] = field(default_factory=list)
    checkpoints: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    dead: list[tuple[Record, str]] = field(default_factory=list)
    stopped: set[int] = field(default_factory=set)
    frames: int = 0
    windows: int = 0
    withheld: dict[int, int] = field(default_factory=dict)
