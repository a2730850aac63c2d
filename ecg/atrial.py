"""Atrial fibrillation from RR intervals: how irregular the last beats are against how fast the heart beats.

After Petrenas, Marozas and Sornmo 2015, Comput. Biol. Med. 65, 184-191 (doi:10.1016/j.compbiomed.2015.01.019).
Deviations: intervals that touch a ventricular beat are left out before the median filter; start and end have different
thresholds; the onset is set back by the time that the averages need.
"""

from __future__ import annotations

import msgspec

WINDOW = 8
"""Intervals that are compared pairwise."""
SMOOTHING = 0.02
"""Weight of a new value in the running averages, an interval."""
IRREGULAR_S = 0.03
"""Intervals that differ by at least this are irregular."""
BIGEMINY = 2e-4
"""Below this the intervals have no spread that a median takes away: the rhythm is nearly regular."""
ONSET, END = 0.725, 0.6
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
    pairs = len(rr_s) * (len(rr_s) - 1) / 2
    return sum(abs(a - b) >= IRREGULAR_S for i, a in enumerate(rr_s) for b in rr_s[:i]) / pairs


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
