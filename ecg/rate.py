"""Runs, rates and spread of the last beats."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ecg.resample import ANALYSIS_HZ
from ecg.rhythm_state import Beat

RUN_BRIDGES = 4
"""Ventricular beats in a run for each beat of no class between two of them that it takes in, if unlike the normal."""
FURTHER_SHAPE = 0.3
"""What each further shape among a run's beats adds to their spread: noise has as many shapes as beats."""
RUN_SPREAD = 1.4
"""Interval, size, width and shape of a run's last beats may spread this much (`spread`): what varies more is artefact,
or a wave that `ecg.fibrillation` judges. Chosen by the challenge's score, for runs of five, on the records of
`cinc2015` that `ecg.learned` lists."""

_in_force = [RUN_SPREAD]


@contextmanager
def spreading(most: float) -> Iterator[None]:
    """Let another number than `RUN_SPREAD` decide in the meantime, in this process."""
    _in_force.append(most)
    try:
        yield
    finally:
        _in_force.pop()


def run(beats: Sequence[Beat], least: int) -> list[Beat]:
    """Return the ventricular beats in a row that end the record so far, if at least so many and alike."""
    found: list[Beat] = []
    bridges = 0
    for beat in reversed(beats):
        if not beat.ventricular:
            bridges += 1
            if not beat.unlike or len(found) < RUN_BRIDGES * bridges:
                break
        found.append(beat)
        if beat.rr == 0:
            break
    while found and not found[-1].ventricular:
        found.pop()
    return found[::-1] if len(found) >= least and spread(found[:least]) <= _in_force[-1] else []


def spread(run: Sequence[Beat]) -> float:
    """Return how much the beats of a run vary in interval, size, width and shape; the newest beat comes first."""
    parts = ([beat.rr for beat in run[:-1]], [beat.amplitude_mv for beat in run], [beat.width_ms for beat in run])
    shapes = {beat.shape for beat in run if beat.shape >= 0}
    return sum(variation(part) for part in parts) + FURTHER_SHAPE * max(0, len(shapes) - 1)


def variation(values: Sequence[float]) -> float:
    """Return the coefficient of variation, 0 where there is no mean."""
    mean = sum(values) / len(values)
    return (sum([(value - mean) ** 2 for value in values]) / len(values)) ** 0.5 / mean if mean > 0 else 0.0


def is_within(values: Sequence[float], limit: float) -> bool:
    """Say whether values certainly vary by less than a limit: no more than half of their range, after Popoviciu."""
    return 0.501 * (max(values) - min(values)) * len(values) < limit * sum(values)


def run_bpm(run: Sequence[Beat], least: int) -> float:
    """Return the rate of a run, or of its last beats where that is higher."""
    return max((bpm([beat.rr for beat in part[1:]]) for part in (run, run[-least:]) if len(part) > 1), default=0.0)


def bpm(intervals: Sequence[int]) -> float:
    """Return the mean rate of intervals given in samples."""
    return 60.0 * ANALYSIS_HZ * len(intervals) / sum(intervals)
