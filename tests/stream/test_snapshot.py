"""A partition that is put back anywhere goes on to the byte; rows are small, and of another schema are no crash."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg.alert import decode_alert
from ecg.clinical import Settings
from ecg.frame import MAX_LEAD_OFF, Admit, Command, Frame, Input, PublicKey, Setup, Tick, encode
from ecg.timeline import HELD_NS
from simulators.bedside import Framer
from simulators.heart import Heart
from stream import snapshot
from stream.batch import Out, Record
from stream.bed_state import merged
from stream.pipeline import Pipeline
from stream.signing import key_id
from stream.snapshot import PARTITION_KEY, SCHEMA, SchemaError
from stream.version import VERSION
from tests.stream.loud import Loud

T0_NS = 1_800_000_000_000_000_000
SECOND_NS = 1_000_000_000
SHA = "ab" * 32
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
DEVICES = {
    "vt": (("II", "V1"), 250.0, 0.5, [("sinus", 8, {}), ("ventricular_tachycardia", 9, {}), ("sinus", 9, {})]),
    "vf": (("II",), 360.0, 1.0, [("sinus", 9, {}), ("ventricular_fibrillation", 12, {}), ("sinus", 5, {})]),
    "flat": (LEADS[:3], 500.0, 0.25, [("sinus", 9, {}), ("asystole", 9, {}), ("sinus", 8, {})]),
}
SECONDS = 26


NET = Loud()


def setup(keys: int = 0) -> Setup:
    public = [bytes([n]) * 32 for n in range(keys)]
    named = {key_id(key): PublicKey(key.hex(), ("tick", "command", "setup", "seal")) for key in public}
    return Setup("test", "a story", T0_NS, Settings(), {"net": SHA}, named, unsigned=True)


def records(entries: Sequence[tuple[str | None, Input]], first: int = 0) -> list[Record]:
    return [
        Record(0, first + n, None if key is None else key.encode(), encode(entry))
        for n, (key, entry) in enumerate(entries)
    ]


@cache
def log() -> tuple[Record, ...]:
    """Three devices; frames of one of them come in the wrong order, and one of its frames is lost."""
    entries: list[tuple[float, str | None, Input]] = [(-1.0, None, setup())]
    admit = Command("vt", "nurse", "a story", "n1", T0_NS, T0_NS + 60 * SECOND_NS, Admit("icu", "7"))
    entries.append((0.7, "vt", admit))
    for name, (leads, rate_hz, frame_s, script) in DEVICES.items():
        framer = Framer(Heart(script, leads, rate_hz).source(), name, T0_NS, frame_s)
        for seq in range(round(SECONDS / frame_s)):
            late_s = 1.3 if name == "vt" and seq % 7 == 3 else 0.0
            if (name, seq) != ("vt", 24):
                entries.append((seq * frame_s + frame_s + late_s, name, framer.frame(seq, seq * framer.n, framer.n)))
    entries += [(s + 0.6, None, Tick("a", s, T0_NS + s * SECOND_NS)) for s in range(SECONDS)]
    return tuple(records([(key, entry) for _, key, entry in sorted(entries, key=lambda item: item[0])]))


def fed(pipeline: Pipeline, part: Sequence[Record]) -> list[tuple[object, ...]]:
    """Return all that comes of some records, taken one at a time."""
    return [_given(pipeline.feed([record])) for record in part]


def _given(out: Out) -> tuple[object, ...]:
    return out.alerts, out.vitals, out.seals, out.snapshots, out.checkpoints, out.dead, out.windows


def restored(rows: dict[bytes, bytes]) -> tuple[Pipeline, int | None]:
    pipeline = Pipeline({SHA: NET})
    return pipeline, pipeline.restore(0, rows)


@cache
def undisturbed() -> list[tuple[object, ...]]:
    return fed(Pipeline({SHA: NET}), log())


@settings(max_examples=12, deadline=None)
@given(st.integers(1, len(log()) - 1), st.integers(1, 60))
def test_a_partition_put_back_at_any_offset_goes_on_byte_for_byte(cut: int, then: int) -> None:
    one = Pipeline({SHA: NET})
    one.feed(log()[:cut])
    kept = one.snapshot(0)
    two, resume = restored(kept)
    assert resume == cut
    assert two.snapshot(0) == kept
    part = log()[cut : cut + then]
    assert fed(two, part) == fed(one, part)
    again = two.snapshot(0)
    assert again == one.snapshot(0)
    three, _ = restored(again)
    assert _given(three.feed(log()[cut + then :])) == _given(one.feed(log()[cut + then :]))


def test_the_story_has_something_to_lose() -> None:
    alerts = [decode_alert(value) for given in undisturbed() for _, value in given[0]]  # pyright: ignore
    raised = {(alert.device, alert.condition) for alert in alerts}
    wanted = {("vt", "ventricular_tachycardia"), ("vf", "ventricular_fibrillation"), ("flat", "asystole")}
    assert wanted | {("vt", "data_gap")} <= raised


@pytest.mark.parametrize(("leads", "limit"), [(LEADS[:2], 64_000), (LEADS, 512_000)])
@pytest.mark.parametrize("rate_hz", [100.0, 250.0, 1000.0])
def test_a_snapshot_stays_under_its_limit_in_fibrillation_with_frames_that_wait_and_electrodes_that_flicker(
    leads: tuple[str, ...], limit: int, rate_hz: float
) -> None:
    framer = Framer(Heart([("ventricular_fibrillation", 16, {})], leads, rate_hz).source(), "bed", T0_NS, 0.04)
    off = [(i % len(leads), i * 7 % (framer.n - 1), i * 7 % (framer.n - 1) + 1) for i in range(MAX_LEAD_OFF)]
    frames = [
        msgspec.structs.replace(framer.frame(seq, seq * framer.n, framer.n), lead_off=tuple(off))
        for seq in range(round(14 * rate_hz / framer.n))
    ]
    hole = round(11.9 * rate_hz / framer.n)
    pipeline = Pipeline({SHA: NET})
    pipeline.feed(records([(None, setup(keys=64)), *(("bed", frame) for frame in frames[:hole])]))
    most = 0
    for n, frame in enumerate(frames[hole + 1 :]):
        pipeline.feed([Record(0, hole + 1 + n, b"bed", encode(frame))])
        rows = pipeline.snapshot(0)
        most = max(most, len(rows[b"bed"]))
        assert restored(rows)[0].snapshot(0) == rows
        if (n + 2) * framer.n / rate_hz * SECOND_NS > HELD_NS:
            break
    assert 0.3 * limit < most < limit


@pytest.mark.parametrize(("leads", "limit"), [(LEADS[:2], 64_000), (LEADS, 512_000)])
def test_a_snapshot_stays_under_its_limit_with_as_many_beats_to_average_as_are_kept(
    leads: tuple[str, ...], limit: int
) -> None:
    framer = Framer(Heart([("sinus", 26, {})], leads, 250.0).source(), "bed", T0_NS, 1.0)
    frames = [framer.frame(seq, seq * framer.n, framer.n) for seq in range(26)]
    pipeline = Pipeline({SHA: NET})
    pipeline.feed(records([(None, setup(keys=64)), *(("bed", frame) for frame in frames[:22])]))
    few = len(pipeline.snapshot(0)[b"bed"])
    pipeline.feed(records([("bed", frame) for frame in frames[23:]], 23))
    rows = pipeline.snapshot(0)
    assert few < len(rows[b"bed"]) < limit
    assert restored(rows)[0].snapshot(0) == rows


def foreign(rows: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Return rows as another version would have written them."""
    heads = {key: snapshot.head(value) for key, value in rows.items()}
    return {
        key: msgspec.msgpack.encode(
            (SCHEMA + 1, "9.9", "m", head.covers, head.chain, head.links, head.devices, {"x": 1})
        )
        for key, head in heads.items()
    }


