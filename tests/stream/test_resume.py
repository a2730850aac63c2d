"""Killed anywhere and restored from what was durable, the pipeline gives the same alerts, to the byte."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import cache

import pytest

from ecg.alert import decode_alert
from ecg.clinical import Settings
from ecg.frame import Admit, Command, Input, Setup, Tick, encode
from simulators.bedside import Framer
from simulators.heart import Heart
from stream.batch import Out, Record
from stream.pipeline import Pipeline

T0_NS = 1_800_000_000_000_000_000
SECOND_NS = 1_000_000_000
SECONDS = 34
SCRIPTS = {
    "vt": [("sinus", 10, {}), ("ventricular_tachycardia", 12, {}), ("sinus", 12, {})],
    "flat": [("sinus", 10, {}), ("asystole", 12, {}), ("sinus", 12, {})],
    "stops": [("sinus", SECONDS, {})],
}
PARTITION = {"vt": 0, "flat": 0, "stops": 1}

Durable = dict[int, dict[bytes, bytes]]


def entries() -> Iterator[tuple[int, bytes | None, Input]]:
    """What goes into each of two partitions, second by second."""
    setup = Setup("test", "a story", T0_NS, Settings(), unsigned=True)
    yield from ((partition, None, setup) for partition in (0, 1))
    yield 0, b"vt", Command("vt", "nurse", "a story", "n1", T0_NS, T0_NS + 60 * SECOND_NS, Admit("icu", "7"))
    framers = {name: Framer(Heart(script).source(), name, T0_NS, 1.0) for name, script in SCRIPTS.items()}
    for second in range(SECONDS):
        for name, framer in framers.items():
            if name != "stops" or second < 15:
                yield PARTITION[name], name.encode(), framer.frame(second, second * framer.n, framer.n)
        for partition in (0, 1):
            yield partition, None, Tick("ticker", second, T0_NS + (second + 1) * SECOND_NS)


@cache
def log() -> tuple[Record, ...]:
    ends = [0, 0]
    records = []
    for partition, key, entry in entries():
        records.append(Record(partition, ends[partition], key, encode(entry)))
        ends[partition] += 1
    return tuple(records)


def alerts_of(out: Out) -> dict[str, bytes]:
    return {decode_alert(value).id: value for _, value in out.alerts}


@cache
def undisturbed() -> dict[str, bytes]:
    return alerts_of(Pipeline({}).feed(log()))


class _Run:
    """A worker on the log, with what it left behind when it was killed."""

    def __init__(self) -> None:
        self.pipeline = Pipeline({})
        self.todo = list(log())
        self.given: dict[str, bytes] = {}
        self.durable: Durable = {0: {}, 1: {}}
        self.before: Durable = {0: {}, 1: {}}

    def batch(self, size: int, *, snapshots: bool) -> None:
        """Feed a batch: alerts are always durable; killed right after them, its snapshots are not."""
        batch, self.todo = self.todo[:size], self.todo[size:]
        out = self.pipeline.feed(batch)
        for alert, value in alerts_of(out).items():
            assert self.given.setdefault(alert, value) == value, "emitted again, an alert has the same bytes"
        if snapshots:
            self.before = {partition: dict(rows) for partition, rows in self.durable.items()}
            for partition, key, value in out.snapshots:
                if value is None:
                    self.durable[partition].pop(key, None)
                else:
                    self.durable[partition][key] = value

    def restart(self, *, zombie: bool) -> None:
        """Restore another worker; a zombie has written the snapshots of a moment ago over the newest ones."""
        if zombie:
            for partition, rows in self.before.items():
                self.durable[partition].update(rows)
        self.pipeline = Pipeline({})
        resume = {partition: self.pipeline.restore(partition, rows) or 0 for partition, rows in self.durable.items()}
        self.todo = [record for record in log() if record.offset >= resume[record.partition]]


@pytest.mark.parametrize("seed", range(24))
def test_killed_anywhere_and_restored_the_pipeline_gives_the_same_alerts(seed: int) -> None:
    rng, run = random.Random(seed), _Run()
    while run.todo:
        killed = rng.random() < 0.15
        run.batch(rng.choice((1, 2, 4, 9, 30)), snapshots=not (killed and rng.random() < 0.5))
        if killed:
            run.restart(zombie=rng.random() < 0.3)
    assert run.given == undisturbed()


def test_the_story_has_something_to_lose() -> None:
    raised = {(a.device, a.condition) for a in map(decode_alert, undisturbed().values()) if a.phase == "start"}
    assert {("vt", "ventricular_tachycardia"), ("flat", "asystole"), ("stops", "no_data")} <= raised
