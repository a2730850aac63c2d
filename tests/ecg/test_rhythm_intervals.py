"""Rules of the intervals between beats, and of pauses: each held against what is nearly so."""

from __future__ import annotations

import numpy as np
import pytest

from ecg.clinical import Settings
from ecg.rhythm_intervals import irregular_rhythm, missed_beat, supraventricular_tachycardia
from ecg.rhythm_state import Beat


def beats(rr_s: list[float], ventricular: tuple[int, ...] = ()) -> list[Beat]:
    """Beats after the given intervals, those of the given places ventricular."""
    at = 1000 + np.cumsum(np.round(np.array(rr_s) * 250)).astype(int)
    return [
        Beat(int(sample), round(rr * 250), k in ventricular, False, 90.0, 1.0)
        for k, (sample, rr) in enumerate(zip(at, rr_s, strict=True))
    ]


def test_five_fast_even_beats_are_a_supraventricular_tachycardia() -> None:
    given = beats([0.8] * 5 + [0.3] * 5)
    mark = supraventricular_tachycardia(given, Settings())
    assert mark is not None
    assert (mark.onset, mark.value, mark.limit) == (given[4].sample, pytest.approx(200, rel=0.02), 180.0)


@pytest.mark.parametrize(
    ("rr_s", "ventricular"),
    [
        ([0.8] * 5 + [0.3] * 4, ()),
        ([0.8] * 5 + [0.35] * 5, ()),
        ([0.8] * 5 + [0.3] * 5, (8,)),
        ([0.8] * 5 + [0.2, 0.4, 0.2, 0.4, 0.2], ()),
        ([0.8] * 5 + [0.3, 0.0, 0.3, 0.3, 0.3], ()),
    ],
    ids=["four beats", "slower", "one ventricular", "uneven", "a break"],
)
def test_what_is_shorter_slower_ventricular_or_uneven_is_none(rr_s: list[float], ventricular: tuple[int, ...]) -> None:
    assert supraventricular_tachycardia(beats(rr_s, ventricular), Settings()) is None


def test_an_interval_of_nearly_two_is_a_missed_beat() -> None:
    given = beats([0.8] * 8 + [1.6])
    mark = missed_beat(given, Settings())
    assert mark is not None
    assert (mark.onset, mark.value) == (given[-2].sample, pytest.approx(2.0))
    assert missed_beat(beats([0.8] * 8 + [1.4]), Settings()) is None
    assert missed_beat(beats([0.8] * 8 + [1.4]), Settings(missed_beat_ratio=1.6)) is not None


@pytest.mark.parametrize(
    ("rr_s", "ventricular"),
    [([0.8, 1.6], ()), ([0.8] * 7 + [0.5, 1.6], (7,)), ([0.6, 1.0, 0.7, 0.9, 0.5, 1.1, 1.7], ())],
    ids=["too few before", "after a ventricular beat", "uneven before"],
)
def test_a_long_interval_that_something_else_explains_is_no_missed_beat(
    rr_s: list[float], ventricular: tuple[int, ...]
) -> None:
    assert missed_beat(beats(rr_s, ventricular), Settings()) is None


def test_intervals_that_spread_are_irregular_and_ventricular_beats_do_not_count() -> None:
    uneven = [0.6, 1.0, 0.8, 0.55, 0.95] * 4
    mark = irregular_rhythm(beats(uneven), Settings())
    assert mark is not None
    assert mark.value == pytest.approx(float(np.std(uneven[1:]) / np.mean(uneven[1:])), abs=0.01)
    assert irregular_rhythm(beats([0.8] * 20), Settings()) is None
    assert irregular_rhythm(beats(uneven[:12]), Settings()) is None
    every_fourth = tuple(range(3, 20, 4))
    early = [0.8, 0.8, 0.8, 0.5] * 5
    assert irregular_rhythm(beats(early), Settings()) is not None
    assert irregular_rhythm(beats(early, every_fourth), Settings(irregular_spread=0.08)) is None
