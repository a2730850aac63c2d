"""Stretches and alarms on a clock: union, overlap, and what an alert's phases say."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ecg.alert import Alert, Evidence, Source
from ecg.episodes import (
    NOTHING,
    Overlap,
    Span,
    Stretches,
    bracketed,
    common,
    compare,
    marked,
    outside,
    spans,
    total,
    touched,
    union,
    widened,
)
from ecg.record import Annotations

T0_NS = 1_000_000_000_000
END_S = 100.0


def marks(*found: tuple[int, str, str]) -> Annotations:
    samples = np.array([at for at, *_ in found], np.int64)
    symbols = np.array([symbol for _, symbol, _ in found], "<U1")
    return Annotations(samples, symbols, tuple(aux for *_, aux in found), np.zeros_like(samples))


def alert(condition: str, phase: str, presence: str, onset_s: float, decided_s: float, **more: Any) -> Alert:
    fields = {
        "condition": condition,
        "phase": phase,
        "presence": presence,
        "onset_ns": T0_NS + round(onset_s * 1e9),
        "decided_ns": T0_NS + round(decided_s * 1e9),
        "episode": condition,
        "value": 160.0,
    } | more
    rest: dict[str, Any] = {
        **dict.fromkeys(("id", "chain", "device", "bed", "ward", "code", "text", "unit", "version"), ""),
        "settings_sha256": "",
        "n": 0,
        "ordinal": 0,
        "priority": "high",
        "limit": None,
        "risk": None,
        "evidence": Evidence(),
        "source": Source("", 0, 0, 0),
        "weights_sha256": (),
    }
    return Alert(**rest, **fields)


stretches = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), max_size=8).map(
    lambda found: union([(first, first + length) for first, length in found])
)


def seconds(rows: Stretches) -> set[int]:
    return {second for first, end in rows for second in range(int(first), int(end))}


@given(stretches, stretches)
def test_stretches_are_sets_of_time(a: Stretches, b: Stretches) -> None:
    assert seconds(union(a, b)) == seconds(a) | seconds(b)
    assert seconds(common(a, b)) == seconds(a) & seconds(b)
    assert seconds(outside(a, 5, 50)) == set(range(5, 50)) - seconds(a)
    assert total(union(a, b)) == len(seconds(a) | seconds(b))


@given(stretches, stretches)
def test_a_union_is_in_order_and_apart(a: Stretches, b: Stretches) -> None:
    edges = union(a, b).ravel()
    assert (np.diff(edges) > 0).all()


def test_stretches_that_only_meet_do_not_touch() -> None:
    assert not touched(union([(0, 5)]), union([(5, 9)])).any()
    assert touched(union([(0, 5.1)]), union([(5, 9)])).all()


def test_widened_stretches_may_join() -> None:
    assert widened(union([(1, 2), (4, 5)]), 1.0).tolist() == [[0.0, 6.0]]


def test_episodes_are_found_by_any_overlap_and_seconds_by_their_own() -> None:
    reference, test = union([(0, 10), (20, 30), (40, 50)]), union([(8, 12), (14, 16), (29, 41)])
    assert compare(reference, test) == Overlap(3, 3, 3, 2, 30.0, 18.0, 4.0)
    assert compare(reference, NOTHING) == Overlap(3, 0, 0, 0, 30.0, 0.0, 0.0)


def test_a_rhythm_lasts_until_the_next_one_or_the_end() -> None:
    found = marks((100, "+", "(AFIB"), (200, "+", "(N"), (300, "+", "(AFIB"))
    assert marked(found, ("(AFIB",), 10.0, 50.0).tolist() == [[10.0, 20.0], [30.0, 50.0]]
    assert len(marked(marks(), ("(AFIB",), 10.0, 50.0)) == 0


def test_two_spellings_of_a_rhythm_are_one_stretch() -> None:
    found = marks((0, "+", "(VF"), (100, "+", "(VFIB"), (200, "+", "(N"))
    assert marked(found, ("(VF", "(VFIB"), 10.0, 50.0).tolist() == [[0.0, 20.0]]


def test_notes_that_are_no_rhythm_change_none() -> None:
    found = marks((100, "+", "(AFIB"), (150, '"', "MISSB"), (160, "~", "(N"), (200, "+", "(N"))
    assert marked(found, ("(AFIB",), 10.0, 50.0).tolist() == [[10.0, 20.0]]


def test_fibrillation_that_nothing_closes_lasts_to_the_end() -> None:
    found = marks((50, "[", ""), (100, "]", ""), (120, "]", ""), (300, "[", ""))
    assert bracketed(found, 10.0, 45.0).tolist() == [[5.0, 10.0], [30.0, 45.0]]


def test_an_alarm_that_did_not_end_lasts_to_the_records_end() -> None:
    assert spans([alert("asystole", "start", "on", 10, 14)], T0_NS, END_S) == [
        Span("asystole", 10.0, 14.0, END_S, 160.0)
    ]


def test_an_alarm_ends_when_its_condition_held_last_not_when_it_went_quiet() -> None:
    start = alert("ventricular_tachycardia", "start", "on", 10, 14)
    latched = alert("ventricular_tachycardia", "update", "latched", 10, 30)
    assert spans([start, latched], T0_NS, END_S)[0].last_s == 20.0


def test_a_latched_alarm_has_ended_before_somebody_acknowledges_it() -> None:
    start = alert("asystole", "start", "on", 10, 14)
    latched = alert("asystole", "update", "latched", 10, 33)
    end = alert("asystole", "end", "off", 10, 80)
    assert spans([start, latched, end], T0_NS, END_S)[0].last_s == 30.0


def test_an_alarm_that_a_worse_one_covers_goes_on() -> None:
    start = alert("extreme_bradycardia", "start", "on", 10, 14)
    covered = alert("extreme_bradycardia", "escalate", "off", 10, 20)
    end = alert("extreme_bradycardia", "end", "off", 10, 43)
    assert spans([start, covered], T0_NS, END_S)[0].last_s == END_S
    assert spans([start, covered, end], T0_NS, END_S)[0].last_s == 40.0


def test_no_alarm_ends_before_it_was_decided() -> None:
    start = alert("ventricular_tachycardia", "start", "on", 10, 14)
    end = alert("ventricular_tachycardia", "end", "off", 10, 15)
    assert spans([start, end], T0_NS, END_S)[0].last_s == 14.0


def test_the_value_of_an_alarm_is_its_largest() -> None:
    start = alert("ventricular_tachycardia", "start", "on", 10, 14, value=None)
    update = alert("ventricular_tachycardia", "update", "on", 10, 16, value=170.0)
    assert spans([start, update], T0_NS, END_S)[0].value == 170.0


def test_episodes_of_one_condition_are_apart() -> None:
    first = alert("asystole", "start", "on", 10, 14, episode="a")
    second = alert("asystole", "start", "on", 50, 54, episode="b")
    end = alert("asystole", "end", "off", 10, 33, episode="a")
    assert [(s.onset_s, s.last_s) for s in spans([first, end, second], T0_NS, END_S)] == [(10.0, 30.0), (50.0, END_S)]
