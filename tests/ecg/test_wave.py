"""The features of a wave, each on a signal for which its value is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ecg.wave import DENIED, FEATURES, SAMPLES, WAVE_HZ, WEIGHTS, period, weigh

TIME_S = np.arange(SAMPLES) / WAVE_HZ


def feature(name: str, window_mv: NDArray[np.floating]) -> float:
    return float(weigh(window_mv.astype(np.float32)).features[FEATURES.index(name)])


def beats(rate_bpm: float) -> NDArray[np.float64]:
    phase_s = (TIME_S + 0.3) % (60 / rate_bpm) - 0.2
    return np.exp(-((phase_s / 0.015) ** 2)) + 0.2 * np.exp(-(((phase_s - 0.25) / 0.05) ** 2))


def test_there_is_a_weight_for_each_feature() -> None:
    assert len(WEIGHTS) == len(FEATURES)


@pytest.mark.parametrize("wave_hz", [3.0, 4.5, 6.0])
def test_a_sine_has_its_power_and_its_peak_at_its_frequency(wave_hz: float) -> None:
    sine = np.sin(2 * np.pi * wave_hz * TIME_S)
    assert np.exp(feature("peak", sine)) == pytest.approx(wave_hz, abs=0.15)
    assert feature("mid", sine) > 0.95
    assert period(sine)[0] == pytest.approx(wave_hz, rel=0.05)


def test_the_share_above_a_fifth_of_the_peak_is_that_of_a_sine() -> None:
    assert feature("above", np.sin(2 * np.pi * 5 * TIME_S)) == pytest.approx(1 - 2 * np.arcsin(0.2) / np.pi, abs=0.02)


def test_size_and_evenness_are_those_of_the_seconds() -> None:
    sine = np.sin(2 * np.pi * 5 * TIME_S) * np.repeat([1.0, 0.5, 0.25, 1.0], WAVE_HZ)
    assert feature("even", sine) == pytest.approx(0.25, abs=0.01)
    assert feature("size", sine) == pytest.approx(np.log10(2), abs=0.01)


def test_a_step_between_the_seconds_is_drift() -> None:
    assert feature("drift", np.repeat([0.0, 0.0, 1.0, 1.0], WAVE_HZ)) == pytest.approx(1.0)


@pytest.mark.parametrize("rate_bpm", [45.0, 75.0, 130.0])
def test_beats_stand_still_between_them_and_deny_fibrillation(rate_bpm: float) -> None:
    assert feature("still", beats(rate_bpm)) > 0.5
    assert weigh(beats(rate_bpm).astype(np.float32)).score < DENIED


def test_a_window_of_another_length_or_with_a_hole_is_refused() -> None:
    with pytest.raises(ValueError, match="500 finite samples"):
        weigh(np.zeros(SAMPLES - 1, np.float32))
    with pytest.raises(ValueError, match="500 finite samples"):
        weigh(np.full(SAMPLES, np.nan, np.float32))
