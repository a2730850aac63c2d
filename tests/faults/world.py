"""One ward in virtual time: its devices, its processes, and all that can be done to them."""

from __future__ import annotations

import asyncio
import contextlib
import random
import types
from collections.abc import Callable
from typing import Literal
from unittest import mock

import msgspec
import structlog

from ecg.clinical import Limits, Settings
from ecg.frame import Acknowledge, Action, Admit, ChangeLimits, Command, Discharge, Pause, Setup, Standby, encode
from stream import topics
from stream.placement import partition_of
from tests.faults.brokers import Brokers, Host, in_memory
from tests.faults.processes import Group, Process, PublisherProcess, TickerProcess, WorkerProcess
from tests.faults.redis_client import Server
from tests.faults.virtual_loop import VirtualLoop
from tests.faults.ward import SCRIPTS, T0_NS, Monitor, Network

MOMENTS = (
    f"send {topics.ALERTS}",
    f"stored {topics.ALERTS}",
    f"send {topics.DEAD_LETTERS}",
    f"stored {topics.DEAD_LETTERS}",
    f"send {topics.STATE}",
    f"stored {topics.STATE}",
    f"send {topics.STATE} behind alerts",
    f"stored {topics.STATE} behind alerts",
    f"stored {topics.VITALS}",
    "acknowledge",
)
"""When a worker may be struck: before and after alerts, dead letters and snapshots are durable; and before it
acknowledges."""
Blow = Literal["kill", "stop", "terminate"]


