"""Atrial fibrillation from intervals alone."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.atrial import Atrial, Rule, deciding, in_force, take


def told(intervals_s: Iterable[float], state: Atrial | None = None) -> list[int]:
    """Whether fibrillation was on after each interval: its onset, counted in intervals, or -1."""
    state, made = state or Atrial(), []
    for k, rr_s in enumerate(intervals_s):
        take(state, rr_s, k)
        made.append(state.since)
    return made


def irregular(n: int, mean_s: float = 0.65, seed: int = 1) -> np.ndarray:
    return np.clip(np.random.default_rng(seed).normal(mean_s, 0.2 * mean_s, n), 0.3, 1.8)


@pytest.mark.parametrize("mean_s", [0.45, 0.65, 0.9])
def test_irregular_intervals_are_fibrillation_and_regular_ones_end_it(mean_s: float) -> None:
    made = told([*[mean_s] * 60, *irregular(200, mean_s), *[mean_s] * 120])
    assert set(made[:60]) == {-1}
    on = next(k for k, since in enumerate(made) if since >= 0)
    assert 60 < on < 160
    assert 30 <= made[on] <= 100
    assert made[259] >= 0
    assert made[-1] == -1


@pytest.mark.parametrize("beats_a_breath", [4, 6, 8])
def test_breathing_is_not_fibrillation(beats_a_breath: int) -> None:
    k = np.arange(400)
    assert set(told(0.85 + 0.034 * np.sin(2 * np.pi * k / beats_a_breath / 1.03))) == {-1}


def test_alternating_intervals_are_not_fibrillation() -> None:
    assert set(told([0.5, 0.9] * 200)) == {-1}


def test_a_step_of_the_rate_is_not_fibrillation() -> None:
    assert set(told([*[0.9] * 100, *[0.5] * 100])) == {-1}


@given(st.lists(st.floats(0.2, 2.5), max_size=60), st.integers(0, 60))
def test_a_state_written_and_read_goes_on_alike(intervals_s: list[float], cut: int) -> None:
    state = Atrial()
    first = told(intervals_s[:cut], state)
    kept = msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=Atrial)
    for k, rr_s in enumerate(intervals_s[cut:], start=len(first)):
        take(state, rr_s, k)
        take(kept, rr_s, k)
    assert kept == state


def test_another_rule_decides_for_a_while_and_the_shipped_one_again() -> None:
    intervals_s = [*[0.65] * 60, *irregular(200, 0.65)]
    shipped = told(intervals_s)
    with deciding(Rule(onset=9.0)):
        assert set(told(intervals_s)) == {-1}
    assert told(intervals_s) == shipped
    assert in_force() == Rule()


def test_an_onset_is_set_back_by_what_its_averages_need() -> None:
    assert (Rule().behind, Rule(smoothing=0.06).behind) == (30, 15)
    intervals_s = [*[0.65] * 60, *irregular(200, 0.65)]
    with deciding(Rule(smoothing=0.06)):
        made = told(intervals_s)
    on = next(k for k, since in enumerate(made) if since >= 0)
    assert made[on] == on - 15
