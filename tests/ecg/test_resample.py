"""Rules of the resampler: exact time, a flat pass-band, no trace of how the stream was cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from ecg.resample import ANALYSIS_HZ, Resampler

RATES = (100.0, 128.0, 180.0, 250.0, 257.0, 300.0, 333.333, 360.0, 500.0, 1000.0)


def whole(x: NDArray[np.float32], rate_hz: float) -> NDArray[np.float32]:
    resampler = Resampler()
    resampler.reset(0, rate_hz)
    y, m = resampler.feed(np.array([0]), x[None], np.array([len(x)]))
    return np.concatenate([y[0, : m[0]], resampler.flush(0)])


def tones(t_s: NDArray[np.float64], highest_hz: float) -> NDArray[np.float64]:
    """A sum of sines up to `highest_hz`, of amplitude 1 mV in all."""
    some_hz = np.linspace(0.5, highest_hz, 9)
    return sum((np.sin(2 * np.pi * f * t_s + f) for f in some_hz), np.zeros_like(t_s)) / len(some_hz)


@pytest.mark.parametrize("rate_hz", RATES)
def test_output_k_is_the_signal_at_k_over_250_s(rate_hz: float) -> None:
    highest_hz = 80.0 if rate_hz >= 250 else 0.4 * rate_hz
    t_in = np.arange(round(4 * rate_hz)) / rate_hz
    y = whole(tones(t_in, highest_hz).astype(np.float32), rate_hz)
    assert len(y) == int((len(t_in) - 1) / rate_hz * ANALYSIS_HZ + 1e-6) + 1
    error = np.abs(y - tones(np.arange(len(y)) / ANALYSIS_HZ, highest_hz))
    assert error[50:-50].max() < 0.003


@pytest.mark.parametrize("rate_hz", [100.0, 128.0, 360.0, 500.0, 1000.0])
def test_a_band_limited_signal_comes_out_as_from_scipy(rate_hz: float) -> None:
    n = round(8 * rate_hz)
    spectrum = np.fft.rfft(np.random.default_rng(1).normal(size=n))
    spectrum[np.fft.rfftfreq(n, 1 / rate_hz) > 40] = 0
    x = np.fft.irfft(spectrum, n)
    expected = np.asarray(signal.resample(x, 8 * ANALYSIS_HZ))
    y = whole(x.astype(np.float32), rate_hz)
    inner = slice(50, len(y) - 50)
    assert np.std(y[inner] - expected[inner]) < 0.003 * np.std(expected)


@pytest.mark.parametrize("tone_hz", [130.0, 200.0, 240.0])
def test_what_lies_above_the_new_band_does_not_fold_back(tone_hz: float) -> None:
    x = np.sin(2 * np.pi * tone_hz * np.arange(2000) / 500).astype(np.float32)
    assert np.abs(whole(x, 500.0)[50:-50]).max() < 0.003


@pytest.mark.parametrize("rate_hz", RATES)
def test_a_level_stays_the_same_from_the_first_sample_to_the_last(rate_hz: float) -> None:
    y = whole(np.full(round(rate_hz), 2.5, dtype=np.float32), rate_hz)
    assert np.abs(y - 2.5).max() < 1e-6


def test_250_hz_passes_through_bit_for_bit_and_at_once() -> None:
    x = np.random.default_rng(2).normal(size=(1, 77)).astype(np.float32)
    x[0, 30:40] = np.nan
    resampler = Resampler()
    resampler.reset(0, 250.0)
    y, m = resampler.feed(np.array([0]), x, np.array([70]))
    assert m[0] == 70
    assert y[0, :70].tobytes() == x[0, :70].tobytes()
    assert len(resampler.flush(0)) == 0


@settings(max_examples=40, deadline=None)
@given(
    rate_hz=st.sampled_from([100.0, 128.0, 333.333, 360.0, 1000.0]),
    cuts=st.lists(st.integers(0, 700), max_size=12),
    seed=st.integers(0, 99),
)
def test_neither_cutting_nor_neighbours_nor_a_restart_change_a_bit(rate_hz: float, cuts: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=(3, 700)).astype(np.float32)
    x[random.random(x.shape) < 0.02] = np.nan
    x[1, 200:330] = np.nan
    resampler = Resampler()
    for row in (5, 0, 9):
        resampler.reset(row, rate_hz)
    parts: list[list[NDArray[np.float32]]] = [[], [], []]
    edges = sorted({0, 700, *cuts})
    for start, end in itertools.pairwise(edges):
        count = np.array([end - start, 0, end - start])
        y, m = resampler.feed(np.array([5, 0, 9]), np.ascontiguousarray(x[:, start:end]), count)
        fresh = Resampler()
        fresh.restore(1, resampler.snapshot(0))
        z, k = fresh.feed(np.array([1]), np.ascontiguousarray(x[1:2, start:end]), np.array([end - start]))
        resampler.restore(0, fresh.snapshot(1))
        for i, (got, held) in enumerate(((y[0], m[0]), (z[0], k[0]), (y[2], m[2]))):
            parts[i].append(got[:held])
    for i, row in enumerate((5, 0, 9)):
        joined = np.concatenate([*parts[i], resampler.flush(row)])
        assert joined.tobytes() == whole(x[i], rate_hz).tobytes()


@pytest.mark.parametrize("rate_hz", [100.0, 360.0, 1000.0])
def test_missing_samples_make_their_nearest_outputs_missing_and_ring_into_no_other(rate_hz: float) -> None:
    t_in = np.arange(round(3 * rate_hz)) / rate_hz
    x = (3 + 0.5 * np.sin(2 * np.pi * t_in)).astype(np.float32)
    gap = slice(round(1.2 * rate_hz), round(1.9 * rate_hz))
    x[gap] = np.nan
    y = whole(x, rate_hz)
    t_out = np.arange(len(y)) / ANALYSIS_HZ
    nearest = np.minimum(np.floor(t_out * rate_hz + 0.5 + 1e-9).astype(int), len(x) - 1)
    assert np.array_equal(np.isnan(y), np.isnan(x[nearest]))
    there = ~np.isnan(y)
    assert np.abs(y - (3 + 0.5 * np.sin(2 * np.pi * t_out)))[there].max() < 0.05


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_stream_of_nothing_usable_gives_nothing_but_missing_samples(value: float) -> None:
    assert np.isnan(whole(np.full(360, value, dtype=np.float32), 360.0)).all()


@pytest.mark.parametrize("rate_hz", RATES)
def test_an_output_comes_as_soon_as_its_look_ahead_is_there(rate_hz: float) -> None:
    resampler = Resampler()
    resampler.reset(0, rate_hz)
    _, m = resampler.feed(np.array([0]), np.zeros((1, 1000), dtype=np.float32), np.array([1000]))
    waits_s = 1000 / rate_hz - m[0] / ANALYSIS_HZ
    assert abs(waits_s - resampler.look_ahead_s(0)) < 1.01 / ANALYSIS_HZ + 1 / rate_hz
    assert resampler.look_ahead_s(0) <= 0.1
    assert m[0] == resampler.outputs(1000, rate_hz)


def test_an_empty_call_gives_an_empty_answer() -> None:
    y, m = Resampler().feed(
        np.empty(0, dtype=np.int64), np.empty((0, 9), dtype=np.float32), np.empty(0, dtype=np.int64)
    )
    assert y.shape == (0, 0)
    assert len(m) == 0


@pytest.mark.parametrize("rate_hz", [0.0, -1.0, 99.0, 1001.0, float("nan")])
def test_a_rate_outside_the_limits_is_refused_with_its_value(rate_hz: float) -> None:
    with pytest.raises(ValueError, match=f"rate_hz must be from 100 to 1000, got {rate_hz}"):
        Resampler().reset(0, rate_hz)


def test_streams_of_different_rates_in_one_call_are_refused() -> None:
    resampler = Resampler()
    resampler.reset(0, 360.0)
    resampler.reset(1, 500.0)
    with pytest.raises(ValueError, match="same rate"):
        resampler.feed(np.array([0, 1]), np.zeros((2, 5), dtype=np.float32), np.array([5, 5]))
