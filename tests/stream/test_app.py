"""How the worker cuts what it is given."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.app import bounded


@given(st.lists(st.integers(0, 20)), st.integers(1, 30))
def test_batches_are_bounded_in_order_and_leave_nothing_out(sizes: list[int], most: int) -> None:
    parts = list(bounded(sizes, int, most))
    assert [size for part in parts for size in part] == sizes
    assert all(part and (sum(part) <= most or len(part) == 1) for part in parts)
