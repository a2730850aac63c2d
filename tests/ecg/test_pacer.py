"""Rules of flagged pacer spikes: no filter sees them, the clean signal shows them, and no flag can hide a heart."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecg.beats import BEAT
from ecg.pacer import Pacer
from ecg.resample import Resampler
from ecg.wavelet import Denoiser


def baseline(seconds: int, rate_hz: float) -> NDArray[np.float32]:
    """Two leads of a heart without QRS: slow waves and 5 uV of noise."""
    t_s = np.arange(round(seconds * rate_hz)) / rate_hz
    waves = np.stack([0.2 * np.sin(2 * np.pi * 1.3 * t_s), 0.1 * np.cos(2 * np.pi * 0.8 * t_s)])
    return (waves + np.random.default_rng(1).normal(scale=0.005, size=waves.shape)).astype(np.float32)


def filtered(x: NDArray[np.float32], rate_hz: float) -> NDArray[np.float32]:
    """Run leads through the resampler and the denoiser, from the first sample to the last."""
    resampler, denoiser, rows = Resampler(), Denoiser(), np.arange(len(x))
    for row in rows.tolist():
        resampler.reset(row, rate_hz)
        denoiser.reset(row)
    raw, m = resampler.feed(rows, x, np.full(len(x), x.shape[1]))
    raw = np.concatenate([raw[:, : m[0]], np.stack([resampler.flush(row) for row in rows.tolist()])], axis=1)
    clean, m = denoiser.feed(rows, raw, np.full(len(x), raw.shape[1]))
    return np.concatenate([clean[:, : m[0]], np.stack([denoiser.flush(row) for row in rows.tolist()])], axis=1)


@pytest.mark.parametrize("rate_hz", [250.0, 360.0, 500.0, 1000.0])
@pytest.mark.parametrize("height_mv", [0.3, 5.0])
def test_a_flagged_spike_survives_resampling_and_shrinkage_at_its_place_and_height(
    rate_hz: float, height_mv: float
) -> None:
    calm = baseline(20, rate_hz)
    flags = [round(s * rate_hz) for s in np.arange(1.5, 18.5, 0.853)]
    x = calm.copy()
    x[0, flags] += height_mv
    x[1, flags] -= 2 * height_mv
    pacer = Pacer(rate_hz, leads=2)
    clean = filtered(pacer.take_out(x, flags), rate_hz)
    shown = pacer.put_back(clean)
    places = [math.floor(flag * 250 / rate_hz + 0.5) for flag in flags]
    added = shown - clean
    assert np.flatnonzero(added.any(axis=0)).tolist() == places
    assert np.abs(added[0, places] - height_mv).max() < 0.05
    assert np.abs(added[1, places] + 2 * height_mv).max() < 0.05
    assert np.abs(clean - filtered(calm, rate_hz)).max() < 0.03


def test_a_spike_of_2_ms_is_taken_out_whole_and_shown_once() -> None:
    calm = np.full((1, 1000), 0.25, np.float32)
    x = calm.copy()
    x[0, 500:503] += np.array([1.0, 4.0, -0.5], np.float32)
    pacer = Pacer(1000.0, leads=1)
    assert np.array_equal(pacer.take_out(x, [500]), calm)
    x[0, 499] += 0.5
    assert np.array_equal(Pacer(1000.0, leads=1).take_out(x, [500])[:, 500:], calm[:, 500:])
    shown = pacer.put_back(calm[:, ::4])
    assert np.flatnonzero(shown[0] != 0.25).tolist() == [125]
    assert shown[0, 125] == 4.25


def test_what_is_not_flagged_passes_untouched() -> None:
    x = baseline(2, 250.0)
    x[0, 100] += 5.0
    pacer = Pacer(250.0, leads=2)
    assert pacer.take_out(x) is x
    assert pacer.put_back(x) is x


def test_a_flag_where_nothing_is_to_be_seen_adds_nothing() -> None:
    x = np.full((1, 500), 0.125, np.float32)
    pacer = Pacer(250.0, leads=1)
    assert np.array_equal(pacer.put_back(pacer.take_out(x, [100, 300])), x)


@pytest.mark.parametrize("rate_hz", [100.0, 250.0, 1000.0])
def test_a_device_that_flags_every_sample_hides_no_fibrillation(rate_hz: float) -> None:
    t_s = np.arange(round(10 * rate_hz)) / rate_hz
    wave = (0.3 * np.sin(2 * np.pi * 6 * t_s))[None].astype(np.float32)
    calm = Pacer(rate_hz, leads=1).take_out(wave, range(len(t_s)))
    assert (calm != wave).mean() <= 0.2
    assert np.abs(calm - wave).max() < 0.12


def test_missing_samples_stay_missing_and_a_spike_behind_one_stays_where_it_is() -> None:
    x = np.ones((2, 500), np.float32)
    x[:, 200] = 4.0
    x[0, 199] = np.nan
    x[:, 300] = np.nan
    pacer = Pacer(250.0, leads=2)
    calm = pacer.take_out(x, [0, 200, 300])
    assert np.array_equal(np.isnan(calm), np.isnan(x))
    assert calm[:, 200].tolist() == [4.0, 1.0]
    assert np.array_equal(pacer.put_back(calm), x, equal_nan=True)


def test_a_spike_at_the_very_end_is_put_back_as_far_as_it_came() -> None:
    x = np.zeros((1, 1001), np.float32)
    x[0, 1000] = 3.0
    pacer = Pacer(1000.0, leads=1)
    calm = pacer.take_out(x, [1000])
    assert not calm.any()
    assert pacer.put_back(np.zeros((1, 251), np.float32))[0, 250] == 3.0


def run(
    x: NDArray[np.float32], flags: Sequence[int], rate_hz: float, cuts: Sequence[int], delay: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cut, take out, decimate to 250 Hz, put back `delay` samples later; the state goes through bytes at each cut."""
    pacer, step = Pacer(rate_hz, len(x)), round(rate_hz / 250)
    calm, shown, done = [], [], 0
    for start, end in itertools.pairwise(sorted({0, x.shape[1], *cuts})):
        calm.append(pacer.take_out(x[:, start:end], [flag - start for flag in flags if start <= flag < end]))
        ready = x.shape[1] // step if end == x.shape[1] else max(0, end // step - delay)
        shown.append(pacer.put_back(np.zeros((len(x), max(0, ready - done)), np.float32)))
        done = max(done, ready)
        kept = pacer.snapshot()
        pacer = Pacer(rate_hz, len(x))
        pacer.restore(kept)
    return np.concatenate(calm, axis=1), np.concatenate(shown, axis=1)


