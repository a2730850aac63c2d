"""A lethal alarm that a pulse withholds is on record with its reason, and neither sounds nor shows."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg.alert import Alert, decode_alert, decode_vitals
from ecg.clinical import Settings
from ecg.condition import LETHAL
from ecg.frame import Admit, Command, Setup, Tick, encode
from simulators.bedside import Framer
from simulators.heart import Heart
from simulators.source import Source
from stream.batch import Record
from stream.pipeline import Pipeline

T0_NS = 1_800_000_000_000_000_000
SECOND_NS = 1_000_000_000
SECONDS, SILENT = 44, (24.0, 34.0)
SETUP = Setup("test", "a story", T0_NS, Settings(), {}, unsigned=True)


def heart(leads: Sequence[str] = ("II", "V1", "PLETH", "ABP"), rate_hz: float = 250.0) -> Source:
    """A heart whose ECG is lost for ten seconds, flat, while it beats on."""
    source = Heart([("sinus", SECONDS + 2, {})], leads, rate_hz, seed=5).source()
    counts = source.counts.copy()
    rows = [row for row, lead in enumerate(source.leads) if lead.kind == "ecg"]
    counts[rows, round(SILENT[0] * rate_hz) : round(SILENT[1] * rate_hz)] = 0
    return dataclasses.replace(source, counts=counts)


def without_pulse_from(source: Source, at_s: float) -> Source:
    counts = source.counts.copy()
    rows = [row for row, lead in enumerate(source.leads) if lead.kind != "ecg"]
    counts[rows, round(at_s * source.rate_hz) :] = counts[rows, round(at_s * source.rate_hz)][:, None]
    return dataclasses.replace(source, counts=counts)


def log(source: Source, frame_s: float = 1.0) -> list[Record]:
    framer = Framer(source, "monitor", T0_NS, frame_s)
    admit = Command("monitor", "nurse", "test", "n", T0_NS, T0_NS + 60 * SECOND_NS, Admit("icu", "3"))
    entries: list[tuple[str, bytes]] = [("", encode(SETUP)), ("monitor", encode(admit))]
    for n in range(round(SECONDS / frame_s)):
        entries.append(("monitor", encode(framer.frame(n, n * framer.n, framer.n))))
        if (n + 1) * frame_s % 1 == 0:
            entries.append(("", encode(Tick("a", n, T0_NS + round((n + 1) * frame_s) * SECOND_NS))))
    return [Record(0, offset, key.encode(), value) for offset, (key, value) in enumerate(entries)]


def run(records: Sequence[Record], cuts: Sequence[int] = (), *, moved: bool = False) -> list[bytes]:
    pipeline, alerts = Pipeline({}), []
    for first, end in itertools.pairwise(sorted({0, len(records), *cuts})):
        alerts += [value for _, value in pipeline.feed(records[first:end]).alerts]
        if moved:
            kept, pipeline = pipeline.snapshot(0), Pipeline({})
            pipeline.restore(0, kept)
            assert pipeline.snapshot(0) == kept
    return alerts


def of(alerts: Sequence[bytes], *phases: str, condition: str = "") -> list[Alert]:
    decoded = [decode_alert(value) for value in alerts]
    wanted = (condition,) if condition else LETHAL
    return [each for each in decoded if each.condition in wanted and each.phase in phases]


def event_s(alert: Alert) -> float:
    return (alert.decided_ns - T0_NS) / SECOND_NS


@pytest.mark.parametrize("rate_hz", [250.0, 500.0])
def test_a_lost_ecg_with_a_pulse_is_on_record_once_and_does_not_alarm(rate_hz: float) -> None:
    alerts = run(log(heart(rate_hz=rate_hz)))
    assert of(alerts, "start") == []
    (said,) = of(alerts, "suppressed", condition="asystole")
    assert (said.condition, said.presence, said.ward, said.bed, said.n) == ("asystole", "off", "icu", "3", 0)
    assert "; withheld: pulse of " in said.evidence.trace
    assert said.evidence.strip[0] <= said.onset_ns - 6 * SECOND_NS
    assert said.evidence.strip[1] >= said.decided_ns + 4 * SECOND_NS
    assert SILENT[0] + 4 < event_s(said) < SILENT[0] + 6


def test_while_it_is_withheld_the_board_shows_neither_rate_nor_rhythm_nor_alarm() -> None:
    shown = [decode_vitals(value) for _, value in Pipeline({}).feed(log(heart())).vitals]
    during = [each for each in shown if T0_NS + 30 * SECOND_NS <= each.time_ns <= T0_NS + 33 * SECOND_NS]
    assert during
    assert {(each.heart_rate_bpm, each.rhythm) for each in during} == {(None, "unknown")}
    assert not any(set(each.alarms) & {*LETHAL, "rate_low"} for each in during)


def test_without_pulse_leads_the_same_ecg_alarms() -> None:
    alerts = run(log(heart(("II", "V1"))))
    assert len(of(alerts, "start", condition="asystole")) == 1
    assert of(alerts, "suppressed") == []


@pytest.mark.parametrize("rhythm", ["asystole", "ventricular_fibrillation", "ventricular_tachycardia"])
def test_a_lethal_rhythm_alarms_as_if_there_were_no_pulse_lead(rhythm: str) -> None:
    script = [("sinus", 24.0, {}), (rhythm, 10.0, {}), ("sinus", 20.0, {})]
    times = []
    for leads in (("II", "V1", "PLETH", "ABP"), ("II", "V1")):
        alerts = run(log(Heart(script, leads, 250.0, seed=5).source()))
        times.append([(each.condition, each.decided_ns) for each in of(alerts, "start", "suppressed")])
    assert times[0] == times[1]
    assert rhythm in dict(times[0])


def test_what_was_withheld_alarms_at_once_when_the_pulse_goes_too() -> None:
    alerts = run(log(without_pulse_from(heart(), 29.0)))
    (said,), (start,) = (of(alerts, phase, condition="asystole") for phase in ("suppressed", "start"))
    assert 29.0 < event_s(start) < 33.0
    assert said.episode != start.episode


@settings(max_examples=8, deadline=None)
@given(
    frame_s=st.sampled_from([0.2, 0.5, 2.0]),
    cuts=st.lists(st.integers(1, 100), max_size=4),
    moved=st.booleans(),
)
def test_withheld_alarms_are_the_same_however_the_stream_is_cut_batched_or_taken_up_again(
    frame_s: float, cuts: list[int], moved: bool
) -> None:
    def seen(alerts: list[bytes]) -> list[tuple[object, ...]]:
        decoded = [decode_alert(value) for value in alerts]
        return [(a.condition, a.phase, a.onset_ns, a.value, a.evidence, a.episode, a.n, a.text) for a in decoded]

    source = without_pulse_from(heart(), 31.0)
    assert seen(run(log(source, frame_s), cuts, moved=moved)) == seen(run(log(source)))
