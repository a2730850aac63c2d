"""Which of four classes a short strip of one lead is: normal rhythm, atrial fibrillation, another rhythm, or noise.

Four forests, one a class, weigh what `ecg.strip_features` says and what a network said of the strip's windows
(`model.strips`); the class whose odds are best is taken. Weights lie in `strip_forest.safetensors` beside this file,
with what networks that had not learned from it said of each strip that they were grown on; `ecg.strip_fit` grows them.
They decide nothing on the ward.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from ecg import forest
from ecg.forest import Trees
from ecg.forest import log_odds as odds_of
from ecg.weights_file import made, pack

__all__ = [
    "CLASSES",
    "SAID",
    "SHIPPED",
    "Class",
    "Forests",
    "classify",
    "decode",
    "encode",
    "log_odds",
    "made",
    "said_out_of_fold",
    "shipped",
]

Class = Literal["N", "A", "O", "~"]
CLASSES: tuple[Class, ...] = ("N", "A", "O", "~")
"""Normal rhythm, atrial fibrillation, another rhythm, noise: the symbols of the 2017 challenge."""
SAID = 30
"""Numbers that a network says of a strip, as `model.strips.pooled` gives them."""
SHIPPED = Path(__file__).with_name("strip_forest.safetensors")


class Forests(NamedTuple):
    """Each class against all others."""

    normal: Trees
    atrial_fibrillation: Trees
    other: Trees
    noise: Trees


def log_odds(forests: Forests, described: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the log-odds of each class, shape (4,), of features and, behind them, what the network says."""
    return np.array([odds_of(trees, described) for trees in forests])


def classify(forests: Forests, described: NDArray[np.float32]) -> Class:
    """Return the class of a strip that is described by `ecg.strip_features.NAMES` and `SAID` numbers of a network."""
    return CLASSES[int(log_odds(forests, described).argmax())]


def encode(forests: Forests, said: Mapping[str, NDArray[np.float16]], how: Mapping[str, Any]) -> bytes:
    """Return forests as safetensors.

    Parameters
    ----------
    forests : Forests
    said : mapping of str to ndarray of float16, shape (30,)
        What the network said of each record that they were grown on, out of fold.
    how : mapping
        How they were made.
    """
    tensors: dict[str, NDArray[Any]] = {"said": np.array([said[name] for name in sorted(said)], np.float16)}
    for name, trees in forests._asdict().items():
        tensors |= forest.tensors(trees, name)
    return pack(tensors, {**how, "records": {"cinc2017": sorted(said)}})


def decode(kept: bytes) -> Forests:
    """Return the forests that `encode` was given.

    Raises
    ------
    ValueError
        If the file has other tensors, or trees of another layout.
    """
    tensors = safetensors.numpy.load(kept)
    names = {"said"}.union(*(forest.names(name) for name in Forests._fields))
    if set(tensors) != names:
        raise ValueError(f"forests must be of {sorted(names)}, got {sorted(tensors)}")
    return Forests(*(forest.read(tensors, name) for name in Forests._fields))


def said_out_of_fold(kept: bytes) -> dict[str, NDArray[np.float16]]:
    """Return what the network had said, by record, as `encode` was given it."""
    return dict(zip(made(kept)["records"]["cinc2017"], safetensors.numpy.load(kept)["said"], strict=True))


@cache
def shipped() -> Forests:
    """Return the forests that are committed."""
    return decode(SHIPPED.read_bytes())
