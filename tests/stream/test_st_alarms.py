"""ST from samples to alerts: a step is alarmed in its lead after its minute, whatever the frames and restarts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import msgspec

from ecg.alert import Alert, decode_alert
from ecg.clinical import Limits, Settings
from ecg.frame import Action, Admit, ChangeLimits, Command, Input, Setup, Tick, encode
from simulators.bedside import Bedside
from simulators.fleet import merged
from simulators.heart import Heart
from stream.batch import Record
from stream.pipeline import Pipeline

T0_NS = 1_700_000_000_000_000_000
STEP_S, END_S, SECONDS = 40.0, 160.0, 270.0
SETUP = Setup("test", "test", T0_NS, Settings(), {"net": None}, unsigned=True)


@cache
def log(frame_s: float = 1.0, st_high_mv: float | None = None) -> tuple[Record, ...]:
    """One bed whose ST goes up by 0.35 mV in II for two minutes, and down again."""
    rate = {"rate_bpm": 75.0}
    up = ("sinus", END_S - STEP_S, {**rate, "st_mv": 0.35})
    heart = Heart([("sinus", STEP_S, rate), up, ("sinus", SECONDS - END_S, rate)], ("II", "V1"), 250.0, 2)
    entries: list[tuple[float, str, Input]] = [(-2.0, "", SETUP), (-1.0, "bed", _command(Admit("icu", "1"), "a"))]
    if st_high_mv is not None:
        entries.append((-0.5, "bed", _command(ChangeLimits(Limits(st_high_mv=st_high_mv)), "b")))
    entries += merged([Bedside("bed", heart.source(), T0_NS, frame_s, 0.0)], SECONDS)
    entries += [(s + 0.001, "", Tick("a", s, T0_NS + s * 10**9)) for s in range(int(SECONDS))]
    ordered = sorted(entries, key=lambda item: item[0])
    return tuple(Record(0, at, device.encode(), encode(entry)) for at, (_, device, entry) in enumerate(ordered))


def _command(do: Action, nonce: str) -> Command:
    return Command("bed", "nurse", "test", nonce, T0_NS, T0_NS + 60 * 10**9, do)


def run(records: Sequence[Record], restarts: Iterable[int] = ()) -> list[Alert]:
    """Return the alerts of ST; the pipeline is taken up anew from its rows at some places."""
    pipeline, alerts, first = Pipeline({}), [], 0
    for end in (*restarts, len(records)):
        alerts += [decode_alert(value) for _, value in pipeline.feed(records[first:end]).alerts]
        rows, pipeline, first = pipeline.snapshot(0), Pipeline({}), end
        assert pipeline.restore(0, rows) == end
    return [alert for alert in alerts if alert.condition.startswith("st_")]


def decided(alerts: Iterable[Alert]) -> list[Alert]:
    """Return alerts without what the cutting of frames changes: places in the log and the chain over them."""
    return [
        msgspec.structs.replace(
            alert, source=msgspec.structs.replace(alert.source, first_offset=0, last_offset=0), chain="", ordinal=0,
            decided_ns=0,
        )
        for alert in alerts
    ]  # fmt: skip


def test_a_step_of_st_is_alarmed_in_its_lead_after_its_minute_and_ends() -> None:
    start, end = run(log())
    assert (start.condition, start.phase, start.priority, start.evidence.leads) == (
        "st_high",
        "start",
        "medium",
        ("II",),
    )
    assert start.value is not None
    assert 0.28 < start.value < 0.36
    assert 60 < (start.decided_ns - T0_NS) / 1e9 - STEP_S < 90
    assert (end.phase, end.presence) == ("end", "off")
    assert 60 < (end.decided_ns - T0_NS) / 1e9 - END_S < 110


def test_neither_frames_nor_restarts_change_what_is_said() -> None:
    expected = run(log())
    assert run(log(), range(7, len(log()), 61)) == expected
    assert decided(run(log(frame_s=0.4))) == decided(expected)


def test_a_limit_of_the_patient_s_own_is_the_one_in_force() -> None:
    assert not run(log(st_high_mv=0.5))
    start = run(log(st_high_mv=0.1))[0]
    assert (start.limit, start.condition) == (0.1, "st_high")
