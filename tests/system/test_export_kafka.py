"""An export from a real Kafka, after a real worker, gives the alerts of the ward; also from a checkpoint on."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import msgspec
import pytest
from aiokafka import TopicPartition

from ecg.alert import decode_alert
from ecg.clinical import Settings
from ecg.frame import Admit, Command, Setup, Tick, encode
from ecg.record import read
from simulators.bedside import Framer
from simulators.heart import Heart
from stream import topics
from stream.audit.log import KafkaLog
from stream.audit.replay import Wanted
from stream.child import free_port
from stream.client import send_command, send_setup
from stream.embedded import Services
from stream.export import export
from stream.export_log import find
from stream.exported import derive
from stream.kafka import Kafka, Send, durable, producing, read_to_end, reading
from stream.processes import Process
from tests.system.fresh import anew

pytestmark = pytest.mark.system
SECOND_NS = 1_000_000_000
T0_NS = 1_900_000_200 * SECOND_NS - 40 * SECOND_NS
"""So that the partitions' checkpoints are due after 40 s, at a whole ten minutes."""
SECONDS = 120
DEVICE, OTHER = next(f"bed-{n}" for n in range(10_000) if crc32(f"bed-{n}".encode()) % 1000 == 25), "not-exported"
"""The device's own checkpoint is due 15 s earlier than the partitions': its place in the ten minutes is in its name."""
DEADLINE_S = 90.0


@pytest.fixture(scope="module")
def kafka(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Kafka with two minutes of two beds, and what a worker made of them."""
    kafka = {"bootstrap_servers": services.kafka}
    log = Path(tmp_path_factory.mktemp("export")) / "worker.log"
    worker = Process("worker", ["worker"], free_port(), log)
    asyncio.run(anew(kafka))
    try:
        worker.start(services.kafka, services.redis)
        worker.wait_ready()
        asyncio.run(story(kafka))
        yield kafka
    finally:
        worker.stop()
        asyncio.run(anew(kafka))


async def story(kafka: Kafka) -> None:
    await send_setup(kafka, Setup("test", "an export", T0_NS, Settings(), {"net": None}, unsigned=True))
    await send_command(
        kafka, Command(DEVICE, "nurse", "a story", "n1", T0_NS, T0_NS + 60 * SECOND_NS, Admit("icu", "7"))
    )
    script = [("sinus", 20, {}), ("ventricular_tachycardia", 10, {})]
    framers = [Framer(Heart(script).source(), device, T0_NS, 1.0) for device in (DEVICE, OTHER)]
    async with producing(kafka) as producer:
        for second in range(SECONDS):
            frames = [framer.frame(second, second * framer.n, framer.n) for framer in framers]
            sent = [Send(topics.INPUT, frame.device.encode(), encode(frame)) for frame in frames]
            tick = encode(Tick("ticker", second, T0_NS + (second + 1) * SECOND_NS))
            await durable(producer, sent + [Send(topics.INPUT, None, tick, p) for p in range(topics.INPUT_PARTITIONS)])
    async with reading(kafka) as reader:
        parts = await topics.partitions(kafka, topics.INPUT)
        ends = await reader.end_offsets([TopicPartition(topics.INPUT, p) for p in parts])
    deadline = time.monotonic() + DEADLINE_S
    while not _reached(await topics.acknowledged(kafka), ends):
        assert time.monotonic() < deadline, "the worker has not come to the end"
        await asyncio.sleep(0.2)


def _reached(acknowledged: dict[int, int], ends: dict[TopicPartition, int]) -> bool:
    return all(acknowledged.get(part.partition, 0) >= end for part, end in ends.items())


def vigil(kafka: Kafka, *arguments: str) -> Any:
    """Run a command with --json, which must end with 0, and return what it prints."""
    named = os.environ | {"VIGIL_KAFKA": kafka["bootstrap_servers"]}
    command = [sys.executable, "-m", "stream", *arguments, "--json"]
    done = subprocess.run(command, env=named, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr)
    return msgspec.json.decode(done.stdout)


async def logged(kafka: Kafka, first: int, end: int) -> list[bytes]:
    async with reading(kafka) as reader:
        values = [record.value or b"" async for record in read_to_end(reader, topics.ALERTS, [0], 0)]
    alerts = [(decode_alert(value), value) for value in values]
    return list({v: 0 for a, v in alerts if a.device == DEVICE and first <= a.source.last_offset < end})


def test_the_alerts_of_the_ward_come_of_an_export_from_the_first_offset_to_the_byte(
    kafka: Kafka, tmp_path: Path
) -> None:
    done = asyncio.run(export(KafkaLog(kafka), Wanted(DEVICE), tmp_path))
    expected = asyncio.run(logged(kafka, done.log.first, done.log.end))
    assert len({decode_alert(value).condition for value in expected}) >= 2
    assert derive(find(tmp_path)).alerts == expected
    assert (done.log.at, done.identical) == (0, True)
    assert read(tmp_path / DEVICE).duration_s == SECONDS


def test_the_commands_export_and_analyze_give_them_from_a_checkpoint_on(kafka: Kafka, tmp_path: Path) -> None:
    out, again = tmp_path / "out", tmp_path / "again"
    begin = str(T0_NS + 75 * SECOND_NS)
    done = vigil(kafka, "export", "--device", DEVICE, "--out", str(out), "--from", begin)
    log = done["log"]
    assert 0 < log["at"] < log["first"]
    expected = asyncio.run(logged(kafka, log["first"], log["end"]))
    said = vigil({"bootstrap_servers": "127.0.0.1:1"}, "analyze", str(out), "--out", str(again))
    assert said["identical"]
    assert expected
    assert (again / f"{DEVICE}.alerts.ndjson").read_bytes().splitlines() == expected
    assert done["figures"]["frames"] == SECONDS - 75
