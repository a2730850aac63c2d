"""The alarm state machine: what may follow what, and what never happens."""

from __future__ import annotations

import doctest
from collections.abc import Sequence
from typing import get_args

import msgspec
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import ecg.alarm
import ecg.alarm_table
import ecg.condition
from ecg.alarm import CLOCK_NS, REMIND_NS, UNASSIGNED, Alarm, Transition
from ecg.alarm_table import TABLE, Event, Stage
from ecg.alert import alert_id, episode_id
from ecg.clinical import Limits
from ecg.condition import CHAINS, CONDITIONS, LETHAL, MAY_BE_OFF, RANK, Finding, worse
from ecg.frame import Acknowledge, Action, Admit, ChangeLimits, Discharge, Pause, Standby

S = 1_000_000_000
STEP = S // 5
ADMIT = Admit("ward-1", "bed-7")


def finding(name: str, onset_s: float = 100.0, value: float | None = 5.0, **other: object) -> Finding:
    return Finding(name, round(onset_s * S), value, 4.0, "s")._replace(**other)  # pyright: ignore[reportArgumentType]


def said(changes: Sequence[Transition]) -> list[tuple[str, str, str]]:
    return [(change.condition, change.phase, change.presence) for change in changes]


class Bed:
    """An alarm machine fed every 0.2 s from event time 100 s on."""

    def __init__(self) -> None:
        self.alarm, self.now_ns = Alarm("monitor-1"), 100 * S

    def hold(self, seconds: float, *findings: Finding) -> list[Transition]:
        changes: list[Transition] = []
        for _ in range(round(seconds * S / STEP)):
            changes += self.alarm.feed(self.now_ns, findings)
            self.now_ns += STEP
        return changes

    def do(self, action: Action) -> list[Transition]:
        return self.alarm.command(self.now_ns, action)


@pytest.fixture
def bed() -> Bed:
    return Bed()


def test_a_lethal_condition_alarms_at_once_and_latches_until_acknowledged(bed: Bed) -> None:
    (start,) = bed.hold(1, finding("asystole"))
    assert start.text == "*** ASYSTOLE no beat for 5.0 s (limit 4 s)"
    assert (start.phase, start.presence, start.onset_ns, start.n) == ("start", "on", 100 * S, 0)
    assert start.episode == episode_id("monitor-1", "asystole", 100 * S)
    assert said(bed.hold(60)) == [("asystole", "update", "latched")]
    assert bed.alarm.active() == bed.alarm.sounding() == ("asystole",)
    (end,) = bed.do(Acknowledge(alert_id(start.episode, 0)))
    assert (end.phase, end.presence, end.n) == ("end", "off", 2)
    assert bed.alarm.active() == ()


def test_an_acknowledged_alarm_ends_with_its_condition(bed: Bed) -> None:
    (start,) = bed.hold(1, finding("asystole"))
    assert said(bed.do(Acknowledge(start.episode))) == [("asystole", "update", "acknowledged")]
    assert (bed.alarm.active(), bed.alarm.sounding()) == (("asystole",), ())
    assert said(bed.hold(10)) == [("asystole", "end", "off")]


def test_a_condition_with_a_delay_alarms_only_once_it_held_that_long(bed: Bed) -> None:
    assert bed.hold(3, finding("rate_high")) == []
    assert said(bed.hold(0.2, finding("rate_high"))) == [("rate_high", "start", "on")]


def test_a_delay_begins_anew_when_the_condition_was_absent(bed: Bed) -> None:
    for _ in range(5):
        assert bed.hold(2.8, finding("rate_low")) == bed.hold(0.2) == []


def test_a_flicker_shorter_than_the_hold_off_is_one_episode(bed: Bed) -> None:
    changes = [change for _ in range(20) for change in (*bed.hold(0.4, finding("lead_off")), *bed.hold(2.8))]
    assert said(changes) == [("lead_off", "start", "on")]
    assert said(bed.hold(1)) == [("lead_off", "end", "off")]


