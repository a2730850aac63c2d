"""How `ecg.rate.RUN_SPREAD` is chosen, on the alarms that `ecg.learned` lists; anew without some of them.

Each number of `SPREADS` decides on every alarm of the challenge of 2015, and the one with the best score is taken; of
equals the largest, since a run that is withheld costs more than one too many.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecg.challenge2015 import score

SPREADS = (0.4, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6)
"""The numbers that are tried, in order."""


def fit(true: NDArray[np.bool_], kept: NDArray[np.bool_]) -> float:
    """Return the best of `SPREADS`.

    Parameters
    ----------
    true : ndarray of bool, shape (n,)
        Whether each alarm is true.
    kept : ndarray of bool, shape (n, len(SPREADS))
        Whether it is kept by each number.

    Raises
    ------
    ValueError
        If there is no alarm.

    Examples
    --------
    >>> fit(np.array([True, False]), np.array([[False, True, True, True, True, True, True], [False] * 5 + [True] * 2]))
    1.2
    """
    if not len(true):
        raise ValueError("there must be alarms to choose on")
    of_true, of_false = kept[true].sum(axis=0), kept[~true].sum(axis=0)
    counts = np.column_stack([of_true, of_false, true.sum() - of_true, (~true).sum() - of_false])
    found = score(counts.astype(np.float64))
    return SPREADS[int(np.flatnonzero(found == found.max())[-1])]
