"""The devices and the staff of a ward in a campaign, as a process of their own: `python -m tests.campaign.player ARGS`.

Devices play the demo's stories over and over; the staff admits, pauses, discharges and admits again, and puts other
settings into force; there are records that are no frames, commands that come twice or that nobody may give. ARGS is a
JSON object, a `Played`.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import random
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec
from aiokafka.errors import KafkaError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ecg.clinical import Limits
from ecg.clinical import Settings as Clinical
from ecg.frame import Acknowledge, Action, Admit, ChangeLimits, Command, Discharge, Pause, PublicKey, Setup, Standby
from simulators.clock import Clock
from simulators.fleet import merged
from simulators.send import send
from simulators.story import devices, stories
from stream import topics
from stream.client import put_weights, send_commands, send_setup
from stream.kafka import Kafka, Send, durable, producing
from stream.nets import read_weights
from stream.signing import Signer

WARDS = ("icu", "ward-2")
MINUTE_NS = 60_000_000_000
Answer = TypeVar("Answer")


class Played(msgspec.Struct):
    """What is played: so many beds, for so many seconds of the virtual clock."""

    kafka: str
    clock: Clock
    beds: int
    seconds: float
    frame_s: float
    seed: int
    key: str
    records: str | None = None


def make_key(path: Path) -> Signer:
    """Write a new key, by which all of a ward sign."""
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(pem)
    return Signer(private)


async def prepare(kafka: Kafka, clock: Clock, partitions: int, signer: Signer) -> None:
    """Make the topics, and put a setup with the shipped network into force, which takes nothing unsigned."""
    await topics.create(kafka, partitions)
    sha256 = await put_weights(kafka, read_weights("shipped"))
    await send_setup(kafka, _setup(clock, sha256, signer, Clinical()), signer)


def _setup(clock: Clock, sha256: str | None, signer: Signer, settings: Clinical) -> Setup:
    keys = {signer.key_id: PublicKey(signer.public.hex(), ("tick", "command", "setup", "seal"))}
    return Setup("campaign", "real kills", clock.now_ns(), settings, {"net": sha256}, keys, unsigned=False)


class _Staff:
    """What people do on the ward, one thing every few seconds of the virtual clock."""

    def __init__(self, kafka: Kafka, names: list[str], clock: Clock, seed: int, signer: Signer) -> None:
        self._kafka, self._names, self._clock, self._signer = kafka, names, clock, signer
        self._nobody = Signer(Ed25519PrivateKey.generate())
        self._net = hashlib.sha256(read_weights("shipped")).hexdigest()
        self._rng = random.Random(seed)
        self._nonces = (f"{seed}-{n}" for n in itertools.count())

    def _command(self, device: str, action: Action) -> Command:
        now_ns = self._clock.now_ns()
        return Command(device, "campaign", "real kills", next(self._nonces), now_ns, now_ns + MINUTE_NS, action)

    async def admit(self) -> None:
        """Give every device its bed."""
        admits = [Admit(WARDS[k % len(WARDS)], f"bed-{k}") for k in range(len(self._names))]
        orders = zip(self._names, admits, strict=True)
        await send_commands(self._kafka, [self._command(name, admit) for name, admit in orders], self._signer)

    async def work(self) -> None:
        """Do something, for ever; the first device is left alone, so that one bed is as simple as can be."""
        while True:
            await self._clock.until(self._clock.now_s() + self._rng.uniform(2, 20))
            device = self._rng.choice(self._names[1:])
            with suppress(ConnectionError, KafkaError):  # what no broker took was not done
                await self._do(device, self._rng.randrange(9))

    async def _do(self, device: str, what: int) -> None:
        if what == 0:
            async with producing(self._kafka) as producer:
                await durable(producer, [Send(topics.INPUT, device.encode(), b"\xffno frame")])
        elif what == 7:
            settings = Clinical(rate_high_bpm=float(self._rng.randrange(110, 150)))
            net = self._rng.choice((self._net, self._net, None))
            await send_setup(self._kafka, _setup(self._clock, net, self._signer, settings), self._signer)
        else:
            command = self._command(device, self._action(what % 7))
            signer = self._nobody if what == 8 else self._signer
            await send_commands(self._kafka, [command] * (2 if what in (1, 8) else 1), signer)

    def _action(self, what: int) -> Action:
        bed = self._rng.randrange(100, 200)
        return {  # 8 is a pause by nobody
            1: Pause(self._rng.randrange(0, 120)),
            2: Acknowledge("0" * 16),
            3: ChangeLimits(Limits(rate_high_bpm=float(self._rng.randrange(80, 160)))),
            4: Admit(self._rng.choice(WARDS), f"bed-{bed}"),
            5: Standby(self._rng.random() < 0.3),
            6: Discharge(),
        }[what]


async def _again_until_there(attempt: Callable[[], Awaitable[Answer]]) -> Answer:
    """Try until brokers answer: on a slow machine the devices may start just as the first broker is ended."""
    while True:
        try:
            return await attempt()
        except ConnectionError:
            await asyncio.sleep(0.5)


async def play(played: Played) -> None:
    """Send the frames of all devices on the shared clock, and what the staff does meanwhile."""
    kafka = {"bootstrap_servers": played.kafka}
    folder = Path(played.records) if played.records else None
    told = stories(folder, played.beds)
    clock = played.clock
    started_s = clock.now_s()
    later = ((started_s + due_s, name, frame) for due_s, name, frame in merged(
        devices(told, clock.now_ns(), played.frame_s, played.seed), played.seconds
    ))  # fmt: skip
    staff = _Staff(kafka, [story.device for story in told], clock, played.seed, Signer.load(Path(played.key)))
    await _again_until_there(staff.admit)
    working = asyncio.create_task(staff.work())
    sent = await _again_until_there(lambda: send(later, played.kafka, topics.INPUT, clock=clock))
    working.cancel()
    print(msgspec.json.encode({"frames": sent.frames, "late_p99_s": sent.late_p99_s}).decode(), flush=True)


if __name__ == "__main__":
    asyncio.run(play(msgspec.json.decode(sys.argv[1], type=Played)))
