"""Windows: on one grid, whatever the chunks, with what is missing marked."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import ecg.microvolts
import ecg.window
from ecg.microvolts import MOST_UV, counts, millivolts, whole
from ecg.window import HALO, HOP, SPAN, WINDOW, Window, Windows


def signal(leads: int, n: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    mv = rng.normal(size=(leads, n)).astype(np.float32)
    mv[rng.random((leads, n)) < 0.05] = np.nan
    return whole(mv)


def chunks(mv: NDArray[np.float32], sizes: list[int]) -> list[NDArray[np.float32]]:
    return np.split(mv, np.minimum(np.cumsum(sizes), mv.shape[1]), axis=1)


def as_bytes(windows: list[Window]) -> list[tuple[int, bytes]]:
    return [(window.end, window.mv.tobytes()) for window in windows]


SIZES = st.lists(st.one_of(st.integers(0, 60), st.integers(0, 6000)), max_size=60)


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 12), st.integers(0, 9000), SIZES)
def test_any_chunks_give_the_windows_of_the_signal_itself(leads: int, n: int, sizes: list[int]) -> None:
    mv, windows = signal(leads, n), Windows(leads)
    got = [window for chunk in chunks(mv, sizes) for window in windows.feed(chunk)]
    before = np.concatenate([np.full((leads, SPAN), np.nan, np.float32), mv], axis=1)
    ends = range(WINDOW, n + 1, HOP)
    assert as_bytes(got) == [(end, np.ascontiguousarray(before[:, end : end + SPAN]).tobytes()) for end in ends]


@settings(max_examples=50, deadline=None)
@given(SIZES)
def test_a_snapshot_between_any_two_chunks_changes_nothing(sizes: list[int]) -> None:
    mv, one, two = signal(2, 7000), Windows(2), Windows(5)
    for chunk in chunks(mv, sizes):
        kept = one.snapshot()
        two.restore(kept)
        assert two.snapshot() == kept
        assert as_bytes(one.feed(chunk)) == as_bytes(two.feed(chunk))


def test_missing_samples_are_marked_and_others_are_not() -> None:
    mv = np.zeros((2, WINDOW), dtype=np.float32)
    mv[1, 100:200] = np.nan
    (window,) = Windows(2).feed(mv)
    assert window.missing[:, :HALO].all()
    assert window.missing[:, HALO:].sum() == 100
    assert window.missing[1, HALO + 100 : HALO + 200].all()


def test_a_window_given_out_never_changes() -> None:
    windows = Windows(1)
    (window,) = windows.feed(np.zeros((1, WINDOW), dtype=np.float32))
    windows.feed(np.ones((1, WINDOW), dtype=np.float32))
    assert not window.mv[:, HALO:].any()


def test_a_new_stretch_has_its_first_window_after_ten_seconds() -> None:
    windows = Windows(1)
    windows.feed(np.ones((1, 2400), dtype=np.float32))
    windows.reset(2)
    assert windows.feed(np.zeros((2, WINDOW - 1), dtype=np.float32)) == []
    (window,) = windows.feed(np.zeros((2, 1), dtype=np.float32))
    assert (window.end, window.mv[:, HALO:].any(), window.missing[:, :HALO].all()) == (WINDOW, False, True)


def test_signal_of_another_number_of_leads_is_refused() -> None:
    with pytest.raises(ValueError, match=r"signal must have the shape \(2, n\), got \(3, 5\)"):
        Windows(2).feed(np.zeros((3, 5), dtype=np.float32))


def test_the_example_runs() -> None:
    assert doctest.testmod(ecg.window).failed == 0


def test_whole_microvolts_are_kept_in_two_bytes_and_come_back_to_the_bit() -> None:
    assert doctest.testmod(ecg.microvolts).failed == 0
    rng = np.random.default_rng(1)
    mv = np.array([*rng.normal(0, 2, 5000), 50.0, -50.0, 1e-9, -1e-9, np.nan], np.float32)
    grid = whole(mv)
    assert np.nanmax(np.abs(grid - mv)[:5000]) <= 0.0005001
    assert np.nanmax(np.abs(grid)) == np.float32(MOST_UV) * np.float32(1e-3)
    assert whole(grid).tobytes() == grid.tobytes()
    assert millivolts(counts(grid)).tobytes() == grid.tobytes()
    assert len(counts(grid).tobytes()) == 2 * len(grid)
