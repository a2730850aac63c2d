"""Alerts derived again from the log: the same to the byte, else each difference with what it likely comes from."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

import stream.bed
import stream.pipeline
from ecg.alert import Alert, chain_hash, decode_alert, encode
from ecg.clinical import Settings
from ecg.frame import Tick
from stream import topics
from stream.audit.chains import audit_log
from stream.audit.derive import Stretch
from stream.audit.log import Entry, MemoryLog, opened
from stream.audit.nets import Nets
from stream.audit.places import place, rows_before
from stream.audit.replay import Report, Wanted, offsets, replay, time_ns, told
from stream.audit.verify import find, verify
from stream.audit.whatif import Under, what_if
from stream.cli import main
from stream.snapshot import PARTITION_KEY
from tests.stream.loud import Loud
from tests.stream.ward_log import SECOND_NS, T0_NS, WardLog, written
from tests.stream.ward_log import place as partition_of

SHA = "ab" * 32
FROM_NS = T0_NS + 130 * SECOND_NS
Topics = dict[str, dict[int, list[Entry]]]


LOUD = Loud()


@pytest.fixture(scope="module", autouse=True)
def every_minute() -> Iterator[None]:
    """Checkpoints come each minute of the ward's time here, so that a short log has some."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (stream.bed, stream.pipeline):
            patch.setattr(module, "CHECKPOINT_EVERY_NS", 60 * SECOND_NS)
        yield


@pytest.fixture(scope="module")
def ward(every_minute: None) -> WardLog:
    return written(nets={SHA: LOUD}, weights=SHA)


def replayed(log: MemoryLog, **wanted: Any) -> Report:
    return asyncio.run(replay(log, Wanted(**wanted), Nets(log, (SHA, LOUD))))


def tampered(ward: WardLog, change: Callable[[Topics], None]) -> MemoryLog:
    """The same log, altered."""
    altered = copy.deepcopy(ward.topics)
    change(altered)
    return MemoryLog(altered)


def alerts_of(its: Topics, device: str, since_ns: int = FROM_NS) -> list[int]:
    """Where the alerts of a device lie in their topic."""
    decided = [(n, decode_alert(entry.value or b"")) for n, entry in enumerate(its[topics.ALERTS][0])]
    return [n for n, alert in decided if alert.device == device and alert.decided_ns >= since_ns]


def put(its: Topics, at: int, **changes: Any) -> None:
    entry = its[topics.ALERTS][0][at]
    alert = msgspec.structs.replace(decode_alert(entry.value or b""), **changes)
    its[topics.ALERTS][0][at] = entry._replace(value=encode(alert))


@pytest.mark.parametrize("device", [None, "run", "flat", "calm", "gone"])
@pytest.mark.parametrize("range_ns", [(None, None), (FROM_NS, None), (None, FROM_NS), (FROM_NS, FROM_NS + 50 * 10**9)])
def test_from_a_checkpoint_and_from_the_first_offset_the_same_alerts_are_derived(
    ward: WardLog, device: str | None, range_ns: tuple[int | None, int | None]
) -> None:
    reports = [
        replayed(ward.log, device=device, from_ns=range_ns[0], to_ns=range_ns[1], start=start)
        for start in ("checkpoint", "first")
    ]
    for report in reports:
        assert report.identical, told(report)
        assert report.figures["alerts_derived"] == report.figures["alerts_logged"]
        assert report.figures["seals_derived"] == report.figures["seals_logged"]
    assert reports[0].figures["alerts_derived"] == reports[1].figures["alerts_derived"]
    assert reports[0].figures["alerts_derived"] > 0 or device == "gone"
    assert any(reports[0].resumed.values()) == (range_ns[0] is not None)


def test_the_ranges_of_a_log_add_up_to_the_whole(ward: WardLog) -> None:
    cuts = [None, *(T0_NS + s * SECOND_NS for s in (40, 90, 91, 170)), None]
    parts = [replayed(ward.log, from_ns=cuts[n], to_ns=cuts[n + 1]) for n in range(len(cuts) - 1)]
    whole = replayed(ward.log)
    assert sum(part.figures["alerts_logged"] for part in parts) == whole.figures["alerts_logged"]
    assert sum(part.figures["seals_logged"] for part in parts) == whole.figures["seals_logged"] > 0
    assert all(part.identical for part in parts)


