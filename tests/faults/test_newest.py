"""Which rows of the state topic a restore takes, where a worker that stood still has brought some late."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ecg.clinical import Settings
from ecg.frame import Setup, Tick, encode
from stream import topics
from stream.newest import newest_rows
from stream.pipeline import PARTITION_KEY, Pipeline, Record
from tests.faults.brokers import Brokers, Consumer, Host
from tests.faults.virtual_loop import VirtualLoop
from tests.fuzz.mutants import T0_NS, frame


def shared_row(devices: tuple[str, ...]) -> bytes:
    """What a partition shares once these devices have sent a frame."""
    entries: list[tuple[str | None, Any]] = [(None, Setup("test", "rows", T0_NS, Settings(), unsigned=True))]
    entries += [(device, frame(device, n=100)) for device in devices] + [(None, Tick("t", 0, T0_NS + 10**9))]
    log = [
        Record(0, at, key.encode() if key else None, encode(entry), T0_NS) for at, (key, entry) in enumerate(entries)
    ]
    return next(row for _, key, row in Pipeline({}).feed(log).snapshots if key == PARTITION_KEY and row is not None)


@pytest.mark.parametrize("page", [1, 3, 256])
@pytest.mark.parametrize("late", [True, False])
def test_a_tombstone_stands_unless_the_newest_shared_row_still_names_its_device(
    page: int, late: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.newest.RECORDS", page)
    both, one = shared_row(("a", "b")), shared_row(("a",))
    loop = VirtualLoop()
    brokers = Brokers(1, lambda: round(loop.time() * 1e9))
    rows = [(b"b", b"b1"), (b"a", b"a1"), (PARTITION_KEY, both), (b"a", b"a2"), (PARTITION_KEY, one), (b"b", None)]
    for key, value in [*rows, (b"a", b"a1"), (PARTITION_KEY, both)] if late else rows:
        brokers.append(topics.STATE, 0, key, value)

    async def read() -> dict[bytes, bytes]:
        host: Any = Host("test", brokers, random.Random(0))
        reader: Any = Consumer(bootstrap_servers=host)
        return (await newest_rows(reader, [0]))[0]

    found = loop.run_until_complete(read())
    loop.close()
    assert found == ({b"a": b"a1", b"b": b"b1", PARTITION_KEY: both} if late else {b"a": b"a2", PARTITION_KEY: one})