def test_no_data_ends_with_the_first_frame(bed: Bed) -> None:
    bed.hold(1, finding("no_data"))
    assert said(bed.hold(0.2)) == [("no_data", "end", "off")]


def test_a_latched_alarm_whose_condition_holds_anew_ends_and_another_starts(bed: Bed) -> None:
    (first,) = bed.hold(1, finding("ventricular_tachycardia", 100))
    bed.hold(60)
    end, second = bed.hold(1, finding("ventricular_tachycardia", 161))
    assert said([end, second]) == [
        ("ventricular_tachycardia", "end", "off"),
        ("ventricular_tachycardia", "start", "on"),
    ]
    assert (end.episode, end.n, second.n) == (first.episode, 2, 0)
    assert second.onset_ns == 161 * S


@pytest.mark.parametrize("name", ["ventricular_fibrillation", "ventricular_tachycardia", "extreme_tachycardia"])
def test_a_tachyarrhythmia_that_comes_back_within_10_s_is_the_same_alarm(bed: Bed, name: str) -> None:
    bed.hold(1, finding(name, 100))
    assert bed.hold(9) == []
    assert bed.hold(1, finding(name, 110)) == []
    assert said(bed.hold(11)) == [(name, "update", "latched")]


def test_only_the_worst_of_a_chain_is_announced(bed: Bed) -> None:
    both = finding("rate_high"), finding("extreme_tachycardia")
    assert said(bed.hold(10, *both)) == [("extreme_tachycardia", "start", "on")]
    assert bed.alarm.active() == ("extreme_tachycardia",)
    assert said(bed.hold(10, both[0])) == [
        ("extreme_tachycardia", "update", "latched"),
        ("rate_high", "start", "on"),
    ]


def test_what_a_worse_condition_covers_escalates_and_comes_back(bed: Bed) -> None:
    (start,) = bed.hold(6, finding("rate_high"))
    changes = bed.hold(1, finding("rate_high"), finding("extreme_tachycardia"))
    assert said(changes) == [("extreme_tachycardia", "start", "on"), ("rate_high", "escalate", "off")]
    assert bed.alarm.active() == ("extreme_tachycardia",)
    changes = bed.hold(11, finding("rate_high"))
    assert said(changes) == [("extreme_tachycardia", "update", "latched"), ("rate_high", "update", "on")]
    assert (changes[1].episode, changes[1].n) == (start.episode, 2)
    assert said(bed.hold(20.2)) == [("rate_high", "end", "off")]


def test_what_ended_behind_a_worse_condition_ends(bed: Bed) -> None:
    bed.hold(6, finding("rate_high"))
    bed.hold(1, finding("rate_high"), finding("extreme_tachycardia"))
    assert said(bed.hold(21, finding("extreme_tachycardia"))) == [("rate_high", "end", "off")]


def test_a_lethal_condition_sounds_though_a_worse_one_was_acknowledged(bed: Bed) -> None:
    both = finding("ventricular_fibrillation"), finding("ventricular_tachycardia")
    (start,) = bed.hold(1, *both)
    bed.do(Acknowledge(start.episode))
    assert said(bed.hold(1, *both)) == [("ventricular_tachycardia", "start", "on")]
    assert bed.alarm.sounding() == ("ventricular_tachycardia",)


def test_a_latched_alarm_behind_a_worse_condition_stays_until_that_is_over(bed: Bed) -> None:
    bed.hold(1, finding("ventricular_tachycardia", 100))
    bed.hold(60)
    both = finding("ventricular_fibrillation", 161), finding("ventricular_tachycardia", 162)
    (worse,) = bed.hold(3, *both)
    assert worse.condition == "ventricular_fibrillation"
    bed.do(Acknowledge(worse.episode))
    end, start = bed.hold(0.2, *both)
    assert (end.phase, end.onset_ns, start.phase, start.onset_ns) == ("end", 100 * S, "start", 162 * S)