def test_a_range_of_offsets_is_of_the_partitions_that_it_names(ward: WardLog) -> None:
    report = replayed(ward.log, first={0: 200}, end={0: 300})
    assert report.stretches == [Stretch(0, 200, 300)]
    assert report.identical
    with pytest.raises(ValueError, match="partition must be one of 2, got 7"):
        replayed(ward.log, first={7: 0})


def test_what_nobody_signed_is_refused_and_counted(ward: WardLog) -> None:
    report = replayed(ward.log)
    assert report.inputs["command"] == report.refused["signature"] == 12
    assert report.refusals[0].reason.startswith("signature must be there")
    assert report.inputs["signed setup"] == 2


def test_an_alert_that_lacks_in_the_log_is_missing(ward: WardLog) -> None:
    def drop(its: Topics) -> None:
        del its[topics.ALERTS][0][alerts_of(its, "run")[0]]

    report = replayed(tampered(ward, drop), from_ns=FROM_NS)
    assert [(each.kind, each.device) for each in report.differences] == [("missing", "run")]
    assert not report.identical


def test_an_alert_that_was_put_in_is_extra(ward: WardLog) -> None:
    def forge(its: Topics) -> None:
        at = alerts_of(its, "run")[0]
        entry = its[topics.ALERTS][0][at]
        its[topics.ALERTS][0].append(entry._replace(offset=its[topics.ALERTS][0][-1].offset + 1))
        put(its, -1, id="f" * 24)

    report = replayed(tampered(ward, forge), from_ns=FROM_NS)
    assert [(each.kind, each.alert) for each in report.differences] == [("extra", "f" * 24)]


def test_a_changed_field_is_named_with_what_it_was_and_is(ward: WardLog) -> None:
    report = replayed(tampered(ward, lambda its: put(its, alerts_of(its, "flat")[0], bed="9")), from_ns=FROM_NS)
    (each,) = report.differences
    assert (each.kind, each.fields, each.cause) == ("changed", {"bed": ("9", "flat")}, "unknown")
    assert any("bed" in line and "flat" in line for line in told(report))


@pytest.mark.parametrize(
    ("field", "value", "cause"),
    [
        ("weights_sha256", ("cd" * 32,), "weights"),
        ("settings_sha256", "ef" * 32, "settings"),
        ("version", "0.0.1", "code version"),
    ],
)
def test_what_decided_otherwise_is_the_likely_cause(ward: WardLog, field: str, value: object, cause: str) -> None:
    report = replayed(tampered(ward, lambda its: put(its, alerts_of(its, "flat")[0], **{field: value})))
    assert [each.cause for each in report.differences] == [cause]


def test_behind_a_difference_the_chain_differs_and_says_that_it_follows(ward: WardLog) -> None:
    def rewrite(its: Topics) -> None:
        """What another program would have logged from one alert on."""
        chain = ""
        for n, at in enumerate(alerts_of(its, "run")):
            put(its, at, **({"text": "otherwise"} if n == 0 else {"chain": chain}))
            chain = chain_hash(its[topics.ALERTS][0][at].value or b"")

    first, *others = replayed(tampered(ward, rewrite), from_ns=FROM_NS).differences
    assert (first.cause, set(first.fields)) == ("unknown", {"text"})
    assert len(others) > 2
    assert {each.cause for each in others} == {"follows"}


def test_offsets_that_the_log_has_lost_are_a_likely_cause(ward: WardLog) -> None:
    def lose(its: Topics) -> None:
        partition = partition_of("run")
        lost = range(360, 400)
        its[topics.INPUT][partition] = [e for e in its[topics.INPUT][partition] if e.offset not in lost]

    report = replayed(tampered(ward, lose), device="run")
    assert report.gaps == [Stretch(partition_of("run"), 360, 400)]
    assert {each.cause for each in report.differences} == {"data gap"}


def test_an_alert_that_came_twice_is_one_and_other_bytes_under_its_id_are_a_difference(ward: WardLog) -> None:
    def again(its: Topics) -> None:
        its[topics.ALERTS][0] += [e._replace(offset=e.offset + 1000) for e in its[topics.ALERTS][0][-5:]]

    report = replayed(tampered(ward, again))
    assert (report.identical, report.figures["alerts_doubled"]) == (True, 5)

    def conflict(its: Topics) -> None:
        again(its)
        put(its, -1, text="otherwise")

    report = replayed(tampered(ward, conflict))
    assert [(each.kind, set(each.fields)) for each in report.differences] == [("changed", {"text"})]


