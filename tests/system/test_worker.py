"""A worker on a real Kafka: what it must have to join its group, what it says of itself, when it stops a partition."""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from ecg.alert import decode_alert
from ecg.clinical import Settings as Clinical
from ecg.frame import Setup as Entry
from ecg.frame import Signed, Tick, encode
from simulators.bedside import Framer
from simulators.heart import Heart
from stream import seal, topics
from stream.child import child, free_port
from stream.client import put_weights, send_setup
from stream.embedded import Services
from stream.kafka import Kafka, Send, durable, producing
from stream.nets import read_weights
from stream.placement import partition_of
from stream.processes import Process
from tests.campaign.verdict import log
from tests.system.fresh import anew

pytestmark = pytest.mark.system
SECOND_NS = 1_000_000_000
T0_NS = 1_800_000_000 * SECOND_NS
DEADLINE_S = 60.0
WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from stream.cli import main; main()"
"""Runs `vigil` as on a machine without torch."""


@dataclass
class Ward:
    """A worker on a Kafka of this test's own topics."""

    kafka: Kafka
    worker: Process
    seconds: itertools.count[int]

    def metrics(self) -> dict[str, float]:
        """Each sample by its name and labels."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.worker.port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        samples = (s for family in text_string_to_metric_families(text) for s in family.samples)
        return {"".join([s.name.removeprefix("vigil_worker_"), *s.labels.values()]): s.value for s in samples}

    def readiness(self) -> str:
        """What `/ready` says."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.worker.port}/ready", timeout=5) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.read().decode()

    async def play(self, seconds: int, devices: dict[str, Framer]) -> None:
        """Write so many seconds of the devices into the log, each with its tick."""
        async with producing(self.kafka) as producer:
            for second in itertools.islice(self.seconds, seconds):
                frames = [
                    Send(topics.INPUT, device.encode(), encode(each.frame(second, second * each.n, each.n)))
                    for device, each in devices.items()
                ]
                tick = encode(Tick("ticker", second, T0_NS + (second + 1) * SECOND_NS))
                ticks = [Send(topics.INPUT, None, tick, part) for part in range(topics.INPUT_PARTITIONS)]
                await durable(producer, [*frames, *ticks])


def framer(device: str, seed: int = 0) -> Framer:
    heart = Heart([("sinus", 10, {}), ("asystole", 15, {}), ("sinus", 60, {})], seed=seed)
    return Framer(heart.source(), device, T0_NS, 1.0)


def in_partition(partition: int) -> Iterator[str]:
    """Names of devices whose records lie there."""
    names = (f"device-{n}" for n in itertools.count())
    return (name for name in names if partition_of(name.encode(), topics.INPUT_PARTITIONS) == partition)


