"""Chains and seals, and what is forgotten: the same however the log is batched, killed or taken up again."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from functools import cache

import msgspec
import pytest

from ecg.alert import Alert, chain_command, chain_hash, decode_alert
from ecg.clinical import Settings
from ecg.frame import Action, Admit, Command, Discharge, Pause, Setup, Tick, decode, encode
from simulators.bedside import Framer
from simulators.heart import Heart
from stream import seal
from stream.batch import Out, Record
from stream.bed_technical import BAD_FRAMES
from stream.pipeline import QUARANTINED_EVERY, Pipeline
from stream.snapshot import MissingRowError, check_rows

T0_NS = 1_800_000_000_000_000_000  # a whole minute
SECOND_NS = 10**9
SECONDS = 330
SETUP = Setup("test", "a ward", T0_NS, Settings(), unsigned=True)


def command(device: str, do: Action, second: int) -> Command:
    now_ns = T0_NS + second * SECOND_NS
    return Command(device, "nurse", "test", f"{device}-{second}", now_ns, now_ns + 60 * SECOND_NS, do)


@cache
def log() -> tuple[Record, ...]:
    """Two beds over five minutes; `leaves` is discharged after 70 s, ends, and comes back after four minutes."""
    entries: list[tuple[bytes | None, bytes]] = [(None, encode(SETUP))]
    entries.append((b"stays", encode(command("stays", Admit("icu", "1"), 0))))
    entries.append((b"leaves", encode(command("leaves", Admit("icu", "2"), 0))))
    heart = Heart([("sinus", 20, {}), ("asystole", 10, {}), ("sinus", 300, {})], ("II",), 100.0).source()
    stays, leaves = Framer(heart, "stays", T0_NS, 1.0), Framer(heart, "leaves", T0_NS, 1.0)
    for second in range(SECONDS):
        entries.append((b"stays", encode(stays.frame(second, second * stays.n, stays.n))))
        if second < 69 or second >= 240:
            entries.append((b"leaves", encode(leaves.frame(second, second * leaves.n, leaves.n))))
        if second == 69:
            entries.append((b"leaves", encode(command("leaves", Discharge(), second))))
        if second == 100:
            entries.append((b"stays", encode(command("stays", Pause(60), second))))
        entries.append((None, encode(Tick("a", second, T0_NS + (second + 1) * SECOND_NS))))
    return tuple(Record(0, offset, key, value) for offset, (key, value) in enumerate(entries))


def together(outs: Iterable[Out]) -> Out:
    whole = Out()
    for out in outs:
        whole.alerts += out.alerts
        whole.seals += out.seals
        whole.snapshots += out.snapshots
    return whole


@cache
def undisturbed() -> Out:
    pipeline = Pipeline({})
    return together(pipeline.feed(log()[at : at + 2]) for at in range(0, len(log()), 2))


def seals(out: Out) -> list[seal.Seal]:
    return [seal.decode(body) for _, body in out.seals]


def alerts(out: Out, device: str) -> list[tuple[Alert, bytes]]:
    return [(decode_alert(value), value) for key, value in out.alerts if key == device.encode()]


def test_every_minute_of_the_wards_time_has_one_seal_and_each_names_the_one_before() -> None:
    found, bodies = seals(undisturbed()), [body for _, body in undisturbed().seals]
    assert [(s.time_ns - T0_NS) // SECOND_NS for s in found] == [60, 120, 180, 240, 300]
    assert [s.n for s in found] == [0, 1, 2, 3, 4]
    assert [s.previous for s in found] == ["", *map(seal.seal_hash, bodies[:-1])]


def test_the_heads_are_reached_by_the_alerts_and_commands_before_them() -> None:
    commands = {r.offset: r.value for r in log() if r.key == b"stays" and b"command" in r.value[:20]}
    links = [(alert.source.last_offset, 1 + alert.ordinal, value) for alert, value in alerts(undisturbed(), "stays")]
    links += [(offset, 0, value) for offset, value in commands.items()]
    assert len(commands) == 2
    for sealed in seals(undisturbed()):
        head, count = "", 0
        for offset, place, value in sorted(links):
            if offset < sealed.offset:
                head, count = (chain_hash(value) if place else chain_command(head, value)), count + 1
        assert sealed.heads["stays"] == seal.Head(count, head, commands=sealed.heads["stays"].commands)
    assert sum(len(sealed.heads["stays"].commands) for sealed in seals(undisturbed())) == 2


def test_a_discharged_device_is_forgotten_with_its_seal_and_begins_anew_when_it_comes_back() -> None:
    ends = [s.heads["leaves"].ended if "leaves" in s.heads else None for s in seals(undisturbed())]
    assert ends == [False, False, True, None, False]
    tombstones = [key for _, key, value in undisturbed().snapshots if value is None]
    assert tombstones == [b"leaves"]
    reborn = [alert for alert, _ in alerts(undisturbed(), "leaves") if alert.onset_ns > T0_NS + 230 * SECOND_NS]
    assert reborn[0].chain == ""
    assert reborn[0].ward == "unassigned"


def test_a_device_that_alarms_or_has_a_patient_is_not_forgotten() -> None:
    silent = [r for r in log() if not (r.key == b"stays" and r.offset > 100)]
    entries = [Record(0, offset, r.key, r.value) for offset, r in enumerate(silent)]
    found = seals(Pipeline({}).feed(entries))
    assert [s.heads["stays"].ended for s in found] == [False] * 5


@pytest.mark.parametrize("size", [1, 7, 100, 2000])
def test_batches_change_no_byte_of_alerts_and_seals(size: int) -> None:
    pipeline = Pipeline({})
    out = together(pipeline.feed(log()[at : at + size]) for at in range(0, len(log()), size))
    assert sorted(out.alerts) == sorted(undisturbed().alerts)
    assert out.seals == undisturbed().seals


@pytest.mark.parametrize("seed", range(12))
def test_killed_anywhere_and_restored_every_seal_comes_again_the_same_or_not_at_all(seed: int) -> None:
    rng, todo, pipeline = random.Random(seed), list(log()), Pipeline({})
    rows: dict[bytes, bytes] = {}
    given: dict[str, bytes] = {}
    sealed: list[bytes] = []
    while todo:
        size = rng.choice((1, 3, 10, 40, 200))
        batch, todo = todo[:size], todo[size:]
        out = pipeline.feed(batch)
        killed = rng.random() < 0.15
        for _, value in out.alerts:
            assert given.setdefault(decode_alert(value).id, value) == value
        for _, body in out.seals:
            n = seal.decode(body).n
            assert n <= len(sealed)
            assert sealed[n : n + 1] in ([], [body])
            sealed[n : n + 1] = [body]
        written = [] if killed and rng.random() < 0.5 else out.snapshots[: rng.randint(0, 99) if killed else None]
        for _, key, value in written:
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
        if killed:
            pipeline = Pipeline({})
            resume = pipeline.restore(0, rows, sealed[-1] if sealed else None) or 0
            todo = [record for record in log() if record.offset >= resume]
    assert given == {decode_alert(value).id: value for _, value in undisturbed().alerts}
    assert sealed == [body for _, body in undisturbed().seals]


def rows_before(second: int, device: bytes) -> tuple[dict[bytes, bytes], bytes]:
    """The rows as of a second's tick, and the last one of a device from the first hundred records."""
    pipeline, rows, older = Pipeline({}), {}, b""
    end = next(r.offset for r in log() if decode(r.value) == Tick("a", second, T0_NS + (second + 1) * SECOND_NS))
    for at in range(0, end, 10):
        for _, key, value in pipeline.feed(log()[at : min(end, at + 10)]).snapshots:
            if value is None:
                rows.pop(key)
            else:
                rows[key] = value
                older = value if key == device and at < 100 else older
    return rows, older


