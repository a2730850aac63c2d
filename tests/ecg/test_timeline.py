"""The timeline: the same samples whatever the frames, and time that never lies about what is missing."""

from __future__ import annotations

import doctest
import itertools
import math
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import ecg.timeline
from ecg.frame import MISSING, Frame, Lead, check_frame
from ecg.timeline import DRIFT_NS, HELD_NS, MAX_GAP_S, Note, Piece, Timeline
from ecg.window import Window, Windows

T0 = 1_700_000_000_123_456_789
LEADS = (Lead("II", 200.0), Lead("V1", 1000.0, baseline=-100), Lead("PLETH", 50.0, "pleth", 7, "NU"))
OFF = ((0, 400, 900), (1, 0, 3000))
PACER = (17, 600, 601, 2999)


def recording(rate_hz: float, seconds: float, seed: int = 0) -> NDArray[np.int16]:
    counts = np.random.default_rng(seed).integers(-2000, 2000, (len(LEADS), round(seconds * rate_hz)), dtype=np.int16)
    counts[:, ::97] = MISSING
    return counts


def frame(
    counts: NDArray[np.int16], first: int, end: int, seq: int, rate_hz: float = 250.0, ppm: float = 0, **other: Any
) -> Frame:
    off = tuple((lead, max(a, first) - first, min(b, end) - first) for lead, a, b in OFF if a < end and b > first)
    spikes = tuple(spike - first for spike in PACER if first <= spike < end)
    t0_ns = T0 + round(first / rate_hz * 1e9 * (1 + ppm / 1e6))
    samples = counts[:, first:end].astype("<i2").tobytes()
    made = Frame("device", "session", seq, t0_ns, rate_hz, LEADS, samples, off, spikes)
    made = msgspec.structs.replace(made, **other)
    check_frame(made)
    return made


def cut(random: Random, first: int, end: int, rate_hz: float) -> list[tuple[int, int]]:
    """Any cutting of first..end into lengths that a frame may have."""
    least, most, parts = math.ceil(0.04 * rate_hz), int(2 * rate_hz), []
    while first < end:
        length = random.choice((random.randint(least, most), random.randint(least, 3 * least)))
        if end - first - length < least:
            length = end - first if end - first <= most else end - first - least
        parts.append((first, first + min(length, most)))
        first += min(length, most)
    return parts


def frames_of(counts: NDArray[np.int16], rate_hz: float, seed: int, ppm: float = 0) -> list[Frame]:
    parts = cut(Random(seed), 0, counts.shape[1], rate_hz)
    return [frame(counts, *part, seq, rate_hz, ppm) for seq, part in enumerate(parts)]


def disturbed(random: Random, frames: list[Frame]) -> list[Frame]:
    """Any order in which frames behind a hole never hold more than the bound, and any doubling."""
    waiting, sent, held_ns, arrivals = list(frames), 0, {}, []
    while waiting:
        chosen = random.choice(waiting[:6])
        length_ns = round(chosen.n_samples / chosen.rate_hz * 1e9)
        if chosen.seq != sent and sum(held_ns.values()) + length_ns > HELD_NS:
            chosen = waiting[0]
        held_ns[chosen.seq] = round(chosen.n_samples / chosen.rate_hz * 1e9)
        while sent in held_ns:
            del held_ns[sent]
            sent += 1
        waiting.remove(chosen)
        arrivals.append(chosen)
        while random.random() < 0.3:
            arrivals.append(random.choice(arrivals))
    return arrivals


def run(frames: list[Frame], restart: Random | None = None) -> list[Piece]:
    timeline, pieces = Timeline(), []
    for offset, item in enumerate(frames):
        pieces += timeline.feed(item, offset)
        if restart is not None and restart.random() < 0.4:
            kept = timeline.snapshot()
            timeline = Timeline()
            timeline.restore(kept)
            assert timeline.snapshot() == kept
    return pieces


def samples(pieces: list[Piece]) -> NDArray[np.float32]:
    ends = [piece.first + piece.mv.shape[1] for piece in pieces]
    assert [piece.first for piece in pieces[1:]] == ends[:-1], "a stretch leaves no sample out"
    return np.concatenate([piece.mv for piece in pieces], axis=1)


