"""What a ward sees when something on the way to it stands still: exactly the beds behind it, within 5 s, and aloud."""

from __future__ import annotations

import asyncio
import os
import signal
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from stream import topics
from stream.child import free_port
from stream.client import read_beds
from stream.consumer import suspensions
from stream.embedded import Services
from stream.placement import partition_of
from stream.processes import Process
from stream.store import connect
from tests.system.fresh import clear

pytestmark = pytest.mark.system
BEDS = 8
DEADLINE_S = 90.0
WITHIN_S = 5.0
SERVICES = {
    "worker-0": ["worker"],
    "worker-1": ["worker"],
    "publisher": ["publisher"],
    "ticker": ["ticker"],
}
OTHERS = {
    "simulate": ["simulate", "--rhythm", "sinus", "--beds", str(BEDS)],
    "ward": ["ward"],
    "alerts": ["alerts", "--follow", "--json", "--group", "pagers"],
}


@dataclass
class Seen:
    """Which beds are suspended now, by device, and when each change was seen."""

    now: set[str] = field(default_factory=set)
    changes: list[tuple[str, bool, float]] = field(default_factory=list)


@dataclass
class Ward:
    """Two workers, a publisher and a ticker over eight devices that go on in real time, and those who look at them."""

    url: str
    redis_pid: int
    processes: dict[str, Process]

    def send(self, name: str, which: signal.Signals) -> None:
        if name == "redis":
            os.kill(self.redis_pid, which)
        else:
            self.processes[name].send(which)

    async def devices(self) -> set[str]:
        async with connect(self.url) as redis:
            return {bed.device for bed in await read_beds(redis) if bed.vitals and bed.vitals.heart_rate_bpm}

    def partitions(self, worker: str) -> set[int]:
        """Whose beds a worker watches, by its own account."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.processes[worker].port}/metrics", timeout=5) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        samples = [sample for family in families if family.name.endswith("lag_records") for sample in family.samples]
        return {int(sample.labels["partition"]) for sample in samples}

    def shared(self) -> bool:
        """Whether each worker has its half."""
        return all(len(self.partitions(f"worker-{nth}")) == topics.INPUT_PARTITIONS // 2 for nth in range(2))

    def printed(self, name: str) -> list[str]:
        return self.processes[name].log.read_text().splitlines()


@pytest.fixture(scope="module")
def ward(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = Path(tmp_path_factory.mktemp("ward"))
    asyncio.run(clear(services.clients, services.redis))
    ours = SERVICES | OTHERS
    made = {name: Process(name, words, free_port(), folder / f"{name}.log") for name, words in ours.items()}
    pid = next(service.pid for service in services.own if service.name == "redis")
    try:
        for process in made.values():
            process.start(services.kafka, services.redis)
        for name in SERVICES:
            made[name].wait_ready()
        there = Ward(services.redis, pid, made)
        asyncio.run(until(lambda: shown(there), DEADLINE_S))
        yield there
    finally:
        for process in made.values():
            process.send(signal.SIGCONT)
            process.send(signal.SIGTERM)
        for process in made.values():
            process.stop()
        asyncio.run(clear(services.clients, services.redis))


async def shown(ward: Ward) -> bool:
    return len(await ward.devices()) == BEDS


async def until(there: Callable[[], object], within_s: float) -> float:
    """Wait until something is so, and return how long that took."""
    start_s = time.monotonic()
    while True:
        answer = there()
        if (await answer) if asyncio.iscoroutine(answer) else answer:
            return time.monotonic() - start_s
        assert time.monotonic() - start_s < within_s
        await asyncio.sleep(0.05)


@asynccontextmanager
async def watched(url: str) -> AsyncIterator[Seen]:
    """Watch all beds as any consumer does; they have moved for a while before the block begins."""
    seen = Seen()

    async def watch() -> None:
        async with aclosing(suspensions(url)) as changes:
            async for bed, suspended in changes:
                (seen.now.add if suspended else seen.now.discard)(bed.device)
                seen.changes.append((bed.device, suspended, time.monotonic()))

    watching = asyncio.create_task(watch())
    await asyncio.sleep(1.5)
    try:
        yield seen
    finally:
        watching.cancel()
        await asyncio.wait([watching])


def test_the_beds_of_a_worker_that_stands_still_are_suspended_and_come_back_with_its_successor(ward: Ward) -> None:
    """Half of the partitions are the stopped worker's; it does not go on before the other one has taken them over."""

    async def story() -> None:
        await until(ward.shared, DEADLINE_S)
        async with watched(ward.url) as seen:
            lost = ward.partitions("worker-0")
            everybody = await ward.devices()
            behind = {d for d in everybody if partition_of(d.encode(), topics.INPUT_PARTITIONS) in lost}
            assert behind
            assert behind < everybody
            ward.send("worker-0", signal.SIGSTOP)
            try:
                await until(lambda: seen.now == behind, WITHIN_S)
                await until(lambda: not seen.now, DEADLINE_S)
            finally:
                ward.send("worker-0", signal.SIGCONT)
            assert {device for device, *_ in seen.changes} == behind, "no other bed was ever suspended"

    asyncio.run(story())
    said = [msgspec.json.decode(line) for line in ward.printed("alerts") if line.startswith('{"suspended"')]
    assert {line["suspended"]["device"] for line in said}
    assert any("SUSPENDED" in line for line in ward.printed("ward"))


@pytest.mark.parametrize("name", ["ticker", "publisher", "redis"])
def test_all_beds_are_suspended_while_what_they_share_stands_still(ward: Ward, name: str) -> None:
    async def story() -> None:
        await until(lambda: shown(ward), DEADLINE_S)
        async with watched(ward.url) as seen:
            everybody = await ward.devices()
            assert not seen.now
            ward.send(name, signal.SIGSTOP)
            try:
                await until(lambda: seen.now == everybody, WITHIN_S)
            finally:
                ward.send(name, signal.SIGCONT)
            await until(lambda: not seen.now, 10.0)

    asyncio.run(story())


def test_a_group_that_followed_all_along_has_printed_each_alert_once(ward: Ward) -> None:
    """Nothing of this was killed while it read: nothing comes again."""

    async def held() -> int:
        async with connect(ward.url) as redis:
            return sum([await redis.xlen(key) async for key in redis.scan_iter("alerts:*")])

    def printed() -> list[str]:
        lines = [msgspec.json.decode(line) for line in ward.printed("alerts") if line.startswith('{"entry"')]
        return [line["entry"] for line in lines]

    deadline = time.monotonic() + DEADLINE_S
    while len(printed()) < asyncio.run(held()):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert len(set(printed())) == len(printed())
    assert printed()
