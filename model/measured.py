"""What is measured of a window without learning: the middle beat of each lead, its bands, range and level; and trees.

Boosted trees over these say of each output what the network's heads say; the mean of both log-odds is the answer. They
err differently: trees learn more from few records, the network more from rhythm. They are grown by `ecg.forest_grow`.
"""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor, nn

from ecg.forest import Trees, log_odds
from ecg.forest_grow import DEPTH, TREES, grow
from model.frontend import BANK

BEAT, SLOPE, ABOUT = range(-60, 125, 5), 4096, 16
"""Samples around the steepest moment of a chunk that show its beat, -0.24 to 0.48 s; steps of slope in the range of a
chunk; and samples over which slopes are summed."""
SPREAD = 2 * BANK.bands + 4
"""Numbers that say how a chunk of a lead is spread: mean and deviation of each band, least, mean, deviation, and mean
magnitude of its signal."""
DESCRIBED = len(BEAT) + SPREAD + 2
"""Numbers that describe a lead: its middle beat, its spread, its level, and whether that is the patient's."""
_AROUND = np.array(BEAT)
SHARE, MOST = 0.5, 5.0
"""Share of the trees in an answer, and the log-odds that they say at most."""


def steepest(wave: Tensor) -> Tensor:
    """Cut each chunk's beat out of all its leads, around where they are steepest together: (m, l, 585) to (m, l, 37).

    Slopes are whole numbers, so that their sums are the same in any order of leads and any batch.
    """
    x = np.ascontiguousarray(wave.detach().numpy())
    return torch.from_numpy(_steepest(x, np.empty((*x.shape[:2], len(BEAT)), np.float32)))


@njit(cache=True)
def _steepest(wave, out):
    """Fill the beats of chunks, (m, l, 37): each around the first of the steepest 16 samples in a row."""
    many, leads, n = wave.shape
    steep = np.empty(n - 1, np.int32)
    for k in range(many):
        steep[:] = 0
        for lead in range(leads):
            x, y = wave[k, lead, : n - 1], wave[k, lead, 1:]
            for i in range(n - 1):
                steep[i] += np.int32(np.rint(abs(y[i] - x[i]) * np.float32(SLOPE)))
        first, last = -_AROUND[0] - ABOUT // 2, n - ABOUT - _AROUND[-1]
        total = steep[first : first + ABOUT].sum()
        most, at = total, first
        for i in range(first + 1, last + 1):
            total += steep[i + ABOUT - 1] - steep[i - 1]
            if total > most:
                most, at = total, i
        for lead in range(leads):
            for j in range(out.shape[2]):
                out[k, lead, j] = wave[k, lead, at + ABOUT // 2 + _AROUND[j]]
    return out


def spread(wave: Tensor, morlet: Tensor) -> Tensor:
    """Return how chunks of single leads are spread: (..., 585) and (..., 8, 50) to (..., 20)."""
    band, mean = morlet.mean(-1), wave.mean(-1)  # (..., 8), (...)
    own = torch.stack([wave.amin(-1), mean, _deviation(wave, mean), wave.abs().mean(-1)], -1)  # (..., 4)
    return torch.cat([band, _deviation(morlet, band), own], -1)


def _deviation(x: Tensor, mean: Tensor) -> Tensor:
    """Return the standard deviation along the last axis, whose mean is known."""
    return (x.square().mean(-1) - mean.square()).clamp_min(0).sqrt()


def described(beat: Tensor, spread: Tensor, level: Tensor, there: Tensor, known: Tensor) -> Tensor:
    """Describe each lead of windows: (n, l, 59), zero where it is missing.

    Parameters
    ----------
    beat, spread : Tensor, shapes (n, l, 5, 37), (n, l, 5, 20)
        Of each chunk, as `steepest` and the function `spread` give them.
    level : Tensor, shape (n, l, 5)
        As `model.frontend.Chunks` has it.
    there : Tensor of bool, shape (n, l, 5)
    known : Tensor, shape (n,)
        One where millivolts are the patient's.
    """
    some = there.any(2, keepdim=True)  # (n, l, 1)
    of = there.sum(2, keepdim=True).clamp_min(1)  # (n, l, 1)
    mean = (beat * there[..., None]).sum(2) / of  # (n, l, 37)
    shown = _median(*torch.where(there[..., None], beat, mean[:, :, None]).unbind(2))  # (n, l, 37)
    wide = (spread * there[..., None]).sum(2) / of  # (n, l, 20)
    told = known[:, None, None] * some  # (n, l, 1)
    return torch.cat([shown, wide, (level * there).sum(2, keepdim=True) / of * told, told], 2)


def _median(a: Tensor, b: Tensor, c: Tensor, d: Tensor, e: Tensor) -> Tensor:
    """Return the middle one of five, by comparisons."""
    low = torch.maximum(torch.minimum(a, b), torch.minimum(c, d))
    high = torch.minimum(torch.maximum(a, b), torch.maximum(c, d))
    return torch.maximum(torch.minimum(e, low), torch.minimum(torch.maximum(e, low), high))


class Forests(nn.Module):
    """A forest for each of some outputs; before it is grown it has no share in an answer.

    Parameters
    ----------
    outputs : int
    """

    base: Tensor
    feature: Tensor
    cut: Tensor
    leaf: Tensor
    share: Tensor

    def __init__(self, outputs: int) -> None:
        super().__init__()
        nodes = 2**DEPTH - 1
        self.register_buffer("base", torch.zeros(outputs, 1, dtype=torch.float64))
        self.register_buffer("feature", torch.zeros(outputs, TREES, nodes, dtype=torch.int16))
        self.register_buffer("cut", torch.zeros(outputs, TREES, nodes))
        self.register_buffer("leaf", torch.zeros(outputs, TREES, nodes + 1))
        self.register_buffer("share", torch.zeros(()))

    def grow(self, x: NDArray[np.float32], truth: NDArray[np.int8]) -> None:
        """Grow each output's forest on what is known of it.

        Parameters
        ----------
        x : ndarray of float32, shape (n, features)
        truth : ndarray of int8, shape (n, outputs)
            -1 is unknown. An output of which all, or none, are so is told by nothing.
        """
        for k in range(truth.shape[1]):
            rows = np.flatnonzero(truth[:, k] >= 0)
            so = truth[rows, k] == 1
            if so.any() and not so.all():
                for part, found in zip(self._parts(), grow(x[rows], so, np.ones(len(rows))), strict=True):
                    part[k] = torch.from_numpy(found)
        self.share.fill_(SHARE)

    def forward(self, own: Tensor, x: Tensor) -> Tensor:
        """Join the network's own log-odds, (n, outputs), with what the trees say of x, (n, features)."""
        base, feature, cut, leaf = (part.numpy() for part in self._parts())
        said = _odds(base, feature, cut, leaf, np.ascontiguousarray(x.detach().numpy()))
        return own + self.share * (torch.from_numpy(said) - own)

    def _parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.base, self.feature, self.cut, self.leaf


@njit(cache=True)
def _odds(base, feature, cut, leaf, x):
    out = np.empty((len(x), len(base)), np.float32)
    for k in range(len(base)):
        trees = Trees(base[k], feature[k], cut[k], leaf[k])
        for row in range(len(x)):
            out[row, k] = min(max(log_odds(trees, x[row]), -MOST), MOST)
    return out
