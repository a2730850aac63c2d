"""Rules of the scalogram: the interior is the whole record's transform, no trace of cutting, nothing invented."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
import pywt
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import ecg.scalogram
from ecg.scalogram import Bank, Scalogram
from tests.ecg.late_stages import disturbed, undisturbed

DEFAULT = Scalogram()
"""One scalogram for many tests: what it holds is in its rows."""


def offline(bank: Bank, x: NDArray[np.float32]) -> NDArray[np.float64]:
    """The same of the whole record, by convolution in double precision; NaN where a wavelet lacks a sample."""
    rows = []
    for wavelet, half in zip(bank.wavelets(), bank.halves, strict=True):
        padded = np.pad(x.astype(np.float64), half, constant_values=np.nan)
        lacking = np.convolve(np.isnan(padded), np.ones(2 * half + 1), "valid") > 0.5
        sums = np.convolve(np.nan_to_num(padded), wavelet.conj()[::-1], "valid")
        rows.append(np.where(lacking, np.nan, np.abs(sums))[:: bank.hop])
    return np.array(rows)


def test_the_delay_is_known_before_and_leaves_room_for_the_denoiser_in_a_second_and_a_half() -> None:
    assert DEFAULT.delay == 265
    assert DEFAULT.delay + 105 <= 1.5 * 250
    DEFAULT.reset(0)
    counts = [
        int(DEFAULT.feed(np.array([0]), np.zeros((1, n), dtype=np.float32), np.array([n]))[1][0])
        for n in (265, 1, 9, 1, 10)
    ]
    assert counts == [0, 1, 0, 1, 1]


@pytest.mark.parametrize(
    "bank",
    [Bank(), Bank(bands=16, hop=25), Bank(omega0=6.0, cut=4.7), Bank(low_hz=5.0, high_hz=60.0, bands=5, hop=1)],
)
def test_the_interior_is_the_whole_records_transform_and_the_rest_is_masked(bank: Bank) -> None:
    x = (np.random.default_rng(1).normal(size=3000) + 0.7).astype(np.float32)
    got, expected = undisturbed(Scalogram(bank), x), offline(bank, x)
    assert got.shape == expected.shape == (bank.bands, -(-3000 // bank.hop))
    assert np.array_equal(np.isnan(got), np.isnan(expected))
    assert np.isfinite(expected).mean() > 0.7
    assert np.nanmax(np.abs(got - expected)) < 1e-5


def test_the_wavelets_are_pywts_complex_morlets_but_for_scale_and_cut() -> None:
    bank = Bank()
    name = f"cmor2.0-{bank.omega0 / (2 * np.pi)!r}"
    morlet = pywt.ContinuousWavelet(name)  # pyright: ignore[reportAttributeAccessIssue]
    psi, grid = morlet.wavefun(length=2**15)
    for wavelet, half, centre_hz in zip(bank.wavelets(), bank.halves, bank.centres_hz, strict=True):
        t = np.arange(-half, half + 1) / (bank.omega0 / (2 * np.pi * centre_hz) * 250)
        same = np.interp(t, grid, psi.real) + 1j * np.interp(t, grid, psi.imag)
        assert np.abs(wavelet / np.abs(wavelet).max() - same / np.abs(same).max()).max() < 2e-3


def test_pywts_continuous_transform_is_the_same_within_what_it_approximates() -> None:
    bank = Bank()
    x = np.random.default_rng(2).normal(size=4000).astype(np.float32)
    scales = bank.omega0 / (2 * np.pi) * 250 / bank.centres_hz
    sums, _ = pywt.cwt(x.astype(np.float64), scales, f"cmor2.0-{bank.omega0 / (2 * np.pi)!r}", precision=14)
    expected = (2 * np.abs(sums) / np.sqrt(scales)[:, None])[:, :: bank.hop]
    off = np.sqrt(np.nanmean((undisturbed(DEFAULT, x) - expected)[:, 60:-60] ** 2, axis=1)) / expected.mean(axis=1)
    assert off.max() < 0.07
    assert np.median(off) < 0.03


def test_a_sine_of_1_mv_at_a_centre_has_1_mv_in_its_band_and_less_in_the_others() -> None:
    t_s = np.arange(1500) / 250
    for j, centre_hz in enumerate(DEFAULT.config.centres_hz):
        y = undisturbed(DEFAULT, np.sin(2 * np.pi * centre_hz * t_s).astype(np.float32))[:, 60:90]
        assert np.abs(y[j] - 1).max() < 1e-3
        assert np.delete(y, j, axis=0).max() < 0.6


def test_a_level_has_no_magnitude() -> None:
    y = undisturbed(DEFAULT, np.full(1500, 5.0, dtype=np.float32))
    assert np.isfinite(y[:, 60:90]).all()
    assert np.nanmax(y) < 1e-5


@pytest.mark.parametrize("bank", [Bank(), Bank(low_hz=8.0, bands=8), Bank(low_hz=5.0, high_hz=60.0, bands=5, hop=1)])
def test_pieces_have_the_frames_that_a_stream_has_of_them_to_the_bit(bank: Bank) -> None:
    random = np.random.default_rng(4)
    x = random.normal(size=(70, 700)).astype(np.float32)
    x[3, 20], x[4, 650], x[5, 300], x[6, :] = np.nan, np.inf, 2e4, np.nan
    x[7, 10] = -2e4
    scalogram = Scalogram(bank)
    got, first = scalogram.inside(x), -(-scalogram.delay // bank.hop)
    for k in range(len(x)):
        whole = undisturbed(Scalogram(bank), x[k])
        assert got[k].tobytes() == np.ascontiguousarray(whole[:, first : first + got.shape[2]]).tobytes()
    assert got.shape[2] == -(-(700 - scalogram.delay) // bank.hop) - first
    assert np.isfinite(got[0]).all()


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 900), max_size=20), seed=st.integers(0, 99), singly=st.booleans())
def test_neither_cutting_nor_neighbours_nor_a_restart_change_a_bit(cuts: list[int], seed: int, singly: bool) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=(3, 900)).astype(np.float32)
    x[0, random.random(900) < 0.002] = np.nan
    x[1, 400:430] = np.nan
    expected = [undisturbed(DEFAULT, signal).tobytes() for signal in x]
    assert [got.tobytes() for got in disturbed(DEFAULT, x, cuts, singly=singly)] == expected


def test_in_a_large_batch_each_stream_has_its_own_frames() -> None:
    random = np.random.default_rng(3)
    x = random.normal(size=(75, 700)).astype(np.float32)
    x[:, 640][::3] = np.nan
    count = random.integers(0, 701, size=75)
    scalogram = Scalogram()
    for row in range(75):
        scalogram.reset(row)
    early = np.minimum(count, random.integers(0, 701, size=75))
    first, m = scalogram.feed(np.arange(75), x, early)
    rest = np.full_like(x, 9.0)
    for i in range(75):
        rest[i, : count[i] - early[i]] = x[i, early[i] : count[i]]
    second, k = scalogram.feed(np.arange(75), rest, count - early)
    for i in range(75):
        assert np.isnan(first[i, :, m[i] :]).all()
        assert np.isnan(second[i, :, k[i] :]).all()
        whole = np.concatenate([first[i, :, : m[i]], second[i, :, : k[i]], scalogram.flush(i)], axis=1)
        assert whole.tobytes() == undisturbed(DEFAULT, x[i, : count[i]]).tobytes()


@given(st.lists(st.integers(0, 1499), max_size=6))
@settings(max_examples=20, deadline=None)
def test_a_missing_sample_masks_a_band_as_far_as_its_wavelet_reaches_and_no_further(missing: list[int]) -> None:
    x = np.random.default_rng(4).normal(size=1500).astype(np.float32)
    x[missing] = np.nan
    expected = offline(DEFAULT.config, x)
    got = undisturbed(DEFAULT, x)
    assert np.array_equal(np.isnan(got), np.isnan(expected))
    assert np.nanmax(np.abs(got - expected), initial=0) < 1e-5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, 1e4])
def test_samples_that_no_heart_gives_are_missing(value: float) -> None:
    assert np.isnan(undisturbed(DEFAULT, np.full(700, value, dtype=np.float32))).all()


@pytest.mark.parametrize("n", [0, 1, 11, 300])
def test_a_short_stream_has_a_frame_for_each_hop(n: int) -> None:
    y = undisturbed(DEFAULT, np.ones(n, dtype=np.float32))
    assert y.shape == (12, -(-n // 10))


def test_a_snapshot_holds_the_samples_that_are_needed_and_no_more() -> None:
    DEFAULT.reset(0)
    assert len(DEFAULT.snapshot(0)) == 8
    DEFAULT.feed(np.array([0]), np.ones((1, 100), dtype=np.float32), np.array([100]))
    assert len(DEFAULT.snapshot(0)) == 8 + 4 * 100
    DEFAULT.feed(np.array([0]), np.ones((1, 900), dtype=np.float32), np.array([900]))
    assert len(DEFAULT.snapshot(0)) == 8 + 4 * 530
    with pytest.raises(ValueError, match="a row must hold 2128 bytes, got 2132"):
        DEFAULT.restore(0, bytes(2132))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"low_hz": 0.0}, "must rise within 0 to 62.5, got 0.0, 40.0"),
        ({"high_hz": 100.0}, "got 3.0, 100.0"),
        ({"bands": 1}, "bands must be from 2 to 64, got 1"),
        ({"omega0": 2.0}, "omega0 must be from 4 to 12, got 2.0"),
        ({"cut": 9.0}, "cut must be from 2 to 6, got 9.0"),
        ({"hop": 0}, "hop must be positive, got 0"),
        ({"low_hz": 2.0}, "delay of at most 1.5 s, got 1.59 s"),
    ],
)
def test_a_wrong_bank_is_refused_with_its_value(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Bank(**wrong)  # pyright: ignore[reportArgumentType]


def test_the_example_runs() -> None:
    assert doctest.testmod(ecg.scalogram).failed == 0
