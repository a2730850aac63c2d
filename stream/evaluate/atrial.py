"""Atrial fibrillation from intervals alone (`ltafdb`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg import atrial_fit
from ecg.episodes import Stretches, common, total, union
from ecg.record import Annotations, annotations
from ecg.resample import ANALYSIS_HZ
from stream.evaluate.refit import Anew, judging


class Seconds(NamedTuple):
    """Seconds of one record by what the reference and the rule say."""

    both: float
    reference: float
    test: float
    all: float


def intervals(path: Path, anew: Mapping[str, Anew] | None = None) -> Seconds:
    """Score the rule for atrial fibrillation on one record of `ltafdb`, on its annotated beats, without any signal.

    It is judged by what was fitted without its patient, where that is given.
    """
    with judging((anew or {}).get(f"ltafdb/{path.name}", Anew())):
        return from_beats(annotations(path), atrial_fit.RATE_HZ["ltafdb"])


def from_beats(reference: Annotations, rate_hz: float) -> Seconds:
    """Give annotated beats to the rule as the pipeline does, and compare the episodes that it names.

    An episode lasts from the onset that the rule names, at the time at which it speaks, to the beat at which it ends.
    """
    at_s, classes = atrial_fit.beats(reference, rate_hz)
    if len(at_s) < 2:
        return Seconds(0.0, 0.0, 0.0, 0.0)
    theirs, scored = atrial_fit.truth(reference, rate_hz, at_s)
    ours = common(_named(at_s, classes), scored)
    return Seconds(total(common(theirs, ours)), total(theirs), total(ours), total(scored))


def _named(at_s: NDArray[np.float64], classes: Sequence[str]) -> Stretches:
    found, since = [], -1
    taken = atrial_fit.take(at_s, classes)
    for sample, now in zip(taken.samples.tolist(), taken.since.tolist(), strict=True):
        if since >= 0 and now < 0:
            found.append((since, sample))
        since = now
    end = (at_s[-1] - at_s[0]) * ANALYSIS_HZ
    found += [(since, end)] if since >= 0 else []
    return union(np.array(found, np.float64).reshape(-1, 2) / ANALYSIS_HZ + at_s[0])