@settings(max_examples=60, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 2000), max_size=30),
    flags=st.sets(st.integers(0, 1999), max_size=40),
    rate_hz=st.sampled_from([250.0, 500.0, 1000.0]),
    seed=st.integers(0, 99),
)
def test_neither_cutting_nor_a_restart_change_a_bit(
    cuts: list[int], flags: set[int], rate_hz: float, seed: int
) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=(2, 2000)).astype(np.float32)
    x[random.random((2, 2000)) < 0.02] = np.nan
    whole = run(x, sorted(flags), rate_hz, [], 20)
    parts = run(x, sorted(flags), rate_hz, cuts, 20)
    assert [a.tobytes() for a in parts] == [a.tobytes() for a in whole]


@pytest.mark.parametrize(("since", "label"), [(-1, "V"), (0, "P"), (50, "P"), (51, "V")])
def test_a_beat_up_to_200_ms_after_a_spike_is_paced(since: int, label: str) -> None:
    pacer = Pacer(500.0, leads=1)
    pacer.take_out(np.zeros((1, 4000), np.float32), flags=(1000, 3000))
    beats = np.zeros(2, BEAT)
    beats["sample"], beats["label"] = [400, 500 + since], ord("V")
    assert pacer.name(beats[:1])["label"].tobytes() == b"V"
    assert pacer.name(beats[1:])["label"].tobytes().decode() == label
    assert beats["label"].tobytes() == b"VV"


def test_a_spike_is_forgotten_once_no_beat_can_follow_it() -> None:
    pacer = Pacer(250.0, leads=1)
    for k in range(40):
        pacer.take_out(np.zeros((1, 250), np.float32), flags=(10, 100, 200))
        pacer.put_back(np.zeros((1, 250), np.float32))
        assert len(pacer.snapshot()) < 150, k
