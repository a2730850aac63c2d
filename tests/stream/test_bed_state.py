from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg.average_beat import MEASURED
from ecg.beats import BEAT
from ecg.fibrillation import FIBRILLATION
from ecg.pulse import PULSE
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
        assert [end for end, _ in its] == [end for end in ends if end < step][len(taken) :]
        taken += [value for _, value in its]
        other = Queue(FOUND, "end")
        other.restore(queue.snapshot())
        queue = other
    assert taken == list(range(len(taken)))


@pytest.mark.parametrize("dtype", [BEAT, FIBRILLATION, PULSE, MEASURED])
@given(st.binary(min_size=200, max_size=200))
def test_a_queue_keeps_what_waits_to_the_bit(dtype: np.dtype[np.void], drawn: bytes) -> None:
    found = np.zeros(3, dtype)
    names = dtype.names or ("",)
    for field in names:
        values = np.frombuffer(drawn, "i1")[: found[field].size].reshape(found[field].shape)
        found[field] = np.where(values, values / 7, np.nan) if found[field].dtype.kind == "f" else np.abs(values) % 2
    queue = Queue(dtype, names[0])
    queue.add(found)
    assert queue.snapshot() == found.tobytes()
    assert queue.array_before(9).tobytes() == found.tobytes()
    assert (queue.snapshot(), len(queue.array_before(9))) == (b"", 0)


@settings(deadline=None)
@given(st.lists(st.floats(-5000, 5000, width=32) | st.just(float("nan")), max_size=40))
def test_a_sparkline_has_the_farthest_of_each_ten_samples_as_python_rounds_it(values: list[float]) -> None:
    tens = [values[at : at + 10] for at in range(0, len(values) // 10 * 10, 10)]
    there = [[0.0 if value != value else value for value in ten] for ten in tens]
    assert sparkline(np.array(values, np.float32)) == tuple(round(max(ten, key=abs), 3) for ten in there)


def test_an_empty_second_has_an_empty_sparkline() -> None:
    assert sparkline(np.empty(0, np.float32)) == ()
