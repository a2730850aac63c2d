"""What the beat detector remembers of a bed: one row of a structured array, and what each field means."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

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
POINTS = 38
"""Points of a template, every second sample: 304 ms."""


class Rules(NamedTuple):
    """The numbers that decide what is a beat, in one place.

    A lead's `level` is what its QRS energy is like, its `noise` what the peaks between are like; the vote of the leads
    is the mean of (energy - noise) / (level - noise), so that 1 is a beat like the others.
    """

    noise_share: float = 0.5
    """Part of the noise that is taken off before leads vote."""
    most_vote: float = 3.0
    """A lead's vote counts no more than this."""
    noise_cap: float = 0.4
    """Noise is never thought larger than this part of the level."""
    certain: float = 0.3
    """A vote above this is a beat."""
    known: float = 0.15
    """A vote above this is a beat where its shape is known."""
    t_slope: float = 0.5
    """A complex within 400 ms of a beat is its T wave if it is less steep than this part of it."""
    gap: float = 1.6
    """Search-back begins when no beat came for this many median intervals."""
    back: float = 0.15
    back_likeness: float = 0.85
    trust: float = 2.0
    """Power of (level - noise) / (level + noise) that weighs a lead."""


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
    ]
)
"""One beat: `sample` is its fiducial point and `confirmed` the sample at which it was sure, counted at 250 Hz from the
bed's first; `label` the code of one of N S V F Q P; `rr_s` the time since the beat before (NaN for the first);
`similarity` -1 ... 1 to the patient's normal beat; `amplitude_mv` peak to peak in the largest lead; `leads` a bit for
each lead that showed it."""

LABELS = (78, 83, 86, 70, 81, 80)
"""Codes of N S V F Q P."""

LEAD = np.dtype(
    [
        ("offset_mv", "f8"),  # taken from each sample, so that a gap ends without a step
        ("held_mv", "f8"),  # last sample that was there, less the offset
        ("older_mv", "f8"),  # the one before
        ("low_z", "f8", (3,)),
        ("band_z", "f8", (4,)),
        ("box_sum", "f8"),
        ("energy", "f8"),  # mean size of the QRS band over BOX samples, mV
        ("weight", "f8"),
        ("level", "f8"),  # energy of a beat
        ("noise", "f8"),  # energy at what is not one
        ("blind", "i4"),  # samples until the filters have forgotten a gap
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
        ("label", "i4"),
        ("width_ms", "f4"),
        ("amplitude_mv", "f4"),
        ("early", "f4"),  # how often, of late, its beats came early
        ("shape", "f4", (SHAPE_LEADS, POINTS)),
    ]
)

BED = np.dtype(
    [
        ("time", "i8"),
        ("learned", "i8"),  # usable samples so far, up to LEARNING
        ("vote", "f8"),
        ("peak", "f8"),
        ("peak_at", "i8"),
        ("rising", "i8"),
        ("back", "f8"),
        ("back_at", "i8"),
        ("beat_at", "i8"),  # peak of the last beat's vote
        ("beat_slope", "f8"),
        ("beat_vote", "f8"),
        ("found", BEAT),  # the last beat
        ("n_beats", "i8"),
        ("n_noise", "i8"),
        ("n_intervals", "i8"),
        ("interval", "f8"),  # median of the last ones, samples
        ("dominant", "i8"),  # the template of the patient's normal beat, -1 where none is known
        ("label", "i8"),
        ("intervals", "f4", (RECENT,)),
        ("ring", "f4", (SHAPE_LEADS, RING)),
        ("lead", LEAD, (MAX_LEADS,)),
        ("template", TEMPLATE, (TEMPLATES,)),
    ]
)


def first_state() -> NDArray[np.void]:
    """Return what a bed holds before its first sample."""
    bed = np.zeros((), BED)
    bed["beat_at"] = bed["back_at"] = bed["found"]["sample"] = -1
    bed["dominant"] = -1
    bed["interval"] = 200.0
    bed["lead"]["offset_mv"] = np.nan
    bed["lead"]["level"] = bed["lead"]["weight"] = 1.0
    return bed
