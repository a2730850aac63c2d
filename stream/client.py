"""What a ward and an engineer do: commands, setups and weights into the log; alerts and beds out of Redis."""

from __future__ import annotations

import asyncio
import hashlib
import heapq
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Any, NamedTuple, cast

import msgspec
from aiokafka import TopicPartition
from aiokafka.structs import RecordMetadata
from redis.asyncio import Redis
from redis.exceptions import RedisError

from ecg import alert as message
from ecg.alert import Alert, Risk, Vitals
from ecg.frame import Command, Setup
from stream import topics
from stream.kafka import Kafka, producing, read_to_end, reading
from stream.keys import SERVICES, UNASSIGNED, WARDS, bed_key, beds_key, split_field, stream_key
from stream.signing import Signer, encode_as
from stream.store import answer, reached
from stream.trim import place

PAGE = 500
FOLLOW_MS = 1000
"""How often a follower looks for wards that are new."""
_risk = msgspec.json.Decoder(Risk)


class Bed(msgspec.Struct, frozen=True):
    """One device at its bed, as the board shows it; `on` holds the alert of each alarm that shows, by condition."""

    ward: str
    bed: str
    device: str
    vitals: Vitals | None
    on: dict[str, Alert]
    risk: Risk | None

    @property
    def name(self) -> tuple[str, str, str]:
        """Ward, bed and device."""
        return self.ward, self.bed, self.device

    @property
    def mark(self) -> int:
        """The newest tick that came to it, which a watchdog goes by; -1 where it has no vitals yet."""
        return -1 if self.vitals is None else self.vitals.tick_ns

    @property
    def missed(self) -> bool:
        """Whether more is to come of it, so that its silence is not to be taken for rest."""
        return self.vitals is None or not self.vitals.gone


class Sight(NamedTuple):
    """What Redis holds at one moment: beds, and alarms that Vigil's services raised of themselves."""

    beds: list[Bed]
    services: list[Alert]


class Outcome(msgspec.Struct, frozen=True):
    """What became of a command: carried out, refused for a reason, or neither while it was waited for."""

    offset: int
    taken: bool
    refused: str | None = None


async def send_commands(
    kafka: Kafka, commands: Iterable[Command], signer: Signer | None = None
) -> list[RecordMetadata]:
    """Put commands into the log, each in the partition of its device; return where, once the brokers hold them."""
    async with producing(kafka) as producer:
        pending = [
            await producer.send(topics.INPUT, encode_as(each, signer), each.device.encode()) for each in commands
        ]
        return list(await asyncio.gather(*pending))


async def send_command(kafka: Kafka, command: Command) -> int:
    """Put a command into the log, in the partition of its device, and return its offset once the brokers hold it."""
    (sent,) = await send_commands(kafka, [command])
    return sent.offset


async def ask(kafka: Kafka, command: Command, within_s: float = 5.0, signer: Signer | None = None) -> Outcome:
    """Put a command into the log, and wait until a worker has carried it out or refused it, or until time is up."""
    return await _put(kafka, lambda: send_commands(kafka, [command], signer), within_s)


async def put_setup(kafka: Kafka, setup: Setup, signer: Signer | None = None, within_s: float = 5.0) -> Outcome:
    """Put a setup into every partition, and wait until workers have taken it or one refused it, or until time is up."""
    return await _put(kafka, lambda: send_setup(kafka, setup, signer), within_s)


async def _put(kafka: Kafka, send: Callable[[], Awaitable[list[RecordMetadata]]], within_s: float) -> Outcome:
    """Put something into the log, and wait for what becomes of it."""
    part, deadline = TopicPartition(topics.DEAD_LETTERS, 0), asyncio.get_running_loop().time() + within_s
    async with reading(kafka) as reader:
        letters = (await reader.end_offsets([part]))[part]
        sent = await send()
        for each in sent:
            if not await _passed(kafka, each.partition, each.offset, deadline):
                return Outcome(each.offset, taken=False)
        places = {(str(each.partition).encode(), str(each.offset).encode()): each.offset for each in sent}
        async for letter in read_to_end(reader, topics.DEAD_LETTERS, [0], letters):
            said = dict(letter.headers)
            if (place := (said.get("partition", b""), said.get("offset", b""))) in places:
                return Outcome(places[place], taken=True, refused=said["reason"].decode())
    return Outcome(sent[0].offset, taken=True)


