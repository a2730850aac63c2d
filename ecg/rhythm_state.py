"""What the rules remember of a bed, and how its beats enter it; `ecg.rhythm_wave` is the same of the wave."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from ecg import atrial
from ecg.resample import ANALYSIS_HZ

STEP = 50
"""Samples of a step, 0.2 s."""
UNLIKE = 0.7
"""A beat that resembles the patient's normal ones less than this is unlike them."""
PACED_RR, TACHYCARDIA_RR = 100, 150
"""Intervals, in samples, that no pacer paces the ventricles at, 150 a minute, and of a tachycardia, 100 a minute."""
SMALL, SHAPES = 0.5, 8
"""A beat unlike the normal ones and smaller than this share of them is doubtful, unless one of so many before had its
shape: noise gives such waves where a heart stands still, and hardly two alike."""
NOISE, USUAL = 0.6, 4
"""Doubtful waves that resemble the normal beats less than this are passed over between usual ones; intervals between
these that are remembered."""

_KEEP = 24
_VENTRICULAR, _PACED = ord("V"), ord("P")


class Beat(msgspec.Struct, array_like=True, frozen=True):
    """A beat as the rules need it; `rr` is the samples since the beat before, 0 where unknown.

    One that resembles the patient's normal beats less than `UNLIKE` is `unlike`. `shape` is the number of the patient's
    shape that it has and `t_peak` the sample of the T wave's peak before it, -1 where unknown. `paced` is one that
    followed a spike that the device flagged.
    """

    sample: int
    rr: int
    ventricular: bool
    unlike: bool
    width_ms: float
    amplitude_mv: float
    shape: int = -1
    t_peak: int = -1
    paced: bool = False


class FoundBeat(NamedTuple):
    """An `ecg.beats.BEAT` as Python's own numbers."""

    sample: int
    confirmed: int
    label: int
    rr_s: float
    width_ms: float
    similarity: float
    amplitude_mv: float
    leads: int
    shape: int
    t_peak: int


class Mark(NamedTuple):
    """What a rule found in the last beats: the condition, the sample of its onset, what was compared, and why."""

    condition: str
    onset: int
    value: float
    limit: float | None
    unit: str
    trace: str


class State(msgspec.Struct, array_like=True):
    """What is remembered of a bed; positions are samples of the session, -1 where there is none.

    `sure_at` is the last beat that was not doubtful, `normal_mv` the size of the normal ones; `intervals` are the last
    ones, in samples, that follow each other without a break, `usual` the last beats like the patient's normal ones with
    nothing between them but doubtful waves that resemble these less than `NOISE`.
    `quiet_since` is the earliest sample from which an absence of beats means something: the session's start, or the end
    of a time without signal or of fibrillation. `wave_since` to `wave_last` is the evidence of a fibrillatory wave,
    `organised` how much of it, of late, was a regular one, `waving` that it has been long enough. `marks` is what the
    rules on beats made of the last one.
    `wave_odds` are the log-odds of the last judgements, `spikes` the last ones of a pacer that the device flagged.
    """

    end: int = 0
    beats: list[Beat] = []
    sure_at: int = -1
    normal_mv: float = 0.0
    intervals: list[int] = []
    ventricular: list[int] = []
    quiet_since: int = 0
    usable: int = 0
    flat_since: int = -1
    wave_since: int = -1
    wave_last: int = -1
    wave_leads: int = 0
    wave_bpm: float = 0.0
    organised: float = 0.0
    waving: bool = False
    off_since: list[int] = []
    atrial: atrial.Atrial = msgspec.field(default_factory=atrial.Atrial)
    marks: list[Mark] = []
    wave_odds: list[float] = []
    wave_mv: float = 0.0
    spikes: list[int] = []
    usual: list[int] = []


def take_off(state: State, off: int) -> None:
    """Take which electrodes are off at the end of a step, a bit a lead."""
    for lead, since in enumerate(state.off_since):
        if not off >> lead & 1:
            state.off_since[lead] = -1
        elif since < 0:
            state.off_since[lead] = max(0, state.end - STEP)


def take_beats(state: State, beats: Iterable[tuple[Any, ...]]) -> None:
    """Take some of `ecg.beats.BEAT` as rows; one that does not follow the last is left out."""
    for row in beats:
        _take_beat(state, FoundBeat._make(row))


def _take_beat(state: State, beat: FoundBeat) -> None:
    sample = beat.sample
    before = state.beats[-1] if state.beats else None
    if before is not None and sample <= before.sample:
        return
    follows = before is not None and before.sample >= state.quiet_since and beat.rr_s == beat.rr_s
    rr = sample - before.sample if before is not None and follows else 0
    unlike, paced = beat.similarity < UNLIKE, beat.label == _PACED
    ventricular = beat.label == _VENTRICULAR or (paced and unlike and _too_fast(rr, before))
    taken = Beat(
        sample, rr, ventricular, unlike, beat.width_ms, beat.amplitude_mv, beat.shape, beat.t_peak, paced=paced
    )
    state.beats = [*state.beats[1 - _KEEP :], taken]
    doubtful = _is_doubtful(taken, state)
    if not doubtful:
        state.sure_at = sample
    if not rr or (unlike and not (doubtful and beat.similarity < NOISE)):
        state.usual = []
    if not unlike:
        state.usual = [*state.usual[-USUAL:], sample]
        state.normal_mv += (0.1 if state.normal_mv else 1.0) * (taken.amplitude_mv - state.normal_mv)
    state.intervals = [*state.intervals[1 - _KEEP :], rr] if rr else []
    if ventricular:
        state.ventricular = [*(at for at in state.ventricular if at > sample - 60 * ANALYSIS_HZ), sample]
    elif 0.2 * ANALYSIS_HZ < rr < 2.5 * ANALYSIS_HZ and before is not None and not before.ventricular:
        atrial.take(state.atrial, rr / ANALYSIS_HZ, sample)


def _too_fast(rr: int, before: Beat | None) -> bool:
    """Whether a beat after a spike is none of the pacer's: a tachycardia goes on through spikes that it outruns.

    It comes faster than any pacer, or as fast as in a tachycardia after a ventricular beat that no spike came before.
    """
    return 0 < rr < PACED_RR or (
        0 < rr < TACHYCARDIA_RR and before is not None and before.ventricular and not before.paced
    )


def _is_doubtful(beat: Beat, state: State) -> bool:
    if not beat.unlike or beat.amplitude_mv >= SMALL * state.normal_mv:
        return False
    return beat.shape < 0 or all(beat.shape != other.shape for other in state.beats[-1 - SHAPES : -1])
