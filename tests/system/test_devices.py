"""What devices send to a real Kafka with a real worker: a producer that is not ours, and what cannot be accepted."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from aiokafka.structs import ConsumerRecord
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ecg.alert import decode_alert
from ecg.frame import Frame, Lead, encode
from stream import dead_letters, topics
from stream.child import free_port
from stream.dead_letters import CLAIM, CLAIMANT, LETTER, Letter, Retry, chosen, counted, letters, retry
from stream.embedded import Services
from stream.kafka import Kafka, Send, durable, producing, read_to_end, reading
from stream.placement import partition_of
from stream.processes import Process
from stream.signing import Signer
from tests.system.fresh import anew

pytestmark = pytest.mark.system
DEADLINE_S = 60.0


def frame(device: str, seq: int, rate_hz: float = 250.0) -> bytes:
    counts = bytes(2 * round(rate_hz))
    return encode(
        Frame(device, "s", seq, 1_800_000_000_000_000_000 + seq * 10**9, rate_hz, (Lead("II", 200.0),), counts)
    )


def other_partition(device: str) -> int:
    return (partition_of(device.encode(), topics.INPUT_PARTITIONS) + 1) % topics.INPUT_PARTITIONS


async def send(kafka: Kafka, *sent: Send) -> None:
    async with producing(kafka) as producer:
        await durable(producer, sent)


async def until(kafka: Kafka, count: int, device: str) -> list[Letter]:
    """Wait until there are so many letters of a device, and return them."""
    deadline = time.monotonic() + DEADLINE_S
    while len(found := chosen(await letters(kafka), device=device)) < count:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.1)
    return found


async def put_back(kafka: Kafka, letter: int) -> list[ConsumerRecord]:
    """The records of the input that say that they were this letter."""
    name = (LETTER, str(letter).encode())
    async with reading(kafka) as reader:
        parts = range(topics.INPUT_PARTITIONS)
        return [r async for r in read_to_end(reader, topics.INPUT, parts) if name in r.headers]


def of_device(device: str) -> Callable[[Letter], bool]:
    return lambda letter: letter.device == device


@pytest.fixture(scope="module")
def kafka(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Kafka with a worker, which refuses what it cannot accept."""
    kafka = {"bootstrap_servers": services.kafka}
    asyncio.run(anew(kafka))
    log = Path(tmp_path_factory.mktemp("letters")) / "worker.log"
    worker = Process("worker", ["worker"], free_port(), log)
    try:
        worker.start(services.kafka, services.redis)
        worker.wait_ready()
        yield kafka
    finally:
        worker.stop()
        asyncio.run(anew(kafka))


def test_the_producer_of_thirty_lines_raises_its_alarm(kafka: Kafka) -> None:
    """It imports nothing of Vigil: what it sends is what the page for makers of devices says."""
    producer = Path(__file__).parents[2] / "examples" / "producer.py"
    command = [sys.executable, str(producer), kafka["bootstrap_servers"], "home-made", "50"]
    subprocess.run(command, check=True, timeout=60, cwd="/")

    async def alarms() -> list[str]:
        async with reading(kafka) as reader:
            values = [r.value or b"" async for r in read_to_end(reader, topics.ALERTS, [0]) if r.key == b"home-made"]
        return [alert.condition for alert in map(decode_alert, values) if alert.priority == "high"]

    deadline = time.monotonic() + DEADLINE_S
    while "asystole" not in (found := asyncio.run(alarms())):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    assert chosen(asyncio.run(letters(kafka)), device="home-made") == []


def test_a_frame_in_the_wrong_partition_is_accepted_once_it_is_put_back(kafka: Kafka) -> None:
    async def story() -> tuple[Letter, Retry, Retry, list[ConsumerRecord], list[Letter]]:
        value = frame("astray", 0)
        await send(kafka, Send(topics.INPUT, b"astray", value, other_partition("astray")))
        (letter,) = await until(kafka, 1, "astray")
        first = await retry(kafka, of_device("astray"))
        second = await retry(kafka, of_device("astray"))
        (record,) = found = await put_back(kafka, letter.offset)
        assert (record.key, record.value) == (b"astray", value)
        assert first.put == {letter.offset: (record.partition, record.offset)}
        acknowledged = 0
        deadline = time.monotonic() + DEADLINE_S
        while acknowledged <= record.offset:
            assert time.monotonic() < deadline, acknowledged
            await asyncio.sleep(0.1)
            acknowledged = (await topics.acknowledged(kafka)).get(record.partition, 0)
        return letter, first, second, found, chosen(await letters(kafka), device="astray")

    letter, _, second, found, after = asyncio.run(story())
    assert letter.partition == other_partition("astray")
    assert letter.reason.startswith("partition must be ")
    assert found[0].partition == partition_of(b"astray", topics.INPUT_PARTITIONS)
    assert second.put == {}
    assert list(second.left) == [letter.offset]
    assert [(each.offset, each.retried_as) for each in after] == [
        (letter.offset, (found[0].partition, found[0].offset))
    ], "it was accepted: no letter came of it"


