"""The diagnosis network, read top to bottom: what each line does to the shape stands at its end.

n windows, l leads (any number, any order, any missing), 5 chunks of 2 s, 50 tokens of 0.2 s. After FoundationalECGNet
(arXiv:2509.08961): wavelets in two stages (`model.diagnosis.frontend`), a convolutional stem with block attention
(CBAM; Woo et al., ECCV 2018, arXiv:1807.06521), graph attention over leads (GAT; Velickovic et al., ICLR 2018,
arXiv:1710.10903), and a transformer over time; after EfficientECG (arXiv:2512.03804) cross-attention with age and sex.

The stem runs on each chunk of each lead alone, without padding: overlapping windows can share it. Leads meet after it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ecg.lead import STANDARD
from model.diagnosis.frontend import BANK, CHUNKS, STEPS, TOKEN, TOKENS
from model.diagnosis.labels import CONDITIONS, RHYTHMS, SUPERCLASSES

LEADS = len(STANDARD) + 1
"""Leads that the network knows apart; the last is any other."""
STEM, WIDTH, HEADS, DEEP = 12, 64, 4, 128
"""Channels of the first convolution and of a token, heads of attention, and width inside the transformer."""
CHANNELS = 32
"""Channels of a step."""
DROP = 0.2
YEARS = 50.0
"""Age is given as (age - 50) / 50, and zero where unknown."""


class Leads(NamedTuple):
    """A batch as the network takes it.

    Attributes
    ----------
    wave, morlet, level, mask : Tensor, shapes (n, l, 5, 585), (n, l, 5, 8, 50), (n, l, 5), (n, l, 50)
        As `model.diagnosis.frontend.Chunks` has them, float32.
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
    """Logits: of a normal ECG (n,), conditions (n, 5), superclasses (n, 5), rhythms (n, 4)."""

    normal: Tensor
    condition: Tensor
    superclass: Tensor
    rhythm: Tensor


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

    def forward(self, wave: Tensor, morlet: Tensor) -> Tensor:
        """Map (m, 585) and (m, 8, 50) to (m, 10, 64)."""
        x = functional.relu(self.first_norm(self.first(wave[:, None])))  # (m, 12, 115)
        x = functional.relu(self.second_norm(self.second(x)))  # (m, 32, 56)
        x = x[:, :, 3:-3] + functional.relu(self.mix_norm(self.mix(self.deep(x))))  # (m, 32, 50)
        x = self.attention(functional.relu(x + self.morlet(morlet)))  # (m, 32, 50)
        parts = x.unflatten(2, (STEPS // TOKEN, TOKEN))  # (m, 32, 10, 5)
        return torch.cat([parts.mean(3), parts.amax(3)], 1).transpose(1, 2)  # (m, 10, 64)


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
        return self.norm(x + functional.elu(seen))


class DiagnosisNet(nn.Module):
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
        self.time = nn.TransformerEncoderLayer(
            WIDTH, HEADS, DEEP, DROP, functional.gelu, batch_first=True, norm_first=True
        )
        self.ask = nn.Parameter(torch.randn(2, WIDTH) * 0.02)
        self.person = nn.Linear(4, 2 * WIDTH)
        self.cross = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
        self.drop = nn.Dropout(DROP)
        self.hidden = nn.Linear(4 * WIDTH, 2 * WIDTH)
        self.heads = nn.Linear(2 * WIDTH, 1 + len(CONDITIONS) + len(SUPERCLASSES) + len(RHYTHMS))
        nn.init.ones_(self.lead_gain.weight)
        nn.init.zeros_(self.lead_shift.weight)

    def tokens(self, wave: Tensor, morlet: Tensor) -> Tensor:
        """Run the stem over the chunks of leads: (n, l, 5, 585) and (n, l, 5, 8, 50) to (n, l, 50, 64)."""
        shape = wave.shape[:3]
        return self.stem(wave.flatten(0, 2), morlet.flatten(0, 2)).unflatten(0, shape).flatten(2, 3)

    def forward(self, leads: Leads) -> Answer:
        """Answer for a batch."""
        return self.answer(self.tokens(leads.wave, leads.morlet), leads)

    def answer(self, x: Tensor, leads: Leads) -> Answer:
        """Answer from the stem's tokens (n, l, 50, 64)."""
        lead, there = leads.lead, leads.mask > 0.5  # (n, l), (n, l, 50)
        known = leads.amplitude[:, None, None].expand_as(leads.level)  # (n, l, 5)
        level = self.level(torch.stack([leads.level * known, known], 3))  # (n, l, 5, 64)
        x = x * self.lead_gain(lead)[:, :, None] + self.lead_shift(lead)[:, :, None]  # (n, l, 50, 64)
        x = x + level.repeat_interleave(TOKENS // CHUNKS, 2)  # (n, l, 50, 64)
        x = self.graph(x, lead, there) * there[..., None]  # (n, l, 50, 64)
        x = torch.einsum("nltc,nlcd->ntd", x, self.join[lead])  # (n, 50, 64)
        count = there.sum(1)[..., None]  # (n, 50, 1): leads of each token
        x = self.joined(x * count.clamp_min(1).rsqrt()) + self.place  # (n, 50, 64)
        gone = (count[..., 0] == 0) & (count.sum(1) > 0)  # (n, 50): none where nothing is there at all
        x = self.time(x, src_key_padding_mask=gone)  # (n, 50, 64)
        kept = ~gone[..., None]  # (n, 50, 1)
        mean = (x * kept).sum(1) / kept.sum(1)  # (n, 64)
        peak = x.masked_fill(~kept, -1e4).amax(1)  # (n, 64)
        ask = self.ask + self.person(leads.person).unflatten(1, (2, WIDTH))  # (n, 2, 64)
        found, _ = self.cross(ask, x, x, key_padding_mask=gone, need_weights=False)  # (n, 2, 64)
        pooled = torch.cat([mean, peak, found.flatten(1)], 1)  # (n, 256)
        out = self.heads(self.drop(functional.gelu(self.hidden(self.drop(pooled)))))  # (n, 15)
        normal, condition, superclass, rhythm = out.split([1, len(CONDITIONS), len(SUPERCLASSES), len(RHYTHMS)], 1)
        return Answer(normal[:, 0], condition, superclass, rhythm)
