"""The plain matcher: pairs within the window, one to one; what is left out of the score."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ecg.ec57 import Counts, match, score, total
from ecg.record import Annotations

RATE = 100.0
match(np.zeros(0, np.int64), np.zeros(0, np.int64), 1)  # compiled here, so that no test waits for it
LATER = 40_000
"""A sample after the first five minutes."""


def marks(*found: tuple[int, str]) -> Annotations:
    """Annotations at these positions."""
    samples = np.array([at for at, _ in found], np.int64)
    return Annotations(samples, np.array([s for _, s in found], "<U1"), ("",) * len(found), np.zeros_like(samples))


positions = st.lists(st.integers(0, 3000), unique=True, max_size=40).map(
    lambda found: np.array(sorted(found), np.int64)
)


@given(positions, positions, st.integers(0, 60))
def test_pairs_are_one_to_one_within_the_window_and_in_order(
    reference: np.ndarray, test: np.ndarray, window: int
) -> None:
    pairs = match(reference, test, window)
    matched = pairs[pairs >= 0]
    assert (np.diff(matched) > 0).all()
    assert (np.abs(reference[pairs >= 0] - test[matched]) <= window).all()


@given(positions, positions, st.integers(0, 60))
def test_no_pair_that_could_be_made_is_left(reference: np.ndarray, test: np.ndarray, window: int) -> None:
    pairs = match(reference, test, window)
    free = np.setdiff1d(np.arange(len(test)), pairs)
    for i in np.flatnonzero(pairs < 0):
        neighbours = pairs[max(0, i - 1) : i + 2]
        near = [j for j in free if abs(test[j] - reference[i]) <= window]
        assert not near or (neighbours >= 0).any()


def test_a_beat_matches_itself() -> None:
    found = score(marks((LATER, "N"), (LATER + 80, "V")), np.array([LATER, LATER + 80]), "NV", RATE)
    assert found == (Counts(2, 0, 0), Counts(1, 0, 0), Counts(0, 0, 0))


def test_window_is_150_ms_on_either_side() -> None:
    reference = marks((LATER, "N"))
    for off, counts in ((15, Counts(1, 0, 0)), (-15, Counts(1, 0, 0)), (16, Counts(0, 1, 1)), (-16, Counts(0, 1, 1))):
        assert score(reference, np.array([LATER + off]), "N", RATE).qrs == counts


def test_the_nearer_of_two_test_beats_is_matched_and_the_other_is_false() -> None:
    assert match(np.array([100]), np.array([90, 101]), 15).tolist() == [1]
    assert score(marks((LATER, "N")), np.array([LATER - 10, LATER + 1]), "NN", RATE).qrs == Counts(1, 0, 1)


def test_the_first_five_minutes_are_not_scored() -> None:
    assert score(marks((29_999, "N")), np.array([500]), "N", RATE).qrs == Counts(0, 0, 0)
    assert score(marks((30_000, "N")), np.array([], np.int64), "", RATE).qrs == Counts(0, 1, 0)


def test_beats_in_flutter_are_not_scored() -> None:
    reference = marks((LATER, "["), (LATER + 100, "N"), (LATER + 200, "]"), (LATER + 300, "N"))
    assert score(reference, np.array([LATER + 50, LATER + 300]), "NN", RATE).qrs == Counts(1, 0, 0)


def test_flutter_that_does_not_end_lasts_to_the_end() -> None:
    assert score(marks((LATER, "["), (LATER + 500, "N")), np.array([LATER + 90]), "N", RATE).qrs == Counts(0, 0, 0)


def test_fusion_and_unknown_called_ventricular_are_not_false() -> None:
    at = LATER + 100 * np.arange(4)
    reference = marks(*zip(at.tolist(), "FQNV", strict=True))
    assert score(reference, at, "VVVV", RATE).veb == Counts(1, 0, 1)


def test_fusion_called_supraventricular_is_false_and_unknown_is_not() -> None:
    at = LATER + 100 * np.arange(4)
    assert score(marks(*zip(at.tolist(), "FQVA", strict=True)), at, "SSSS", RATE).sveb == Counts(1, 0, 2)


def test_a_missed_ventricular_beat_counts_as_missed_in_both() -> None:
    found = score(marks((LATER, "V")), np.array([LATER + 50]), "V", RATE)
    assert (found.qrs, found.veb) == (Counts(0, 1, 1), Counts(0, 1, 1))


def test_gross_counts_are_sums_and_shares_are_percent() -> None:
    gross = total([Counts(9, 1, 0), Counts(90, 0, 10)])
    assert gross == Counts(99, 1, 10)
    assert (gross.sensitivity, round(gross.ppv, 2)) == (99.0, 90.83)
    assert np.isnan(total([]).sensitivity)
