"""What must hold once a ward is quiet again: nothing lost or doubled, in order, and the same as from the log alone."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from ecg.alert import Alert, chain_command, chain_hash, decode_alert
from ecg.frame import SERVICE, Command, FrameError, Signed, decode
from stream import seal, topics
from stream.batch import Record
from stream.keys import split_field
from stream.pipeline import Pipeline
from stream.store import RISK_LEVEL
from tests.faults.world import World

MS_NS = 1_000_000
_signed = msgspec.msgpack.Decoder(Signed)


@dataclass
class Verdict:
    """What was found: alerts that the ward never got, that it got twice, and all else that is not as it must be."""

    faults: int
    alerts: int
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not (self.lost or self.doubled or self.differences)


class Truth:
    """What an undisturbed pipeline makes of a ward's input, all partitions together."""

    def __init__(self, world: World) -> None:
        pipeline, draw = Pipeline({}), random.Random(len(world.brokers.entries(topics.INPUT)))
        pipeline.partitions = world.partitions
        records = _input(world)
        self.input = list(records)
        self.alerts: list[bytes] = []
        self.seals: list[tuple[int, bytes]] = []
        self.refused: set[tuple[int, int, str]] = set()
        while records:
            size = draw.randint(1, 120)
            out = pipeline.feed(records[:size])
            records = records[size:]
            self.alerts += [value for _, value in out.alerts]
            self.seals += out.seals
            self.refused |= {(record.partition, record.offset, reason) for record, reason in out.dead}


def judge(world: World, settled: bool) -> Verdict:
    """Compare what the brokers and Redis hold with what the input alone gives."""
    truth = Truth(world)
    verdict = Verdict(world.faults, len(truth.alerts))
    if not settled:
        verdict.differences.append("the ward did not become quiet")
    verdict.differences += [f"ended by itself: {said}" for said in dict.fromkeys(world.exits)]
    expected = {decode_alert(value).id: value for value in truth.alerts}
    if len(expected) < len(truth.alerts):
        verdict.differences.append("two alerts of the log have one id")
    first = _first_emissions(world, expected, verdict)
    _compare_store(world, expected, first, verdict)
    _compare_beds(world, expected.values(), verdict)
    _compare_order(world, truth.alerts, verdict)
    _compare_chain(truth, verdict)
    _compare_seals(world, truth, verdict)
    _compare_refused(world, truth, verdict)
    return verdict


def _input(world: World) -> list[Record]:
    """Return all input, in the order in which it was appended."""
    parts = [world.brokers.entries(topics.INPUT, partition) for partition in range(world.partitions)]
    entries = sorted((e for part in parts for e in part), key=lambda e: (e.timestamp, e.partition, e.offset))
    return [Record(e.partition, e.offset, e.key, e.value or b"", e.timestamp * MS_NS) for e in entries]


def _first_emissions(world: World, expected: dict[str, bytes], verdict: Verdict) -> dict[str, int]:
    """Return the offset at which each alert was emitted first; each time it must be the same bytes.

    Alarms that services raise of themselves have no input, and are added to what is expected.
    """
    first: dict[str, int] = {}
    for entry in world.brokers.entries(topics.ALERTS):
        value = entry.value or b""
        alert = decode_alert(value)
        first.setdefault(alert.id, entry.offset)
        if _is_service(alert):
            if alert.condition != "store_down":
                verdict.differences.append(f"{_named(alert)} accuses: {alert.evidence.trace}")
            expected[alert.id] = value
        if expected.get(alert.id) != value:
            known = "other bytes than from the log alone" if alert.id in expected else "not from the log alone"
            verdict.differences.append(f"{_named(alert)} at {entry.offset}: {known}")
    missing = [id for id in expected if id not in first]
    verdict.lost += [f"{_named(decode_alert(expected[id]))} is not in Kafka" for id in missing]
    return first


def _compare_store(world: World, expected: dict[str, bytes], first: dict[str, int], verdict: Verdict) -> None:
    """Each alert stands once in the stream of its ward, under the offset of its first emission."""
    seen: Counter[str] = Counter()
    for key, held in world.server.held.keys.items():
        if not key.startswith(b"alerts:{"):
            continue
        ward = key[len(b"alerts:{") : -1].decode()
        for name, fields in held:
            alert = decode_alert(fields[b"alert"])
            seen[alert.id] += 1
            if expected.get(alert.id) != fields[b"alert"] or alert.ward != ward:
                verdict.differences.append(f"{_named(alert)} in Redis is not the log's")
            if name != f"{first.get(alert.id)}-1".encode():
                verdict.differences.append(f"{_named(alert)} has id {name.decode()}, must be {first.get(alert.id)}-1")
    verdict.lost += [f"{_named(decode_alert(v))} is not in Redis" for id, v in expected.items() if not seen[id]]
    verdict.doubled += [
        f"{_named(decode_alert(expected[id]))} is in Redis {n} times" for id, n in seen.items() if n > 1
    ]


