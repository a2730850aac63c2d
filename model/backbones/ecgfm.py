"""ECG-FM's network: wav2vec 2.0 over twelve leads, a few convolutions and then a transformer.

McKeen et al., "ECG-FM: An Open Electrocardiogram Foundation Model", JAMIA Open 2025, doi:10.1093/jamiaopen/ooaf122;
Baevski et al., "wav2vec 2.0", NeurIPS 2020. Written anew from the names and shapes of the published tensors; names of
modules are theirs. What pretraining alone needs (masking, quantizer) is not here.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

CONVOLUTIONS, CHANNELS, KERNEL = 4, 256, 2
"""Convolutions before the transformer, their channels, and their width, which is their stride."""
LAYERS, WIDTH, INNER, HEADS = 12, 768, 3072, 12
"""Layers of the transformer, its width, the width inside a layer, and its heads."""
PLACE, PLACE_GROUPS = 128, 16
"""Width and groups of the convolution that tells places apart."""


class Convolutions(nn.Module):
    """Four convolutions of stride 2, the first normalised over time by channel."""

    def __init__(self, leads: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for k in range(CONVOLUTIONS):
            conv = nn.Conv1d(CHANNELS if k else leads, CHANNELS, KERNEL, KERNEL, bias=False)
            norm: list[nn.Module] = [] if k else [nn.GroupNorm(CHANNELS, CHANNELS)]
            layers.append(nn.Sequential(conv, nn.Identity(), *norm, nn.GELU()))
        self.conv_layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, leads, 2500) to (n, 256, 156)."""
        return self.conv_layers(x)


class Normed(nn.Module):
    """A weight as a direction at each tap of the kernel, and its length there (weight normalisation)."""

    def __init__(self) -> None:
        super().__init__()
        self.original0 = nn.Parameter(torch.ones(1, 1, PLACE))
        self.original1 = nn.Parameter(torch.empty(WIDTH, WIDTH // PLACE_GROUPS, PLACE))

    def forward(self) -> Tensor:
        """Return the weight, (768, 48, 128)."""
        return self.original1 * (self.original0 / torch.linalg.vector_norm(self.original1, dim=(0, 1), keepdim=True))


class PlaceConv(nn.Module):
    """A wide grouped convolution of as many steps as its input."""

    def __init__(self) -> None:
        super().__init__()
        self.parametrizations = nn.ModuleDict({"weight": Normed()})
        self.bias = nn.Parameter(torch.zeros(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 768, t) to the same shape."""
        weight = self.parametrizations["weight"]()
        y = functional.conv1d(x, weight, self.bias, padding=PLACE // 2, groups=PLACE_GROUPS)
        return y[..., : x.shape[2]]  # an even width gives one step too many


class Place(nn.Module):
    """A convolution that is added to its input, instead of an embedding of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.pos_conv = nn.Sequential(PlaceConv())

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, t, 768) to the same shape."""
        return x + functional.gelu(self.pos_conv(x.transpose(1, 2))).transpose(1, 2)


class Attention(nn.Module):
    """Attention of each step to all steps, by twelve heads."""

    def __init__(self) -> None:
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(WIDTH, WIDTH) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, t, 768) to the same shape."""
        q, k, v = (
            project(x).unflatten(2, (HEADS, -1)).transpose(1, 2)  # (n, 12, t, 64)
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        y = functional.scaled_dot_product_attention(q, k, v)
        return self.out_proj(y.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Attention and a two-layer network, each added to its input and then normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn, self.self_attn_layer_norm = Attention(), nn.LayerNorm(WIDTH)
        self.fc1, self.fc2 = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.final_layer_norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, t, 768) to the same shape."""
        x = self.self_attn_layer_norm(x + self.self_attn(x))
        return self.final_layer_norm(x + self.fc2(functional.gelu(self.fc1(x))))


class Transformer(nn.Module):
    """Twelve layers over a normalised input."""

    def __init__(self) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(WIDTH)
        self.layers = nn.Sequential(*(Layer() for _ in range(LAYERS)))

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, t, 768) to the same shape."""
        return self.layers(self.layer_norm(x))


class Encoder(nn.Module):
    """All but the head, as it is pretrained."""

    def __init__(self, leads: int) -> None:
        super().__init__()
        self.feature_extractor = Convolutions(leads)
        self.layer_norm = nn.LayerNorm(CHANNELS)
        self.post_extract_proj = nn.Linear(CHANNELS, WIDTH)
        self.conv_pos = Place()
        self.encoder = Transformer()

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, leads, 2500) to (n, 156, 768)."""
        x = self.layer_norm(self.feature_extractor(x).transpose(1, 2))  # (n, 156, 256)
        return self.encoder(self.conv_pos(self.post_extract_proj(x)))  # (n, 156, 768)


class ECGFM(nn.Module):
    """Leads of 5 s at 500 Hz to features and logits.

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
        self.features = WIDTH
        self.encoder = Encoder(leads)
        self.proj = nn.Linear(self.features, labels)

    def encode(self, x: Tensor) -> Tensor:
        """Map windows (n, leads, 2500) to features (n, 768)."""
        return self.encoder(x).mean(1)

    def answer(self, features: Tensor) -> Tensor:
        """Map features (n, 768) to logits (n, labels)."""
        return self.proj(features)
