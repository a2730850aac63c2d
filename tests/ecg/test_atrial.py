"""Atrial fibrillation from intervals alone."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.atrial import BEHIND, EVERY, LEAST, Atrial, take
from ecg.atrial_features import N_FEATURES, NAMES, WINDOWS, describe
from ecg.atrial_weights import SHIPPED, Weights, decode, encode, in_force, log_odds, made, shipped, weighing


def told(intervals_s: Iterable[float], state: Atrial | None = None) -> list[int]:
    """Whether fibrillation was on after each interval: its onset, counted in intervals, or -1."""
    state, since = state or Atrial(), []
    for k, rr_s in enumerate(intervals_s):
        take(state, rr_s, k)
        since.append(state.since)
    return since


def irregular(n: int, mean_s: float = 0.65, seed: int = 1) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(mean_s, 0.2 * mean_s, n), 0.3, 1.8)


def always(odds: float) -> Weights:
    """Weights that say the same of any intervals."""
    return shipped()._replace(last=np.zeros_like(shipped().last), last_bias=np.array([odds]))


@pytest.mark.parametrize("mean_s", [0.45, 0.65, 0.9])
def test_irregular_intervals_are_fibrillation_and_regular_ones_end_it(mean_s: float) -> None:
    since = told([*[mean_s] * 60, *irregular(200, mean_s), *[mean_s] * 120])
    assert set(since[:60]) == {-1}
    on = next(k for k, at in enumerate(since) if at >= 0)
    assert 60 < on < 160
    assert 30 <= since[on] <= 130
    assert since[259] >= 0
    assert since[-1] == -1


@pytest.mark.parametrize("beats_a_breath", [4, 6, 8])
def test_breathing_is_not_fibrillation(beats_a_breath: int) -> None:
    k = np.arange(400)
    assert set(told(0.85 + 0.034 * np.sin(2 * np.pi * k / beats_a_breath / 1.03))) == {-1}


@pytest.mark.parametrize("pair", [(0.5, 0.9), (0.45, 1.05)])
def test_alternating_intervals_are_not_fibrillation(pair: tuple[float, float]) -> None:
    assert set(told([*pair] * 200)) == {-1}


def test_a_step_of_the_rate_is_not_fibrillation() -> None:
    assert set(told([*[0.9] * 100, *[0.5] * 100])) == {-1}


def test_single_early_beats_are_not_fibrillation() -> None:
    assert set(told([0.8, 0.8, 0.8, 0.8, 0.8, 0.5, 1.1] * 50)) == {-1}


def test_it_decides_after_every_fourth_interval_from_the_sixteenth_on_and_sets_the_onset_back() -> None:
    assert LEAST % EVERY == 0
    with weighing(always(9.0)):
        since = told([0.8] * 60)
    assert since == [-1] * (LEAST - 1) + [LEAST - 1 - BEHIND] * (60 - LEAST + 1)


def test_an_onset_is_not_set_back_into_the_episode_before() -> None:
    state = Atrial()
    with weighing(always(9.0)):
        told([0.8] * LEAST, state)
    with weighing(always(-9.0)):
        for k in range(EVERY):
            take(state, 0.8, LEAST + k)
    assert (state.since, state.ended) == (-1, LEAST + EVERY - 1)
    with weighing(always(9.0)):
        for k in range(EVERY):
            take(state, 0.8, LEAST + EVERY + k)
    assert state.since == state.ended


@given(st.lists(st.floats(0.2, 2.5), max_size=140), st.integers(0, 140))
def test_a_state_written_and_read_goes_on_alike(intervals_s: list[float], cut: int) -> None:
    state = Atrial()
    first = told(intervals_s[:cut], state)
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=Atrial)
    for k, rr_s in enumerate(intervals_s[cut:], start=len(first)):
        take(state, rr_s, k)
        take(kept, rr_s, k)
    assert kept == state
    assert len(state.rr_s) <= WINDOWS[-1]


@given(st.lists(st.floats(0.2, 2.5), min_size=3, max_size=120))
def test_any_intervals_are_described_in_finite_numbers(intervals_s: list[float]) -> None:
    found = np.full(N_FEATURES, np.nan)
    describe(np.array(intervals_s), found)
    assert np.isfinite(found).all()


def test_a_window_is_described_by_its_own_intervals_in_the_terms_of_the_names() -> None:
    found = np.empty(N_FEATURES)
    describe(np.array([2.0] * 60 + [0.8] * 24 + [0.6, 1.0] * 8), found)
    first = dict(zip(NAMES, found, strict=False))
    assert first["log_median_s"] == pytest.approx(0.0)
    assert [first["mean_step"], first["median_step"]] == pytest.approx([0.4, 0.4])
    assert (first["share_50_ms"], first["share_under_20_ms"], first["turning_points"]) == (1.0, 0.0, 1.0)
    assert first["step_correlation"] == pytest.approx(-14 / 15, abs=1e-4)
    second = dict(zip(NAMES, found[len(NAMES) :], strict=False))
    assert second["log_median_s"] == pytest.approx(np.log(0.8))
    assert second["share_under_20_ms"] == pytest.approx(23 / 39)


def test_the_layers_are_those_of_the_weights() -> None:
    rng = np.random.default_rng(2)
    weights, f = shipped(), rng.normal(size=N_FEATURES)
    x = np.clip((f - weights.mean) / weights.scale, -6, 6)
    for matrix, bias in ((weights.hidden, weights.hidden_bias), (weights.deeper, weights.deeper_bias)):
        x = np.maximum(0, x @ matrix + bias)
    assert log_odds(f, weights) == pytest.approx(float(x @ weights.last + weights.last_bias[0]))


def test_the_shipped_weights_say_how_they_were_made_and_come_back_from_bytes() -> None:
    said = made(SHIPPED.read_bytes())
    assert said["command"].startswith("vigil train atrial")
    assert {*said} >= {"seed", "split", "commit", "records"}
    again = decode(encode(shipped(), said))
    assert all(np.array_equal(a, b) for a, b in zip(again, shipped(), strict=True))
    with pytest.raises(ValueError, match="must have mean, scale"):
        decode(encode(shipped(), said).replace(b'"deeper"', b'"deepen"'))


def test_other_weights_decide_for_a_while_and_the_shipped_ones_again() -> None:
    intervals_s = [*[0.65] * 60, *irregular(200, 0.65)]
    before = told(intervals_s)
    with weighing(always(-9.0)):
        assert set(told(intervals_s)) == {-1}
    assert told(intervals_s) == before
    assert in_force() is shipped()