def until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def ward(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    """A worker under a setup with the shipped network."""
    kafka = {"bootstrap_servers": services.kafka}

    async def set_up() -> None:
        await anew(kafka)
        sha256 = await put_weights(kafka, read_weights("shipped"))
        await send_setup(kafka, Entry("test", "a worker", T0_NS, Clinical(), {"net": sha256}, unsigned=True))

    asyncio.run(set_up())
    folder = Path(tmp_path_factory.mktemp("worker"))
    worker = Process("worker", ["worker"], free_port(), folder / "worker.log")
    try:
        worker.start(services.kafka, services.redis)
        worker.wait_ready()
        yield Ward(kafka, worker, itertools.count())
    finally:
        worker.stop()
        asyncio.run(anew(kafka))


def other(ward: Ward, services: Services, tmp_path: Path, code: str) -> tuple[int, str]:
    """Run a second worker of the group by a line of Python, to its end."""
    path = tmp_path / "other.log"
    with path.open("wb") as output:
        environment = {"VIGIL_KAFKA": services.kafka, "VIGIL_REDIS": services.redis}
        process = child([sys.executable, "-c", code, "worker"], output, environment)
    try:
        return process.wait(DEADLINE_S), path.read_text()
    finally:
        process.kill()
        process.wait()


def restores(ward: Ward) -> int:
    return len(re.findall(r"\brestored\b", ward.worker.log.read_text()))


def test_a_worker_that_cannot_load_what_is_in_force_never_joins_and_the_other_goes_on(
    ward: Ward, services: Services, tmp_path: Path
) -> None:
    asyncio.run(ward.play(5, {"steady": framer("steady")}))
    until(lambda: ward.metrics()["records_total"] >= 5 * (topics.INPUT_PARTITIONS + 1))
    before = restores(ward)
    status, said = other(ward, services, tmp_path, WITHOUT_TORCH)
    assert status == 3
    assert "cannot be loaded by this worker" in said.splitlines()[-1]
    assert restores(ward) == before, "nobody joined: the group was not balanced again"
    asyncio.run(ward.play(1, {"steady": framer("steady")}))
    until(lambda: ward.metrics()["records_total"] >= 6 * (topics.INPUT_PARTITIONS + 1))


def test_metrics_tell_how_the_worker_fares(ward: Ward) -> None:
    asyncio.run(ward.play(24, {"steady": framer("steady")}))

    def alerted() -> bool:
        return any(
            decode_alert(r.value or b"").condition == "asystole" for r in asyncio.run(log(ward.kafka, topics.ALERTS))
        )

    until(alerted)
    until(lambda: ward.metrics()["alert_delay_seconds_count"] >= 1)
    until(lambda: all(ward.metrics().get(f"lag_records{part}") == 0 for part in range(topics.INPUT_PARTITIONS)))
    metrics = ward.metrics()
    assert 0 < metrics["restore_seconds"] < DEADLINE_S
    assert 0 < metrics["snapshot_age_seconds"] < DEADLINE_S
    assert metrics["dead_letters_total"] == metrics["offset_jumps_total"] == metrics["partitions_stopped"] == 0
    assert metrics["alerts_total"] >= 1
    lines = [line for line in ward.worker.log.read_text().splitlines() if "condition=asystole" in line]
    assert all(word in lines[0] for word in ("alert=", "device=steady", "offset=", "partition=", "phase=start"))


def test_the_chains_of_every_partition_are_sealed_once_a_minute(ward: Ward) -> None:
    asyncio.run(ward.play(60, {"steady": framer("steady")}))
    until(lambda: ward.metrics()["seals_total"] >= topics.INPUT_PARTITIONS)
    seals = asyncio.run(log(ward.kafka, topics.SEALS))
    assert {record.partition for record in seals} == set(range(topics.INPUT_PARTITIONS))
    for record in seals:
        assert record.key == str(record.partition).encode()
        assert seal.decode(_body(record.value or b"")).partition == record.partition


def _body(value: bytes) -> bytes:
    return msgspec.msgpack.decode(value, type=Signed).body


def test_a_worker_that_hears_nothing_is_not_ready(ward: Ward) -> None:
    asyncio.run(ward.play(1, {"steady": framer("steady")}))
    until(lambda: ward.readiness() == "ready\n")
    until(lambda: ward.readiness() == "not ready: silent\n")


def test_a_partition_whose_devices_fail_stops_and_the_others_go_on(ward: Ward) -> None:
    """Runs last: the partition stays stopped until the worker is."""
    failing = list(itertools.islice(in_partition(1), 3))
    good = next(in_partition(2))

    async def story() -> None:
        await ward.play(2, {name: framer(name) for name in [*failing, good]})
        async with producing(ward.kafka) as producer:
            letters = [Send(topics.INPUT, name.encode(), b"\xffno frame") for name in failing for _ in range(30)]
            await durable(producer, letters)

    asyncio.run(story())
    until(lambda: ward.metrics()["partitions_stopped"] == 1)
    assert ward.readiness().startswith("not ready: stopped: partition 1,")
    assert "partition_stopped" in ward.worker.log.read_text()
    ends = Counter(record.partition for record in asyncio.run(log(ward.kafka, topics.INPUT)))
    asyncio.run(ward.play(3, {name: framer(name) for name in [*failing, good]}))

    def gone_on() -> bool:
        now = asyncio.run(topics.acknowledged(ward.kafka))
        return all(now.get(part, 0) >= ends[part] + 3 for part in (0, 2, 3))

    until(gone_on)
    assert asyncio.run(topics.acknowledged(ward.kafka))[1] <= ends[1]
    until(lambda: ward.metrics().get("lag_records1", 0) >= 3)
