"""What the diagnosis network is compared with: a small ResNet, a random encoder, and trees on measured features.

Recent benchmarks find that a random encoder with a linear head comes close to many pretrained ones (arXiv:2602.17531):
no table without one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ecg.lead import STANDARD
from ecg.window import HALO
from model.dataset import Records
from model.frontend import CHUNK, FIRST
from model.net import LOGITS, Answer, Leads, Net
from model.train import grow, in_batches

CENTRE = slice(HALO // 2 - FIRST, HALO // 2 - FIRST + CHUNK)
"""What of a chunk's wave is its own: the chunks of a window in a row."""
EPOCHS, RIDGE = 12, 1e-2
"""Of the ResNet, which learns by heart if it goes on; and how a linear head is held back."""


class Residual(nn.Module):
    """Two convolutions around which the signal is led as well, with half the steps after."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(inputs, outputs, 7, 2, padding=3, bias=False)
        self.second = nn.Conv1d(outputs, outputs, 7, padding=3, bias=False)
        self.past = nn.Conv1d(inputs, outputs, 1, 2, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm1d(outputs) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, t) to (n, outputs, t / 2)."""
        y = functional.relu(self.norms[0](self.first(x)))
        return functional.relu(self.norms[1](self.second(y)) + self.norms[2](self.past(x)))


class ResNet(nn.Module):
    """A small residual network over twelve channels at 125 Hz; a lead that is missing is zero."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(len(STANDARD), 32, 15, 2, padding=7, bias=False)
        self.norm = nn.BatchNorm1d(32)
        self.layers = nn.Sequential(Residual(32, 48), Residual(48, 64), Residual(64, 96), Residual(96, 128))
        self.drop = nn.Dropout(0.3)
        self.heads = nn.Linear(256, LOGITS)

    def forward(self, leads: Leads) -> Answer:
        """Answer for a batch."""
        wave = (leads.wave[..., CENTRE] * leads.level.exp()[..., None]).flatten(2)  # (n, l, 2500), mV
        wave = wave.unflatten(2, (-1, 2)).mean(3)  # (n, l, 1250)
        x = wave.new_zeros(len(wave), len(STANDARD) + 1, wave.shape[2])
        x = x.scatter(1, leads.lead[..., None].expand_as(wave), wave)[:, : len(STANDARD)]  # (n, 12, 1250)
        x = self.layers(functional.relu(self.norm(self.stem(x))))  # (n, 128, 40)
        return Answer.of(self.heads(self.drop(torch.cat([x.mean(2), x.amax(2)], 1))))  # (n, 19)


def random_features(records: Records, names: Sequence[str], seed: int) -> NDArray[np.float32]:
    """Return the tokens of each lead by a stem that has learned nothing, their mean and their largest: (n, l * 128)."""
    torch.manual_seed(seed)
    net, out = Net().eval(), []
    with torch.inference_mode():
        for leads in in_batches(records, np.arange(len(records.name)), names):
            tokens = net.tokens(leads.wave, leads.morlet).token  # (n, l, 25, 64)
            out.append(torch.cat([tokens.mean(2), tokens.amax(2)], 2).flatten(1).numpy())
    return np.concatenate(out)


def linear(x: NDArray[np.float32], truth: NDArray[np.int8], rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Fit a linear head by logistic regression on some rows; return the logits of all, (n, k)."""
    spread = np.maximum(x[rows].std(axis=0), 1e-6)
    scaled = torch.from_numpy((x - x[rows].mean(axis=0)) / spread).float()
    y = torch.from_numpy(truth[rows]).float()
    known = y >= 0
    weight = torch.zeros(x.shape[1], truth.shape[1], requires_grad=True)
    shift = torch.zeros(truth.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, shift], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        logits = scaled[rows] @ weight + shift
        each = functional.binary_cross_entropy_with_logits(logits, y.clamp_min(0), reduction="none")
        loss = (each * known).sum() / known.sum() + RIDGE * (weight**2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    with torch.inference_mode():
        return (scaled @ weight + shift).numpy()


def boosting(records: Records) -> Net:
    """Return an untrained network that answers by its trees alone, grown on these records."""
    net = Net().eval()
    grow(net.trees, records)
    net.trees.share.fill_(1.0)
    return net
