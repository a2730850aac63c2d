"""Rules of the denoiser: exact reconstruction, pywt's transform in the interior, no trace of how the stream was cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import pywt
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

from ecg.record import annotations, read
from ecg.resample import Resampler
from ecg.wavelet import Denoiser, Denoising, Rule
from tests.ecg.late_stages import disturbed, undisturbed

DEFAULT = Denoiser()
"""One denoiser for many tests: what it holds is in its rows."""


def heart(n: int, bpm: float = 75.0) -> NDArray[np.float32]:
    """A plain heart of 1 mV: P, QRS and T as Gaussian bumps."""
    t_s = (np.arange(n) / 250) % (60 / bpm)
    bumps = ((0.12, 0.25, 0.025), (-0.1, 0.38, 0.010), (1.0, 0.40, 0.011), (-0.2, 0.43, 0.010), (0.3, 0.62, 0.045))
    return sum((a * np.exp(-0.5 * ((t_s - c) / w) ** 2) for a, c, w in bumps), np.zeros(n)).astype(np.float32)


@pytest.mark.parametrize(
    ("wavelet", "levels", "delay"),
    [("db4", 4, 105), ("db2", 5, 93), ("sym8", 3, 105), ("db4", 2, 21), ("db2", 3, 21), ("haar", 5, 31)],
)
def test_the_delay_is_known_before_and_is_that_of_the_filters(wavelet: str, levels: int, delay: int) -> None:
    denoiser = Denoiser(Denoising(wavelet=wavelet, levels=levels))
    assert denoiser.delay == delay
    denoiser.reset(0)
    _, m = denoiser.feed(np.array([0]), np.zeros((1, 200), dtype=np.float32), np.array([200]))
    assert m[0] == 200 - delay
    assert len(denoiser.flush(0)) == delay


@pytest.mark.parametrize(("wavelet", "levels"), [("db4", 4), ("db2", 5), ("sym8", 3), ("haar", 1), ("bior4.4", 3)])
def test_with_thresholds_at_zero_the_input_comes_back(wavelet: str, levels: int) -> None:
    denoiser = Denoiser(Denoising(wavelet=wavelet, levels=levels, fixed_mv=(0.0,), wander=False))
    x = np.random.default_rng(1).uniform(-5, 5, size=2000).astype(np.float32)
    assert np.abs(undisturbed(denoiser, x) - x).max() < 1e-6 * 10


@pytest.mark.parametrize("rule", ["soft", "hard", "garrote"])
@pytest.mark.parametrize(("wavelet", "levels"), [("db4", 4), ("db2", 5), ("sym8", 3)])
def test_with_fixed_thresholds_the_interior_is_pywts_stationary_shrinkage(
    wavelet: str, levels: int, rule: Rule
) -> None:
    fixed = (0.8, 1.5, 1.2, 0.7, 0.5)[:levels]
    x = np.random.default_rng(2).normal(size=4096).astype(np.float32)
    parts = pywt.swt(x.astype(np.float64), wavelet, level=levels, norm=False)
    shrunk = [(a, pywt.threshold(d, fixed[levels - 1 - k], mode=rule)) for k, (a, d) in enumerate(parts)]
    expected = pywt.iswt(shrunk, wavelet)
    got = undisturbed(Denoiser(Denoising(wavelet=wavelet, levels=levels, fixed_mv=fixed, rule=rule, wander=False)), x)
    assert np.abs(got - expected)[300:-300].max() < 1e-5
    assert np.abs(got - x)[300:-300].max() > 0.5


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 900), max_size=20), seed=st.integers(0, 99), singly=st.booleans())
def test_neither_cutting_nor_neighbours_nor_a_restart_change_a_bit(cuts: list[int], seed: int, singly: bool) -> None:
    random = np.random.default_rng(seed)
    x = (heart(900) + 0.1 * random.normal(size=(3, 900))).astype(np.float32)
    x[0, random.random(900) < 0.01] = np.nan
    x[1, 200:330] = np.nan
    x[2, : seed * 3] = np.nan
    expected = [undisturbed(DEFAULT, signal).tobytes() for signal in x]
    assert [got.tobytes() for got in disturbed(DEFAULT, x, cuts, singly=singly)] == expected


def test_missing_samples_stay_missing_and_no_others_become_so() -> None:
    x = heart(1500) + np.float32(0.4)
    x[300] = np.nan
    x[700:900] = np.nan
    x[1499] = np.inf
    expected = np.isnan(x)
    expected[1499] = True
    assert np.array_equal(np.isnan(undisturbed(DEFAULT, x)), expected)


def test_a_gap_does_not_ring() -> None:
    x = np.full(1500, 1.5, dtype=np.float32)
    x[500:700] = np.nan
    x[700:] = -2.0
    y = undisturbed(DEFAULT, x)
    assert np.nanmax(np.abs(y[:480])) < 1e-3
    assert np.nanmax(np.abs(y[700:])) < 1e-3


def test_a_gap_does_not_move_the_noise_level() -> None:
    random = np.random.default_rng(3)
    x = (heart(5000) + 0.05 * random.normal(size=5000)).astype(np.float32)
    gap = x.copy()
    gap[2500:3500] = np.nan
    gap[2500:3500:100] = 40.0
    before, after = Denoiser(), Denoiser()
    undisturbed(before, x[:2500])
    undisturbed(after, gap[:3500])
    levels = before.noise_mv(0)
    assert np.all(levels > 0.01)
    assert np.abs(after.noise_mv(0) / levels - 1).max() < 0.1


@pytest.mark.parametrize("level_mv", [-300.0, 0.7])
def test_a_record_starts_without_a_transient(level_mv: float) -> None:
    x = (heart(2500) + level_mv).astype(np.float32)
    y = undisturbed(DEFAULT, x)
    assert np.abs(y[:40]).max() < 0.15


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38, 0.0, 4.2])
def test_any_samples_are_taken(value: float) -> None:
    y = undisturbed(DEFAULT, np.full(700, value, dtype=np.float32))
    assert len(y) == 700
    if abs(value) < 1e4:
        assert np.abs(y).max() < 1e-5
    else:
        assert np.isnan(y).all()


@pytest.mark.parametrize("bpm", [40.0, 75.0, 150.0])
def test_a_heart_without_noise_keeps_its_r_amplitude(bpm: float) -> None:
    x = heart(5000, bpm)
    y = undisturbed(DEFAULT, x)
    peaks = np.flatnonzero((x[1:-1] > 0.9) & (x[1:-1] >= x[:-2]) & (x[1:-1] > x[2:])) + 1
    assert len(peaks) > 10
    before = peaks - 20
    assert np.abs((y[peaks] - y[before]) / (x[peaks] - x[before]) - 1).max() < 0.03


def test_broadband_noise_falls_and_the_r_amplitude_stays() -> None:
    random = np.random.default_rng(4)
    x = heart(15000)
    noisy = (x + 0.05 * random.normal(size=len(x))).astype(np.float32)
    denoiser = Denoiser(Denoising(wander=False))
    y = undisturbed(denoiser, noisy)
    assert np.std((y - x)[1000:]) < 0.65 * 0.05
    peaks = np.flatnonzero((x[1:-1] > 0.9) & (x[1:-1] >= x[:-2]) & (x[1:-1] > x[2:])) + 1
    assert abs(np.mean(y[peaks]) / np.mean(x[peaks]) - 1) < 0.05


@pytest.mark.parametrize("rate_hz", [3.0, 5.0, 9.0])
def test_fibrillatory_waves_pass(rate_hz: float) -> None:
    t_s = np.arange(5000) / 250
    x = (0.3 * np.sin(2 * np.pi * rate_hz * t_s + 2 * np.sin(2 * np.pi * 0.3 * t_s))).astype(np.float32)
    y = undisturbed(DEFAULT, x)
    assert np.std(y[1000:-200]) > 0.9 * np.std(x[1000:-200])


def test_wander_goes() -> None:
    t_s = np.arange(10000) / 250
    wave = np.sin(2 * np.pi * 0.3 * t_s).astype(np.float32)
    y = undisturbed(DEFAULT, heart(10000) + wave)
    assert np.std((y - undisturbed(DEFAULT, heart(10000)))[500:-200]) < 0.15 * np.std(wave)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"wavelet": "morl"}, "discrete one of pywt, got 'morl'"),
        ({"levels": 0}, "from 1 to 8, got 0"),
        ({"strength": (-1.0,)}, "numbers from 0 up"),
        ({"fixed_mv": ()}, "one or more numbers"),
        ({"rule": "firm"}, "rule must be one of"),
    ],
)
def test_a_wrong_configuration_is_refused_with_its_value(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Denoising(**wrong)  # pyright: ignore[reportArgumentType]


def at_250_hz(path: Path, lead: int, end_s: float | None = None) -> NDArray[np.float32]:
    record = read(path, 0, end_s)
    resampler = Resampler()
    resampler.reset(0, record.rate_hz)
    y, m = resampler.feed(np.array([0]), record.mv()[lead : lead + 1], np.array([record.n_samples]))
    return np.concatenate([y[0, : m[0]], resampler.flush(0)])


@pytest.mark.records
def test_qrs_and_st_of_clean_leads_stay(records: Path) -> None:
    qrs, st_mv = [], []
    for number in range(1, 81):
        path = records / "ludb" / "data" / str(number)
        if not path.with_suffix(".hea").exists():
            continue
        for lead, extension in ((1, "ii"), (6, "v1"), (10, "v5")):
            x = at_250_hz(path, lead)
            y = undisturbed(DEFAULT, x)
            marks = annotations(path, extension)
            for k in [k for k in range(1, len(marks.symbols) - 1) if marks.symbols[k] == "N"]:
                onset, end = marks.samples[k - 1] // 2, marks.samples[k + 1] // 2
                if onset > 250 and end + 15 < len(x):
                    qrs.append(np.ptp(y[onset : end + 1]) / np.ptp(x[onset : end + 1]) - 1)
                    st_mv.append((y[end + 15] - y[onset - 5]) - (x[end + 15] - x[onset - 5]))
    assert len(qrs) > 1000
    assert np.percentile(np.abs(qrs), 95) < 0.05
    assert np.percentile(np.abs(st_mv), 95) < 0.05


@pytest.mark.records
@pytest.mark.parametrize("name", ["418", "422", "424", "426"])
def test_reference_vf_and_vt_pass(records: Path, name: str) -> None:
    x = at_250_hz(records / "vfdb" / name, 0)
    marks = annotations(records / "vfdb" / name)
    band = signal.butter(3, [2, 30], "bandpass", fs=250, output="sos")
    before, after = signal.sosfiltfilt(band, x), signal.sosfiltfilt(band, undisturbed(DEFAULT, x))
    kept = []
    ends = [*marks.samples[1:], len(x)]
    for start, end, rhythm in zip(marks.samples, ends, marks.aux, strict=True):
        if rhythm.strip("(\0 ") in ("VF", "VFIB", "VFL", "VT"):
            kept += [np.std(after[k : k + 250]) / np.std(before[k : k + 250]) for k in range(start, end - 249, 250)]
    assert len(kept) > 60
    assert min(kept) > 0.8
    assert np.median(kept) > 0.95