def windows(pieces: list[Piece]) -> list[Window]:
    sliding = Windows(len(LEADS))
    return [window for piece in pieces for window in sliding.feed(piece.mv)]


def same(one: list[Piece], two: list[Piece]) -> None:
    assert samples(one).tobytes() == samples(two).tobytes()
    for pieces in (one, two):
        assert [piece.t_ns for piece in pieces] == [T0 + round(piece.first * 1e9 / piece.rate_hz) for piece in pieces]
    a, b = windows(one), windows(two)
    assert [(window.end, window.mv.tobytes()) for window in a] == [(window.end, window.mv.tobytes()) for window in b]


RATES = st.sampled_from((100.0, 128.0, 250.0, 360.0, 500.0, 1000.0))
SEEDS = st.integers(0, 2**32)


@settings(max_examples=60, deadline=None)
@given(RATES, SEEDS, SEEDS)
def test_any_split_doubling_and_reordering_within_the_bound_gives_the_same_samples_and_windows(
    rate_hz: float, one: int, two: int
) -> None:
    counts = recording(rate_hz, 3300 / rate_hz)
    plain = run(frames_of(counts, rate_hz, one))
    arrivals = disturbed(Random(two), frames_of(counts, rate_hz, two))
    same(plain, run(arrivals))
    assert samples(plain).shape == counts.shape
    assert len(windows(plain)) == 2


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_a_snapshot_at_any_point_changes_nothing(seed: int) -> None:
    counts = recording(250.0, 14)
    arrivals = disturbed(Random(seed), frames_of(counts, 250.0, seed))
    for _ in range(Random(seed).randint(0, 8)):
        arrivals.pop(Random(seed).randrange(len(arrivals)))
    one, two = run(arrivals), run(arrivals, Random(seed + 1))
    assert [(p.first, p.t_ns, p.offset, p.notes, p.mv.tobytes()) for p in one] == [
        (p.first, p.t_ns, p.offset, p.notes, p.mv.tobytes()) for p in two
    ]


@settings(max_examples=40, deadline=None)
@given(SEEDS, SEEDS, st.integers(100, 1500), st.integers(10, 2400))
def test_a_lost_stretch_is_missing_samples_of_its_length_however_it_was_cut(
    one: int, two: int, first: int, length: int
) -> None:
    counts, runs = recording(250.0, 24), []
    for seed in (one, two):
        random = Random(seed)
        parts = [
            part
            for a, b in ((0, first), (first, first + length), (first + length, 6000))
            for part in cut(random, a, b, 250.0)
        ]
        frames = [frame(counts, *part, seq) for seq, part in enumerate(parts)]
        lost = [item for item, part in zip(frames, parts, strict=True) if first <= part[0] < first + length]
        runs.append(run([item for item in frames if item not in lost]))
    same(*runs)
    got = samples(runs[0])
    assert got.shape == counts.shape
    assert np.isnan(got[:, first : first + length]).all()
    assert [note for piece in runs[0] for note in piece.notes] == [Note("gap", length / 250)]


@given(SEEDS)
@settings(max_examples=30, deadline=None)
def test_lead_off_and_pacer_spikes_lie_where_the_device_saw_them(seed: int) -> None:
    pieces = run(disturbed(Random(seed), frames_of(recording(250.0, 14), 250.0, seed)))
    off = np.zeros((len(LEADS), 3500), dtype=bool)
    for piece in pieces:
        for lead, first, end in piece.off:
            off[lead, piece.first + first : piece.first + end] = True
    expected = np.zeros_like(off)
    for lead, first, end in OFF:
        expected[lead, first:end] = True
    assert (off == expected).all()
    assert np.isnan(samples(pieces)[expected]).all()
    assert tuple(piece.first + spike for piece in pieces for spike in piece.pacer) == PACER


COUNTS = recording(250.0, 60)


def second(n: int, **other: Any) -> Frame:
    """The n-th frame of one second; `t0_s` sets its device time anew."""
    if "t0_s" in other:
        other["t0_ns"] = T0 + round(other.pop("t0_s") * 1e9)
    return frame(COUNTS, 250 * (n % 60), 250 * (n % 60) + 250, n, **other)


