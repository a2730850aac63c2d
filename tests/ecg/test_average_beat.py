"""Rules of the average of normal beats: what is not one does not move it, and no trace of how the stream was cut."""

from __future__ import annotations

import doctest
import itertools
from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import ecg.average_beat
from ecg.average_beat import EVERY, MEASURED, AverageBeats
from ecg.beat_state import BEAT
from simulators.heart import Heart
from simulators.schedule import Segment

LATE = 105
"""Samples by which the clock of the beats is behind the samples."""
LEADS = ("II", "V1", "V5")
AVERAGES = AverageBeats()


def found_beats(heart: Heart) -> NDArray[np.void]:
    """Return the heart's true beats as a detector would give them, 0.4 s late and up to 8 ms off."""
    beats = np.zeros(len(heart.beats), BEAT)
    at, ventricular = heart.beats["sample"], heart.beats["label"] == ord("V")
    beats["sample"] = at + np.arange(len(at)) * 7 % 5 - 2
    beats["confirmed"], beats["label"] = at + 100, heart.beats["label"]
    beats["shape"] = np.where(ventricular, 1, 0)
    beats["rr_s"] = np.diff(at, prepend=at[0] - 200) / 250
    return beats


def measured(
    x: NDArray[np.float32], beats: NDArray[np.void], cuts: Sequence[int] = (), averages: AverageBeats = AVERAGES
) -> NDArray[np.void]:
    """Return what is measured of one bed that is cut, taken out and put into other rows at every cut."""
    rows, bed, edges = list(range(len(x))), 0, sorted({0, x.shape[1], *cuts})
    averages.open(bed, rows)
    parts = [np.zeros(0, MEASURED)]
    for first, end in itertools.pairwise(edges):
        before, now = max(0, first - LATE), max(0, end - LATE)
        new = beats[(beats["confirmed"] >= before) & (beats["confirmed"] < now)]
        part = np.ascontiguousarray(x[:, first:end])
        parts += averages.feed([bed], [rows], np.array(rows), part, np.full(len(x), end - first), [now - before], [new])
        kept = averages.snapshot(bed, rows)
        bed, rows = bed + 1, [row + 5 for row in rows]
        averages.restore(bed, rows, kept)
    return np.concatenate(parts)


def generated(*script: Segment) -> tuple[NDArray[np.float32], NDArray[np.void]]:
    heart = Heart(script, LEADS, 250.0, seed=4, noise_mv=0.01)
    return heart.samples(0, heart.n_samples).copy(), found_beats(heart)


PLAIN = generated(("sinus", 40, {"rate_bpm": 75.0}), ("sinus", 40, {"rate_bpm": 75.0, "st_mv": -0.3}))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 19_999), max_size=25))
def test_neither_cutting_nor_a_restart_changes_a_bit(cuts: list[int]) -> None:
    assert measured(*PLAIN, cuts).tobytes() == measured(*PLAIN).tobytes()


def test_a_step_of_st_is_there_within_25_s_of_it_and_in_the_leads_that_show_it() -> None:
    seen = measured(*PLAIN)
    assert (seen["at"] % EVERY == 0).all()
    before, after = seen[seen["at"] <= 10_000], seen[seen["at"] >= 10_000 + 25 * 250]
    assert (len(before), len(after)) >= (2, 2)
    assert np.abs(before["st_mv"][:, :3]).max() < 0.015
    assert np.abs(after["st_mv"][:, :3] - (-0.28, 0.0, -0.11)).max() < 0.02
    assert np.abs(after["qt_ms"] - before["qt_ms"].mean()).max() < 20


def test_ectopic_beats_do_not_move_it() -> None:
    x, beats = generated(("pvcs", 60, {"every": 4.0}))
    assert (beats["label"] == ord("V")).sum() > 10
    seen = measured(x, beats)
    assert len(seen) >= 3
    assert np.abs(seen["st_mv"][:, :3]).max() < 0.02


def test_artefact_in_a_third_of_the_beats_does_not_move_it_and_in_most_it_is_not_sure() -> None:
    x, beats = generated(("sinus", 60, {"rate_bpm": 75.0}))
    for every, most_mv in ((3, 0.03), (1, np.inf)):
        disturbed = x.copy()
        for k, at in enumerate(beats["sample"][::every].tolist()):
            disturbed[:, at + 10 : at + 60] += np.float32(0.8 * (-1) ** k)
        seen = measured(disturbed, beats)
        sure = seen["st_error_mv"][:, :3] < 0.025
        assert np.abs(seen["st_mv"][:, :3][sure]).max(initial=0) < 0.03
        assert most_mv == np.inf or sure.any()


def test_too_few_beats_and_a_lead_that_is_missing_say_nothing() -> None:
    x, beats = generated(("sinus", 40, {"rate_bpm": 75.0}))
    assert not len(measured(x, beats[::6]))
    x[1] = np.nan
    seen = measured(x, beats)
    assert np.isnan(seen["st_mv"][:, 1]).all()
    assert np.isfinite(seen["st_mv"][:, [0, 2]]).all()


def test_another_shape_that_goes_on_becomes_the_usual_one() -> None:
    x, beats = generated(("sinus", 40, {"rate_bpm": 75.0}), ("sinus", 60, {"rate_bpm": 75.0, "st_mv": 0.3}))
    beats["shape"][beats["sample"] > 10_000] = 3
    seen = measured(x, beats)
    assert seen["st_mv"][-1, 0] > 0.25
    assert seen["first"][-1] > 10_000


def test_beds_together_are_as_each_alone() -> None:
    x, beats = PLAIN
    other = AverageBeats()
    for bed in range(3):
        other.open(bed, [2 * bed, 2 * bed + 1])
    pair, n = np.ascontiguousarray(x[:2]), x.shape[1]
    three = [beats, beats[:0], beats[::2]]
    found = other.feed(
        range(3), [(2 * b, 2 * b + 1) for b in range(3)], np.arange(6), np.tile(pair, (3, 1)), np.full(6, n),
        [n - LATE] * 3, [each[each["confirmed"] < n - LATE] for each in three],
    )  # fmt: skip
    for got, own in zip(found, three, strict=True):
        assert got.tobytes() == measured(pair, own).tobytes()


def test_the_example_runs() -> None:
    assert doctest.testmod(ecg.average_beat).failed == 0
