"""Pretraining without labels: what some leads show while they are hidden is told from the others.

Masked modelling over leads (after He et al., CVPR 2022, arXiv:2111.06377, and, for leads of an ECG, Na et al.,
ICLR 2024, arXiv:2402.09450): of each window a random share of its leads is hidden, and each token of 0.4 s behind the
transformer must say what the hidden leads had there, their Morlet bands and their signal in steps of 40 ms. A linear
map for each lead says it, which is thrown away; stem, graph, map of leads and transformer stay. Nothing here sees a
label. Of monitors' windows those with two leads take part.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model import train
from model.frontend import BANK, CHUNK, STEP, STEPS, TOKEN, WAVE
from model.net import LEADS, WIDTH, Leads, Net
from model.train import RATE, WINDOW_BATCH, Sets, Show

EPOCHS = 12
"""Of pretraining, as shipped."""
CONTENT = BANK.bands + TOKEN
"""Numbers that say what a lead shows in a token: the mean of each band, and of each step of its signal."""
EDGE = (WAVE - CHUNK) // 2
LEAST_SPREAD = 1e-3
"""Variance of a number of the content that it is at least taken for."""


class Hidden(nn.Module):
    """A network with the maps that tell hidden leads from its tokens."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net
        self.map = nn.Parameter(torch.randn(LEADS, WIDTH, CONTENT) * 0.1 * WIDTH**-0.5)
        self.shift = nn.Parameter(torch.zeros(LEADS, CONTENT))

    def forward(self, shown: list[Leads]) -> list[Tensor]:
        """Say what each lead of batches shows in each token, (n, l, 25, 18), from those that are not masked."""
        seen: list[Tensor] = []

        def keep(module: nn.Module, given: tuple[Tensor, ...], made: Tensor) -> None:
            seen.append(made)

        hook = self.net.time.register_forward_hook(keep)
        for tokens, leads in zip(self.net.together(shown), shown, strict=True):
            self.net.features(tokens, leads)
        hook.remove()
        return [
            torch.einsum("ntc,nlcd->nltd", x, self.map[leads.lead]) + self.shift[leads.lead][:, :, None]
            for x, leads in zip(seen, shown, strict=True)
        ]


def pretrained(sets: Sets, seed: int, epochs: int, show: Show = lambda line: None) -> Net:
    """Return a network whose tokens tell hidden leads; its heads have learned nothing.

    Parameters
    ----------
    sets : Sets
        Records and windows, of which no label is used: they may be of all patients but those of the test.
    seed, epochs : int
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    pairs = _pairs(sets)
    model = Hidden(Net()).train()

    def loss(rows: NDArray[np.int64]) -> Tensor:
        batches = [train.drawn(sets.copies, rows, rng)[0]]
        if sets.windows is not None and len(pairs):
            batches.append(train.batch([sets.windows.take(rng.choice(pairs, WINDOW_BATCH))]))
        return _loss(model, batches, [hidden(leads, rng) for leads in batches])

    train.descend(model, sets.rows, rng, loss, epochs, RATE, "share of hidden leads that stays untold", show)
    return model.net


def _pairs(sets: Sets) -> NDArray[np.int64]:
    """Return the windows that have two leads."""
    if sets.windows is None:
        return sets.seen
    return sets.seen[(sets.windows.leads.mask[sets.seen] > 0).any(axis=(2, 3)).all(axis=-1)]


def hidden(leads: Leads, rng: np.random.Generator) -> Leads:
    """Return windows with a random share of their leads masked; each keeps one of those that it has."""
    there = (leads.mask > 0).any(2)  # (n, l)
    drawn = torch.from_numpy(rng.random(there.shape)) * there  # (n, l)
    share = torch.from_numpy(rng.random((len(there), 1)))  # (n, 1)
    kept = ((drawn > share) | (drawn == drawn.amax(1, keepdim=True))).float()  # (n, l)
    wide = kept[:, :, None, None]  # (n, l, 1, 1)
    return leads._replace(
        wave=leads.wave * wide,
        morlet=leads.morlet * wide[..., None],
        level=leads.level * kept[..., None],
        mask=leads.mask * kept[..., None],
    )


def content(leads: Leads) -> Tensor:
    """Return what each lead shows in each token, (n, l, 25, 18): its bands, then its signal in steps."""
    bands = leads.morlet.unflatten(4, (-1, TOKEN)).mean(5).transpose(3, 4)  # (n, l, 5, 5, 8)
    wave = leads.wave[..., EDGE : EDGE + CHUNK].unflatten(3, (STEPS, STEP)).mean(4)  # (n, l, 5, 50)
    return torch.cat([bands, wave.unflatten(3, (-1, TOKEN))], 4).flatten(2, 3)  # (n, l, 25, 18)


def _loss(model: Hidden, whole: list[Leads], shown: list[Leads]) -> Tensor:
    """Return the squared error over hidden tokens, over their variance: one where nothing is told."""
    loss = model.shift.new_zeros(())
    for told, leads, seen in zip(model(shown), whole, shown, strict=True):
        asked = (leads.mask > 0.5) & (seen.mask == 0)  # (n, l, 25)
        if asked.any():
            truth = content(leads)[asked]  # (m, 18)
            spread = truth.var(0, correction=0).clamp_min(LEAST_SPREAD)  # (18,)
            loss = loss + ((told[asked] - truth).square() / spread).mean() / len(whole)
    return loss
