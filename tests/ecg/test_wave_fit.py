"""The fit of the wave's weights: what it was fitted on, what is left out, and that it finds what is there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from ecg import wave
from ecg.wave_fit import NOISE_WEIGHT, RIDGE, TOWARDS_SENSITIVITY, TRAINED_ON, Windows, fit, patient, windows


def made(whose: str, shift: float, n: int = 200, seed: int = 0) -> Windows:
    """Windows whose first feature is larger by `shift` where they fibrillate; the others say nothing."""
    rng = np.random.default_rng(seed)
    fibrillates = np.arange(n) % 2 == 0
    features = rng.normal(size=(n, len(wave.FEATURES)))
    features[:, 0] += shift * fibrillates
    return Windows(whose, whose, features, fibrillates)


def test_every_record_that_the_weights_name_is_listed() -> None:
    said = dict(re.findall(r"(vfdb|cudb|mitdb)[^:]*: ([^.]*)\.", wave.ORIGIN))
    for record_set, names in said.items():
        numbers = tuple(word.removeprefix("cu") for word in names.split())
        assert numbers == tuple(name.removeprefix("cu") for name in TRAINED_ON[record_set])
    assert set(said) | {"nstdb"} == set(TRAINED_ON)


def test_201_and_202_are_one_patient() -> None:
    assert patient("mitdb", "202") == patient("mitdb", "201") == "mitdb/201"
    assert patient("vfdb", "202") != patient("mitdb", "202")


def test_weights_find_the_feature_that_tells() -> None:
    weights, _ = fit([made("a", 3.0, seed=1), made("b", 3.0, seed=2)])
    assert weights[0] > 4 * np.abs(weights[1:]).max()


def test_the_bias_is_moved_towards_sensitivity() -> None:
    weights, bias = fit([made("a", 3.0)])
    middle = np.zeros(len(wave.FEATURES))
    middle[0] = 1.5
    assert weights @ middle + bias == pytest.approx(TOWARDS_SENSITIVITY, abs=0.5)


def test_patients_that_are_left_out_change_nothing() -> None:
    others = [made("a", 3.0, seed=1), made("b", 3.0, seed=2)]
    without = fit([*others, made("c", -9.0, seed=3)], without={"c"})
    assert np.array_equal(without[0], fit(others)[0])
    assert without[1] == fit(others)[1]
    assert not np.allclose(fit([*others, made("c", -9.0, seed=3)])[0], without[0])


def test_noise_added_to_a_patient_is_left_out_with_the_patient() -> None:
    noisy = made("b", 3.0, seed=2)._replace(source="b+em6")
    assert np.array_equal(fit([made("a", 3.0), noisy], without={"b"})[0], fit([made("a", 3.0)])[0])


def test_a_long_record_does_not_rule_and_noise_weighs_less() -> None:
    short, long = made("a", 3.0, 40, seed=1), made("b", -3.0, 4000, seed=2)
    assert fit([short, long])[0][0] < 0
    weighed = {name: fit([short, made("b", -3.0, 40, seed=2)._replace(source=name)])[0][0] for name in ("b", "b+em6")}
    assert weighed["b+em6"] > weighed["b"]
    assert 0 < NOISE_WEIGHT < 1
    assert RIDGE > 0


def test_nothing_left_to_fit_on_is_refused() -> None:
    with pytest.raises(ValueError, match="must hold fibrillation"):
        fit([made("a", 3.0)], without={"a"})
    with pytest.raises(ValueError, match="must hold fibrillation"):
        fit([made("a", 3.0)._replace(fibrillates=np.zeros(200, np.bool_))])


def test_other_weights_judge_only_as_long_as_they_are_asked_to() -> None:
    before = wave.in_force().copy()
    window = np.sin(2 * np.pi * 5 * np.arange(wave.SAMPLES) / wave.WAVE_HZ).astype(np.float32)
    committed = wave.weigh(window).score
    with wave.weighing(np.zeros(len(wave.FEATURES)), 2.5):
        assert wave.weigh(window).score == 2.5
    assert wave.weigh(window).score == committed
    assert np.array_equal(wave.in_force(), before)


def test_described_windows_have_their_spectrum_also_where_it_could_not_matter() -> None:
    spikes = np.zeros(wave.SAMPLES)
    spikes[60::125] = 1.0
    assert wave.weigh(spikes.astype(np.float32)).score < wave.DENIED
    peak = wave.FEATURES.index("peak")
    assert wave.describe(spikes)[peak] < wave.weigh(spikes.astype(np.float32)).features[peak]


@pytest.mark.records
def test_windows_of_a_record_are_of_one_rhythm_and_both_kinds(records: Path) -> None:
    found = windows(records, "cudb", "cu01")
    assert found.patient == "cudb/cu01"
    assert 250 < found.fibrillates.sum() < 300 < len(found.fibrillates) < 506
