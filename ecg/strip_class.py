"""Which of four classes a short strip of one lead is: normal rhythm, atrial fibrillation, another rhythm, or noise.

Four forests, one a class, weigh what `ecg.strip_features` says; the class whose odds are best is taken. Weights lie in
`strip_forest.safetensors` beside this file; `ecg.strip_fit` grows them. They decide nothing on the ward.
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
from ecg.strip_features import features, prepare
from ecg.weights_file import made, pack

__all__ = ["CLASSES", "SHIPPED", "Class", "Forests", "classify", "decode", "encode", "log_odds", "made", "shipped"]

Class = Literal["N", "A", "O", "~"]
CLASSES: tuple[Class, ...] = ("N", "A", "O", "~")
"""Normal rhythm, atrial fibrillation, another rhythm, noise: the symbols of the 2017 challenge."""
SHIPPED = Path(__file__).with_name("strip_forest.safetensors")


class Forests(NamedTuple):
    """Each class against all others."""

    normal: Trees
    atrial_fibrillation: Trees
    other: Trees
    noise: Trees


def log_odds(forests: Forests, described: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the log-odds of each class, shape (4,), of features as `ecg.strip_features` gives them."""
    return np.array([odds_of(trees, described) for trees in forests])


def classify(forests: Forests, described: NDArray[np.float32]) -> Class:
    """Return the class of a strip that is described by `ecg.strip_features.features`."""
    return CLASSES[int(log_odds(forests, described).argmax())]


def judge(mv: NDArray[np.float32], rate_hz: float) -> Class:
    """Return the class of a strip of one lead, float32 (n,) in mV, by the shipped forests.

    Examples
    --------
    >>> judge(np.zeros(9000, np.float32), 300.0)
    '~'
    """
    return classify(shipped(), features(prepare(mv, rate_hz)))


def encode(forests: Forests, how: Mapping[str, Any]) -> bytes:
    """Return forests as safetensors; `how` says how they were made."""
    tensors: dict[str, NDArray[Any]] = {}
    for name, trees in forests._asdict().items():
        tensors |= forest.tensors(trees, name)
    return pack(tensors, how)


def decode(kept: bytes) -> Forests:
    """Return the forests that `encode` gave.

    Raises
    ------
    ValueError
        If the file has other tensors, or trees of another layout.
    """
    tensors = safetensors.numpy.load(kept)
    names = {each for name in Forests._fields for each in forest.names(name)}
    if set(tensors) != names:
        raise ValueError(f"forests must be of {sorted(names)}, got {sorted(tensors)}")
    return Forests(*(forest.read(tensors, name) for name in Forests._fields))


@cache
def shipped() -> Forests:
    """Return the forests that are committed."""
    return decode(SHIPPED.read_bytes())
