"""Atrial fibrillation from RR intervals: how irregular the last beats are against how fast the heart beats.

After Petrenas, Marozas and Sornmo 2015, Comput. Biol. Med. 65, 184-191 (doi:10.1016/j.compbiomed.2015.01.019).
Deviations: intervals that touch a ventricular beat are left out; only intervals that follow each other are compared,
and by 50 ms instead of 30, so that breathing is not taken for fibrillation; the averages are faster; start and end have
thresholds of their own; the onset is set back by the time that the averages need. The four numbers were chosen on the
annotations of mitdb (37 records) and of every second record here of ltafdb.
"""

from __future__ import annotations

import itertools

import msgspec

WINDOW = 8
"""Intervals of which each is compared with the one before."""
SMOOTHING = 0.03
"""Weight of a new value in the running averages, an interval."""
IRREGULAR_S = 0.05
"""Intervals that differ by at least this are irregular."""
BIGEMINY = 2e-4
"""Below this the intervals have no spread that a median takes away: the rhythm is nearly regular."""
ONSET, END = 0.75, 0.55
"""Thresholds of the irregularity over the mean interval at which fibrillation starts and ends."""
BEHIND = 30
"""Intervals that the averages are behind at an onset."""


class Atrial(msgspec.Struct):
    """What is remembered of a bed's intervals: the last ones in seconds, as given and median-filtered, and averages."""

    given_s: list[float] = []
    median_s: list[float] = []
    mean_s: float = 0.0
    irregularity: float = 0.0
    spread: float = 0.0
    samples: list[int] = []
    since: int = -1


def take(state: Atrial, rr_s: float, sample: int) -> None:
    """Take the interval that ended with the beat at `sample`; `state.since` is then the onset, or -1 outside AF."""
    state.given_s = [*state.given_s[-WINDOW:], rr_s]
    state.median_s = [*state.median_s[-WINDOW:], _median(state.given_s[-3:])]
    state.samples = [*state.samples[-BEHIND:], sample]
    if len(state.given_s) <= WINDOW:
        state.mean_s = sum(state.given_s) / len(state.given_s)
        return
    last, medians = state.given_s[-WINDOW:], state.median_s[-WINDOW:]
    state.mean_s += SMOOTHING * (state.median_s[-1] - state.mean_s)
    state.irregularity += SMOOTHING * (_irregular_share(last) - state.irregularity)
    state.spread += SMOOTHING * ((sum(medians) / sum(last) - 1.0) ** 2 - state.spread)
    index = state.irregularity / state.mean_s if state.spread >= BIGEMINY else state.spread
    if state.since < 0 and index > ONSET:
        state.since = state.samples[0]
    elif state.since >= 0 and index < END:
        state.since = -1


def _irregular_share(rr_s: list[float]) -> float:
    return sum(abs(b - a) >= IRREGULAR_S for a, b in itertools.pairwise(rr_s)) / (len(rr_s) - 1)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
