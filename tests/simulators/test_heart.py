"""Generated hearts: leads agree as on a body, beats come when the script says, a seed gives the same bytes."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators import heart as module
from simulators.dipole import ECG_LEADS
from simulators.heart import Heart
from simulators.schedule import RHYTHMS, Span

BEATING = [name for name, params in RHYTHMS.items() if "rate_bpm" in params]


def intervals_s(heart: Heart) -> np.ndarray:
    return np.diff(heart.beats["sample"]) / heart.rate_hz


@pytest.mark.parametrize("rhythm", RHYTHMS)
def test_leads_obey_einthoven_and_goldberger(rhythm: str) -> None:
    heart = Heart([("sinus", 5, {}), (rhythm, 10, {})], leads=ECG_LEADS, seed=3)
    one, two, three, avr, avl, avf = heart.samples(0, heart.n_samples)[:6].astype(np.float64)
    np.testing.assert_allclose(one + three, two, atol=1e-5)
    np.testing.assert_allclose(avr + avl + avf, 0, atol=1e-5)
    np.testing.assert_allclose(avl, (one - three) / 2, atol=1e-5)


@pytest.mark.parametrize("rate_bpm", [30, 60, 100, 180, 250])
def test_sinus_beats_at_its_rate(rate_bpm: float) -> None:
    heart = Heart([("sinus", 60, {"rate_bpm": rate_bpm})])
    assert len(heart.beats) == pytest.approx(rate_bpm, abs=1.5)
    assert np.mean(intervals_s(heart)) == pytest.approx(60 / rate_bpm, rel=0.02)


def test_without_variability_every_interval_is_the_same() -> None:
    heart = Heart([("sinus", 60, {"rate_bpm": 75, "variability": 0.0})])
    np.testing.assert_allclose(intervals_s(heart)[:-10], 0.8, atol=1 / heart.rate_hz)


def test_r_peaks_lie_where_the_truth_says() -> None:
    heart = Heart([("sinus", 30, {})], leads=("II",), noise_mv=0.0)
    lead = heart.samples(0, heart.n_samples)[0]
    for sample in heart.beats["sample"][1:-1]:
        assert abs(int(np.argmax(lead[sample - 30 : sample + 30])) - 30) <= 2


def test_atrial_fibrillation_is_irregular_and_sinus_is_not() -> None:
    spread = {
        rhythm: np.std(rr) / np.mean(rr)
        for rhythm in ("sinus", "atrial_fibrillation")
        for rr in [intervals_s(Heart([(rhythm, 120, {"rate_bpm": 90})]))]
    }
    assert spread["atrial_fibrillation"] > 0.15 > 0.06 > spread["sinus"]


def test_bigeminy_alternates_and_pvcs_come_every_so_many_beats() -> None:
    labels = Heart([("bigeminy", 30, {})]).beats["label"].tobytes().decode()
    assert "NN" not in labels[:-2]
    assert "VV" not in labels
    assert Heart([("pvcs", 60, {"every": 6})]).beats["label"].tobytes().decode().startswith("NNNNNVNNNNNV")


def test_pauses_are_as_long_as_asked() -> None:
    rr = intervals_s(Heart([("pauses", 60, {"pause_s": 4.0})]))
    assert np.max(rr) == pytest.approx(4.0, rel=0.06)


@pytest.mark.parametrize("rhythm", ["asystole", "ventricular_fibrillation", "ventricular_flutter"])
def test_nothing_beats_and_no_pulse_is_felt_without_organised_beats(rhythm: str) -> None:
    heart = Heart([("sinus", 20, {}), (rhythm, 20, {})], leads=("II", "PLETH", "ABP"))
    assert not np.any((heart.beats["sample"] >= 5000) & (heart.beats["sample"] < 10_000))
    _, pleth, abp = heart.samples(0, heart.n_samples)
    assert np.ptp(pleth[1000:4000]) > 0.7 > 0.2 > np.ptp(pleth[6500:9500])
    assert np.min(abp[1000:4000]) > 50 > 25 > np.max(abp[7500:9500])


def test_asystole_is_flat_and_fibrillation_is_not() -> None:
    heart = Heart([("sinus", 10, {}), ("asystole", 10, {}), ("ventricular_fibrillation", 10, {})], leads=("II",))
    lead = heart.samples(0, heart.n_samples)[0]
    assert np.ptp(lead[2800:4800]) < 0.2
    assert np.std(lead[5200:7300]) > 0.15


def test_premature_beats_are_felt_weaker() -> None:
    heart = Heart([("bigeminy", 30, {})], leads=("PLETH",), noise_mv=0.0)
    pleth = heart.samples(0, heart.n_samples)[0]
    height = {
        label: np.mean(
            [np.ptp(pleth[s + 60 : s + 150]) for s in heart.beats["sample"][heart.beats["label"] == ord(label)][1:-1]]
        )
        for label in "NV"
    }
    assert height["V"] < 0.6 * height["N"]


def test_a_shifted_st_segment_stands_as_high_as_asked_in_lead_ii() -> None:
    level = {
        st_mv: heart.samples(0, heart.n_samples)[0][heart.beats["sample"][1:-1] + 30].mean()
        for st_mv in (0.0, 0.3)
        for heart in [Heart([("st_shift", 30, {"st_mv": st_mv})], leads=("II",), noise_mv=0.0)]
    }
    assert level[0.3] - level[0.0] == pytest.approx(0.3, rel=0.25)


def test_paced_beats_carry_a_spike_of_the_device() -> None:
    heart = Heart([("paced", 20, {})])
    assert len(heart.pacer) == len(heart.beats)
    flagged = heart.source().pacer
    assert flagged is not None
    assert flagged.sum() == len(heart.beats)


def test_the_truth_names_conditions_and_where_they_hold() -> None:
    heart = Heart(
        [("sinus", 10, {}), ("ventricular_tachycardia", 6, {}), ("asystole", 6, {}), ("sinus", 9, {"rate_bpm": 150})]
    )
    assert heart.conditions == (
        Span("ventricular_tachycardia", 2500, 4000),
        Span("asystole", 4000, 5500),
        Span("extreme_tachycardia", 5500, 7750),
    )


def test_a_short_standstill_is_no_asystole() -> None:
    assert Heart([("sinus", 10, {}), ("asystole", 3, {})]).conditions == ()


@settings(max_examples=20, deadline=None)
@given(
    rhythm=st.sampled_from(sorted(RHYTHMS)),
    seed=st.integers(0, 100),
    cuts=st.lists(st.integers(1, 900), min_size=1, max_size=12),
)
def test_the_same_seed_gives_the_same_bytes_however_they_are_read(rhythm: str, seed: int, cuts: list[int]) -> None:
    script = [("sinus", 3, {}), (rhythm, 5, {})]
    whole = Heart(script, leads=("II", "ABP"), seed=seed).samples(0, sum(cuts))
    heart, first, parts = Heart(script, leads=("II", "ABP"), seed=seed), 0, []
    for n in cuts:
        parts.append(heart.samples(first, n))
        first += n
    assert np.concatenate(parts, axis=1).tobytes() == whole.tobytes()


def test_another_seed_gives_other_samples() -> None:
    one, other = (Heart([("sinus", 10, {})], seed=seed).samples(0, 500) for seed in (0, 1))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("rhythm", BEATING)
def test_the_last_beat_leads_into_the_first(rhythm: str) -> None:
    heart = Heart([(rhythm, 47.3, {})], leads=("II",), noise_mv=0.0)
    joint_s = (heart.beats["sample"][0] + heart.n_samples - heart.beats["sample"][-1]) / heart.rate_hz
    rr = intervals_s(heart)
    assert 0.75 * rr.min() <= joint_s <= 1.25 * rr.max()
    turn = np.diff(heart.samples(0, 2 * heart.n_samples)[0])
    assert abs(turn[heart.n_samples - 1]) <= np.abs(turn[: heart.n_samples - 1]).max()


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ([], "at least one segment"),
        ([("tango", 10, {})], "rhythm must be one of"),
        ([("sinus", 0, {})], "seconds must be between"),
        ([("sinus", 10, {"colour": 1})], "parameters of sinus are"),
        ([("sinus", 10, {"rate_bpm": 900})], "rate_bpm must be between"),
    ],
)
def test_a_script_that_no_heart_can_play_is_refused(script: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Heart(script)


def test_an_unknown_lead_is_refused() -> None:
    with pytest.raises(ValueError, match="leads must be of"):
        Heart([("sinus", 10, {})], leads=("V99",))


def test_the_example_in_the_docstring_runs() -> None:
    assert doctest.testmod(module) == (0, 3)
