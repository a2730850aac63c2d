"""Shares over 10 s, and the area under their distribution."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.ec57.short import auecdf, short_intervals
from tests.ecg.ec57_marks import LENGTH, RATE, marks


def test_each_interval_of_ten_seconds_has_its_own_shares() -> None:
    reference = marks((0, "N"), (500, "N"), (1000, "N"), (1500, "N"))
    test = marks((0, "N"), (500, "N"), (700, "N"), (1000, "N"), (2100, "N"))
    found = short_intervals(reference, test, RATE, length=LENGTH)
    assert found.sensitivity.tolist() == [1.0, 0.5]
    assert found.ppv.tolist() == pytest.approx([2 / 3, 1.0, 0.0])


def test_a_pair_counts_in_the_interval_of_the_references_beat() -> None:
    found = short_intervals(marks((999, "N")), marks((1005, "N")), RATE, length=LENGTH)
    assert found.sensitivity.tolist() == found.ppv.tolist() == [1.0]


def test_intervals_outside_what_is_scored_do_not_count() -> None:
    beats = marks((-20_000, "N"), (0, "N"), (1000, "N"), (2000, "N"))
    assert len(short_intervals(beats, beats, RATE, length=LENGTH).sensitivity) == 3
    chosen = short_intervals(beats, beats, RATE, length=LENGTH, stretches_s=[(400.0, 410.0), (420.0, None)])
    assert len(chosen.sensitivity) == 2


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_the_area_is_that_under_the_step_function(shares: list[float]) -> None:
    edges = np.array([0.0, *sorted(shares), 1.0])
    heights = np.arange(len(shares) + 1) / len(shares)
    assert auecdf(np.array(shares)) == pytest.approx(100 * (np.diff(edges) * heights).sum(), abs=1e-9)


def test_nothing_has_no_area() -> None:
    assert math.isnan(auecdf(np.zeros(0)))
