"""Rules of the baseline: the mean that it says, of what is there, whatever is not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ecg import wander

LIMIT_MV = np.float32(1e4)


def baseline(x: NDArray[np.float32], delay: int, chunk: int = 10**6) -> NDArray[np.float32]:
    """Run a stream and return the baseline of each sample, as far as it is known at the end."""
    memory = np.zeros((1, wander.floats(delay)), dtype=np.float32)
    wander.clear(memory[0])
    parts = []
    for start in range(0, len(x), chunk):
        part = x[None, start : start + chunk].copy()
        out = np.empty_like(part)
        seen, count = np.array([start]), np.array([part.shape[1]])
        wander.baselines(memory, 0, delay, LIMIT_MV, seen, np.array([0]), part, count, out)
        parts.append(out[0])
    return np.concatenate(parts)[delay:]


def reference(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """The same in plain NumPy, over the whole record, where nothing is missing."""
    past, future, tick = wander.PAST, wander.FUTURE, wander.TICK
    weights = np.concatenate([0.5 + 0.5 * np.cos(np.pi * np.arange(-past, 0) / (past + 1)), np.ones(1 + future)])
    means = x.astype(np.float64).reshape(-1, tick).mean(axis=1)
    smooth = [weights @ means[k - past : k + future + 1] / weights.sum() for k in range(past, len(means) - future)]
    centres = np.arange(past, len(means) - future) * tick + (tick - 1) / 2
    return np.interp(np.arange(len(x)), centres, smooth)


@pytest.mark.parametrize("delay", [wander.LOOK_AHEAD, wander.LOOK_AHEAD + 1, wander.LOOK_AHEAD + 40])
def test_the_baseline_is_the_weighted_mean_around_each_sample(delay: int) -> None:
    x = np.random.default_rng(1).normal(size=2000).astype(np.float32)
    inner = slice(250, 1800)
    assert np.abs(baseline(x, delay)[inner] - reference(x)[inner]).max() < 1e-6


@pytest.mark.parametrize("chunk", [1, 7, 105, 250])
def test_cutting_does_not_change_a_bit(chunk: int) -> None:
    x = np.random.default_rng(2).normal(size=1500).astype(np.float32)
    x[300:500] = np.nan
    assert baseline(x, 105, chunk).tobytes() == baseline(x, 105).tobytes()


def test_a_level_is_its_own_baseline_from_the_first_sample_and_right_after_a_gap() -> None:
    x = np.full(2000, 3.0, dtype=np.float32)
    x[800:1100] = np.nan
    x[1100:] = -1.0
    y = baseline(x, wander.LOOK_AHEAD)
    assert np.abs(y[:700] - 3.0).max() < 1e-6
    assert np.abs(y[1105:] + 1.0).max() < 1e-6


def test_the_baseline_overshoots_no_step() -> None:
    x = np.repeat(np.array([0.0, 5.0, -2.0], dtype=np.float32), 1000)
    y = baseline(x, wander.LOOK_AHEAD)
    assert y.min() >= -2.0 - 1e-6
    assert y.max() <= 5.0 + 1e-6


def test_a_stream_with_nothing_in_it_has_a_baseline_of_zero() -> None:
    assert not baseline(np.full(600, np.nan, dtype=np.float32), 105).any()
