"""The state of a bed at the end of a step, with what several rules ask of it: who beats, how fast, and its name.

What the last beats alone say (`Lately`) is worked out once a beat; what a step adds is how long ago the last one was.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from ecg import rate
from ecg.clinical import Settings
from ecg.condition import Finding
from ecg.resample import ANALYSIS_HZ
from ecg.rhythm_state import Beat, State

UNSURE_S = 0.4
"""A beat lies up to this far back when it is confirmed: its absence is known only then."""
RATE_BEATS = 8
"""Intervals that the rate is the mean of."""
QUICK_BEATS, QUICK_SHARE = 3, 0.12
"""When this many last intervals all differ from the mean of those before by this share, the rate is that of them."""
RUN_GAP_S = 3.0
"""A run of ventricular beats is over when no beat came for this long."""
CLEAR_S, CLEAR_BEATS, CLEAR_SHARE = 10.0, 4, 0.75
"""Beats of one shape, in so many seconds and of so large a share, that are no noise."""
ECTOPY, IRREGULAR = 3, 0.12
"""Ventricular beats in the last ten, and spread of the intervals over their mean, that give the rhythm its name."""

_NS = 1_000_000_000 // ANALYSIS_HZ
_NO_RATE = ("no signal", "starting", "unknown", "ventricular fibrillation")


class Lately(NamedTuple):
    """What the last beats alone say, until the next one comes.

    `run` and `run_bpm` are those of `Now`, as long as the run is not over; `bpm` the rate where no beat is overdue;
    `name` that of the rhythm where nothing worse holds; `usual` the intervals between the patient's usual beats.
    """

    run: Sequence[Beat]
    run_bpm: float
    bpm: float | None
    name: str
    usual: list[int]


class Now:
    """What is so at the end of a step.

    Parameters
    ----------
    lately : Lately
        What the last beats of `state` say (`of_beats`).
    end, end_ns : int
        Sample after the last one of the step, and its event time. They may lie ahead of `state.end`, at which no rule
        looks: what they will be if nothing comes is asked, too (`ecg.rhythm`).

    Attributes
    ----------
    silent_s, still_s : float
        Seconds without a beat, and without one that was not doubtful.
    asystole, fibrillation, tachycardia_by_wave : bool
        Whether these hold, which leave no beats to speak of.
    beating : bool
        Whether the last beats say what is now: not in asystole, in fibrillation, without a usable lead, and once the
        last one is `RUN_GAP_S` ago.
    intervals : list of int
        Samples from each to the next of the last beats, without a break; none where beats do not count.
    awaited, awaited_usual : list of int
        The intervals, and as the last one the time since the last beat where that is longer already; and the same of
        the patient's usual beats: noise gives small waves between those of a slow heart.
    overdue : bool
        Whether either waits for longer than its last interval.
    run : list of Beat
        The ventricular beats that end the record so far, if as many, and as like, as ventricular tachycardia asks for.
    rate_bpm : float or None
        The heart rate, None where none can be said.
    name : str
        The rhythm's name.
    paced : bool
        Whether the patient is said to have a pacemaker.
    """

    def __init__(
        self,
        state: State,
        leads: tuple[str, ...],
        end: int,
        end_ns: int,
        settings: Settings,
        lately: Lately,
        *,
        paced: bool = False,
    ) -> None:
        self.paced, self.lately = paced, lately
        self.state, self.leads, self.settings = state, leads, settings
        self.end, self.end_ns = end, end_ns
        self.last_beat = state.beats[-1].sample if state.beats else -1
        self.silent_s = (end - max(self.last_beat, state.quiet_since)) / ANALYSIS_HZ
        self.still_s = (end - max(state.sure_at, state.quiet_since)) / ANALYSIS_HZ
        self.asystole = bool(state.usable and state.wave_since < 0 and self.still_s >= settings.asystole_s + UNSURE_S)
        self.tachycardia_by_wave = state.waving and state.organised > 0.5 and state.wave_bpm > settings.vt_rate_bpm
        self.fibrillation = state.waving and not self.tachycardia_by_wave
        self.intervals = [] if self.asystole or self.fibrillation or not state.usable else state.intervals
        self.beating = bool(self.intervals) and self.silent_s <= RUN_GAP_S
        self.awaited = _awaiting(self.intervals, self.silent_s)
        usual, last_usual = lately.usual if self.intervals else [], state.usual[-1] if state.usual else -1
        self.awaited_usual = _awaiting(usual, (end - max(last_usual, state.quiet_since)) / ANALYSIS_HZ)
        self.overdue = self.awaited is not self.intervals or self.awaited_usual is not usual
        self.run: Sequence[Beat] = ()
        self.run_bpm = 0.0
        if lately.run and self.silent_s <= RUN_GAP_S and not self.fibrillation:
            self.run, self.run_bpm = lately.run, lately.run_bpm
        self.name = _name(self)
        self.rate_bpm = 0.0 if self.asystole else None if self.name in _NO_RATE else _now_bpm(self)

    def find(
        self, condition: str, onset: int, value: float, limit: float | None, unit: str, trace: str, leads: int = 0
    ) -> Finding:
        """Return a finding with an onset at a sample and leads given as bits."""
        names = self.leads
        if leads:
            names = tuple(name for bit, name in enumerate(self.leads) if leads >> bit & 1) or names
        return Finding(condition, self.end_ns - (self.end - onset) * _NS, value, limit, unit, trace, names)


def _awaiting(intervals: list[int], waited_s: float) -> list[int]:
    waiting = round((waited_s - UNSURE_S) * ANALYSIS_HZ)
    return [*intervals, waiting] if intervals and waiting > intervals[-1] else intervals


def of_beats(state: State, settings: Settings) -> Lately:
    """Return what the last beats say."""
    least, run, run_bpm = int(settings.vt_beats), [], 0.0
    if state.beats and state.beats[-1].ventricular:
        run = rate.run(state.beats, least)
        run_bpm = rate.run_bpm(run, least)
    last = state.intervals[-RATE_BEATS:]
    usual = [after - before for before, after in itertools.pairwise(state.usual)]
    return Lately(run, run_bpm, _rate_bpm(last), _beating_name(state, last), usual)


def is_clear(state: State) -> bool:
    """Say whether there were at least `CLEAR_BEATS` in the last `CLEAR_S`, most of them of one shape."""
    last = [beat.shape for beat in state.beats if beat.sample > state.end - CLEAR_S * ANALYSIS_HZ]
    known = [shape for shape in last if shape >= 0]
    most = max((known.count(shape) for shape in set(known)), default=0)
    return len(last) >= CLEAR_BEATS and most >= CLEAR_SHARE * len(last)


def _now_bpm(now: Now) -> float | None:
    """Return the heart rate, lower where the beat that is awaited is overdue."""
    if now.awaited is now.intervals:
        return now.lately.bpm
    return _rate_bpm(max(now.intervals[-RATE_BEATS:], now.awaited[-RATE_BEATS:], key=_mean))


def _rate_bpm(last: list[int]) -> float | None:
    """Return the mean rate of the last intervals, quick where it changed."""
    if len(last) < QUICK_BEATS:
        return None
    quick, before = last[-QUICK_BEATS:], last[:-QUICK_BEATS]
    if before:
        mean = sum(before) / len(before)
        if min(quick) > (1 + QUICK_SHARE) * mean or max(quick) < (1 - QUICK_SHARE) * mean:
            return rate.bpm(quick)
    return rate.bpm(last)


def _mean(intervals: list[int]) -> float:
    return sum(intervals) / len(intervals) if intervals else 0.0


def _name(now: Now) -> str:
    if not now.state.usable:
        return "no signal" if now.end > 2 * ANALYSIS_HZ else "starting"
    if now.asystole:
        return "asystole"
    if now.fibrillation:
        return "ventricular fibrillation"
    if now.tachycardia_by_wave or now.run_bpm > now.settings.vt_rate_bpm:
        return "ventricular tachycardia"
    if len(now.intervals) < QUICK_BEATS:
        return "starting" if now.end < 10 * ANALYSIS_HZ else "unknown"
    return now.lately.name


def _beating_name(state: State, last: list[int]) -> str:
    """Return the rhythm's name by its last beats and intervals."""
    if state.atrial.since >= 0:
        return "atrial fibrillation"
    if sum(beat.ventricular for beat in state.beats[-10:]) >= ECTOPY:
        return "ectopy"
    if len(last) < QUICK_BEATS or rate.is_within(last, IRREGULAR):
        return "regular"
    return "irregular" if rate.variation(last) > IRREGULAR else "regular"