async def _passed(kafka: Kafka, partition: int, offset: int, deadline: float) -> bool:
    """Wait until the workers have acknowledged an input, which they do when all that came of it is durable."""
    while asyncio.get_running_loop().time() < deadline:
        if (await topics.acknowledged(kafka)).get(partition, 0) > offset:
            return True
        await asyncio.sleep(0.2)
    return False


async def is_shown(url: str, device: str) -> bool:
    """Say whether some bed in Redis shows a device; raises ConnectionError where Redis is not there."""
    async with reached(url) as redis:
        return any(bed.device == device for bed in await read_beds(redis))


async def send_setup(kafka: Kafka, setup: Setup, signer: Signer | None = None) -> list[RecordMetadata]:
    """Put a setup into every partition of the input; return where, once the brokers hold it."""
    value = encode_as(setup, signer)
    partitions = await topics.partitions(kafka, topics.INPUT)
    async with producing(kafka) as producer:
        pending = [await producer.send(topics.INPUT, value, None, partition) for partition in partitions]
        return list(await asyncio.gather(*pending))


async def has_weights(kafka: Kafka) -> bool:
    """Say whether weights were ever put into the log."""
    part = TopicPartition(topics.WEIGHTS, 0)
    async with reading(kafka) as reader:
        return (await reader.end_offsets([part]))[part] > 0


async def put_weights(kafka: Kafka, weights: bytes) -> str:
    """Put a file of weights into the log, to be done before the setup that names it, and return its sha256."""
    sha256 = hashlib.sha256(weights).hexdigest()
    async with producing(kafka) as producer:
        await producer.send_and_wait(topics.WEIGHTS, weights, sha256.encode())
    return sha256


async def read_alerts(
    url: str, ward: str | None = None, since: str = "0", *, follow: bool = False
) -> AsyncGenerator[tuple[str, Alert]]:
    """Yield the alerts of one ward or of all, oldest first, each with its id in Redis.

    Parameters
    ----------
    url : str
        Of Redis.
    ward : str or None
        One ward; None for all of them.
    since : str
        Id behind which to start, "0" for the first.
    follow : bool
        Wait for more, for ever, and for a Redis that goes away.
    """
    async with reached(url) as redis:
        behind: dict[str, str] = {}
        while True:
            try:
                for name in [ward] if ward is not None else await read_wards(redis):
                    behind.setdefault(stream_key(name), since)
                found = await _page(redis, behind, FOLLOW_MS if follow else None)
            except RedisError:
                if not follow:
                    raise
                await asyncio.sleep(FOLLOW_MS / 1000)
                continue
            for key, entry, alert in found:
                behind[key] = entry
                yield entry, alert
            if not found and not follow:
                return


async def _page(redis: Redis, behind: dict[str, str], block_ms: int | None) -> list[tuple[str, str, Alert]]:
    """Read what follows in each stream, in the order of the alert topic, as far as all streams were read."""
    if not behind:
        await asyncio.sleep((block_ms or 0) / 1000)
        return []
    answers: Any = await redis.xread(cast("Any", behind), count=PAGE, block=block_ms)
    pages = []
    for key, entries in pages_of(answers):
        pages.append([(place(entry), key, entry.decode(), fields[b"alert"]) for entry, fields in entries])
    last = min((page[-1][0] for page in pages if len(page) == PAGE), default=(2**63, 0))
    merged = heapq.merge(*pages)
    return [(key, entry, message.decode_alert(value)) for order, key, entry, value in merged if order <= last]


