"""Whether a beat is ventricular, or else came early from above the ventricles: two forests of small decision trees.

Weights lie in `beat_forest.safetensors` beside this file; `ecg.beat_grow` grows them by gradient boosting. A tree has
the same depth everywhere, so that a beat's way through it takes as long as any other's.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import safetensors.numpy
from numba import njit
from numpy.typing import NDArray

_KINDS = {"base": "f8", "feature": "i2", "cut": "f4", "leaf": "f4"}
SHIPPED = Path(__file__).with_name("beat_forest.safetensors")


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


class Forests(NamedTuple):
    """What names beats: `ventricular` against all others, `supraventricular` among these others."""

    ventricular: Trees
    supraventricular: Trees


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


@lru_cache(maxsize=1)
def shipped() -> Forests:
    """Return the forests that are shipped."""
    return decode(SHIPPED.read_bytes())


def encode(forests: Forests, made: Mapping[str, object]) -> bytes:
    """Return forests as safetensors, the same bytes for the same forests.

    Parameters
    ----------
    forests : Forests
    made : mapping
        How they were made, for the metadata: command, seed, commit, records, names of features.
    """
    tensors = {
        f"{name}.{part}": np.ascontiguousarray(getattr(trees, part), kind)
        for name, trees in forests._asdict().items()
        for part, kind in _KINDS.items()
    }
    said = msgspec.json.encode(dict(made), order="sorted").decode()
    return safetensors.numpy.save(tensors, {"made": said})  # one entry: several would have no order of their own


def decode(kept: bytes) -> Forests:
    """Return the forests that `encode` gave.

    Raises
    ------
    ValueError
        If they are of another layout.
    """
    made(kept)
    tensors = safetensors.numpy.load(kept)
    names = {f"{name}.{part}" for name in Forests._fields for part in _KINDS}
    if set(tensors) != names:
        raise ValueError(f"forests must be of {sorted(names)}, got {sorted(tensors)}")
    found = Forests(*(_trees(tensors, name) for name in Forests._fields))
    for name, trees in found._asdict().items():
        leaves = trees.leaf.shape[-1]
        shape = (len(trees.leaf), leaves - 1)
        same = trees.feature.shape == trees.cut.shape == shape
        if trees.base.shape != (1,) or not same or leaves & (leaves - 1):
            raise ValueError(f"{name}: {len(trees.leaf)} trees of {leaves} leaves must have nodes of shape {shape}")
    return found


def _trees(tensors: Mapping[str, NDArray[Any]], name: str) -> Trees:
    return Trees(*(np.array(tensors[f"{name}.{part}"], kind) for part, kind in _KINDS.items()))


def made(kept: bytes) -> dict[str, Any]:
    """Return how forests were made, as `encode` was told; raises ValueError where it is no such file."""
    try:
        length = int.from_bytes(kept[:8], "little")
        return msgspec.json.decode(msgspec.json.decode(kept[8 : 8 + length])["__metadata__"]["made"])
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise ValueError(f"forests must be safetensors that say how they were made: {error}") from error
