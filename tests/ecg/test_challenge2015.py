"""The challenge's score and decision: each rule on a case that another rule would decide otherwise."""

from __future__ import annotations

import numpy as np
import pytest

from ecg.challenge2015 import (
    KINDS,
    SETTINGS,
    Alarm,
    Counts,
    answering,
    count,
    event,
    read_alarms,
    score,
)
from ecg.condition import CONDITIONS, LETHAL
from ecg.episodes import Span

END_S = 90.0


def alarm(condition: str, onset_s: float = 82.0, last_s: float = 88.0) -> Span:
    return Span(condition, onset_s, onset_s + 4.0, last_s, 150.0)


def test_a_true_alarm_withheld_costs_five_times_a_false_one_kept() -> None:
    assert Counts(tp=9, fp=1, fn=0, tn=0).score == pytest.approx(90.0)
    assert Counts(tp=9, fp=0, fn=1, tn=0).score == pytest.approx(100 * 9 / 14)


def test_false_alarms_that_are_withheld_count_as_much_as_true_ones_that_are_kept() -> None:
    assert Counts(tp=3, fp=2, fn=0, tn=5).score == Counts(tp=5, fp=2, fn=0, tn=3).score == pytest.approx(80.0)


def test_keeping_every_alarm_of_the_public_set_scores_39() -> None:
    assert Counts(tp=294, fp=456).score == pytest.approx(39.2)


def test_nothing_scores_no_number() -> None:
    assert np.isnan([Counts().score, Counts().tpr, Counts().tnr]).all()


def test_tpr_is_of_true_alarms_and_tnr_of_false_ones() -> None:
    counts = Counts(tp=3, fp=1, fn=1, tn=4)
    assert (counts.tpr, counts.tnr) == (pytest.approx(75.0), pytest.approx(80.0))


def test_many_rows_are_scored_at_once() -> None:
    rows = np.array([[1, 0, 0, 1], [0, 0, 1, 0]], np.float64)
    assert score(rows).tolist() == [100.0, 0.0]


def test_decisions_are_counted_by_truth_and_by_what_was_kept() -> None:
    decisions = [(True, True)] * 4 + [(False, True)] * 3 + [(True, False)] * 2 + [(False, False)]
    assert count(decisions) == Counts(tp=4, fp=3, fn=2, tn=1)


def test_limits_are_the_challenges() -> None:
    SETTINGS.check()
    assert (SETTINGS.extreme_low_bpm, SETTINGS.extreme_high_bpm) == (40.0, 140.0)
    assert (SETTINGS.asystole_s, SETTINGS.fibrillation_s) == (4.0, 4.0)
    assert (SETTINGS.vt_beats, SETTINGS.vt_rate_bpm) == (5, 100.0)


def test_every_type_is_decided_by_a_lethal_condition_of_ours() -> None:
    assert set(KINDS.values()) == set(LETHAL) <= set(CONDITIONS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_alarm_of_its_own_type_keeps_it(kind: str) -> None:
    ours = alarm(KINDS[kind])
    assert event(kind, [ours], END_S) is ours


@pytest.mark.parametrize("kind", KINDS)
def test_no_alarm_of_ours_withholds_it(kind: str) -> None:
    assert event(kind, [], END_S) is None
    assert event(kind, [alarm("rate_high"), alarm("atrial_fibrillation"), alarm("lead_off")], END_S) is None


@pytest.mark.parametrize(
    ("kind", "worse"),
    [
        ("bradycardia", "asystole"),
        ("ventricular_tachycardia", "ventricular_fibrillation"),
        ("tachycardia", "ventricular_tachycardia"),
        ("tachycardia", "ventricular_fibrillation"),
    ],
)
def test_a_worse_alarm_of_the_chain_answers_for_those_that_it_covers(kind: str, worse: str) -> None:
    assert event(kind, [alarm(worse)], END_S) == alarm(worse)


@pytest.mark.parametrize(
    ("kind", "lesser"),
    [
        ("asystole", "extreme_bradycardia"),
        ("ventricular_flutter_fib", "ventricular_tachycardia"),
        ("ventricular_tachycardia", "extreme_tachycardia"),
        ("asystole", "ventricular_fibrillation"),
        ("ventricular_tachycardia", "asystole"),
    ],
)
def test_a_lesser_alarm_or_one_of_another_chain_does_not_answer(kind: str, lesser: str) -> None:
    assert event(kind, [alarm(lesser)], END_S) is None


def test_own_condition_comes_last_of_those_that_answer() -> None:
    assert answering("tachycardia") == ("ventricular_fibrillation", "ventricular_tachycardia", "extreme_tachycardia")


def test_an_event_that_ended_before_the_last_ten_seconds_is_not_it() -> None:
    assert event("asystole", [alarm("asystole", 60.0, 79.9)], END_S) is None
    assert event("asystole", [alarm("asystole", 60.0, 80.0)], END_S) is not None


def test_an_event_that_began_earlier_and_still_holds_is_it() -> None:
    assert event("tachycardia", [alarm("extreme_tachycardia", 10.0, 90.0)], END_S) is not None


def test_what_comes_after_the_monitors_alarm_is_not_it() -> None:
    assert event("asystole", [alarm("asystole", 91.0, 95.0)], END_S) is None


def test_the_list_of_alarms_is_read() -> None:
    text = "a103l,Asystole,0\nf450s,Ventricular_Flutter_Fib,1\n\n"
    assert read_alarms(text) == [Alarm("a103l", "asystole", False), Alarm("f450s", "ventricular_flutter_fib", True)]


@pytest.mark.parametrize("line", ["a103l,Asystole", "a103l,Hiccup,0", "a103l,Asystole,yes"])
def test_a_line_that_says_something_else_is_named(line: str) -> None:
    with pytest.raises(ValueError, match="line 2 of ALARMS"):
        read_alarms(f"a1,Asystole,1\n{line}\n")