def _compare_beds(world: World, alerts: Iterable[bytes], verdict: Verdict) -> None:
    """Each bed shows the alarms that are on, and no other, and can be found by whoever looks for all wards and beds."""
    last: dict[tuple[str, str, str, str], Alert] = {}
    for alert in map(decode_alert, alerts):
        if alert.condition != RISK_LEVEL:
            last[alert.ward, alert.bed, alert.device, alert.condition] = alert
    on = {place for place, alert in last.items() if alert.presence != "off"}
    shown, keys = set(), world.server.held.keys
    for key, held in keys.items():
        if key.startswith(b"bed:{"):
            ward, _, bed = key[len(b"bed:{") :].decode().partition("}:")
            if ward.encode() not in keys[b"wards"] or bed.encode() not in keys[b"beds:{%b}" % ward.encode()]:
                verdict.differences.append(f"bed {bed} of {ward} is there, and not listed")
            fields = [split_field(name.decode()) for name in held]
            shown |= {(ward, bed, field[2], field[1]) for field in fields if field and field[0] == "on"}
    verdict.differences += [f"{place} did not end" for place in sorted(on) if place[2].startswith(SERVICE)]
    verdict.differences += [f"{place} is on, and not shown" for place in sorted(on - shown)]
    verdict.differences += [f"{place} is shown, and not on" for place in sorted(shown - on)]


def _compare_order(world: World, alerts: Iterable[bytes], verdict: Verdict) -> None:
    """A device's alerts stand in each ward in the order of its input."""
    places = {alert.id: (alert.source.last_offset, alert.ordinal) for alert in map(decode_alert, alerts)}
    for key, held in world.server.held.keys.items():
        if key.startswith(b"alerts:{"):
            by_device: dict[bytes, list[tuple[int, int]]] = {}
            for _, fields in held:
                place = places.get(fields[b"id"].decode(), (-1, -1))
                if not fields[b"device"].startswith(SERVICE.encode()):
                    by_device.setdefault(fields[b"device"], []).append(place)
            verdict.differences += [
                f"{device.decode()} in {key.decode()} is out of order"
                for device, found in by_device.items()
                if found != sorted(found)
            ]


def _compare_chain(truth: Truth, verdict: Verdict) -> None:
    """Each alert carries the head of its device's chain of alerts and commands; each seal says what that was."""
    links: dict[tuple[int, str], list[tuple[int, int, bytes]]] = {}
    for alert, value in zip(map(decode_alert, truth.alerts), truth.alerts, strict=True):
        place = alert.source.partition, alert.device
        links.setdefault(place, []).append((alert.source.last_offset, alert.ordinal, value))
    for record in truth.input:
        if (command := _carried_out(record, truth)) is not None:
            links.setdefault((record.partition, command.device), []).append((record.offset, -1, record.value))
    ended: dict[tuple[int, str], list[int]] = {}
    for partition, body in truth.seals:
        for device, head in seal.decode(body).heads.items():
            if head.ended:
                ended.setdefault((partition, device), []).append(seal.decode(body).offset)
    for place, found in links.items():
        head, ends = "", sorted(ended.get(place, []))
        for offset, ordinal, value in sorted(found):
            while ends and ends[0] < offset:
                head = ""
                ends.pop(0)
            if ordinal >= 0 and (alert := decode_alert(value)).chain != head:
                verdict.differences.append(f"{_named(alert)} does not follow on the link before")
            head = chain_hash(value) if ordinal >= 0 else chain_command(head, value)
    previous: dict[int, str] = {}
    for partition, body in truth.seals:
        if seal.decode(body).previous != previous.get(partition, ""):
            verdict.differences.append(f"seal {seal.decode(body).n} of {partition} does not follow on the one before")
        previous[partition] = seal.seal_hash(body)


def _compare_seals(world: World, truth: Truth, verdict: Verdict) -> None:
    """Each seal is in its topic, and never with another body."""
    expected = {(partition, seal.decode(body).n): body for partition, body in truth.seals}
    seen = set()
    for partition in range(world.partitions):
        for entry in world.brokers.entries(topics.SEALS, partition):
            body = _signed.decode(entry.value or b"").body
            place = (partition, seal.decode(body).n)
            seen.add(place)
            if expected.get(place) != body:
                verdict.differences.append(f"seal {place[1]} of {partition} at {entry.offset} is not the log's")
    verdict.differences += [f"seal {n} of {partition} is missing" for partition, n in sorted(expected.keys() - seen)]


def _carried_out(record: Record, truth: Truth) -> Command | None:
    if any(place[:2] == (record.partition, record.offset) for place in truth.refused):
        return None
    try:
        entry = decode(record.value)
    except FrameError:
        return None
    return entry if isinstance(entry, Command) else None


def _compare_refused(world: World, truth: Truth, verdict: Verdict) -> None:
    """What was refused is a dead letter, with the same reason as from the log alone."""
    letters = set()
    for entry in world.brokers.entries(topics.DEAD_LETTERS):
        headers = {name: value.decode() for name, value in entry.headers}
        letters.add((int(headers["partition"]), int(headers["offset"]), headers["reason"]))
    verdict.differences += [f"{place} is no dead letter" for place in sorted(truth.refused - letters)]
    good = {(record.partition, record.offset) for record in truth.input if _is_good(record)}
    known = {place[:2] for place in truth.refused}
    verdict.differences += [
        f"{letter} should be no dead letter" for letter in sorted(letters) if letter[:2] in good - known
    ]


def _is_good(record: Record) -> bool:
    try:
        decode(record.value)
    except FrameError:
        return False
    return True


def _is_service(alert: Alert) -> bool:
    return alert.device.startswith(SERVICE)


def _named(alert: Alert) -> str:
    return f"{alert.device} {alert.condition} {alert.phase} {alert.n} ({alert.id[:8]})"
