"""Nonsense through the whole pipeline, beside two patients whose alerts must be what they are without it."""

from __future__ import annotations

import functools
import random
import resource
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ecg.alert import Alert, decode_alert
from ecg.clinical import Settings
from ecg.frame import Admit, Command, PublicKey, Setup, Tick, encode
from simulators.bedside import Framer
from simulators.heart import Heart
from stream.batch import Record
from stream.pipeline import Pipeline
from stream.signing import Signer
from tests.fuzz.mutants import T0_NS, frame, good, mutated

SECONDS = 40
SCRIPTS = {
    "vt": [("sinus", 12, {}), ("ventricular_tachycardia", 12, {}), ("sinus", 16, {})],
    "flat": [("sinus", 12, {}), ("asystole", 10, {}), ("sinus", 18, {})],
}
MUTANTS = tuple(f"mutant-{n}" for n in range(8))
SECOND_NS = 1_000_000_000
MOST_SNAPSHOT = 512 * 1024
"""Bytes that a device's snapshot may have, whatever was sent in its name."""


class Found(NamedTuple):
    """What came of it: records of nonsense, those accepted, alerts of the patients, and the largest snapshot."""

    records: int
    accepted: int
    alerts: list[Alert]
    largest_snapshot: int


@functools.cache
def patients() -> tuple[tuple[str | None, bytes], ...]:
    """Return the log of two patients: a setup that takes nothing unsigned, then frames and ticks by the second."""
    signer = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    keys = {signer.key_id: PublicKey(signer.public.hex(), ("setup", "tick", "command"))}
    setup = Setup("test", "fuzz", T0_NS, Settings(), {}, keys)
    log: list[tuple[str | None, bytes]] = [(None, signer.sign(setup))]
    for name in SCRIPTS:
        until = T0_NS + 60 * SECOND_NS
        log.append((name, signer.sign(Command(name, "nurse", "fuzz", f"n-{name}", T0_NS, until, Admit("icu", name)))))
    framers = {
        name: Framer(Heart(script, ("II",), 100.0).source(), name, T0_NS, 1.0) for name, script in SCRIPTS.items()
    }
    for second in range(SECONDS):
        for name, framer in framers.items():
            log.append((name, encode(framer.frame(second, second * framer.n, framer.n))))
        log.append((None, signer.sign(Tick("ticker", second, T0_NS + (second + 1) * SECOND_NS))))
    return tuple(log)


def decided(alert: Alert) -> Alert:
    """Return an alert without its place in the log."""
    source = msgspec.structs.replace(alert.source, first_offset=0, last_offset=0)
    return msgspec.structs.replace(alert, source=source, chain="")


def through(nonsense: Iterator[tuple[str | None, bytes]], per_record: int, batch: int = 256) -> Found:
    """Run the patients' log with so many records of nonsense behind each of theirs."""
    pipeline, offset, records, largest = Pipeline({}), 0, 0, 0
    alerts: list[Alert] = []
    waiting: list[Record] = []
    accepted = 0

    def feed() -> None:
        nonlocal largest, accepted
        out = pipeline.feed(waiting)
        accepted += out.frames
        alerts.extend(alert for _, value in out.alerts if (alert := decode_alert(value)).device in SCRIPTS)
        largest = max([largest, *(len(value or b"") for _, key, value in out.snapshots if key != b"*")])
        waiting.clear()

    for key, value in patients():
        theirs = [(key, value), *(item for item, _ in zip(nonsense, range(per_record), strict=False))]
        records += len(theirs) - 1
        for name, data in theirs:
            waiting.append(Record(0, offset, None if name is None else name.encode(), data, T0_NS))
            offset += 1
            if len(waiting) >= batch:
                feed()
    feed()
    return Found(records, accepted, [decided(alert) for alert in alerts], largest)


def nonsense(n: int, seed: int) -> Iterator[tuple[str | None, bytes]]:
    """Yield n mutants: of frames that a few devices send on and on, and of all other records."""
    draw = random.Random(seed)
    devices = [(name, draw.choice((1, 1, 2, 12)), draw.choice((100.0, 250.0, 1000.0))) for name in MUTANTS]
    seq = dict.fromkeys(MUTANTS, 0)
    done = 0
    while done < n:
        name, leads, rate_hz = draw.choice(devices)
        frames = [encode(frame(name, seq[name] + at, leads, round(0.1 * rate_hz), rate_hz)) for at in range(8)]
        seq[name] += 8
        for value in mutated(frames if draw.random() < 0.8 else good(), 16, draw.randrange(2**32)):
            yield (name if draw.random() < 0.95 else draw.choice((None, "", "x" * 300, name + "é"))), value
        for value in frames:  # good ones between them, so that what was taken in meets what follows
            yield name, value
        done += 24


def whole(n: int, seed: int = 0) -> dict[str, Any]:
    """Take n records of nonsense through the pipeline, again and again beside the same patients.

    Returns
    -------
    dict
        `records`, `accepted`, `neighbours_changed` (runs in which a patient's alerts were not what they are alone),
        `largest_snapshot_bytes` and `rss_growth_mb`.
    """
    alone = through(iter(()), 0).alerts
    through(nonsense(2000, seed + 1), 20)  # compiled, and what is kept for good is kept, before memory is looked at
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found: dict[str, Any] = {"records": 0, "accepted": 0, "neighbours_changed": 0, "largest_snapshot_bytes": 0}
    while found["records"] < n:
        most = min(n - found["records"], 20_000)
        one = through(nonsense(2 * most, seed + found["records"]), -(-most // len(patients())))
        found["records"] += one.records
        found["accepted"] += one.accepted
        found["neighbours_changed"] += one.alerts != alone
        found["largest_snapshot_bytes"] = max(found["largest_snapshot_bytes"], one.largest_snapshot)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found | {"rss_growth_mb": round((after - before) / 1024, 1)}
