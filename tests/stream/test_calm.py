"""Beds with a calm heart are told together: no byte that comes out says so."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from ecg.clinical import Limits, Settings
from ecg.frame import Admit, ChangeLimits, Command, Discharge, Input, Pause, Setup, Standby, Tick, encode
from ecg.rhythm_rows import CalmHearts
from simulators.bedside import Bedside
from simulators.fleet import merged
from simulators.heart import Heart
from simulators.schedule import Segment
from stream.batch import Record
from stream.bed import Bed
from stream.pipeline import Pipeline
from tests.stream.loud import Loud

T0_NS = 1_700_000_000_000_000_000
SECONDS = 100
SHA = "ab" * 32
NET = Loud()
RUN, STILL = ("ventricular_tachycardia", 8, {}), ("asystole", 7, {})
SCRIPTS: dict[str, list[Segment]] = {
    "calm": [("sinus", 100, {"rate_bpm": 71})],
    "run": [("sinus", 30, {}), RUN, ("sinus", 62, {"rate_bpm": 80})],
    "still": [("sinus", 45, {"rate_bpm": 65}), STILL, ("sinus", 48, {})],
    "pvcs": [("sinus", 25, {}), ("pvcs", 30, {"every": 3}), ("sinus", 45, {})],
    "change": [("sinus", 30, {"rate_bpm": 60}), ("sinus", 30, {"rate_bpm": 118}), ("sinus", 40, {"rate_bpm": 52})],
    "uneven": [("sinus", 40, {}), ("atrial_fibrillation", 40, {}), ("sinus", 20, {})],
    "pulse": [("sinus", 35, {}), STILL, ("sinus", 58, {})],
}
SETUPS = {
    0: Setup("test", "test", T0_NS, Settings(), {"net": SHA}, unsigned=True),
    35: Setup(
        "test", "test", T0_NS + 1, Settings(rate_high_bpm=100.0, pvcs_per_minute=4.0), {"net": SHA}, unsigned=True
    ),
    60: Setup("test", "test", T0_NS + 2, Settings(rate_low_bpm=40.0), {"net": None}, unsigned=True),
    85: Setup("test", "test", T0_NS + 3, Settings(), {"net": SHA}, unsigned=True),
}


def entries() -> Iterator[tuple[str, Input]]:
    """Give a ward's log: hearts that are calm at times, staff at work, setups, a device that is silent for a while."""
    devices = []
    for n, (name, script) in enumerate(SCRIPTS.items()):
        leads = ("II", "PLETH") if name == "pulse" else ("II", "V1")
        source = Heart(script, leads, (250.0, 360.0)[n % 2], n, 0.02).source(name)
        devices.append(Bedside(name, source, T0_NS, (0.25, 1.0)[n % 2], 0.1 * n))
    frames = list(merged(devices, SECONDS))
    draw, nonce = random.Random(1), 0
    for second in range(SECONDS):
        if second in SETUPS:
            yield "", SETUPS[second]
        for name in SCRIPTS:
            if second % 10 == 5 and draw.random() < 0.25:
                deeds = [Admit("icu", name, 70, None, paced=name == "still"), Discharge(), Pause(10), Standby(True)]
                do = draw.choice([*deeds, Standby(False), ChangeLimits(Limits(rate_high_bpm=75.0)), Admit("icu", name)])
                at_ns, nonce = T0_NS + second * 10**9, nonce + 1
                yield name, Command(name, "nurse", "test", str(nonce), at_ns, at_ns + 60 * 10**9, do)
        silent = second in range(50, 58)
        yield from (
            (name, frame) for due_s, name, frame in frames if int(due_s) == second and not (silent and name == "run")
        )
        yield "", Tick("a", second, T0_NS + second * 10**9)


@pytest.fixture(scope="module")
def log() -> list[Record]:
    return [Record(0, offset, name.encode(), encode(entry)) for offset, (name, entry) in enumerate(entries())]


def given(log: list[Record], most: int, restored: int) -> list[object]:
    """Return all that comes out, in batches of at most so many records, and now and then from rows put back."""
    draw, pipeline, out, at = random.Random(most), Pipeline({SHA: NET}), [], 0
    while at < len(log):
        size = draw.randint(1, most)
        found = pipeline.feed(log[at : at + size])
        out += [found.alerts, found.vitals, found.snapshots, found.checkpoints, found.seals, found.dead]
        at += size
        if restored and draw.random() < 1 / restored:
            rows, pipeline = pipeline.snapshot(0), Pipeline({SHA: NET})
            pipeline.restore(0, rows)
            out.append(rows)
    return [*out, pipeline.snapshot(0)]


@pytest.mark.parametrize(("most", "restored"), [(30, 0), (30, 20), (400, 0)])
def test_what_comes_out_is_the_same_to_the_byte_where_the_rules_are_asked_at_each_step(
    log: list[Record], most: int, restored: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    step = Bed._calm_step
    monkeypatch.setattr(Bed, "_calm_step", lambda self, end: (steps.append(self.device), step(self, end)))
    told = given(log, most, restored)
    assert len(steps) > SECONDS
    assert set(steps) == SCRIPTS.keys() - {"still", "pulse"}  # of a pacer, and with a pulse: left to the rules

    monkeypatch.setattr(CalmHearts, "enter", lambda *_: None)
    assert given(log, most, restored) == told
