"""Kafka in memory, behind the part of aiokafka's interface that Vigil uses: topics, producers, plain consumers.

A client belongs to a `Host`, which its brokers' address is: what a host sends takes a while, and may be on the wire, or
not, when the host is killed.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest import mock

from aiokafka import TopicPartition

from stream.placement import partition_of
from stream.topics import ALERTS, TOPICS, partitions_of

QUICK_S, SLOW_S, SLOW = 0.005, 0.5, 0.2
"""How long a record is on its way, mostly and now and then; what goes to another partition may overtake it."""


class Entry(NamedTuple):
    """One record of a topic, with the names that aiokafka gives its parts; `timestamp` is the append time in ms."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


class Host:
    """A process, as far as Kafka and Redis see it: it may stand still, or be dead.

    Attributes
    ----------
    alive, running : bool
        False when it was killed; False while it is stopped.
    on : callable or None
        Is told what the host is about to do ("send ecg.alerts.v1", "stored ecg.state.v1", "acknowledge").
    """

    def __init__(self, name: str, brokers: Brokers, draw: random.Random) -> None:
        self.name, self.brokers, self.draw = name, brokers, draw
        self.alive = True
        self.on: Callable[[str], None] | None = None
        self._alerting = False
        self._stopped_s: float | None = None
        self._going = asyncio.Event()
        self._going.set()
        self._outboxes: dict[tuple[str, int], _Outbox] = {}

    @property
    def running(self) -> bool:
        return self._going.is_set()

    def clock(self) -> float:
        """Return the time that the process sees: none passes while it stands still."""
        return asyncio.get_event_loop().time() if self._stopped_s is None else self._stopped_s

    def stop(self) -> None:
        """Stand still, as by SIGSTOP; what is on the wire arrives."""
        self._stopped_s = self.clock()
        self._going.clear()
        for outbox in self._outboxes.values():
            outbox.cut(self.draw.randint(0, len(outbox.waiting)))

    def go_on(self) -> None:
        self._stopped_s = None
        self._going.set()
        for outbox in self._outboxes.values():
            outbox.release()

    def kill(self) -> None:
        """End at once, as by SIGKILL: of what was being sent to each partition, some first part arrives."""
        self.alive = False
        for outbox in self._outboxes.values():
            outbox.cut(self.draw.randint(0, len(outbox.waiting)))
            outbox.held.clear()
        self._going.set()

    async def io(self, slowest_s: float = 0.02) -> None:
        """Take the time of a call; a host that stands still does not come back from it before it goes on."""
        await asyncio.sleep(self.draw.random() * slowest_s)
        await self._going.wait()
        if not self.alive:
            raise asyncio.CancelledError(f"{self.name} is dead")

    def about(self, what: str) -> None:
        """Say what is about to be done, and once more where alerts of the same batch came before."""
        self._alerting = what == f"send {ALERTS}" or (self._alerting and what != "acknowledge")
        for each in (what, f"{what} behind alerts") if self._alerting else (what,):
            if self.on is not None and self.alive:
                self.on(each)

    def send(self, topic: str, partition: int, record: tuple[Any, ...]) -> asyncio.Future[Entry]:
        """Put a record on its way; records to one partition arrive in order."""
        self.about(f"send {topic}")
        outbox = self._outboxes.setdefault((topic, partition), _Outbox(self, topic, partition))
        return outbox.put(record)


class _Outbox:
    """What a host has sent to one partition and is not yet there; `held` has not left a host that stands still."""

    def __init__(self, host: Host, topic: str, partition: int) -> None:
        self._host, self._topic, self._partition = host, topic, partition
        self.waiting: deque[tuple[tuple[Any, ...], asyncio.Future[Entry]]] = deque()
        self.held: deque[tuple[tuple[Any, ...], asyncio.Future[Entry]]] = deque()
        self._due_s = 0.0

    def put(self, record: tuple[Any, ...]) -> asyncio.Future[Entry]:
        done: asyncio.Future[Entry] = asyncio.get_running_loop().create_future()
        if not self._host.alive:
            return done
        if not self._host.running:
            self.held.append((record, done))
            return done
        self._dispatch(record, done)
        return done

    def _dispatch(self, record: tuple[Any, ...], done: asyncio.Future[Entry]) -> None:
        loop = asyncio.get_event_loop()
        self.waiting.append((record, done))
        draw = self._host.draw
        late_s = SLOW_S if draw.random() < SLOW else QUICK_S
        self._due_s = max(self._due_s, loop.time()) + draw.random() * late_s
        loop.call_at(self._due_s, self._deliver)

    def cut(self, keep: int) -> None:
        """Leave only so many on the wire."""
        while len(self.waiting) > keep:
            self.held.appendleft(self.waiting.pop())

    def release(self) -> None:
        held, self.held = self.held, deque()
        for record, done in held:
            self._dispatch(record, done)

    def _deliver(self) -> None:
        if not self.waiting:
            return
        record, done = self.waiting.popleft()
        entry = self._host.brokers.append(self._topic, self._partition, *record)
        if not done.done():
            done.set_result(entry)
        self._host.about(f"stored {self._topic}")


