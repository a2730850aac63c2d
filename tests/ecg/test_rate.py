"""Runs and rates of the last beats."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.rate import FURTHER_SHAPE, RUN_SPREAD, bpm, is_within, run, run_bpm, spread, spreading, variation
from ecg.rhythm_state import Beat


def beats(pattern: str, rr: int = 100, sizes: Sequence[float] = (1.0,), shapes: Sequence[int] = (3,)) -> list[Beat]:
    """Beats of a pattern: V ventricular, u unlike the normal ones, N normal, | V after a break."""
    return [
        Beat(1000 + k * rr, 0 if name == "|" else rr, name in "V|", name == "u", 140.0, size, shape)
        for k, (name, size, shape) in enumerate(zip(pattern, cycle(sizes), cycle(shapes), strict=False))
    ]


@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        ("NNVVVVV", 5),
        ("NNVVVV", 0),
        ("VVVVVN", 0),
        ("NVVVVVVVV", 8),
        ("NVVVVuVVVV", 9),
        ("NVVuVVVVVV", 9),
        ("NVVNVVVVV", 5),
        ("NVVuVVV", 0),
        ("uVVVVV", 5),
        ("VV|VVVVV", 6),
    ],
)
def test_a_run_is_ventricular_beats_in_a_row_with_few_unlike_ones_between(pattern: str, length: int) -> None:
    assert len(run(beats(pattern), 5)) == length


def test_beats_that_do_not_look_alike_are_no_run() -> None:
    assert run(beats("NVVVVV", sizes=(1.0, 1.2)), 5)
    uneven = beats("NVVVVV", sizes=(0.1, 3.0, 0.1, 0.1, 0.1))
    assert spread(uneven[1:]) > RUN_SPREAD
    assert not run(uneven, 5)
    with spreading(9.0):
        assert run(uneven, 5)
    assert not run(uneven, 5)


def test_each_further_shape_of_a_runs_beats_spreads_it_and_an_unknown_one_does_not() -> None:
    even = spread(beats("VVVVV"))
    assert spread(beats("VVVVV", shapes=(1, 2))) == pytest.approx(even + FURTHER_SHAPE)
    assert spread(beats("VVVVV", shapes=(1, 2, 3, 4, 5))) == pytest.approx(even + 4 * FURTHER_SHAPE)
    assert spread(beats("VVVVV", shapes=(-1,))) == even
    assert run(beats("NVVVVV", shapes=(1, 2, 3, 4, 5)), 5)
    assert not run(beats("NVVVVV", sizes=(1.0, 1.6), shapes=(1, 2, 3, 4, 5)), 5)


def test_the_rate_of_a_run_is_that_of_its_last_beats_where_they_are_faster() -> None:
    slow, fast = beats("VVVVV", rr=200), list(beats("VVVVV", rr=100))
    assert run_bpm(slow + fast, 5) == pytest.approx(150.0)
    assert run_bpm(fast + slow, 5) == pytest.approx(60 * 250 * 9 / (4 * 100 + 5 * 200))
    assert run_bpm([], 5) == 0.0


@given(st.lists(st.integers(50, 500), min_size=1, max_size=20))
def test_equal_intervals_have_no_variation_and_their_own_rate(intervals: list[int]) -> None:
    assert variation([intervals[0]] * len(intervals)) == pytest.approx(0.0)
    assert 15000 / max(intervals) <= bpm(intervals) * (1 + 1e-12) <= 15000 / min(intervals) * (1 + 1e-9)


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=24), st.floats(0.01, 1.0))
def test_what_is_certainly_within_a_limit_varies_by_less(values: list[int], limit: float) -> None:
    assert not (is_within(values, limit) and variation(values) > limit)


def test_even_intervals_are_certainly_within_a_limit() -> None:
    assert is_within([200, 210, 190], 0.12)
