"""Atrial fibrillation from RR intervals: how irregular the last beats are against how fast the heart beats.

After Petrenas, Marozas and Sornmo 2015, Comput. Biol. Med. 65, 184-191 (doi:10.1016/j.compbiomed.2015.01.019).
Deviations: intervals that touch a ventricular beat are left out; only intervals that follow each other are compared,
and by 50 ms instead of 30, so that breathing is not taken for fibrillation; the averages are faster; start and end have
thresholds of their own; the onset is set back by the time that the averages need. The numbers of `Rule` were set by
hand, by their score on the records that `ecg.learned` lists. `ecg.atrial_fit` fits others, and says why none is used.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import msgspec

WINDOW = 8
"""Intervals of which each is compared with the one before."""
BIGEMINY = 2e-4
"""Below this the intervals have no spread that a median takes away: the rhythm is nearly regular."""
BEHIND = 0.9
"""What the averages are behind at an onset, in intervals times `smoothing`."""


class Rule(NamedTuple):
    """The numbers that can be fitted."""

    smoothing: float = 0.03
    """Weight of a new value in the running averages, an interval."""
    irregular_s: float = 0.05
    """Intervals that differ by at least this are irregular."""
    onset: float = 0.75
    """Irregularity over the mean interval above which fibrillation starts."""
    end: float = 0.55
    """The same below which it ends."""

    @property
    def behind(self) -> int:
        """Intervals by which an onset is set back."""
        return round(BEHIND / self.smoothing)


_in_force = [Rule()]


def in_force() -> Rule:
    """Return the rule that decides: the shipped one, but for `deciding`."""
    return _in_force[-1]


@contextmanager
def deciding(rule: Rule) -> Iterator[None]:
    """Let another rule decide in the meantime, in this process."""
    _in_force.append(rule)
    try:
        yield
    finally:
        _in_force.pop()


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
    rule = in_force()
    state.given_s = [*state.given_s[-WINDOW:], rr_s]
    state.median_s = [*state.median_s[-WINDOW:], _median(state.given_s[-3:])]
    state.samples = [*state.samples[-rule.behind :], sample]
    if len(state.given_s) <= WINDOW:
        state.mean_s = sum(state.given_s) / len(state.given_s)
        return
    last, medians = state.given_s[-WINDOW:], state.median_s[-WINDOW:]
    state.mean_s += rule.smoothing * (state.median_s[-1] - state.mean_s)
    state.irregularity += rule.smoothing * (_irregular_share(last, rule.irregular_s) - state.irregularity)
    state.spread += rule.smoothing * ((sum(medians) / sum(last) - 1.0) ** 2 - state.spread)
    index = state.irregularity / state.mean_s if state.spread >= BIGEMINY else state.spread
    if state.since < 0 and index > rule.onset:
        state.since = state.samples[0]
    elif state.since >= 0 and index < rule.end:
        state.since = -1


def _irregular_share(rr_s: list[float], least_s: float) -> float:
    return sum(abs(b - a) >= least_s for a, b in itertools.pairwise(rr_s)) / (len(rr_s) - 1)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
