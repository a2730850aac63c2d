"""The weights by which intervals are called atrial fibrillation: a small network of three layers, in plain loops.

They lie in `atrial_weights.safetensors` beside this file; `ecg.atrial_fit` makes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from numba import njit
from numpy.typing import NDArray

from ecg.weights_file import made, pack

__all__ = ["FARTHEST", "SHIPPED", "Weights", "decode", "encode", "in_force", "log_odds", "made", "shipped", "weighing"]

SHIPPED = Path(__file__).with_name("atrial_weights.safetensors")
FARTHEST = 6.0
"""A feature counts as no farther than so many standard deviations from its mean."""


class Weights(NamedTuple):
    """Layers from features to log-odds; all float64.

    `mean` and `scale`, shape (features,), bring features to the same size; `hidden` (features, h) and `deeper` (h, h)
    are followed by rectifiers, `last` (h,) by nothing.
    """

    mean: NDArray[np.float64]
    scale: NDArray[np.float64]
    hidden: NDArray[np.float64]
    hidden_bias: NDArray[np.float64]
    deeper: NDArray[np.float64]
    deeper_bias: NDArray[np.float64]
    last: NDArray[np.float64]
    last_bias: NDArray[np.float64]


@njit(cache=True, error_model="numpy")
def log_odds(f, weights):
    """Return the log-odds of features, shape (features,), in a fixed order of sums."""
    x = np.empty(len(f))
    for i in range(len(f)):
        x[i] = max(-FARTHEST, min(FARTHEST, (f[i] - weights.mean[i]) / weights.scale[i]))
    x = _layer(_layer(x, weights.hidden, weights.hidden_bias), weights.deeper, weights.deeper_bias)
    total = weights.last_bias[0]
    for i in range(len(x)):
        total += x[i] * weights.last[i]
    return total


@njit(cache=True, error_model="numpy")
def _layer(x, matrix, bias):
    out = np.empty(len(bias))
    for k in range(len(bias)):
        total = bias[k]
        for i in range(len(x)):
            total += x[i] * matrix[i, k]
        out[k] = max(0.0, total)
    return out


def encode(weights: Weights, made: Mapping[str, Any]) -> bytes:
    """Return weights as safetensors; `made` says how they came about."""
    return pack({name: np.ascontiguousarray(value, np.float64) for name, value in weights._asdict().items()}, made)


def decode(data: bytes) -> Weights:
    """Return what `encode` was given.

    Raises
    ------
    ValueError
        If the file has other tensors.
    """
    tensors = safetensors.numpy.load(data)
    if set(tensors) != set(Weights._fields):
        raise ValueError(f"atrial weights must have {', '.join(Weights._fields)}, got {', '.join(sorted(tensors))}")
    return Weights(**tensors)


@cache
def shipped() -> Weights:
    """Return the weights that are committed."""
    return decode(SHIPPED.read_bytes())


_others: list[Weights] = []


def in_force() -> Weights:
    """Return the weights that decide: the shipped ones, but for `weighing`."""
    return _others[-1] if _others else shipped()


@contextmanager
def weighing(weights: Weights) -> Iterator[None]:
    """Let other weights decide in the meantime, in this process."""
    _others.append(weights)
    try:
        yield
    finally:
        _others.pop()
