"""The whole path on real Kafka and Redis: frames in, alerts on the ward, also when a worker is killed.

A story is written into the log as fast as it takes it: Vigil decides by the time that is in the log, not by the wall's.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.structs import ConsumerRecord

from ecg.alert import Alert, decode_alert, decode_vitals
from ecg.clinical import Settings
from ecg.frame import Admit, Command, Input, Pause, Setup, Tick, encode
from ecg.record import read, write_signals
from simulators.bedside import Framer
from simulators.heart import Heart
from simulators.schedule import Segment
from stream import topics
from stream.analyze import analyze, frames
from stream.batch import Record
from stream.child import free_port
from stream.client import Outcome, ask, put_weights, read_alerts, read_beds, send_command, send_setup
from stream.embedded import Services
from stream.kafka import Kafka, Send, durable, producing, read_to_end, reading
from stream.nets import load_nets, read_weights
from stream.pipeline import Pipeline
from stream.processes import Process
from stream.store import connect
from tests.system.fresh import clear

pytestmark = pytest.mark.system
T0_NS = 1_800_000_000_000_000_000
SECOND_NS = 1_000_000_000
SECONDS = 50
DEADLINE_S = 60.0
CALM: Sequence[Segment] = [("sinus", SECONDS, {})]
VT: Sequence[Segment] = [("sinus", 20, {}), ("ventricular_tachycardia", 15, {}), ("sinus", SECONDS - 35, {})]
FLAT: Sequence[Segment] = [("sinus", 20, {}), ("asystole", 15, {}), ("sinus", SECONDS - 35, {})]
STOPS_AT_S = 25
POISON = b"\xffnot a frame"


@dataclass
class Ward:
    """A worker and a publisher on Kafka and Redis, and what a test reads from both."""

    kafka: Kafka
    url: str
    worker: Process
    publisher: Process

    async def log(self, topic: str) -> list[ConsumerRecord]:
        """All records of a topic, partition by partition."""
        parts = await topics.partitions(self.kafka, topic)
        async with reading(self.kafka) as reader:
            records = [record async for record in read_to_end(reader, topic, parts)]
        return sorted(records, key=lambda record: (record.partition, record.offset))

    async def undisturbed(self) -> dict[str, bytes]:
        """Each alert by its id, as the pure pipeline derives it from the log as it stands."""
        pipeline = Pipeline(load_nets("shipped"))
        records = [Record(r.partition, r.offset, r.key, r.value or b"") for r in await self.log(topics.INPUT)]
        given = [pipeline.feed(records[at : at + 97]) for at in range(0, len(records), 97)]
        return {decode_alert(value).id: value for out in given for _, value in out.alerts}

    async def on_redis(self) -> list[Alert]:
        return [alert async for _, alert in read_alerts(self.url)]

    async def caught_up(self) -> dict[str, bytes]:
        """Wait until Redis holds what the undisturbed pipeline derives, and return that."""
        expected = await self.undisturbed()
        deadline = time.monotonic() + DEADLINE_S
        while expected.keys() - {alert.id for alert in await self.on_redis()}:
            if time.monotonic() > deadline:
                missing = [decode_alert(expected[i]) for i in expected.keys() - {a.id for a in await self.on_redis()}]
                raise AssertionError(f"not on Redis: {[(a.device, a.condition, a.phase) for a in missing]}")
            await asyncio.sleep(0.2)
        return expected


def entries(scripts: dict[str, Sequence[Segment]], start_s: int) -> Iterator[list[tuple[bytes | None, Input]]]:
    """What the devices and the ticker send in each second; `stopped` falls silent, and comes no more."""
    framers = {
        device: Framer(Heart(script, seed=len(device)).source(), device, T0_NS + start_s * SECOND_NS, 1.0)
        for device, script in scripts.items()
    }
    for second in range(SECONDS):
        sent: list[tuple[bytes | None, Input]] = [
            (device.encode(), framer.frame(second, second * framer.n, framer.n))
            for device, framer in framers.items()
            if device != "stopped" or second < STOPS_AT_S
        ]
        yield [*sent, (None, Tick("ticker", start_s + second, T0_NS + (start_s + second + 1) * SECOND_NS))]


async def write(producer: AIOKafkaProducer, second: list[tuple[bytes | None, Input]]) -> None:
    """Send one second; what has no key goes to every partition."""
    parts = range(topics.INPUT_PARTITIONS)
    await durable(
        producer,
        [
            Send(topics.INPUT, key, encode(entry), part)
            for key, entry in second
            for part in (parts if key is None else [None])
        ],
    )


@pytest.fixture(scope="module")
def ward(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = Path(tmp_path_factory.mktemp("ward"))
    kafka = {"bootstrap_servers": services.kafka}
    asyncio.run(clear(kafka, services.redis))
    made = [Process(name, [name], free_port(), folder / f"{name}.log") for name in ("worker", "publisher")]
    try:
        for process in made:
            process.start(services.kafka, services.redis)
        for process in made:
            process.wait_ready()
        yield Ward(kafka, services.redis, *made)
    finally:
        for process in made:
            process.stop()
        asyncio.run(clear(kafka, services.redis))


@pytest.fixture(scope="module")
def told(ward: Ward) -> dict[str, bytes]:
    """Five devices of one ward, one of them admitted, under a setup with the network; the alerts that must come."""

    async def story() -> dict[str, bytes]:
        sha256 = await put_weights(ward.kafka, read_weights("shipped"))
        await send_setup(ward.kafka, Setup("test", "a story", T0_NS, Settings(), {"net": sha256}, unsigned=True))
        admit = Command("vt", "nurse", "a story", "n1", T0_NS, T0_NS + 60 * SECOND_NS, Admit("icu", "7"))
        await send_command(ward.kafka, admit)
        scripts = {"vt": VT, "flat": FLAT, "stopped": CALM, "poisoned": FLAT, "calm": CALM}
        async with producing(ward.kafka) as producer:
            for second, sent in enumerate(entries(scripts, 0)):
                if second == 10:
                    await durable(producer, [Send(topics.INPUT, b"poisoned", POISON)])
                await write(producer, sent)
        return await ward.caught_up()

    return asyncio.run(story())


def raised(alerts: Sequence[Alert], device: str, condition: str) -> list[Alert]:
    """The starts of a condition's episodes."""
    return [a for a in alerts if (a.device, a.condition, a.phase) == (device, condition, "start")]


