"""A ward of real processes, and what is done to them: ended, stopped for a while, restarted as a supervisor would."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec

from simulators.clock import Clock
from stream.child import Service, child, free_port
from stream.embedded import Services
from stream.processes import Process
from stream.store import connect
from tests.campaign.plan import PUBLISHERS, TICKERS, Fault, Plan
from tests.campaign.player import Played

WATCH_S = 0.1
RESTART_S = 0.5
"""A process that ended by itself is started again after this long, as a supervisor would."""
UNSAVED_S = 3.0
"""A Redis that is rolled back had not saved its last seconds."""


class Ward:
    """Workers, publishers and tickers on services of their own, supervised until the block ends.

    Parameters
    ----------
    services : Services
        Running, and nobody else's.
    plan : Plan
        How many of each there are.
    clock : Clock
        The one virtual clock of devices and tickers.
    folder : Path
        For logs.
    key : Path
        By which all of them sign.
    say : callable
        Takes a line of progress.
    """

    def __init__(
        self, services: Services, plan: Plan, clock: Clock, folder: Path, key: Path, say: Callable[[str], None]
    ) -> None:
        self._services, self._clock, self._say = services, clock, say
        self._redis, self._broker = services.own
        self._began = time.monotonic()
        self._up_at: dict[str, float] = {}
        self._retired: set[str] = set()
        self._turns = {"redis": asyncio.Lock(), "broker": asyncio.Lock()}
        self.ends: list[str] = []
        groups = ["vigil"] * (plan.workers - plan.standby) + ["standby"] * plan.standby
        made = [(f"worker-{k}", ["worker", "--group", g, "--batch", str(plan.batch)]) for k, g in enumerate(groups)]
        made += [(f"publisher-{k}", ["publisher", "--name", f"publisher-{k}"]) for k in range(PUBLISHERS)]
        made += [(f"ticker-{k}", self._ticker(f"ticker-{k}")) for k in range(TICKERS)]
        self.processes = {
            name: Process(name, words, free_port(), folder / f"{name}.log", settings={"VIGIL_KEY": str(key)})
            for name, words in made
        }

    def _ticker(self, name: str) -> list[str]:
        clock = self._clock
        words = {"speed": clock.speed, "start-ns": clock.start_ns, "since-ns": clock.real_start_ns, "name": name}
        return ["ticker", *(word for key, value in words.items() for word in (f"--{key}", str(value)))]

    async def start(self) -> None:
        """Start all of them, and wait until each is ready."""
        for process in self.processes.values():
            process.start(self._services.kafka, self._services.redis)
        for process in self.processes.values():
            process.wait_ready()
        self._began = time.monotonic()

    async def supervise(self) -> None:
        """Start again what has ended, for ever."""
        while True:
            for name, process in self.processes.items():
                if (status := process.ended()) is None or name in self._retired:
                    continue
                if name not in self._up_at:
                    self.ends.append(f"{name} ended by itself with {status}")
                    self._say(self.ends[-1])
                    self._up_at[name] = time.monotonic() + RESTART_S
                if time.monotonic() >= self._up_at[name]:
                    process.start(self._services.kafka, self._services.redis)
                    del self._up_at[name]
            await asyncio.sleep(WATCH_S)

    async def suffer(self, faults: tuple[Fault, ...]) -> None:
        """Do what a plan says, each at its time, and return when all of it is over."""
        async with asyncio.TaskGroup() as tasks:
            for fault in faults:
                await asyncio.sleep(max(0.0, self._began + fault.at_s - time.monotonic()))
                self._say(f"{time.monotonic() - self._began:6.1f} s: {fault.kind}, number {fault.target}")
                tasks.create_task(self._do(fault))

    async def _do(self, fault: Fault) -> None:
        what, how, *_ = fault.kind.split()
        if what not in self._turns:
            await self._process(f"{what}-{fault.target}", how, fault.down_s)
            return
        async with self._turns[what]:
            if what == "broker":
                await self._restart(self._broker, signal.SIGKILL if how == "SIGKILL" else signal.SIGTERM, fault.down_s)
            elif how == "rolled":
                await self._append_only("no")
                await asyncio.sleep(UNSAVED_S)
                await self._restart(self._redis, signal.SIGKILL, fault.down_s)
            else:
                lost = fault.kind.endswith("off")
                at = self._redis.command.index("--appendonly") + 1
                self._redis.command[at] = "no" if lost else "yes"
                await self._restart(self._redis, signal.SIGKILL, fault.down_s)
                if lost:
                    self._redis.command[at] = "yes"
                    await self._append_only("yes")

    async def _process(self, name: str, how: str, down_s: float) -> None:
        process = self.processes[name]
        if process.ended() is not None:
            return  # it was down already: this fault finds nobody
        if how == "SIGSTOP":
            process.send(signal.SIGSTOP)
            await asyncio.sleep(down_s)
            process.send(signal.SIGCONT)
            return
        self._up_at[name] = time.monotonic() + down_s
        process.send(signal.Signals[how])

    async def _restart(self, service: Service, how: signal.Signals, down_s: float) -> None:
        service.stop() if how == signal.SIGTERM else service.kill()
        await asyncio.sleep(down_s)
        service.start()  # in this thread: a child ends with the thread that started it
        await asyncio.to_thread(service.wait_ready)

    async def _append_only(self, value: str) -> None:
        async with connect(self._services.redis) as redis:
            await redis.config_set("appendonly", value)

    async def recover(self) -> None:
        """Wait until everything that was ended is up again."""
        while self._up_at or any(process.ended() is not None for process in self.processes.values()):
            await asyncio.sleep(WATCH_S)

    def stop(self, *names: str) -> None:
        """End processes in order, those whose names begin so; all of them without a name."""
        for name, process in self.processes.items():
            if not names or name.startswith(names):
                self._retired.add(name)
                process.stop()


@asynccontextmanager
async def running(ward: Ward) -> AsyncIterator[asyncio.Task[None]]:
    """Start a ward, supervise it while the block runs, and end it."""
    try:
        await ward.start()
        supervising = asyncio.create_task(ward.supervise())
        try:
            yield supervising
        finally:
            supervising.cancel()
            with suppress(asyncio.CancelledError):
                await supervising
    finally:
        ward.stop()


@asynccontextmanager
async def playing(played: Played, log: Path) -> AsyncIterator[Callable[[], int | None]]:
    """Run the devices as a process of their own; yields what says how it ended, None while it runs."""
    words = [sys.executable, "-m", "tests.campaign.player", msgspec.json.encode(played).decode()]
    with log.open("ab") as output:
        process = child(words, output, {"PYTHONPATH": os.pathsep.join(sys.path)})
    try:
        yield process.poll
    finally:
        process.kill()
        process.wait()