def test_all_that_a_frame_releases_carries_its_offset() -> None:
    timeline = Timeline()
    assert [piece.offset for piece in timeline.feed(second(0), 10)] == [10]
    assert timeline.feed(second(2), 11) == []
    assert [(piece.first, piece.offset) for piece in timeline.feed(second(1), 12)] == [(250, 12), (500, 12)]


def test_a_hole_becomes_a_gap_once_more_than_the_bound_waits_behind_it() -> None:
    timeline = Timeline()
    timeline.feed(second(0), 0)
    assert timeline.feed(second(2), 1) == []
    assert timeline.feed(second(3), 2) == [], "two seconds are within the bound"
    pieces = timeline.feed(second(4), 3)
    assert [(piece.first, piece.notes) for piece in pieces] == [
        (250, (Note("gap", 1.0),)), (500, ()), (750, ()), (1000, ()),
    ]  # fmt: skip
    assert np.isnan(pieces[0].mv).all()
    assert {piece.offset for piece in pieces} == {3}


def test_a_frame_that_comes_after_it_was_given_up_is_dropped_and_counted_as_late() -> None:
    timeline = Timeline()
    for n in (0, 2, 3, 4):
        timeline.feed(second(n), n)
    assert timeline.feed(second(1), 9) == []
    assert timeline.feed(second(3), 10) == []
    assert (timeline.state.late, timeline.state.duplicates) == (1, 1)
    assert timeline.feed(second(5), 11)[0].first == 1250


def test_silence_gives_up_waiting() -> None:
    timeline = Timeline()
    timeline.feed(second(0), 0)
    timeline.feed(second(2), 1)
    pieces = timeline.flush(7)
    assert [(piece.first, piece.offset) for piece in pieces] == [(250, 7), (500, 7)]
    assert timeline.flush(8) == []


def test_a_stream_that_is_joined_late_begins_once_the_bound_is_full() -> None:
    timeline = Timeline()
    assert timeline.feed(second(40), 0) == timeline.feed(second(41), 1) == []
    pieces = timeline.feed(second(42), 2)
    assert [(piece.new, piece.first) for piece in pieces] == [(True, 0), (False, 250), (False, 500)]
    assert pieces[0].t_ns == T0 + 40 * 10**9
    assert pieces[0].notes == ()


def test_a_long_gap_begins_a_new_stretch_instead_of_missing_samples() -> None:
    timeline = Timeline()
    timeline.feed(second(0), 0)
    late = [second(n) for n in (12, 13, 14)]
    pieces = [piece for offset, item in enumerate(late) for piece in timeline.feed(item, offset)]
    assert [(piece.new, piece.first) for piece in pieces] == [(True, 0), (False, 250), (False, 500)]
    assert pieces[0].notes == (Note("gap", 11.0),)
    assert pieces[0].t_ns == T0 + 12 * 10**9


def test_the_longest_gap_that_is_filled_comes_in_pieces_no_longer_than_a_frame() -> None:
    timeline = Timeline()
    timeline.feed(second(0), 0)
    pieces = timeline.feed(second(1, t0_s=1 + MAX_GAP_S), 1)
    assert [piece.mv.shape[1] for piece in pieces] == [500, 500, 500, 500, 500, 250]
    assert [piece.notes for piece in pieces] == [(Note("gap", MAX_GAP_S),), (), (), (), (), ()]
    assert not any(piece.new for piece in pieces)


def test_a_clock_that_steps_ahead_between_consecutive_frames_is_a_gap() -> None:
    timeline = Timeline()
    timeline.feed(second(0), 0)
    gap, piece = timeline.feed(second(1, t0_s=1.6), 1)
    assert (gap.mv.shape[1], gap.notes) == (150, (Note("gap", 0.6),))
    assert piece.t_ns == T0 + 1_600_000_000


def test_a_clock_that_steps_back_is_noted_once_and_loses_no_sample() -> None:
    timeline = Timeline()
    timeline.feed(second(0), 0)
    (piece,) = timeline.feed(second(1, t0_s=-3599), 1)
    assert (piece.new, piece.first, piece.notes) == (False, 250, (Note("clock_skew", -3600.0),))
    assert piece.t_ns == T0 - 3599 * 10**9
    (piece,) = timeline.feed(second(2, t0_s=-3598), 2)
    assert (piece.first, piece.notes) == (500, ())


