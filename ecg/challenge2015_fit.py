"""How tolerantly each type of the challenge's alarms is defined, chosen by alarms that `ecg.learned` lists.

The challenge's people called an alarm true also where its definition was just missed (a pause of 3.6 s, 41 bpm, four
ventricular beats), and its alarm often ends before the definition is met and our own delay is over. So each type has
some definitions, from the challenge's own to more tolerant ones: of those whose score on alarms of the type is the best
or nearly so, the one that keeps most true alarms is taken. For ventricular tachycardia this includes how unlike the
beats of a run may be (`ecg.rate.RUN_SPREAD`), which for the ward was chosen on the same alarms, with five beats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg.challenge2015 import KINDS, SETTINGS, score
from ecg.clinical import Settings
from ecg.rate import RUN_SPREAD

NEARLY = 2.0
"""A score less than the best by at most this is nearly the best; set by hand: a few alarms make more difference."""


class Definition(NamedTuple):
    """By what an alarm of one type is decided: the settings, and how unlike the beats of a run may be."""

    settings: Settings = SETTINGS
    spread: float = RUN_SPREAD

    def words(self) -> str:
        """Return what of it is not the challenge's own, '' where all is.

        Examples
        --------
        >>> Definition(msgspec.structs.replace(SETTINGS, asystole_s=3.0), 0.6).words()
        'asystole_s 3, spread 0.6'
        """
        own, ours = msgspec.structs.asdict(SETTINGS), msgspec.structs.asdict(self.settings)
        said = [f"{name} {value:g}" for name, value in ours.items() if value != own[name]]
        return ", ".join([*said, *([f"spread {self.spread:g}"] if self.spread != RUN_SPREAD else [])])


def _with(spread: float = RUN_SPREAD, **settings: float) -> Definition:
    return Definition(msgspec.structs.replace(SETTINGS, **settings), spread)


CANDIDATES: dict[str, tuple[Definition, ...]] = {
    "asystole": tuple(_with(asystole_s=seconds) for seconds in (4.0, 3.5, 3.0)),
    "bradycardia": tuple(_with(extreme_below_low_bpm=bpm) for bpm in (10.0, 5.0)),
    "tachycardia": tuple(_with(extreme_above_high_bpm=bpm) for bpm in (20.0, 15.0)),
    "ventricular_flutter_fib": (Definition(),),
    "ventricular_tachycardia": tuple(
        _with(spread, vt_beats=beats) for beats, spread in ((5, 1.4), (5, 1.2), (4, 1.2), (4, 1.0), (3, 0.8), (3, 0.6))
    ),
}
"""The definitions that are tried, by type, the challenge's own first; rates also milder by 5 bpm."""
SHIPPED: dict[str, Definition] = {
    **{kind: tried[0] for kind, tried in CANDIDATES.items()},
    "asystole": _with(asystole_s=3.0),
    "bradycardia": _with(extreme_below_low_bpm=5.0),
    "ventricular_tachycardia": _with(0.8, vt_beats=3),
}
"""Those that are taken on all listed alarms."""


def fit(kind: str, true: NDArray[np.bool_], kept: NDArray[np.bool_]) -> int:
    """Return which of a type's candidates is taken, the first where there is no alarm to tell.

    Of those with the best score, or nearly, it is the one that keeps most true alarms, of equals in that the one with
    the better score, and then the first.

    Parameters
    ----------
    kind : str
        One of `ecg.challenge2015.KINDS`.
    true : ndarray of bool, shape (n,)
        Whether each alarm of this type is true.
    kept : ndarray of bool, shape (n, len(CANDIDATES[kind]))
        Whether it is kept by each candidate.

    Raises
    ------
    ValueError
        If `kept` is of another shape.

    Examples
    --------
    >>> fit("asystole", np.array([True, False]), np.array([[False, True, True], [False, False, True]]))
    1
    """
    if kept.shape != (len(true), len(CANDIDATES[kind])):
        raise ValueError(f"kept must have shape {(len(true), len(CANDIDATES[kind]))}, got {kept.shape}")
    of_true, of_false = kept[true].sum(axis=0), kept[~true].sum(axis=0)
    counts = np.column_stack([of_true, of_false, true.sum() - of_true, (~true).sum() - of_false])
    scores = np.nan_to_num(score(counts.astype(np.float64)))
    near = np.flatnonzero(scores >= scores.max() - NEARLY)
    return int(min(near, key=lambda at: (-of_true[at], -scores[at], at)))


def fit_all(alarms: Sequence[tuple[str, bool, Sequence[bool]]]) -> dict[str, int]:
    """Return the candidate that is taken of each type, by alarms as (type, true, kept by each of its candidates)."""
    chosen = {}
    for kind in KINDS:
        rows = [(true, kept) for name, true, kept in alarms if name == kind]
        true = np.array([each for each, _ in rows], np.bool_)
        kept = np.array([each for _, each in rows], np.bool_).reshape(len(rows), len(CANDIDATES[kind]))
        chosen[kind] = fit(kind, true, kept)
    return chosen
