"""What wards read: one Redis Stream of alerts a ward, and the newest state of each of its beds, each alert once.

Keys of one ward share a hash tag, so that one call of the script can take them all:

| key | |
| --- | --- |
| `alerts:{<ward>}` | stream; the id is `<offset in ecg.alerts.v1>-1`, the field `alert` the alert's JSON |
| `bed:{<ward>}:<bed>` | hash; `on:<condition>:<device>` an alarm that shows, `risk:<device>`, `vitals:<device>` |
| `beds:{<ward>}` | set of the names of its beds |
| `fence:{<ward>}` | hash; by device, the last alerts that were written: place in the input, and what they were |
| `position:{<ward>}` | next offset of `ecg.alerts.v1`: all before it are in this ward's keys |
| `trimmed:{<ward>}` | id of the newest alert that was taken from the stream to keep it short |
| `services:{unassigned}` | set of the names under which services of Vigil raised alarms of their own |
| `wards` | set of all wards; the only key outside |

A device that changes its ward needs no fence that both share: every alert names the ward it belongs to, so that each
ward sees a growing part of the device's alerts, and the fence of each holds on its own.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, NoScriptError, RedisError, ResponseError

from ecg.alarm import UNASSIGNED
from ecg.alert import Presence, Source
from stream.keys import SERVICES, WARDS, bed_key, beds_key, fence_key, position_key, split_field, stream_key
from stream.tls import guard, why_not
from stream.trim import Trimmed, trim

PER_CALL = 64
"""Alerts in one call of the script, which holds up every other client of Redis meanwhile."""
REFUSALS = (ResponseError, AuthenticationError)
"""Answers of a Redis that is there, and will refuse the same call again."""
SERVICE_TOPIC = "ecg.alerts.v1"
"""The source of an alert that a service raised of itself: no input gave it."""
RISK_LEVEL = "risk_level"
_OFFSET = re.compile(rb'"(?:last_)?offset":(\d+)')
"""The input offset of what a bed shows of a device."""


class Place(NamedTuple):
    """Where a device is."""

    ward: str
    bed: str


class Head(msgspec.Struct, frozen=True):
    """The part of an alert that the store goes by; what else an alert holds is passed on as it is."""

    id: str
    device: str
    ward: str
    bed: str
    condition: str
    priority: str
    phase: str
    presence: Presence
    ordinal: int
    source: Source
    risk: msgspec.Raw = msgspec.Raw(b"null")
    chain: str = ""

    @property
    def place(self) -> Place:
        """Where the device was."""
        return Place(self.ward, self.bed)

    @property
    def shows(self) -> bool:
        """Whether the alarm stands on the board after this alert."""
        return self.presence != "off" and self.condition != RISK_LEVEL

    @property
    def is_service(self) -> bool:
        """Whether a service of Vigil raised it of itself."""
        return self.source.topic == SERVICE_TOPIC


class Entry(NamedTuple):
    """One record of the alert topic: its offset, what the store goes by, and the alert's own bytes."""

    offset: int
    head: Head
    value: bytes


class Wrote(NamedTuple):
    """What became of a call, by offset in the alert topic: alerts written, and those that were there already.

    `conflicts` came again with other bytes, and are among the fenced; `forks` name the same alert before them as
    another one does.
    """

    written: tuple[int, ...] = ()
    fenced: tuple[int, ...] = ()
    conflicts: tuple[int, ...] = ()
    forks: tuple[int, ...] = ()


class BehindError(Exception):
    """Redis began anew, or holds less than it did: lost or rolled back; `positions` says from where to go on."""

    def __init__(self, positions: Mapping[str, int]) -> None:
        super().__init__(f"Redis may have lost entries of the wards {', '.join(sorted(positions))}")
        self.positions = positions


class ConflictError(Exception):
    """The stream of a ward is ahead of its fence: somebody else wrote to it, or it was filled from another log."""


