"""The diagnosis network, read top to bottom: what each line does to the shape stands at its end.

n windows, l leads (any number, any order, any missing), 5 chunks of 2 s, 50 tokens of 0.2 s. After FoundationalECGNet
(arXiv:2509.08961): wavelets in two stages (`model.frontend`), a convolutional stem with block attention
(CBAM; Woo et al., ECCV 2018, arXiv:1807.06521), graph attention over leads (GAT; Velickovic et al., ICLR 2018,
arXiv:1710.10903), and a transformer over time; after EfficientECG (arXiv:2512.03804) cross-attention with age and sex.

The stem runs on each chunk of each lead alone, without padding: overlapping windows can share it. Leads meet after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ecg.lead import STANDARD, canonical
from ecg.window import CHUNKS
from model.frontend import BANK, STEPS, TOKEN, TOKENS
from model.labels import CONDITIONS, RHYTHMS, SUPERCLASSES

ANY_LEAD = len(STANDARD)
LEADS = len(STANDARD) + 1
"""Leads that the network knows apart; the last is any other."""
_MODIFIED = {"MLI": "I", "MLII": "II", "MLIII": "III"} | {f"MCL{n}": f"V{n}" for n in range(1, 7)}
"""Leads of monitors that look from where a standard one does."""
STEM, WIDTH, HEADS, DEEP = 12, 64, 4, 128
"""Channels of the first convolution and of a token, heads of attention, and width inside the transformer."""
CHANNELS = 32
"""Channels of a step."""
FEATURES = 2 * WIDTH
"""What the heads answer from."""
PULSES, LAGS = 4, (5, 50)
"""Channels that say how much of a beat a step is, and the lags, in steps of 40 ms, at which they are compared."""
DROP = 0.2
YEARS = 50.0
"""Age is given as (age - 50) / 50, and zero where unknown."""


class Leads(NamedTuple):
    """A batch as the network takes it.

    Attributes
    ----------
    wave, morlet, level, mask : Tensor, shapes (n, l, 5, 585), (n, l, 5, 8, 50), (n, l, 5), (n, l, 50)
        As `model.frontend.Chunks` has them of each of five chunks, float32.
    lead : Tensor of int64, shape (n, l)
        Place in `STANDARD`, or 12.
    amplitude : Tensor, shape (n,)
        One where millivolts are the patient's.
    person : Tensor, shape (n, 4)
        Age, one where it is known, sex as -1 or 1, one where it is known.
    """

    wave: Tensor
    morlet: Tensor
    level: Tensor
    mask: Tensor
    lead: Tensor
    amplitude: Tensor
    person: Tensor


class Answer(NamedTuple):
    """Logits: of a normal ECG (n,), conditions (n, 5), superclasses (n, 5), rhythms (n, 8)."""

    normal: Tensor
    condition: Tensor
    superclass: Tensor
    rhythm: Tensor

    def joined(self) -> Tensor:
        """Return all logits in that order, (n, 19)."""
        return torch.cat([self.normal[:, None], *self[1:]], 1)


def place(name: str) -> int:
    """Return which of the leads that the network knows a lead is."""
    usual = canonical(name)
    usual = _MODIFIED.get(usual, usual)
    return STANDARD.index(usual) if usual in STANDARD else ANY_LEAD


class Tokens(NamedTuple):
    """What the stem makes of chunks of leads: tokens (..., 64), and how much of a beat each step is (..., 4, 50).

    In front are m chunks with ten tokens each, or (n, l) leads with fifty tokens; steps are then (n, l, 5, 4, 50).
    """

    token: Tensor
    pulse: Tensor


class BlockAttention(nn.Module):
    """CBAM over one chunk: which channels count, then which moments."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shared = nn.Sequential(nn.Linear(channels, channels // 4), nn.ReLU(), nn.Linear(channels // 4, channels))
        self.moment = nn.Conv1d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """Map (m, channels, t) to the same shape."""
        which = torch.sigmoid(self.shared(x.mean(2)) + self.shared(x.amax(2)))  # (m, channels)
        x = x * which[..., None]
        when = self.moment(torch.stack([x.mean(1), x.amax(1)], 1))  # (m, 1, t)
        return x * torch.sigmoid(when)


