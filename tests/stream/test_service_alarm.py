"""Alarms that a service raises of itself: once each, in a chain and an order of their own, over restarts."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.alert import Alert, chain_hash, decode_alert
from ecg.condition import Finding
from ecg.frame import Command, Discharge, FrameError, check_input
from stream.service_alarm import ServiceAlarms

CONDITIONS = ("store_down", "alert_conflict", "chain_fork")


def told(alarms: ServiceAlarms) -> list[Alert]:
    return [decode_alert(value) for value in alarms.outbox]


def test_an_alarm_is_raised_once_while_it_lasts_and_stands_where_all_wards_look() -> None:
    alarms = ServiceAlarms("publisher")
    assert alarms.start(Finding("store_down", 7, 5.04, 5.0, "s", "Redis has not answered"), 40)
    assert not alarms.start(Finding("store_down", 8, 6.0, 5.0, "s"), 41)
    assert alarms.end("store_down", 9, 42)
    assert not alarms.end("store_down", 10, 43)
    start, end = told(alarms)
    assert (start.device, start.ward, start.bed, start.priority) == (
        "vigil:publisher", "unassigned", "publisher", "high",
    )  # fmt: skip
    assert (start.phase, start.presence, end.phase, end.presence) == ("start", "on", "end", "off")
    assert start.text == "! ALERTS NOT SHOWN, Redis silent 5 s"
    assert (start.episode, start.n, end.n, end.onset_ns, end.decided_ns) == (end.episode, 0, 1, 7, 9)
    assert start.source.topic == "ecg.alerts.v1"
    assert start.id != end.id


def test_the_same_alarm_has_the_same_bytes_whoever_makes_it() -> None:
    first, second = ServiceAlarms("publisher"), ServiceAlarms("publisher")
    for alarms in (first, second):
        alarms.start(Finding("chain_fork", 7), 40, 12)
    assert first.outbox == second.outbox
    assert told(first)[0].source.first_offset == 12


def test_a_service_that_starts_again_goes_on_with_its_chain_and_ends_what_it_had_raised() -> None:
    before = ServiceAlarms("publisher")
    before.start(Finding("store_down", 7), 40)
    after = ServiceAlarms("publisher")
    after.saw(before.outbox[0])
    assert after.open == {"store_down"}
    assert not after.start(Finding("store_down", 8), 41)
    assert after.end("store_down", 9, 40)
    (end,) = told(after)
    assert end.chain == chain_hash(before.outbox[0])
    assert (end.source.last_offset, end.ordinal) == (40, 1)


def test_what_another_service_raised_is_not_taken_for_its_own() -> None:
    other = ServiceAlarms("publisher-2")
    other.start(Finding("store_down", 7), 40)
    alarms = ServiceAlarms("publisher")
    alarms.saw(other.outbox[0])
    assert alarms.open == frozenset()


def test_no_device_may_be_called_like_a_service() -> None:
    command = Command("vigil:publisher", "nurse", "why not", "n1", 10, 20, Discharge())
    with pytest.raises(FrameError, match="device must be a name that does not begin with 'vigil:'"):
        check_input(command)


STEPS = st.tuples(st.sampled_from(("start", "end", "again", "restart")), st.sampled_from(CONDITIONS), st.integers(0, 2))


@given(st.lists(STEPS, max_size=40))
def test_whatever_happens_its_alerts_are_in_strict_order_in_one_chain_and_each_episode_ends_once(
    steps: list[tuple[str, str, int]],
) -> None:
    alarms, log, now_ns, end = ServiceAlarms("publisher"), list[bytes](), 0, 0
    for what, condition, more in steps:
        now_ns, end = now_ns + 1, end + more
        match what:
            case "start":
                alarms.start(Finding(condition, now_ns), end)
            case "end":
                alarms.end(condition, now_ns, end)
            case "again":
                for value in log[-3:]:
                    alarms.saw(value)
            case _:
                alarms = ServiceAlarms("publisher")
                for value in log:
                    alarms.saw(value)
        log += alarms.outbox
        alarms.outbox.clear()
    alerts = [decode_alert(value) for value in log]
    places = [(a.source.last_offset, a.ordinal) for a in alerts]
    assert all(earlier < later for earlier, later in itertools.pairwise(places))
    assert [a.chain for a in alerts] == ["", *map(chain_hash, log)][: len(log)]
    assert len({a.id for a in alerts}) == len(alerts)
    for _, its in itertools.groupby(sorted(alerts, key=lambda a: (a.episode, a.n)), key=lambda a: a.episode):
        assert [a.phase for a in its] in (["start"], ["start", "end"])
