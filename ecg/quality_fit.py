"""How the forest of `ecg.quality_forest` is grown, on which records, and anew without some.

`cinc2011` (Silva, Moody and Celi, Computing in Cardiology 2011): twelve leads of ten seconds that people called
acceptable or not. Numbers of the forest are usual ones and were not tuned, but for its depth, of which 5 and 7 were
tried; what describes a recording was written with all of these records at hand. Two of them are the same recording
under two names (`twins`); such are kept on one side.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.quality_features import NAMES, describe
from ecg.quality_forest import Forest, steps
from ecg.record import read
from ecg.resample import Resampler

TREES, DEPTH, STEPS = 200, 5, 32
DRAWN = 0.12
"""Share of the features that a tree may look at."""
SEED = 2011
SHRINK = 0.5
"""Recordings that are acceptable by half, which each leaf has beside its own."""
TWIN = 0.95
"""Correlation from which two recordings are one."""

_THINNED = 25


class Described(NamedTuple):
    """A recording: its features, and a thinned copy, of power one, to know its twin by."""

    record: str
    features: NDArray[np.float64]
    thinned: NDArray[np.float32]


def read_reference(text: str) -> dict[str, bool]:
    r"""Return which records a set's `REFERENCE.csv` calls unacceptable.

    Raises
    ------
    ValueError
        If a line says neither.

    Examples
    --------
    >>> read_reference("1002867,acceptable\n1003574,unacceptable\n")
    {'1002867': False, '1003574': True}
    """
    said = {"acceptable": False, "unacceptable": True}
    found: dict[str, bool] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        record, _, word = line.partition(",")
        if word not in said:
            raise ValueError(f"a line must be a record and one of {list(said)}, got {line!r}")
        found[record] = said[word]
    return found


def collect(path: Path) -> Described:
    """Return what describes a record, without extension, at 250 Hz."""
    recording = read(path)
    mv, resampler = recording.mv(), Resampler()
    rows = np.arange(len(mv))
    for row in rows.tolist():
        resampler.reset(row, recording.rate_hz)
    raw, count = resampler.feed(rows, mv, np.full(len(mv), mv.shape[1]))
    raw = np.concatenate([raw[:, : int(count[0])], np.stack([resampler.flush(row) for row in rows.tolist()])], axis=1)
    thin = np.nan_to_num(raw[:, ::_THINNED])
    thin = (thin - thin.mean(axis=1, keepdims=True)).ravel()
    return Described(path.name, describe(raw), (thin / (np.linalg.norm(thin) + 1e-9)).astype(np.float32))


def twins(found: Sequence[Described]) -> dict[str, str]:
    """Return by record the first record, in their order, that is the same recording: itself for most."""
    first: dict[str, str] = {}
    for k, each in enumerate(found):
        same = (
            other.record
            for other in found[:k]
            if len(other.thinned) == len(each.thinned) and float(other.thinned @ each.thinned) > TWIN
        )
        name = next(same, each.record)
        first[each.record] = first.get(name, name)
    return first


def fit(found: Collection[Described], bad: Mapping[str, bool], without: Collection[str] = ()) -> Forest:
    """Return a forest grown on all recordings but some; the same ones give the same forest.

    Raises
    ------
    ValueError
        If what is left is all acceptable, or all unacceptable.
    """
    used = sorted((each for each in found if each.record not in without), key=lambda each: each.record)
    truth = np.array([bad[each.record] for each in used], np.float64)
    if not len(used) or truth.min() == truth.max():
        raise ValueError("recordings must be of both kinds once those records are left out")
    features = np.array([each.features for each in used])
    edges = np.quantile(features, np.arange(1, STEPS) / STEPS, axis=0).T
    edges = np.array([[float(f"{edge:.4g}") for edge in row] for row in edges.tolist()])
    at, random = steps(features, edges), np.random.default_rng(SEED)
    trees = [_tree(at, truth, random) for _ in range(TREES)]
    feature, step, votes = (np.array(part) for part in zip(*trees, strict=True))
    return Forest(edges, feature, step, votes)


_Tree = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]


def _tree(at: NDArray[np.int64], truth: NDArray[np.float64], random: np.random.Generator) -> _Tree:
    """Grow a tree on a draw of the recordings, with a draw of the features, level by level."""
    n = len(truth)
    weight = np.bincount(random.integers(0, n, n), minlength=n).astype(np.float64)
    drawn = np.flatnonzero(random.random(len(NAMES)) < DRAWN)
    feature, step = np.zeros(2**DEPTH - 1, np.int64), np.full(2**DEPTH - 1, STEPS, np.int64)
    node = np.zeros(n, np.int64)
    for level in range(DEPTH):
        first, width = 2**level - 1, 2**level
        best = np.full(width, 1e-9)
        for k in drawn.tolist():
            gain, where = _best_step(at[:, k], node - first, width, weight, truth)
            better = gain > best
            best[better] = gain[better]
            feature[first : first + width][better], step[first : first + width][better] = k, where[better]
        node = 2 * node + 1 + (at[np.arange(n), feature[node]] > step[node])
    leaf = node - (2**DEPTH - 1)
    bad = np.bincount(leaf, weight * truth, 2**DEPTH)
    votes = (bad + SHRINK / 2) / (np.bincount(leaf, weight, 2**DEPTH) + SHRINK)
    return feature, step, votes.round(3)


def _best_step(
    at: NDArray[np.int64], node: NDArray[np.int64], width: int, weight: NDArray[np.float64], truth: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return for each node by how much one feature divides best, and where; both sides must weigh 1 at least."""
    cell = node * STEPS + at
    total = np.bincount(cell, weight, width * STEPS).reshape(width, STEPS).cumsum(axis=1)
    bad = np.bincount(cell, weight * truth, width * STEPS).reshape(width, STEPS).cumsum(axis=1)
    all_total, all_bad = total[:, -1:], bad[:, -1:]
    left, right = total + SHRINK, all_total - total + SHRINK
    gain = bad**2 / left + (all_bad - bad) ** 2 / right - all_bad**2 / (all_total + SHRINK)
    gain[(total < 1) | (all_total - total < 1)] = 0.0
    where = gain.argmax(axis=1)
    return gain[np.arange(width), where], where
