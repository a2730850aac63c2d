"""Tested against what software decides of IEC 60601-1-8, as publicly described; its text was not read.

Flashing and sound are the ward display's. Each rule is told through the alarm machine, or through the whole pipeline
where the log takes part.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
import pytest

from ecg.alarm import REMIND_NS, Alarm, Transition
from ecg.alert import Alert, Vitals, decode_alert, decode_vitals
from ecg.clinical import Limits, Settings
from ecg.condition import CHAINS, CONDITIONS, LETHAL, RANK, Finding
from ecg.frame import (
    MAX_PAUSE_S,
    Acknowledge,
    Action,
    Admit,
    ChangeLimits,
    Command,
    FrameError,
    Input,
    Pause,
    Setup,
    Standby,
    Tick,
    check_input,
    encode,
)
from simulators import standard
from simulators.bedside import Bedside
from stream.batch import Record
from stream.pipeline import Pipeline

S = 1_000_000_000
T0_NS = 1_700_000_000_000_000_000


def finding(name: str, value: float = 5.0) -> Finding:
    return Finding(name, 90 * S, value, 4.0, "s", "a rule")


class Bed:
    """An alarm machine that is fed every 0.2 s."""

    def __init__(self) -> None:
        self.alarm, self.now_ns = Alarm("monitor-1"), 100 * S

    def hold(self, seconds: float, *names: str) -> list[Transition]:
        changes: list[Transition] = []
        for _ in range(round(5 * seconds)):
            changes += self.alarm.feed(self.now_ns, [finding(name) for name in names])
            self.now_ns += S // 5
        return changes

    def do(self, action: Action) -> list[Transition]:
        return self.alarm.command(self.now_ns, action)


@pytest.mark.parametrize("name", CONDITIONS)
def test_60601_1_8_each_condition_has_a_priority_and_says_so_in_its_words(name: str) -> None:
    condition = CONDITIONS[name]
    assert condition.priority in RANK
    mark = condition.text.split()[0]
    expected = "!" if condition.technical else {"high": "***", "medium": "**"}.get(condition.priority, "risk")
    assert mark == expected


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain[0])
def test_60601_1_8_priority_never_falls_while_a_condition_holds(chain: Sequence[str]) -> None:
    bed, names, worst = Bed(), [], 0
    for name in reversed(chain):
        names.append(name)
        bed.hold(10 + max(CONDITIONS[each].delay_s for each in names), *names)
        shown = max(RANK[CONDITIONS[each].priority] for each in bed.alarm.active())
        assert shown >= worst
        worst = shown
        assert bed.alarm.active()[0] == name


@pytest.mark.parametrize("name", LETHAL)
def test_60601_1_8_a_lethal_alarm_cannot_be_switched_off_paused_or_delayed(name: str) -> None:
    with pytest.raises(ValueError, match="off must be of"):
        Settings(off=(name,)).check()
    bed = Bed()
    bed.do(Pause(MAX_PAUSE_S))
    (start, *_) = bed.hold(0.2, name)
    assert (start.condition, start.phase) == (name, "start")
    assert bed.alarm.sounding() == (name,)


@pytest.mark.parametrize("name", LETHAL)
def test_60601_1_8_a_lethal_alarm_that_ended_stays_visible_as_latched_until_acknowledged(name: str) -> None:
    bed = Bed()
    (start,) = bed.hold(1, name)
    (latched,) = bed.hold(30)
    assert (latched.presence, bed.alarm.active(), bed.alarm.sounding()) == ("latched", (name,), (name,))
    (end,) = bed.do(Acknowledge(start.episode))
    assert (end.phase, bed.alarm.active()) == ("end", ())


@pytest.mark.parametrize("other", LETHAL)
@pytest.mark.parametrize("name", LETHAL)
def test_60601_1_8_acknowledging_one_lethal_alarm_inhibits_no_other(name: str, other: str) -> None:
    if name == other:
        return
    bed = Bed()
    (start,) = bed.hold(1, name)
    bed.do(Acknowledge(start.episode))
    assert bed.alarm.sounding() == ()
    bed.hold(1, name, other)
    assert bed.alarm.sounding() == (other,)


def test_60601_1_8_a_pause_is_finite_and_shown_with_its_timer() -> None:
    bed = Bed()
    with pytest.raises(ValueError, match="pause must be between"):
        bed.do(Pause(MAX_PAUSE_S + 1))
    bed.do(Pause(60))
    bed.hold(20, "couplet")
    assert bed.alarm.paused_s == pytest.approx(40.2)
    assert (bed.alarm.active(), bed.alarm.sounding()) == (("couplet",), ())
    bed.hold(41, "couplet")
    assert (bed.alarm.paused_s, bed.alarm.sounding()) == (0.0, ("couplet",))


def test_60601_1_8_an_acknowledged_alarm_sounds_again_after_two_to_three_minutes() -> None:
    assert 120 <= REMIND_NS / S <= 180
    bed = Bed()
    (start,) = bed.hold(1, "atrial_fibrillation")
    bed.do(Acknowledge(start.episode))
    bed.hold(REMIND_NS / S - 1, "atrial_fibrillation")
    assert bed.alarm.sounding() == ()
    bed.hold(2, "atrial_fibrillation")
    assert bed.alarm.sounding() == ("atrial_fibrillation",)


def test_60601_1_8_standby_is_shown_and_lets_nothing_sound() -> None:
    bed = Bed()
    bed.do(Standby())
    assert bed.hold(10, "asystole") == []
    assert bed.alarm.standby


def test_60601_1_8_an_alarm_that_is_suppressed_is_described_and_logged() -> None:
    bed = Bed()
    bed.hold(1, "couplet")
    bed.hold(20)
    (kept,) = bed.hold(1, "couplet")
    assert (kept.phase, kept.presence) == ("suppressed", "off")
    assert re.fullmatch(r"a rule; inhibited for 5\d\d\.\d s more, after one that ended", kept.trace)


def command(at_s: float, do: Action) -> Command:
    at_ns = T0_NS + int(at_s * S)
    return Command("monitor-1", "anna", "a reason", f"n{at_s}", at_ns, at_ns + 60 * S, do)


@pytest.fixture(scope="module")
def logged() -> tuple[list[Alert], list[Vitals]]:
    """A rate over the limit of the patient, an acknowledgement and a pause, through the log: alerts and vitals."""
    source = standard.rate_step(80.0, 130.0).source
    setup = Setup("anna", "start", T0_NS, Settings(), {"net": None}, unsigned=True)
    entries: list[tuple[float, Input]] = [
        (-1.0, setup),
        *Bedside("monitor-1", source, T0_NS, 0.5).frames(),
        *((s + 0.001, Tick("t", s, T0_NS + s * S)) for s in range(60)),
        (1.2, command(1.2, Admit("icu", "7"))),
        (2.2, command(2.2, ChangeLimits(Limits(rate_high_bpm=125.0)))),
        (50.2, command(50.2, Pause(120))),
    ]
    alerts, vitals, pipeline, offset = [], [], Pipeline({}), 0
    for at_s, entry in sorted(entries, key=lambda each: each[0]):
        inputs = [entry]
        if at_s == 45.0:
            inputs += [command(at_s, Acknowledge(a.id)) for a in alerts if a.condition == "rate_high"]
        for each in inputs:
            key = b"" if isinstance(each, Setup | Tick) else b"monitor-1"
            out = pipeline.feed([Record(0, offset, key, encode(each))])
            assert not out.dead
            offset += 1
            alerts += [decode_alert(value) for _, value in out.alerts]
            vitals += [decode_vitals(value) for _, value in out.vitals]
    return alerts, vitals


def test_60601_1_8_the_log_keeps_time_limit_priority_beginning_and_acknowledgement(
    logged: tuple[list[Alert], list[Vitals]],
) -> None:
    start, said = (alert for alert in logged[0] if alert.condition == "rate_high")
    assert (start.priority, start.limit, start.phase, start.presence) == ("medium", 125.0, "start", "on")
    assert (said.phase, said.presence, said.episode) == ("update", "acknowledged", start.episode)
    assert 30 * S < start.onset_ns - T0_NS <= start.decided_ns - T0_NS < 40 * S
    assert start.evidence.strip[0] <= start.onset_ns - 6 * S
    assert start.evidence.strip[1] >= start.decided_ns + 4 * S


def test_60601_1_8_a_limit_of_a_patient_is_in_force_from_the_log_and_marks_the_alert(
    logged: tuple[list[Alert], list[Vitals]],
) -> None:
    start = next(alert for alert in logged[0] if alert.condition == "rate_high")
    assert start.settings_sha256 == Settings().with_limits(Limits(rate_high_bpm=125.0)).sha256()


def test_60601_1_8_a_pause_is_on_the_board_with_what_is_left_of_it(logged: tuple[list[Alert], list[Vitals]]) -> None:
    paused = [seen.paused_s for seen in logged[1]]
    assert paused[40] == 0
    assert 105 < paused[-1] < 115


@pytest.mark.parametrize("field", ["who", "why"])
def test_60601_1_8_a_change_of_limits_without_who_or_why_is_refused(field: str) -> None:
    change = msgspec.structs.replace(command(0.0, ChangeLimits(Limits(rate_low_bpm=40.0))), **{field: ""})
    with pytest.raises(FrameError, match=field):
        check_input(change)


def test_60601_1_8_delays_are_disclosed_in_the_table() -> None:
    assert all(condition.delay_s == 0 for condition in CONDITIONS.values() if condition.priority == "high")
    assert {c.name: c.delay_s for c in CONDITIONS.values() if c.delay_s} == {
        "irregular_rhythm": 60.0,
        "rate_high": 3.0,
        "rate_low": 3.0,
        "st_high": 60.0,
        "st_low": 60.0,
        "qtc_high": 150.0,
        "qtc_delta": 150.0,
    }