def test_lost_frames_across_a_step_back_are_missing_by_their_number() -> None:
    timeline = Timeline()
    timeline.feed(second(0), 0)
    for n in (3, 4):
        assert timeline.feed(second(n, t0_s=n - 100), n) == []
    pieces = timeline.feed(second(5, t0_s=-95), 5)
    assert [piece.first for piece in pieces] == [250, 750, 1000, 1250]
    assert [note for piece in pieces for note in piece.notes] == [Note("gap", 2.0), Note("clock_skew", -100.0)]


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.floats(-9000, 9000))
def test_event_time_follows_a_drifting_clock_smoothly_within_the_bound(seed: int, ppm: float) -> None:
    counts = recording(100.0, 120)
    frames = frames_of(counts, 100.0, seed, ppm)
    pieces = run(frames)
    assert samples(pieces).shape == counts.shape
    assert all(not piece.notes for piece in pieces)
    for piece, item in zip(pieces, frames, strict=True):
        assert abs(piece.t_ns - item.t0_ns) <= DRIFT_NS + 0.01 * 2e9
    for before, after in itertools.pairwise(pieces):
        passed, nominal = after.t_ns - before.t_ns, before.mv.shape[1] * 1e7
        assert abs(passed - nominal) <= 0.02 * 1e9


def test_a_drift_within_the_bound_leaves_event_time_at_the_nominal_rate() -> None:
    pieces = run(frames_of(recording(250.0, 60), 250.0, 3, ppm=1500))
    assert [piece.t_ns for piece in pieces] == [T0 + piece.first * 4_000_000 for piece in pieces]


def test_drift_is_not_counted_as_missing_samples() -> None:
    frames = frames_of(recording(250.0, 60), 250.0, 3, ppm=1500)
    pieces = run([item for item in frames if item.seq != len(frames) - 10])
    assert samples(pieces).shape == (3, 15000)


def test_a_device_that_gives_fewer_samples_than_it_says_has_gaps() -> None:
    pieces = run(frames_of(recording(250.0, 60), 250.0, 3, ppm=40_000))
    gaps = [note.seconds for piece in pieces for note in piece.notes if note.kind == "gap"]
    assert sum(gaps) == pytest.approx(60 * (0.04 - 0.01), abs=0.7)


def test_a_new_session_gives_up_the_old_one_and_begins_anew() -> None:
    timeline = Timeline()
    timeline.feed(second(0), 0)
    timeline.feed(second(2), 1)
    pieces = timeline.feed(second(0, session="next", t0_s=50), 2)
    assert [(piece.new, piece.first) for piece in pieces] == [(False, 250), (False, 500), (True, 0)]
    assert timeline.feed(second(3), 3) == []
    assert timeline.state.late == 1, "a frame of the session before is late"
    assert timeline.feed(second(1, session="next", t0_s=51), 4)[0].first == 250


def test_a_device_that_restarts_under_the_same_session_is_not_deaf() -> None:
    timeline = Timeline()
    for n in range(3):
        timeline.feed(second(n), n)
    pieces = timeline.feed(second(0, t0_s=30), 3)
    assert [(piece.new, piece.first, piece.t_ns) for piece in pieces] == [(True, 0, T0 + 30 * 10**9)]
    assert timeline.feed(second(1, t0_s=31), 4)[0].first == 250


def test_a_frame_given_up_before_a_step_back_is_late_and_no_restart() -> None:
    timeline = Timeline()
    for n, t0_s in ((0, 0), (9, -91), (10, -90), (11, -89)):
        timeline.feed(second(n, t0_s=t0_s), n)
    assert timeline.feed(second(8, t0_s=8), 12) == []
    assert (timeline.state.late, timeline.state.next_seq) == (1, 12)


def test_one_wrong_number_far_ahead_leaves_no_device_deaf() -> None:
    timeline, offsets = Timeline(), itertools.count()
    for n in range(10):
        timeline.feed(second(n), next(offsets))
    assert timeline.feed(second(1_000_000, t0_s=10), next(offsets)) == []
    assert timeline.flush(next(offsets))[-1].first == 0, "silence gives up waiting"
    heard = [piece for n in range(11, 30) for piece in timeline.feed(second(n), next(offsets))]
    assert heard[0].new
    assert heard[0].t_ns <= T0 + 15 * 10**9
    assert [piece.t_ns for piece in heard] == [heard[0].t_ns + n * 10**9 for n in range(len(heard))]
    assert heard[-1].t_ns == T0 + 29 * 10**9


