"""One ticker that runs away does not take the ward's time with it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ecg.frame import Tick
from ecg.wardclock import WardClock

S = 10**9


def times(*ticks: tuple[str, int]) -> list[int]:
    clock = WardClock()
    return [clock.take(Tick(name, seq, seconds * S)) // S for seq, (name, seconds) in enumerate(ticks)]


def test_time_is_the_largest_tick_so_far() -> None:
    assert times(("a", 1), ("b", 1), ("a", 2), ("b", 1), ("b", 3)) == [1, 1, 2, 2, 3]


def test_a_jump_of_one_ticker_is_not_believed_while_another_runs_on() -> None:
    ticks = [tick for s in range(2, 60) for tick in (("a", s + 60), ("b", s))]
    assert times(("a", 1), *ticks)[-1] == 59


def test_a_jump_is_believed_once_another_ticker_agrees() -> None:
    assert times(("a", 1), ("a", 100), ("b", 101)) == [1, 1, 101]


def test_a_ticker_alone_is_believed_at_its_third_tick() -> None:
    assert times(("a", 1), ("a", 100), ("a", 101), ("a", 102)) == [1, 1, 1, 102]


def test_two_that_disagree_are_not_believed() -> None:
    assert times(("a", 1), ("a", 100), ("b", 200), ("a", 101), ("b", 201), ("a", 102))[-1] == 1


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 10**6)), max_size=40))
def test_time_never_goes_back(ticks: list[tuple[str, int]]) -> None:
    told = times(*ticks)
    assert told == sorted(told)
