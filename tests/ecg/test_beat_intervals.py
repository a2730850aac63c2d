"""Intervals over minutes: described as by sorting them anew; runs that begin at once are told from others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecg import beat_intervals as names
from ecg.beat_context import N_CONTEXT
from ecg.beat_intervals import in_supraventricular_run, intervals, note_interval, note_run
from ecg.beat_state import MANY, NEAR, first_state


def after(rr: list[int]) -> tuple[NDArray[np.void], NDArray[np.float64]]:
    """Return a bed after some intervals, in samples, and what described the last one."""
    bed, f = first_state().reshape(1), np.zeros(N_CONTEXT)
    for each in rr:
        intervals(bed[0], each, f)
        note_run(bed[0], each)
        note_interval(bed[0], each)
    return bed, f


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(50, 500), min_size=2, max_size=3 * MANY))
def test_medians_and_ranks_are_those_of_the_last_intervals(rr: list[int]) -> None:
    _, f = after(rr)
    near, long = np.sort(rr[:-1][-NEAR:]), np.sort(rr[:-1][-MANY:])
    assert f[names.SINCE_NEAR] == pytest.approx(np.log(rr[-1] / near[len(near) // 2]))
    assert f[names.SINCE_LONG] == pytest.approx(np.log(rr[-1] / long[len(long) // 2]))
    assert f[names.RANK_NEAR] == pytest.approx((near < rr[-1]).mean())
    assert f[names.RANK_LONG] == pytest.approx((long < rr[-1]).mean())
    assert np.isfinite(f).all()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(50, 500), min_size=3, max_size=NEAR + 1))
def test_the_usual_change_is_the_median_one(rr: list[int]) -> None:
    bed, _ = after(rr)
    changes = np.sort(abs(np.diff(np.log(rr))))
    _, f = after([*rr, 200])
    assert len(changes) <= NEAR
    assert f[names.JUMP] == pytest.approx(changes[len(changes) // 2], abs=1e-5)
    assert int(bed["n_long"][0]) == len(rr)


@pytest.mark.parametrize(
    ("rr", "run"),
    [
        ([200] * 20 + [100] * 3, True),
        ([200] * 20 + [100] * 2, False),
        ([200] * 20 + [100] * 300, True),  # however long it lasts
        ([200] * 20 + [100] * 20 + [180] + [100] * 3, True),  # a longer interval between
        ([200] * 20 + [100] * 20 + [200] * 9 + [190] * 3, False),
        ([200] * 20 + [170] * 10, False),  # not fast
        ([160] * 20 + [130] * 10, False),  # not by a quarter
        ([200 - k // 2 for k in range(200)], False),  # little by little
    ],
)
def test_a_run_is_fast_and_began_at_once(rr: list[int], run: bool) -> None:
    assert bool(in_supraventricular_run(after(rr)[0][0])) is run


def test_an_irregular_rhythm_is_no_run_for_long() -> None:
    rng = np.random.default_rng(0)
    bed, f, inside = first_state().reshape(1), np.zeros(N_CONTEXT), 0
    for each in rng.integers(110, 260, 1000).tolist():
        intervals(bed[0], each, f)
        note_run(bed[0], each)
        note_interval(bed[0], each)
        inside += bool(in_supraventricular_run(bed[0]))
    assert inside < 60
