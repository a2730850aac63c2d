"""The pipeline as a function of the log: the same alerts however the log is cut, batched, or taken up again."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
import pytest

from ecg.alert import Alert, decode_alert, decode_vitals
from ecg.alert import encode as encode_item
from ecg.clinical import Limits, Settings
from ecg.frame import (
    MISSING,
    Action,
    Admit,
    ChangeLimits,
    Command,
    Discharge,
    Frame,
    Input,
    Setup,
    Standby,
    Tick,
    encode,
)
from simulators.artefact import Artefact, disturb
from simulators.bedside import Bedside
from simulators.fleet import merged
from simulators.heart import Heart
from simulators.source import Source
from simulators.standard import paced
from stream.batch import Record
from stream.bed_technical import BAD_FRAMES
from stream.pipeline import Pipeline
from stream.placement import partition_of
from tests.stream.loud import Loud

T0_NS = 1_700_000_000_000_000_000
SHA = "ab" * 32
SETUP = Setup("test", "test", T0_NS, Settings(), {"net": SHA}, unsigned=True)


NET = Loud()


@pytest.fixture(scope="module")
def story() -> Source:
    script = [
        ("sinus", 15.0, {}),
        ("ventricular_tachycardia", 9.0, {}),
        ("sinus", 8.0, {}),
        ("asystole", 8.0, {}),
        ("sinus", 10.0, {}),
    ]
    return Heart(script, ("II", "V1"), 250.0, seed=3).source("story")


def entries(source: Source, frame_s: float = 0.5, seconds: float = 50.0, devices: int = 1) -> list[tuple[str, Input]]:
    """Return a ward's log: setup, admissions, then frames and ticks in the order of their time."""
    names = [f"monitor-{n}" for n in range(devices)]
    log: list[tuple[float, str, Input]] = [(-2.0, "", SETUP)]
    for n, name in enumerate(names):
        log.append((-1.0, name, _command(name, Admit("icu", f"bed-{n}"), f"admit-{n}")))
    frames = merged([Bedside(name, source, T0_NS, frame_s, 0.0) for name in names], seconds)
    log += [(due_s, device, frame) for due_s, device, frame in frames]
    log += [(s + 0.001, "", Tick("a", s, T0_NS + s * 10**9)) for s in range(int(seconds))]
    return [(device, entry) for _, device, entry in sorted(log, key=lambda item: item[0])]


def _command(device: str, do: Action, nonce: str, issued_ns: int = T0_NS) -> Command:
    return Command(device, "nurse", "test", nonce, issued_ns, issued_ns + 60 * 10**9, do)


def records(log: Iterable[tuple[str, Input | bytes]]) -> list[Record]:
    return [
        Record(0, offset, device.encode(), entry if isinstance(entry, bytes) else encode(entry))
        for offset, (device, entry) in enumerate(log)
    ]


def run(log: Sequence[Record], sizes: Iterable[int] = ()) -> list[bytes]:
    pipeline, alerts, sizes, at = Pipeline({SHA: NET}), [], iter(sizes), 0
    while at < len(log):
        size = next(sizes, 200)
        alerts += [value for _, value in pipeline.feed(log[at : at + size]).alerts]
        at += size
    return alerts


def starts(alerts: Iterable[bytes]) -> list[str]:
    return [a.condition for a in map(decode_alert, alerts) if a.phase == "start" and a.condition != "risk_level"]


def what_was_decided(value: bytes) -> Alert:
    """Return an alert without what may differ where the log was cut otherwise."""
    alert = decode_alert(value)
    source = msgspec.structs.replace(alert.source, first_offset=0, last_offset=0)
    return msgspec.structs.replace(alert, source=source, decided_ns=0, chain="", ordinal=0)


def test_a_run_of_vt_and_a_standstill_are_announced_once_each(story: Source) -> None:
    raised = starts(run(records(entries(story))))
    assert raised.count("ventricular_tachycardia") == 1
    assert raised.count("asystole") == 1


def test_batches_change_no_byte(story: Source) -> None:
    log = records(entries(story, devices=3))
    draw = random.Random(5)
    assert run(log, (draw.randint(1, 40) for _ in range(10_000))) == run(log, [len(log)])


