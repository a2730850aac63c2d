"""The network without one of its parts, or with another in its place: the same training, the same folds."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from model.frontend import TOKENS
from model.measured import Forests
from model.net import DEEP, DROP, WIDTH, Net

STATES, SLOWEST, FASTEST = 16, 0.02, 0.5
"""Complex states of each channel and direction, and the range of their first step sizes, in tokens."""


class Unchanged(nn.Module):
    """Gives its first argument back, whatever else it is asked with."""

    def forward(self, x: Tensor, *others: Tensor) -> Tensor:
        """Return x."""
        return x


class Nothing(nn.Linear):
    """A linear map that says zero."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., inputs) to zeros of (..., outputs)."""
        return input.new_zeros(*input.shape[:-1], self.out_features)


def _nothing(like: nn.Linear) -> Nothing:
    return Nothing(like.in_features, like.out_features)


def _cbam(net: Net) -> None:
    net.stem.attention = Unchanged()


def _graph(net: Net) -> None:
    net.graph = Unchanged()


def _transformer(net: Net) -> None:
    net.time = Unchanged()


def _morlet(net: Net) -> None:
    net.stem.morlet = _nothing(net.stem.morlet)


def _person(net: Net) -> None:
    net.questions.person = _nothing(net.questions.person)


class Ungrown(Forests):
    """Trees that stay without a share."""

    def grow(self, x: NDArray[np.float32], truth: NDArray[np.int8]) -> None:
        """Do nothing."""


def _trees(net: Net) -> None:
    net.trees = Ungrown(len(net.trees.base))


PARTS: dict[str, Callable[[Net], None]] = {
    "cbam": _cbam,
    "graph_attention": _graph,
    "transformer": _transformer,
    "morlet": _morlet,
    "age_and_sex": _person,
    "trees": _trees,
}
"""What can be taken out, by name."""


def without(part: str) -> Net:
    """Return an untrained network without one of `PARTS`."""
    net = Net()
    PARTS[part](net)
    return net


class StateSpace(nn.Module):
    """A diagonal state space over tokens in both directions, in the place of `model.net.TimeAttention`.

    S4D-Lin (Gu et al., NeurIPS 2022, arXiv:2206.11893) with zero-order hold and a gated map behind it, then the
    transformer's own second half: as many parameters (33,536 for 33,472) and no more operations. Unlike there, windows
    are so short that the response to each of the 25 tokens is written out as one matrix.
    """

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        shape = (2, WIDTH, STATES)
        self.step = nn.Parameter(torch.rand(shape[:2]) * math.log(FASTEST / SLOWEST) + math.log(SLOWEST))
        self.decay = nn.Parameter(torch.full(shape, math.log(0.5)))
        self.turn = nn.Parameter(math.pi * torch.arange(STATES, dtype=torch.float32).expand(shape).clone())
        self.read = nn.Parameter(torch.randn(*shape, 2) * 0.5**0.5)
        self.skip = nn.Parameter(torch.randn(WIDTH))
        self.tell = nn.Linear(WIDTH, 2 * WIDTH)
        self.up, self.down = nn.Linear(WIDTH, DEEP), nn.Linear(DEEP, WIDTH)
        self.drop = nn.Dropout(DROP)

    def response(self) -> Tensor:
        """Return what each token gives to those from it on, and to those up to it: (2, 64, 25), by distance."""
        rate = torch.complex(-self.decay.exp(), self.turn)  # (2, 64, states)
        moved = rate * self.step.exp()[..., None]  # (2, 64, states)
        held = torch.view_as_complex(self.read) * (moved.exp() - 1) / rate  # (2, 64, states)
        after = (moved[..., None] * torch.arange(TOKENS)).exp()  # (2, 64, states, 25)
        return 2 * torch.einsum("dcs,dcst->dct", held, after).real

    def matrix(self) -> Tensor:
        """Return what each token (last axis) gives to each (64, 25, 25)."""
        ahead, back = self.response()
        apart = torch.arange(TOKENS)[:, None] - torch.arange(TOKENS)
        return ahead[:, apart.clamp_min(0)] * (apart >= 0) + back[:, (-apart).clamp_min(0)] * (apart <= 0)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Map (n, t, 64) to the same shape; tokens where `hidden` (n, 1, 1, t) is below zero give nothing."""
        there = (hidden[:, 0, 0] >= 0)[..., None]  # (n, t, 1)
        given = self.before(x) * there  # (n, t, 64)
        seen = torch.einsum("cab,nbc->nac", self.matrix(), given) + self.skip * given  # (n, t, 64)
        x = x + self.drop(functional.glu(self.tell(functional.gelu(seen)), 2))  # (n, t, 64)
        return x + self.drop(self.down(functional.relu(self.up(self.between(x)))))  # (n, t, 64)


def with_state_space() -> Net:
    """Return an untrained network that has a state-space block in the place of the transformer layer."""
    net = Net()
    net.time = StateSpace()
    return net


VARIANTS: dict[str, Callable[[], Net]] = {
    **{f"net_without_{part}": partial(without, part) for part in PARTS},
    "net_with_state_space": with_state_space,
}
"""The network without each of `PARTS`, and with another part, by the name that it is trained under."""
