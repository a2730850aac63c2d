"""Rules of the heart rate, of pauses and of atrial fibrillation."""

from __future__ import annotations

from ecg.clinical import Settings
from ecg.condition import Finding
from ecg.resample import ANALYSIS_HZ
from ecg.rhythm_now import UNSURE_S, Now
from ecg.rhythm_state import Mark, State


def pause(now: Now) -> Finding | None:
    """Find an RR interval, or the time since the last beat, longer than `pause_s`."""
    limit_s, waiting_s = now.settings.pause_s, now.silent_s - UNSURE_S
    if not now.intervals or now.fibrillation:
        return None
    if waiting_s > limit_s:
        trace = f"no beat for {waiting_s:.1f} s since sample {now.last_beat}, limit {limit_s:g} s"
        return now.find("pause", now.last_beat, waiting_s, limit_s, "s", trace)
    long_s = now.intervals[-1] / ANALYSIS_HZ
    if long_s <= limit_s:
        return None
    trace = f"RR interval of {long_s:.1f} s up to sample {now.last_beat}, limit {limit_s:g} s"
    return now.find("pause", now.last_beat - now.intervals[-1], long_s, limit_s, "s", trace)


def atrial_fibrillation(now: Now) -> Finding | None:
    """Find irregular intervals of beats that are not ventricular (`ecg.atrial`)."""
    if now.rate_bpm is None or not now.intervals:
        return None
    mark = in_fibrillation(now.state, now.end, now.rate_bpm, now.settings)
    return None if mark is None else now.find(*mark)


def in_fibrillation(state: State, end: int, bpm: float, settings: Settings) -> Mark | None:
    """Return the same of a heart whose rate can be said."""
    since, atrial = state.atrial.since, state.atrial
    if since < 0 or end - since < settings.af_s * ANALYSIS_HZ:
        return None
    trace = f"{100 * atrial.irregularity:.0f} % of intervals irregular at a mean of {atrial.mean_s:.2f} s"
    return Mark("atrial_fibrillation", since, bpm, None, "bpm", trace)


def rate_high(now: Now) -> Finding | None:
    """Find the heart rate above `rate_high_bpm`."""
    limit_bpm = now.settings.rate_high_bpm
    if now.rate_bpm is None or now.rate_bpm <= limit_bpm:
        return None
    return now.find("rate_high", now.end, now.rate_bpm, limit_bpm, "bpm", f"rate over {limit_bpm:g} bpm")


def rate_low(now: Now) -> Finding | None:
    """Find the heart rate below `rate_low_bpm`."""
    limit_bpm = now.settings.rate_low_bpm
    if now.rate_bpm is None or now.rate_bpm >= limit_bpm:
        return None
    return now.find("rate_low", now.end, now.rate_bpm, limit_bpm, "bpm", f"rate under {limit_bpm:g} bpm")


RULES = (pause, atrial_fibrillation, rate_high, rate_low)