class World:
    """A ward whose every random choice comes from one seed.

    Examples
    --------
    >>> with World(seed=1) as world:
    ...     world.run(20.0)
    ...     world.strike(world.workers[0], "kill", at="stored ecg.alerts.v1")
    ...     world.run(10.0)
    ...     world.settle()
    True
    """

    def __init__(
        self,
        seed: int,
        *,
        devices: int = 3,
        partitions: int = 2,
        workers: int = 2,
        standby: bool = False,
        network: Network | None = None,
    ) -> None:
        self.draw = random.Random(seed)
        self.partitions = partitions
        self.loop = VirtualLoop()
        self.brokers = Brokers(partitions, self.now_ns)
        self.server = Server(self.draw)
        self.network = network or Network()
        names = self.draw.sample(sorted(SCRIPTS), devices)
        self.monitors = {name: Monitor(name, self.draw.randrange(2**32), self.network, self.deliver) for name in names}
        self.groups = [Group(partitions, self.draw) for _ in range(1 + standby)]
        self.workers = [WorkerProcess(f"worker-{n}", self.brokers, self.draw, self.groups[0]) for n in range(workers)]
        if standby:
            self.workers.append(WorkerProcess("standby", self.brokers, self.draw, self.groups[1]))
        self.publishers = [PublisherProcess(f"publisher-{n}", self.brokers, self.draw, self.server) for n in range(2)]
        self.tickers = [TickerProcess(f"ticker-{n}", self.brokers, self.draw) for n in range(2)]
        self.faults = 0
        self._nonces: list[Command] = []

    def __enter__(self) -> World:
        self._quiet = structlog.get_config()
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50), cache_logger_on_first_use=False)
        self._within = contextlib.ExitStack()
        self._within.enter_context(in_memory())
        clock = types.SimpleNamespace(time=lambda: self.now_ns() / 1e9, time_ns=self.now_ns, monotonic=self.loop.time)
        for module in ("publish", "publish_vitals", "watch", "worker"):
            self._within.enter_context(mock.patch(f"stream.{module}.time", clock, create=True))
        self._within.enter_context(mock.patch("stream.newest.RECORDS", self.draw.choice((1, 5, 20, 256))))
        every_ns = self.draw.choice((1, 5)) * 1_000_000_000
        self._within.enter_context(mock.patch("stream.bed.SNAPSHOT_EVERY_NS", every_ns))
        asyncio.set_event_loop(self.loop)
        self._do(self._begin)
        return self

    def __exit__(self, *error: object) -> None:
        try:
            for process in self.processes:
                self._do(process.kill)
            for _again in range(3):
                for task in asyncio.all_tasks(self.loop):
                    task.cancel()
                self.run(0.1)
        finally:
            self._within.close()
            asyncio.set_event_loop(None)
            self.loop.close()
            structlog.configure(**self._quiet)

    @property
    def processes(self) -> list[Process]:
        return [*self.workers, *self.publishers, *self.tickers]

    @property
    def exits(self) -> list[str]:
        """Processes that ended by a failure of their own, and why."""
        return [said for process in self.processes for said in process.exits]

    def now_ns(self) -> int:
        """Return the ward's true time."""
        return T0_NS + round(self.loop.time() * 1e9)

    def run(self, seconds: float) -> None:
        """Let time pass; a process that ended by its own failure is started again after a while."""
        self.loop.run_until_complete(asyncio.sleep(seconds))

    def _begin(self) -> None:
        self.set_up(Settings())
        for nth, name in enumerate(self.monitors):
            if self.draw.random() < 0.8:
                self.command(name, Admit(f"ward-{nth % 2}", f"bed-{nth}"))
        for process in self.processes:
            process.start()
        self._senders = [self.loop.create_task(monitor.send()) for monitor in self.monitors.values()]
        self._supervisor = self.loop.create_task(self._supervise())

    async def _supervise(self) -> None:
        while True:
            await asyncio.sleep(self.draw.uniform(0.2, 2.0))
            for process in self.processes:
                process.start()

    # What comes in.

    def deliver(self, device: str, value: bytes) -> None:
        """Append a device's record to the input."""
        key = device.encode()
        self.brokers.append(topics.INPUT, partition_of(key, self.partitions), key, value)

    def set_up(self, settings: Settings, weights: str | None = None) -> None:
        """Write a setup to every partition."""
        setup = Setup("test", "test", self.now_ns(), settings, {"net": weights}, unsigned=True)
        for partition in range(self.partitions):
            self.brokers.append(topics.INPUT, partition, None, encode(setup))

    def command(self, device: str, do: Action, late_s: float = 0.0) -> None:
        """Ask for something in the name of staff."""
        issued = self.now_ns() - round(late_s * 1e9)
        nonce = f"n{len(self._nonces)}"
        command = Command(device, "nurse", "test", nonce, max(0, issued), max(0, issued) + 60 * 10**9, do)
        self._nonces.append(command)
        self.deliver(device, encode(command))

    def repeat_command(self) -> None:
        """Deliver an earlier command again."""
        if self._nonces:
            command = self.draw.choice(self._nonces)
            self.deliver(command.device, encode(command))

    def any_command(self) -> None:
        """Ask for anything that staff may ask for."""
        name = self.draw.choice(sorted(self.monitors))
        alerts = self.brokers.entries(topics.ALERTS)
        shown = [entry for entry in alerts[-20:] if entry.key == name.encode()]
        choices: list[Action] = [
            Admit(f"ward-{self.draw.randint(0, 2)}", f"bed-{self.draw.randint(0, 3)}"),
            Discharge(),
            ChangeLimits(Limits(rate_high_bpm=float(self.draw.randint(90, 160)))),
            Pause(self.draw.choice((0, 10, 60))),
            Standby(self.draw.random() < 0.5),
        ]
        if shown:
            choices += [Acknowledge(_id_of(self.draw.choice(shown).value or b""))] * 2
        self.command(name, self.draw.choice(choices), self.draw.choice((0.0, 0.0, 0.0, 90.0)))

    def any_setup(self) -> None:
        """Write a setup, now and then one that names weights which are not in the log."""
        weights = "ab" * 32 if self.draw.random() < 0.3 else None
        self.set_up(Settings(asystole_s=self.draw.choice((3.0, 4.0, 5.0)), no_data_s=5.0), weights)

    # What goes wrong.

    def strike(self, process: Process, blow: Blow, at: str = "", nth: int = 1, for_s: float = 3.0) -> None:
        """Kill, stop or end a process now, or at the n-th of some moments; one that is stopped goes on after a time."""
        self.faults += 1
        if not process.up:
            return
        if not at:
            self._do(lambda: self._blow(process, blow, for_s))
            return
        host, left = process.host, nth

        def struck(what: str) -> None:
            nonlocal left
            if what == at:
                left -= 1
            if left == 0:
                host.on = None
                if process.host is host:
                    self.loop.call_soon(self._blow, process, blow, for_s) if blow == "terminate" else self._blow(
                        process, blow, for_s
                    )

        host.on = struck

    def _blow(self, process: Process, blow: Blow, for_s: float) -> None:
        match blow:
            case "kill":
                process.kill()
            case "terminate":
                process.terminate()
            case "stop":
                host = process.host
                process.stop()
                self.loop.call_later(for_s, self._wake, process, host)

    def _wake(self, process: Process, host: Host) -> None:
        if process.host is host and host.alive:
            process.go_on()

    def rebalance(self) -> None:
        """Move the partitions to and fro."""
        self.faults += 1
        self._do(self.draw.choice(self.groups).rebalance)

    def redis_times_out(self, calls: int) -> None:
        self.faults += 1
        self.server.timeouts += calls

    def redis_goes_away(self, for_s: float) -> None:
        self.faults += 1
        self.server.down = True
        self.loop.call_later(for_s, setattr, self.server, "down", False)

    def redis_rolls_back(self) -> None:
        self.faults += 1
        self.server.roll_back()

    def redis_is_lost(self) -> None:
        self.faults += 1
        self.server.lose()

    def ticker_jumps(self, seconds: float = 60.0) -> None:
        """Set one ticker's clock ahead; it stays there."""
        self.faults += 1
        self.tickers[0].ahead_s += seconds

    def goes_home(self, device: str, for_s: float) -> None:
        """Discharge a device's patient and switch it off, until a minute has passed by all tickers and a while more."""
        self.faults += 1
        self.command(device, Discharge())
        self.monitors[device].silent_until_s = self.loop.time() + for_s
        for ticker in self.tickers:
            ticker.ahead_s += 61.0

    def falls_silent(self, device: str, for_s: float) -> None:
        self.faults += 1
        self.monitors[device].silent_until_s = self.loop.time() + for_s

    def settle(self, within_s: float = 120.0) -> bool:
        """Let nothing go wrong any more, and say whether everything that came in is done within a time."""
        self.server.down, self.server.timeouts = False, 0
        for process in self.processes:
            process.host.on = None
        for sender in self._senders:
            sender.cancel()
        self.run(5.0)  # frames that were held back arrive
        for process in self.processes:
            process.go_on()
        self.run(3.0)
        for ticker in self.tickers:
            self._do(ticker.kill)
        self.tickers.clear()
        until_s = self.loop.time() + within_s
        while self.loop.time() < until_s:
            before = self._ends()
            self.run(4.0)
            if before == self._ends() and self._done():
                return True
        return False

    def _ends(self) -> list[int]:
        return [len(log) for log in self.brokers.logs.values()]

    def _done(self) -> bool:
        """Say whether all input was taken, and Redis has been told of all alerts.

        Whether it was acknowledged does not matter: who resumes behind the last record has nothing to acknowledge.
        """
        for partition in range(self.partitions):
            end = len(self.brokers.entries(topics.INPUT, partition))
            for group in self.groups:
                if not any(member.has_taken(partition, end) for member in group.members):
                    return False
        end = len(self.brokers.entries(topics.ALERTS))
        positions = [int(v) for k, v in self.server.held.keys.items() if k.startswith(b"position:")]
        return not end or (bool(positions) and min(positions) == end)

    def _do(self, call: Callable[[], object]) -> None:
        """Call within the running loop."""

        async def within() -> None:
            call()

        self.loop.run_until_complete(within())


def _id_of(value: bytes) -> str:
    return msgspec.json.decode(value)["id"]
