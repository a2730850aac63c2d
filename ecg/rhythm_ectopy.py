"""Rules of ventricular ectopy: runs, couplets, bigeminy, R on T, beats of several shapes, how many a minute.

Each of `BEAT_RULES` looks at the last beats, oldest first, when a new one came.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Sequence

from ecg import rate
from ecg.clinical import Settings
from ecg.condition import Finding
from ecg.resample import ANALYSIS_HZ
from ecg.rhythm_now import Now
from ecg.rhythm_state import Beat, Mark, State

COUPLET = 2
MINUTE = 60 * ANALYSIS_HZ


def nonsustained_vt(beats: Sequence[Beat], settings: Settings) -> Mark | None:
    """Find a run over `vt_rate_bpm` that ended before it was a tachycardia of `vt_beats`."""
    run, limit_bpm = ended_run(beats), settings.vt_rate_bpm
    if not settings.run_beats <= len(run) < settings.vt_beats:
        return None
    bpm = rate.bpm([beat.rr for beat in run[1:]])
    if bpm <= limit_bpm:
        return None
    trace = f"run of {len(run)} ventricular beats at {bpm:.0f} bpm, limit {limit_bpm:g}; from sample {run[0].sample}"
    return Mark("nonsustained_vt", run[0].sample, bpm, float(limit_bpm), "bpm", trace)


def ventricular_rhythm(beats: Sequence[Beat], settings: Settings) -> Mark | None:
    """Find a run, which may go on, at `vt_rate_bpm` or less."""
    least, limit_bpm = int(settings.run_beats), settings.vt_rate_bpm
    run = rate.run(beats, least) if beats and beats[-1].ventricular else []
    if len(run) < least or rate.bpm([beat.rr for beat in run[1:]]) > limit_bpm:
        return None
    bpm = rate.bpm([beat.rr for beat in run[1:]])
    trace = f"run of {len(run)} ventricular beats at {bpm:.0f} bpm, tachycardia is above {limit_bpm:g}"
    return Mark("ventricular_rhythm", run[0].sample, bpm, float(limit_bpm), "bpm", trace)


def pvc_run(beats: Sequence[Beat], settings: Settings) -> Mark | None:
    """Find a run at whatever rate, once it ended."""
    run, least = ended_run(beats), settings.run_beats
    if len(run) < least:
        return None
    trace = f"run of {len(run)} ventricular beats from sample {run[0].sample}"
    return Mark("pvc_run", run[0].sample, float(len(run)), float(least), "beats", trace)


def couplet(beats: Sequence[Beat], settings: Settings) -> Mark | None:
    """Find two ventricular beats in a row, between others."""
    run = ended_run(beats)
    if len(run) != COUPLET or not run[0].rr:
        return None
    trace = f"two ventricular beats in a row, at samples {run[0].sample} and {run[1].sample}"
    return Mark("couplet", run[0].sample, float(COUPLET), None, "beats", trace)


def r_on_t(beats: Sequence[Beat], settings: Settings) -> Mark | None:
    """Find a ventricular beat near the peak of the T wave of another kind of beat."""
    if len(beats) < 2 or beats[-2].ventricular or not beats[-1].ventricular or beats[-1].t_peak < 0:
        return None
    last, limit_ms = beats[-1], settings.r_on_t_ms
    apart_ms = abs(last.sample - last.t_peak) * 1000 / ANALYSIS_HZ
    if apart_ms > limit_ms:
        return None
    trace = f"ventricular beat at sample {last.sample}, T peak at {last.t_peak}: {apart_ms:.0f} ms, limit {limit_ms:g}"
    return Mark("r_on_t", last.sample, apart_ms, float(limit_ms), "ms", trace)


def bigeminy(beats: Sequence[Beat], settings: Settings) -> Mark | None:
    """Find every second beat ventricular."""
    return _cycles(beats, settings, "bigeminy", 2)


def trigeminy(beats: Sequence[Beat], settings: Settings) -> Mark | None:
    """Find every third beat ventricular."""
    return _cycles(beats, settings, "trigeminy", 3)


def ended_run(beats: Sequence[Beat]) -> list[Beat]:
    """Return the ventricular beats in a row that the last beat ended, none where it is one itself.

    Examples
    --------
    >>> beats = [Beat(250 * k, 250, label == "V", False, 90.0, 1.0) for k, label in enumerate("NVVN")]
    >>> [beat.sample for beat in ended_run(beats)], ended_run(beats[:3])
    ([250, 500], [])
    """
    run: list[Beat] = []
    if beats and not beats[-1].ventricular and beats[-1].rr:
        for beat in itertools.islice(reversed(beats), 1, None):
            if not beat.ventricular:
                return run[::-1]
            run.append(beat)
            if not beat.rr:
                break
    return run[::-1]


def _cycles(beats: Sequence[Beat], settings: Settings, condition: str, period: int) -> Mark | None:
    least = int(settings.bigeminy_cycles)
    last = beats[-period * least :]
    if len(last) < period * least or [beat.ventricular for beat in last[:period]].count(True) != 1:
        return None
    if not all(beat.rr for beat in last[1:]):
        return None
    if any(a.ventricular != b.ventricular for a, b in zip(last, last[period:], strict=False)):
        return None
    trace = f"{least} cycles of one ventricular beat in {period}, from sample {last[0].sample}"
    return Mark(condition, last[0].sample, float(least), float(least), "cycles", trace)


def multiform_pvcs(beats: Sequence[Beat], settings: Settings) -> Mark | None:
    """Find ventricular beats of two shapes among the last `multiform_beats`."""
    within = int(settings.multiform_beats)
    found = [beat for beat in beats[-within:] if beat.ventricular and beat.shape >= 0]
    shapes = {beat.shape for beat in found}
    if len(shapes) < 2:
        return None
    trace = f"{len(found)} ventricular beats of {len(shapes)} shapes among the last {within}"
    return Mark("multiform_pvcs", found[0].sample, float(len(shapes)), 1.0, "shapes", trace)


def pvcs_per_minute(now: Now) -> Finding | None:
    """Find more ventricular beats in the last minute than `pvcs_per_minute`."""
    mark = many_pvcs(now.state, now.end, now.settings)
    return None if mark is None else now.find(*mark)


def many_pvcs(state: State, end: int, settings: Settings) -> Mark | None:
    """Return the same of the minute before a sample; it stands until its onset is a minute ago."""
    limit, since = settings.pvcs_per_minute, end - MINUTE
    if len(state.ventricular) <= limit:
        return None
    last = state.ventricular[bisect_right(state.ventricular, since) :]
    if len(last) <= limit:
        return None
    trace = f"{len(last)} ventricular beats in the last minute, limit {limit:g}"
    return Mark("pvcs_per_minute", last[0], float(len(last)), limit, "1/min", trace)


def may_speak(beats: Sequence[Beat], settings: Settings) -> bool:
    """Say whether any of `BEAT_RULES` may: after a ventricular beat, or where there were two as far as they look."""
    if any(beat.ventricular for beat in beats[-2:]):
        return True
    within = max(3 * int(settings.bigeminy_cycles), int(settings.multiform_beats))
    return [beat.ventricular for beat in beats[-within:]].count(True) > 1


BEAT_RULES = (
    nonsustained_vt,
    ventricular_rhythm,
    pvc_run,
    couplet,
    r_on_t,
    bigeminy,
    trigeminy,
    multiform_pvcs,
)
RULES = (pvcs_per_minute,)
