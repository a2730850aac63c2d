"""Rules of the intervals between beats: supraventricular tachycardia, missed beats, irregular rhythm.

Each looks at the last beats, oldest first, when a new one came.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from ecg import rate
from ecg.clinical import Settings
from ecg.rhythm_now import IRREGULAR
from ecg.rhythm_state import Beat, Mark

EVEN = 0.15
"""A supraventricular tachycardia is even: its intervals spread by no more than this."""
BEFORE, LEAST_BEFORE = 8, 3
"""Even intervals before a missed beat that its own is compared with, and how many there must be."""
SPREAD_BEATS, LEAST_SPREAD = 20, 12
"""Last beats whose intervals are looked at for irregularity, and how many of these there must be."""


def supraventricular_tachycardia(beats: Sequence[Beat], settings: Settings) -> Mark | None:
    """Find a run of even beats, none of them ventricular, over `svt_rate_bpm`."""
    least, limit_bpm = int(settings.svt_beats), settings.svt_rate_bpm
    last = beats[-least:]
    intervals = [beat.rr for beat in last]
    if len(last) < least or not all(intervals) or (bpm := rate.bpm(intervals)) <= limit_bpm:
        return None
    if any(beat.ventricular for beat in last) or rate.variation(intervals) > EVEN:
        return None
    trace = f"{least} beats in a row, none ventricular, at {bpm:.0f} bpm, limit {limit_bpm:g}"
    onset = last[0].sample - last[0].rr
    return Mark("supraventricular_tachycardia", onset, bpm, float(limit_bpm), "bpm", trace)


def missed_beat(beats: Sequence[Beat], settings: Settings) -> Mark | None:
    """Find an RR interval far longer than even ones before it, with no ventricular beat among them."""
    ratio, last = settings.missed_beat_ratio, beats[-BEFORE - 1 :]
    before = [beat.rr for beat in last[:-1] if beat.rr]
    if len(before) < LEAST_BEFORE or (times := last[-1].rr * len(before) / sum(before)) <= ratio:
        return None
    if any(beat.ventricular for beat in last) or rate.variation(before) > IRREGULAR:
        return None
    trace = f"RR interval {times:.1f} times the mean of {len(before)} before, limit {ratio:g}"
    return Mark("missed_beat", last[-1].sample - last[-1].rr, times, float(ratio), "x", trace)


def irregular_rhythm(beats: Sequence[Beat], settings: Settings) -> Mark | None:
    """Find intervals between beats that are not ventricular spread by more than `irregular_spread`."""
    limit, last = settings.irregular_spread, beats[-SPREAD_BEATS:]
    pairs = itertools.pairwise(last)
    intervals = [b.rr for a, b in pairs if b.rr and not (a.ventricular or b.ventricular)]
    if len(intervals) < LEAST_SPREAD or rate.is_within(intervals, limit):
        return None
    if (spread := rate.variation(intervals)) <= limit:
        return None
    trace = f"the last {len(intervals)} intervals spread by {100 * spread:.0f} % of their mean, limit {100 * limit:g} %"
    return Mark("irregular_rhythm", last[0].sample, spread, float(limit), "x mean", trace)


BEAT_RULES = (supraventricular_tachycardia, missed_beat, irregular_rhythm)