def test_a_lethal_alarm_that_ended_behind_a_worse_one_latches(bed: Bed) -> None:
    bed.hold(1, finding("extreme_tachycardia"))
    bed.hold(1, finding("extreme_tachycardia"), finding("ventricular_tachycardia"))
    assert said(bed.hold(11, finding("ventricular_tachycardia"))) == [("extreme_tachycardia", "update", "latched")]


def test_a_milder_condition_stays_covered_by_one_that_was_acknowledged(bed: Bed) -> None:
    both = finding("all_leads_off"), finding("lead_off")
    (start,) = bed.hold(1, *both)
    bed.do(Acknowledge(start.episode))
    assert bed.hold(10, *both) == []


def test_acknowledging_silences_one_condition_alone(bed: Bed) -> None:
    start, _ = bed.hold(1, finding("asystole"), finding("flat_signal"))
    bed.do(Acknowledge(start.episode))
    assert bed.alarm.sounding() == ("flat_signal",)
    assert said(bed.hold(1, finding("asystole"), finding("flat_signal"), finding("ventricular_fibrillation"))) == [
        ("ventricular_fibrillation", "start", "on")
    ]


@pytest.mark.parametrize("n", [0, 1, 2])
def test_any_alert_of_an_episode_acknowledges_it(bed: Bed, n: int) -> None:
    bed.hold(6, finding("rate_high"))
    bed.hold(1, finding("rate_high"), finding("extreme_tachycardia"))
    (*_, last) = bed.hold(11, finding("rate_high"))
    assert said(bed.do(Acknowledge(alert_id(last.episode, n)))) == [("rate_high", "update", "acknowledged")]


@pytest.mark.parametrize("alert", ["nothing", alert_id(episode_id("monitor-1", "asystole", 100 * S), 1)])
def test_acknowledging_what_was_never_announced_does_nothing(bed: Bed, alert: str) -> None:
    bed.hold(1, finding("asystole"))
    assert bed.do(Acknowledge(alert)) == []
    assert bed.alarm.sounding() == ("asystole",)


def test_an_acknowledged_alarm_sounds_again_while_its_condition_lasts(bed: Bed) -> None:
    (start,) = bed.hold(1, finding("asystole"))
    bed.do(Acknowledge(start.episode))
    assert bed.hold(REMIND_NS / S, finding("asystole")) == []
    assert said(bed.hold(0.2, finding("asystole"))) == [("asystole", "update", "on")]


def test_a_technical_alarm_that_was_acknowledged_stays_silent(bed: Bed) -> None:
    (start,) = bed.hold(1, finding("no_data"))
    bed.do(Acknowledge(start.episode))
    assert bed.hold(600, finding("no_data")) == []


def test_a_further_lead_off_is_said_again_and_a_flickering_one_is_not(bed: Bed) -> None:
    (start,) = bed.hold(1, finding("lead_off", leads=("II",)))
    assert start.text == "! LEAD OFF II"
    bed.do(Acknowledge(start.episode))
    (more,) = bed.hold(1, finding("lead_off", leads=("II", "V1")))
    assert (more.phase, more.presence, more.text) == ("update", "on", "! LEAD OFF II V1")
    assert bed.hold(1, finding("lead_off", leads=("II",))) == []
    assert bed.hold(1, finding("lead_off", leads=("II", "V1"))) == []
    bed.hold(10, finding("lead_off", leads=("II",)))
    assert said(bed.hold(1, finding("lead_off", leads=("II", "V1")))) == [("lead_off", "update", "on")]