@pytest.mark.parametrize("frame_s", [0.04, 0.25, 1.0, 2.0])
def test_the_cutting_into_frames_changes_no_alert(story: Source, frame_s: float) -> None:
    whole = [what_was_decided(value) for value in run(records(entries(story, 0.5, 48.0)))]
    cut = [what_was_decided(value) for value in run(records(entries(story, frame_s, 48.0)))]
    assert cut == whole


def test_a_bed_does_not_depend_on_its_neighbours(story: Source) -> None:
    together = [decode_alert(value) for value in run(records(entries(story, devices=4)))]
    alone = run(records(entries(story)))
    mine = [what_was_decided(msgspec.json.encode(a)) for a in together if a.device == "monitor-0"]
    assert mine == [what_was_decided(value) for value in alone]


@pytest.mark.parametrize("seed", range(6))
def test_a_worker_that_restores_emits_the_same_bytes_again(story: Source, seed: int) -> None:
    log = records(entries(story, devices=2))
    draw = random.Random(seed)
    undisturbed = run(log)
    pipeline, emitted, state, at = Pipeline({SHA: NET}), {}, {}, 0
    while at < len(log):
        size = draw.randint(1, 60)
        out = pipeline.feed(log[at : at + size])
        at += size
        emitted |= {decode_alert(value).id: value for _, value in out.alerts}
        if draw.random() < 0.9:  # else the crash comes before the snapshots are durable
            state |= {key: value for _, key, value in out.snapshots}
        if draw.random() < 0.2:
            pipeline = Pipeline({SHA: NET})
            at = pipeline.restore(0, state) or 0
    assert list(emitted.values()) == undisturbed


def test_a_poisoned_frame_is_a_dead_letter_and_its_neighbours_go_on(story: Source) -> None:
    log = entries(story)
    at = next(i for i, (_, entry) in enumerate(log) if isinstance(entry, Frame)) + 20
    poisoned = records([*log[:at], ("monitor-0", b"\xff not a record"), *log[at:]])
    out = Pipeline({SHA: NET}).feed(poisoned)
    assert [(record.offset, reason.split()[0]) for record, reason in out.dead] == [(at, "record")]
    assert [what_was_decided(value) for _, value in out.alerts] == [
        what_was_decided(value) for value in run(records(log))
    ]


def test_a_frame_under_another_devices_key_is_refused(story: Source) -> None:
    log = [("monitor-1", entry) if isinstance(entry, Frame) else (d, entry) for d, entry in entries(story)[:10]]
    out = Pipeline({SHA: NET}).feed(records(log))
    assert out.frames == 0
    assert all("key" in reason for _, reason in out.dead)


def test_a_record_in_another_partition_than_its_keys_is_refused(story: Source) -> None:
    pipeline = Pipeline({SHA: NET})
    pipeline.partitions = 4
    out = pipeline.feed(records(entries(story)[:10]))
    assert partition_of(b"monitor-0", 4) != 0
    assert out.frames == 0
    assert {reason.split()[0] for _, reason in out.dead} == {"partition"}


def test_silence_is_announced_by_the_wards_clock_and_ends_with_the_next_frame(story: Source) -> None:
    log = [item for item in entries(story) if not (isinstance(item[1], Frame) and 20 <= item[1].seq < 60)]
    alerts = [decode_alert(value) for value in run(records(log))]
    assert [(a.phase, a.presence) for a in alerts if a.condition == "no_data"] == [("start", "on"), ("end", "off")]


def test_frames_of_the_past_are_no_sign_of_life(story: Source) -> None:
    log = [item for item in entries(story) if not (isinstance(item[1], Frame) and item[1].seq >= 20)]
    stuck = next(entry for _, entry in log if isinstance(entry, Frame) and entry.seq == 5)
    for second in range(12, 40):
        at = next(i for i, (_, e) in enumerate(log) if isinstance(e, Tick) and e.seq == second)
        log.insert(at, ("monitor-0", stuck))
    assert "no_data" in starts(run(records(log)))


