"""Rows of state: each on its own, and back as it was."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ecg.rows
from ecg.rows import Rows

INITIAL = np.array((1.5, [7, 8, 9]), dtype=[("level", "f4"), ("last", "i8", 3)])


@given(st.lists(st.integers(0, 300), min_size=1, max_size=20))
def test_a_row_that_was_reset_holds_the_first_state_and_leaves_the_others_alone(order: list[int]) -> None:
    rows, expected = Rows(INITIAL), {}
    for value, row in enumerate(order):
        rows.reset(row)
        assert rows.state[row] == INITIAL
        rows.state["level"][row] = expected[row] = value
        assert all(rows.state["level"][known] == level for known, level in expected.items())


def test_a_row_is_put_back_as_it_was_also_elsewhere_and_in_another_table() -> None:
    rows, other = Rows(INITIAL), Rows(INITIAL)
    rows.reset(3)
    rows.state["last"][3] = (1, -(2**60), 3)
    kept = rows.snapshot(3)
    other.restore(200, kept)
    assert other.state[200] == rows.state[3]
    assert other.snapshot(200) == kept


def test_a_snapshot_does_not_change_with_its_row() -> None:
    rows = Rows(INITIAL)
    rows.reset(0)
    kept = rows.snapshot(0)
    rows.state["level"][0] = 99
    rows.restore(0, kept)
    assert rows.state[0] == INITIAL


def test_a_row_of_another_layout_is_refused() -> None:
    rows = Rows(INITIAL)
    with pytest.raises(ValueError, match="a row must hold 28 bytes, got 27"):
        rows.restore(0, bytes(27))


def test_the_example_runs() -> None:
    assert doctest.testmod(ecg.rows).failed == 0
