"""Small decision trees whose sum is a log-odds, as `ecg.beat_grow` grows them; compiled, the same everywhere.

A tree has the same depth everywhere, so that a beat's way through it takes as long as any other's.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Trees(NamedTuple):
    """Log-odds as a sum over trees of one depth.

    `base`, of shape (1,), is what they begin with. `feature` and `cut`, both of shape (trees, nodes), say where each
    node divides, level by level: what is above the cut goes to the right; `leaf`, of shape (trees, leaves), is what a
    tree adds.
    """

    base: NDArray[np.float64]
    feature: NDArray[np.int16]
    cut: NDArray[np.float32]
    leaf: NDArray[np.float32]


@njit(cache=True)
def log_odds(trees, f):
    """Return what the trees say of a beat that is described by f."""
    total = trees.base[0]
    nodes = trees.feature.shape[1]
    for k in range(len(trees.leaf)):
        at = 0
        while at < nodes:
            at = 2 * at + 1 + (1 if f[trees.feature[k, at]] > trees.cut[k, at] else 0)
        total += trees.leaf[k, at - nodes]
    return total