def test_a_silent_bed_has_neither_a_rate_nor_a_risk(story: Source) -> None:
    log = [item for item in entries(story) if not (isinstance(item[1], Frame) and item[1].seq >= 40)]
    out = Pipeline({SHA: NET}).feed(records(log))
    last = decode_vitals(out.vitals[-1][1])
    assert (last.rhythm, last.heart_rate_bpm, last.risk) == ("no data", None, None)


def test_a_setup_whose_weights_are_not_in_the_log_is_refused(story: Source) -> None:
    unknown = msgspec.structs.replace(SETUP, weights={"net": "cd" * 32})
    log = records([("", unknown), *entries(story)[1:10]])
    pipeline = Pipeline({})
    assert pipeline.missing_weights(log) == {"cd" * 32}
    assert "weights.net" in pipeline.feed(log).dead[0][1]


def test_without_a_network_each_bed_says_that_the_rules_stand_alone(story: Source) -> None:
    alone = msgspec.structs.replace(SETUP, weights={"net": None})
    raised = starts(run(records([("", alone), *entries(story)[1:]])))
    assert {"rules_alone", "ventricular_tachycardia", "asystole"} <= set(raised)


def test_a_command_is_carried_out_once_and_not_after_its_time(story: Source) -> None:
    limits = ChangeLimits(Limits(rate_high_bpm=150.0))
    log = entries(story)
    repeated = [*log[:30], ("monitor-0", _command("monitor-0", limits, "admit-0")), *log[30:]]
    later = [("", Tick("a", s, T0_NS + s * 10**9)) for s in (111, 112, 113)]
    expired = [*log, *later, ("monitor-0", _command("monitor-0", limits, "late"))]
    contrary = ChangeLimits(Limits(rate_low_bpm=100.0, rate_high_bpm=None))
    narrow = [*log[:30], ("monitor-0", _command("monitor-0", ChangeLimits(Limits(rate_high_bpm=60.0)), "n1"))]
    refused = [Pipeline({SHA: NET}).feed(records(each)).dead for each in (repeated, expired)]
    assert [[reason.split()[0] for _, reason in dead] for dead in refused] == [["nonce"], ["expires_ns"]]
    narrow.append(("monitor-0", _command("monitor-0", contrary, "n2")))
    assert len(Pipeline({SHA: NET}).feed(records(narrow)).dead) == 1


def test_a_clock_that_is_set_back_stops_no_alarm(story: Source) -> None:
    back_ns = 3600 * 10**9
    log = [
        (d, msgspec.structs.replace(e, t0_ns=e.t0_ns - back_ns) if isinstance(e, Frame) and e.seq >= 8 else e)
        for d, e in entries(story)
    ]
    raised = starts(run(records(log)))
    assert {"clock_skew", "ventricular_tachycardia", "asystole"} <= set(raised)


def test_a_bed_in_standby_shows_that_alone_and_alarms_again_afterwards(story: Source) -> None:
    log = entries(story)
    at = [next(i for i, (_, e) in enumerate(log) if isinstance(e, Frame) and e.seq == seq) for seq in (20, 60)]
    away, back = (("monitor-0", _command("monitor-0", Standby(on), f"standby-{on}")) for on in (True, False))
    out = Pipeline({SHA: NET}).feed(records([*log[: at[0]], away, *log[at[0] : at[1]], back, *log[at[1] :]]))
    raised = starts(value for _, value in out.alerts)
    assert "asystole" in raised
    assert "ventricular_tachycardia" not in raised
    shown = {decode_vitals(value).rhythm for _, value in out.vitals[12:25]}
    assert shown == {"standby"}


def test_a_discharged_device_that_falls_silent_is_missed_by_nobody(story: Source) -> None:
    log = [item for item in entries(story) if not (isinstance(item[1], Frame) and item[1].seq >= 20)]
    at = next(i for i, (_, e) in enumerate(log) if isinstance(e, Tick) and e.seq == 11)
    log.insert(at, ("monitor-0", _command("monitor-0", Discharge(), "discharge")))
    assert "no_data" not in starts(run(records(log)))


