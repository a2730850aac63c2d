"""Each rule of the episode-by-episode comparison, on a case made by hand that fails without it."""

import math

import pytest

from ecg.ec57.episodes import Deviation, Episode, Episodes, compare_deviations, compare_episodes, find_episodes
from ecg.ec57.runs import Matched
from ecg.record import Annotations
from tests.ecg.ec57_marks import LATER, LENGTH, RATE, marks


def atrial(*spans: tuple[int, int]) -> Annotations:
    return marks(*(mark for first, last in spans for mark in ((first, "+", "(AFIB"), (last, "+", "(N"))))


def st(*spans: tuple[int, int, int], signal: int = 0) -> Annotations:
    """ST episodes with their extremes."""
    rows = []
    for first, extreme, last in spans:
        rows += [(first, "s", f"(ST{signal}+"), (extreme, "s", f"AST{signal}+200"), (last, "s", f"ST{signal}+)")]
    return marks(*rows)


def compared(reference: Annotations, test: Annotations, kind: str = "AF", **options: object) -> Episodes:
    return compare_episodes(reference, test, RATE, kind, **({"length": LENGTH} | options))  # type: ignore[arg-type]


def test_any_overlap_matches_an_episode_and_time_is_counted_apart() -> None:
    found = compared(atrial((0, 1000), (2000, 2500)), atrial((900, 1500), (5000, 6000)))
    assert found == Episodes(Matched(1, 1, 1, 1), 15.0, 1.0, 16.0, 1.0)
    assert found.duration_sensitivity == pytest.approx(100 / 15)
    assert found.duration_ppv == pytest.approx(100 / 16)


def test_touching_is_no_overlap() -> None:
    assert compared(atrial((0, 1000)), atrial((1000, 1500))).matched == Matched(0, 1, 0, 1)


def test_one_episode_may_match_several() -> None:
    found = compared(atrial((0, 3000)), atrial((100, 500), (1000, 1500), (2900, 3500)))
    assert found.matched == Matched(1, 0, 3, 0)
    assert found.reference_overlap_s == found.test_overlap_s == 10.0


def test_another_rhythm_ends_an_episode_and_the_same_one_does_not() -> None:
    reference = marks((0, "+", "(AFIB"), (500, "+", "(AFIB"), (1000, "+", "(AFL"), (2000, "+", "(N"))
    assert find_episodes(reference, "AF", LENGTH) == [Episode(LATER, LATER + 1000)]


def test_an_episode_without_an_end_lasts_to_the_records_end() -> None:
    assert find_episodes(marks((0, "+", "(AFIB"), (50, "N")), "AF", LENGTH) == [Episode(LATER, LENGTH)]
    assert find_episodes(marks((0, "+", "(AFIB"), (50, "N")), "AF", 10) == [Episode(LATER, LATER + 50)]


def test_what_began_before_minute_five_counts_from_there() -> None:
    start = 30_000 - LATER
    found = compared(atrial((start - 500, start + 100)), atrial((start - 500, start - 100), (start + 50, start + 100)))
    assert found == Episodes(Matched(1, 0, 1, 0), 1.0, 0.5, 0.5, 0.5)


def test_what_ends_behind_the_records_end_counts_to_there() -> None:
    found = compared(atrial((0, 1000), (3000, 4000)), atrial((0, 1000)), length=LATER + 400)
    assert (found.matched, found.reference_s) == (Matched(1, 0, 1, 0), 4.0)


def test_ventricular_fibrillation_is_between_brackets_or_by_rhythm_where_that_is_asked() -> None:
    brackets = marks((0, "["), (100, "!"), (300, "]"))
    rhythm = marks((0, "+", "(VFIB"), (300, "+", "(N"))
    assert compared(brackets, brackets, "VF").matched == Matched(1, 0, 1, 0)
    assert compared(brackets, rhythm, "VF").matched == Matched(0, 1, 0, 0)
    assert compared(brackets, rhythm, "VF", fibrillation="rhythm").matched == Matched(1, 0, 1, 0)


def test_an_st_episode_is_found_by_its_extreme_or_by_half_of_it() -> None:
    reference = st((0, 100, 1000))
    assert compared(reference, st((50, 120, 200)), "ST0").matched.found == 1
    assert compared(reference, st((150, 160, 600)), "ST0").matched.missed == 1
    assert compared(reference, st((150, 160, 650)), "ST0").matched.found == 1


def test_an_extreme_before_minute_five_finds_nothing() -> None:
    start = 30_000 - LATER
    test = st((start - 50, start - 10, start + 10))
    assert compared(st((start - 100, start - 10, start + 1000)), test, "ST0").matched.missed == 1
    assert compared(st((start - 100, start + 5, start + 1000)), test, "ST0").matched.found == 1


def test_st_of_another_signal_is_another_kind() -> None:
    reference, test = st((0, 100, 1000)), st((0, 100, 1000), signal=1)
    assert compared(reference, test, "ST0").matched == Matched(0, 1, 0, 0)
    assert compared(reference, test, "ST1").matched == Matched(0, 0, 0, 1)
    assert compared(reference, test, "ST").matched == Matched(1, 0, 1, 0)


def test_st_in_either_signal_lasts_until_both_ended() -> None:
    both = marks((0, "s", "(ST0+"), (100, "s", "(ST1-"), (500, "s", "ST0+)"), (700, "s", "ST1-)"))
    assert find_episodes(both, "ST", LENGTH) == [Episode(LATER, LATER + 700)]
    assert find_episodes(both, "ST1", LENGTH) == [Episode(LATER + 100, LATER + 700)]


def test_a_deviation_is_compared_with_the_nearest_beats() -> None:
    reference = marks((100, "s", "AST0+200"), (300, "s", "AST1-150"), (500, "s", "AST-80"))
    test = marks((60, "N", "10 20"), (90, "N", "30 40"), (320, "N", "50"), (900, "N", ""))
    assert compare_deviations(reference, test) == [
        Deviation(LATER + 100, 0, 200, 30),
        Deviation(LATER + 300, 1, -150, 40),
        Deviation(LATER + 500, 0, -80, 50),
    ]
    assert [found.lead for found in compare_deviations(reference, test, lead=1)] == [1]
    assert compare_deviations(reference, marks()) == [
        Deviation(at, lead, value, 0) for at, lead, value, _ in compare_deviations(reference, test)
    ]


def test_episodes_add_up_and_nothing_has_no_share() -> None:
    found = compared(atrial((0, 1000)), atrial((0, 500)))
    assert (found + found).duration_sensitivity == pytest.approx(50.0)
    assert math.isnan(compared(marks(), marks()).duration_ppv)
