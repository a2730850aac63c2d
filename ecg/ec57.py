"""Beats against reference beats after ANSI/AAMI EC57, in a first plain form: which were found, and what was false.

The rules are those of the public reference tools (`bxb`): a match window of 150 ms, one to one; the first five minutes
are left out; beats inside marked flutter or fibrillation are not scored.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ecg.record import Annotations

WINDOW_S = 0.15
FIRST_S = 300.0

CLASSES: dict[str, str] = (
    dict.fromkeys("NLRBejn", "N") | dict.fromkeys("AaJS", "S") | dict.fromkeys("VEr", "V") | {"F": "F"}
) | dict.fromkeys("/fQ?", "Q")
"""WFDB symbol of a beat to its EC57 class, escape beats as most papers have them; `P` is a paced beat in test files."""


class Counts(NamedTuple):
    """Beats of one record, or of several together; sums with `+` are `total`'s."""

    found: int
    missed: int
    false: int

    @property
    def sensitivity(self) -> float:
        """Share of the reference beats that were found, in percent; NaN where there are none."""
        return 100.0 * self.found / (self.found + self.missed) if self.found + self.missed else float("nan")

    @property
    def ppv(self) -> float:
        """Share of the test's beats that are in the reference, in percent; NaN where there are none."""
        return 100.0 * self.found / (self.found + self.false) if self.found + self.false else float("nan")


class Score(NamedTuple):
    """What one record scored: all beats, then ventricular and supraventricular ones by their class."""

    qrs: Counts
    veb: Counts
    sveb: Counts


def total(counts: list[Counts]) -> Counts:
    """Return the gross counts of several records."""
    return Counts(*(sum(column) for column in zip(*counts, strict=True))) if counts else Counts(0, 0, 0)


@njit(cache=True)
def match(reference: NDArray[np.int64], test: NDArray[np.int64], window: int) -> NDArray[np.int64]:
    """Pair reference beats with test beats, one to one, each with the nearer of its neighbours.

    Parameters
    ----------
    reference, test : ndarray of int64
        Positions in order of time, in the same unit as `window`, the largest distance of a pair.

    Returns
    -------
    ndarray of int64, shape (len(reference),)
        Index of the test beat of each reference beat, -1 where it was missed.
    """
    pairs = np.full(len(reference), -1, np.int64)
    i, j = 0, 0
    while i < len(reference) and j < len(test):
        late = test[j] - reference[i]
        if late < -window:
            j += 1
        elif late > window:
            i += 1
        elif late < 0 and j + 1 < len(test) and abs(test[j + 1] - reference[i]) < -late:
            j += 1
        elif late > 0 and i + 1 < len(reference) and abs(reference[i + 1] - test[j]) < late:
            i += 1
        else:
            pairs[i] = j
            i, j = i + 1, j + 1
    return pairs


def score(reference: Annotations, samples: NDArray[np.int64], labels: str, rate_hz: float) -> Score:
    """Score a record's beats.

    Parameters
    ----------
    reference : Annotations
        The record's reference annotations.
    samples : ndarray of int64
        Beats to score, in order of time, at the record's own rate.
    labels : str
        Their classes, one of N S V F Q P each.
    rate_hz : float
        The record's rate.
    """
    at, classes = beats_of(reference)
    pairs = match(at, samples, round(WINDOW_S * rate_hz))
    scored = _scored(at, reference, rate_hz)
    matched = pairs >= 0
    alone = _scored(samples, reference, rate_hz)
    alone[pairs[matched]] = False
    given = np.array(list(labels + " "))
    theirs = np.where(matched, given[pairs], " ")[scored]
    truth, extra = classes[scored], given[:-1][alone]
    qrs = Counts(int((theirs != " ").sum()), int((theirs == " ").sum()), len(extra))
    return Score(qrs, _counts(truth, theirs, extra, "V", "FQ"), _counts(truth, theirs, extra, "S", "Q"))


def beats_of(reference: Annotations) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Return the beats among annotations: positions, and classes N S V F Q."""
    is_beat = np.array([symbol in CLASSES for symbol in reference.symbols], dtype=bool)
    classes = np.array([CLASSES[symbol] for symbol in reference.symbols[is_beat]], dtype="<U1")
    return reference.samples[is_beat], classes


def _scored(samples: NDArray[np.int64], reference: Annotations, rate_hz: float) -> NDArray[np.bool_]:
    kept = samples >= FIRST_S * rate_hz
    opened = None
    for at, symbol in zip(reference.samples, reference.symbols, strict=True):
        if symbol == "[" and opened is None:
            opened = at
        elif symbol == "]" and opened is not None:
            kept &= (samples < opened) | (samples > at)
            opened = None
    return kept if opened is None else kept & (samples < opened)


def _counts(
    truth: NDArray[np.str_], theirs: NDArray[np.str_], extra: NDArray[np.str_], label: str, uncounted: str
) -> Counts:
    called, true = theirs == label, truth == label
    false = called & ~true & ~np.isin(truth, list(uncounted))
    return Counts(int((called & true).sum()), int((~called & true).sum()), int(false.sum() + (extra == label).sum()))