def test_alerts_of_services_are_counted_apart_and_unreadable_ones_told(ward: WardLog) -> None:
    def add(its: Topics) -> None:
        end = its[topics.ALERTS][0][-1].offset + 1
        alert: Alert = decode_alert(its[topics.ALERTS][0][-1].value or b"")
        source = msgspec.structs.replace(alert.source, topic=topics.ALERTS)
        of_service = msgspec.structs.replace(alert, device="publisher", source=source)
        its[topics.ALERTS][0].append(Entry(0, end, b"publisher", encode(of_service)))

    report = replayed(tampered(ward, add))
    assert (report.identical, report.figures["alerts_of_services"]) == (True, 1)

    def spoil(its: Topics) -> None:
        its[topics.ALERTS][0][-1] = its[topics.ALERTS][0][-1]._replace(value=b"{")

    report = replayed(tampered(ward, spoil))
    assert (report.identical, report.unreadable) == (False, [ward.topics[topics.ALERTS][0][-1].offset])


def test_an_altered_seal_is_told(ward: WardLog) -> None:
    def alter(its: Topics) -> None:
        its[topics.SEALS][1][2] = its[topics.SEALS][1][2]._replace(value=its[topics.SEALS][1][1].value)

    report = replayed(tampered(ward, alter))
    assert report.seal_faults == ["partition 1: seal 2 is missing"]
    assert not report.identical