def test_ventricular_tachycardia_is_raised_on_the_ward_once(ward: Ward, told: dict[str, bytes]) -> None:
    alerts = asyncio.run(ward.on_redis())
    (alert,) = raised(alerts, "vt", "ventricular_tachycardia")
    assert (alert.ward, alert.bed, alert.priority) == ("icu", "7", "high")
    assert T0_NS + 19 * SECOND_NS < alert.onset_ns < alert.decided_ns < T0_NS + 27 * SECOND_NS


def test_60601_2_27_a_flat_line_raises_asystole_within_10_s(ward: Ward, told: dict[str, bytes]) -> None:
    (alert,) = raised(asyncio.run(ward.on_redis()), "flat", "asystole")
    assert T0_NS + 20 * SECOND_NS < alert.decided_ns <= T0_NS + 30 * SECOND_NS


def test_a_device_that_stops_raises_no_data(ward: Ward, told: dict[str, bytes]) -> None:
    alerts = asyncio.run(ward.on_redis())
    assert len(raised(alerts, "stopped", "no_data")) == 1
    assert not raised(alerts, "calm", "no_data")


def test_a_calm_bed_has_no_lethal_alarm(ward: Ward, told: dict[str, bytes]) -> None:
    assert not [a for a in asyncio.run(ward.on_redis()) if a.device == "calm" and a.priority == "high"]


