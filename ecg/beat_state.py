"""What the beat detector remembers of a bed: one row of a structured array, and what each field means."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.beat_weights import Weights
from ecg.rows import Spans

MAX_LEADS = 12
SHAPE_LEADS = 3
"""Leads whose shape is compared; all leads vote for where a beat is."""
RING = 512
"""Samples of shape that are kept, 2.05 s: more than the 1.5 s within which a beat is confirmed."""
BOX = 20
"""Samples over which the QRS band is averaged, 80 ms."""
RECENT = 8
"""Beats, candidates and intervals from which levels and rates are taken."""
TEMPLATES = 6
NEAR, MANY = 32, 128
"""Intervals that are remembered: the last half minute or so, and the last minutes."""
WIDE = 62
"""Points of a long shape, every second sample: from before the P wave into the T wave, 492 ms."""
POINTS = 38
"""Points of a template, every second sample: 304 ms."""


class Levels(NamedTuple):
    """The numbers that decide what may be a beat.

    A lead's `level` is what its QRS energy is like, its `noise` what the peaks between are like; the vote of the leads
    is the mean of (energy - noise) / (level - noise), so that 1 is a beat like the others.
    """

    noise_share: float = 0.5
    """Part of the noise that is taken off before leads vote."""
    most_vote: float = 3.0
    """A lead's vote counts no more than this."""
    noise_cap: float = 0.4
    """Noise is never thought larger than this part of the level."""
    trust: float = 2.0
    """Power of (level - noise) / (level + noise) that weighs a lead."""
    least_vote: float = 0.12
    """A smaller vote is no beat."""
    back: float = -2.5
    """Points that are enough at search-back."""
    gap: float = 1.6
    """Search-back begins when no beat came for this many median intervals."""


class Rules(NamedTuple):
    """What decides what is a beat and of which class, in one place.

    They lie apart since a function that is handed arrays counts references to each of them: one that is asked at every
    sample or peak is handed the numbers that it needs.
    """

    levels: Levels = Levels()
    weights: Weights = Weights()
    """What was fitted to records."""


BEAT = np.dtype(
    [
        ("sample", "i8"),
        ("confirmed", "i8"),
        ("label", "u1"),
        ("rr_s", "f4"),
        ("width_ms", "f4"),
        ("similarity", "f4"),
        ("amplitude_mv", "f4"),
        ("leads", "u2"),
        ("shape", "i1"),
        ("t_peak", "i8"),
    ]
)
"""One beat: `sample` is its fiducial point and `confirmed` the sample at which it was sure, counted at 250 Hz from the
bed's first; `label` the code of one of N S V F Q P; `rr_s` the time since the beat before (NaN for the first);
`similarity` -1 ... 1 to the patient's normal beat; `amplitude_mv` peak to peak in the largest lead; `leads` a bit for
each lead that showed it; `shape` the number of the patient's shape that it has, the same for all beats of one shape as
long as that one is remembered (-1: unknown); `t_peak` where the T wave of the beat before is highest (-1: unknown)."""

JOIN = 0.85
"""A beat this like a template joins it."""

LEAD = np.dtype(
    [
        ("offset_mv", "f8"),  # taken from each sample, so that a gap ends without a step
        ("held_mv", "f8"),  # last sample that was there, less the offset
        ("older_mv", "f8"),  # the one before
        ("low_z", "f8", (3,)),
        ("band_z", "f8", (4,)),
        ("box_sum", "f8"),
        ("weight", "f8"),
        ("level", "f8"),  # energy of a beat: mean size of the QRS band over BOX samples, mV
        ("noise", "f8"),  # energy at what is not one
        ("taken_off", "f8"),  # part of the noise that is no vote
        ("gain", "f8"),  # from energy, less what is taken off, to a vote
        ("blind", "i4"),  # samples until the filters have forgotten a gap
        ("blind_now", "i4"),  # the same at the sample that is looked at
        ("at_peak", "f4"),  # energy at the candidate's peak
        ("at_back", "f4"),  # energy at the candidate that is kept for search-back
        ("largest", "f4"),  # largest energy while learning
        ("box", "f4", (BOX,)),
        ("levels", "f4", (RECENT,)),
        ("noises", "f4", (RECENT,)),
    ]
)

TEMPLATE = np.dtype(
    [
        ("last", "i8"),  # number of the last beat that joined
        ("count", "i4"),
        ("number", "i4"),  # by which beats name it
        ("share", "f4"),  # of the last hundred beats or so
        ("steep", "f4"),
        ("width_ms", "f4"),
        ("mass_ms", "f4"),
        ("interval", "f4"),  # from the beat before, samples
        ("early", "f4"),  # how often, of late, its beats came early
        ("ventricular", "f4"),  # how often they looked so
        ("before", "f4"),  # logarithm of the interval before over the median one
        ("after", "f4"),  # the same of the interval after
        ("shape", "f4", (SHAPE_LEADS, POINTS)),
    ]
)