class Stem(nn.Module):
    """A chunk of one lead to tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, STEM, 15, 5, bias=False)
        self.first_norm = nn.BatchNorm1d(STEM)
        self.second = nn.Conv1d(STEM, CHANNELS, 5, 2, bias=False)
        self.second_norm = nn.BatchNorm1d(CHANNELS)
        self.deep = nn.Conv1d(CHANNELS, CHANNELS, 7, groups=CHANNELS, bias=False)
        self.mix = nn.Conv1d(CHANNELS, CHANNELS, 1, bias=False)
        self.mix_norm = nn.BatchNorm1d(CHANNELS)
        self.morlet = nn.Conv1d(BANK.bands, CHANNELS, 1)
        self.attention = BlockAttention(CHANNELS)
        self.pulse = nn.Conv1d(CHANNELS, PULSES, 1)

    def forward(self, wave: Tensor, morlet: Tensor) -> Tokens:
        """Map (m, 585) and (m, 8, 50) to (m, 10, 64) and (m, 4, 50)."""
        x = functional.relu(self.first_norm(self.first(wave[:, None])))  # (m, 12, 115)
        x = functional.relu(self.second_norm(self.second(x)))  # (m, 32, 56)
        x = x[:, :, 3:-3] + functional.relu(self.mix_norm(self.mix(self.deep(x))))  # (m, 32, 50)
        x = self.attention(functional.relu(x + self.morlet(morlet)))  # (m, 32, 50)
        parts = x.unflatten(2, (STEPS // TOKEN, TOKEN))  # (m, 32, 10, 5)
        tokens = torch.cat([parts.mean(3), parts.amax(3)], 1).transpose(1, 2)  # (m, 10, 64)
        return Tokens(tokens, functional.relu(self.pulse(x)))  # (m, 10, 64), (m, 4, 50)


class LeadAttention(nn.Module):
    """GAT over the leads of each token: every lead looks at every lead that is there, and knows which is which."""

    def __init__(self) -> None:
        super().__init__()
        self.source, self.target = nn.Linear(WIDTH, HEADS, bias=False), nn.Linear(WIDTH, HEADS, bias=False)
        self.edge = nn.Parameter(torch.zeros(LEADS, LEADS, HEADS))
        self.norm = nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor, lead: Tensor, there: Tensor) -> Tensor:
        """Map (n, l, t, 64), (n, l), (n, l, t) to (n, l, t, 64)."""
        edge = self.edge[lead[:, :, None], lead[:, None, :]]  # (n, l, l, heads)
        score = self.target(x)[:, :, None] + self.source(x)[:, None] + edge[:, :, :, None]  # (n, l, l, t, heads)
        score = functional.leaky_relu(score, 0.2).masked_fill(~there[:, None, :, :, None], -1e4)
        weight = score.softmax(2)  # (n, l, l, t, heads)
        values = x.unflatten(3, (HEADS, WIDTH // HEADS))  # (n, l, t, heads, 16)
        seen = torch.einsum("nabth,nbthc->nathc", weight, values).flatten(3)  # (n, l, t, 64)
        return self.norm(x + functional.relu(seen))


class TimeAttention(nn.Module):
    """A transformer layer over tokens, normalised first."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.ask, self.tell = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, DEEP), nn.Linear(DEEP, WIDTH)
        self.drop = nn.Dropout(DROP)

    def forward(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Map (n, t, 64) to the same shape; `hidden` (n, 1, 1, t) is added to what each token is looked at with."""
        q, k, v = self.ask(self.before(x)).unflatten(2, (3, HEADS, -1)).permute(2, 0, 3, 1, 4)  # (n, heads, t, 16)
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=hidden)  # (n, heads, t, 16)
        x = x + self.drop(self.tell(seen.transpose(1, 2).flatten(2)))  # (n, t, 64)
        return x + self.drop(self.down(functional.relu(self.up(self.between(x)))))  # (n, t, 64)


def _of_leads(chunks: Tokens, shape: torch.Size) -> Tokens:
    """Put what the stem made of chunks in a row in the order of windows, leads and chunks, (n, l, 5)."""
    return Tokens(chunks.token.unflatten(0, shape).flatten(2, 3), chunks.pulse.unflatten(0, shape))


def regularity(pulse: Tensor) -> Tensor:
    """Return how alike a signal is to itself some steps later, over its energy: (n, c, 250) to (n, c, 45).

    An irregular rhythm is like itself at no lag; a regular one at its interval.
    """
    x = pulse - pulse.mean(2, keepdim=True)  # (n, c, 250)
    length = x.shape[2] - LAGS[1] + 1
    later = x.unfold(2, LAGS[1], 1)  # (n, c, 201, 50)
    found = torch.einsum("nct,nctl->ncl", x[:, :, :length], later)  # (n, c, 50)
    return found[:, :, LAGS[0] :] / (found[:, :, :1] + 1e-3)


class Net(nn.Module):
    """Leads of a 10-s window to what is wrong with the heart."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Stem()
        self.lead_gain = nn.Embedding(LEADS, WIDTH)
        self.lead_shift = nn.Embedding(LEADS, WIDTH)
        self.level = nn.Linear(2, WIDTH)
        self.graph = LeadAttention()
        self.join = nn.Parameter(torch.randn(LEADS, WIDTH, WIDTH) * WIDTH**-0.5)
        self.joined = nn.LayerNorm(WIDTH)
        self.place = nn.Parameter(torch.randn(TOKENS, WIDTH) * 0.02)
        self.time = TimeAttention()
        self.ask = nn.Parameter(torch.randn(2, WIDTH) * 0.02)
        self.person = nn.Linear(4, 2 * WIDTH)
        self.cross = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.drop = nn.Dropout(DROP)
        self.hidden = nn.Linear(4 * WIDTH + PULSES * (LAGS[1] - LAGS[0]), FEATURES)
        self.heads = nn.Linear(FEATURES, 1 + len(CONDITIONS) + len(SUPERCLASSES) + len(RHYTHMS))
        nn.init.ones_(self.lead_gain.weight)
        nn.init.zeros_(self.lead_shift.weight)

    def tokens(self, wave: Tensor, morlet: Tensor) -> Tokens:
        """Run the stem over the chunks of leads, (n, l, 5, 585) and (n, l, 5, 8, 50)."""
        return _of_leads(self.stem(wave.flatten(0, 2), morlet.flatten(0, 2)), wave.shape[:3])

    def forward(self, leads: Leads) -> Answer:
        """Answer for a batch."""
        return self.answer(self.tokens(leads.wave, leads.morlet), leads)

    def together(self, batches: Sequence[Leads]) -> list[Answer]:
        """Answer for batches of different sets of leads, with one pass, and one statistic, of the stem for all.

        Chunks that are missing take no part in it.
        """
        flat = [(each.wave.flatten(0, 2), each.morlet.flatten(0, 2)) for each in batches]
        wave, morlet = (torch.cat(parts) for parts in zip(*flat, strict=True))
        there = torch.cat([(each.mask.unflatten(2, (CHUNKS, -1)) > 0).any(3).flatten() for each in batches])
        kept, sizes = there.nonzero()[:, 0], [len(wave) for wave, _ in flat]
        token, pulse = (
            found.new_zeros(len(wave), *found.shape[1:]).index_copy(0, kept, found).split(sizes)
            for found in self.stem(wave[kept], morlet[kept])
        )
        return [
            self.answer(_of_leads(Tokens(t, p), each.wave.shape[:3]), each)
            for t, p, each in zip(token, pulse, batches, strict=True)
        ]

    def answer(self, x: Tokens, leads: Leads) -> Answer:
        """Answer from what the stem made of leads."""
        out = self.heads(self.drop(self.features(x, leads)))  # (n, 19)
        normal, condition, superclass, rhythm = out.split([1, len(CONDITIONS), len(SUPERCLASSES), len(RHYTHMS)], 1)
        return Answer(normal[:, 0], condition, superclass, rhythm)

    def features(self, tokens: Tokens, leads: Leads) -> Tensor:
        """Return what the heads answer from, (n, 128)."""
        lead, there = leads.lead, leads.mask > 0.5  # (n, l), (n, l, 50)
        known = leads.amplitude[:, None, None].expand_as(leads.level)  # (n, l, 5)
        level = self.level(torch.stack([leads.level * known, known], 3))  # (n, l, 5, 64)
        x = tokens.token * self.lead_gain(lead)[:, :, None] + self.lead_shift(lead)[:, :, None]  # (n, l, 50, 64)
        x = x + level.repeat_interleave(TOKENS // CHUNKS, 2)  # (n, l, 50, 64)
        x = self.graph(x, lead, there) * there[..., None]  # (n, l, 50, 64)
        x = torch.einsum("nltc,nlcd->ntd", x, self.join[lead])  # (n, 50, 64)
        count = there.sum(1)[..., None]  # (n, 50, 1): leads of each token
        x = self.joined(x * count.clamp_min(1).rsqrt()) + self.place  # (n, 50, 64)
        gone = (count[..., 0] == 0) & (count.sum(1) > 0)  # (n, 50): none where nothing is there at all
        x = self.time(x, gone[:, None, None] * -1e4)  # (n, 50, 64)
        kept = ~gone[..., None]  # (n, 50, 1)
        mean = (x * kept).sum(1) / kept.sum(1)  # (n, 64)
        peak = x.masked_fill(~kept, -1e4).amax(1)  # (n, 64)
        ask = self.ask + self.person(leads.person).unflatten(1, (2, WIDTH))  # (n, 2, 64)
        found, _ = self.cross(ask, x, x, key_padding_mask=gone, need_weights=False)  # (n, 2, 64)
        step = there.unflatten(2, (CHUNKS, -1)).repeat_interleave(TOKEN, 3)[:, :, :, None]  # (n, l, 5, 1, 50)
        pulse = (tokens.pulse * step).sum(1) / step.sum(1).clamp_min(1)  # (n, 5, 4, 50)
        alike = regularity(pulse.transpose(1, 2).flatten(2))  # (n, 4, 45)
        pooled = torch.cat([mean, peak, found.flatten(1), alike.flatten(1)], 1)  # (n, 436)
        return functional.relu(self.hidden(self.drop(pooled)))  # (n, 128)


def folded(net: Net) -> Net:
    """Fold each normalisation of the stem into its convolution: the same answer with less work."""
    stem = net.stem
    for conv, norm in (("first", "first_norm"), ("second", "second_norm"), ("mix", "mix_norm")):
        setattr(stem, conv, fuse_conv_bn_eval(getattr(stem, conv), getattr(stem, norm)))
        setattr(stem, norm, nn.Identity())
    return net