def test_a_poisoned_frame_is_a_dead_letter_and_the_next_one_is_processed(ward: Ward, told: dict[str, bytes]) -> None:
    (letter,) = asyncio.run(ward.log(topics.DEAD_LETTERS))
    said = dict(letter.headers)
    assert (letter.key, letter.value, said["topic"]) == (b"poisoned", POISON, topics.INPUT.encode())
    inputs = {(r.partition, r.offset): r.value for r in asyncio.run(ward.log(topics.INPUT))}
    assert inputs[int(said["partition"]), int(said["offset"])] == POISON
    assert said["reason"].startswith(b"record must be")
    assert raised(asyncio.run(ward.on_redis()), "poisoned", "asystole")


def test_alerts_name_the_weights_that_a_setup_put_into_force(ward: Ward, told: dict[str, bytes]) -> None:
    alerts = [a for a in asyncio.run(ward.on_redis()) if a.device == "vt"]
    assert {a.weights_sha256 for a in alerts} == {tuple(load_nets("shipped"))}
    assert any(a.evidence.probabilities for a in alerts)


def test_the_bed_shows_what_its_device_last_gave(ward: Ward, told: dict[str, bytes]) -> None:
    async def story() -> None:
        async with connect(ward.url) as redis:
            beds = {bed.device: bed for bed in await read_beds(redis)}
        assert set(beds) - {"calm"} == {"vt", "flat", "stopped", "poisoned"}
        assert (beds["vt"].ward, beds["vt"].bed) == ("icu", "7")
        assert "no_data" in beds["stopped"].on

    asyncio.run(story())


def test_a_device_that_has_ended_without_an_alarm_is_shown_with_its_rate_and_then_as_gone(
    ward: Ward, told: dict[str, bytes]
) -> None:
    said = [decode_vitals(r.value or b"") for r in asyncio.run(ward.log(topics.VITALS)) if r.key == b"calm"]
    rates = [vitals.heart_rate_bpm for vitals in said if vitals.heart_rate_bpm is not None]
    assert rates[-1] == pytest.approx(72, abs=8)
    assert not any(vitals.gone for vitals in said[: len(rates)])


def paused(nonce: str, at_ns: int) -> Command:
    return Command("vt", "nurse", "a story", nonce, at_ns, at_ns + 60 * SECOND_NS, Pause(60))


def test_who_gives_a_command_learns_whether_it_was_carried_out(ward: Ward, told: dict[str, bytes]) -> None:
    later_ns = T0_NS + 1000 * SECOND_NS
    done = asyncio.run(ask(ward.kafka, paused("n2", later_ns), DEADLINE_S))
    assert done == Outcome(done.offset, taken=True)
    again = asyncio.run(ask(ward.kafka, paused("n2", later_ns), DEADLINE_S))
    assert again == Outcome(done.offset + 1, taken=True, refused="nonce must be new, got 'n2' again")


def without_the_cutting(alert: Alert) -> Alert:
    """Leave out of an alert what the cutting of the log decides."""
    source = msgspec.structs.replace(alert.source, partition=0, first_offset=0, last_offset=0)
    return msgspec.structs.replace(alert, source=source, decided_ns=0, chain="", ordinal=0)


def test_a_record_gives_the_same_alerts_through_kafka_as_through_vigil_analyze(
    ward: Ward, told: dict[str, bytes], tmp_path: Path
) -> None:
    heart = Heart(VT, ("II", "V1"), 250.0, seed=9)
    write_signals(tmp_path / "story", ["II", "V1"], heart.samples(0, SECONDS * 250), 250.0)
    recording = read(tmp_path / "story")
    expected = analyze(recording, load_nets("shipped"), device="recorded", t0_ns=T0_NS).alerts

    async def through_kafka() -> list[Alert]:
        async with producing(ward.kafka) as producer:
            for frame in frames(recording, "recorded", T0_NS, frame_s=0.4):
                await durable(producer, [Send(topics.INPUT, b"recorded", encode(frame))])
        await ward.caught_up()
        return [alert for alert in await ward.on_redis() if alert.device == "recorded"]

    got = asyncio.run(through_kafka())
    assert [a.condition for a in expected].count("ventricular_tachycardia") >= 1
    assert [without_the_cutting(a) for a in got] == [without_the_cutting(a) for a in expected]