def test_a_ticker_that_runs_away_hides_no_silence(story: Source) -> None:
    log = [item for item in entries(story) if not (isinstance(item[1], Frame) and item[1].seq >= 40)]
    log.insert(30, ("", Tick("mad", 0, T0_NS + 86_400 * 10**9)))
    alerts = [decode_alert(value) for value in run(records(log))]
    assert [a.onset_ns > T0_NS + 15 * 10**9 for a in alerts if a.condition == "no_data"] == [True]


def test_silence_lifts_the_risk_that_was_low(story: Source) -> None:
    log = [item for item in entries(story) if not (isinstance(item[1], Frame) and item[1].seq >= 28)]
    log += [("", Tick("a", s, T0_NS + s * 10**9)) for s in range(50, 90)]
    levels = [a.risk for a in map(decode_alert, run(records(log))) if a.condition == "risk_level"]
    assert levels[-1] is not None
    assert levels[-1].level != "low"
    assert levels[-1].bad_signal


def test_a_heart_that_cannot_be_seen_is_said_aloud(story: Source) -> None:
    blank = np.full((2, 125), MISSING, "<i2").tobytes()
    log = [(d, msgspec.structs.replace(e, counts=blank) if isinstance(e, Frame) else e) for d, e in entries(story)]
    assert "cannot_analyse" in starts(run(records(log)))


def test_noise_on_every_lead_suspends_the_analysis_aloud_and_fibrillation_in_it_alarms_all_the_same() -> None:
    heart = Heart([("sinus", 60.0, {}), ("ventricular_fibrillation", 12.0, {})], ("II", "V1"), 250.0, seed=3)
    noisy = disturb(heart.source("noisy"), [Artefact("muscle", 10.0, 72.0, 0.4)])
    log = records(entries(noisy, seconds=72.0))
    pipeline, alerts, shown = Pipeline({SHA: NET}), [], {}
    for record in log:
        out = pipeline.feed([record])
        alerts += [decode_alert(value) for _, value in out.alerts]
        shown |= {vitals.time_ns: vitals for vitals in map(decode_vitals, (value for _, value in out.vitals))}
    begun = {a.condition: (a.onset_ns - T0_NS) / 1e9 for a in reversed(alerts) if a.phase == "start"}
    assert 18.0 <= begun["artefact"] <= 24.0
    assert 28.0 <= begun["artefact_suspended"] <= 34.0
    assert begun["ventricular_fibrillation"] >= 58.0
    suspended = [each for t_ns, each in shown.items() if 36.0 <= (t_ns - T0_NS) / 1e9 < 58.0]
    assert len(suspended) >= 20
    assert {(each.heart_rate_bpm, each.rhythm) for each in suspended} == {(None, "artefact")}


@pytest.mark.parametrize("has_pacer", [True, False])
def test_a_pacer_whose_spikes_evoke_nothing_is_told_of_a_patient_who_has_one(has_pacer: bool) -> None:
    given = paced(2.0, 1.0, beats=False, seconds=26.0)
    log = [(d, e) for d, e in entries(given.source, seconds=26.0) if not isinstance(e, Command)]
    admit = _command("monitor-0", Admit("icu", "bed-0", paced=has_pacer), "admit")
    raised = [decode_alert(value) for value in run(records([log[0], ("monitor-0", admit), *log[1:]]))]
    said = [a for a in raised if a.condition == "pacer_not_capturing" and a.phase == "start"]
    assert len(said) == has_pacer
    assert all(a.onset_ns - T0_NS == pytest.approx(given.onset_s * 1e9, abs=5e7) for a in said)
    assert "asystole" in starts(map(encode_item, raised))


def test_a_device_that_starts_anew_every_few_seconds_is_said_to_be_unseen(story: Source) -> None:
    log = [
        (d, msgspec.structs.replace(e, session=f"s{e.seq // 6}", seq=e.seq % 6) if isinstance(e, Frame) else e)
        for d, e in entries(story)
    ]
    assert "cannot_analyse" in starts(run(records(log)))


