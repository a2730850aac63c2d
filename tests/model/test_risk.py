import subprocess
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg.condition import LETHAL
from model.risk import CRITICAL, ELEVATED, FALL_S, FIRST_S, GUARDED, LEVELS, RISE_S, RiskLevel
from model.weights import ANSWERS

NS = 1_000_000_000
QUIET = {"sinus": 0.95, "arrhythmia": 0.03, "atrial_fibrillation": 0.02}
VT = {"ventricular_tachycardia": 0.7, "ventricular_fibrillation": 0.25, "sinus": 0.05}
AF = {"atrial_fibrillation": 0.9, "sinus": 0.1}
NOISE = {"noise": 0.95, "sinus": 0.05}


class Bed:
    """A bed with a clock: each line of a story is so many seconds of the same evidence."""

    def __init__(self) -> None:
        self.risk, self.second = RiskLevel(), 0
        self.changes: list[tuple[int, str]] = []

    def see(
        self,
        seconds: int,
        probabilities: dict[str, float] | None = QUIET,
        bpm: float | None = 70.0,
        conditions: Sequence[str] = (),
        bad: bool = False,
        running: bool = True,
    ) -> "Bed":
        for _ in range(seconds):
            changed = self.risk.step(self.second * NS, probabilities, bpm, conditions, bad, running)
            if changed:
                self.changes.append((self.second, changed.level))
            self.second += 1
        return self

    @property
    def level(self) -> str:
        assert self.risk.current is not None
        return self.risk.current.level

    @property
    def reasons(self) -> tuple[str, ...]:
        assert self.risk.current is not None
        return self.risk.current.reasons


def test_a_quiet_bed_is_low_and_says_so_once() -> None:
    bed = Bed().see(3600)
    assert bed.changes == [(FIRST_S, "low")]
    assert bed.reasons == ("heart rate 70 bpm, nothing abnormal found",)


def test_nothing_is_said_before_there_is_a_level() -> None:
    assert RiskLevel().current is None
    assert Bed().see(3).risk.current is None


@pytest.mark.parametrize("condition", LETHAL)
def test_a_lethal_condition_is_critical_at_once(condition: str) -> None:
    bed = Bed().see(60).see(1, conditions=[condition])
    assert bed.changes[-1] == (60, "critical")
    assert bed.reasons[0] == f"alarm {condition.replace('_', ' ')}"


def test_a_lethal_condition_is_critical_before_any_other_level_and_on_a_bad_signal() -> None:
    bed = Bed().see(1, None, None, ["asystole"], bad=True)
    assert bed.level == "critical"
    assert bed.risk.current is not None
    assert bed.risk.current.bad_signal


def test_the_network_alone_never_lifts_a_bed_to_critical() -> None:
    bed = Bed().see(60).see(600, VT)
    assert bed.level == "high"
    assert bed.reasons[0] == "network sees VT or VF, 95 %"
    assert bed.risk.current is not None
    assert bed.risk.current.probability == pytest.approx(0.95, abs=0.001)


def test_one_answer_of_the_network_lifts_nothing() -> None:
    bed = Bed().see(60).see(2, VT).see(60)
    assert bed.changes == [(FIRST_S, "low")]


def test_a_level_falls_only_after_the_hold() -> None:
    bed = Bed().see(60).see(5, conditions=["ventricular_tachycardia"]).see(FALL_S - 1)
    assert bed.level == "critical"
    assert "still critical from before" in bed.reasons
    assert bed.see(2).level == "low"


def test_it_falls_to_the_worst_that_was_asked_for_in_the_hold() -> None:
    bed = Bed().see(60).see(5, conditions=["asystole"]).see(40, bpm=115.0).see(FALL_S - 40 + 1)
    assert bed.level == "guarded"


