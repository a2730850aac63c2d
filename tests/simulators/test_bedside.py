"""Bedside monitors: their frames are the source again, each leaves when its last sample was taken."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg.frame import MAX_FRAME_S, MIN_FRAME_S, Frame, check_frame, decode, encode
from simulators.artefact import Artefact, disturb
from simulators.bedside import Bedside
from simulators.heart import Heart
from simulators.source import Source

T0 = 1_700_000_000_000_000_000
ENDLESS = Heart([("sinus", 7, {})], leads=("II", "V1", "ABP")).source()


def ending(n: int, rate_hz: float = 250.0) -> Source:
    leads = Heart([("sinus", 2, {})], rate_hz=250).source().leads
    counts = np.arange(2 * n, dtype=np.int16).reshape(2, n)
    return Source("numbers", rate_hz, leads, counts, loop_to=None)


def samples(frames: list[Frame]) -> np.ndarray:
    return np.concatenate([frame.samples() for frame in frames], axis=1)


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(200, 3000),
    frame_s=st.floats(MIN_FRAME_S, MAX_FRAME_S),
    rate_hz=st.sampled_from([100.0, 128.0, 250.0, 257.0, 360.0, 1000.0]),
)
def test_frames_of_any_length_are_the_source_again(n: int, frame_s: float, rate_hz: float) -> None:
    source = ending(n, rate_hz)
    sent = list(Bedside("d", source, T0, frame_s).frames())
    frames = [frame for _, frame in sent]
    for frame in frames:
        check_frame(frame)
    np.testing.assert_array_equal(samples(frames), source.counts)
    assert [frame.seq for frame in frames] == list(range(len(frames)))
    assert [frame.last for frame in frames] == [False] * (len(frames) - 1) + [True]
    for due_s, frame in sent:
        assert due_s == pytest.approx((frame.t0_ns - T0) / 1e9 + frame.n_samples / rate_hz, abs=1e-6)
    for (due_s, _), (_, following) in itertools.pairwise(sent):
        assert (following.t0_ns - T0) / 1e9 == pytest.approx(due_s, abs=1e-6)


def test_a_source_that_loops_goes_on_without_a_last_frame() -> None:
    frames = [frame for _, frame in itertools.islice(Bedside("d", ENDLESS, T0, 0.25).frames(), 100)]
    turns = np.tile(ENDLESS.counts, 4)
    got = samples(frames)
    np.testing.assert_array_equal(got, turns[:, : got.shape[1]])
    assert not any(frame.last for frame in frames)


def test_a_loop_can_return_to_its_middle() -> None:
    source = dataclasses.replace(ending(10), loop_to=6)
    assert source.take(8, 8)[0].tolist() == [8, 9, 6, 7, 8, 9, 6, 7]


def test_flags_lie_on_the_samples_that_they_were_given_for() -> None:
    source = disturb(ENDLESS, [Artefact("lead_off", 1.5, 3.0, leads=("V1",))])
    off = np.zeros((3, source.n_samples), dtype=bool)
    at = 0
    for _, frame in itertools.islice(Bedside("d", source, T0, 0.3).frames(), 20):
        for lead, first, end in frame.lead_off:
            off[lead, at + first : at + end] = True
        at += frame.n_samples
    assert source.off is not None
    np.testing.assert_array_equal(off[:, :1400], source.off[:, :1400])


def test_pacer_spikes_travel_with_their_frame() -> None:
    heart = Heart([("paced", 10, {})])
    seen, at = [], 0
    for _, frame in itertools.islice(Bedside("d", heart.source(), T0, 0.25).frames(), 40):
        seen += [at + spike for spike in frame.pacer]
        at += frame.n_samples
    assert seen == [spike for spike in heart.pacer.tolist() if spike < at]


def test_each_start_has_a_session_of_its_own() -> None:
    first, second = (next(Bedside("d", ENDLESS, t0_ns).frames())[1] for t0_ns in (T0, T0 + 1))
    assert first.session != second.session
    assert decode(encode(first)) == first


def test_a_frame_length_outside_the_contract_is_refused() -> None:
    with pytest.raises(ValueError, match="frame_s must be between"):
        next(Bedside("d", ENDLESS, T0, 2.5).frames())
