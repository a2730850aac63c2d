"""The processes of a ward, each around Vigil's real code: workers in their group, publishers, tickers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from stream import topics
from stream.app import _take
from stream.health import Health
from stream.publish import Publisher
from stream.standstill import Standstill, StoodStillError
from stream.store import Store
from stream.ticker import tick
from stream.worker import Worker
from tests.faults.brokers import Brokers, Entry, Host, Producer
from tests.faults.redis_client import Client, Server
from tests.faults.ward import T0_NS

EXPIRES_S = (5.0, 6.0)
"""A member of a group is missed so long after it stopped: the session, less up to one heartbeat."""


class Process:
    """A process that can be killed, stopped, asked to end, and started again; `exits` counts its own failures."""

    def __init__(self, name: str, brokers: Brokers, draw: random.Random) -> None:
        self.name, self.brokers, self.draw = name, brokers, draw
        self.starts = 0
        self.exits: list[str] = []
        self.host = Host(name, brokers, draw)
        self.task: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        return self.task is not None and not self.task.done()

    def start(self) -> None:
        """Start it, unless it is up."""
        if self.up:
            return
        self.starts += 1
        self.host = Host(f"{self.name}.{self.starts}", self.brokers, self.draw)
        self.task = asyncio.get_running_loop().create_task(self._guarded(), name=self.host.name)

    async def _guarded(self) -> None:
        host = self.host
        try:
            await self.main(host)
        except Exception as error:
            if host.alive:
                if not isinstance(error, StoodStillError):
                    self.exits.append(f"{self.name}: {_told(error)}")
                host.kill()
                self.left()

    async def main(self, host: Host) -> None:
        raise NotImplementedError

    def left(self) -> None:
        """Is called when the process ended, however."""

    def kill(self) -> None:
        """SIGKILL."""
        if self.up:
            self.host.kill()
            self._cancel()

    def terminate(self) -> None:
        """SIGTERM: what it had sent still arrives."""
        if self.up:
            self.host.go_on()
            self._cancel()
            self.left()

    def _cancel(self) -> None:
        assert self.task is not None
        self.task.cancel()
        self.task = None

    def stop(self) -> None:
        """SIGSTOP."""
        self.host.stop()

    def go_on(self) -> None:
        """SIGCONT."""
        self.host.go_on()


class Group:
    """A consumer group over the input: who has which partition, anew whenever a member joins or leaves."""

    def __init__(self, partitions: int, draw: random.Random) -> None:
        self._partitions, self._draw = partitions, draw
        self.generation = 0
        self.members: list[WorkerProcess] = []
        self.assigned: dict[WorkerProcess, list[int]] = {}

    def join(self, member: WorkerProcess) -> None:
        if member not in self.members:
            self.members.append(member)
            self.rebalance()

    def leave(self, member: WorkerProcess) -> None:
        if member in self.members:
            self.members.remove(member)
            self.rebalance()

    def rebalance(self) -> None:
        """Give the partitions to the members anew."""
        self.generation += 1
        self.assigned = {member: [] for member in self.members}
        for partition in range(self._partitions):
            if self.members:
                self.assigned[self._draw.choice(self.members)].append(partition)


class WorkerProcess(Process):
    """A worker, with what stands around it in `stream.app`: the group, buffered events, and the acknowledgement.

    Where Faust keeps to a protocol, this keeps to less: an owner that was replaced goes on with what it has buffered,
    and the next owner does not wait for it.
    """

    def __init__(self, name: str, brokers: Brokers, draw: random.Random, group: Group) -> None:
        super().__init__(name, brokers, draw)
        self.group = group
        self.worker: Worker | None = None

    def left(self) -> None:
        self.group.leave(self)

    def has_taken(self, partition: int, end: int) -> bool:
        """Say whether it has a partition, and has taken all of it up to an offset."""
        worker = self.worker
        if worker is None or worker.turn.locked() or partition not in self.group.assigned.get(self, ()):
            return False
        return worker.next.get(partition) == end

    def terminate(self) -> None:
        if self.up:
            self.host.go_on()
            self._ending = asyncio.get_running_loop().create_task(self._end(self.host))

    async def _end(self, host: Host) -> None:
        """Let the batch on its way end, and leave state behind, as `stream.app` does before it leaves the group."""
        if self.worker is not None:
            await self.worker.close()
        if self.host is host and self.up:
            self._cancel()
            self.left()

    def kill(self) -> None:
        super().kill()
        self._expire(self.host)

    def stop(self) -> None:
        super().stop()
        self._expire(self.host)

    def _expire(self, host: Host) -> None:
        """Let the group find out in a while that nobody answers."""

        def expel() -> None:
            if self.host is host and not (host.alive and host.running):
                self.group.leave(self)

        asyncio.get_running_loop().call_later(self.draw.uniform(*EXPIRES_S), expel)

    async def main(self, host: Host) -> None:
        """Take what there is, from where the snapshots end; look now and then whether the group still says so."""
        kafka = {"bootstrap_servers": host}
        producer: Any = Producer(bootstrap_servers=host)
        worker = Worker(kafka, producer, Health("worker"))
        worker._standstill = Standstill(host.clock)
        app = SimpleNamespace(consumer_generation_id=-1, restored=-1)
        stream = SimpleNamespace(ack=self._ack(host))
        position: dict[int, int] = {}
        events: list[Any] = []
        self.group.leave(self)
        self.group.join(self)
        self.worker = worker
        while True:
            await host.io(0.1)
            if app.consumer_generation_id != self.group.generation and self.draw.random() < 0.7:
                self.group.join(self)
                app.consumer_generation_id = generation = self.group.generation
                position = await worker.restore(self.group.assigned[self])
                app.restored = generation
                events = self.draw.choice(([], events))
            events += self._fetch(position, app.consumer_generation_id)
            size = self.draw.choice((1, 3, 10, 100))
            batch, events = events[:size], events[size:]
            if batch:
                await _take(app, worker, stream, batch)  # pyright: ignore[reportArgumentType]
            else:
                await self.brokers.arrival(topics.INPUT, 0.5)

    def _fetch(self, position: dict[int, int], generation: int) -> list[Any]:
        events = []
        for partition, at in position.items():
            entries = self.brokers.entries(topics.INPUT, partition)[at : at + self.draw.choice((1, 5, 50))]
            events += [_event(entry, generation) for entry in entries]
            position[partition] = at + len(entries)
        return events

    def _ack(self, host: Host) -> Callable[[Any], Any]:
        async def ack(_event: Any) -> None:
            host.about("acknowledge")
            await host.io(0.0)

        return ack


class PublisherProcess(Process):
    """A publisher between the brokers and one Redis."""

    def __init__(self, name: str, brokers: Brokers, draw: random.Random, server: Server) -> None:
        super().__init__(name, brokers, draw)
        self._server = server

    async def main(self, host: Host) -> None:
        store: Any = Store(Client(host, self._server))  # pyright: ignore[reportArgumentType]
        await Publisher({"bootstrap_servers": host}, store, Health("publisher"), self.name).run()


class TickerProcess(Process):
    """A ticker with a clock of its own; `ahead_s` is what that is ahead of the ward's."""

    ahead_s = 0.0

    async def main(self, host: Host) -> None:
        loop = asyncio.get_running_loop()

        def now_ns() -> int:
            return T0_NS + round((loop.time() + self.ahead_s) * 1e9)

        await tick({"bootstrap_servers": host}, self.name, now_ns, 1.0, Health("ticker"))


def _event(entry: Entry, generation: int) -> Any:
    message = SimpleNamespace(**entry._asdict(), generation_id=generation)
    message.timestamp = entry.timestamp / 1000
    return SimpleNamespace(message=message)


def _told(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_told(each) for each in error.exceptions)
    return f"{type(error).__name__}: {error}"
