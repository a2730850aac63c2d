"""Inputs of the standards: beats where they should be, of the height that they should have, with the device's flags."""

from __future__ import annotations

import numpy as np
import pytest

from simulators import standard
from simulators.standard import ALTERNATING, RATE_HZ, TACHYCARDIA, Given
from simulators.waveform import train


def mv(given: Given) -> np.ndarray:
    return given.source.mv(0, given.source.n_samples)[0]


def peaks_s(given: Given, least_mv: float = 0.6) -> np.ndarray:
    """Seconds at which the size passes a level upwards."""
    over = np.abs(mv(given)) > least_mv
    return np.flatnonzero(over[1:] & ~over[:-1]) / RATE_HZ


def test_a_step_of_the_rate_begins_with_the_last_beat_of_the_old_one() -> None:
    given = standard.rate_step(80.0, 40.0)
    at = peaks_s(given)
    before, after = at[at < given.onset_s - 0.1], at[at > given.onset_s + 0.1]
    assert np.diff(before) == pytest.approx(0.75, abs=0.005)
    assert np.diff(after) == pytest.approx(1.5, abs=0.005)
    assert after[0] - given.onset_s == pytest.approx(1.5, abs=0.03)


@pytest.mark.parametrize(("name", "bpm"), [("3a", 80), ("3b", 60), ("3c", 120), ("3d", 90)])
def test_alternating_waveforms_have_their_mean_rate(name: str, bpm: float) -> None:
    at = peaks_s(standard.alternating(name))
    assert 60 * (len(at) - 1) / (at[-1] - at[0]) == pytest.approx(bpm, rel=0.03)
    assert sum(until_s for until_s, *_ in ALTERNATING[name]) == pytest.approx(120 / bpm)


@pytest.mark.parametrize("name", TACHYCARDIA)
@pytest.mark.parametrize("gain", [0.5, 1.0, 2.0])
def test_tachycardia_has_its_rate_and_its_size(name: str, gain: float) -> None:
    bpm, size_mv = TACHYCARDIA[name]
    given = standard.tachycardia(name, gain)
    wave = mv(given)[round(given.onset_s * RATE_HZ) :]
    assert np.ptp(wave) == pytest.approx(gain * size_mv, abs=0.01)
    turns = int(((wave[1:] > 0) & (wave[:-1] <= 0)).sum())
    assert turns == pytest.approx(len(wave) / RATE_HZ * bpm / 60, abs=1.5)


def test_a_standstill_is_a_flat_line_behind_the_last_t_wave() -> None:
    given = standard.standstill()
    assert not mv(given)[round((given.onset_s + 0.5) * RATE_HZ) :].any()
    assert peaks_s(given)[-1] == pytest.approx(given.onset_s, abs=0.03)


def test_mains_are_as_large_from_peak_to_peak_as_asked_for() -> None:
    assert np.ptp(mv(standard.mains(0.1))) == pytest.approx(0.1, abs=0.002)


def test_an_electrode_that_comes_off_is_said_by_the_device_alone() -> None:
    given = standard.lead_off()
    off = given.source.off
    assert off is not None
    assert off[0].argmax() / RATE_HZ == given.onset_s
    assert not mv(given)[off[0]].any()


@pytest.mark.parametrize("beats", [True, False])
def test_spikes_are_flagged_and_evoke_beats_or_none(beats: bool) -> None:
    given = standard.paced(700.0, 2.0, beats=beats)
    flags = given.source.pacer
    assert flags is not None
    assert np.diff(np.flatnonzero(flags)) / RATE_HZ == pytest.approx(0.75, abs=0.003)
    assert (mv(given)[flags] > 30).all(), "up to the converter's rail"
    quiet = mv(given)[round(21 * RATE_HZ) :][~flags[round(21 * RATE_HZ) :]]
    assert bool(quiet.any()) == beats


def test_a_qrs_with_an_s_wave_has_the_height_and_width_of_both() -> None:
    made = train([1.0], 2.0, 1000.0, qrs_mv=2.0, qrs_ms=100.0, s_share=0.25)
    there = np.flatnonzero(np.abs(made) > 1e-6)
    assert np.ptp(made) == pytest.approx(2.0, abs=0.02)
    assert (made.max(), made.min()) == (pytest.approx(1.5, abs=0.02), pytest.approx(-0.5, abs=0.02))
    assert there[-1] - there[0] == pytest.approx(98, abs=2)