def test_a_worker_killed_in_an_episode_loses_no_alert_and_doubles_none(ward: Ward, told: dict[str, bytes]) -> None:
    """Killed twice while all beds are in VT or asystole; the pure pipeline over the same log is what must come."""
    scripts = {f"killed-{at}": (VT, FLAT)[at % 2] for at in range(8)}

    async def story() -> tuple[dict[str, bytes], list[Alert], list[ConsumerRecord]]:
        async with producing(ward.kafka) as producer:
            for second, sent in enumerate(entries(scripts, SECONDS)):
                await write(producer, sent)
                await asyncio.sleep(0.03)
                if second in (26, 33):
                    assert ward.worker.process is not None
                    ward.worker.process.send_signal(signal.SIGKILL)
                    ward.worker.process.wait()
                    ward.worker.start(str(ward.kafka["bootstrap_servers"]), ward.url)
        return await ward.caught_up(), await ward.on_redis(), await ward.log(topics.ALERTS)

    expected, held, logged = asyncio.run(story())
    assert {decode_alert(record.value or b"").id: record.value for record in logged} == expected
    assert {record.value for record in logged} == set(expected.values()), "emitted again, an alert has the same bytes"
    assert Counter(alert.id for alert in held) == Counter(expected.keys())
    assert all(raised(held, device, "asystole") for device, script in scripts.items() if script is FLAT)
    for device in scripts:
        mine = [(a.source.last_offset, a.ordinal) for a in held if a.device == device]
        assert all(earlier < later for earlier, later in itertools.pairwise(mine))


@pytest.mark.parametrize("data", [None, b"no weights of any network"], ids=["absent", "garbage"])
def test_a_setup_whose_weights_cannot_be_loaded_is_refused(
    ward: Ward, told: dict[str, bytes], data: bytes | None
) -> None:
    """Runs behind the story: what was in force before stays in force, and the worker goes on."""

    async def story() -> tuple[bytes, list[bytes]]:
        before = len(await ward.log(topics.DEAD_LETTERS))
        sha256 = "0" * 64 if data is None else await put_weights(ward.kafka, data)
        setup = Setup("test", "unusable weights", T0_NS, Settings(), {"net": sha256}, unsigned=True)
        await send_setup(ward.kafka, setup)
        deadline = time.monotonic() + DEADLINE_S
        while len(letters := await ward.log(topics.DEAD_LETTERS)) < before + topics.INPUT_PARTITIONS:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        return encode(setup), [letter.value or b"" for letter in letters[before:]]

    refused, letters = asyncio.run(story())
    assert letters == [refused] * topics.INPUT_PARTITIONS
    assert ward.worker.process is not None
    assert ward.worker.process.poll() is None


def test_a_worker_that_cannot_load_what_is_in_force_ends_with_3_and_stays_away(
    ward: Ward, told: dict[str, bytes]
) -> None:
    (sha256,) = load_nets("shipped")

    async def spoil() -> None:
        async with producing(ward.kafka) as producer:
            await durable(producer, [Send(topics.WEIGHTS, sha256.encode(), b"no weights of any network")])

    asyncio.run(spoil())
    ward.worker.stop()
    ward.worker.start(str(ward.kafka["bootstrap_servers"]), ward.url)
    assert ward.worker.process is not None
    assert ward.worker.process.wait(DEADLINE_S) == 3


def test_a_command_that_no_worker_comes_to_is_in_the_log_alone(ward: Ward, told: dict[str, bytes]) -> None:
    """Runs behind the worker's end."""
    waiting = asyncio.run(ask(ward.kafka, paused("n3", T0_NS + 2000 * SECOND_NS), 0.5))
    assert waiting == Outcome(waiting.offset, taken=False)


def test_a_worker_without_kafka_says_so_in_one_line_and_ends_with_3(tmp_path: Path) -> None:
    worker = Process("worker", ["worker"], free_port(), tmp_path / "worker.log")
    worker.start(f"127.0.0.1:{free_port()}", "redis://127.0.0.1:1/0")
    assert worker.process is not None
    assert worker.process.wait(DEADLINE_S) == 3
    assert worker.log.read_text().splitlines()[-1].endswith("does not answer")
