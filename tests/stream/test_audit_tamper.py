"""Copies of the audit topics, altered at random before the last seal: every alteration is found.

`tamper` is for the campaign as well: it returns what it tried and what was not found.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import msgspec
import pytest

from ecg.alert import chain_hash, decode_alert
from ecg.alert import encode as encode_alert
from ecg.frame import Command, PublicKey, Signed, decode, encode
from stream import seal, topics
from stream.audit.chain import audit
from stream.audit.log import Entry
from stream.audit.sealed import Sealed, open_seal
from tests.stream.ward_log import WardLog, signer, written


class Topics(NamedTuple):
    """The three topics of an audit."""

    alerts: list[Entry]
    commands: list[Entry]
    seals: list[Entry]


@cache
def ward() -> WardLog:
    return written()


@cache
def intact() -> Topics:
    """What the ward's topics hold, with some alerts twice, as after a worker's restore."""
    alerts = list(ward().topics[topics.ALERTS][0])
    end = alerts[-1].offset + 1
    alerts += [alerts[at]._replace(offset=end + n) for n, at in enumerate(range(10, 20))]
    seals = [entry for its in ward().topics[topics.SEALS].values() for entry in its]
    named = {
        (entry.partition, offset)
        for entry in seals
        for head in sealed(entry).seal.heads.values()
        for offset, _ in head.commands
    }
    inputs = [entry for its in ward().topics[topics.INPUT].values() for entry in its]
    return Topics(alerts, [entry for entry in inputs if (entry.partition, entry.offset) in named], seals)


def sealed(entry: Entry) -> Sealed:
    found = open_seal(entry, ward().keys)
    assert isinstance(found, Sealed)
    return found


@cache
def last_sealed() -> dict[int, Sealed]:
    """The last seal of each partition."""
    return {entry.partition: sealed(entry) for entry in intact().seals}


@cache
def before_the_last_seal() -> Topics:
    """The records that an alteration may hit."""
    last = last_sealed()
    alerts: dict[bytes, Entry] = {}
    for entry in intact().alerts:
        source = decode_alert(entry.value or b"").source
        if source.last_offset < last[source.partition].seal.offset:
            alerts.setdefault(entry.value or b"", entry)
    seals = [entry for entry in intact().seals if entry.offset != last[entry.partition].place]
    return Topics(list(alerts.values()), intact().commands, seals)


def flip(draw: random.Random, entry: Entry) -> Entry:
    """Change a bit of the value, now and then of the key."""
    field = "key" if draw.random() < 0.1 else "value"
    data = bytearray(getattr(entry, field))
    data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    return entry._replace(**{field: bytes(data)})


def truncate(draw: random.Random, entry: Entry) -> Entry:
    assert entry.value is not None
    return entry._replace(value=entry.value[: draw.randrange(len(entry.value))])


def forge(draw: random.Random, entry: Entry) -> Entry:
    """Change a field so that the record still is one."""
    assert entry.value is not None
    if entry in intact().alerts:
        return entry._replace(value=forged_alert(draw, entry.value))
    signed = msgspec.msgpack.decode(entry.value, type=Signed)
    if entry in intact().seals:
        body = forged_seal(draw, signed.body)
    else:
        command = decode(signed.body)
        assert isinstance(command, Command)
        body = encode(msgspec.structs.replace(command, who="somebody"))
    if draw.random() < 0.5:
        return entry._replace(value=encode(msgspec.structs.replace(signed, body=body)))
    other = signer(9)  # whom nobody knows
    return entry._replace(value=other.seal(body) if entry in intact().seals else other.sign(decode(body)))  # pyright: ignore[reportArgumentType]


def forged_alert(draw: random.Random, value: bytes) -> bytes:
    alert = decode_alert(value)
    chains = [decode_alert(entry.value or b"").chain for entry in intact().alerts]
    changes: list[dict[str, Any]] = [
        {"text": alert.text + "."},
        {"priority": "low" if alert.priority != "low" else "high"},
        {"decided_ns": alert.decided_ns - 1_000_000},
        {"value": (alert.value or 0.0) + 1.0},
        {"id": f"{draw.getrandbits(96):024x}"},
        {"chain": draw.choice([chain for chain in chains if chain != alert.chain])},
        {"source": msgspec.structs.replace(alert.source, last_offset=alert.source.last_offset + 1)},
        {"version": "0.0.0"},
        {"device": "another"},
        {"ordinal": alert.ordinal + 1},
    ]
    return encode_alert(msgspec.structs.replace(alert, **draw.choice(changes)))


def forged_seal(draw: random.Random, body: bytes) -> bytes:
    it = seal.decode(body)
    name = draw.choice(sorted(it.heads))
    head = msgspec.structs.replace(it.heads[name], hash=f"{draw.getrandbits(256):064x}")
    changes: list[dict[str, Any]] = [
        {"heads": {**it.heads, name: head}},
        {"heads": {other: kept for other, kept in it.heads.items() if other != name}},
        {"time_ns": it.time_ns + 1},
        {"n": it.n + 100},
    ]
    return seal.encode(msgspec.structs.replace(it, **draw.choice(changes)))


def replace(draw: random.Random, its: list[Entry], may: list[Entry], change: Callable[..., Entry]) -> list[Entry]:
    target = draw.choice(may)
    return [change(draw, entry) if entry is target else entry for entry in its]


def drop(draw: random.Random, its: list[Entry], may: list[Entry]) -> list[Entry]:
    target = draw.choice(may)
    return [entry for entry in its if (entry.partition, entry.key, entry.value) != (target.partition, *target[2:4])]


def insert(draw: random.Random, its: list[Entry], may: list[Entry]) -> list[Entry]:
    """Put in a forged record made from another one: commands at an offset of their own, the others behind the rest."""
    made = forge(draw, draw.choice(may))
    if its is intact().commands:
        taken = {(entry.partition, entry.offset) for entry in its}
        free = [n for n in range(last_sealed()[made.partition].seal.offset) if (made.partition, n) not in taken]
        return [*its, made._replace(offset=draw.choice(free))]
    return [*its, made._replace(offset=max(entry.offset for entry in its) + 1)]


def swap(draw: random.Random, its: list[Entry], may: list[Entry]) -> list[Entry]:
    """Let two records of one device, or two seals of one partition, change places."""
    first = draw.choice(may)
    second = draw.choice([e for e in may if e.key == first.key and e.offset != first.offset] or [first])
    moved = {id(first): second, id(second): first}
    return [
        entry._replace(value=moved[id(entry)].value) if id(entry) in moved and first is not second else entry
        for entry in its
    ]


KINDS: dict[str, Callable[[random.Random, list[Entry], list[Entry]], list[Entry]]] = {
    "flip": lambda draw, its, may: replace(draw, its, may, flip),
    "forge": lambda draw, its, may: replace(draw, its, may, forge),
    "truncate": lambda draw, its, may: replace(draw, its, may, truncate),
    "drop": drop,
    "insert": insert,
    "swap": swap,
}


def tamper(seed: int, n: int) -> dict[str, Any]:
    """Alter copies of the topics `n` times at random; returns how many of each kind were tried, found, and missed."""
    draw, tried, missed = random.Random(seed), Counter[str](), []
    keys: dict[str, PublicKey] = ward().keys
    while tried.total() < n:
        kind, which = draw.choice(list(KINDS)), draw.randrange(3)
        its, may = intact()[which], before_the_last_seal()[which]
        altered = KINDS[kind](draw, its, may)
        if altered == its:
            continue
        name = f"{kind} {Topics._fields[which]}"
        tried[name] += 1
        topic = intact()._replace(**{Topics._fields[which]: altered})
        if not audit(topic.alerts, topic.commands, topic.seals, keys):
            missed.append(f"{name} (seed {seed}, the {tried.total()}th)")
    return {"alterations": tried.total(), "found": tried.total() - len(missed), "missed": missed, "kinds": dict(tried)}


def test_what_nobody_altered_has_no_fault_though_some_alerts_are_there_twice() -> None:
    assert audit(*intact(), ward().keys) == []
    assert min(map(len, before_the_last_seal())) >= 6


@pytest.mark.parametrize("seed", range(3))
def test_random_alterations_before_the_last_seal_are_found(seed: int) -> None:
    assert tamper(seed, 200)["missed"] == []


@pytest.mark.parametrize("seed", range(10))
def test_who_chains_anew_what_follows_an_altered_alert_does_not_get_past_a_seal(seed: int) -> None:
    target = random.Random(seed).choice(before_the_last_seal().alerts)
    device = (target.key or b"").decode()
    anew: dict[str, str] = {}
    alerts: list[Entry] = []
    for entry in intact().alerts:
        alert = decode_alert(entry.value or b"")
        text = "all is well" if entry.value == target.value else alert.text
        value = encode_alert(msgspec.structs.replace(alert, text=text, chain=anew.get(alert.chain, alert.chain)))
        anew[chain_hash(entry.value or b"")] = chain_hash(value)
        alerts.append(entry._replace(value=value))
    assert device in {fault.device for fault in audit(alerts, intact().commands, intact().seals, ward().keys)}


@pytest.mark.campaign
def test_a_thousand_random_alterations_before_the_last_seal_are_found() -> None:
    given = tamper(2026, 1000)
    assert given["missed"] == []
    assert len(given["kinds"]) == 3 * len(KINDS)
