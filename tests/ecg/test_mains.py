"""Rules of the mains: found by itself, taken out without a trace, and not a bit changed where there is none."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecg.mains import Mains
from ecg.record import annotations, read
from ecg.resample import Resampler

RATE = 250
LOCKED = 5 * RATE
"""Samples after which mains must have been found, and followed for some time."""


def without(x: NDArray[np.float32], mains: Mains | None = None) -> NDArray[np.float32]:
    mains = mains or Mains()
    for row in range(len(x)):
        mains.reset(row)
    return mains.feed(np.arange(len(x)), x, np.full(len(x), x.shape[1]))


def is_touched(x: NDArray[np.float32]) -> bool:
    return without(x).tobytes() != x.tobytes()


def heart(seconds: int, bpm: float = 75.0, seed: int = 1) -> NDArray[np.float32]:
    """A plain heart of 1 mV with 5 uV of noise: P, QRS and T as Gaussian bumps."""
    t_s = (np.arange(seconds * RATE) / RATE) % (60 / bpm)
    bumps = ((0.12, 0.15, 0.025), (-0.1, 0.17, 0.010), (1.0, 0.19, 0.011), (-0.2, 0.22, 0.010), (0.3, 0.3, 0.03))
    x = sum((a * np.exp(-0.5 * ((t_s - c) / w) ** 2) for a, c, w in bumps), np.zeros(len(t_s)))
    return (x + np.random.default_rng(seed).normal(scale=0.005, size=len(t_s))).astype(np.float32)


def mains_wave(n: int, hz: float, amplitude_mv: float, phase: float = 0.7) -> NDArray[np.float64]:
    return amplitude_mv * np.sin(2 * np.pi * hz * np.arange(n) / RATE + phase)


def mixed(x: NDArray[np.float32], wave: NDArray[np.float64]) -> NDArray[np.float32]:
    return (x + wave).astype(np.float32)[None]


def gain_db(wave: NDArray[np.float64], error: NDArray[np.float32]) -> float:
    return float(20 * np.log10(wave[LOCKED:].std() / error[LOCKED:].std()))


@pytest.mark.parametrize("bpm", [50.0, 60.0, 75.0, 120.0, 150.0, 200.0, 250.0])
def test_a_heart_without_mains_is_not_changed_by_a_bit_however_regular_it_is(bpm: float) -> None:
    assert not is_touched(heart(60, bpm)[None])


@pytest.mark.parametrize("bpm", [60.0, 100.0, 120.0])
def test_the_spikes_of_a_pacer_at_a_divisor_of_the_mains_are_no_mains(bpm: float) -> None:
    x = heart(60, bpm)
    x[10 :: round(60 / bpm * RATE)] += 5.0
    assert not is_touched(x[None])


def test_white_noise_and_fibrillatory_waves_are_not_changed_by_a_bit() -> None:
    t_s = np.arange(60 * RATE) / RATE
    waves = [a * np.sin(2 * np.pi * hz * t_s + 2 * np.sin(4.4 * t_s)) for a in (0.1, 1.5) for hz in (3.0, 5.5, 10.0)]
    noise = np.random.default_rng(2).normal(size=(200, len(t_s))) * np.geomspace(0.001, 1.0, 200)[:, None]
    assert not is_touched(np.array(waves, np.float32))
    assert not is_touched(noise.astype(np.float32))


@pytest.mark.parametrize("hz", [45.0, 47.5, 52.5, 55.0, 57.5, 62.5, 80.0])
def test_a_wave_of_another_frequency_is_left_alone(hz: float) -> None:
    x = heart(30)
    assert not is_touched(mixed(x, mains_wave(len(x), hz, 0.1)))


@pytest.mark.parametrize("hz", [49.5, 49.8, 50.0, 50.3, 50.5, 59.5, 59.9, 60.0, 60.2, 60.5])
@pytest.mark.parametrize("amplitude_mv", [0.03, 0.5])
def test_mains_is_found_within_3_s_and_leaves_neither_itself_nor_a_trace_in_the_heart(
    hz: float, amplitude_mv: float
) -> None:
    x = heart(30)
    wave, mains = mains_wave(len(x), hz, amplitude_mv), Mains()
    noisy = mixed(x, wave)
    y = without(noisy, mains)[0]
    assert np.flatnonzero(y != noisy[0])[0] < 3 * RATE
    assert mains.found_hz(0) == (50 if hz < 55 else 60)
    assert gain_db(wave, y - x) > 25
    peaks = np.arange(LOCKED // 200 * 200 + 48, len(x) - RATE, 200)
    tops = [np.ptp(y[at - 12 : at + 12]) / np.ptp(x[at - 12 : at + 12]) for at in peaks]
    assert np.abs(np.array(tops) - 1).max() < 0.01
    st_mv = [np.mean((y - x)[at + 20 : at + 30]) - np.mean((y - x)[at - 20 : at - 14]) for at in peaks]
    assert np.abs(st_mv).max() < 0.005


@pytest.mark.parametrize("hz", [50.0, 59.8])
def test_nothing_rings_after_the_complex(hz: float) -> None:
    x = heart(60, bpm=60.0)
    error = without(mixed(x, mains_wave(len(x), hz, 0.2)))[0] - x
    beats = error[2 * LOCKED :].reshape(-1, RATE)
    after = np.zeros(RATE, np.bool_)
    after[59:109] = True
    assert beats[:, after].std() < 1.5 * beats[:, ~after].std()
    assert np.abs(beats).max() < 0.02


def test_a_grid_that_drifts_and_an_amplitude_that_changes_are_followed() -> None:
    x = heart(90)
    t_s = np.arange(len(x)) / RATE
    drifting = 0.2 * np.sin(2 * np.pi * 50 * t_s + 15 * np.sin(2 * np.pi * t_s / 30 / 2))
    changing = (1 + 0.5 * np.sin(2 * np.pi * t_s / 10)) * mains_wave(len(x), 60.1, 0.2)
    for wave in (drifting, changing):
        assert gain_db(wave, without(mixed(x, wave))[0] - x) > 20


def test_a_missing_sample_stays_missing_and_the_phase_goes_on() -> None:
    x = heart(40)
    wave = mains_wave(len(x), 50.2, 0.2)
    noisy = mixed(x, wave)
    noisy[0, 3000:3700] = np.nan
    noisy[0, 6000:6003] = np.nan
    y = without(noisy)
    assert np.array_equal(np.isnan(y), np.isnan(noisy))
    error = y[0] - x
    assert np.abs(error[3700:4200]).max() < 0.02
    assert np.abs(error[6003:6500]).max() < 0.02


@pytest.mark.parametrize("level_mv", [0.0, 5.0])
def test_where_the_mains_ends_or_the_signal_stands_still_nothing_is_taken_off_after_0_4_s(level_mv: float) -> None:
    x = heart(20)
    noisy = mixed(x, mains_wave(len(x), 50.0, 0.3))
    noisy[0, 2510:] = level_mv if level_mv else x[2510:]
    y = without(noisy)
    assert (y[0, 2300:2500] != noisy[0, 2300:2500]).mean() > 0.9
    assert y[0, 2610:].tobytes() == noisy[0, 2610:].tobytes()


def test_mains_that_comes_again_is_found_again() -> None:
    x = heart(60)
    wave = mains_wave(len(x), 60.0, 0.2)
    wave[20 * RATE : 30 * RATE] = 0.0
    error = without(mixed(x, wave))[0] - x
    assert np.abs(error[35 * RATE :]).max() < 0.02


def test_fibrillation_under_mains_stays_as_it_was() -> None:
    t_s = np.arange(30 * RATE) / RATE
    waves = (0.2 * np.sin(2 * np.pi * 5 * t_s + 2 * np.sin(4.4 * t_s)) * (1 + 0.3 * np.sin(2 * t_s))).astype(np.float32)
    y = without(mixed(waves, mains_wave(len(waves), 49.9, 0.3)))[0]
    assert np.abs(y - waves)[LOCKED:].max() < 0.02


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 2500), max_size=20), seed=st.integers(0, 99), hz=st.sampled_from([49.9, 60.2]))
def test_neither_cutting_nor_neighbours_nor_a_restart_change_a_bit(cuts: list[int], seed: int, hz: float) -> None:
    random = np.random.default_rng(seed)
    x = np.concatenate([mixed(heart(10, seed=seed), mains_wave(2500, hz, 0.2)), heart(10, 90.0)[None]])
    x[:, 900:2000][random.random((2, 1100)) < 0.001] = np.nan
    expected = np.concatenate([without(row[None]) for row in x])
    assert expected[0].tobytes() != x[0].tobytes()
    mains = Mains()
    mains.reset(3)
    mains.reset(8)
    got = []
    for start, end in itertools.pairwise(sorted({0, 2500, *cuts})):
        part = np.concatenate([x[::-1, start:end], np.ones((2, 3), np.float32)], axis=1)
        got.append(mains.feed(np.array([8, 3]), part, np.array([end - start] * 2))[::-1, : end - start])
        kept = mains.snapshot(8)
        mains.reset(8)
        mains.restore(8, kept)
    assert np.concatenate(got, axis=1).tobytes() == expected.tobytes()


def test_samples_one_at_a_time_give_the_same_bits() -> None:
    x = mixed(heart(8), mains_wave(2000, 50.1, 0.2))
    mains = Mains()
    mains.reset(0)
    ones = [mains.feed(np.array([0]), x[:, k : k + 1], np.array([1])) for k in range(2000)]
    assert np.concatenate(ones, axis=1).tobytes() == without(x).tobytes()


def test_any_samples_are_accepted_and_forgotten() -> None:
    odd = np.random.default_rng(5).choice([0.0, np.nan, np.inf, -np.inf, 1e30, -1e30, 3.3, 1e-40], size=5000)
    x = heart(60)
    wave = mains_wave(len(x), 50.0, 0.2)
    y = without(np.concatenate([odd.astype(np.float32), mixed(x, wave)[0]])[None])[0, 5000:]
    assert np.abs(y - x)[40 * RATE :].max() < 0.02


def at_250_hz(path: Path, first_s: float, end_s: float) -> NDArray[np.float32]:
    record = read(path, first_s, end_s)
    mv, resampler = record.mv(), Resampler()
    for row in range(len(mv)):
        resampler.reset(row, record.rate_hz)
    x, m = resampler.feed(np.arange(len(mv)), mv, np.full(len(mv), mv.shape[1]))
    return x[:, : m[0]]


@pytest.mark.records
@pytest.mark.parametrize("name", ["ma", "em", "bw"])
def test_real_noise_of_muscles_electrodes_and_wander_is_not_changed_by_a_bit(records: Path, name: str) -> None:
    assert not is_touched(at_250_hz(records / "nstdb" / name, 0.0, 600.0))


@pytest.mark.records
@pytest.mark.parametrize("name", ["418", "421", "424"])
def test_real_fibrillation_is_not_changed_by_a_bit(records: Path, name: str) -> None:
    assert not is_touched(at_250_hz(records / "vfdb" / name, 0.0, 2100.0))


@pytest.mark.records
@pytest.mark.parametrize("hz", [50.2, 59.9])
def test_mains_goes_from_a_real_heart_without_changing_its_complexes(records: Path, hz: float) -> None:
    x = at_250_hz(records / "mitdb" / "118", 0.0, 60.0)[0]
    wave = mains_wave(len(x), hz, 0.1)
    y = without(mixed(x, wave))[0]
    assert gain_db(wave, y - x) > 25
    at = np.round(annotations(records / "mitdb" / "118").samples / 360 * RATE).astype(np.int64)
    inside = at[(at > LOCKED) & (at < len(x) - 20)]
    change = [np.ptp(y[k - 12 : k + 13]) / np.ptp(x[k - 12 : k + 13]) - 1 for k in inside]
    assert np.percentile(np.abs(change), 95) < 0.01
