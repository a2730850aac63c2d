"""What the rules say is kept while nothing comes to be known: nobody could tell from what they say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from hypothesis import example, given
from hypothesis import settings as tried
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecg.beats import BEAT
from ecg.clinical import Settings
from ecg.fibrillation import FIBRILLATION, GRID
from ecg.rhythm import STEP, Rhythm, _Given, _Standing

NS = 4_000_000
KNOWN = 75
"""Samples after which a beat is confirmed."""


class Came(NamedTuple):
    """A beat: samples since the one before, its class, how like the normal ones it is, its size and shape."""

    rr: int
    label: str
    similarity: float
    amplitude_mv: float
    shape: int


class Stretch(NamedTuple):
    """Ten judgements in a row of one kind, with which electrode is off and where the device's clock stands."""

    score: float
    usable: int
    flat: bool
    regularity: float
    off: int
    skew_ns: int


usual = st.sampled_from((90, 150, 200, 210, 375, 1000)).map(lambda rr: Came(rr, "N", 1.0, 1.0, 0))
any_beat = st.builds(
    Came,
    st.integers(25, 700) | st.sampled_from((75, 100, 300, 301, 400, 500, 1200, 1600)),
    st.sampled_from("NNVVSP"),
    st.sampled_from((1.0, 0.65, 0.3)),
    st.sampled_from((1.0, 0.2)),
    st.integers(-1, 2),
)
runs = st.tuples(usual | any_beat, st.integers(1, 15)).map(lambda run: [run[0]] * run[1])
stretches = st.builds(
    Stretch,
    st.sampled_from((-6.0, -6.0, -6.0, 5.0)),
    st.sampled_from((3, 3, 3, 1, 0)),
    st.booleans(),
    st.sampled_from((0.2, 0.95)),
    st.sampled_from((0, 0, 0, 1, 3)),
    st.sampled_from((0, 0, 3)),
)
wards = st.builds(
    Settings,
    asystole_s=st.sampled_from((3.0, 4.0, 10.0)),
    pause_s=st.sampled_from((2.0, 3.0, 5.0)),
    af_s=st.sampled_from((5.0, 30.0)),
    rate_low_bpm=st.sampled_from((30.0, 50.0, 90.0)),
    pvcs_per_minute=st.sampled_from((1.0, 10.0)),
    pacer_ratio=st.sampled_from((1.1, 1.75)),
    lead_off_s=st.sampled_from((1.0, 3.0)),
    off=st.sampled_from(((), ("rate_low", "rate_high"))),
)


def beats_of(came: Sequence[Came]) -> NDArray[np.void]:
    beats = np.zeros(len(came), BEAT)
    beats["sample"] = np.cumsum([each.rr for each in came])
    beats["confirmed"], beats["rr_s"] = beats["sample"] + KNOWN, [np.nan, *(each.rr / 250 for each in came[1:])]
    beats["label"], beats["t_peak"], beats["width_ms"] = [ord(each.label) for each in came], -1, 90.0
    for field in ("similarity", "amplitude_mv", "shape"):
        beats[field] = [getattr(each, field) for each in came]
    return beats


class Asked(Rhythm):
    """Rules that are asked, each of them, whenever something came."""

    def _anew(self, end: int, given: _Given) -> _Standing:
        return _Standing(self._say(self._now(end, given)), end, given)


QUIET, BLIND = Stretch(-6.0, 3, False, 0.2, 0, 0), Stretch(-6.0, 0, False, 0.2, 0, 0)
NORMAL, SMALL = Came(400, "N", 1.0, 1.0, 0), Came(200, "N", 0.3, 0.2, -1)
HEART, EARLY = Came(200, "N", 1.0, 1.0, 0), [Came(120, "V", 0.3, 1.0, 1), Came(280, "N", 1.0, 1.0, 0)]
USUAL = HEART._replace(rr=290)
UNEVEN = [[NORMAL._replace(rr=int(rr))] for rr in np.random.default_rng(4).integers(110, 260, 120)]
"""Atrial fibrillation, which alarms once it lasted for some time, between two beats."""
SLOW, WARD = [[NORMAL._replace(rr=900)] * 6], Settings(lead_off_s=1.0, pause_s=5.0, off=("rate_low",))
"""Beats so far apart that what was said stands for seconds, where nobody says at each step that they are."""


@example([[NORMAL] * 4, [NORMAL._replace(rr=301)], [SMALL]], [QUIET], WARD, False)
@example([[HEART] * 9 + EARLY] * 3 + [[HEART] * 4, [HEART._replace(rr=510)]], [QUIET], Settings(pause_s=2.0), False)
@example([([HEART] * 2 + EARLY) * 6], [QUIET], Settings(pvcs_per_minute=3.0), False)
@example([([HEART] * 2 + EARLY) * 6 + [USUAL] * 80], [QUIET], Settings(pvcs_per_minute=3.0), False)
@example([[HEART] * 9, [SMALL._replace(similarity=0.65)] * 30, [HEART]], [QUIET], Settings(asystole_s=3.0), False)
@example([], [BLIND, QUIET], Settings(), False)
@example(SLOW, [QUIET] * 4 + [QUIET._replace(off=1)], WARD, False)
@example(SLOW, [QUIET] * 4 + [QUIET._replace(flat=True)], WARD, False)
@example(UNEVEN, [QUIET], WARD, False)
@given(st.lists(runs, max_size=8), st.lists(stretches, min_size=1, max_size=12), wards, st.booleans())
@tried(max_examples=150, deadline=None)
def test_the_rules_say_at_each_step_what_they_would_if_they_were_asked_anew(
    came: list[list[Came]], spoken: list[Stretch], ward: Settings, paced: bool
) -> None:
    beats = beats_of([beat for run in came for beat in run])
    rhythm, anew = Rhythm(["II", "V1"]), Asked(["II", "V1"])
    until = (int(beats["sample"][-1]) if len(beats) else 0) + 3000
    for end in range(STEP, until, STEP):
        now = spoken[min(end // (10 * GRID), len(spoken) - 1)]
        judged = (end, now.score > 0, now.score, 2.5, now.regularity, now.usable, now.flat, now.usable, 1.0)
        wave = np.array([judged] if end % GRID == 0 else [], FIBRILLATION)
        new = beats[(beats["confirmed"] > end - STEP) & (beats["confirmed"] <= end)]
        spikes = [int(at) - 30 for at in new["sample"]] if paced else []
        rows = (new.tolist(), wave.tolist())
        both = [
            each.step(end, end * NS + now.skew_ns, *rows, now.off, ward, spikes=spikes, paced=paced)
            for each in (rhythm, anew)
        ]
        assert both[0] == both[1]
        assert rhythm.snapshot() == anew.snapshot()
        anew.restore(anew.snapshot())


def test_a_quiet_bed_is_not_asked_once_its_beats_are_known(monkeypatch) -> None:
    asked = []
    say = Rhythm._say
    monkeypatch.setattr(Rhythm, "_say", lambda self, now: (asked.append(now.end), say(self, now))[1])
    beats = beats_of([Came(200, "N", 1.0, 1.0, 0)] * 100)
    rhythm = Rhythm(["II"])
    for end in range(STEP, 20_000, STEP):
        wave = np.array([(end, False, -6.0, 0.0, 0.0, 0, False, 1, 1.0)] if end % GRID == 0 else [], FIBRILLATION)
        new = beats[(beats["confirmed"] > end - STEP) & (beats["confirmed"] <= end)]
        rhythm.step(end, end * NS, new.tolist(), wave.tolist(), 0, Settings())
    assert asked
    assert max(asked) < 5 * 200 + KNOWN
