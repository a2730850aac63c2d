"""Rules of a pacemaker, of patients who are said to have one, from the spikes that the device flags.

Definitions after Philips ST/AR: no QRS for 1.75 times the mean interval, with a spike since the last beat (it does not
capture) or without one (it does not pace). A device that flags no spikes says nothing of the pacemaker, so that its
silence is told as what it may be.
"""

from __future__ import annotations

from collections.abc import Iterable

from ecg.condition import Finding
from ecg.resample import ANALYSIS_HZ
from ecg.rhythm_now import QUICK_BEATS, RATE_BEATS, UNSURE_S, Now
from ecg.rhythm_state import State

KEPT = 16
"""Spikes that are remembered."""
ANSWERED_S = 0.1
"""A spike this soon after a beat's fiducial point belongs to that beat."""


def take_spikes(state: State, spikes: Iterable[int]) -> None:
    """Take the samples of spikes up to the end of a step, in order."""
    state.spikes = [*state.spikes, *spikes][-KEPT:]


def pacer(now: Now) -> Finding | None:
    """Find that a QRS is missing for `pacer_ratio` times the mean interval, and whether a spike asked for it."""
    last = now.intervals[-RATE_BEATS:]
    if not now.paced or len(last) < QUICK_BEATS or now.last_beat < 0:
        return None
    mean_s, ratio = sum(last) / len(last) / ANALYSIS_HZ, now.settings.pacer_ratio
    waiting_s = now.silent_s - UNSURE_S
    if waiting_s <= ratio * mean_s:
        return None
    until = now.end - UNSURE_S * ANALYSIS_HZ
    asked = [at for at in now.state.spikes if now.last_beat + ANSWERED_S * ANALYSIS_HZ < at <= until]
    condition = "pacer_not_capturing" if asked else "pacer_not_pacing"
    trace = f"no QRS for {waiting_s:.1f} s, {waiting_s / mean_s:.2f} x the mean interval, limit {ratio:g}; "
    trace += f"{len(asked)} spikes since" if asked else "no spike since"
    return now.find(condition, now.last_beat, waiting_s / mean_s, float(ratio), "x", trace)


RULES = (pacer,)
