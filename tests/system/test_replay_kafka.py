"""A real log, after a real worker, derived again: the same from checkpoints and the first offset; not if altered."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ecg.alert import decode_alert, encode
from ecg.clinical import Settings
from ecg.frame import Admit, Command, PublicKey, Setup, Tick
from ecg.frame import encode as encode_input
from simulators.bedside import Framer
from simulators.heart import Heart
from simulators.schedule import Segment
from stream import topics
from stream.audit.chains import audit_log
from stream.audit.log import Entry, KafkaLog, MemoryLog
from stream.audit.nets import Nets
from stream.audit.replay import Report, Wanted, replay, told
from stream.audit.verify import find, verify
from stream.audit.whatif import Under, what_if
from stream.child import free_port
from stream.client import put_weights
from stream.embedded import Services
from stream.kafka import Kafka, Send, durable, producing, reading
from stream.nets import read_weights
from stream.processes import Process
from stream.signing import Signer
from tests.system.fresh import clear

pytestmark = pytest.mark.system
T0_NS = 1_800_000_120_000_000_000
SECOND_NS = 1_000_000_000
SECONDS = 720
LATE_NS = T0_NS + 600 * SECOND_NS
"""Behind the checkpoints that come two minutes before."""
DEADLINE_S = 120.0
SCRIPTS: dict[str, Sequence[Segment]] = {
    "vt": [("sinus", 90, {}), ("ventricular_tachycardia", 12, {})] * 8,
    "flat": [("sinus", 110, {}), ("asystole", 12, {})] * 6,
}


@pytest.fixture(scope="module")
def kafka(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Kafka with twelve signed minutes of two beds, and what a worker made of them; it was killed once in between."""
    folder = Path(tmp_path_factory.mktemp("replay"))
    kafka = {"bootstrap_servers": services.kafka}
    asyncio.run(clear(kafka, services.redis))
    private = Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "worker.pem").write_bytes(private.private_bytes(*pem))
    worker = Process("worker", ["worker"], free_port(), folder / "worker.log")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VIGIL_KEY", str(folder / "worker.pem"))
        try:
            worker.start(services.kafka, services.redis)
            worker.wait_ready()
            asyncio.run(story(kafka, Signer(private), worker, services))
            yield kafka
        finally:
            worker.stop()
            asyncio.run(clear(kafka, services.redis))


async def story(kafka: Kafka, sealer: Signer, worker: Process, services: Services) -> None:
    staff = Signer(Ed25519PrivateKey.generate())
    keys = {
        staff.key_id: PublicKey(staff.public.hex(), ("tick", "command", "setup")),
        sealer.key_id: PublicKey(sealer.public.hex(), ("seal",)),
    }
    weights: dict[str, str | None] = {"net": await put_weights(kafka, read_weights("shipped"))}
    parts = range(topics.INPUT_PARTITIONS)
    setup = staff.sign(Setup("test", "a replay", T0_NS, Settings(), weights, keys))
    framers = {device: Framer(Heart(script).source(), device, T0_NS, 1.0) for device, script in SCRIPTS.items()}
    async with producing(kafka) as producer:
        sent = [Send(topics.INPUT, None, setup, p) for p in parts]
        for second in range(SECONDS):
            for device, framer in framers.items():
                key = device.encode()
                if second % 300 == 0:
                    sent.append(Send(topics.INPUT, key, staff.sign(admission(device, second))))
                sent.append(Send(topics.INPUT, key, encode_input(framer.frame(second, second * framer.n, framer.n))))
            tick = staff.sign(Tick("ticker", second, T0_NS + (second + 1) * SECOND_NS))
            sent += [Send(topics.INPUT, None, tick, p) for p in parts]
            if second % 10 == 9:
                await durable(producer, sent)
                sent = []
            if second == SECONDS // 2:
                assert worker.process is not None
                worker.process.kill()
                worker.process.wait()
                worker.start(services.kafka, services.redis)
    await acknowledged(kafka)


async def acknowledged(kafka: Kafka) -> None:
    """Wait until the worker has come to the end of the log."""
    async with reading(kafka) as reader:
        parts = [TopicPartition(topics.INPUT, p) for p in range(topics.INPUT_PARTITIONS)]
        ends = await reader.end_offsets(parts)
    deadline = time.monotonic() + DEADLINE_S
    while True:
        done = await topics.acknowledged(kafka)
        if all(done.get(part.partition, 0) >= end for part, end in ends.items()):
            return
        assert time.monotonic() < deadline, "the worker has not come to the end"
        await asyncio.sleep(0.2)


def admission(device: str, second: int) -> Command:
    at_ns = T0_NS + second * SECOND_NS
    return Command(
        device, "nurse", "a story", f"n{second}", at_ns, at_ns + 60 * SECOND_NS, Admit("icu", f"bed{second}")
    )