def test_a_device_that_was_forgotten_does_not_begin_again_where_another_is_taken_up_from_an_older_row() -> None:
    rows, older = rows_before(200, b"stays")
    assert b"leaves" not in rows
    after = Pipeline({})
    resume = after.restore(0, {**rows, b"stays": older}, undisturbed().seals[2][1]) or 0
    assert resume < 110
    out = after.feed(log()[resume:])
    given = {decode_alert(value).id: value for _, value in undisturbed().alerts}
    again = {decode_alert(value).id: value for _, value in out.alerts}
    assert len(again) > 3
    assert {id: value for id, value in again.items() if given.get(id) != value} == {}


def test_a_device_that_came_back_goes_on_where_it_is_taken_up_from_a_row_of_its_earlier_life() -> None:
    rows, earlier = rows_before(250, b"leaves")
    assert rows[b"leaves"] != earlier
    after = Pipeline({})
    resume = after.restore(0, {**rows, b"leaves": earlier}, undisturbed().seals[3][1]) or 0
    assert resume < 110
    assert together([after.feed(log()[resume:])]).seals[-1] == undisturbed().seals[-1]
    assert "leaves" in seals(undisturbed())[-1].heads


def test_a_partition_whose_row_names_a_device_without_a_row_is_not_taken_up() -> None:
    pipeline = Pipeline({})
    rows = {key: value for _, key, value in pipeline.feed(log()[:60]).snapshots if value is not None}
    rows |= pipeline.snapshot(0)
    check_rows(rows)
    check_rows({})
    del rows[b"leaves"]
    with pytest.raises(MissingRowError, match="got none of leaves"):
        check_rows(rows)


