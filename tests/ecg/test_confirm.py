"""A pulse that goes on through a lethal alarm withholds it; whatever leaves doubt alarms."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecg.condition import CONDITIONS, LETHAL, Finding
from ecg.confirm import BREAK_S, LATE, Confirm, Confirmed
from ecg.pulse import PULSE
from ecg.quality import Verdict
from ecg.resample import ANALYSIS_HZ
from ecg.rhythm import STEP
from ecg.wavelet import Denoiser

NS = 1_000_000_000 // ANALYSIS_HZ
ONSET_S = 30.0


def train(end_s: float, bpm: float = 75.0, first_s: float = 0.0, size: float = 1.0, alike: float = 0.95, lead: int = 0):
    at = (np.arange(first_s, end_s, 60 / bpm) * ANALYSIS_HZ).astype(np.int64)
    pulses = np.zeros(len(at), PULSE)
    pulses["sample"], pulses["confirmed"] = at, at + 80
    pulses["amplitude"], pulses["similarity"], pulses["lead"] = size, alike, lead
    return pulses


def finding(condition: str = "asystole", value: float = 4.4, limit: float = 4.0, onset_s: float = ONSET_S) -> Finding:
    return Finding(condition, round(onset_s * 1e9), value, limit, "s", "what the ECG says", ("II",))


def steps(
    confirm: Confirm, pulses: NDArray[np.void], last_s: float, found: Finding, first_s: float = ONSET_S + 4.4
) -> list[Confirmed]:
    """Step up to a time, with a finding that holds from another on."""
    out = []
    for end in range(STEP, round(last_s * ANALYSIS_HZ) + 1, STEP):
        known = (pulses["confirmed"] <= end + LATE) & (pulses["confirmed"] > end + LATE - STEP)
        if end == STEP:
            known = pulses["confirmed"] <= end + LATE
        if end % ANALYSIS_HZ == 0:
            confirm.judged(end // ANALYSIS_HZ - 1, (Verdict.GOOD,))
        out.append(confirm.step(end, end * NS, pulses[known], [found] if end >= first_s * ANALYSIS_HZ else []))
    return out


@pytest.mark.parametrize(
    ("condition", "value", "limit"),
    [
        ("asystole", 4.4, 4.0),
        ("ventricular_fibrillation", 4.4, 4.0),
        ("extreme_bradycardia", 30.0, 40.0),
        ("extreme_tachycardia", 190.0, 140.0),
    ],
)
def test_a_pulse_that_goes_on_as_before_withholds_and_says_so_once(condition: str, value: float, limit: float) -> None:
    made = steps(Confirm(["PLETH"], ["II"]), train(60), 50.0, finding(condition, value, limit))
    assert not any(each.findings for each in made)
    said = [each for step in made for each in step.told]
    assert [each.condition for each in said] == [condition]
    assert said[0].trace == "what the ECG says; withheld: pulse of PLETH goes on, 75 bpm, 1.00 of its size before"


@pytest.mark.parametrize(
    ("name", "pulses"),
    [
        ("none", train(0)),
        ("it stops", train(ONSET_S)),
        ("it shrinks", np.concatenate([train(ONSET_S), train(60, first_s=ONSET_S, size=0.3)])),
        ("it grows", np.concatenate([train(ONSET_S), train(60, first_s=ONSET_S, size=3.0)])),
        ("it slows", np.concatenate([train(ONSET_S, 100), train(60, 60, first_s=ONSET_S)])),
        ("it quickens", np.concatenate([train(ONSET_S, 60), train(60, 120, first_s=ONSET_S)])),
        ("it is noise", np.concatenate([train(ONSET_S), train(60, first_s=ONSET_S, alike=0.3)])),
        ("it breaks", np.concatenate([train(ONSET_S + 0.5), train(60, first_s=ONSET_S + 3.8)])),
        ("too little is known of it", train(60, first_s=ONSET_S + 1.0)),
    ],
)
def test_a_pulse_that_leaves_doubt_withholds_no_asystole(name: str, pulses: NDArray[np.void]) -> None:
    made = steps(Confirm(["PLETH"], ["II"]), pulses, ONSET_S + 4.6, finding())
    assert [each.condition for each in made[-1].findings] == ["asystole"], name
    assert not made[-1].withheld


def test_a_withheld_alarm_sounds_at_once_when_the_pulse_is_lost() -> None:
    made = steps(Confirm(["PLETH"], ["II"]), train(40), 50.0, finding())
    sounds = next(k for k, step in enumerate(made) if step.findings) * STEP / ANALYSIS_HZ
    assert 40 < sounds < 40 + BREAK_S["asystole"] + 0.8
    assert all(step.findings for step in made[round(sounds * ANALYSIS_HZ / STEP) :])


def test_an_alarm_that_sounds_is_taken_back_only_by_ten_seconds_of_pulse() -> None:
    pulses = np.concatenate([train(ONSET_S), train(80, first_s=ONSET_S + 5.0)])
    made = steps(Confirm(["PLETH"], ["II"]), pulses, 60.0, finding())
    sounding = [k * STEP / ANALYSIS_HZ for k, step in enumerate(made) if step.findings]
    assert sounding[0] < ONSET_S + 4.5
    assert ONSET_S + 10 <= sounding[-1] < ONSET_S + 18


@pytest.mark.parametrize("verdict", [Verdict.GOOD, Verdict.ELECTRODE_MOTION])
def test_vt_is_withheld_by_no_pulse_unless_every_lead_that_shows_it_is_artefact(verdict: Verdict) -> None:
    confirm = Confirm(["ABP"], ["II", "V1"])
    confirm.step(7500, 7500 * NS, train(33), [])
    for second in range(30, 34):
        confirm.judged(second, (verdict, Verdict.GOOD))
    found = finding("ventricular_tachycardia", 150.0, 100.0)
    made = confirm.step(8500, 8500 * NS, train(34, first_s=33.6), [found])
    assert bool(made.withheld) == (verdict != Verdict.GOOD)
    both = found._replace(leads=("II", "V1"))
    assert confirm.step(8550, 8550 * NS, train(0), [both]).findings == [both]


@pytest.mark.parametrize(("bpm", "size"), [(75, 1.4), (85, 1.0), (75, 0.7)])
def test_a_tachycardia_is_denied_by_no_pulse_that_changed_with_it(bpm: float, size: float) -> None:
    pulses = np.concatenate([train(ONSET_S), train(60, bpm, first_s=ONSET_S, size=size)])
    made = steps(Confirm(["ABP"], ["II"]), pulses, 40.0, finding("extreme_tachycardia", 150.0, 140.0))
    assert made[-1].findings


def test_a_slow_pulse_does_not_deny_bradycardia() -> None:
    made = steps(Confirm(["ABP"], ["II"]), train(60, 44), 40.0, finding("extreme_bradycardia", 38.0, 40.0))
    assert made[-1].findings


def test_what_a_withheld_alarm_covers_is_withheld_with_it_but_no_lethal_one() -> None:
    confirm = Confirm(["PLETH"], ["II"])
    confirm.step(7500, 7500 * NS, train(34.4), [])
    others = [Finding(name, 0, 20.0, 90.0) for name in ("rate_low", "extreme_bradycardia", "lead_off")]
    made = confirm.step(8600, 8600 * NS, train(0), [finding(), *others])
    assert [each.condition for each in made.findings] == ["extreme_bradycardia", "lead_off"]


@given(names=st.lists(st.sampled_from(sorted(CONDITIONS)), max_size=6, unique=True))
def test_without_a_pulse_lead_nothing_changes(names: list[str]) -> None:
    found = [Finding(name, 5, 1.0, 2.0) for name in names]
    assert Confirm([], ["II"]).step(8500, 8500 * NS, np.empty(0, PULSE), found) == (found, [], [])


def test_only_lethal_conditions_are_withheld() -> None:
    assert set(BREAK_S) == set(LETHAL)


def test_a_pulse_is_known_no_later_than_the_clean_sample_it_is_used_at() -> None:
    assert Denoiser().delay >= LATE


def test_a_bed_put_back_at_any_step_decides_the_same() -> None:
    pulses = np.concatenate([train(36), train(60, first_s=41, lead=1)])
    whole = steps(Confirm(["PLETH", "ABP"], ["II"]), pulses, 60.0, finding())
    confirm, made = Confirm(["PLETH", "ABP"], ["II"]), []
    for k, end in enumerate(range(STEP, 60 * ANALYSIS_HZ + 1, STEP)):
        known = (pulses["confirmed"] <= end + LATE) & (pulses["confirmed"] > end + LATE - STEP)
        known |= (k == 0) & (pulses["confirmed"] <= end + LATE)
        if end % ANALYSIS_HZ == 0:
            confirm.judged(end // ANALYSIS_HZ - 1, (Verdict.GOOD,))
        kept = confirm.snapshot()
        confirm = Confirm.restored(kept)
        assert confirm.snapshot() == kept
        held = [finding()] if end >= (ONSET_S + 4.4) * ANALYSIS_HZ else []
        made.append(confirm.step(end, end * NS, pulses[known], held))
    assert made == whole
    assert len(set(map(len, itertools.chain(step.findings for step in made)))) == 2
