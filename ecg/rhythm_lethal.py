"""Rules of the lethal conditions: asystole, fibrillation, ventricular tachycardia, extreme rates."""

from __future__ import annotations

from ecg import rate
from ecg.condition import Finding
from ecg.resample import ANALYSIS_HZ
from ecg.rhythm_now import Now
from ecg.rhythm_state import USUAL

BRADY_BEATS, TACHY_BEATS = USUAL, 12
"""Intervals whose mean makes an extreme rate."""


def asystole(now: Now) -> Finding | None:
    """Find that no QRS on any usable lead for `asystole_s`."""
    if not now.asystole:
        return None
    state, limit_s, still_s = now.state, now.settings.asystole_s, now.still_s
    onset = max(state.sure_at, state.quiet_since)
    names = ",".join(name for bit, name in enumerate(now.leads) if state.usable >> bit & 1)
    since = "last beat" if onset == state.sure_at else "signal there"
    trace = f"no QRS on {names} for {still_s:.1f} s, limit {limit_s:g} s; {since} at sample {onset}"
    if now.last_beat > onset:
        trace += f"; smaller waves unlike any beat, last at sample {now.last_beat}, not counted"
    return now.find("asystole", onset, still_s, limit_s, "s", trace, state.usable)


def fibrillation(now: Now) -> Finding | None:
    """Find a fibrillatory wave for `fibrillation_s`."""
    if not now.fibrillation:
        return None
    state, limit_s = now.state, now.settings.fibrillation_s
    held_s = (now.end - state.wave_since) / ANALYSIS_HZ
    trace = f"fibrillatory wave for {held_s:.1f} s, limit {limit_s:g} s; last seen at sample {state.wave_last}"
    return now.find("ventricular_fibrillation", state.wave_since, held_s, limit_s, "s", trace, state.wave_leads)


def tachycardia(now: Now) -> Finding | None:
    """Find a run of at least `vt_beats` ventricular beats over `vt_rate_bpm`, or a wide regular wave as fast."""
    limit_bpm, run = now.settings.vt_rate_bpm, now.run
    if run and now.run_bpm > limit_bpm:
        first, bpm = run[0].sample, now.run_bpm
        trace = f"run of {len(run)} ventricular beats at {bpm:.0f} bpm, limit {limit_bpm:g}; from sample {first}"
        return now.find("ventricular_tachycardia", first, bpm, limit_bpm, "bpm", trace)
    if now.tachycardia_by_wave:
        state, bpm = now.state, now.state.wave_bpm
        held_s = (now.end - state.wave_since) / ANALYSIS_HZ
        trace = f"wide regular wave at {bpm:.0f} bpm for {held_s:.1f} s, limit {limit_bpm:g} bpm"
        return now.find("ventricular_tachycardia", state.wave_since, bpm, limit_bpm, "bpm", trace, state.wave_leads)
    return None


def extreme_bradycardia(now: Now) -> Finding | None:
    """Find the mean of the last intervals, the one that is awaited too, below the extreme limit.

    It is enough that those between usual beats are so long, with small waves among them that only noise gives.
    """
    limit_bpm = now.settings.extreme_low_bpm
    last, last_usual = now.awaited[-BRADY_BEATS:], now.awaited_usual[-BRADY_BEATS:]
    if len(last) == BRADY_BEATS and (bpm := rate.bpm(last)) < limit_bpm:
        onset, aside = now.last_beat - sum(now.intervals[-BRADY_BEATS:]), ""
    elif len(last_usual) == BRADY_BEATS and (bpm := rate.bpm(last_usual)) < limit_bpm:
        onset, aside = now.state.usual[0], "; smaller waves unlike any beat not counted"
    else:
        return None
    trace = f"mean of the last {BRADY_BEATS} intervals {bpm:.0f} bpm, limit {limit_bpm:g}{aside}"
    return now.find("extreme_bradycardia", max(0, onset), bpm, limit_bpm, "bpm", trace)


def extreme_tachycardia(now: Now) -> Finding | None:
    """Find the mean of the last intervals above the extreme limit."""
    limit_bpm, last = now.settings.extreme_high_bpm, now.awaited[-TACHY_BEATS:]
    if len(last) < TACHY_BEATS or (bpm := rate.bpm(last)) <= limit_bpm:
        return None
    trace = f"mean of the last {len(last)} intervals {bpm:.0f} bpm, limit {limit_bpm:g}"
    return now.find("extreme_tachycardia", now.last_beat - sum(last), bpm, limit_bpm, "bpm", trace)


RULES = (asystole, fibrillation, tachycardia, extreme_bradycardia, extreme_tachycardia)