def bad(offset: int, key: bytes) -> Record:
    return Record(0, offset, key, b"no record")


def sending(devices: int) -> list[Record]:
    """A ward in which each device has sent a second of signal."""
    heart = Heart([("sinus", 5, {})], ("II",), 100.0).source()
    frames = [Framer(heart, f"d{n}", T0_NS, 1.0).frame(0, 0, 100) for n in range(devices)]
    entries = [(None, encode(SETUP)), *((f.device.encode(), encode(f)) for f in frames)]
    entries.append((None, encode(Tick("a", 0, T0_NS + SECOND_NS))))
    return [Record(0, offset, key, value) for offset, (key, value) in enumerate(entries)]


def test_of_a_device_in_quarantine_one_letter_in_a_hundred_is_kept() -> None:
    pipeline, first = Pipeline({}), sending(1)
    pipeline.feed(first)
    out = pipeline.feed([bad(len(first) + n, b"d0") for n in range(2 * QUARANTINED_EVERY)])
    assert len(out.dead) == BAD_FRAMES + 2
    assert out.withheld == {0: 2 * QUARANTINED_EVERY - len(out.dead)}
    strangers = pipeline.feed([bad(1000 + n, b"nobody") for n in range(QUARANTINED_EVERY)])
    assert len(strangers.dead) == BAD_FRAMES + 1


@pytest.mark.parametrize(("devices", "failing", "stops"), [(6, 2, False), (6, 3, True), (7, 3, False), (2, 2, False)])
def test_a_partition_stops_where_half_of_its_devices_and_three_fail(devices: int, failing: int, stops: bool) -> None:
    pipeline, records = Pipeline({}), sending(devices)
    keys = [f"d{n}".encode() for n in range(failing)] * BAD_FRAMES
    records += [bad(len(records) + n, key) for n, key in enumerate(keys)]
    assert pipeline.feed(records).stopped == ({0} if stops else set())


def test_records_that_the_log_lost_are_said_on_every_device_of_the_partition() -> None:
    heart = Heart([("sinus", 30, {})], ("II",), 100.0).source()
    framers = [Framer(heart, f"d{n}", T0_NS, 1.0) for n in range(2)]
    entries: list[tuple[bytes | None, bytes]] = [(None, encode(SETUP))]
    for second in range(30):
        entries += [(f"d{n}".encode(), encode(f.frame(second, second * 100, 100))) for n, f in enumerate(framers)]
        entries.append((None, encode(Tick("a", second, T0_NS + (second + 1) * SECOND_NS))))
    records = [Record(0, offset + 5 * (offset > 40), key, value) for offset, (key, value) in enumerate(entries)]
    pipeline = Pipeline({})
    found = [decode_alert(v) for at in range(0, len(records), 9) for _, v in pipeline.feed(records[at : at + 9]).alerts]
    lost = [(a.device, a.phase, a.value) for a in found if a.condition == "data_loss"]
    assert sorted(lost) == [(d, phase, 5.0) for d in ("d0", "d1") for phase in ("end", "start")]


def with_second_ticker(offsets_s: Sequence[int | None]) -> list[bytes]:
    """Alerts where a second ticker ticks beside the first, its clock off by so much in each second, or not at all."""
    entries: list[tuple[bytes | None, bytes, int]] = []
    for record in log():
        second = (record.offset - 2) // 2
        entries.append((record.key, record.value, second * SECOND_NS))
        entry = msgspec.msgpack.decode(record.value)
        if entry["type"] == "tick" and (off_s := offsets_s[entry["seq"] % len(offsets_s)]) is not None:
            tick = Tick("b", entry["seq"], entry["time_ns"] + off_s * SECOND_NS)
            entries.append((None, encode(tick), second * SECOND_NS))
    records = [Record(0, offset, key, value, append_ns) for offset, (key, value, append_ns) in enumerate(entries)]
    kept = ("id", "phase", "presence", "decided_ns", "value", "text")
    found = [msgspec.json.decode(value) for _, value in Pipeline({}).feed(records).alerts]
    return sorted(msgspec.json.encode([alert[name] for name in kept]) for alert in found)


def test_a_ticker_that_is_killed_changes_no_alert() -> None:
    both = with_second_ticker([0] * SECONDS)
    assert with_second_ticker([0] * 130 + [None] * (SECONDS - 130)) == both
    assert with_second_ticker([None]) == both


def test_a_ticker_whose_clock_jumps_a_minute_and_stays_there_changes_no_alert() -> None:
    assert with_second_ticker([0] * 130 + [60] * (SECONDS - 130)) == with_second_ticker([0] * SECONDS)