def pages_of(answers: Any) -> list[tuple[str, list[tuple[bytes, dict[bytes, bytes]]]]]:
    """Return what XREAD or XREADGROUP answered, by key: its form depends on the protocol that was agreed on."""
    streams: list[Any] = list(answers.items()) if isinstance(answers, dict) else answers or []
    return [(key.decode(), pairs[0] if pairs and isinstance(pairs[0], list) else pairs) for key, pairs in streams]


async def find_alert(url: str, alert: str) -> Alert | None:
    """Return the alert with this id or at this entry, looked for from the newest back; None where Redis has none."""
    async with reached(url) as redis:
        for ward in await read_wards(redis):
            last = "+"
            while page := cast("Any", await redis.xrevrange(stream_key(ward), last, "-", count=PAGE)):
                for entry, fields in page:
                    if alert in (fields[b"id"].decode(), entry.decode()):
                        return message.decode_alert(fields[b"alert"])
                    last = f"({entry.decode()}"
    return None


async def read_wards(redis: Redis) -> list[str]:
    """Return the names of all wards."""
    return sorted(ward.decode() for ward in await answer(redis.smembers(WARDS)))


async def read_beds(redis: Redis, ward: str | None = None) -> list[Bed]:
    """Return the newest state of the beds of one ward or of all, sorted; one entry for each device at a bed.

    A device of which there is nothing but an old risk level has left, and so has one that is gone without an alarm.
    """
    places = []
    for name in [ward] if ward is not None else await read_wards(redis):
        places += [(name, bed.decode()) for bed in sorted(await answer(redis.smembers(beds_key(name))))]
    pipe = redis.pipeline(transaction=False)
    for at in places:
        pipe.hgetall(bed_key(*at))
    answers = await pipe.execute()
    return [bed for at, fields in zip(places, answers, strict=True) for bed in _beds(at, fields)]


def _beds(place: tuple[str, str], fields: dict[bytes, bytes]) -> list[Bed]:
    on: dict[str, dict[str, Alert]] = {}
    risk: dict[str, Risk] = {}
    vitals: dict[str, Vitals] = {}
    for field, value in fields.items():
        match split_field(field.decode()):
            case ("on", condition, device):
                on.setdefault(device, {})[condition] = message.decode_alert(value)
            case ("risk", _, device):
                risk[device] = _risk.decode(value)
            case ("vitals", _, device):
                vitals[device] = message.decode_vitals(value)
    of_service = {d for d, its in on.items() if all(a.source.topic == topics.ALERTS for a in its.values())}
    devices = sorted((on.keys() | vitals.keys()) - of_service)
    beds = [Bed(*place, d, vitals.get(d), on.get(d, {}), risk.get(d)) for d in devices]
    return [bed for bed in beds if bed.on or bed.missed]


async def read_services(redis: Redis) -> list[Alert]:
    """Return the alarms that Vigil's services raised of themselves and that last, for every ward to see."""
    found = []
    for name in sorted(await answer(redis.smembers(SERVICES))):
        fields = await answer(redis.hgetall(bed_key(UNASSIGNED, name.decode())))
        shown = [message.decode_alert(value) for field, value in fields.items() if field.startswith(b"on:")]
        found += [alert for alert in shown if alert.source.topic == topics.ALERTS]
    return found


async def look(redis: Redis, ward: str | None = None) -> Sight | None:
    """Return what Redis holds of one ward or of all; None where it holds no ward at all.

    A Redis that was just lost says nothing of the beds that it held.
    """
    if not await redis.exists(WARDS):
        return None
    return Sight(await read_beds(redis, ward), await read_services(redis))


async def check_services(kafka: Kafka, url: str) -> str:
    """Connect to Kafka and Redis, and return a line that says what was found; raises ConnectionError."""
    found = await topics.listed(kafka)
    async with reached(url) as redis:
        server = (await redis.info("server"))["redis_version"]
        wards = await read_wards(redis)
    wrong = topics.faults(found)
    lines = [f"kafka has {len(found)} of {len(topics.TOPICS)} topics; redis {server} has {len(wards)} wards", *wrong]
    return "\n".join(lines)
