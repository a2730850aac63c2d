"""Wearables: late frames stay within the bound, bursts follow silence, and no sample is invented."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg.frame import Frame, check_frame
from ecg.timeline import HELD_NS, Timeline
from simulators.heart import Heart
from simulators.source import Source
from simulators.wearable import REORDER_S, Wearable, one_lead, reach

T0 = 1_700_000_000_000_000_000
HEART = Heart([("sinus", 61, {})], leads=("PLETH", "II", "V1")).source()


def ending() -> Source:
    whole = one_lead(HEART)
    return Source("ends", whole.rate_hz, whole.leads, whole.counts, loop_to=None)


def most_held_s(frames: list[Frame]) -> float:
    """Return the longest signal that waited behind a hole which a late frame closed."""
    expected, held, most = 0, {}, 0.0
    for frame in frames:
        if frame.seq >= expected:
            held[frame.seq] = frame.n_samples / frame.rate_hz
        while expected in held:
            held.pop(expected)
            expected += 1
        most = max(most, sum(held.values()))
    return most


@settings(max_examples=60, deadline=None)
@given(
    frame_s=st.sampled_from([0.04, 0.1, 0.25, 0.5, 1.0, 2.0]),
    late=st.floats(0, 1),
    doubled=st.floats(0, 1),
    burst_s=st.sampled_from([0.0, 5.0, 30.0]),
    seed=st.integers(0, 1000),
)
def test_reordering_stays_within_the_bound(
    frame_s: float, late: float, doubled: float, burst_s: float, seed: int
) -> None:
    device = Wearable(
        "w", ending(), T0, frame_s, burst_s, late_frames=reach(frame_s), late=late, doubled=doubled, seed=seed
    )
    sent = list(device.frames())
    assert most_held_s([frame for _, frame in sent]) < REORDER_S
    assert [due_s for due_s, _ in sent] == sorted(due_s for due_s, _ in sent)


def test_the_bound_is_the_timelines() -> None:
    assert REORDER_S * 1e9 == HELD_NS


@settings(max_examples=20, deadline=None)
@given(late=st.floats(0, 1), doubled=st.floats(0, 0.5), seed=st.integers(0, 1000))
def test_the_timeline_gets_every_sample_back_in_order(late: float, doubled: float, seed: int) -> None:
    source = ending()
    device = Wearable("w", source, T0, 0.5, late_frames=reach(0.5), late=late, doubled=doubled, seed=seed)
    timeline = Timeline()
    pieces = [piece for offset, (_, frame) in enumerate(device.frames()) for piece in timeline.feed(frame, offset)]
    np.testing.assert_array_equal(
        np.concatenate([piece.mv for piece in pieces], axis=1), source.mv(0, source.n_samples)
    )


def test_frames_do_come_late_and_twice_and_not_at_all() -> None:
    seqs = [f.seq for _, f in Wearable("w", ending(), T0, late=0.3, lost=0.1, doubled=0.1, seed=4).frames()]
    assert seqs != sorted(seqs)
    assert len(seqs) > len(set(seqs))
    assert len(set(seqs)) < max(seqs) + 1


def test_bursts_follow_silence() -> None:
    device = Wearable("w", HEART, T0, 0.5, burst_s=30.0, first_burst_s=20.0, drift_ppm=0.0)
    due = np.array([due_s for due_s, _ in itertools.islice(device.frames(), 220)])
    starts = due[np.flatnonzero(np.diff(due, prepend=-100.0) > 1)]
    np.testing.assert_allclose(starts, [20, 50, 80, 110], atol=0.05)
    assert due[due < 40].max() < 21


def test_no_frame_leaves_before_its_last_sample_was_taken() -> None:
    device = Wearable("w", HEART, T0, 0.5, burst_s=7.0, drift_ppm=0.0, late=0.5)
    for due_s, frame in itertools.islice(device.frames(), 300):
        assert due_s >= (frame.t0_ns - T0) / 1e9 + frame.n_samples / frame.rate_hz - 1e-6


@pytest.mark.parametrize("drift_ppm", [-500.0, 0.0, 200.0])
def test_the_converter_drifts_against_the_clock(drift_ppm: float) -> None:
    device = Wearable("w", HEART, T0, 1.0, burst_s=0.0, drift_ppm=drift_ppm, late=0.0, doubled=0.0)
    frame = next(frame for _, frame in device.frames() if frame.seq == 1000)
    assert (frame.t0_ns - T0) / 1e9 == pytest.approx(1000 / (1 + drift_ppm * 1e-6), abs=1e-6)


def test_only_the_first_ecg_lead_is_worn() -> None:
    frame = next(Wearable("w", HEART, T0).frames())[1]
    check_frame(frame)
    assert [lead.name for lead in frame.leads] == ["II"]


def test_lateness_beyond_the_bound_is_refused() -> None:
    assert [reach(frame_s) for frame_s in (0.5, 0.6, 1.0, 2.0)] == [3, 3, 1, 0]
    with pytest.raises(ValueError, match="late_frames must be between 0 and 3"):
        Wearable("w", HEART, T0, 0.5, late_frames=4)
