from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.bed_alert import sparkline
from stream.bed_state import Queue

FOUND = np.dtype([("end", "i8"), ("value", "f4")])


@given(st.lists(st.integers(0, 60), max_size=20).map(sorted), st.lists(st.integers(0, 70), max_size=8).map(sorted))
def test_a_queue_gives_each_item_once_at_the_first_step_after_it_whatever_was_kept_between(
    ends: list[int], steps: list[int]
) -> None:
    found = np.array([(end, n) for n, end in enumerate(ends)], FOUND)
    queue, taken = Queue(FOUND, "end"), []
    queue.add(found[: len(found) // 2])
    queue.add(found[len(found) // 2 :])
    for step in steps:
        its = queue.before(step)
        assert its["end"].tolist() == [end for end in ends if end < step][len(taken) :]
        taken += its["value"].tolist()
        other = Queue(FOUND, "end")
        other.restore(queue.snapshot())
        queue = other
    assert taken == list(range(len(taken)))


@given(st.lists(st.floats(-5000, 5000, width=32) | st.just(float("nan")), max_size=40))
def test_a_sparkline_has_the_farthest_of_each_ten_samples_as_python_rounds_it(values: list[float]) -> None:
    tens = [values[at : at + 10] for at in range(0, len(values) // 10 * 10, 10)]
    there = [[0.0 if value != value else value for value in ten] for ten in tens]
    assert sparkline(np.array(values, np.float32)) == tuple(round(max(ten, key=abs), 3) for ten in there)


def test_an_empty_second_has_an_empty_sparkline() -> None:
    assert sparkline(np.empty(0, np.float32)) == ()