def connect(url: str, timeout_s: float = 5.0) -> Redis:
    """Return a client that fails when a call took so long, and tries nothing again on its own."""
    redis = Redis.from_url(
        url,
        socket_timeout=timeout_s,
        socket_connect_timeout=min(2.0, timeout_s),
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
    return guard(redis)


@asynccontextmanager
async def reached(url: str, timeout_s: float = 5.0) -> AsyncGenerator[Redis]:
    """Yield a client of a Redis that answers; raises ConnectionError, in one line, where it does not."""
    async with connect(url, timeout_s) as redis:
        where, user = urlsplit(url).netloc.rpartition("@")[2], urlsplit(url).username
        try:
            await redis.ping()
        except AuthenticationError as error:
            said = (
                f"refuses the user {user}: unknown, or another password" if user else "wants another user or password"
            )
            raise ConnectionError(f"redis at {where} {said}") from error
        except REFUSALS as error:
            raise ConnectionError(f"redis at {where} refuses: {error}") from error
        except RedisError as error:
            raise ConnectionError(f"redis at {where} {await why_not(url, error)}") from error
        try:
            yield redis
        except NoPermissionError as error:
            raise ConnectionError(f"redis at {where} does not allow this to the user {user}: {error}") from error


class Store:
    """The writing side of the wards' Redis.

    Parameters
    ----------
    redis : redis.asyncio.Redis
        A client that decodes nothing.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._source = Path(__file__).with_name("store.lua").read_text()
        self._leaving = Path(__file__).with_name("leave.lua").read_text()
        self._sha = ""
        self._expected: dict[str, int] = {}

    async def open(self) -> int:
        """Load the script, learn how far each ward has come, and return the first offset that some ward lacks."""
        await self._redis.ping()
        wards = [ward.decode() for ward in await answer(self._redis.smembers(WARDS))]
        self._expected = await self._positions(wards)
        return min(self._expected.values(), default=0)

    async def _positions(self, wards: Iterable[str]) -> dict[str, int]:
        return {ward: int(await self._redis.get(position_key(ward)) or 0) for ward in wards}

    @property
    def wards(self) -> frozenset[str]:
        """The wards that alerts were written for."""
        return frozenset(self._expected)

    async def put(self, entries: Sequence[Entry], end: int) -> Wrote:
        """Write alerts that follow each other in the alert topic, and move every ward's position to `end`.

        Without entries it only compares the positions, so that a publisher with nothing to do notices a rollback too.

        Raises
        ------
        BehindError
            If Redis holds less than before, or began anew, so that what no position tells may be lost; the caller
            goes on from the lowest position.
        ConflictError
            If a stream is ahead of its fence.
        redis.exceptions.RedisError
            If Redis is not there; the same call may be made again.
        """
        by_ward: dict[str, list[Entry]] = {ward: [] for ward in self._expected}
        for entry in entries:
            by_ward.setdefault(entry.head.ward, []).append(entry)
        if services := {entry.head.bed for entry in entries if entry.head.is_service}:
            await answer(self._redis.sadd(SERVICES, *sorted(services)))
        calls = [call for ward, its in by_ward.items() for call in self._calls(ward, its, end)]
        answers = await self._run(sorted(by_ward), calls)
        return self._settle([call[0] for call in calls], answers, dict.fromkeys(by_ward, end))

    def _calls(self, ward: str, entries: list[Entry], end: int) -> list[tuple[str, list[str], list[Any]]]:
        """Cut a ward's alerts into calls, each of which expects the position that the one before it leaves."""
        chunks = [entries[at : at + PER_CALL] for at in range(0, len(entries), PER_CALL)] or [[]]
        expected, calls = self._expected.get(ward, 0), []
        for chunk in chunks:
            after = end if chunk is chunks[-1] else chunk[-1].offset + 1
            keys = [stream_key(ward), fence_key(ward), position_key(ward), beds_key(ward)]
            keys += [bed_key(ward, entry.head.bed) for entry in chunk]
            calls.append((ward, keys, [expected, after, *(a for entry in chunk for a in _arguments(entry))]))
            expected = max(expected, after)
        return calls

    async def _run(self, wards: list[str], calls: list[tuple[str, list[str], list[Any]]]) -> list[list[Any]]:
        """Send all calls at once, in order, behind the names of their wards.

        The names go with each: a ward that no alert was written for has no position that would tell of a loss. That
        Redis does not know the script tells that it began anew.
        """
        if not self._sha:
            self._sha = await self._redis.script_load(self._source)
        if not calls:  # without any ward there is nothing to compare, but Redis must be there all the same
            await self._redis.ping()
            return []
        pipe = self._redis.pipeline(transaction=False)
        pipe.sadd(WARDS, *wards)
        for _, keys, arguments in calls:
            pipe.evalsha(self._sha, len(keys), *keys, *arguments)
        try:
            return (await pipe.execute())[1:]
        except NoScriptError:
            self._sha = ""
            self._expected = await self._positions(wards)
            raise BehindError(self._expected) from None

    def _settle(self, wards: list[str], answers: list[list[Any]], positions: Mapping[str, int]) -> Wrote:
        wrote, behind = [], {}
        for ward, (status, *rest) in zip(wards, answers, strict=True):
            if status == b"conflict":
                raise ConflictError(f"ward {ward}: {rest[0].decode()}")
            if status == b"behind":
                behind[ward] = min(int(rest[0]), behind.get(ward, int(rest[0])))
            else:
                wrote.append(Wrote(*map(tuple, rest)))
        for ward, position in positions.items():
            self._expected[ward] = behind.get(ward, max(position, self._expected.get(ward, 0)))
        if behind:
            raise BehindError(behind)
        return Wrote(*(tuple(sorted(at for its in column for at in its)) for column in zip(*wrote, strict=True)))

    async def show(self, newest: Mapping[str, tuple[Place, bytes]]) -> None:
        """Put the newest vitals of devices onto their beds."""
        beds: dict[str, set[str]] = {}
        pipe = self._redis.pipeline(transaction=False)
        for device, (place, vitals) in newest.items():
            pipe.hset(bed_key(*place), mapping={"ward": place.ward, "bed": place.bed, f"vitals:{device}": vitals})
            beds.setdefault(place.ward, set()).add(place.bed)
        for ward, its in beds.items():
            self._expected.setdefault(ward, 0)  # the next `put` gives a ward without alerts its position
            pipe.sadd(beds_key(ward), *sorted(its))
        if beds:
            pipe.sadd(WARDS, *sorted(beds))
        await pipe.execute()

    async def leave(self, device: str, place: Place, before: int = 2**53) -> None:
        """Take a device off a bed that it is no longer at, and the bed off its ward where nothing else is.

        What an input at the offset `before` or behind it put there stays: the device has come back meanwhile.
        """
        keys = (bed_key(*place), beds_key(place.ward))
        await answer(self._redis.eval(self._leaving, len(keys), *keys, device, place.bed, before))

    async def raised(self, name: str) -> list[bytes]:
        """Return the alerts that a service of this name raised of itself, those that show and its last, as they are."""
        fields = await answer(self._redis.hgetall(bed_key(UNASSIGNED, name)))
        found = [value for field, value in fields.items() if field.startswith(b"on:")]
        if latest := fields.get(b"latest"):
            entries = await answer(self._redis.xrange(stream_key(UNASSIGNED), latest, latest))
            found += [entry[b"alert"] for _, entry in entries]
        return found

    async def trim(self) -> list[Trimmed]:
        """Shorten the streams of all wards that have grown too long."""
        return [await trim(self._redis, ward) for ward in sorted(self._expected)]

    async def places(self) -> dict[str, Place]:
        """Return where each device is that some bed shows, and take it off the beds that show older things of it."""
        shown: dict[str, list[tuple[int, Place]]] = {}
        for place, fields in await self._shown():
            for field, value in fields.items():
                if (parts := split_field(field.decode())) and parts[0] != "risk":
                    at = _OFFSET.search(value)
                    shown.setdefault(parts[2], []).append((int(at[1]) if at else -1, place))
        found: dict[str, Place] = {}
        for device, places in shown.items():
            offset, found[device] = max(places)
            for left in sorted({place for _, place in places} - {found[device]}):
                await self.leave(device, left, offset)
        return found

    async def _shown(self) -> list[tuple[Place, dict[bytes, bytes]]]:
        """Return the fields of all beds, in as few round trips as there are kinds of keys."""
        wards = sorted({ward.decode() for ward in await answer(self._redis.smembers(WARDS))} | self._expected.keys())
        pipe = self._redis.pipeline(transaction=False)
        for ward in wards:
            pipe.smembers(beds_key(ward))
        beds = await pipe.execute()
        places = [Place(ward, bed.decode()) for ward, its in zip(wards, beds, strict=True) for bed in its]
        for place in places:
            pipe.hgetall(bed_key(*place))
        return list(zip(places, await pipe.execute(), strict=True))


def _arguments(entry: Entry) -> Iterable[Any]:
    head = entry.head
    risk = bytes(head.risk)
    return (
        entry.offset,
        head.device,
        head.source.last_offset,
        head.ordinal,
        head.ward,
        head.bed,
        head.condition,
        head.priority,
        head.phase,
        head.id,
        "1" if head.shows else "0",
        b"" if risk == b"null" else risk,
        entry.value,
        head.chain,
    )


async def answer(call: Any) -> Any:
    """Await a call whose type says that it may also be an answer; redis-py shares stubs with its blocking client."""
    return await cast("Awaitable[Any]", call)
