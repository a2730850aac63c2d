"""How the forests of `ecg.strip_class` are grown, on which records, and anew without some.

`cinc2017` (Clifford et al., Computing in Cardiology 2017): strips of one lead that people held in their hands, named by
people. Each class is taught against all others by gradient boosting (`ecg.forest_grow`), every strip counting alike,
ten times with other draws, of which the mean is taken; the numbers of the forests are those of beats, not tuned for
strips, and what describes a strip was written with all of these records at hand. What the network says of a strip
comes from one that was trained without it; that one had learned from strips of other folds of the forests, which is how
answers are stacked (Wolpert 1992, doi:10.1016/S0893-6080(05)80023-1).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.forest import Trees
from ecg.forest_grow import SEED, grow
from ecg.record import read
from ecg.strip_class import CLASSES, Class, Forests
from ecg.strip_features import features, prepare

__all__ = ["GROWN", "SEED", "Described", "beside", "collect", "fit", "read_reference"]


GROWN = 10
"""Times that each forest is grown, each with a seed of its own."""


class Described(NamedTuple):
    """A strip and what it is like, float32."""

    record: str
    features: NDArray[np.float32]


def collect(path: Path) -> Described:
    """Return what describes a record, without extension, by its first lead."""
    recording = read(path)
    return Described(path.name, features(prepare(recording.mv()[0], recording.rate_hz)))


def beside(described: Described, said: NDArray[np.floating]) -> Described:
    """Put what a network says of a strip, shape (30,), behind what describes it."""
    return described._replace(features=np.concatenate([described.features, said.astype(np.float32)]))


def fit(found: Collection[Described], truth: Mapping[str, Class], without: Collection[str] = ()) -> Forests:
    """Return forests grown on all strips but some; the same ones give the same forests.

    Raises
    ------
    ValueError
        If a class is missing from what is left.
    """
    used = sorted((each for each in found if each.record not in without), key=lambda each: each.record)
    classes = np.array([truth[each.record] for each in used])
    missing = [each for each in CLASSES if each not in classes]
    if missing:
        raise ValueError(f"strips must be of every class once those records are left out, got none of {missing}")
    described = np.array([each.features for each in used])
    return Forests(*(_mean_of_several(described, classes == each) for each in CLASSES))


def _mean_of_several(described: NDArray[np.float32], so: NDArray[np.bool_]) -> Trees:
    """Return trees whose sum is the mean log-odds of `GROWN` forests."""
    grown = [grow(described, so, np.ones(len(so)), SEED + k) for k in range(GROWN)]
    base, feature, cut, leaf = (np.concatenate(part) for part in zip(*grown, strict=True))
    return Trees(base.mean(keepdims=True), feature, cut, (leaf / GROWN).astype(np.float32))


def read_reference(text: str) -> dict[str, Class]:
    """Read `REFERENCE.csv`: a line a record, with its name and class.

    Raises
    ------
    ValueError
        If a line has no known class.
    """
    truth: dict[str, Class] = {}
    for line in text.splitlines():
        name, _, symbol = line.strip().partition(",")
        if name and symbol not in CLASSES:
            raise ValueError(f"a line of REFERENCE.csv must be a record and one of N, A, O, ~, got {line!r}")
        if name:
            truth[name] = CLASSES[CLASSES.index(symbol)]
    return truth