class Brokers:
    """All topics, and the time of what was appended.

    Parameters
    ----------
    partitions : int
        Of the input.
    now_ns : callable
        Append time.
    """

    def __init__(self, partitions: int, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self.logs: dict[TopicPartition, list[Entry]] = {
            TopicPartition(topic.name, partition): []
            for topic in TOPICS.values()
            for partition in range(partitions_of(topic, partitions))
        }
        self._awaited: dict[str, list[asyncio.Future[None]]] = {}

    def count(self, topic: str) -> int:
        """Return how many partitions a topic has."""
        return sum(part.topic == topic for part in self.logs)

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> Entry:
        log = self.logs[TopicPartition(topic, partition)]
        entry = Entry(topic, partition, len(log), self._now_ns() // 1_000_000, key, value, headers)
        log.append(entry)
        for waiter in self._awaited.pop(topic, ()):
            if not waiter.done():
                waiter.set_result(None)
        return entry

    async def arrival(self, topic: str, within_s: float) -> None:
        """Wait until something is appended to a topic, but no longer than so."""
        waiter = asyncio.get_running_loop().create_future()
        self._awaited.setdefault(topic, []).append(waiter)
        await asyncio.wait([waiter], timeout=within_s)

    def entries(self, topic: str, partition: int = 0) -> list[Entry]:
        return self.logs[TopicPartition(topic, partition)]


class _Client:
    def __init__(self, *, bootstrap_servers: Host, **_: Any) -> None:
        self._host, self._brokers = bootstrap_servers, bootstrap_servers.brokers

    async def start(self) -> None:
        await self._host.io()

    async def stop(self) -> None:
        """Nothing has to be closed."""

    close = stop


class Producer(_Client):
    """Stands for `aiokafka.AIOKafkaProducer`, idempotent: in order within a partition, nothing doubled."""

    async def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Iterable[tuple[str, bytes]] = (),
        **_: Any,
    ) -> asyncio.Future[Entry]:
        count = self._brokers.count(topic)
        place = partition if partition is not None else partition_of(key or b"", count)
        assert 0 <= place < count
        assert value is None or len(value) <= TOPICS[topic].max_bytes
        return self._host.send(topic, place, (key, value, tuple(headers)))

    async def send_and_wait(self, *arguments: Any, **options: Any) -> Entry:
        return await (await self.send(*arguments, **options))


class Consumer(_Client):
    """Stands for `aiokafka.AIOKafkaConsumer` without a group."""

    def __init__(self, *topics: str, bootstrap_servers: Host, **options: Any) -> None:
        super().__init__(bootstrap_servers=bootstrap_servers, **options)
        self._at: dict[TopicPartition, int] = {}

    def assign(self, parts: Iterable[TopicPartition]) -> None:
        self._at = {part: self._at.get(part, 0) for part in parts}

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self._at)

    def seek(self, part: TopicPartition, offset: int) -> None:
        self._at[part] = offset

    async def position(self, part: TopicPartition) -> int:
        return self._at[part]

    def highwater(self, part: TopicPartition) -> int:
        return len(self._brokers.logs[part])

    def last_poll_timestamp(self, part: TopicPartition) -> None:
        """Kafka here always answers."""

    async def beginning_offsets(self, parts: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        await self._host.io()
        return dict.fromkeys(parts, 0)

    async def end_offsets(self, parts: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        await self._host.io()
        return {part: len(self._brokers.logs[part]) for part in parts}

    async def getone(self, *parts: TopicPartition) -> Entry:
        while True:
            for entries in (await self.getmany(*parts, max_records=1)).values():
                return entries[0]

    async def getmany(
        self, *parts: TopicPartition, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[TopicPartition, list[Entry]]:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + timeout_ms / 1000
        while True:
            await self._host.io()
            got = self._ready(parts or tuple(self._at), max_records)
            left_s = until_s - loop.time()
            if got or left_s <= 0:
                return got
            await self._brokers.arrival(next(iter(parts or self._at)).topic, left_s)

    def _ready(self, parts: Iterable[TopicPartition], most: int | None) -> dict[TopicPartition, list[Entry]]:
        got: dict[TopicPartition, list[Entry]] = {}
        for part in sorted(parts):
            at = self._at[part]
            entries = self._brokers.logs[part][at:]
            if most is not None:
                entries, most = entries[:most], most - len(entries[:most])
            if entries:
                got[part] = entries
                self._at[part] = entries[-1].offset + 1
        return got


class Admin(_Client):
    """Stands for the part of `AIOKafkaAdminClient` that tells which partitions there are."""

    async def describe_topics(self, topics: Iterable[str]) -> list[Mapping[str, Any]]:
        await self._host.io()
        return [
            {"topic": name, "error_code": 0, "partitions": list(range(self._brokers.count(name)))} for name in topics
        ]


@contextmanager
def in_memory() -> Iterator[None]:
    """Let Vigil's clients be these while the block runs; the address of the brokers is then a `Host`."""
    with (
        mock.patch("stream.kafka.Reader", Consumer),
        mock.patch("stream.kafka.AIOKafkaProducer", Producer),
        mock.patch("stream.topics.AIOKafkaAdminClient", Admin),
    ):
        yield
