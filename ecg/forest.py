"""Small decision trees whose sum is a log-odds, as `ecg.forest_grow` grows them; compiled, the same everywhere.

A tree has the same depth everywhere, so that the way through it takes as long for one thing that is judged as for any
other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

_KINDS = {"base": "f8", "feature": "i2", "cut": "f4", "leaf": "f4"}


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
    """Return what the trees say of what is described by f."""
    total = trees.base[0]
    nodes = trees.feature.shape[1]
    for k in range(len(trees.leaf)):
        at = 0
        while at < nodes:
            at = 2 * at + 1 + (1 if f[trees.feature[k, at]] > trees.cut[k, at] else 0)
        total += trees.leaf[k, at - nodes]
    return total


def names(name: str) -> set[str]:
    """Return what the tensors of a forest of this name are called in a file."""
    return {f"{name}.{part}" for part in _KINDS}


def tensors(trees: Trees, name: str) -> dict[str, NDArray[Any]]:
    """Return a forest as named tensors of a file."""
    return {f"{name}.{part}": np.ascontiguousarray(getattr(trees, part), kind) for part, kind in _KINDS.items()}


def read(kept: Mapping[str, NDArray[Any]], name: str) -> Trees:
    """Return the forest of this name that `tensors` gave.

    Raises
    ------
    KeyError
        If a tensor is missing.
    ValueError
        If they are of another layout.
    """
    trees = Trees(*(np.array(kept[f"{name}.{part}"], kind) for part, kind in _KINDS.items()))
    leaves = trees.leaf.shape[-1]
    shape = (len(trees.leaf), leaves - 1)
    same = trees.feature.shape == trees.cut.shape == shape
    if trees.base.shape != (1,) or not same or leaves & (leaves - 1):
        raise ValueError(f"{name}: {len(trees.leaf)} trees of {leaves} leaves must have nodes of shape {shape}")
    return trees
