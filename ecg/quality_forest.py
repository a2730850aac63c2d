"""Whether a short recording of twelve leads is acceptable, by a forest of decision trees on what describes it.

Weights lie in `quality_forest.safetensors` beside this file; `ecg.quality_fit` grows them. Inference is NumPy alone.
Breiman 2001 (doi:10.1023/A:1010933404324), with deviations: a tree chooses among its own draw of features in all of its
nodes, looks at 32 steps of each, and has the same depth everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from ecg.quality_features import NAMES, describe
from ecg.weights_file import made, pack

_KINDS = {"edges": "f8", "feature": "u2", "step": "u1", "votes": "f8"}
SHIPPED = Path(__file__).with_name("quality_forest.safetensors")


class Forest(NamedTuple):
    """Trees of one depth, level by level.

    `edges` are the upper ends of a feature's steps, shape (features, steps - 1); `feature` and `step`, both of shape
    (trees, nodes), say where each node divides: up to that step to the left; `votes`, shape (trees, leaves), is the
    share of unacceptable recordings in each leaf.
    """

    edges: NDArray[np.float64]
    feature: NDArray[np.int64]
    step: NDArray[np.int64]
    votes: NDArray[np.float64]

    @property
    def depth(self) -> int:
        """Divisions between the root and a leaf."""
        return int(self.votes.shape[1]).bit_length() - 1


def steps(features: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return on which step each feature stands, shape (n, features)."""
    return np.array([np.searchsorted(edges[k], features[:, k]) for k in range(len(edges))], np.int64).T


def unacceptable(forest: Forest, features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how likely each recording is to be unacceptable: the mean vote of the trees.

    Parameters
    ----------
    forest : Forest
    features : ndarray of float64, shape (n, features)
        Rows of `ecg.quality_features.describe`.
    """
    at = steps(features, forest.edges)
    trees = np.arange(len(forest.votes))
    out = np.zeros(len(features))
    for k, row in enumerate(at):
        node = np.zeros(len(trees), np.int64)
        for _ in range(forest.depth):
            node = 2 * node + 1 + (row[forest.feature[trees, node]] > forest.step[trees, node])
        out[k] = forest.votes[trees, node - forest.votes.shape[1] + 1].mean()
    return out


def judge(raw_mv: NDArray[np.float32]) -> float:
    """Return how likely a recording is to be unacceptable, by the shipped forest; it is called so from 0.5 on.

    Parameters
    ----------
    raw_mv : ndarray of float32, shape (n_leads, n)
        Ten seconds at 250 Hz, NaN where missing; learned on the twelve standard leads, limb leads first.

    Examples
    --------
    >>> judge(np.zeros((12, 2500), np.float32)) > 0.5
    True
    """
    return float(unacceptable(shipped(), describe(raw_mv)[None])[0])


@lru_cache(maxsize=1)
def shipped() -> Forest:
    """Return the forest that is shipped."""
    return decode(SHIPPED.read_bytes())


def encode(forest: Forest, made: Mapping[str, object]) -> bytes:
    """Return a forest as safetensors, the same bytes for the same forest.

    Parameters
    ----------
    forest : Forest
    made : mapping
        How it was made, for its metadata: command, seed, split, commit, records.
    """
    tensors = {name: np.ascontiguousarray(each.astype(_KINDS[name])) for name, each in forest._asdict().items()}
    return pack(tensors, {"features": NAMES, **made})


def decode(kept: bytes) -> Forest:
    """Return the forest that `encode` gave.

    Raises
    ------
    ValueError
        If it is of other features, or of another layout.
    """
    names = made(kept).get("features")
    if names != list(NAMES):
        raise ValueError(f"a forest must be of the features {NAMES[:2]} ..., got {str(names)[:60]} ...")
    tensors = safetensors.numpy.load(kept)
    wide = {"edges": np.float64, "feature": np.int64, "step": np.int64, "votes": np.float64}
    forest = Forest(**{name: tensors[name].astype(kind) for name, kind in wide.items()})
    leaves = forest.votes.shape[-1]
    shape = (len(forest.votes), leaves - 1)
    if forest.feature.shape != shape or forest.step.shape != shape or leaves & (leaves - 1):
        raise ValueError(f"a forest of {len(forest.votes)} trees must have nodes of shape {shape}")
    return forest
