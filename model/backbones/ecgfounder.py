"""ECGFounder's network: a one-dimensional residual network with grouped convolutions and squeeze and excitation.

Li et al., "An Electrocardiogram Foundation Model Built on over 10 Million Recordings", NEJM AI 2025,
doi:10.1056/AIoa2401033. Written anew from the names and shapes of the published tensors; names of modules are theirs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

STEM = 64
WIDTHS = (64, 160, 160, 400, 400, 1024, 1024)
"""Channels of each stage."""
DEPTHS = (2, 2, 2, 3, 3, 4, 4)
"""Blocks of each stage; the first halves the time axis."""
KERNEL, STRIDE, GROUP = 16, 2, 16
"""Width of the wide convolutions, stride of each stage, channels of a group."""


def same(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Pad the last axis with zeros, the odd one at its end, so that a convolution gives ceil(t / stride) steps."""
    steps = -(-x.shape[-1] // stride)
    short = max(0, (steps - 1) * stride + kernel - x.shape[-1])
    return functional.pad(x, (short // 2, short - short // 2))


class SameConv(nn.Module):
    """A convolution over a padded time axis."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, t) to (n, outputs, ceil(t / stride))."""
        return self.conv(same(x, self.kernel, self.stride))


class Norm(nn.BatchNorm1d):
    """A normalisation that the published files hold and the published network leaves out."""

    def forward(self, input: Tensor) -> Tensor:
        """Return the input as it is."""
        return input


class Block(nn.Module):
    """Three convolutions, narrow, wide in groups, narrow, weighed by channel and added to the input."""

    def __init__(self, inputs: int, outputs: int, *, first: bool, halves: bool) -> None:
        super().__init__()
        self.first, self.halves, self.grows = first, halves, outputs - inputs
        self.bn1, self.conv1 = Norm(inputs), SameConv(inputs, outputs, 1)
        stride = STRIDE if halves else 1
        self.bn2, self.conv2 = Norm(outputs), SameConv(outputs, outputs, KERNEL, stride, outputs // GROUP)
        self.bn3, self.conv3 = Norm(outputs), SameConv(outputs, outputs, 1)
        self.se_fc1 = nn.Linear(outputs, outputs // 2)
        self.se_fc2 = nn.Linear(outputs // 2, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, t) to (n, outputs, t or ceil(t / 2))."""
        y = self.conv1(x if self.first else functional.silu(self.bn1(x)))  # (n, outputs, t)
        y = self.conv2(functional.silu(self.bn2(y)))  # (n, outputs, t or ceil(t / 2))
        y = self.conv3(functional.silu(self.bn3(y)))  # (n, outputs, t or ceil(t / 2))
        weight = torch.sigmoid(self.se_fc2(functional.silu(self.se_fc1(y.mean(2)))))  # (n, outputs)
        if self.halves:
            x = functional.max_pool1d(functional.pad(x, (0, STRIDE - 1)), STRIDE)  # (n, inputs, ceil(t / 2))
        beside = self.grows // 2
        return y * weight[..., None] + functional.pad(x, (0, 0, beside, self.grows - beside))


class Stage(nn.Module):
    """Blocks of one width, the first of which halves the time axis."""

    def __init__(self, inputs: int, outputs: int, depth: int, *, first: bool) -> None:
        super().__init__()
        blocks = (
            Block(inputs if not k else outputs, outputs, first=first and not k, halves=not k) for k in range(depth)
        )
        self.block_list = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, inputs, t) to (n, outputs, ceil(t / 2))."""
        return self.block_list(x)


class ECGFounder(nn.Module):
    """Leads of 10 s at 500 Hz to features and logits.

    Parameters
    ----------
    leads, labels : int
        Leads that the network takes, and answers that its head gives.

    Attributes
    ----------
    features : int
        Features of a window.
    """

    def __init__(self, leads: int, labels: int) -> None:
        super().__init__()
        self.features = WIDTHS[-1]
        self.first_conv = SameConv(leads, STEM, KERNEL, STRIDE)
        self.first_bn = Norm(STEM)
        before = (STEM, *WIDTHS)
        self.stage_list = nn.Sequential(
            *(Stage(before[k], WIDTHS[k], DEPTHS[k], first=not k) for k in range(len(WIDTHS)))
        )
        self.dense = nn.Linear(self.features, labels)

    def encode(self, x: Tensor) -> Tensor:
        """Map windows (n, leads, 5000) to features (n, 1024)."""
        x = functional.silu(self.first_bn(self.first_conv(x)))  # (n, 64, 2500)
        return self.stage_list(x).mean(2)  # (n, 1024, 20) to (n, 1024)

    def answer(self, features: Tensor) -> Tensor:
        """Map features (n, 1024) to logits (n, labels)."""
        return self.dense(features)
