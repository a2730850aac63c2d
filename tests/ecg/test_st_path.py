"""Rules of the path for ST and QT: ST stays where it was, wander goes, no trace of how the stream was cut."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

import ecg.st_path
from ecg.record import annotations, read
from ecg.resample import Resampler
from ecg.st_path import CUT_HZ, DELAY, REACH, TICK, StPath
from tests.ecg.late_stages import disturbed, undisturbed

DEFAULT = StPath()
"""One path for many tests: what it holds is in its rows."""


def heart(n: int, bpm: float = 75.0, st_mv: float = 0.0) -> NDArray[np.float32]:
    """A plain heart of 1 mV: P, QRS and T as Gaussian bumps, and an ST segment that stands at `st_mv`."""
    t_s = (np.arange(n) / 250) % (60 / bpm)
    bumps = ((0.12, 0.25, 0.025), (-0.1, 0.38, 0.010), (1.0, 0.40, 0.011), (-0.2, 0.43, 0.010), (0.3, 0.62, 0.045))
    x = sum((a * np.exp(-0.5 * ((t_s - c) / w) ** 2) for a, c, w in bumps), np.zeros(n))
    return (x + st_mv * ((t_s > 0.45) & (t_s < 0.56))).astype(np.float32)


def st_levels_mv(y: NDArray[np.float32], x: NDArray[np.float32]) -> NDArray[np.float32]:
    """ST of the beats of a plain heart `x`, as `y` has it: 108 ms after R against 64 ms before, away from the ends."""
    peaks = np.flatnonzero((x[1:-1] > 0.9) & (x[1:-1] >= x[:-2]) & (x[1:-1] > x[2:])) + 1
    peaks = peaks[(peaks > 500) & (peaks < len(x) - 500)]
    assert len(peaks) > 10
    return y[peaks + 27] - y[peaks - 16]


def baseline(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """The low-pass in plain SciPy over a whole record where nothing is missing; NaN near its ends."""
    window = signal.get_window(("kaiser", 2.5), 2 * REACH + 1, fftbins=False)
    weights = window * np.sinc(2 * CUT_HZ * np.arange(-REACH, REACH + 1) * TICK / 250)
    weights /= weights.sum()
    smooth = np.convolve(x.astype(np.float64).reshape(-1, TICK).mean(axis=1), weights, "valid")
    centres = (np.arange(len(smooth)) + REACH) * TICK + (TICK - 1) / 2
    return np.interp(np.arange(len(x)), centres, smooth, left=np.nan, right=np.nan)


def test_the_delay_is_known_before_and_at_most_a_second_and_a_half() -> None:
    assert DEFAULT.delay == DELAY == 374
    assert DELAY <= 1.5 * 250
    DEFAULT.reset(0)
    _, m = DEFAULT.feed(np.array([0]), np.zeros((1, 500), dtype=np.float32), np.array([500]))
    assert m[0] == 500 - DELAY
    assert len(DEFAULT.flush(0)) == DELAY
    assert len(undisturbed(DEFAULT, np.ones(100, dtype=np.float32))) == 100


def test_the_interior_is_the_signal_without_its_low_pass() -> None:
    x = (heart(4000) + np.random.default_rng(1).normal(size=4000)).astype(np.float32)
    off = np.abs(undisturbed(DEFAULT, x) - (x - baseline(x)))
    assert np.isfinite(off).sum() > 3000
    assert np.nanmax(off) < 1e-5


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 900), max_size=20), seed=st.integers(0, 99), singly=st.booleans())
def test_neither_cutting_nor_neighbours_nor_a_restart_change_a_bit(cuts: list[int], seed: int, singly: bool) -> None:
    random = np.random.default_rng(seed)
    x = (heart(900) + 0.1 * random.normal(size=(3, 900))).astype(np.float32)
    x[0, random.random(900) < 0.01] = np.nan
    x[1, 200:330] = np.nan
    x[2, : seed * 3] = np.nan
    expected = [undisturbed(DEFAULT, signal).tobytes() for signal in x]
    assert [got.tobytes() for got in disturbed(DEFAULT, x, cuts, singly=singly)] == expected


def test_a_snapshot_is_small_and_one_of_another_layout_is_refused() -> None:
    random = np.random.default_rng(2)
    for n in (0, 200, 2000):
        DEFAULT.reset(0)
        DEFAULT.feed(np.array([0]), random.normal(size=(1, n)).astype(np.float32), np.array([n]))
        assert len(DEFAULT.snapshot(0)) < 6000
    with pytest.raises(ValueError, match="a row must hold"):
        DEFAULT.restore(0, DEFAULT.snapshot(0)[:-4])
    with pytest.raises(ValueError, match="a row must hold"):
        DEFAULT.restore(0, b"")


def test_missing_samples_stay_missing_and_no_others_become_so() -> None:
    x = heart(1500) + np.float32(0.4)
    x[300] = np.nan
    x[700:900] = np.nan
    x[905:930:2] = np.nan
    x[1499] = np.inf
    expected = ~np.isfinite(x)
    assert np.array_equal(np.isnan(undisturbed(DEFAULT, x)), expected)


def test_a_gap_does_not_ring_and_the_level_after_it_is_not_seen_before() -> None:
    x = np.full(2500, 1.5, dtype=np.float32)
    x[1000:1060] = np.nan
    x[1060:] = -2.0
    assert np.nanmax(np.abs(undisturbed(DEFAULT, x))) < 1e-4


@pytest.mark.parametrize("lost", [10, 40, 60, 250])
def test_st_beside_a_gap_stays(lost: int) -> None:
    x = heart(5000, st_mv=0.2)
    gap = x.copy()
    gap[2500 : 2500 + lost] = np.nan
    gap[2500 + lost :] += 2.0 if lost >= 60 else 0.0
    moved = st_levels_mv(undisturbed(DEFAULT, gap), x) - st_levels_mv(x, x)
    assert np.nanmax(np.abs(moved)) < 0.03


@pytest.mark.parametrize("level_mv", [-300.0, 0.7])
def test_a_record_starts_and_ends_without_a_transient(level_mv: float) -> None:
    y = undisturbed(DEFAULT, (heart(2410) + level_mv).astype(np.float32))
    assert np.abs(y[:40]).max() < 0.15
    assert np.abs(y[-10:]).max() < 0.15


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38, 0.0, 4.2])
def test_any_samples_are_taken(value: float) -> None:
    y = undisturbed(DEFAULT, np.full(700, value, dtype=np.float32))
    assert len(y) == 700
    if abs(value) < 1e4:
        assert np.abs(y).max() < 1e-5
    else:
        assert np.isnan(y).all()


@pytest.mark.parametrize("st_mv", [-0.2, 0.0, 0.2])
@pytest.mark.parametrize("bpm", [40.0, 55.0, 75.0, 100.0])
def test_a_raised_or_lowered_st_segment_is_not_shrunk(bpm: float, st_mv: float) -> None:
    x = heart(6000, bpm, st_mv)
    moved = st_levels_mv(undisturbed(DEFAULT, x), x) - st_levels_mv(x, x)
    assert np.abs(moved).max() < 0.015


@pytest.mark.parametrize("rate_hz", [0.1, 0.2, 0.3])
def test_wander_does_not_move_st(rate_hz: float) -> None:
    x = heart(15000)
    wave = np.sin(2 * np.pi * rate_hz * np.arange(15000) / 250).astype(np.float32)
    moved = st_levels_mv(undisturbed(DEFAULT, x + wave), x) - st_levels_mv(undisturbed(DEFAULT, x), x)
    assert np.abs(st_levels_mv(x + wave, x) - st_levels_mv(x, x)).max() > 0.1
    assert np.abs(moved).max() < 0.02


@pytest.mark.parametrize("bpm", [40.0, 75.0, 150.0])
def test_a_heart_keeps_its_r_amplitude(bpm: float) -> None:
    x = heart(5000, bpm)
    y = undisturbed(DEFAULT, x)
    peaks = np.flatnonzero((x[1:-1] > 0.9) & (x[1:-1] >= x[:-2]) & (x[1:-1] > x[2:])) + 1
    assert len(peaks) > 10
    assert np.abs((y[peaks] - y[peaks - 20]) / (x[peaks] - x[peaks - 20]) - 1).max() < 0.03


def test_the_example_runs() -> None:
    assert doctest.testmod(ecg.st_path).failed == 0


LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")


class Leads(NamedTuple):
    """Leads of 10 s, float32, shape (n, 2500), and of each beat the lead, the first and the last sample of its QRS."""

    mv: NDArray[np.float32]
    beats: NDArray[np.int64]


@pytest.fixture(scope="module")
def ludb(records: Path) -> Leads:
    """Twelve leads of every sixth record, all of even numbers: the low-pass was chosen on those of odd ones."""
    leads, beats = [], []
    for number in range(2, 201, 6):
        path = records / "ludb" / "data" / str(number)
        if path.with_suffix(".hea").exists():
            leads.append(at_250_hz(path))
            for k, lead in enumerate(LEADS):
                beats += [(12 * len(leads) - 12 + k, *ends) for ends in complexes(path, lead)]
    return Leads(np.concatenate(leads), np.array(beats))


def at_250_hz(path: Path) -> NDArray[np.float32]:
    record, resampler = read(path), Resampler()
    for row in range(12):
        resampler.reset(row, record.rate_hz)
    y, _ = resampler.feed(np.arange(12), record.mv(), np.full(12, record.n_samples))
    return np.concatenate([y, [resampler.flush(row) for row in range(12)]], axis=1)


def complexes(path: Path, lead: str) -> list[tuple[int, int]]:
    """QRS complexes of a lead whose ST and PR level lie 1.5 s and more from both ends."""
    marks = annotations(path, lead)
    peaks = [k for k in range(1, len(marks.symbols) - 1) if marks.symbols[k] == "N"]
    ends = [(int(marks.samples[k - 1]) // 2, int(marks.samples[k + 1]) // 2) for k in peaks]
    return [(onset, end) for onset, end in ends if onset - 5 >= 375 and end + 15 < 2125]


def all_ready(x: NDArray[np.float32]) -> NDArray[np.float32]:
    path = StPath()
    for row in range(len(x)):
        path.reset(row)
    y, _ = path.feed(np.arange(len(x)), x, np.full(len(x), x.shape[1]))
    return np.concatenate([y, [path.flush(row) for row in range(len(x))]], axis=1)


@pytest.mark.records
@pytest.mark.parametrize(("wander_mv", "most_mv"), [(0.0, 0.025), (1.0, 0.050)])
def test_st_of_clean_leads_stays_with_and_without_wander(ludb: Leads, wander_mv: float, most_mv: float) -> None:
    phase = np.random.default_rng(0).uniform(0, 2 * np.pi, size=(len(ludb.mv), 1))
    wave = wander_mv * np.sin(2 * np.pi * 0.3 * np.arange(2500) / 250 + phase)
    y = all_ready((ludb.mv + wave).astype(np.float32))
    lead, onset, end = ludb.beats.T
    before = ludb.mv[lead, end + 15] - ludb.mv[lead, onset - 5]
    after = y[lead, end + 15] - y[lead, onset - 5]
    assert len(lead) > 1500
    assert np.percentile(np.abs(after - before), 95) < most_mv


@pytest.mark.records
def test_the_r_amplitude_of_clean_leads_stays(ludb: Leads) -> None:
    y = all_ready(ludb.mv)
    stretches = [(lead, slice(onset, end + 1)) for lead, onset, end in ludb.beats]
    size = np.array([(np.ptp(y[at]), np.ptp(ludb.mv[at])) for at in stretches])
    assert np.percentile(np.abs(size[:, 0] / size[:, 1] - 1), 95) < 0.05