def vigil(kafka: Kafka, *arguments: str) -> tuple[int, Any]:
    """Run a command with --json; return its exit status and what it prints."""
    named = os.environ | {"VIGIL_KAFKA": kafka["bootstrap_servers"]}
    command = [sys.executable, "-m", "stream", *arguments, "--json"]
    done = subprocess.run(command, env=named, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, msgspec.json.decode(done.stdout)


def replayed(kafka: Kafka, **wanted: Any) -> Report:
    return asyncio.run(replay(KafkaLog(kafka), Wanted(**wanted)))


@pytest.mark.parametrize("start", ["checkpoint", "first"])
def test_after_a_kill_the_log_gives_the_same_alerts_and_seals_again(kafka: Kafka, start: str) -> None:
    report = replayed(kafka, start=start, from_ns=LATE_NS)
    assert report.identical, told(report)
    assert report.figures["alerts_derived"] == report.figures["alerts_logged"] > 4
    assert report.figures["seals_derived"] == report.figures["seals_logged"] == 4 * 3
    assert any(report.resumed.values()) == (start == "checkpoint")


def test_one_bed_is_replayed_fifty_times_faster_than_it_lived(kafka: Kafka) -> None:
    """By the time of processors: what else this machine does is no matter."""
    status, report = vigil(kafka, "replay", "--device", "vt", "--to", "2027-01-15T08:12:00Z")
    figures = report["figures"]
    assert (status, report["identical"]) == (0, True)
    assert figures["bed_seconds"] == pytest.approx(600, abs=3)
    assert figures["alerts_derived"] == figures["alerts_logged"] > 10
    assert figures["bed_seconds_per_core_second"] > 50
    assert figures["times_real_time"] == pytest.approx(600 / figures["seconds"], rel=0.02)


def test_what_nobody_altered_is_intact(kafka: Kafka) -> None:
    status, found = vigil(kafka, "replay", "--chain")
    assert (status, found["faults"]) == (0, [])
    assert found["figures"]["seals"] == 4 * (SECONDS // 60)
    assert found["figures"]["commands"] == 2 * 3
    assert found["notes"] == []


def test_an_alert_is_verified_alone(kafka: Kafka) -> None:
    log = KafkaLog(kafka)
    places = asyncio.run(log.bounds(topics.ALERTS))
    entry = asyncio.run(find(log, f"{places[0][1] - 1}-1"))
    assert entry is not None
    found = asyncio.run(verify(log, entry))
    assert found.identical
    assert found.resumed > 0
    assert asyncio.run(find(log, found.alert.id)) == entry


async def copied(kafka: Kafka) -> dict[str, dict[int, list[Entry]]]:
    """All topics, in memory."""
    log = KafkaLog(kafka)
    return {
        topic: {
            partition: [entry async for batch in log.read(topic, partition, *bounds) for entry in batch]
            for partition, bounds in (await log.bounds(topic)).items()
        }
        for topic in topics.TOPICS
    }


def test_in_an_altered_copy_the_alert_that_lacks_is_named(kafka: Kafka) -> None:
    copy = asyncio.run(copied(kafka))
    values = [decode_alert(entry.value or b"") for entry in copy[topics.ALERTS][0]]
    at = next(n for n, alert in enumerate(values) if alert.device == "vt" and alert.decided_ns > LATE_NS)
    copy[topics.ALERTS][0] = [e for e, alert in zip(copy[topics.ALERTS][0], values, strict=True) if alert != values[at]]
    log = MemoryLog(copy)
    report = asyncio.run(replay(log, Wanted(device="vt", from_ns=LATE_NS)))
    assert [(each.kind, each.alert) for each in report.differences] == [("missing", values[at].id)]
    (fault,) = asyncio.run(audit_log(log, "vt")).faults
    assert (fault.kind, fault.what, fault.device) == ("removed", "alert", "vt")


def test_under_the_rules_alone_a_table_says_what_would_have_been_alarmed(kafka: Kafka) -> None:
    log = KafkaLog(kafka)
    under = Under(Settings(no_data_s=30.0), None, other_weights=True)
    found = asyncio.run(what_if(log, Wanted(device="flat", from_ns=LATE_NS), under, Nets(log)))
    rows = {row.name: (row.logged, row.derived) for row in found.conditions}
    assert rows["rules_alone"] == (0, 1)
    assert rows["asystole"] == (1, 1)


def test_a_forged_alert_in_the_log_is_found_by_both(kafka: Kafka) -> None:
    """Runs last: it alters the log."""

    async def forge() -> str:
        (entry,) = [batch[0] async for batch in KafkaLog(kafka).read(topics.ALERTS, 0, 3, 4)]
        alert = decode_alert(entry.value or b"")
        forged = msgspec.structs.replace(alert, text="all is well", priority="low")
        async with producing(kafka) as producer:
            await durable(producer, [Send(topics.ALERTS, forged.device.encode(), encode(forged))])
        return forged.id

    forged = asyncio.run(forge())
    status, report = vigil(kafka, "replay", "--to", "2027-01-15T08:12:00Z")
    (difference,) = report["differences"]
    assert (status, difference["kind"], difference["alert"]) == (1, "changed", forged)
    assert set(difference["fields"]) >= {"text"}
    (fault,) = asyncio.run(audit_log(KafkaLog(kafka))).faults
    assert (fault.kind, fault.alert) == ("forked", forged)