def test_a_pause_silences_the_sound_for_its_time_and_no_lethal_alarm(bed: Bed) -> None:
    bed.do(Pause(60))
    assert said(bed.hold(6, finding("rate_high"), finding("asystole"))) == [
        ("asystole", "start", "on"),
        ("rate_high", "start", "on"),
    ]
    assert bed.alarm.active() == ("asystole", "rate_high")
    assert bed.alarm.sounding() == ("asystole",)
    assert bed.alarm.paused_s == pytest.approx(54.2)
    bed.hold(54.4, finding("rate_high"), finding("asystole"))
    assert (bed.alarm.sounding(), bed.alarm.paused_s) == (("asystole", "rate_high"), 0.0)


def test_a_pause_of_nothing_ends_a_pause(bed: Bed) -> None:
    bed.do(Pause(600))
    bed.do(Pause(0))
    assert bed.alarm.paused_s == 0


def test_a_pause_longer_than_the_longest_is_refused(bed: Bed) -> None:
    with pytest.raises(ValueError, match="pause must be between 0 and 600 s, got 601"):
        bed.do(Pause(601))
    assert bed.alarm.paused_s == 0


def test_what_recurs_soon_after_it_ended_is_inhibited_and_logged(bed: Bed) -> None:
    (start,) = bed.hold(1, finding("couplet", 100))
    assert said(bed.hold(11)) == [("couplet", "end", "off")]
    (kept,) = bed.hold(1, finding("couplet", 112))
    assert (kept.phase, kept.presence, kept.n, kept.trace) == (
        "suppressed",
        "off",
        0,
        "; inhibited for 598.8 s more, after one that ended",
    )
    assert bed.alarm.active() == bed.alarm.sounding() == bed.alarm.holding() == ()
    (end,) = bed.hold(11)
    assert (end.phase, end.episode, end.n) == ("end", kept.episode, 1)
    assert end.episode != start.episode
    bed.hold(590)
    assert said(bed.hold(1, finding("couplet", 710))) == [("couplet", "start", "on")]


def test_what_still_holds_when_its_inhibition_is_over_starts(bed: Bed) -> None:
    bed.hold(1, finding("pvcs_per_minute", 100))
    bed.hold(11)
    suppressed, start = bed.hold(181, finding("pvcs_per_minute", 112))
    assert (suppressed.phase, start.phase, start.n) == ("suppressed", "start", 1)
    assert start.onset_ns == 112 * S
    assert bed.alarm.sounding() == ("pvcs_per_minute",)


def test_a_milder_condition_of_the_chain_is_inhibited_and_a_worse_one_sounds(bed: Bed) -> None:
    bed.hold(1, finding("couplet", 100))
    bed.hold(11)
    assert said(bed.hold(1, finding("trigeminy", 112))) == [("trigeminy", "suppressed", "off")]
    assert said(bed.hold(1, finding("nonsustained_vt", 113))) == [("nonsustained_vt", "start", "on")]
    assert said(bed.hold(1, finding("rate_low", 114), finding("asystole", 114))) == [("asystole", "start", "on")]


def test_another_patient_or_standby_ends_an_inhibition(bed: Bed) -> None:
    for action in (Standby(), ADMIT):
        bed.hold(1, finding("couplet", bed.now_ns / S))
        bed.hold(11)
        assert said(bed.hold(1, finding("couplet", bed.now_ns / S))) == [("couplet", "suppressed", "off")]
        assert said(bed.do(action)) == [("couplet", "end", "off")]
        bed.do(Standby(on=False))
        assert said(bed.hold(1, finding("couplet", bed.now_ns / S))) == [("couplet", "start", "on")]
        bed.do(Standby())
        bed.do(Standby(on=False))


def test_the_end_of_an_alarm_says_how_long_it_held(bed: Bed) -> None:
    bed.hold(120, finding("atrial_fibrillation", 90))
    (end,) = bed.hold(31)
    assert (end.phase, end.onset_ns, end.trace) == ("end", 90 * S, "; held for 129.8 s")