def test_what_is_refused_again_is_a_letter_that_says_so_and_is_not_put_back_by_device(kafka: Kafka) -> None:
    async def story() -> tuple[list[Letter], Retry, Retry]:
        await send(kafka, Send(topics.INPUT, b"slow", frame("slow", 0, 50.0)))
        (letter,) = await until(kafka, 1, "slow")
        await retry(kafka, of_device("slow"))
        found = await until(kafka, 2, "slow")
        by_device = await retry(kafka, of_device("slow"))
        by_offset = await retry(kafka, lambda each: each.offset == found[1].offset, again=True)
        await until(kafka, 3, "slow")
        assert len(await put_back(kafka, letter.offset)) == 1
        return found, by_device, by_offset

    found, by_device, by_offset = asyncio.run(story())
    assert [letter.of_letter for letter in found] == [None, found[0].offset]
    assert set(by_device.left) == {letter.offset for letter in found}
    assert not by_device.put
    assert "refused again" in by_device.left[found[1].offset]
    assert list(by_offset.put) == [found[1].offset]
    assert counted(found) == {"rate_hz must be between 100.0 and 1000.0": 2}


def test_two_who_ask_at_once_put_each_letter_back_once(kafka: Kafka) -> None:
    async def story() -> None:
        bad = [Send(topics.INPUT, b"twice", frame("twice", seq), other_partition("twice")) for seq in range(5)]
        await send(kafka, *bad)
        found = await until(kafka, 5, "twice")
        both = await asyncio.gather(*(retry(kafka, of_device("twice")) for _ in range(2)))
        put = [letter for each in both for letter in each.put]
        assert sorted(put) == [letter.offset for letter in found]
        for letter in found:
            assert len(await put_back(kafka, letter.offset)) == 1

    asyncio.run(story())


def test_one_who_broke_off_leaves_it_to_the_next_whether_it_was_put_back_or_not(
    kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "BROKEN_OFF_MS", 8000)

    async def story(*, was_put: bool) -> None:
        device = f"broken-off-{was_put}"
        value = frame(device, 0)
        await send(kafka, Send(topics.INPUT, device.encode(), value, other_partition(device)))
        (letter,) = await until(kafka, 1, device)
        named = str(letter.offset).encode()
        await send(kafka, Send(topics.DEAD_LETTERS, device.encode(), b"", 0, ((CLAIM, named), (CLAIMANT, b"gone"))))
        if was_put:
            await send(kafka, Send(topics.INPUT, device.encode(), value, None, ((LETTER, named),)))
        early = await retry(kafka, of_device(device))
        assert early.left == {letter.offset: "somebody else is at it"}
        await asyncio.sleep(8.2)
        done = await retry(kafka, of_device(device))
        (record,) = await put_back(kafka, letter.offset)
        assert done.put == {letter.offset: (record.partition, record.offset)}

    async def both() -> None:
        await asyncio.gather(story(was_put=True), story(was_put=False))

    asyncio.run(both())


def vigil(kafka: Kafka, *arguments: str, group: str = "dead-letters", **more: str) -> subprocess.CompletedProcess[str]:
    named = os.environ | {"VIGIL_KAFKA": kafka["bootstrap_servers"]} | more
    command: Sequence[str] = [sys.executable, "-m", "stream", *group.split(), *arguments]
    return subprocess.run(command, env=named, capture_output=True, text=True, timeout=60, check=False)


def test_the_commands_list_by_device_and_reason_and_put_one_back_by_its_offset(kafka: Kafka) -> None:
    asyncio.run(send(kafka, Send(topics.INPUT, b"listed", b"\xffnot a frame"), Send(topics.INPUT, b"listed", b"\x01")))
    asyncio.run(until(kafka, 2, "listed"))
    said = msgspec.json.decode(vigil(kafka, "list", "--device", "listed", "--json").stdout)
    offsets = [letter["offset"] for letter in said["letters"]]
    assert sum(said["reasons"].values()) == len(offsets) == 2
    assert vigil(kafka, "retry", "--offset", "999999").returncode == 1
    done = vigil(kafka, "retry", "--offset", str(offsets[0]), "--json")
    assert done.returncode == 0, done.stderr
    assert list(msgspec.json.decode(done.stdout)["put"]) == [str(offsets[0])]
    asyncio.run(until(kafka, 3, "listed"))
    said = vigil(kafka, "list", "--device", "listed", "--reason", "record must be").stdout
    assert f"(was letter {offsets[0]})" in said
    assert said.splitlines()[-1].startswith("3 x record must be ")


def test_once_a_setup_demands_signatures_setups_and_commands_without_one_are_refused(
    kafka: Kafka, tmp_path: Path
) -> None:
    private = Ed25519PrivateKey.generate()
    pem, keys = tmp_path / "key.pem", tmp_path / "keys.json"
    pem.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    signer = Signer(private)
    keys.write_bytes(
        msgspec.json.encode({signer.key_id: {"public": signer.public.hex(), "roles": ["setup", "command"]}})
    )
    why = ("--by", "anna", "--reason", "from now on")
    setup = ("--net", "none", "--keys", str(keys), "--signed-only", *why)
    done = vigil(kafka, *setup, group="setup", VIGIL_KEY=str(pem))
    assert (done.returncode, done.stdout.startswith("in force: ")) == (0, True), done
    done = vigil(kafka, "--net", "none", *why, group="setup")
    assert (done.returncode, done.stdout) == (1, "")
    assert "signature must be there" in done.stderr
    place = ("home-made", "--ward", "icu", "--bed", "3")
    done = vigil(kafka, *place, group="admit")
    assert (done.returncode, "signature must be there" in done.stderr) == (1, True), done
    done = vigil(kafka, *place, group="admit", VIGIL_KEY=str(pem))
    assert (done.returncode, done.stdout.startswith("done: admit of home-made")) == (0, True), done
