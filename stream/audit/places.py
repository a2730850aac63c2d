"""Places in the log: the offset of a time, the checkpoints and the seal before an offset.

Nothing is read from end to end for it: what rises along a partition (a tick's time, the offset that a checkpoint
covers) is searched for by halves.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

import msgspec

from ecg.frame import Setup, Signed, Tick
from ecg.wardclock import WardClock
from stream import seal, snapshot, topics
from stream.audit.log import Entry, Log, opened
from stream.snapshot import PARTITION_KEY

NEAR = 500
"""A search ends with reading through so many records."""
LATE_NS = 60_000_000_000
"""By so much may the clocks of two of Kafka's machines differ."""


async def place(log: Log, partition: int, time_ns: int) -> int:
    """Return the offset in the input of the first tick at or after a time, the end where none is that late.

    Time is the ward's: what the ticks say, not when Kafka took them.
    """
    first, end = (await log.bounds(topics.INPUT))[partition]
    return await _search(log, topics.INPUT, partition, (first, end), _tick_ns, time_ns)


async def alerts_since(log: Log, append_ns: int) -> int:
    """Return an offset in the alert topic before which nothing came of inputs that Kafka took from a time on."""
    bounds = (await log.bounds(topics.ALERTS)).get(0, (0, 0))
    return await _search(log, topics.ALERTS, 0, bounds, lambda entry: entry.append_ns, append_ns - LATE_NS)


async def first_derivable(log: Log, partition: int, first: int, device: str | None = None) -> int:
    """Return the offset of the input from which alerts can be derived where the log begins at `first`.

    It is 0 where nothing is gone. Else a replay must start from checkpoints of which none covers less than the log has
    lost: behind the first row of the partition for which that is so.
    """
    if first == 0:
        return 0
    begin, end = (await log.bounds(topics.CHECKPOINTS)).get(partition, (0, 0))
    while found := await _first_ranked(log, topics.CHECKPOINTS, partition, begin, end, _shared_covers, first - 1):
        rows = await rows_before(log, partition, found[1] + 1, device)
        if rows and min(snapshot.head(value).covers for value in rows.values()) >= first - 1:
            return found[1] + 1
        begin = found[0] + 1
    return (await log.bounds(topics.INPUT))[partition][1]


async def seal_before(log: Log, partition: int, offset: int) -> bytes | None:
    """Return the body of the last seal of a partition that lies before an offset of the input; None without one."""
    first, end = (await log.bounds(topics.SEALS)).get(partition, (0, 0))
    until = await _search(log, topics.SEALS, partition, (first, end), _sealed_at, offset)
    found: bytes | None = None
    async for batch in log.read(topics.SEALS, partition, max(first, until - NEAR), until):
        for entry in batch:
            body = seal_body(entry.value)
            if body is not None and seal.decode(body).offset < offset:
                found = body if found is None or seal.decode(found).n < seal.decode(body).n else found
    return found


async def seals_of(log: Log, partition: int, first: int, end: int) -> list[Entry]:
    """Return the seals of a partition that lie in a range of the input, as far as they can be read."""
    bounds = (await log.bounds(topics.SEALS)).get(partition, (0, 0))
    since = await _search(log, topics.SEALS, partition, bounds, _sealed_at, first)
    found: list[Entry] = []
    async for batch in log.read(topics.SEALS, partition, since, bounds[1]):
        found += [entry for entry in batch if (at := _sealed_at(entry)) is None or first <= at < end]
    return found