def test_an_alternation_inside_the_hold_changes_nothing() -> None:
    bed = Bed().see(60).see(FALL_S, AF)
    for _ in range(20):
        bed.see(FALL_S // 2).see(FALL_S // 2, AF)
    assert bed.level == "guarded"
    assert len(bed.changes) == 2


@pytest.mark.parametrize(
    ("conditions", "level"), [(["atrial_fibrillation"], GUARDED), (["couplet"], ELEVATED), (["asystole"], CRITICAL)]
)
def test_a_level_must_be_asked_for_the_longer_the_milder_it_is(conditions: list[str], level: int) -> None:
    bed = Bed().see(60).see(RISE_S[level], conditions=conditions)
    assert bed.level == "low"
    assert bed.see(1, conditions=conditions).level == LEVELS[level]
    assert list(RISE_S[GUARDED:]) == sorted(RISE_S[GUARDED:], reverse=True)


def test_what_becomes_an_alarm_is_one_change_and_what_soon_ends_is_none() -> None:
    bed = Bed().see(60).see(4, bpm=48.0).see(20, bpm=48.0, conditions=["rate_low"])
    assert [level for _, level in bed.changes] == ["low", "elevated"]
    assert len(Bed().see(60).see(RISE_S[GUARDED] - 1, bpm=48.0).see(60).changes) == 1


def test_a_rate_about_its_limit_does_not_flap() -> None:
    bed = Bed().see(60)
    for _ in range(60):
        bed.see(30, bpm=111.0).see(30, bpm=109.0)
    assert [level for _, level in bed.changes] == ["low", "guarded"]


@pytest.mark.parametrize(
    ("bpm", "level"), [(38.0, "high"), (44.0, "elevated"), (49.0, "guarded"), (126.0, "elevated"), (150.0, "high")]
)
def test_a_rate_out_of_range_asks_for_its_level(bpm: float, level: str) -> None:
    bed = Bed().see(60).see(RISE_S[GUARDED] + 1, bpm=bpm)
    assert bed.level == level
    assert f"heart rate {bpm:.0f} bpm" in bed.reasons[0]


def test_a_level_never_falls_for_want_of_a_signal() -> None:
    bed = Bed().see(60).see(5, conditions=["ventricular_fibrillation"]).see(3600, None, None, bad=True)
    assert bed.level == "critical"
    assert "rests on a bad signal" in bed.reasons
    assert bed.risk.current is not None
    assert bed.risk.current.bad_signal


def test_what_the_network_calls_noise_is_a_bad_signal() -> None:
    bed = Bed().see(60).see(5, conditions=["ventricular_fibrillation"]).see(600, NOISE, 70.0)
    assert bed.level == "critical"
    assert "rests on a bad signal" in bed.reasons


def test_a_bed_that_is_not_seen_is_not_low() -> None:
    assert Bed().see(60, None, None, bad=True).level == "guarded"
    bed = Bed().see(60).see(60, None, None, bad=True)
    assert bed.level == "guarded"
    assert bed.reasons[0].startswith("no usable signal for")


def test_a_short_loss_of_signal_changes_nothing() -> None:
    assert Bed().see(60).see(10, None, None, bad=True).see(60).changes == [(FIRST_S, "low")]


def test_without_the_network_the_rules_stand_alone_and_say_so() -> None:
    bed = Bed().see(60, None, 70.0, running=False)
    assert bed.level == "low"
    assert bed.reasons[-1] == "model not running, rules alone"


def test_technical_alarms_ask_for_no_level() -> None:
    assert Bed().see(60, conditions=["lead_off", "rules_alone", "risk_level"]).level == "low"


def test_reasons_come_in_order_of_weight() -> None:
    bed = Bed().see(60).see(600, AF, 130.0, ["atrial_fibrillation", "ventricular_tachycardia"])
    assert bed.reasons == (
        "alarm ventricular tachycardia",
        "heart rate 130 bpm, high (over 125)",
        "alarm atrial fibrillation",
        "network sees atrial fibrillation, 90 %",
    )


evidence = st.tuples(
    st.none() | st.dictionaries(st.sampled_from(ANSWERS), st.floats(0, 1), max_size=6),
    st.none() | st.floats(0, 300),
    st.lists(st.sampled_from([*LETHAL, "rate_high", "lead_off"]), max_size=2),
    st.booleans(),
    st.integers(1, 70),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(evidence, max_size=12), st.integers(0, 12))
def test_a_restored_bed_goes_on_as_if_nothing_happened(story: list, at: int) -> None:
    one, two = Bed(), Bed()
    for k, (probabilities, bpm, conditions, bad, seconds) in enumerate(story):
        if k == at:
            kept = two.risk.snapshot()
            two.risk = RiskLevel()
            two.risk.restore(kept)
        for bed in (one, two):
            bed.see(seconds, probabilities, bpm, conditions, bad)
    assert one.changes == two.changes
    assert one.risk.current == two.risk.current


@settings(max_examples=60, deadline=None)
@given(st.lists(evidence, max_size=12))
def test_a_level_falls_at_most_once_in_a_hold_and_only_on_a_good_signal(story: list) -> None:
    bed, fell = Bed(), -FALL_S
    for probabilities, bpm, conditions, bad, seconds in story:
        for _ in range(seconds):
            before = bed.risk.current
            bed.see(1, probabilities, bpm, conditions, bad)
            after = bed.risk.current
            if before and after and LEVELS.index(after.level) < LEVELS.index(before.level):
                assert not after.bad_signal
                assert bed.second - fell >= FALL_S
                fell = bed.second


@settings(max_examples=60, deadline=None)
@given(st.lists(evidence, max_size=12))
def test_nothing_delays_the_rise_for_a_lethal_condition(story: list) -> None:
    bed = Bed()
    for probabilities, bpm, conditions, bad, seconds in story:
        bed.see(1, probabilities, bpm, conditions, bad)
        if not {*conditions}.isdisjoint(LETHAL):
            assert bed.level == "critical"
        bed.see(seconds, probabilities, bpm, conditions, bad)


def test_a_clock_that_goes_back_neither_stops_nor_delays_a_rise() -> None:
    bed = Bed().see(90)
    bed.second = 10
    assert bed.see(RISE_S[GUARDED] + 1, bpm=48.0).level == "guarded"
    bed.second = 0
    assert bed.see(1, conditions=["asystole"]).level == "critical"


def test_labels_and_risk_load_no_torch() -> None:
    code = "import sys, model.labels, model.risk; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
