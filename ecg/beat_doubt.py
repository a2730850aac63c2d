"""Whether a complex that looks like a beat is one, or noise of an electrode that moves: what a forest says.

Weights lie in `beat_doubt.safetensors` beside this file; `ecg.beat_fit` fits them to records with and without noise in
them. `ecg.beat_context` asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np
import safetensors.numpy

from ecg import forest
from ecg.forest import Trees
from ecg.weights_file import made, pack

__all__ = ["NEVER", "SHIPPED", "decode", "encode", "made", "shipped"]

SHIPPED = Path(__file__).with_name("beat_doubt.safetensors")
_NAME = "beat"
NEVER = Trees(np.array([99.0]), np.zeros((1, 1), "i2"), np.zeros((1, 1), "f4"), np.zeros((1, 2), "f4"))
"""A forest that doubts nothing."""


@lru_cache(maxsize=1)
def shipped() -> Trees:
    """Return the forest that is shipped."""
    return decode(SHIPPED.read_bytes())


def encode(trees: Trees, made: Mapping[str, object]) -> bytes:
    """Return the forest as safetensors; `made` says how it came about."""
    return pack(forest.tensors(trees, _NAME), made)


def decode(kept: bytes) -> Trees:
    """Return the forest that `encode` gave; raises ValueError where it is of another layout."""
    tensors = safetensors.numpy.load(kept)
    if set(tensors) != forest.names(_NAME):
        raise ValueError(f"a forest must be of {sorted(forest.names(_NAME))}, got {sorted(tensors)}")
    return forest.read(tensors, _NAME)