def seal_body(value: bytes | None) -> bytes | None:
    """Return the body of a seal as it lies in its topic, signature not verified; None where it is none."""
    try:
        entry = msgspec.msgpack.decode(value or b"", type=Signed)
        seal.decode(entry.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return entry.body


async def rows_before(log: Log, partition: int, offset: int, device: str | None = None) -> dict[bytes, bytes]:
    """Return the newest checkpoints of a partition that cover nothing from an offset of the input on, by key.

    The row of the partition itself (`*`) is among them; where there is none yet, none is returned, and a replay starts
    at the log's first offset. A device that was forgotten before has none.

    Parameters
    ----------
    log : Log
    partition, offset : int
        Of the input.
    device : str, optional
        The only device whose row is wanted; those of all by default.
    """
    bounds = (await log.bounds(topics.CHECKPOINTS)).get(partition, (0, 0))
    end = await _search(log, topics.CHECKPOINTS, partition, bounds, _shared_covers, offset)
    found, begin, step = _Rows(offset, device), end, NEAR
    while begin > bounds[0] and not found.are_all():
        begin, step = max(bounds[0], begin - step), step * 2
        found = _Rows(offset, device)
        async for batch in log.read(topics.CHECKPOINTS, partition, begin, end):
            found.add(batch)
    return found.rows()


class _Rows:
    """The newest checkpoint of each key among some of a partition."""

    def __init__(self, offset: int, device: str | None) -> None:
        self._offset = offset
        self._wanted = None if device is None else {PARTITION_KEY, device.encode()}
        self._newest: dict[bytes, tuple[int, bytes]] = {}

    def add(self, batch: list[Entry]) -> None:
        for entry in batch:
            key, value = entry.key, entry.value
            if key is None or value is None or (self._wanted is not None and key not in self._wanted):
                continue
            head = snapshot.head(value)
            if (covers := head.covers) < self._offset and head.schema == snapshot.SCHEMA:
                self._newest[key] = max(self._newest.get(key, (-1, b"")), (covers, value))

    def _known(self) -> set[bytes]:
        """Return the wanted devices that there were at the partition's own newest row: each of them has one."""
        _, value = self._newest[PARTITION_KEY]
        known = {device.encode() for device in snapshot.head(value).devices}
        return known if self._wanted is None else known & self._wanted

    def are_all(self) -> bool:
        """Say whether rows farther back could change nothing."""
        return PARTITION_KEY in self._newest and self._known() <= self._newest.keys()

    def rows(self) -> dict[bytes, bytes]:
        """Return the rows, but for those of devices that were forgotten before the partition's own; none if not all."""
        if not self.are_all():
            return {}
        known, (shared, _) = self._known(), self._newest[PARTITION_KEY]
        return {
            key: value
            for key, (covers, value) in self._newest.items()
            if key == PARTITION_KEY or key in known or covers > shared
        }


class Shared(msgspec.Struct, array_like=True):
    """What a checkpoint of a partition itself holds, to begin with."""

    covers: int
    clock: WardClock
    setup: Setup


def _shared_covers(entry: Entry) -> int | None:
    if entry.key != PARTITION_KEY or entry.value is None:
        return None
    return snapshot.head(entry.value).covers


def _sealed_at(entry: Entry) -> int | None:
    body = seal_body(entry.value)
    return None if body is None else seal.decode(body).offset


def _tick_ns(entry: Entry) -> int | None:
    tick = opened(entry.value)
    return tick.time_ns if isinstance(tick, Tick) else None


Rank = Callable[[Entry], int | None]


async def _search(log: Log, topic: str, partition: int, bounds: tuple[int, int], rank: Rank, wanted: int) -> int:
    """Return the offset of the first record whose rank is at least `wanted`, the end where there is none.

    Ranks rise along the partition; a record may have none, then that of the next one counts.
    """
    (low, end), high = bounds, bounds[1]
    while high - low > NEAR:
        middle = (low + high) // 2
        found = await _first_ranked(log, topic, partition, middle, high, rank)
        if found is None or found[1] >= wanted:
            high = middle
        else:
            low = found[0] + 1
    found = await _first_ranked(log, topic, partition, low, end, rank, wanted)
    return end if found is None else found[0]


async def _first_ranked(
    log: Log, topic: str, partition: int, first: int, end: int, rank: Rank, least: int | None = None
) -> tuple[int, int] | None:
    """Return offset and rank of the first record that has one, of at least so much."""
    async with aclosing(log.read(topic, partition, first, end)) as batches:
        async for batch in batches:
            for entry in batch:
                ranked = rank(entry)
                if ranked is not None and (least is None or ranked >= least):
                    return entry.offset, ranked
    return None
