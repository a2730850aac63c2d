"""The network without one of its parts, to see what that part is worth: the same training, the same folds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from model.measured import Forests
from model.net import Net


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


def _measured(net: Net) -> None:
    net.shape = _nothing(net.shape)


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
    "measured": _measured,
    "trees": _trees,
}
"""What can be taken out, by name."""


def without(part: str) -> Net:
    """Return an untrained network without one of `PARTS`."""
    net = Net()
    PARTS[part](net)
    return net
