"""Rules of the verdicts: a reason for each kind of bad second, none for a heart, and VF is never noise."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecg.quality import RESTLESS, Quality, Unrest, Verdict, restless_from, unrest
from ecg.record import annotations, read
from ecg.resample import Resampler

QUALITY = Quality()


def verdicts(x: NDArray[np.float32], off: NDArray[np.bool_] | None = None) -> list[Verdict]:
    QUALITY.reset(0)
    seconds = QUALITY.feed(
        np.array([0]), x[None].astype(np.float32), np.array([len(x)]), None if off is None else off[None]
    )[0]
    assert [each.second for each in seconds] == list(range(len(x) // 250))
    return [each.verdict for each in seconds]


def heart(seconds: int, bpm: float = 75.0) -> NDArray[np.float32]:
    """A plain heart of 1 mV: P, QRS and T as Gaussian bumps."""
    n = seconds * 250
    t_s = (np.arange(n) / 250) % (60 / bpm)
    bumps = ((0.12, 0.25, 0.025), (-0.1, 0.38, 0.010), (1.0, 0.40, 0.011), (-0.2, 0.43, 0.010), (0.3, 0.62, 0.045))
    return sum((a * np.exp(-0.5 * ((t_s - c) / w) ** 2) for a, c, w in bumps), np.zeros(n)).astype(np.float32)


def noise(seconds: int, sigma_mv: float) -> NDArray[np.float64]:
    return np.random.default_rng(1).normal(scale=sigma_mv, size=seconds * 250)


@pytest.mark.parametrize("bpm", [55.0, 75.0, 180.0])
@pytest.mark.parametrize("level_mv", [-200.0, 0.0])
def test_a_heart_with_a_little_noise_is_good(bpm: float, level_mv: float) -> None:
    assert set(verdicts((heart(20, bpm) + noise(20, 0.01) + level_mv).astype(np.float32))) == {Verdict.GOOD}


@pytest.mark.parametrize("level_mv", [-5.0, 0.0, 250.0])
def test_a_still_line_is_flat(level_mv: float) -> None:
    assert set(verdicts((level_mv + noise(5, 0.002)).astype(np.float32))) == {Verdict.FLAT}


def test_over_half_of_a_second_must_be_missing() -> None:
    x = heart(4)
    x[250:375] = np.nan
    x[500:626] = np.nan
    x[750:] = np.inf
    assert verdicts(x) == [Verdict.GOOD, Verdict.GOOD, Verdict.MISSING, Verdict.MISSING]


def test_the_devices_flag_makes_lead_off_of_missing_and_of_given_samples() -> None:
    x, off = heart(4), np.zeros(1000, dtype=np.bool_)
    off[250:500] = True
    x[500:750] = np.nan
    off[500:640] = True
    off[750:800] = True
    assert verdicts(x, off) == [Verdict.GOOD, Verdict.LEAD_OFF, Verdict.LEAD_OFF, Verdict.GOOD]


@pytest.mark.parametrize("rail_mv", [-2.0, 2.0])
def test_a_signal_that_stands_at_its_rail_is_clipped(rail_mv: float) -> None:
    wave = 5 * np.sin(2 * np.pi * 2.5 * np.arange(1250) / 250)
    x = np.minimum(wave, rail_mv) if rail_mv > 0 else np.maximum(wave, rail_mv)
    assert set(verdicts(x.astype(np.float32))) == {Verdict.CLIPPED}


def test_a_quiet_line_under_tall_complexes_is_not_clipped() -> None:
    x = np.maximum(heart(10), 0) + noise(10, 0.003)
    assert set(verdicts(x.astype(np.float32))) == {Verdict.GOOD}


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_mains_is_told_from_muscle_noise(mains_hz: float) -> None:
    x = heart(10) + 0.15 * np.sin(2 * np.pi * mains_hz * np.arange(2500) / 250)
    assert set(verdicts(x.astype(np.float32))) == {Verdict.MAINS}


def test_noise_as_large_as_the_heart_is_of_muscle() -> None:
    assert set(verdicts((heart(10) + noise(10, 0.2)).astype(np.float32))) == {Verdict.MUSCLE}


def test_a_level_that_jumps_is_a_moved_electrode_and_one_that_slides_is_wander() -> None:
    x = heart(6)
    x[3 * 250 + 125 :] += 3.0
    assert verdicts(x) == [Verdict.GOOD] * 3 + [Verdict.ELECTRODE_MOTION] + [Verdict.GOOD] * 2
    slide = heart(6) + np.interp(np.arange(1500), [750, 1000], [0.0, 4.0]).astype(np.float32)
    assert verdicts(slide) == [Verdict.GOOD] * 3 + [Verdict.WANDER] + [Verdict.GOOD] * 2


def test_a_second_mostly_at_a_rail_is_saturated_and_stays_so_while_it_stays_there() -> None:
    x = heart(6)
    x[250 + 60 : 4 * 250 + 20] = 4.9
    expected = [Verdict.GOOD, *[Verdict.SATURATED] * 3, Verdict.CLIPPED, Verdict.GOOD]
    assert verdicts(x) == expected


@pytest.mark.parametrize("level_mv", [4.9, 0.0])
def test_a_flat_line_away_from_the_rail_is_flat_even_after_saturation(level_mv: float) -> None:
    x = heart(6)
    x[250 + 60 : 500] = 4.9
    x[500:750] = np.nan if level_mv else level_mv
    x[750:1000] = level_mv
    between = Verdict.MISSING if level_mv else Verdict.FLAT
    assert verdicts(x)[1:4] == [Verdict.SATURATED, between, Verdict.FLAT]


def restless(x: NDArray[np.float64]) -> float:
    QUALITY.reset(0)
    seconds = QUALITY.feed(np.array([0]), x[None].astype(np.float32), np.array([len(x)]))[0]
    expected = (unrest(x[None].astype(np.float32))[0] >= np.array(RESTLESS)).all(axis=1)
    assert [each.restless for each in seconds] == expected.tolist()
    return float(expected.mean())


def test_another_rule_says_what_is_restless_only_in_the_meantime() -> None:
    x = heart(10)
    with restless_from(Unrest(0.0, 0.0, 0.0)):
        QUALITY.reset(0)
        assert all(each.restless for each in QUALITY.feed(np.array([0]), x[None], np.array([len(x)]))[0])
    assert restless(x.astype(np.float64)) == 0.0


def test_a_heart_at_rest_and_a_smooth_wave_are_not_restless_and_a_heart_in_noise_is() -> None:
    assert restless(heart(20) + noise(20, 0.01)) == 0.0
    assert restless(np.sin(2 * np.pi * 5 * np.arange(5000) / 250)) == 0.0
    assert restless(heart(20) + noise(20, 0.1)) == 1.0


def test_what_does_not_move_is_not_restless() -> None:
    assert restless(np.zeros(500)) == restless(np.full(500, np.nan)) == 0.0


@pytest.mark.parametrize("amplitude_mv", [0.1, 0.5, 3.0])
@pytest.mark.parametrize("rate_hz", [3.0, 5.5, 9.0])
def test_fibrillatory_waves_are_good(amplitude_mv: float, rate_hz: float) -> None:
    t_s = np.arange(5000) / 250
    wave = np.sin(2 * np.pi * rate_hz * t_s + 2 * np.sin(2 * np.pi * 0.7 * t_s)) * (1 + 0.3 * np.sin(2 * t_s))
    assert set(verdicts((amplitude_mv * wave).astype(np.float32))) == {Verdict.GOOD}


@settings(max_examples=60, deadline=None)
@given(cuts=st.lists(st.integers(0, 1600), max_size=20), seed=st.integers(0, 99))
def test_neither_cutting_nor_neighbours_nor_a_restart_change_a_verdict(cuts: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=(2, 1600), scale=random.choice([0.005, 0.05, 0.5])).astype(np.float32)
    x[0, random.random(1600) < 0.3] = np.nan
    x[1, 100 : 100 + 14 * seed] = random.choice([1.0, 5.0])
    off = np.repeat(random.random((2, 64)) < 0.2, 25, axis=1)
    expected = [verdicts(signal, mask) for signal, mask in zip(x, off, strict=True)]
    quality = Quality()
    quality.reset(3)
    quality.reset(8)
    got: list[list[tuple[int, Verdict]]] = [[], []]
    for start, end in itertools.pairwise(sorted({0, 1600, *cuts})):
        part = np.ascontiguousarray(x[:, start:end])
        new = quality.feed(np.array([8, 3]), part, np.array([end - start] * 2), off[:, start:end].copy())
        kept = quality.snapshot(8)
        quality.reset(8)
        quality.restore(8, kept)
        for own, more in zip(got, new, strict=True):
            own.extend((each.second, each.verdict) for each in more)
    assert got == [list(enumerate(own)) for own in expected]


@settings(deadline=None)
@given(st.lists(st.floats(width=32), min_size=1, max_size=12), st.integers(1, 125))
def test_any_samples_get_a_verdict(samples: list[float], times: int) -> None:
    x = np.resize(np.repeat(np.array(samples, dtype=np.float32), times), 250)
    assert len(verdicts(x)) == 1
    assert np.isfinite(unrest(x[None])).all()


def at_250_hz(path: Path, lead: int) -> NDArray[np.float32]:
    record = read(path)
    resampler = Resampler()
    resampler.reset(0, record.rate_hz)
    return resampler.feed(np.array([0]), record.mv()[lead : lead + 1], np.array([record.n_samples]))[0][0]


@pytest.mark.records
@pytest.mark.parametrize("name", ["100", "103", "106", "119", "203", "221"])
def test_clean_records_are_called_muscle_noise_in_under_1_per_cent(records: Path, name: str) -> None:
    codes = np.array(verdicts(at_250_hz(records / "mitdb" / name, 0)))
    assert np.mean(codes == Verdict.MUSCLE) < 0.01
    assert np.mean(codes == Verdict.GOOD) > 0.97


@pytest.mark.records
@pytest.mark.parametrize("name", ["418", "422", "424", "426"])
def test_reference_vf_and_flutter_are_not_called_noise(records: Path, name: str) -> None:
    marks = annotations(records / "vfdb" / name)
    codes = np.array(verdicts(at_250_hz(records / "vfdb" / name, 0)))
    during = np.zeros(len(codes), dtype=np.bool_)
    ends = [*marks.samples[1:], len(codes) * 250]
    for start, end, rhythm in zip(marks.samples, ends, marks.aux, strict=True):
        if rhythm.strip("(\0 ") in ("VF", "VFIB", "VFL", "VT"):
            during[-(-start // 250) : end // 250] = True
    assert during.sum() > 60
    assert np.mean(codes[during] == Verdict.MUSCLE) < 0.005
    assert np.mean(codes[during] == Verdict.GOOD) > 0.95
