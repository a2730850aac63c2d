"""The rhythm network: a small convolutional net over each lead with shared weights, pooled over time and leads.

Any lead may be missing, and the order of leads has no meaning: every lead runs through the same filters and the
results are pooled by mean and maximum. Missing samples are zero and masked, after the stem, in every pooling.
"""

from __future__ import annotations

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

RATE_HZ = 250
WINDOW = 2500
"""Samples of a window: 10 s."""
SLOTS = 2
"""Leads that the network takes; one may be missing."""
FLOOR_MV, CLIP = 0.05, 8.0
"""A lead is divided by its mean absolute value, at least `FLOOR_MV`, and clipped at `CLIP` times that."""
LEAST_SAMPLES = 250
"""A lead with fewer valid samples than this in the window counts as missing."""
STEPS = 63
"""Time steps that remain after the convolutions: 2500 over 5, 2, 2, 2, rounded up."""


@numba.njit(cache=True)
def _prepare(x: NDArray[np.float32], out: NDArray[np.float32], mask: NDArray[np.float32]) -> None:
    for i in range(x.shape[0]):
        total, count = 0.0, 0
        for k in range(x.shape[1]):
            if not np.isnan(x[i, k]):
                total += abs(x[i, k])
                count += 1
        if count < LEAST_SAMPLES:
            continue
        limit, clipped = CLIP * max(total / count, FLOOR_MV), 0.0
        for k in range(x.shape[1]):
            if not np.isnan(x[i, k]):
                clipped += min(abs(x[i, k]), limit)
        scale = max(clipped / count, FLOOR_MV)
        mask[i, x.shape[1]] = np.log(scale)
        for k in range(x.shape[1]):
            if not np.isnan(x[i, k]):
                out[i, k] = min(max(x[i, k] / scale, -CLIP), CLIP)
                mask[i, k] = 1.0


def prepare(x_mv: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Scale leads to a mean absolute value of one, without a thought for single large artefacts.

    Parameters
    ----------
    x_mv : ndarray of float32, shape (n, 2500)
        Clean signal, NaN where a sample is missing.

    Returns
    -------
    scaled : ndarray of float32, shape (n, 2500)
        Zero where missing.
    mask : ndarray of float32, shape (n, 63)
        Share of valid samples behind each step of the network's last layer.
    log_scale : ndarray of float32, shape (n,)
        Natural logarithm of the scale in mV.
    """
    out = np.zeros(x_mv.shape, np.float32)
    kept = np.zeros((x_mv.shape[0], x_mv.shape[1] + 1), np.float32)
    _prepare(np.ascontiguousarray(x_mv, np.float32), out, kept)
    step = 40
    padded = np.zeros((x_mv.shape[0], STEPS * step), np.float32)
    padded[:, : x_mv.shape[1]] = kept[:, :-1]
    mask = padded.reshape(-1, STEPS, step).mean(axis=2, dtype=np.float32)
    return out, mask, kept[:, -1].copy()


class Block(nn.Module):
    """A convolution that halves the time axis, normalised and rectified."""

    def __init__(self, inputs: int, outputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, width, stride, padding=width // 2, bias=False)
        self.norm: nn.Module = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, t) to (n, outputs, ceil(t / stride))."""
        return functional.relu(self.norm(self.conv(x)))


class Context(nn.Module):
    """A dilated depthwise convolution over seconds, added to its input: how regular the rhythm is."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.deep = nn.Conv1d(channels, channels, 5, padding=2 * dilation, dilation=dilation, groups=channels)
        self.mix = Block(channels, channels, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channels, t) to the same shape."""
        return x + self.mix(self.deep(x))


class RhythmNet(nn.Module):
    """Leads of a 10-s window to logits over the rhythm classes."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = Block(1, 16, 15, 5)
        self.layers = nn.Sequential(Block(16, 24, 5, 2), Block(24, 32, 5, 2), Block(32, 48, 5, 2))
        self.context = nn.Sequential(Context(48, 2), Context(48, 4))
        self.lead = nn.Linear(2 * 48 + 1, 64)
        self.hidden = nn.Linear(2 * 64, 64)
        self.drop = nn.Dropout(0.25)
        self.answer = nn.Linear(64, classes)

    def encode(self, x: Tensor, mask: Tensor, log_scale: Tensor) -> Tensor:
        """Encode leads, each alone.

        Parameters
        ----------
        x, mask, log_scale : Tensor, shapes (n, 2500), (n, 63), (n,)
            As `prepare` gives them.
        """
        x = self.stem(x[:, None])  # (n, 16, 500)
        x = self.layers(x)  # (n, 48, 63)
        x = self.context(x * mask[:, None])  # (n, 48, 63)
        weight = mask / mask.sum(1, keepdim=True).clamp_min(1e-6)  # (n, 63)
        mean = (x * weight[:, None]).sum(2)  # (n, 48)
        peak = (x * (mask[:, None] > 0.5)).amax(2)  # (n, 48), at least zero, as x is
        return functional.relu(self.lead(torch.cat([mean, peak, log_scale[:, None]], 1)))  # (n, 64)

    def pool(self, leads: Tensor, present: Tensor) -> Tensor:
        """Pool encoded leads to the features of a window, (n, 64).

        Parameters
        ----------
        leads : Tensor, shape (n, slots, 64)
        present : Tensor, shape (n, slots)
            One where there is a lead, zero where there is none.
        """
        kept = leads * present[..., None]  # (n, slots, 64)
        mean = kept.sum(1) / present.sum(1, keepdim=True).clamp_min(1.0)  # (n, 64)
        pooled = torch.cat([mean, kept.amax(1)], 1)  # (n, 128)
        return functional.relu(self.hidden(self.drop(pooled)))  # (n, 64)

    def features(self, x: Tensor, mask: Tensor, log_scale: Tensor) -> Tensor:
        """Map windows (n, slots, 2500), (n, slots, 63), (n, slots) to features (n, 64)."""
        n, slots = log_scale.shape
        present = (mask.sum(2) > 0).to(x.dtype)  # (n, slots)
        flat = x.flatten(0, 1), mask.flatten(0, 1), log_scale.flatten()
        if self.training:  # a missing lead is no work then, and no part of the batch's statistics
            there = torch.nonzero(present.flatten())[:, 0]
            found = self.encode(*(a[there] for a in flat))
            leads = found.new_zeros(n * slots, found.shape[1]).index_copy(0, there, found)
        else:
            leads = self.encode(*flat)
        return self.pool(leads.reshape(n, slots, -1), present)

    def forward(self, x: Tensor, mask: Tensor, log_scale: Tensor) -> Tensor:
        """Map windows (n, slots, 2500), (n, slots, 63), (n, slots) to logits (n, classes)."""
        return self.answer(self.drop(self.features(x, mask, log_scale)))
