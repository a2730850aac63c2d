"""A ward's log in memory as a worker leaves it: input, alerts, checkpoints and seals of some generated beds."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ecg.alert import decode_alert
from ecg.clinical import Limits, Settings
from ecg.frame import (
    Acknowledge,
    Action,
    Admit,
    ChangeLimits,
    Command,
    Discharge,
    Pause,
    PublicKey,
    Setup,
    Tick,
    encode,
)
from simulators.bedside import Framer
from simulators.heart import Heart
from simulators.schedule import Segment
from stream import topics
from stream.audit.log import Entry, MemoryLog
from stream.batch import Out, Record
from stream.look import Net
from stream.pipeline import Pipeline
from stream.placement import partition_of
from stream.signing import Signer, encode_as

T0_NS = 1_800_000_000_000_000_000
SECOND_NS = 1_000_000_000
PARTITIONS = 2
SCRIPTS: dict[str, Sequence[Segment]] = {
    "run": [("sinus", 35, {}), ("ventricular_tachycardia", 12, {})] * 6,
    "flat": [("sinus", 50, {}), ("asystole", 11, {})] * 5,
    "calm": [("sinus", 300, {})],
    "gone": [("sinus", 30, {}), ("ventricular_tachycardia", 12, {})] * 6,
}
"""What the hearts play, in two partitions. `calm` falls silent now and then; `gone` is forgotten, and comes back."""
GONE = range(45, 180)


def signer(seed: int) -> Signer:
    """A key that is the same in every run."""
    return Signer(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


@dataclass
class WardLog:
    """What lies in the topics, by partition, and the keys."""

    keys: dict[str, PublicKey]
    seal_key: Signer
    topics: dict[str, dict[int, list[Entry]]] = field(default_factory=dict)

    @property
    def log(self) -> MemoryLog:
        return MemoryLog(self.topics)

    def put(self, topic: str, partition: int, key: bytes | None, value: bytes | None, append_ns: int) -> None:
        its = self.topics.setdefault(topic, {}).setdefault(partition, [])
        its.append(Entry(partition, its[-1].offset + 1 if its else 0, key, value, append_ns))

    def take(self, out: Out, append_ns: int) -> None:
        """Publish what the pipeline gave, as a worker does."""
        for key, value in out.alerts:
            self.put(topics.ALERTS, 0, key, value, append_ns)
        for partition, body in out.seals:
            self.put(topics.SEALS, partition, str(partition).encode(), self.seal_key.seal(body), append_ns)
        for partition, key, value in out.checkpoints:
            self.put(topics.CHECKPOINTS, partition, key, value, append_ns)


def entries(seconds: int, staff: Signer, setup: Setup) -> Iterator[tuple[int, int, bytes | None, bytes]]:
    """Give what goes into the input: when (s), where, under which key, which bytes."""
    yield from ((0, partition, None, staff.sign(setup)) for partition in range(PARTITIONS))
    framers = {name: Framer(Heart(script).source(), name, T0_NS, 1.0) for name, script in SCRIPTS.items()}
    for second in range(seconds):
        for name, framer in framers.items():
            if name == "gone" and second in (0, GONE.start, GONE.stop):
                do = Discharge() if second == GONE.start else Admit("icu", name)
                yield second, place(name), name.encode(), staff.sign(command(name, second, do))
            if name != "gone" and (second % 45 == 0 or (name == "calm" and second % 10 == 5)):
                yield second, place(name), name.encode(), staff.sign(order(name, second))
            if name != "gone" and second % 60 == 31:  # nobody signed this one
                yield second, place(name), name.encode(), encode(order(name, second))
            if second not in GONE if name == "gone" else name != "calm" or second % 60 < 50:
                frame = framer.frame(second, second * framer.n, framer.n)
                yield second, place(name), name.encode(), encode(frame)
        for partition in range(PARTITIONS):
            yield second, partition, None, encode_as(Tick("ticker", second, T0_NS + (second + 1) * SECOND_NS), staff)


def place(device: str) -> int:
    return partition_of(device.encode(), PARTITIONS)


def order(device: str, second: int) -> Command:
    """A command of the staff."""
    actions: list[Action] = [Pause(60), ChangeLimits(Limits(rate_high_bpm=130)), Acknowledge("0" * 24)]
    return command(device, second, Admit("icu", device) if second == 0 else actions[second % 3])


def command(device: str, second: int, do: Action) -> Command:
    at_ns = T0_NS + second * SECOND_NS
    return Command(device, "nurse", "a story", f"n-{device}-{second}", at_ns, at_ns + 60 * SECOND_NS, do)


def written(
    seconds: int = 240,
    nets: dict[str, Net] | None = None,
    weights: str | None = None,
    settings: Settings | None = None,
    seed: int = 1,
) -> WardLog:
    """Write the log of some beds, and let a worker of seeded batch sizes publish what comes of it."""
    staff, sealer, draw = signer(1), signer(2), random.Random(seed)
    keys = {
        staff.key_id: PublicKey(staff.public.hex(), ("tick", "command", "setup")),
        sealer.key_id: PublicKey(sealer.public.hex(), ("seal",)),
    }
    setup = Setup("staff", "a ward", T0_NS, settings or Settings(), {"net": weights}, keys)
    ward = WardLog(keys, sealer)
    for second, partition, key, value in entries(seconds, staff, setup):
        ward.put(topics.INPUT, partition, key, value, T0_NS + second * SECOND_NS)
    pipeline = Pipeline(nets or {})
    pipeline.partitions = PARTITIONS
    todo = {partition: list(its) for partition, its in ward.topics[topics.INPUT].items()}
    while any(todo.values()):
        partition = draw.choice([partition for partition, its in todo.items() if its])
        size = draw.randint(1, 90)
        batch, todo[partition] = todo[partition][:size], todo[partition][size:]
        out = pipeline.feed([Record(e.partition, e.offset, e.key, e.value or b"", e.append_ns) for e in batch])
        ward.take(out, batch[-1].append_ns)
    return ward


def alerts(ward: WardLog, device: str) -> list[Entry]:
    """The logged alerts of a device."""
    return [e for e in ward.topics[topics.ALERTS][0] if decode_alert(e.value or b"").device == device]
