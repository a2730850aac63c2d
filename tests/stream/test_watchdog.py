"""Which beds are watched, by what a consumer saw and when it saw it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.watchdog import BEHIND_S, SUSPENDED_S, Watchdog

BEDS = ("1", "2", "3")
SECONDS = st.floats(0, 3, allow_nan=False)


def test_a_bed_whose_tick_moves_is_watched_and_one_whose_tick_stands_still_is_not() -> None:
    watchdog: Watchdog[str] = Watchdog()
    for second in range(8):
        watchdog.feed("moves", second, second)
        watchdog.feed("stands", min(second, 2), second)
    assert watchdog.suspended(7.5) == {"stands": 5.5}
    assert watchdog.still_s("moves", 7.5) == 0.0


def test_a_bed_that_moves_again_is_watched_at_once() -> None:
    watchdog: Watchdog[str] = Watchdog()
    watchdog.feed("1", 1, 0.0)
    assert watchdog.suspended(60.0) == {"1": 60.0}
    watchdog.feed("1", 2, 60.0)
    assert watchdog.suspended(60.0) == {}


def test_where_nothing_can_be_read_every_bed_is_suspended() -> None:
    watchdog: Watchdog[str] = Watchdog()
    for bed in BEDS:
        watchdog.feed(bed, 7, 0.0)
    assert set(watchdog.suspended(5.0)) == set(BEDS)


def test_a_bed_that_has_left_is_not_missed() -> None:
    watchdog: Watchdog[str] = Watchdog()
    watchdog.feed("1", 1, 0.0)
    watchdog.feed("2", 1, 0.0)
    watchdog.keep(["2"])
    assert set(watchdog.suspended(10.0)) == {"2"}


def test_a_bed_that_moves_but_is_far_behind_the_others_is_not_watched() -> None:
    """What a worker shows that does not keep up is what was."""
    watchdog: Watchdog[str] = Watchdog()
    for second in range(60):
        watchdog.feed("in time", second, second)
        watchdog.feed("falls behind", round(second * 0.7), second)
        late = watchdog.suspended(second)
        assert set(late) <= {"falls behind"}
        assert bool(late) == (second - round(second * 0.7) > BEHIND_S)
    assert watchdog.suspended(59.0) == {"falls behind": 59 - round(59 * 0.7)}


def test_a_bed_of_another_time_that_stands_still_does_not_make_the_others_late() -> None:
    """A bed that was left on the board by a log of the future, or of a clock that ran ahead."""
    watchdog: Watchdog[str] = Watchdog()
    for second in range(60):
        watchdog.feed("left over", 10**9, second)
        watchdog.feed("moves", second, second)
    assert set(watchdog.suspended(59.0)) == {"left over"}


@given(st.lists(st.tuples(SECONDS, st.sampled_from(BEDS), st.integers(0, 3), st.booleans()), max_size=60), SECONDS)
def test_a_bed_is_suspended_if_and_only_if_its_tick_has_not_moved_for_longer_than_the_limit(
    reads: list[tuple[float, str, int, bool]], wait_s: float
) -> None:
    """Checked against the whole history: the last time at which a bed was seen with another tick than before."""
    watchdog: Watchdog[str] = Watchdog()
    now_s, history, first_s = 0.0, dict[str, list[tuple[float, int]]](), dict[int, float]()
    for after_s, bed, mark, leaves in reads:
        now_s += after_s
        if leaves:
            watchdog.keep([name for name in BEDS if name != bed])
            history.pop(bed, None)
            continue
        watchdog.feed(bed, mark, now_s)
        seen = history.setdefault(bed, [])
        if seen and seen[-1][1] != mark:
            for each in range(mark + 1):
                first_s.setdefault(each, now_s)
        seen.append((now_s, mark))
    now_s += wait_s
    expected = {}
    for bed, seen in history.items():
        moves = [at for at, before in zip(seen, [(0.0, None), *seen], strict=False) if at[1] != before[1]]
        still_s, behind_s = now_s - moves[-1][0], now_s - first_s.get(seen[-1][1], now_s)
        if behind_s > BEHIND_S or still_s > SUSPENDED_S:
            expected[bed] = behind_s if behind_s > BEHIND_S else still_s
    assert watchdog.suspended(now_s) == expected


@given(st.lists(st.floats(0.1, 1.9), min_size=1, max_size=40), st.floats(0.05, 0.9))
def test_a_bed_that_speaks_each_second_is_never_suspended_and_one_that_falls_silent_is_within_5_s(
    gaps_s: list[float], look_s: float
) -> None:
    """Vitals come with some jitter, and a consumer looks every so often."""
    told = [sum(gaps_s[: nth + 1]) for nth in range(len(gaps_s))]
    watchdog: Watchdog[str] = Watchdog()
    at_s, looks = told[0], 0
    while at_s < told[-1] + 5.0:
        watchdog.feed("1", sum(at <= at_s for at in told), at_s)
        if at_s <= told[-1]:
            assert not watchdog.suspended(at_s)
        at_s, looks = at_s + look_s, looks + 1
    assert watchdog.suspended(told[-1] + 5.0)
