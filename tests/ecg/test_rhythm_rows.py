"""Calm hearts are told together by a kernel: nobody could tell that the rules were not asked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import example, given
from hypothesis import settings as tried
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecg.beats import BEAT
from ecg.clinical import Settings
from ecg.fibrillation import FIBRILLATION, GRID
from ecg.rhythm import STEP, Rhythm, Step
from ecg.rhythm_rows import NAME, CalmHearts
from stream.bed_state import Queue
from tests.ecg.test_rhythm_standing import NS, SMALL, Came, beats_of

LEADS = ("II", "V1")
HEART = Came(200, "N", 1.0, 1.0, 0)
QUIET = (-6.0, 3, False)
"""Score, usable leads and flatness of judgements that find nothing."""

usual = st.builds(
    lambda rr, spread, n, seed: [
        HEART._replace(rr=int(each)) for each in np.random.default_rng(seed).integers(rr - spread, rr + spread + 1, n)
    ],
    st.sampled_from((105, 128, 150, 200, 240, 290, 298, 350, 370)),
    st.sampled_from((0, 2, 8, 20, 40)),
    st.integers(22, 60),
    st.integers(0, 9),
)
odd = st.lists(
    st.builds(
        Came,
        st.sampled_from((60, 80, 120, 170, 230, 280, 330, 420, 600, 800, 1100)),
        st.sampled_from("NNSVVFQP"),
        st.sampled_from((1.0, 0.72, 0.68, 0.3)),
        st.sampled_from((1.0, 0.2)),
        st.integers(-1, 2),
    ),
    max_size=3,
)
judged = st.lists(
    st.tuples(st.sampled_from((-6.0, -6.0, 0.3, 0.7, 2.0)), st.sampled_from((3, 3, 3, 1, 0)), st.booleans()),
    max_size=3,
)
wards = st.builds(
    Settings,
    asystole_s=st.sampled_from((3.0, 4.0)),
    pause_s=st.sampled_from((2.0, 3.0)),
    af_s=st.sampled_from((5.0, 30.0)),
    rate_low_bpm=st.sampled_from((30.0, 42.0, 50.0)),
    rate_high_bpm=st.sampled_from((100.0, 120.0, 145.0)),
    pvcs_per_minute=st.sampled_from((1.0, 10.0)),
    svt_beats=st.sampled_from((3, 5)),
    svt_rate_bpm=st.sampled_from((120.0, 180.0)),
    missed_beat_ratio=st.sampled_from((1.4, 1.8)),
    irregular_spread=st.sampled_from((0.08, 0.15)),
    off=st.sampled_from(((), ("pvcs_per_minute",))),
)


class Lazy:
    """Rules that are asked only where a row of calm hearts does not tell, as in a bed, batch by batch."""

    def __init__(self, settings: Settings) -> None:
        self.rhythm, self.hearts, self.settings = Rhythm(LEADS), CalmHearts(), settings
        self.beats, self.waves = Queue(BEAT, "confirmed"), Queue(FIBRILLATION, "end")
        self.end, self.marks, self.told = 0, None, 0

    def batch(self, clean: int, beats: NDArray[np.void], waves: NDArray[np.void]) -> list[Step]:
        """Take what was found up to a sample, and say what holds at each step up to there."""
        self.beats.add(beats)
        self.waves.add(waves)
        told = None if self.marks is None else self.hearts.feed([0], [clean], [beats], [waves])[0]
        said, last = [], clean // STEP * STEP
        passed = min(last, -1 if told is None else told.until)
        for end in range(self.end + STEP, last + 1, STEP):
            if told is not None and self.marks is not None and end <= passed:
                found = [self.rhythm.marked(mark, 0) for mark in self.marks]
                said.append(Step(found, told.bpm[(end - told.first) // STEP], NAME))
                self.told += 1
            else:
                self.catch_up(end - STEP)
                taken = (self.beats.before(end), self.waves.before(end + 1))
                said.append(self.rhythm.step(end, end * NS, *taken, 0, self.settings))
        self.catch_up(last)
        if told is None or told.until < last:
            waiting = (self.beats.waiting, self.waves.waiting)
            self.marks = self.hearts.enter(0, self.rhythm.state, self.settings, *waiting)
        self.end = last
        return said

    def catch_up(self, end: int) -> None:
        if self.rhythm.state.end < end:
            self.rhythm.pass_over(end, self.beats.before(end), self.waves.before(end + 1), self.settings)


def judgements(spoken: Sequence[tuple[float, int, bool]], until: int) -> NDArray[np.void]:
    """Judgements over all the time: quiet ones, and after 60 s those that are given, eight in a row."""
    rows = np.zeros(until // GRID, FIBRILLATION)
    rows["end"], rows["size_mv"], rows["regularity"] = (1 + np.arange(len(rows))) * GRID, 1.0, 0.2
    given = [each for each in spoken for _ in range(8)]
    for row in range(len(rows)):
        at = row - 60 * 250 // GRID
        rows["score"][row], rows["usable"][row], rows["flat"][row] = given[at] if 0 <= at < len(given) else QUIET
    rows["fibrillatory"] = rows["score"] > 1
    return rows


def compare(beats: NDArray[np.void], waves: NDArray[np.void], ward: Settings, cuts: Sequence[int]) -> int:
    """Hold lazy rules against those that are asked at each step; returns of how many steps a row told."""
    asked, lazy, clean, n = Rhythm(LEADS), Lazy(ward), 0, 0
    while clean < int(waves["end"][-1]):
        before, clean, n = clean, clean + cuts[n % len(cuts)], n + 1
        new = beats[(beats["confirmed"] >= before) & (beats["confirmed"] < clean)]
        judged = waves[(waves["end"] > before) & (waves["end"] <= clean)]
        first = lazy.end + STEP
        said = lazy.batch(clean, new, judged)
        for at, end in enumerate(range(first, clean // STEP * STEP + 1, STEP)):
            mine = beats[(beats["confirmed"] >= end - STEP) & (beats["confirmed"] < end)].tolist()
            wave = waves[(waves["end"] > end - STEP) & (waves["end"] <= end)].tolist()
            assert said[at] == asked.step(end, end * NS, mine, wave, 0, ward), end
        assert lazy.rhythm.snapshot() == asked.snapshot()
    return lazy.told


SLOW, FAST, FASTER, RACING = (HEART._replace(rr=rr) for rr in (370, 126, 124, 70))
VENTRICULAR = [Came(120, "V", 0.3, 1.0, 1), HEART._replace(rr=280)]
PVCS = [[HEART] * 30, [each for _ in range(3) for each in (*VENTRICULAR, HEART)], [HEART] * 120]
UNEVEN = [HEART._replace(rr=int(rr)) for rr in np.random.default_rng(4).integers(180, 222, 150)]
FIBRILLATING = [HEART._replace(rr=int(rr)) for rr in np.random.default_rng(4).choice((120, 135, 150), 120)]


@example([[FAST] * 40, [FASTER] * 20], [], Settings(rate_high_bpm=145.0, svt_rate_bpm=120.0), [250])
@example([[HEART] * 40, [HEART._replace(rr=240)], [HEART] * 40], [], Settings(missed_beat_ratio=1.15), [250])
@example([[SLOW] * 40, [SLOW._replace(rr=380)], [SLOW] * 40], [], Settings(pause_s=1.5, rate_low_bpm=35.0), [250])
@example([[HEART] * 40, [HEART, HEART._replace(rr=259)] * 9], [], Settings(), [250])
@example([[HEART] * 40, [HEART._replace(rr=1300)], [HEART] * 40], [], Settings(asystole_s=3.0), [60, 310])
@example([[HEART] * 40, [HEART._replace(rr=230)] * 30], [], Settings(rate_low_bpm=66.0), [250])
@example([[HEART] * 40, [HEART._replace(rr=170)] * 30], [], Settings(rate_high_bpm=87.0), [250])
@example([[RACING] * 30, [RACING._replace(rr=76)] * 30], [], Settings(rate_high_bpm=200.0, svt_rate_bpm=250.0), [60])
@example([[HEART._replace(rr=496)] * 40, [HEART._replace(rr=502)] * 9], [], Settings(rate_low_bpm=30.0), [250])
@example(PVCS, [], Settings(pvcs_per_minute=1.0), [250])
@example([[HEART] * 40, FIBRILLATING], [], Settings(af_s=5.0), [250])
@example([UNEVEN], [], Settings(irregular_spread=0.05), [250])
@example([[HEART] * 40, [SMALL] * 12, [HEART]], [], Settings(asystole_s=3.0), [250])
@example([[HEART] * 40, [HEART._replace(label="V")] * 6, [HEART] * 9], [], Settings(), [250])
@example([[HEART] * 150], [(0.7, 3, False)], Settings(), [250])
@example([[HEART] * 150], [(-6.0, 1, False), (-6.0, 0, False)], Settings(), [250])
@example([[HEART] * 150], [(-6.0, 3, True)], Settings(), [250])
@given(st.lists(usual | odd, min_size=1, max_size=5), judged, wards, st.lists(st.integers(20, 600), min_size=1))
@tried(max_examples=150, deadline=None)
def test_a_row_of_calm_hearts_says_what_the_rules_say_at_each_step_and_leaves_them_as_they_were(
    came: list[list[Came]], spoken: list[tuple[float, int, bool]], ward: Settings, cuts: list[int]
) -> None:
    beats = beats_of([HEART, *(beat for run in came for beat in run)])
    compare(beats, judgements(spoken, int(beats["sample"][-1]) + 3000), ward, cuts)


def test_a_heart_that_beats_evenly_is_told_by_its_row_alone() -> None:
    beats = beats_of([HEART] * 150)
    steps = int(beats["sample"][-1]) // STEP
    assert compare(beats, judgements([], steps * STEP), Settings(), [250]) > steps - 26 * 200 // STEP


def test_atrial_fibrillation_ends_a_row_however_little_its_intervals_spread() -> None:
    fast = [HEART._replace(rr=135)] * 60
    steady, beats = beats_of(fast), beats_of(fast + FIBRILLATING)
    before = compare(steady, judgements([], int(steady["sample"][-1])), Settings(), [250])
    told = compare(beats, judgements([], int(beats["sample"][-1])), Settings(), [250])
    assert before < told < before + 40 * 135 // STEP
