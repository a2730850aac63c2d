"""Rules that say which conditions hold now: asystole, fibrillation, tachycardia, rates, ectopy, electrodes.

One object a bed is stepped every `STEP` samples with the beats that were confirmed and the judgements that were made
since, and answers with all findings. Every decision stands at a sample of the session, so that the cutting of the
stream cannot change it. The definitions are those of `ecg.clinical.Settings`; what else a rule needs stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from ecg import rate
from ecg.clinical import Settings
from ecg.condition import Finding
from ecg.resample import ANALYSIS_HZ
from ecg.rhythm_state import STEP, Beat, Items, State, take_beat, take_judgement, take_off

__all__ = ["STEP", "Rhythm", "Step"]

UNSURE_S = 0.4
"""A beat lies up to this far back when it is confirmed: its absence is known only then."""
RATE_BEATS = 8
"""Intervals that the rate is the mean of."""
QUICK_BEATS, QUICK_SHARE = 3, 0.12
"""When this many last intervals all differ from the mean of those before by this share, the rate is that of them."""
BRADY_BEATS, TACHY_BEATS = 4, 12
"""Intervals whose mean makes an extreme rate."""
RUN_GAP_S = 3.0
"""A run of ventricular beats is over when no beat came for this long."""
SETTLED_S = 2.0
"""Seconds that all leads are flat beyond those that the judgement looks back on."""
ECTOPY, IRREGULAR = 3, 0.12
"""Ventricular beats in the last ten, and spread of the intervals over their mean, that give the rhythm its name."""

_NS = 1_000_000_000 // ANALYSIS_HZ
_NO_RATE = ("no signal", "starting", "unknown", "ventricular fibrillation")


class Step(NamedTuple):
    """What holds at the end of a step: the findings, the heart rate (None where none can be said) and its name."""

    findings: list[Finding]
    heart_rate_bpm: float | None
    rhythm: str


class Rhythm:
    """The rules of one bed.

    Parameters
    ----------
    leads : sequence of str
        Names of the ECG leads, in the order of the bits.
    first : int
        Sample from which on this patient is watched; what came before is not held against them.

    Examples
    --------
    >>> import numpy as np
    >>> from ecg.fibrillation import FIBRILLATION
    >>> rhythm = Rhythm(["II"])
    >>> flat = np.array([(STEP, False, -6.0, 0.0, 0.0, 0, True, 1)], FIBRILLATION)
    >>> for k in range(1, 23):
    ...     found = rhythm.step(k * STEP, k * 200_000_000, (), flat, 0, Settings())
    >>> [finding.condition for finding in found.findings]
    ['asystole', 'rate_low', 'flat_signal']
    """

    def __init__(self, leads: Sequence[str], first: int = 0) -> None:
        self.leads = tuple(leads)
        self._state = State(off_since=[-1] * len(self.leads), end=first, quiet_since=first)

    def step(self, end: int, end_ns: int, beats: Items, judgements: Items, off: int, settings: Settings) -> Step:
        """Take what came to be known up to sample `end` and say what holds.

        Parameters
        ----------
        end : int
            Sample after the last one of the step, a multiple of `STEP`.
        end_ns : int
            Event time of `end`.
        beats : ndarray of `ecg.beats.BEAT`
            Beats confirmed up to `end` since the last step.
        judgements : ndarray of `ecg.fibrillation.FIBRILLATION`
            Those up to `end` since the last step.
        off : int
            Leads whose electrode is off, a bit a lead.
        settings : Settings
            The definitions in force, with the patient's limits.
        """
        state = self._state
        state.end = end
        take_off(state, off)
        for judgement in judgements:
            take_judgement(state, judgement, settings.fibrillation_s)
        for beat in beats:
            take_beat(state, beat)
        now = _Now(state, self.leads, end_ns, settings)
        findings = [finding for rule in _RULES if (finding := rule(now)) is not None]
        return Step(findings, now.rate_bpm, now.name)

    def snapshot(self) -> bytes:
        """Return the state as bytes."""
        return msgspec.msgpack.encode(self._state)

    def restore(self, kept: bytes) -> None:
        """Put back what `snapshot` returned; raises msgspec.ValidationError where it is of another layout."""
        self._state = msgspec.msgpack.decode(kept, type=State)


class _Now:
    """The state at the end of a step, with what several rules ask of it."""

    def __init__(self, state: State, leads: tuple[str, ...], end_ns: int, settings: Settings) -> None:
        self.state, self.leads, self.end_ns, self.settings = state, leads, end_ns, settings
        self.last_beat = state.beats[-1].sample if state.beats else -1
        self.silent_s = (state.end - max(self.last_beat, state.quiet_since)) / ANALYSIS_HZ
        self.still_s = (state.end - max(state.sure_at, state.quiet_since)) / ANALYSIS_HZ
        self.asystole = bool(state.usable and state.wave_since < 0 and self.still_s >= settings.asystole_s + UNSURE_S)
        self.tachycardia_by_wave = state.waving and state.organised > 0.5 and state.wave_bpm > settings.vt_rate_bpm
        self.fibrillation = state.waving and not self.tachycardia_by_wave
        self.intervals = [] if self.asystole or self.fibrillation or not state.usable else state.intervals
        self.run: list[Beat] = []
        if state.beats and state.beats[-1].ventricular and self.silent_s <= RUN_GAP_S and not self.fibrillation:
            self.run = rate.run(state.beats, int(settings.vt_beats))
        self.run_bpm = rate.run_bpm(self.run, int(settings.vt_beats))
        self.name = _name(self)
        self.rate_bpm = 0.0 if self.asystole else None if self.name in _NO_RATE else _rate_bpm(self)

    def awaited(self) -> list[int]:
        """Return the intervals, and as the last one the time since the last beat where that is longer already."""
        waiting = round((self.silent_s - UNSURE_S) * ANALYSIS_HZ)
        return [*self.intervals, waiting] if self.intervals and waiting > self.intervals[-1] else self.intervals

    def find(
        self, condition: str, onset: int, value: float, limit: float | None, unit: str, trace: str, leads: int = 0
    ) -> Finding:
        """Return a finding with an onset at a sample and leads given as bits."""
        names = tuple(name for bit, name in enumerate(self.leads) if leads >> bit & 1)
        return Finding(
            condition, self.end_ns - (self.state.end - onset) * _NS, value, limit, unit, trace, names or self.leads
        )


def _asystole(now: _Now) -> Finding | None:
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


def _flat_signal(now: _Now) -> Finding | None:
    since = now.state.flat_since
    if since < 0 or (now.state.end - since) < SETTLED_S * ANALYSIS_HZ or not now.state.usable:
        return None
    flat_s = (now.state.end - since) / ANALYSIS_HZ
    trace = f"all leads flat for {flat_s:.1f} s, none reported off"
    return now.find("flat_signal", since, flat_s, SETTLED_S, "s", trace, now.state.usable)


def _fibrillation(now: _Now) -> Finding | None:
    if not now.fibrillation:
        return None
    state, limit_s = now.state, now.settings.fibrillation_s
    held_s = (state.end - state.wave_since) / ANALYSIS_HZ
    trace = f"fibrillatory wave for {held_s:.1f} s, limit {limit_s:g} s; last seen at sample {state.wave_last}"
    return now.find("ventricular_fibrillation", state.wave_since, held_s, limit_s, "s", trace, state.wave_leads)


def _tachycardia(now: _Now) -> Finding | None:
    limit_bpm, run = now.settings.vt_rate_bpm, now.run
    if run and now.run_bpm > limit_bpm:
        first, bpm = run[0].sample, now.run_bpm
        trace = f"run of {len(run)} ventricular beats at {bpm:.0f} bpm, limit {limit_bpm:g}; from sample {first}"
        return now.find("ventricular_tachycardia", first, bpm, limit_bpm, "bpm", trace)
    if now.tachycardia_by_wave:
        state, bpm = now.state, now.state.wave_bpm
        held_s = (state.end - state.wave_since) / ANALYSIS_HZ
        trace = f"wide regular wave at {bpm:.0f} bpm for {held_s:.1f} s, limit {limit_bpm:g} bpm"
        return now.find("ventricular_tachycardia", state.wave_since, bpm, limit_bpm, "bpm", trace, state.wave_leads)
    return None


def _extreme_bradycardia(now: _Now) -> Finding | None:
    limit_bpm, last = now.settings.extreme_low_bpm, now.awaited()[-BRADY_BEATS:]
    if len(last) < BRADY_BEATS or rate.bpm(last) >= limit_bpm:
        return None
    trace = f"mean of the last {len(last)} intervals {rate.bpm(last):.0f} bpm, limit {limit_bpm:g}"
    onset = max(0, now.last_beat - sum(now.intervals[-BRADY_BEATS:]))
    return now.find("extreme_bradycardia", onset, rate.bpm(last), limit_bpm, "bpm", trace)


def _extreme_tachycardia(now: _Now) -> Finding | None:
    limit_bpm, last = now.settings.extreme_high_bpm, now.awaited()[-TACHY_BEATS:]
    if len(last) < TACHY_BEATS or rate.bpm(last) <= limit_bpm:
        return None
    trace = f"mean of the last {len(last)} intervals {rate.bpm(last):.0f} bpm, limit {limit_bpm:g}"
    return now.find("extreme_tachycardia", now.last_beat - sum(last), rate.bpm(last), limit_bpm, "bpm", trace)


def _atrial_fibrillation(now: _Now) -> Finding | None:
    since = now.state.atrial.since
    if since < 0 or now.rate_bpm is None or not now.intervals:
        return None
    state = now.state.atrial
    trace = f"{100 * state.irregularity:.0f} % of intervals irregular at a mean of {state.mean_s:.2f} s"
    return now.find("atrial_fibrillation", since, now.rate_bpm, None, "bpm", trace)


def _pvcs_per_minute(now: _Now) -> Finding | None:
    limit, since = now.settings.pvcs_per_minute, now.state.end - 60 * ANALYSIS_HZ
    last = [sample for sample in now.state.ventricular if sample > since]
    if len(last) <= limit:
        return None
    trace = f"{len(last)} ventricular beats in the last minute, limit {limit:g}"
    return now.find("pvcs_per_minute", last[0], float(len(last)), limit, "1/min", trace)


def _rate_high(now: _Now) -> Finding | None:
    limit_bpm = now.settings.rate_high_bpm
    if now.rate_bpm is None or now.rate_bpm <= limit_bpm:
        return None
    return now.find("rate_high", now.state.end, now.rate_bpm, limit_bpm, "bpm", f"rate over {limit_bpm:g} bpm")


def _rate_low(now: _Now) -> Finding | None:
    limit_bpm = now.settings.rate_low_bpm
    if now.rate_bpm is None or now.rate_bpm >= limit_bpm:
        return None
    return now.find("rate_low", now.state.end, now.rate_bpm, limit_bpm, "bpm", f"rate under {limit_bpm:g} bpm")


def _electrodes(now: _Now) -> Finding | None:
    limit_s, end = now.settings.lead_off_s, now.state.end
    off = {k: at for k, at in enumerate(now.state.off_since) if at >= 0 and end - at >= limit_s * ANALYSIS_HZ}
    if not off:
        return None
    condition = "all_leads_off" if len(off) == len(now.leads) else "lead_off"
    onset = max(off.values()) if len(off) == len(now.leads) else min(off.values())
    names = ",".join(now.leads[lead] for lead in off)
    off_s = (end - onset) / ANALYSIS_HZ
    return now.find(condition, onset, off_s, limit_s, "s", f"off: {names}", sum(1 << lead for lead in off))


_RULES: tuple[Callable[[_Now], Finding | None], ...] = (
    _asystole,
    _fibrillation,
    _tachycardia,
    _extreme_bradycardia,
    _extreme_tachycardia,
    _atrial_fibrillation,
    _pvcs_per_minute,
    _rate_high,
    _rate_low,
    _electrodes,
    _flat_signal,
)


def _rate_bpm(now: _Now) -> float | None:
    """Return the mean rate of the last beats, quick where it changed."""
    last = now.awaited()[-RATE_BEATS:]
    if len(last) < QUICK_BEATS:
        return None
    quick, before = last[-QUICK_BEATS:], last[:-QUICK_BEATS]
    if before:
        mean = sum(before) / len(before)
        if min(quick) > (1 + QUICK_SHARE) * mean or max(quick) < (1 - QUICK_SHARE) * mean:
            return rate.bpm(quick)
    return rate.bpm(last)


def _name(now: _Now) -> str:
    state = now.state
    if not state.usable:
        return "no signal" if state.end > 2 * ANALYSIS_HZ else "starting"
    if now.asystole:
        return "asystole"
    if now.fibrillation:
        return "ventricular fibrillation"
    if now.tachycardia_by_wave or now.run_bpm > now.settings.vt_rate_bpm:
        return "ventricular tachycardia"
    if len(now.intervals) < QUICK_BEATS:
        return "starting" if state.end < 10 * ANALYSIS_HZ else "unknown"
    if state.atrial.since >= 0:
        return "atrial fibrillation"
    if sum(beat.ventricular for beat in state.beats[-10:]) >= ECTOPY:
        return "ectopy"
    return "irregular" if rate.variation(now.intervals[-RATE_BEATS:]) > IRREGULAR else "regular"