def test_snapshots_of_another_schema_are_refused_in_words() -> None:
    pipeline = Pipeline({SHA: NET})
    pipeline.feed(log()[:60])
    rows = foreign(pipeline.snapshot(0))
    words = f"snapshots must have schema {SCHEMA}, got {SCHEMA + 1}, by version 9.9: run that version, or derive"
    with pytest.raises(SchemaError, match=words):
        restored(rows)
    for broken in (b"", b"\x93\x01", msgspec.msgpack.encode((SCHEMA, VERSION, "m", 3, "", 0, (), {"x": 1}))):
        with pytest.raises(SchemaError, match="snapshots must have schema"):
            restored({**rows, PARTITION_KEY: broken})


@pytest.mark.parametrize("batch", [1, 7, 400])
def test_derived_anew_a_partition_gives_again_nothing_that_was_given(batch: int) -> None:
    cut = 90
    one = Pipeline({SHA: NET})
    one.feed(log()[:cut])
    rows = {**foreign(one.snapshot(0)), b"left": msgspec.msgpack.encode((SCHEMA - 1, "0.1", "m", 3))}
    two = Pipeline({SHA: NET})
    two.rebuild(0, rows, first=0)
    outs = [two.feed(log()[at : at + batch]) for at in range(0, len(log()), batch)]
    expected = [alert for given in undisturbed()[cut:] for alert in given[0]]  # pyright: ignore
    assert [alert for out in outs for alert in out.alerts] == expected
    assert not any(out.snapshots or out.checkpoints or out.dead for out in outs[: cut // batch])
    first = outs[cut // batch]
    assert not any(out.vitals for out in outs[: cut // batch])
    assert [key for _, key, _ in first.snapshots] == [b"flat", b"vt", b"vf", b"left", PARTITION_KEY]
    assert {key for _, key, value in first.snapshots if value is None} == {b"left"}
    assert first.checkpoints == [row for row in first.snapshots if row[2] is not None]
    one.feed(log()[cut:])
    assert two.snapshot(0) == one.snapshot(0)


@pytest.mark.parametrize("first", [0, 20])
def test_derived_anew_chains_go_on_and_devices_say_what_the_log_has_lost(first: int) -> None:
    one = Pipeline({SHA: NET})
    one.feed(log()[:90])
    rows = one.snapshot(0)
    two = Pipeline({SHA: NET})
    two.rebuild(0, foreign(rows), first)
    alerts = [decode_alert(value) for _, value in two.feed(log()[first:]).alerts]
    lost = [alert for alert in alerts if alert.condition == "data_loss" and alert.phase == "start"]
    assert {alert.device: alert.value for alert in lost} == (dict.fromkeys(DEVICES, first) if first else {})
    for name in DEVICES:
        assert next(alert.chain for alert in alerts if alert.device == name) == snapshot.head(rows[name.encode()]).chain


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(1, 9)), max_size=40))
def test_merged_runs_hold_the_same_samples_and_never_touch(drawn: list[tuple[int, int, int]]) -> None:
    runs = [(lead, first, first + n) for lead, first, n in drawn]
    one = merged(runs)
    assert {(a, k) for a, first, end in one for k in range(first, end)} == {
        (a, k) for a, first, end in runs for k in range(first, end)
    }
    assert one == sorted(one)
    assert all(a[0] != b[0] or a[2] < b[1] for a, b in pairwise(one))


def test_a_frame_that_waits_is_kept_whole() -> None:
    one = Pipeline({})
    framer = Framer(Heart([("sinus", 8, {})], ("II", "V1")).source(), "bed", T0_NS, 0.5)
    frames = [framer.frame(seq, seq * framer.n, framer.n) for seq in range(6)]
    odd = msgspec.structs.replace(frames[3], lead_off=((0, 3, 9), (1, 0, 50)), pacer=(4, 7))
    entries: list[tuple[str | None, Frame]] = [("bed", frame) for frame in (*frames[:2], odd)]
    one.feed(records(entries))
    two, _ = restored(one.snapshot(0))
    rest = records([("bed", frames[2]), ("bed", frames[4])], first=3)
    assert _given(two.feed(rest)) == _given(one.feed(rest))
    assert two.snapshot(0) == one.snapshot(0)
