"""How small networks are fitted, in NumPy: the same table of beats gives the same networks.

Two hidden layers with rectifiers, drop-out on the first one's units, and Adam with decoupled weight decay (Loshchilov
and Hutter 2019, arXiv:1711.05101), at a rate that rises and falls once.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ecg.beat_judge import MOST, Nets

HIDDEN = (32, 24)
SEEDS = (1, 2)
"""A network each."""
EPOCHS, BATCH = 6, 512
RATE, DECAY, DROPPED = 4e-3, 1e-3, 0.3
_Floats = NDArray[np.float32]


def fit_nets(features: _Floats, truth: NDArray[np.bool_], weight: NDArray[np.float64]) -> Nets:
    """Return networks whose output is the log-odds of a beat being so.

    Parameters
    ----------
    features : ndarray of float32, shape (n, features)
    truth : ndarray of bool, shape (n,)
    weight : ndarray of float64, shape (n,)
        How much each beat counts.
    """
    layers = zip(*(_fit(features, truth, weight, seed) for seed in SEEDS), strict=True)
    into, begin, through, between, out, end = (np.stack(each).astype(np.float32) for each in layers)
    return Nets(into, begin, through, between, out[:, :, 0], end[:, 0])


def _fit(
    features: _Floats, truth: NDArray[np.bool_], weight: NDArray[np.float64], seed: int
) -> tuple[NDArray[np.floating], ...]:
    """Return the layers of a network, in the units of the features."""
    x = np.clip(features, -MOST, MOST)
    mean, sd = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64) + 1e-3
    x = ((x - mean) / sd).astype(np.float32)
    y, w, random = truth.astype(np.float32), weight.astype(np.float32), np.random.default_rng(seed)
    layers = _first(x.shape[1], random)
    moments = [(np.zeros_like(each), np.zeros_like(each)) for each in layers]
    steps = max(1, EPOCHS * len(x) // BATCH)
    order = random.permutation(len(x))
    for step in range(steps):
        at = step * BATCH % max(1, len(x) - BATCH)
        if at < BATCH:
            order = random.permutation(len(x))
        rows = order[at : at + BATCH]
        gradients = _gradients(layers, x[rows], y[rows], w[rows], random)
        _move(layers, gradients, moments, step, _rate(step / steps))
    first = layers[0] / sd[:, None]
    begin = layers[1] - (mean[:, None] * first).sum(0)
    return first, begin, *layers[2:]


def _first(n: int, random: np.random.Generator) -> list[_Floats]:
    """Return weights to begin with, and biases of nothing, layer by layer."""
    sizes = (n, *HIDDEN, 1)
    layers: list[_Floats] = []
    for before, after in pairwise(sizes):
        edge = float(np.sqrt(3.0 / before))
        layers += [random.uniform(-edge, edge, (before, after)).astype(np.float32), np.zeros(after, np.float32)]
    return layers


def _gradients(layers: list[_Floats], x: _Floats, y: _Floats, w: _Floats, random: np.random.Generator) -> list[_Floats]:
    """Return the slope of the weighted log-loss of a batch, by back-propagation."""
    w1, b1, w2, b2, w3, b3 = layers
    kept = (random.random((len(x), HIDDEN[0]), np.float32) >= DROPPED).astype(np.float32) / np.float32(1 - DROPPED)
    h1 = np.maximum(x @ w1 + b1, 0) * kept
    h2 = np.maximum(h1 @ w2 + b2, 0)
    odds = (h2 @ w3 + b3)[:, 0]
    up3 = ((1 / (1 + np.exp(-np.clip(odds, -50, 50))) - y) * w / np.float32(len(x)))[:, None]
    up2 = up3 @ w3.T * (h2 > 0)
    up1 = up2 @ w2.T * (h1 > 0) * kept
    slopes = (x.T @ up1, up1.sum(0), h1.T @ up2, up2.sum(0), h2.T @ up3, up3.sum(0))
    return [slope.astype(np.float32) for slope in slopes]


def _move(
    layers: list[_Floats],
    gradients: list[_Floats],
    moments: list[tuple[_Floats, _Floats]],
    step: int,
    rate: float,
) -> None:
    for own, gradient, (mean, square) in zip(layers, gradients, moments, strict=True):
        mean += np.float32(0.1) * (gradient - mean)
        square += np.float32(0.001) * (gradient * gradient - square)
        size = np.sqrt(square / np.float32(1 - 0.999 ** (step + 1))) + np.float32(1e-8)
        own -= np.float32(rate) * (mean / np.float32(1 - 0.9 ** (step + 1)) / size + np.float32(DECAY) * own)


def _rate(done: float) -> float:
    """Return the rate after a share of all steps: up over the first third, then down to nothing, along cosines."""
    if done < 0.3:
        return RATE * (0.04 + 0.96 * 0.5 * (1 - np.cos(np.pi * done / 0.3)))
    return RATE * 0.5 * (1 + np.cos(np.pi * (done - 0.3) / 0.7))
