"""The numbers by which complexes are judged and named that were fitted to records, all in one frozen object.

What is a beat, and the first impressions of its class, by which shapes are remembered, are logistic regressions on the
records of `ecg.beat_fit.ORIGIN`, rounded and moved by hand. What `vigil train beats` fits of these to the same records
scores as well on them, yet counts tall T waves as beats, which IEC 60601-2-27 forbids and these records hardly have; so
it is not shipped. The judges that name a beat (`ecg.beat_judge`), and the forest that doubts it (`ecg.beat_doubt`), are
shipped as that command fitted them. Whatever else decides on beats, the terms that are weighed, where they are cut off,
thresholds and times, is no weight and was set by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from ecg import beat_doubt
from ecg.beat_judge import Judges, shipped
from ecg.forest import Trees


class Evidence(NamedTuple):
    """Points for a complex being a beat; a beat has more than 0."""

    base: float = 2.6
    """Points of a complex of a new shape that nothing speaks against."""
    vote: float = 2.0
    """Points times the logarithm of the vote, where it is below 1."""
    agree: float = 2.0
    """The same of the smallest vote among the trusted leads."""
    like: float = 4.8
    """Points times the likeness to a shape that was seen before."""
    known: float = 1.3
    """The same for one that was seen three times."""
    apart: float = 1.5
    """Points times the likeness, in size too, to the normal beat."""
    early: float = 3.0
    """Points times the logarithm of interval over median interval, where it is below 1, down to half of it."""
    steep: float = 1.0
    """Points times the logarithm of steepness over that of the normal beat, where it is less steep."""
    t_wave: float = 3.5
    """The same against the beat before, for complexes within 400 ms of it; once more within 320 ms."""


class Ventricular(NamedTuple):
    """First impression of a beat: log-odds of being ventricular rather than normal or supraventricular."""

    base: float = 0.7
    apart: float = -3.8
    """Times the likeness, in size too, to the normal beat."""
    very_like: float = -9.4
    """Times what of this likeness is above 0.8."""
    early: float = -2.0
    """Times the logarithm of interval over median interval, cut off."""
    gain: float = 2.7
    """Times the logarithm of size over the normal beat's."""
    habit: float = 2.8
    """Times how often, of late, beats of this shape came early."""
    mass: float = 1.4
    """Times the logarithm of width, by mass, over 100 ms."""
    steep: float = -1.6
    """Times the logarithm of steepness over the normal beat's."""
    before: float = 2.0
    """Times the logarithm of the interval before over the median one, cut off."""
    uneven: float = 4.1
    """Times how uneven the last intervals were."""
    common: float = -5.0
    """Times the share of this shape among the last hundred beats, up to 0.3, unless its beats come early."""


class Supraventricular(NamedTuple):
    """First impression of a beat that is not ventricular: log-odds of having come early from above the ventricles."""

    base: float = -3.4
    early: float = -38.0
    """Times the logarithm of interval over median interval, where it is below -0.1."""
    earlier: float = 36.0
    """Times the same, where it is below -0.25."""
    uneven: float = -4.9
    """Times how uneven the last intervals were."""
    before: float = 5.6
    """Times the logarithm of the interval before over the median one, where it was shorter."""


class Weights(NamedTuple):
    """All fitted numbers of the beat detector."""

    evidence: Evidence = Evidence()
    ventricular: Ventricular = Ventricular()
    supraventricular: Supraventricular = Supraventricular()
    judges: Judges = shipped()
    doubt: Trees = beat_doubt.shipped()


_in_force = [Weights()]


def in_force() -> Weights:
    """Return the weights that new detectors judge by: the shipped ones, but for `weighing`."""
    return _in_force[-1]


@contextmanager
def weighing(weights: Weights) -> Iterator[None]:
    """Let detectors made in the meantime, in this process, judge by other weights, as new to a patient."""
    _in_force.append(weights)
    try:
        yield
    finally:
        _in_force.pop()