@pytest.mark.parametrize("seed", range(4))
def test_a_long_gap_and_what_ends_it_give_the_same_bytes_in_one_batch_or_many(story: Source, seed: int) -> None:
    log = [item for item in entries(story) if not (isinstance(item[1], Frame) and 30 <= item[1].seq < 62)]
    draw = random.Random(seed)
    assert run(records(log), (draw.randint(1, 60) for _ in range(10_000))) == run(records(log), [len(log)])


def test_after_a_kill_the_weights_of_beds_that_lag_behind_a_setup_are_asked_for(story: Source) -> None:
    other = "cd" * 32
    log = entries(story)
    at = next(i for i, (_, e) in enumerate(log) if isinstance(e, Frame) and e.seq == 12)
    change = ("", msgspec.structs.replace(SETUP, issued_ns=T0_NS + 1, weights={"net": other}))
    log = records([*log[:at], change, *log[at:]])
    nets = {SHA: NET, other: NET}
    whole = [value for _, value in Pipeline(nets).feed(log).alerts]
    first = Pipeline(nets)
    state = {key: value for _, key, value in first.feed(log[: at - 4]).snapshots if value is not None}
    state |= {key: value for _, key, value in first.feed(log[at - 4 : at + 2]).snapshots if value and key == b"*"}
    after = Pipeline(nets)
    resumed = after.restore(0, state) or 0
    assert after.missing_weights([]) == set()
    unloaded = Pipeline({other: NET})
    unloaded.restore(0, state)
    assert unloaded.missing_weights([]) == {SHA}
    assert decode_alert(whole[-1]).weights_sha256 == (other,)
    again = [value for _, value in after.feed(log[resumed:]).alerts]
    assert whole[-len(again) :] == again


def test_the_next_patient_does_not_inherit_the_last_ones_heart(story: Source) -> None:
    log = entries(story)
    at = next(i for i, (_, e) in enumerate(log) if isinstance(e, Frame) and e.seq == 54)
    moved = ("monitor-0", _command("monitor-0", Admit("icu", "bed-9"), "next"))
    alerts = [decode_alert(value) for value in run(records([*log[:at], moved, *log[at:]]))]
    next_patient = [a for a in alerts if a.bed == "bed-9"]
    risk = next(a for a in next_patient if a.condition == "risk_level")
    assert (risk.phase, risk.n) == ("start", 0)
    assert "ventricular_tachycardia" not in {a.condition for a in next_patient}


def test_the_network_is_shown_ten_seconds_every_two(story: Source) -> None:
    out = Pipeline({SHA: NET}).feed(records(entries(story)))
    clean_s = 49.9 - 0.5
    assert abs(out.windows - (1 + (clean_s - 10) // 2)) <= 1


def test_ever_new_names_take_bounded_room_and_disturb_nobody(story: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    log = entries(story, devices=2)
    first = next(entry for _, entry in log if isinstance(entry, Frame))
    strangers = [(f"x-{n}", msgspec.structs.replace(first, device=f"x-{n}")) for n in range(3 * BAD_FRAMES)]
    at = next(at for at, (_, entry) in enumerate(log) if isinstance(entry, Tick) and entry.time_ns > T0_NS + 5 * 10**9)
    flooded = records([*log[:at], *strangers, *log[at:]])
    undisturbed = [what_was_decided(value) for value in run(records(log))]
    monkeypatch.setattr("stream.pipeline.MOST_DEVICES", 2)
    pipeline, state, given, dead, stopped = Pipeline({SHA: NET}), {}, {}, [], set()
    for number, cut in enumerate(range(0, len(flooded), 50)):
        out = pipeline.feed(flooded[cut : cut + 50])
        given |= {decode_alert(value).id: what_was_decided(value) for _, value in out.alerts}
        dead, stopped = dead + out.dead, stopped | out.stopped
        if number % 3:  # else the snapshots are lost
            state |= {key: value for _, key, value in out.snapshots}
        if number % 5 == 4:
            pipeline = Pipeline({SHA: NET})
            again = pipeline.restore(0, state) or 0
            pipeline.feed(flooded[again : cut + 50])
    assert list(given.values()) == undisturbed
    assert len({record.offset for record, _ in dead}) == BAD_FRAMES
    assert all(reason.startswith("device must be one of the 2") for _, reason in dead)
    assert not stopped
