"""Atrial fibrillation from RR intervals: how the last 16, 40 and 100 are spread and follow each other.

Intervals that touch a ventricular beat are left out. After every fourth interval a small network (`ecg.atrial_weights`)
weighs what the windows are like (`ecg.atrial_features`); fibrillation starts and ends at log-odds of its own, and its
onset is set back by what the windows need to notice. `ecg.atrial_fit` says how the weights were made.
"""

from __future__ import annotations

import msgspec
import numpy as np

from ecg.atrial_features import N_FEATURES, SHARE_50_MS, WINDOWS, describe
from ecg.atrial_weights import in_force, log_odds

EVERY = 4
"""Intervals from one decision to the next."""
LEAST = 16
"""Intervals before the first one."""
ONSET, END = 2.0, -1.0
"""Log-odds over which fibrillation starts, and under which it ends."""
BEHIND = 12
"""Intervals by which an onset is set back."""
_DECIMALS = 6


class Atrial(msgspec.Struct):
    """What is remembered of a bed's intervals.

    `rr_s` are the last ones in seconds, `samples` where they ended; `taken` how many there were; `odds` the last
    log-odds; `irregularity` the share of steps of 50 ms and more in the second window, and `mean_s` its mean interval;
    `since` the onset, -1 outside of fibrillation, and `ended` where the last episode was over.
    """

    rr_s: list[float] = []
    samples: list[int] = []
    taken: int = 0
    odds: float = 0.0
    irregularity: float = 0.0
    mean_s: float = 0.0
    since: int = -1
    ended: int = -1


def take(state: Atrial, rr_s: float, sample: int) -> None:
    """Take the interval that ended with the beat at `sample`; `state.since` is then the onset, or -1 outside AF."""
    state.rr_s = [*state.rr_s[1 - WINDOWS[-1] :], rr_s]
    state.samples = [*state.samples[-BEHIND:], sample]
    state.taken += 1
    if state.taken < LEAST or state.taken % EVERY:
        return
    found = np.empty(N_FEATURES)
    describe(np.array(state.rr_s), found)
    last = state.rr_s[-WINDOWS[1] :]
    state.irregularity, state.mean_s = float(found[SHARE_50_MS]), sum(last) / len(last)
    state.odds = round(float(log_odds(found, in_force())), _DECIMALS)
    if state.since < 0 and state.odds > ONSET:
        state.since = max(state.samples[0], state.ended)
    elif state.since >= 0 and state.odds < END:
        state.since, state.ended = -1, sample