def test_standby_ends_all_alarms_shows_itself_and_lets_none_start(bed: Bed) -> None:
    bed.hold(1, finding("asystole"))
    assert said(bed.do(Standby())) == [("asystole", "end", "off")]
    assert bed.alarm.standby
    assert bed.hold(10, finding("asystole")) == []
    assert bed.do(Standby(on=False)) == []
    assert not bed.alarm.standby
    assert said(bed.hold(1, finding("asystole"))) == [("asystole", "start", "on")]


@pytest.mark.parametrize("later_s", [0, 5])
def test_a_condition_that_outlasts_its_episode_gets_another_id(bed: Bed, later_s: int) -> None:
    episodes = []
    for n in range(20):
        (start,) = bed.alarm.feed(bed.now_ns + n * later_s * S, [finding("asystole")])
        episodes.append(start.episode)
        bed.do(Standby())
        bed.do(Standby(on=False))
    assert len(set(episodes)) == 20


def test_admission_gives_ward_and_bed_and_forgets_the_patient_before(bed: Bed) -> None:
    assert (bed.alarm.admitted, bed.alarm.ward, bed.alarm.bed) == (False, UNASSIGNED, "monitor-1")
    bed.do(ChangeLimits(Limits(rate_high_bpm=150)))
    bed.do(Pause(600))
    bed.hold(1, finding("asystole"))
    (end,) = bed.do(ADMIT)
    assert (end.phase, end.ward, end.bed) == ("end", UNASSIGNED, "monitor-1")
    assert (bed.alarm.admitted, bed.alarm.ward, bed.alarm.bed) == (True, "ward-1", "bed-7")
    assert (bed.alarm.limits, bed.alarm.paused_s) == (Limits(), 0)
    assert bed.alarm.state.patient == ADMIT


def test_discharge_ends_alarms_on_the_ward_that_heard_them(bed: Bed) -> None:
    bed.do(ADMIT)
    bed.do(Standby())
    bed.do(Standby(on=False))
    bed.hold(1, finding("asystole"))
    (end,) = bed.do(Discharge())
    assert (end.phase, end.ward, end.bed) == ("end", "ward-1", "bed-7")
    assert (bed.alarm.admitted, bed.alarm.ward) == (False, UNASSIGNED)


def test_limits_that_are_left_out_stay_as_they_are(bed: Bed) -> None:
    bed.do(ChangeLimits(Limits(rate_low_bpm=45)))
    bed.do(ChangeLimits(Limits(rate_high_bpm=150)))
    assert bed.alarm.limits == Limits(rate_low_bpm=45, rate_high_bpm=150)


def test_limits_that_contradict_those_in_force_are_refused_and_change_nothing(bed: Bed) -> None:
    bed.do(ChangeLimits(Limits(rate_low_bpm=90)))
    with pytest.raises(ValueError, match="rate_low_bpm must be below rate_high_bpm"):
        bed.do(ChangeLimits(Limits(rate_high_bpm=80)))
    assert bed.alarm.limits == Limits(rate_low_bpm=90)


def test_an_unknown_condition_is_refused_and_changes_nothing(bed: Bed) -> None:
    before = bed.alarm.snapshot()
    with pytest.raises(ValueError, match=r"condition must be one of asystole, .*, got 'hunger'"):
        bed.alarm.feed(bed.now_ns, [finding("asystole"), finding("hunger")])
    assert bed.alarm.snapshot() == before


def test_a_clock_that_runs_back_a_little_is_waited_out_and_never_shortens_a_delay(bed: Bed) -> None:
    times = [100 * S, 102 * S, 100 * S, 102 * S, 100 * S, 102 * S]
    assert [bed.alarm.feed(now_ns, [finding("rate_high")]) for now_ns in times] == [[]] * 6
    assert said(bed.alarm.feed(103 * S, [finding("rate_high")])) == [("rate_high", "start", "on")]


def test_a_clock_that_was_set_back_stops_no_timer(bed: Bed) -> None:
    bed.do(Pause(60))
    bed.now_ns -= CLOCK_NS + 3600 * S
    assert said(bed.hold(6, finding("rate_high"))) == [("rate_high", "start", "on")]
    bed.hold(56)
    assert bed.alarm.paused_s == 0


