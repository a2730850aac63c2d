"""Keeps a ward's stream of alerts short, without taking from a consumer group what it has not read.

Everything is in Kafka for ever; Redis holds the newest part. A group that nobody reads holds up the trimming of its
ward's stream, until the stream is as long as it may get at all: then unread alerts go, and that is counted and said.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

from redis.asyncio import Redis

from stream.keys import stream_key, trimmed_key

KEPT = 100_000
"""How many alerts the stream of a ward keeps."""
SLACK = 1.1
"""A stream is trimmed once it is longer by so much, so that it is not done for each alert."""
MOST = 4 * KEPT
"""How long a stream gets at most, whoever has not read it."""
PAGE, AT_ONCE = 200, 2000
"""Alerts that are looked at together; and that are taken at one time, so that nobody waits for long."""


class Trimmed(NamedTuple):
    """What was taken from a ward's stream: alerts, and those of them that some group had not read."""

    ward: str
    alerts: int
    unread: int


async def trim(redis: Redis, ward: str, kept: int = KEPT, most: int = MOST) -> Trimmed:
    """Take the oldest alerts from a ward's stream where it is too long, a part of them where there are many.

    Raises
    ------
    redis.exceptions.RedisError
        If Redis is not there.
    """
    key = stream_key(ward)
    length = await redis.xlen(key)
    if length <= kept * SLACK:
        return Trimmed(ward, 0, 0)
    read = await _take(redis, ward, length - kept, await _unread_from(redis, key))
    unread = await _take(redis, ward, length - read - most, None)
    return Trimmed(ward, read + unread, unread)


async def _take(redis: Redis, ward: str, count: int, before: bytes | None) -> int:
    """Take up to `count` of the oldest alerts, none at or behind an id, and return how many."""
    key, taken, count = stream_key(ward), 0, min(count, AT_ONCE)
    while taken < count:
        page = cast("Any", await redis.xrange(key, count=min(PAGE, count - taken)))
        ids = [entry for entry, _ in page if before is None or place(entry) < place(before)]
        if not ids:
            break
        first, second = place(ids[-1])
        await redis.set(trimmed_key(ward), ids[-1])
        await redis.xtrim(key, minid=f"{first}-{second + 1}", approximate=False)
        taken += len(ids)
    return taken


async def _unread_from(redis: Redis, key: str) -> bytes | None:
    """Return the first id that some group has not acknowledged; None where there is no group."""
    found = []
    for group in cast("Any", await redis.xinfo_groups(key)):
        pending = cast("Any", await redis.xpending(key, group["name"]))
        first, second = place(group["last-delivered-id"])
        found.append(pending["min"] if pending["pending"] else b"%d-%d" % (first, second + 1))
    return min(found, key=place, default=None)


def place(entry: bytes) -> tuple[int, int]:
    """Return an entry's id as two numbers.

    >>> place(b"12-1")
    (12, 1)
    """
    first, _, second = entry.partition(b"-")
    return int(first), int(second)
