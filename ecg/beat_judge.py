"""Whether a beat is ventricular, or else came early from above the ventricles: what trees and small networks say.

Weights lie in `beat_judge.safetensors` beside this file; `ecg.forest_grow` grows the trees, by gradient boosting, and
`ecg.beat_layers` fits the networks. Both see the same features, and err in different ways on patients whom they have
not seen, so that their mean is better than either. Inference is compiled, and the same to the bit everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy
from numba import njit
from numpy.typing import NDArray

from ecg import forest
from ecg.forest import Trees
from ecg.forest import log_odds as of_trees
from ecg.weights_file import made, pack

__all__ = ["Judge", "Judges", "Nets", "Trees", "decode", "encode", "log_odds", "made", "of_nets", "of_trees", "shipped"]

SHIPPED = Path(__file__).with_name("beat_judge.safetensors")
MOST = 12.0
"""No feature is taken as larger by a network, in its own unit."""


class Nets(NamedTuple):
    """Log-odds as the mean of networks with two hidden layers of rectifiers.

    Of the first layer `into` has the shape (networks, features, units), `begin` (networks, units); of the second
    `through`, (networks, units, units), and `between`, (networks, units); and of the last `out`, (networks, units), and
    `end`, (networks,).
    """

    into: NDArray[np.float32]
    begin: NDArray[np.float32]
    through: NDArray[np.float32]
    between: NDArray[np.float32]
    out: NDArray[np.float32]
    end: NDArray[np.float32]


class Judge(NamedTuple):
    """Answers one question about a beat, and leans to yes by `lean`, of shape (1,).

    All trees together count as much as each network.
    """

    lean: NDArray[np.float64]
    trees: Trees
    nets: Nets


class Judges(NamedTuple):
    """What names beats: `ventricular` against all others, `supraventricular` among these others."""

    ventricular: Judge
    supraventricular: Judge


@njit(cache=True)
def log_odds(judge, f):
    """Return what a judge says of a beat that is described by f; above 0 it is so."""
    n = len(judge.nets.end)
    return judge.lean[0] + (of_trees(judge.trees, f) + n * of_nets(judge.nets, f)) / (1 + n)


@njit(cache=True)
def of_nets(nets, f):
    """Return what the networks say."""
    n, features, first = nets.into.shape
    second = nets.out.shape[1]
    h, g = np.empty(first, np.float32), np.empty(second, np.float32)
    total = 0.0
    for k in range(n):
        h[:] = nets.begin[k]
        for i in range(features):
            v = np.float32(min(MOST, max(-MOST, f[i])))
            for j in range(first):
                h[j] += v * nets.into[k, i, j]
        g[:] = nets.between[k]
        for i in range(first):
            if h[i] > 0.0:
                for j in range(second):
                    g[j] += h[i] * nets.through[k, i, j]
        total += nets.end[k]
        for i in range(second):
            if g[i] > 0.0:
                total += g[i] * nets.out[k, i]
    return total / n


@lru_cache(maxsize=1)
def shipped() -> Judges:
    """Return the judges that are shipped."""
    return decode(SHIPPED.read_bytes())


def encode(judges: Judges, made: Mapping[str, object]) -> bytes:
    """Return judges as safetensors, the same bytes for the same judges.

    Parameters
    ----------
    judges : Judges
    made : mapping
        How they were made, for the metadata: command, seed, commit, records.
    """
    tensors: dict[str, NDArray[Any]] = {}
    for name, judge in judges._asdict().items():
        tensors[f"{name}.lean"] = judge.lean
        tensors |= forest.tensors(judge.trees, f"{name}.trees")
        tensors |= {f"{name}.nets.{part}": np.ascontiguousarray(each) for part, each in judge.nets._asdict().items()}
    return pack(tensors, made)


def decode(kept: bytes) -> Judges:
    """Return the judges that `encode` gave.

    Raises
    ------
    ValueError
        If they are of another layout.
    """
    made(kept)
    tensors = safetensors.numpy.load(kept)
    try:
        return Judges(*(_judge(tensors, name) for name in Judges._fields))
    except KeyError as error:
        raise ValueError(f"judges must have a tensor {error}, got {sorted(tensors)}") from error


def _judge(tensors: Mapping[str, NDArray[Any]], name: str) -> Judge:
    trees = forest.read(tensors, f"{name}.trees")
    nets = Nets(*(np.array(tensors[f"{name}.nets.{part}"], np.float32) for part in Nets._fields))
    n, _, first = nets.into.shape
    second = nets.out.shape[-1]
    shapes = [nets.into.shape, (n, first), (n, first, second), (n, second), (n, second), (n,)]
    if [each.shape for each in nets] != shapes:
        raise ValueError(f"{name}: networks must have layers that fit, got {[each.shape for each in nets]}")
    return Judge(np.array(tensors[f"{name}.lean"], np.float64).reshape(1), trees, nets)