def test_a_late_frame_from_before_a_step_back_that_comes_twice_is_no_restart() -> None:
    timeline = Timeline()
    for n, t0_s in ((0, 0), (9, -91), (10, -90), (11, -89)):
        timeline.feed(second(n, t0_s=t0_s), n)
    assert [timeline.feed(second(8, t0_s=8), 12 + n) for n in range(2)] == [[], []]
    assert timeline.feed(second(12, t0_s=-88), 14)[0].first > 0


@pytest.mark.parametrize(("lost", "seconds"), [(0, 3600.0), (2, 1.5e8)])
def test_a_clock_that_steps_far_ahead_and_back_is_a_skew_each_time_and_no_gap_of_years(
    lost: int, seconds: float
) -> None:
    timeline = Timeline()
    timeline.feed(second(0), 0)
    wrong = second(1 + lost, t0_s=1 + lost + seconds)
    pieces = timeline.feed(wrong, 1) + timeline.feed(second(2 + lost), 2) + timeline.feed(second(3 + lost), 3)
    assert [(piece.new, piece.first) for piece in pieces] == [(True, 0), (False, 250), (False, 500)]
    gap = (Note("gap", float(lost)),) if lost else ()
    assert [piece.notes for piece in pieces] == [
        (*gap, Note("clock_skew", seconds)), (Note("clock_skew", -seconds),), (),
    ]  # fmt: skip
    assert [piece.t_ns for piece in pieces] == [wrong.t0_ns, second(2 + lost).t0_ns, second(3 + lost).t0_ns]


def test_what_was_missed_is_remembered_up_to_a_bound() -> None:
    timeline = Timeline()
    for n in range(0, 100, 2):
        timeline.feed(second(n, t0_s=n), n)
    assert len(timeline.state.missed) == 32
    assert len(timeline.snapshot()) < 6000


@pytest.mark.parametrize("change", [{"leads": (*LEADS[:2], Lead("PLETH2", 50.0, "pleth"))}, {"rate_hz": 500.0}])
def test_other_leads_or_another_rate_begin_a_new_stretch(change: dict[str, Any]) -> None:
    timeline = Timeline()
    timeline.feed(second(0), 0)
    (piece,) = timeline.feed(second(1, **{**change, "t0_s": 1.0}), 1)
    assert (piece.new, piece.first, piece.t_ns, piece.notes) == (True, 0, T0 + 10**9, ())


def test_another_gain_changes_no_stretch() -> None:
    timeline = Timeline()
    timeline.feed(second(0), 0)
    (piece,) = timeline.feed(second(1, leads=(Lead("II", 400.0), *LEADS[1:])), 1)
    assert (piece.new, piece.first) == (False, 250)


def test_the_last_piece_of_a_session_says_so() -> None:
    timeline = Timeline()
    timeline.feed(second(0), 0)
    assert timeline.feed(second(2, last=True), 1) == []
    assert [piece.last for piece in timeline.feed(second(1), 2)] == [False, True]


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_any_frames_in_any_order_give_samples_in_order_and_a_bounded_state(seed: int) -> None:
    random, timeline = Random(seed), Timeline()
    for offset in range(80):
        n = random.randint(0, 40)
        t0_s = random.choice((n, n, n, random.uniform(-5e4, 5e8)))
        session = random.choice("aaaaab")
        at = None
        for piece in timeline.feed(second(n, t0_s=t0_s, session=session), offset):
            assert piece.new == (piece.first == 0)
            assert piece.first == 0 or at in (None, piece.first)
            assert 0 < piece.mv.shape[1] <= 500
            at = piece.first + piece.mv.shape[1]
        assert sum(held.n_samples for held in timeline.state.held) <= 500
    assert len(timeline.state.missed) <= 32


def test_bytes_that_are_no_state_are_refused() -> None:
    with pytest.raises(msgspec.DecodeError):
        Timeline().restore(b"nothing")


def test_the_example_runs() -> None:
    assert doctest.testmod(ecg.timeline).failed == 0