_KERNELS = ("state", "weights", "judge", "doubt", "filter", "shape", "class", "intervals", "context", "detect")
"""Modules `beat_*` whose kernels take the state; those that judge ask the trees of `forest`, too."""


def _sources() -> str:
    names = ("forest", *(f"beat_{name}" for name in _KERNELS))
    text = b"".join(Path(__file__).with_name(f"{name}.py").read_bytes() for name in names)
    return hashlib.sha256(text).hexdigest()[:8]


# A compiled kernel is kept until its own file changes, whatever it calls in others. The type of its state is part of
# the key, so a name in it that follows all the sources makes sure that no kernel of an older version runs.
BED = np.dtype(
    [
        ("time", "i8"),
        ("learned", "i8"),  # usable samples so far, up to LEARNING
        ("vote", "f8"),
        ("peak", "f8"),
        ("peak_at", "i8"),
        ("rising", "i8"),
        ("back", "f8"),  # its evidence
        ("back_at", "i8"),
        ("back_vote", "f8"),
        ("beat_at", "i8"),  # peak of the last beat's vote
        ("beat_slope", "f8"),
        ("beat_sharp", "f8"),
        ("found", BEAT),  # the last beat
        ("n_beats", "i8"),
        ("n_noise", "i8"),
        ("n_intervals", "i8"),
        ("interval", "f8"),  # median of the last ones, samples
        ("n_shapes", "i8"),  # templates begun so far
        ("t_lag", "f8"),  # from a beat to the peak of its T wave, samples; 0 where none was seen yet
        ("dominant", "i8"),  # the template of the patient's normal beat, -1 where none is known
        ("intervals", "f4", (RECENT,)),
        ("n_long", "i8"),
        ("long_rr", "f4", (MANY,)),  # the last intervals, samples
        ("long_sorted", "f4", (MANY,)),
        ("near_sorted", "f4", (NEAR,)),  # the last ones of these
        ("jumps", "f4", (NEAR,)),  # changes from one to the next, as logarithms
        ("jump_sorted", "f4", (NEAR,)),
        ("run", "i8"),  # beats, one after another, of a run that began at once
        ("run_kept", "i8"),  # longer intervals until it is forgotten, 0 where there is none
        ("run_rr", "f8"),  # its interval, samples
        ("run_before", "f8"),  # the median interval before it
        ("doubtful", "f8"),  # share of the last complexes that were doubtful
        ("early", "f8"),  # share of the last beats that came early
        ("last_odds", "f8"),  # of the last beat being ventricular, at first impression
        ("shape_last", "i4"),  # its template
        ("shape_number", "i4"),  # and that one's number
        ("long_of", "i4"),  # number of the template that the long shape is of
        ("long_count", "i4"),
        ("p_usual", "f8"),  # likeness before the QRS of normal beats
        ("p_rest", "f8"),
        ("long", "f4", (SHAPE_LEADS, WIDE)),  # the normal beat's long shape
        ("last_long", "f4", (SHAPE_LEADS, WIDE)),  # that of the last beat
        ("ring", "f4", (SHAPE_LEADS, RING)),
        ("lead", LEAD, (MAX_LEADS,)),
        ("template", TEMPLATE, (TEMPLATES,)),
        ("of_" + _sources(), "i1"),
    ]
)


@lru_cache(maxsize=256)
def spans(leads: int, seen: int) -> Spans:
    """Return what of a bed's row may differ from `first_state`, for so many leads and a bit for each template seen."""
    at = {name: BED.fields[name][1] for name in BED.names}  # pyright: ignore
    shapes = min(leads, SHAPE_LEADS)
    head = at["ring"] + 4 * RING * shapes
    lead = (at["lead"], at["lead"] + leads * LEAD.itemsize)
    used = TEMPLATE.itemsize - 4 * POINTS * (SHAPE_LEADS - shapes)
    first = [at["template"] + k * TEMPLATE.itemsize for k in range(TEMPLATES) if seen >> k & 1]
    return ((0, head), lead, *((begin, begin + used) for begin in first))


def first_state() -> NDArray[np.void]:
    """Return what a bed holds before its first sample."""
    bed = np.zeros((), BED)
    bed["beat_at"] = bed["back_at"] = bed["found"]["sample"] = -1
    bed["dominant"] = bed["found"]["shape"] = bed["found"]["t_peak"] = bed["shape_last"] = bed["long_of"] = -1
    bed["interval"] = 200.0
    bed["lead"]["offset_mv"] = np.nan
    bed["lead"]["level"] = bed["lead"]["weight"] = 1.0
    return bed