def test_where_the_log_has_lost_its_begin_what_can_be_derived_is_compared(ward: WardLog) -> None:
    def age(its: Topics) -> None:
        for partition, entries in its[topics.INPUT].items():
            its[topics.INPUT][partition] = entries[len(entries) // 3 :]

    log = tampered(ward, age)
    report = replayed(log)
    assert report.identical, told(report)
    assert report.figures["alerts_derived"] > 10
    assert len(report.notes) == 2
    assert not replayed(log, start="first").identical


def test_time_is_what_the_ticks_say(ward: WardLog) -> None:
    offset = asyncio.run(place(ward.log, 0, FROM_NS))
    tick = opened(ward.topics[topics.INPUT][0][offset].value)
    assert isinstance(tick, Tick)
    assert tick.time_ns == FROM_NS
    end = len(ward.topics[topics.INPUT][0])
    assert asyncio.run(place(ward.log, 0, FROM_NS + 10**13)) == end


def test_checkpoints_before_an_offset_cover_nothing_from_it_on(ward: WardLog) -> None:
    offset = asyncio.run(place(ward.log, partition_of("flat"), T0_NS + 175 * SECOND_NS))
    rows = asyncio.run(rows_before(ward.log, partition_of("flat"), offset))
    assert set(rows) == {PARTITION_KEY, b"flat", b"calm"}, "a device that was forgotten has none"
    assert asyncio.run(rows_before(ward.log, partition_of("flat"), offset, "calm")) == {
        key: rows[key] for key in (PARTITION_KEY, b"calm")
    }
    assert asyncio.run(rows_before(ward.log, partition_of("flat"), 1)) == {}


def test_checkpoints_of_another_schema_are_passed_over(ward: WardLog) -> None:
    def as_of_another(its: Topics) -> None:
        for partition, entries in its[topics.CHECKPOINTS].items():
            its[topics.CHECKPOINTS][partition] = [
                entry if entry.key == PARTITION_KEY else entry._replace(value=b"\x98\x7f" + (entry.value or b"")[2:])
                for entry in entries
            ]

    log = tampered(ward, as_of_another)
    offset = asyncio.run(place(log, partition_of("flat"), T0_NS + 175 * SECOND_NS))
    assert asyncio.run(rows_before(ward.log, partition_of("flat"), offset))
    assert asyncio.run(rows_before(log, partition_of("flat"), offset)) == {}
    report = replayed(log, from_ns=FROM_NS)
    assert report.identical, told(report)


def test_one_alert_is_verified_alone_by_id_entry_or_offset(ward: WardLog) -> None:
    at = alerts_of(ward.topics, "flat")[2]
    wanted = ward.topics[topics.ALERTS][0][at]
    name = decode_alert(wanted.value or b"").id
    assert {asyncio.run(find(ward.log, each)) for each in (name, str(wanted.offset), f"{wanted.offset}-1")} == {wanted}
    assert asyncio.run(find(ward.log, "f" * 24)) is None
    found = asyncio.run(verify(ward.log, wanted, Nets(ward.log, (SHA, LOUD))))
    assert found.identical
    assert found.resumed > 0


def test_a_forged_alert_is_not_verified(ward: WardLog) -> None:
    log = tampered(ward, lambda its: put(its, alerts_of(its, "flat")[2], value=1.0))
    at = alerts_of(ward.topics, "flat")[2]
    entry = asyncio.run(find(log, str(at)))
    assert entry is not None
    found = asyncio.run(verify(log, entry, Nets(log, (SHA, LOUD))))
    assert (found.identical, set(found.fields)) == (False, {"value"})


def test_other_settings_show_what_would_have_been_alarmed(ward: WardLog) -> None:
    nets = Nets(ward.log, (SHA, LOUD))
    as_it_was = asyncio.run(what_if(ward.log, Wanted(), Under(), nets))
    assert all(row.logged == row.derived for row in as_it_was.conditions)
    deaf = asyncio.run(what_if(ward.log, Wanted(from_ns=FROM_NS), Under(Settings(no_data_s=60.0)), nets))
    by_name = {row.name: (row.logged, row.derived) for row in deaf.conditions}
    assert by_name["no_data"] == (2, 0)
    assert ("2027-01-15 icu/calm no_data", 2, 0) in [msgspec.structs.astuple(row) for row in deaf.beds]
    alone = asyncio.run(what_if(ward.log, Wanted(from_ns=FROM_NS), Under(other_weights=True), nets))
    assert {row.name: row.derived for row in alone.conditions}["rules_alone"] == 4


def test_chains_and_seals_of_the_whole_log_are_audited(ward: WardLog) -> None:
    found = asyncio.run(audit_log(ward.log))
    assert (found.intact, found.figures["seals"]) == (True, 8), found.faults
    assert found.figures["commands"] > 30

    def drop(its: Topics) -> None:
        del its[topics.ALERTS][0][alerts_of(its, "run", T0_NS)[3]]

    found = asyncio.run(audit_log(tampered(ward, drop)))
    assert [(fault.kind, fault.device) for fault in found.faults] == [("removed", "run")]
    assert asyncio.run(audit_log(tampered(ward, drop), "flat")).intact


def test_only_the_keys_that_an_auditor_trusts_may_have_sealed(ward: WardLog) -> None:
    stranger = {"0" * 16: next(iter(ward.keys.values()))}
    assert not asyncio.run(audit_log(ward.log, trusted=stranger)).intact
    assert asyncio.run(audit_log(ward.log, trusted=ward.keys)).intact


def test_times_and_offsets_are_read_as_people_write_them() -> None:
    assert time_ns("2027-01-15T08:00:01.5Z") == time_ns("2027-01-15T09:00:01.5+01:00") == T0_NS + 1_500_000_000
    assert offsets(["0:12", "3:4"]) == {0: 12, 3: 4}
    with pytest.raises(ValueError, match="time must be"):
        time_ns("yesterday")
    with pytest.raises(ValueError, match="offset must be"):
        offsets(["12"])


def test_what_the_workers_have_not_come_to_is_not_missing(ward: WardLog) -> None:
    done = {partition: len(entries) // 2 for partition, entries in ward.topics[topics.INPUT].items()}
    log = MemoryLog(ward.topics, done)
    report = replayed(log)
    assert report.identical
    assert {stretch.partition: stretch.end for stretch in report.stretches} == done
    assert len(report.notes) == 2


def test_where_old_alerts_and_seals_are_not_kept_the_audit_goes_by_a_later_seal(ward: WardLog) -> None:
    def age(its: Topics) -> None:
        del its[topics.ALERTS][0][:40]
        del its[topics.SEALS][0][:1]

    found = asyncio.run(audit_log(tampered(ward, age)))
    assert found.intact, found.faults
    assert len(found.notes) == 2

    def forge(its: Topics) -> None:
        put(its, alerts_of(its, "flat")[-2], text="otherwise")
        age(its)

    assert [fault.kind for fault in asyncio.run(audit_log(tampered(ward, forge))).faults] == ["altered"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["replay", "--from", "yesterday"], "time must be as 2027-01-15T08:00:01Z"),
        (["replay", "--chain", "--from", "2027-01-15"], "--chain goes over all that is kept"),
        (["replay", "--trust", "keys.json"], "--trust goes with --chain"),
    ],
)
def test_wrong_use_ends_with_2_in_one_line(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["vigil", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"vigil: {said}")
