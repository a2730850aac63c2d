"""How a ward's system takes alerts from Redis: each at least once, from where it was, whatever was killed meanwhile.

Consumers of one group share a ward's alerts; each alert stays with the group until one of them acknowledges it. What a
consumer took and did not acknowledge before it died, it gets again when it comes back under its name, or another one
of its group gets it in a while. An alert's id lets whoever acts on alerts drop those that came before.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any, NamedTuple, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from ecg.alert import Alert, decode_alert
from stream import topics
from stream.client import Bed, look, pages_of, read_wards
from stream.keys import stream_key, trimmed_key
from stream.store import reached
from stream.trim import place
from stream.watchdog import Watchdog

PAGE = 100
IDLE_MS = 10_000
"""What a consumer took this long ago and has not acknowledged goes to another one of its group."""
LOOK_S, ANSWER_S = 0.5, 1.0
"""How often a consumer looks whether the beds are watched, and how long Redis may take to say it."""


class Delivered(NamedTuple):
    """An alert as a group got it; `again` where some consumer of the group may have had it before."""

    ward: str
    entry: str
    alert: Alert
    again: bool


class Lost(NamedTuple):
    """Alerts that were taken from a ward's stream before the group had read them; `alerts` None for an unknown number.

    They are in the alert topic, at offsets from `first_offset` up to but without `end_offset`.
    """

    ward: str
    alerts: int | None
    first_offset: int
    end_offset: int

    def __str__(self) -> str:
        """Say it in a line."""
        count = "some" if self.alerts is None else str(self.alerts)
        where = f"offsets {self.first_offset} to {self.end_offset - 1} of {topics.ALERTS}"
        return f"{count} alerts of ward {self.ward} were trimmed before they were read here: they are in Kafka, {where}"


class Suspension(NamedTuple):
    """A bed that is not watched any more, or is again."""

    bed: Bed
    suspended: bool


class Consumer:
    """One consumer of a group, over one ward or all of them.

    Parameters
    ----------
    redis : redis.asyncio.Redis
        A client that decodes nothing.
    group, name : str
        Its group, and its own name, under which it finds again what it left unacknowledged.
    ward : str or None
        One ward; None for all of them, also those to come.
    since : str
        Entry behind which the group starts in a ward where it is new; "0" for the first.
    idle_ms : int
        How long an alert may lie unacknowledged with another consumer of the group.
    """

    def __init__(
        self, redis: Redis, group: str, name: str, ward: str | None = None, since: str = "0", idle_ms: int = IDLE_MS
    ) -> None:
        self._redis, self._group, self._name, self._since = redis, group, name, since
        self._ward, self._idle_ms = ward, idle_ms
        self._joined: set[str] = set()
        self._mine: dict[str, str] = {}
        self._claimed: dict[str, float] = {}
        self.lost: list[Lost] = []

    async def read(self, block_ms: int | None = None) -> list[Delivered]:
        """Return the next alerts, what was left unacknowledged first; an empty list where there is nothing yet.

        What was lost meanwhile is in `lost` afterwards. A group that Redis forgot starts anew.

        Raises
        ------
        redis.exceptions.RedisError
            If Redis is not there; the same call may be made again.
        """
        self.lost = []
        try:
            await self._join()
            return await self._left() or await self._abandoned() or await self._new(block_ms)
        except ResponseError as error:
            if not any(words in str(error) for words in ("NOGROUP", "UNBLOCKED", "no such key")):
                raise
            self._joined.clear()  # Redis was lost, and with it the group
            return []

    async def acknowledge(self, delivered: Iterable[Delivered]) -> None:
        """Say that alerts were acted on, so that nobody gets them again; raises redis.exceptions.RedisError."""
        pipe = self._redis.pipeline(transaction=False)
        for ward, entry, *_ in delivered:
            pipe.xack(stream_key(ward), self._group, entry)
        await pipe.execute()

    async def _join(self) -> None:
        """Make the group in wards that are new to this consumer; a ward without any alert has no stream yet."""
        wards = [self._ward] if self._ward is not None else await read_wards(self._redis)
        for ward in [ward for ward in wards if ward not in self._joined]:
            try:
                await self._redis.xgroup_create(stream_key(ward), self._group, self._since)
            except ResponseError as error:
                if "requires the key to exist" in str(error):
                    continue
                if not str(error).startswith("BUSYGROUP"):
                    raise
            self._joined.add(ward)
            self._mine[ward], self._claimed[ward] = "0", 0.0

    async def _left(self) -> list[Delivered]:
        """Return what this consumer took in an earlier life and did not acknowledge."""
        if not self._mine:
            return []
        behind = {stream_key(ward): entry for ward, entry in self._mine.items()}
        answers: Any = await self._redis.xreadgroup(self._group, self._name, cast("Any", behind), count=PAGE)
        given, pages = [], dict(pages_of(answers))
        for ward in list(self._mine):
            page = pages.get(stream_key(ward), [])
            if page:
                self._mine[ward] = page[-1][0].decode()
                given += await self._taken(ward, page, again=True)
            else:
                del self._mine[ward]
        return given or await self._left()

    async def _abandoned(self) -> list[Delivered]:
        """Take over what other consumers of the group have left lying."""
        now_s, given = asyncio.get_running_loop().time(), []
        for ward, at_s in self._claimed.items():
            if now_s - at_s < self._idle_ms / 2000:
                continue
            key = stream_key(ward)
            answer: Any = await self._redis.xautoclaim(key, self._group, self._name, self._idle_ms, "0", count=PAGE)
            if not answer[1]:  # of two parts before Redis 7, of three since
                self._claimed[ward] = now_s
            given += await self._taken(ward, answer[1], again=True)
        return given

    async def _new(self, block_ms: int | None) -> list[Delivered]:
        for ward in sorted(self._joined):
            await self._look_for_lost(ward)
        if not self._joined:
            await asyncio.sleep((block_ms or 0) / 1000)
            return []
        new = dict.fromkeys(map(stream_key, sorted(self._joined)), ">")
        answers: Any = await self._redis.xreadgroup(
            self._group, self._name, cast("Any", new), count=PAGE, block=block_ms
        )
        pages = dict(pages_of(answers))
        return [
            each
            for ward in sorted(self._joined)
            for each in await self._taken(ward, pages.get(stream_key(ward), []), again=False)
        ]

    async def _taken(self, ward: str, page: list[tuple[bytes, Any]], *, again: bool) -> list[Delivered]:
        """Decode a page; an entry that was trimmed while it lay unacknowledged is lost, and acknowledged."""
        gone = [entry for entry, fields in page if entry is not None and not fields]
        if gone:
            self.lost.append(Lost(ward, len(gone), place(gone[0])[0], place(gone[-1])[0] + 1))
            await self._redis.xack(stream_key(ward), self._group, *gone)
        return [Delivered(ward, entry.decode(), decode_alert(f[b"alert"]), again) for entry, f in page if f]

    async def _look_for_lost(self, ward: str) -> None:
        """Compare where the group is with where the stream begins; ids are offsets in the alert topic."""
        key = stream_key(ward)
        trimmed = cast("bytes | None", await self._redis.get(trimmed_key(ward)))
        groups = cast("Any", await self._redis.xinfo_groups(key))
        group = next((each for each in groups if each["name"] == self._group.encode()), None)
        if trimmed is None or group is None or place(trimmed) <= (read := place(group["last-delivered-id"])):
            return
        stream = cast("Any", await self._redis.xinfo_stream(key))
        added, seen = stream.get("entries-added"), group.get("entries-read")  # Redis 7 counts, 6.2 does not
        gone = None if added is None else added - stream["length"]
        lost = None if gone is None or seen is None else gone - seen
        self.lost.append(Lost(ward, lost, read[0] + (read[1] > 0), place(trimmed)[0] + 1))
        await self._redis.xgroup_setid(key, self._group, trimmed, entries_read=gone)


async def suspensions(url: str, ward: str | None = None) -> AsyncGenerator[Suspension]:
    """Yield the beds of one ward or of all as they cease to be watched, and as they are watched again, for ever.

    A Redis that does not answer leaves every bed to stand still.

    Raises
    ------
    ConnectionError
        If Redis does not answer at the start.
    """
    watchdog: Watchdog[tuple[str, str, str]] = Watchdog()
    loop, beds = asyncio.get_running_loop(), dict[tuple[str, str, str], Bed]()
    suspended: set[tuple[str, str, str]] = set()
    async with reached(url, ANSWER_S) as redis:
        while True:
            try:
                sight = await look(redis, ward)
            except RedisError:
                sight = None
            if sight is not None:
                beds = {bed.name: bed for bed in sight.beds if bed.missed}
                watchdog.keep(beds)
                for name, bed in beds.items():
                    watchdog.feed(name, bed.mark, loop.time())
            now = watchdog.suspended(loop.time()).keys()
            for name in sorted((now ^ suspended) & beds.keys()):
                yield Suspension(beds[name], name in now)
            suspended = set(now)
            await asyncio.sleep(LOOK_S)