def test_numbers_of_numpy_and_none_at_all_are_said_and_kept(bed: Bed) -> None:
    (start,) = bed.hold(0.2, finding("extreme_bradycardia", value=np.float64(31.4), limit=np.int64(40)))
    assert start.text == "*** EXTREME BRADY 31 < 40 bpm"
    (start, *_) = bed.hold(0.2, finding("asystole", value=float("nan"), limit=None))
    assert (start.text, start.value) == ("*** ASYSTOLE no beat for ? s (limit ? s)", None)
    other = Alarm("other")
    other.restore(bed.alarm.snapshot())
    assert other.state == bed.alarm.state


def test_of_two_findings_of_one_condition_the_first_counts(bed: Bed) -> None:
    (start,) = bed.hold(0.2, finding("asystole", 99), finding("asystole", 98))
    assert start.onset_ns == 99 * S


@pytest.mark.parametrize("name", CONDITIONS)
def test_every_condition_can_be_said(bed: Bed, name: str) -> None:
    bed.alarm.feed(bed.now_ns, [finding(name)])
    bed.now_ns += 160 * S
    bed.alarm.feed(bed.now_ns, [finding(name)])
    assert bed.alarm.active() == (name,)


def test_bytes_that_are_no_state_are_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        Alarm("monitor-1").restore(b"nothing")


def test_the_table_names_stages_and_events_and_ends_what_it_starts() -> None:
    stages, events = set(get_args(Stage)), set(get_args(Event))
    assert {stage for stage, _ in TABLE} | {step.stage for step in TABLE.values()} == stages
    assert {event for _, event in TABLE} == events
    for (stage, _), step in TABLE.items():
        assert (step.phase == "start") == (stage in ("pending", "inhibited") and step.stage == "on")
        assert (step.phase == "suppressed") == (step.stage == "inhibited")
        assert (step.phase == "end") == (stage not in ("inactive", "pending") and step.stage == "inactive")
        assert step.presence == {"on": "on", "acknowledged": "acknowledged", "latched": "latched"}.get(
            step.stage, "off"
        )
    for stage in stages - {"inactive"}:
        assert TABLE[stage, "reset"].stage == "inactive"


def test_nothing_but_a_worse_condition_takes_an_unacknowledged_alarm_off() -> None:
    gone = {(stage, event) for (stage, event), step in TABLE.items() if stage == "on" and step.presence == "off"}
    assert gone == {("on", "covered"), ("on", "gone"), ("on", "reset")}


def test_lethal_conditions_are_of_high_priority_latch_and_are_neither_delayed_nor_inhibited() -> None:
    for name in LETHAL:
        condition = CONDITIONS[name]
        assert (condition.priority, condition.latching) == ("high", True)
        assert (condition.delay_s, condition.inhibit_s) == (0.0, 0.0)


def test_a_chain_falls_in_priority_and_is_read_worst_first() -> None:
    order = list(CONDITIONS)
    for chain in CHAINS:
        ranks = [RANK[CONDITIONS[name].priority] for name in chain]
        assert ranks == sorted(ranks, reverse=True)
        assert [order.index(name) for name in chain] == sorted(order.index(name) for name in chain)


def test_every_medium_rhythm_stands_in_a_chain() -> None:
    chained = {name for chain in CHAINS for name in chain}
    assert set(MAY_BE_OFF) - {"st_high", "st_low"} | set(LETHAL) <= chained


MEDIUM = ("rate_high", "rate_low", "pause", "couplet", "nonsustained_vt", "bigeminy", "atrial_fibrillation")
NAMES = st.sampled_from((*LETHAL, *MEDIUM, "pvcs_per_minute", "all_leads_off", "lead_off", "no_data"))


