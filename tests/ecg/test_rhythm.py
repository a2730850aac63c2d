"""The rules: what holds when, how soon, and that a snapshot changes nothing.

The rules get the true beats of a generated heart, confirmed 0.3 s late, and the judgements of its wave.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from ecg.beats import BEAT
from ecg.clinical import Settings
from ecg.fibrillation import Fibrillation
from ecg.rhythm import STEP, Rhythm, Step
from simulators.heart import Heart

HZ = 250
LETHAL = {
    "asystole",
    "ventricular_fibrillation",
    "ventricular_tachycardia",
    "extreme_bradycardia",
    "extreme_tachycardia",
}
Script = Sequence[tuple[str, float, dict[str, float]]]


class Input(NamedTuple):
    n: int
    beats: NDArray[np.void]
    judgements: NDArray[np.void]
    off: NDArray[np.uint16]


def as_beats(samples: NDArray[np.int64], labels: NDArray[np.uint8]) -> NDArray[np.void]:
    beats = np.zeros(len(samples), BEAT)
    beats["sample"], beats["label"] = samples, labels
    beats["confirmed"] = samples + 75
    beats["rr_s"] = np.diff(samples, prepend=np.nan) / HZ
    beats["similarity"], beats["amplitude_mv"], beats["t_peak"] = labels != ord("V"), 1.0, -1
    return beats


def judge(signal_mv: NDArray[np.float32]) -> NDArray[np.void]:
    fibrillation = Fibrillation()
    fibrillation.reset(0)
    leads, n = signal_mv.shape
    return fibrillation.feed(np.array([0]), np.ascontiguousarray(signal_mv)[None], np.array([leads]), np.array([n]))[0]


def heart(*script: tuple[str, float, dict[str, float]]) -> Input:
    made = Heart(script, seed=7)
    order = np.argsort(made.beats["sample"])
    beats = as_beats(made.beats["sample"][order], made.beats["label"][order])
    return Input(made.n_samples, beats, judge(made.samples(0, made.n_samples)), np.zeros(made.n_samples, np.uint16))


def steps(given: Input, settings: Settings | None = None, *, restart: bool = False) -> list[tuple[float, Step]]:
    rhythm, made = Rhythm(["II", "V1"]), []
    for end in range(STEP, given.n + 1, STEP):
        if restart:
            kept = rhythm.snapshot()
            rhythm = Rhythm(["II", "V1"])
            rhythm.restore(kept)
        beats = given.beats[(given.beats["confirmed"] > end - STEP) & (given.beats["confirmed"] <= end)]
        judgements = given.judgements[(given.judgements["end"] > end - STEP) & (given.judgements["end"] <= end)]
        off = int(given.off[end - 1])
        step = rhythm.step(end, end * 4_000_000, beats.tolist(), judgements.tolist(), off, settings or Settings())
        made.append((end / HZ, step))
    return made


def first_s(made: list[tuple[float, Step]], condition: str, after_s: float = 0.0) -> float:
    """When a condition was first found, infinite where it never was."""
    times = (at for at, step in made if at > after_s and condition in {f.condition for f in step.findings})
    return next(times, np.inf)


def conditions(made: list[tuple[float, Step]]) -> set[str]:
    return {finding.condition for _, step in made for finding in step.findings}


def test_60601_2_27_asystole_is_found_within_10_s_of_the_last_beat() -> None:
    given = heart(("sinus", 20, {}), ("asystole", 15, {}))
    last_s = given.beats["sample"][given.beats["sample"] < 20 * HZ][-1] / HZ
    made = steps(given)
    found_s = first_s(made, "asystole")
    assert 4.0 <= found_s - last_s <= 5.0
    finding = next(f for at, step in made if at == found_s for f in step.findings if f.condition == "asystole")
    assert finding.onset_ns == pytest.approx(last_s * 1e9, abs=1e6)
    assert finding.limit == 4.0
    assert finding.leads == ("II", "V1")
    assert f"last beat at sample {round(last_s * HZ)}" in finding.trace


@pytest.mark.parametrize("asystole_s", [3.0, 8.0])
def test_asystole_follows_its_setting(asystole_s: float) -> None:
    given = heart(("sinus", 20, {}), ("asystole", 15, {}))
    last_s = given.beats["sample"][given.beats["sample"] < 20 * HZ][-1] / HZ
    found_s = first_s(steps(given, Settings(asystole_s=asystole_s)), "asystole")
    assert asystole_s <= found_s - last_s <= asystole_s + 1.0


def test_a_flat_signal_never_suspends_asystole_and_is_told_beside_it() -> None:
    given = heart(("sinus", 20, {}))
    flat = np.zeros((2, 35 * HZ), np.float32)
    made = steps(Input(35 * HZ, given.beats, judge(flat), np.zeros(35 * HZ, np.uint16)))
    assert first_s(made, "asystole") < 25.5
    assert {"asystole", "flat_signal"} <= {finding.condition for finding in made[-1][1].findings}
    assert made[-1][1].rhythm == "asystole"


def test_a_session_that_begins_flat_is_asystole() -> None:
    n = 10 * HZ
    made = steps(Input(n, np.zeros(0, BEAT), judge(np.zeros((2, n), np.float32)), np.zeros(n, np.uint16)))
    assert 4.0 <= first_s(made, "asystole") <= 5.0


def test_without_a_usable_lead_no_rhythm_is_made_up() -> None:
    n = 20 * HZ
    made = steps(Input(n, np.zeros(0, BEAT), judge(np.full((2, n), np.nan, np.float32)), np.full(n, 3, np.uint16)))
    assert conditions(made) == {"all_leads_off"}
    assert made[-1][1].heart_rate_bpm is None
    assert made[-1][1].rhythm == "no signal"


def test_60601_2_27_a_lead_off_is_told_within_10_s_and_by_name() -> None:
    given = heart(("sinus", 30, {}))
    given.off[10 * HZ :] = 0b10
    made = steps(given)
    assert first_s(made, "lead_off") == pytest.approx(13.0, abs=0.3)
    finding = next(f for f in made[-1][1].findings if f.condition == "lead_off")
    assert finding.leads == ("V1",)
    assert conditions(made) == {"lead_off"}


@pytest.mark.parametrize("rhythm", ["ventricular_fibrillation", "ventricular_flutter"])
def test_60601_2_27_fibrillation_is_found_within_8_s_and_stops_the_rate(rhythm: str) -> None:
    made = steps(heart(("sinus", 20, {}), (rhythm, 20, {})))
    found_s = first_s(made, "ventricular_fibrillation")
    assert 22.0 <= found_s <= 28.0
    for at, step in made:
        if found_s <= at <= 39:
            assert step.heart_rate_bpm is None
            assert "asystole" not in {finding.condition for finding in step.findings}


@pytest.mark.parametrize("rate_bpm", [120.0, 150.0, 206.0])
def test_60601_2_27_a_run_of_ventricular_beats_is_tachycardia_within_10_s(rate_bpm: float) -> None:
    made = steps(heart(("sinus", 20, {}), ("ventricular_tachycardia", 20, {"rate_bpm": rate_bpm})))
    assert 20.0 < first_s(made, "ventricular_tachycardia") < 30.0


def test_ventricular_beats_under_the_rate_limit_are_no_tachycardia() -> None:
    made = steps(heart(("sinus", 20, {}), ("ventricular_tachycardia", 20, {"rate_bpm": 80.0})))
    assert "ventricular_tachycardia" not in conditions(made)


def test_60601_2_27_extreme_rates_are_found_within_10_s() -> None:
    slow = steps(heart(("sinus", 20, {"rate_bpm": 80.0}), ("sinus", 20, {"rate_bpm": 30.0})))
    assert first_s(slow, "extreme_bradycardia") - 20 <= 10.0
    assert "asystole" not in conditions(slow)
    fast = steps(heart(("sinus", 20, {"rate_bpm": 80.0}), ("sinus", 20, {"rate_bpm": 170.0})))
    assert first_s(fast, "extreme_tachycardia") - 20 <= 10.0


@pytest.mark.parametrize(
    ("similarity", "size_mv", "passed_over"), [(0.4, 0.4, True), (0.65, 0.4, False), (0.4, 0.6, False)]
)
def test_small_waves_unlike_any_beat_hide_no_extreme_bradycardia(
    similarity: float, size_mv: float, passed_over: bool
) -> None:
    given = heart(("sinus", 20, {"rate_bpm": 80.0}), ("sinus", 20, {"rate_bpm": 32.0}))
    slow = given.beats[given.beats["sample"] > 20 * HZ]["sample"]
    waves = as_beats(slow + 200, np.full(len(slow), ord("N"), np.uint8))
    waves["similarity"], waves["amplitude_mv"], waves["shape"], waves["rr_s"] = similarity, size_mv, -1, 0.8
    beats = np.sort(np.concatenate([given.beats, waves]), order="sample")
    found_s = first_s(steps(given._replace(beats=beats)), "extreme_bradycardia")
    assert (found_s - 20 <= 11.0) == passed_over


@pytest.mark.parametrize(("rate_bpm", "condition"), [(120.0, "rate_high"), (40.0, "rate_low")])
def test_60601_2_27_the_rate_follows_a_step_in_under_11_s(rate_bpm: float, condition: str) -> None:
    made = steps(heart(("sinus", 30, {"rate_bpm": 80.0}), ("sinus", 20, {"rate_bpm": rate_bpm})), Settings())
    shown = [(at, step.heart_rate_bpm or 0.0) for at, step in made]
    reached_s = next(at for at, bpm in shown if at > 30 and abs(bpm - rate_bpm) < 0.1 * rate_bpm)
    assert reached_s - 30 < 11.0
    made = steps(heart(("sinus", 30, {"rate_bpm": 80.0}), ("sinus", 20, {"rate_bpm": rate_bpm + (rate_bpm > 80) * 10})))
    assert first_s(made, condition) - 30 < 10.0


def test_nothing_is_found_on_a_normal_rhythm() -> None:
    made = steps(heart(("sinus", 120, {})))
    assert not conditions(made)
    assert made[-1][1].rhythm == "regular"
    assert made[-1][1].heart_rate_bpm == pytest.approx(72, abs=5)


def test_many_ventricular_beats_are_counted_but_are_no_lethal_condition() -> None:
    made = steps(heart(("pvcs", 120, {})))
    assert "pvcs_per_minute" in conditions(made)
    assert not conditions(made) & LETHAL
    assert made[-1][1].rhythm in {"ectopy", "irregular"}


@pytest.mark.parametrize(
    ("script", "condition"),
    [
        (("bigeminy", 40, {}), "bigeminy"),
        (("pvcs", 40, {"every": 3.0}), "trigeminy"),
        (("pauses", 40, {}), "pause"),
        (("ventricular_tachycardia", 40, {"rate_bpm": 80.0}), "ventricular_rhythm"),
        (("sinus", 40, {"rate_bpm": 190.0}), "supraventricular_tachycardia"),
    ],
)
def test_a_rhythm_of_medium_priority_is_found_and_a_ward_can_switch_it_off(
    script: tuple[str, float, dict[str, float]], condition: str
) -> None:
    given = heart(("sinus", 20, {}), script)
    made = steps(given)
    assert first_s(made, condition) > 20
    without = steps(given, Settings(off=(condition,)))
    assert conditions(without) == conditions(made) - {condition}
    assert [(step.rhythm, step.heart_rate_bpm) for _, step in without] == [
        (step.rhythm, step.heart_rate_bpm) for _, step in made
    ]


def test_a_pause_is_found_while_it_lasts_and_becomes_asystole() -> None:
    given = heart(("sinus", 20, {}), ("asystole", 15, {}))
    last_s = given.beats["sample"][given.beats["sample"] < 20 * HZ][-1] / HZ
    made = steps(given)
    assert 3.0 < first_s(made, "pause") - last_s < 4.0
    assert first_s(made, "asystole") > first_s(made, "pause")


def test_ectopy_is_not_named_before_a_normal_beat_is_known() -> None:
    made = steps(heart(("ventricular_tachycardia", 30, {"rate_bpm": 80.0})))
    assert not conditions(made) & {"ventricular_rhythm", "pvc_run", "couplet"}
    made = steps(heart(("ventricular_tachycardia", 30, {"rate_bpm": 150.0})))
    assert "ventricular_tachycardia" in conditions(made)


def test_the_beat_that_is_awaited_never_raises_the_rate() -> None:
    given = heart(("bigeminy", 60, {"variability": 0.0}))
    shown = [step.heart_rate_bpm for at, step in steps(given) if at > 20 and step.heart_rate_bpm is not None]
    assert max(shown) <= 81


def test_atrial_fibrillation_is_found_with_its_onset_and_ends() -> None:
    made = steps(heart(("sinus", 60, {}), ("atrial_fibrillation", 180, {}), ("sinus", 180, {})))
    found_s = first_s(made, "atrial_fibrillation")
    assert 60 < found_s < 180
    finding = next(f for at, s in made if at == found_s for f in s.findings if f.condition == "atrial_fibrillation")
    assert 40 < finding.onset_ns / 1e9 < found_s - 10
    assert "atrial_fibrillation" not in {f.condition for f in made[-1][1].findings}
    assert not conditions(made) & LETHAL


def test_atrial_fibrillation_alarms_once_it_has_lasted_from_its_onset_for_as_long_as_the_ward_has_set() -> None:
    given = heart(("sinus", 60, {}), ("atrial_fibrillation", 120, {}))
    patient, quick = (steps(given, Settings(af_s=seconds)) for seconds in (90.0, 0.0))
    at_s = first_s(patient, "atrial_fibrillation")
    finding = next(f for at, s in patient if at == at_s for f in s.findings if f.condition == "atrial_fibrillation")
    assert at_s - finding.onset_ns / 1e9 == pytest.approx(90.0, abs=0.4)
    assert first_s(quick, "atrial_fibrillation") < at_s - 30.0


def test_bigeminy_is_not_taken_for_atrial_fibrillation() -> None:
    assert "atrial_fibrillation" not in conditions(steps(heart(("bigeminy", 180, {}))))


def test_a_snapshot_at_every_step_changes_nothing() -> None:
    given = heart(
        ("pvcs", 30, {}), ("ventricular_fibrillation", 15, {}), ("atrial_fibrillation", 60, {}), ("asystole", 8, {})
    )
    assert steps(given) == steps(given, restart=True)


def test_asystole_after_fibrillation_is_found() -> None:
    made = steps(heart(("sinus", 10, {}), ("ventricular_fibrillation", 20, {}), ("asystole", 15, {})))
    assert 30 < first_s(made, "asystole") <= 40


def with_waves(given: Input, sizes_mv: Sequence[float], shapes: Sequence[int], similarity: float) -> Input:
    """The same input with a wave every 1.2 s from 22 s on, after normal beats of 1 mv, which have shape 0."""
    at = 22 * HZ + 300 * np.arange(len(sizes_mv))
    waves = as_beats(at, np.full(len(at), ord("N"), np.uint8))
    waves["amplitude_mv"], waves["shape"], waves["similarity"] = sizes_mv, shapes, similarity
    normal = given.beats.copy()
    normal["amplitude_mv"], normal["width_ms"], normal["similarity"] = 1.0, 90.0, 1.0
    return given._replace(beats=np.concatenate([normal, waves]))


def test_waves_that_noise_gives_do_not_hide_asystole() -> None:
    given = heart(("sinus", 20, {}), ("asystole", 15, {}))
    made = steps(with_waves(given, [0.2, 0.4, 0.15, 0.35] * 2, [1, 2, 3, -1, 4, 5, -1, 6], 0.3))
    assert first_s(made, "asystole") < 25.0
    finding = next(f for f in made[-1][1].findings if f.condition == "asystole")
    assert "not counted" in finding.trace


@pytest.mark.parametrize(
    ("sizes_mv", "shapes", "similarity"),
    [
        ([0.3] * 10, [1] * 10, 0.1),
        ([0.8, 0.6] * 5, list(range(1, 11)), 0.1),
        ([0.2, 0.4] * 5, list(range(1, 11)), 0.9),
    ],
    ids=["small but alike", "unlike but large", "small but like the normal ones"],
)
def test_other_beats_after_a_pause_are_no_asystole(sizes_mv: list[float], shapes: list[int], similarity: float) -> None:
    given = heart(("sinus", 20, {}), ("asystole", 13.5, {}))
    assert "asystole" not in conditions(steps(with_waves(given, sizes_mv, shapes, similarity)))
