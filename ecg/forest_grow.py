"""How forests of small trees are grown, by gradient boosting on a table of things; the same table gives the same trees.

Friedman 2001 (doi:10.1214/aos/1013203451) with the second-order steps of Chen and Guestrin 2016
(doi:10.1145/2939672.2939785). Deviations: features are looked at in 64 steps, a tree has the same depth everywhere, and
each is grown on a draw of the things and of the features.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ecg.forest import Trees

TREES, DEPTH, STEPS = 150, 4, 64
RATE = 0.1
"""Part of a tree's step that is taken."""
DRAWN_BEATS, DRAWN_FEATURES = 0.5, 0.5
RIDGE = 5.0
"""Weight of beats that say nothing, which each leaf has beside its own."""
LEAST = 5.0
"""Least curvature, which is about the weight of doubtful beats, on either side of a cut."""
SEED = 1980


def grow(
    features: NDArray[np.float32], truth: NDArray[np.bool_], weight: NDArray[np.float64], seed: int = SEED
) -> Trees:
    """Return trees whose sum is the log-odds of a beat being so.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
    truth : ndarray of bool, shape (n,)
    weight : ndarray of float64, shape (n,)
        How much each beat counts.
    seed : int
        Of the draws.

    Raises
    ------
    ValueError
        If all beats are so, or none.
    """
    if not len(truth) or truth.all() or not truth.any():
        raise ValueError("complexes must hold beats of every class, and others that are none")
    edges = _edges(features)
    table = np.stack([np.searchsorted(each, features[:, k]) for k, each in enumerate(edges)], axis=1).astype(np.uint8)
    random, y = np.random.default_rng(seed), truth.astype(np.float64)
    share = (weight * y).sum() / weight.sum()
    base = float(np.log(share / (1 - share)))
    odds = np.full(len(y), base)
    grown = []
    for _ in range(TREES):
        p = 1 / (1 + np.exp(-odds))
        gradient, curvature = weight * (y - p), weight * p * (1 - p)
        rows = np.flatnonzero(random.random(len(y)) < DRAWN_BEATS)
        drawn = np.sort(random.permutation(len(edges))[: max(1, int(DRAWN_FEATURES * len(edges)))])
        feature, step, leaf = _tree(table, gradient, curvature, rows, drawn)
        _add(table, feature, step, leaf, odds)
        grown.append((feature, _cuts(edges, feature, step), leaf))
    feature, cut, leaf = (np.array(part) for part in zip(*grown, strict=True))
    return Trees(np.array([base]), feature.astype(np.int16), cut, leaf)


def _edges(features: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return the upper ends of each feature's steps, which hold about as many beats each."""
    found = np.quantile(features, np.arange(1, STEPS) / STEPS, axis=0).astype(np.float32)
    return [np.unique(found[:, k]) for k in range(features.shape[1])]


def _cuts(edges: list[NDArray[np.float32]], feature: NDArray[np.int64], step: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the values above which beats go to the right; infinity where all go to the left."""
    last = [len(edges[k]) for k in feature.tolist()]
    found = [edges[k][s] if s < n else np.inf for k, s, n in zip(feature.tolist(), step.tolist(), last, strict=True)]
    return np.array(found, np.float32)


def _tree(
    table: NDArray[np.uint8],
    gradient: NDArray[np.float64],
    curvature: NDArray[np.float64],
    rows: NDArray[np.int64],
    drawn: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    node = np.zeros(len(table), np.int64)
    feature, step = np.zeros(2**DEPTH - 1, np.int64), np.zeros(2**DEPTH - 1, np.int64)
    for level in range(DEPTH):
        sums = np.zeros((2**level, len(drawn), STEPS, 2))
        _sum(table, gradient, curvature, node, rows, drawn, sums)
        which, where = np.zeros(2**level, np.int64), np.full(2**level, STEPS, np.int64)
        _best(sums, which, where)
        _send(table, rows, node, drawn[which], where)
        feature[2**level - 1 : 2 ** (level + 1) - 1] = drawn[which]
        step[2**level - 1 : 2 ** (level + 1) - 1] = where
    up = np.bincount(node[rows], gradient[rows], 2**DEPTH)
    leaf = RATE * up / (np.bincount(node[rows], curvature[rows], 2**DEPTH) + RIDGE)
    return feature, step, leaf.astype(np.float32)


@njit(cache=True)
def _sum(table, gradient, curvature, node, rows, drawn, sums):
    for r in rows:
        of = sums[node[r]]
        for j in range(len(drawn)):
            at = of[j, table[r, drawn[j]]]
            at[0] += gradient[r]
            at[1] += curvature[r]


@njit(cache=True)
def _best(sums, which, where):
    for k in range(len(sums)):
        most = 1e-3
        for j in range(sums.shape[1]):
            up, weight = 0.0, 0.0
            for s in range(STEPS):
                up += sums[k, j, s, 0]
                weight += sums[k, j, s, 1]
            left, beside = 0.0, 0.0
            for s in range(STEPS - 1):
                left += sums[k, j, s, 0]
                beside += sums[k, j, s, 1]
                if beside < LEAST or weight - beside < LEAST:
                    continue
                gain = left**2 / (beside + RIDGE) + (up - left) ** 2 / (weight - beside + RIDGE)
                gain -= up**2 / (weight + RIDGE)
                if gain > most:
                    most, which[k], where[k] = gain, j, s


@njit(cache=True)
def _send(table, rows, node, feature, step):
    for r in rows:
        k = node[r]
        node[r] = 2 * k + (1 if table[r, feature[k]] > step[k] else 0)


@njit(cache=True)
def _add(table, feature, step, leaf, odds):
    for r in range(len(table)):
        at = 0
        while at < len(feature):
            at = 2 * at + 1 + (1 if table[r, feature[at]] > step[at] else 0)
        odds[r] += leaf[at - len(feature)]