class AlarmMachine(RuleBasedStateMachine):
    """Any findings and commands, against the rules; a twin is restored from its snapshot before every step."""

    def __init__(self) -> None:
        super().__init__()
        self.now_ns = 100 * S
        self.alarm, self.twin = Alarm("monitor-1"), Alarm("monitor-1")
        self.holding: dict[str, Finding] = {}
        self.episodes: dict[str, list[Transition]] = {}
        self.ids: set[str] = set()
        self.worst: dict[str, int] = {}
        self.ended: dict[str, int] = {}

    def check(self, changes: list[Transition], twin: list[Transition]) -> None:
        assert changes == twin
        assert self.alarm.snapshot() == self.twin.snapshot()
        for change in changes:
            phases = self.episodes.setdefault(change.episode, [])
            assert change.n == len(phases)
            assert (change.phase in ("start", "suppressed")) == (not any(before.phase == "start" for before in phases))
            assert change.phase != "suppressed" or (change.n == 0 and CONDITIONS[change.condition].inhibit_s > 0)
            assert all(before.phase != "end" and before.onset_ns == change.onset_ns for before in phases)
            assert change.episode == episode_id("monitor-1", change.condition, change.onset_ns)
            assert alert_id(change.episode, change.n) not in self.ids
            self.ids.add(alert_id(change.episode, change.n))
            phases.append(change)

    def restart(self) -> None:
        kept = self.twin.snapshot()
        self.twin = Alarm("another")
        self.twin.restore(kept)

    def command(self, action: Action) -> None:
        self.restart()
        self.check(self.alarm.command(self.now_ns, action), self.twin.command(self.now_ns, action))

    @rule(name=NAMES, leads=st.sets(st.sampled_from(("I", "II", "V1"))))
    def begin(self, name: str, leads: set[str]) -> None:
        self.holding.setdefault(name, Finding(name, self.now_ns - STEP // 2, 5.0, 4.0, "s", "", tuple(sorted(leads))))

    @rule(name=NAMES)
    def cease(self, name: str) -> None:
        self.holding.pop(name, None)
        self.worst.pop(name, None)

    @rule(steps=st.sampled_from((1, 1, 5, 16, 30, 200, 800)))
    def feed(self, steps: int) -> None:
        for _ in range(min(steps, 40)):
            self.now_ns += STEP * max(1, steps // 40)
            self.restart()
            findings = list(self.holding.values())
            changes = self.alarm.feed(self.now_ns, findings)
            self.check(changes, self.twin.feed(self.now_ns, findings))
            self.check_priorities()
            self.check_inhibits(changes)

    def check_inhibits(self, changes: list[Transition]) -> None:
        """An alarm starts only where none of it, or of a worse one of its chains, ended too short a time ago."""
        for change in changes:
            name, inhibit_ns = change.condition, CONDITIONS[change.condition].inhibit_s * 1e9
            last = max(self.ended.get(other, -(10**18)) for other in (name, *worse(name)))
            if change.phase in ("start", "suppressed"):
                assert (change.phase == "start") == (self.now_ns - last >= inhibit_ns)
            started = any(phase.phase == "start" for phase in self.episodes[change.episode])
            if change.phase == "end" and started and inhibit_ns:
                self.ended[name] = self.now_ns

    def check_priorities(self) -> None:
        """Priority never falls while a condition holds, and no lethal condition is hidden but by a worse one."""
        active = self.alarm.active()
        shown = max((RANK[CONDITIONS[name].priority] for name in active), default=-1)
        if self.alarm.standby:
            assert active == ()
            self.worst = {}
            return
        for name in self.holding:
            assert shown >= self.worst.get(name, -1)
            if name in active:
                self.worst[name] = shown if len(self.holding) == 1 else RANK[CONDITIONS[name].priority]
        for name in set(LETHAL) & set(self.holding):
            assert name in active or any(other in self.alarm.sounding() for other in worse(name))

    @precondition(lambda self: self.ids)
    @rule(data=st.data())
    def acknowledge(self, data: st.DataObject) -> None:
        episode = data.draw(st.sampled_from(sorted(self.episodes)))
        (condition,) = {change.condition for change in self.episodes[episode]}
        before = set(self.alarm.sounding()) - {condition}
        self.command(Acknowledge(alert_id(episode, 0)))
        assert set(self.alarm.sounding()) - {condition} == before

    @rule(seconds=st.sampled_from((0, 30, 600)))
    def pause(self, seconds: int) -> None:
        lethal = [name for name in self.alarm.sounding() if CONDITIONS[name].lethal]
        active = self.alarm.active()
        self.command(Pause(seconds))
        assert [name for name in self.alarm.sounding() if CONDITIONS[name].lethal] == lethal
        assert self.alarm.active() == active

    @rule(on=st.booleans())
    def stand_by(self, on: bool) -> None:
        away = self.alarm.standby
        self.command(Standby(on))
        assert self.alarm.standby == on
        if on or away:  # a patient who was away begins anew, however shortly it was
            self.worst = {}
        if on:
            self.ended = {}

    @rule(high=st.sampled_from((100.0, 220.0)))
    def change_limits(self, high: float) -> None:
        active = self.alarm.active()
        self.command(ChangeLimits(Limits(rate_high_bpm=high)))
        assert self.alarm.active() == active

    @rule(paced=st.booleans())
    def correct_patient(self, paced: bool) -> None:
        before = (self.alarm.active(), self.alarm.limits, self.alarm.paused_s)
        if self.alarm.admitted:
            self.command(Admit(self.alarm.ward, self.alarm.bed, paced=paced))
            assert (self.alarm.active(), self.alarm.limits, self.alarm.paused_s) == before

    @rule(action=st.sampled_from((ADMIT, Admit("ward-1", "bed-8"), Discharge())))
    def change_patient(self, action: Action) -> None:
        if isinstance(action, Admit) and (self.alarm.ward, self.alarm.bed) == (action.ward, action.bed):
            return
        self.command(action)
        assert self.alarm.active() == ()
        assert self.alarm.limits == Limits()
        self.worst, self.ended = {}, {}

    @rule(name=NAMES)
    def remind(self, name: str) -> None:
        """While a condition lasts, nothing stays acknowledged for longer than the reminder, but technical alarms."""
        episode = self.alarm.state.episodes.get(name)
        if self.alarm.standby or name not in self.holding or not episode or episode.stage != "acknowledged":
            return
        self.now_ns += REMIND_NS
        self.restart()
        findings = list(self.holding.values())
        self.check(self.alarm.feed(self.now_ns, findings), self.twin.feed(self.now_ns, findings))
        covered = any(other in self.alarm.active() for other in worse(name))
        assert name in self.alarm.sounding() or CONDITIONS[name].technical or covered or self.alarm.paused_s

    @invariant()
    def no_lethal_alarm_is_inhibited(self) -> None:
        stages = {name: episode.stage for name, episode in self.alarm.state.episodes.items()}
        assert all(stages[name] != "inhibited" for name in LETHAL if name in stages)

    @invariant()
    def what_started_and_did_not_end_is_known(self) -> None:
        still = {episode for episode, phases in self.episodes.items() if phases[-1].phase != "end"}
        assert still == {episode.id for episode in self.alarm.state.episodes.values() if episode.n}

    @invariant()
    def presence_is_what_was_said_last(self) -> None:
        shown = {phases[-1].condition for phases in self.episodes.values() if phases[-1].presence != "off"}
        assert shown == set(self.alarm.active())

    @invariant()
    def a_pause_is_finite(self) -> None:
        assert 0 <= self.alarm.paused_s <= 600


AlarmMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAlarmMachine = AlarmMachine.TestCase


def test_the_example_runs() -> None:
    assert doctest.testmod(ecg.alarm).failed == 0
    assert doctest.testmod(ecg.alarm_table).failed == 0
    assert doctest.testmod(ecg.condition).failed == 0
