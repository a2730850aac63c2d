"""The diagnosis network, read top to bottom: what each line does to the shape stands at its end.

n windows, l leads (any number, any order, any missing), 5 chunks of 2 s, 25 tokens of 0.4 s. After FoundationalECGNet
(arXiv:2509.08961): wavelets in two stages (`model.frontend`), a convolutional stem with block attention
(CBAM; Woo et al., ECCV 2018, arXiv:1807.06521), graph attention over leads (GAT; Velickovic et al., ICLR 2018,
arXiv:1710.10903), and a transformer over time; after EfficientECG (arXiv:2512.03804) cross-attention with age and sex.

The stem runs on each chunk of each lead alone, without padding: overlapping windows can share it. Leads meet after it.
Trees over what is measured of each lead (`model.measured`) have a say in what is wrong, though not in the rhythm: the
answer is the mean of the network's log-odds and theirs.
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
from model.measured import DESCRIBED, Forests, described, spread, steepest

ANY_LEAD = len(STANDARD)
LEADS = len(STANDARD) + 1
"""Leads that the network knows apart; the last is any other."""
_MODIFIED = {"MLI": "I", "MLII": "II", "MLIII": "III"} | {f"MCL{n}": f"V{n}" for n in range(1, 7)}
"""Leads of monitors that look from where a standard one does."""
STEM, WIDTH, HEADS, DEEP = 12, 64, 4, 128
"""Channels of the first convolution and of a token, heads of attention, and width inside the transformer."""
CHANNELS = 32
"""Channels of a step."""
FEATURES, LOGITS = 2 * WIDTH, 1 + len(CONDITIONS) + len(SUPERCLASSES) + len(RHYTHMS)
"""What the heads answer from, and how much they answer."""
PULSES, LAGS = 4, (5, 50)
"""Channels that say how much of a beat a step is, and the lags, in steps of 40 ms, at which they are compared."""
DROP = 0.2
YEARS = 50.0
"""Age is given as (age - 50) / 50, and zero where unknown."""


class Leads(NamedTuple):
    """A batch as the network takes it.

    Attributes
    ----------
    wave, morlet, level, mask : Tensor, shapes (n, l, 5, 585), (n, l, 5, 8, 50), (n, l, 5), (n, l, 25)
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

    def some(self, rows: Sequence[int]) -> Leads:
        """Return some of the leads."""
        wave, morlet, level, mask, lead = (part[:, rows] for part in self[:5])
        return Leads(wave, morlet, level, mask, lead, self.amplitude, self.person)


class Answer(NamedTuple):
    """Logits: of a normal ECG (n,), conditions (n, 5), superclasses (n, 5), rhythms (n, 8)."""

    normal: Tensor
    condition: Tensor
    superclass: Tensor
    rhythm: Tensor

    @classmethod
    def of(cls, logits: Tensor) -> Answer:
        """Cut logits in that order, (n, 19)."""
        normal, *rest = logits.split([1, len(CONDITIONS), len(SUPERCLASSES), len(RHYTHMS)], 1)
        return cls(normal[:, 0], *rest)

    def joined(self) -> Tensor:
        """Return all logits in that order, (n, 19)."""
        return torch.cat([self.normal[:, None], *self[1:]], 1)


def place(name: str) -> int:
    """Return which of the leads that the network knows a lead is."""
    usual = canonical(name)
    usual = _MODIFIED.get(usual, usual)
    return STANDARD.index(usual) if usual in STANDARD else ANY_LEAD


class Tokens(NamedTuple):
    """What is made of the chunks of leads before these meet.

    Attributes
    ----------
    token : Tensor, shape (n, l, 25, 64)
    pulse : Tensor, shape (n, l, 5, 50, 4)
        How much of a beat each step is.
    beat : Tensor, shape (n, l, 5, 37)
        The steepest beat of each chunk.
    spread : Tensor, shape (n, l, 5, 20)
        As `measured.spread` gives it.
    """

    token: Tensor
    pulse: Tensor
    beat: Tensor
    spread: Tensor

    def some(self, rows: Sequence[int], wave: Tensor) -> Tokens:
        """Return what is made of some of the leads, whose signal is (n, fewer, 5, 585)."""
        return Tokens(self.token[:, rows], self.pulse[:, rows], beats(wave), self.spread[:, rows])


def beats(wave: Tensor) -> Tensor:
    """Return the steepest beat of each chunk of windows: (n, l, 5, 585) to (n, l, 5, 37)."""
    found = steepest(wave.transpose(1, 2).flatten(0, 1))  # (n * 5, l, 37)
    return found.unflatten(0, (len(wave), -1)).transpose(1, 2)


class BlockAttention(nn.Module):
    """CBAM over one chunk: which channels count, then which moments."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shared = nn.Sequential(nn.Linear(channels, channels // 4), nn.ReLU(), nn.Linear(channels // 4, channels))
        self.moment: nn.Module = nn.Conv1d(2, 1, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """Map (m, t, channels) to the same shape."""
        which = torch.sigmoid(self.shared(x.mean(1)) + self.shared(x.amax(1)))  # (m, channels)
        x = x * which[:, None]
        when = self.moment(torch.stack([x.mean(2), x.amax(2)], 1))  # (m, 1, t)
        return x * torch.sigmoid(when).transpose(1, 2)


class AsProduct(nn.Linear):
    """A convolution of few channels over the steps of a chunk, as the product of matrices that it is."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__(2 * STEPS, STEPS)
        with torch.no_grad():
            nothing = conv(torch.zeros(1, 2, STEPS))[0, 0]  # (t,)
            each = conv(torch.eye(2 * STEPS).unflatten(1, (2, STEPS)))[:, 0] - nothing  # (2 * t, t)
            self.weight.copy_(each.T)
            self.bias.copy_(nothing)

    def forward(self, input: Tensor) -> Tensor:
        """Map (m, 2, t) to (m, 1, t)."""
        return super().forward(input.flatten(1))[:, None]


class Stem(nn.Module):
    """A chunk of one lead to tokens. Channels lie innermost in memory, where small convolutions are fastest."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, STEM, (1, 15), (1, 5), bias=False)
        self.first_norm = nn.BatchNorm2d(STEM)
        self.second = nn.Conv2d(STEM, CHANNELS, (1, 5), (1, 2), bias=False)
        self.second_norm = nn.BatchNorm2d(CHANNELS)
        self.deep = nn.Conv2d(CHANNELS, CHANNELS, (1, 7), groups=CHANNELS, bias=False)
        self.mix = nn.Conv2d(CHANNELS, CHANNELS, 1, bias=False)
        self.mix_norm = nn.BatchNorm2d(CHANNELS)
        self.morlet = nn.Linear(BANK.bands, CHANNELS)
        self.attention: nn.Module = BlockAttention(CHANNELS)
        self.pulse = nn.Linear(CHANNELS, PULSES)
        self.to(memory_format=torch.channels_last)

    def forward(self, wave: Tensor, morlet: Tensor) -> tuple[Tensor, Tensor]:
        """Map (m, 585) and (m, 8, 50) to tokens (m, 5, 64), and how much of a beat each step is (m, 50, 4)."""
        x = functional.relu(self.first_norm(self.first(wave[:, None, None])))  # (m, 12, 1, 115)
        x = functional.relu(self.second_norm(self.second(x)))  # (m, 32, 1, 56)
        x = x[..., 3:-3] + functional.relu(self.mix_norm(self.mix(self.deep(x))))  # (m, 32, 1, 50)
        x = x[:, :, 0].transpose(1, 2) + self.morlet(morlet.transpose(1, 2))  # (m, 50, 32)
        x = self.attention(functional.relu(x))  # (m, 50, 32)
        parts = x.unflatten(1, (STEPS // TOKEN, TOKEN))  # (m, 5, 10, 32)
        tokens = torch.cat([parts.mean(2), parts.amax(2)], 2)  # (m, 5, 64)
        return tokens, functional.relu(self.pulse(x))  # (m, 5, 64), (m, 50, 4)


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


class Questions(nn.Module):
    """Cross-attention by two questions that age and sex shape; questions are few, so that they go to the tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.ask = nn.Parameter(torch.randn(2, WIDTH) * 0.02)
        self.person = nn.Linear(4, 2 * WIDTH)
        self.query, self.tell = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)
        self.key, self.value = (nn.Parameter(torch.randn(HEADS, WIDTH // HEADS, WIDTH) * WIDTH**-0.5) for _ in "kv")

    def forward(self, x: Tensor, person: Tensor, hidden: Tensor) -> Tensor:
        """Map (n, t, 64), (n, 4) to (n, 2, 64); `hidden` (n, 1, t) is added to what each token is looked at with."""
        ask = self.ask + self.person(person).unflatten(1, (2, WIDTH))  # (n, 2, 64)
        query = self.query(ask).unflatten(2, (HEADS, -1))  # (n, 2, heads, 16)
        query = torch.einsum("nqhc,hcd->nqhd", query, self.key).flatten(1, 2)  # (n, 2 * heads, 64)
        score = query @ x.transpose(1, 2) * (WIDTH // HEADS) ** -0.5 + hidden  # (n, 2 * heads, t)
        seen = (score.softmax(2) @ x).unflatten(1, (2, HEADS))  # (n, 2, heads, 64)
        return self.tell(torch.einsum("nqhd,hcd->nqhc", seen, self.value).flatten(2))  # (n, 2, 64)


def regularity(pulse: Tensor) -> Tensor:
    """Return how alike a signal is to itself some steps later, over its energy: (n, 250, c) to (n, c, 45).

    An irregular rhythm is like itself at no lag; a regular one at its interval. The first 8 s are compared with what
    is up to 2 s behind them; the products for all lags at once are one of spectra.
    """
    x = (pulse - pulse.mean(1, keepdim=True)).transpose(1, 2)  # (n, c, 250)
    length = x.shape[2]
    early = torch.fft.rfft(x[:, :, : length - LAGS[1] + 1], n=length)  # (n, c, 126)
    found = torch.fft.irfft(early.conj() * torch.fft.rfft(x), n=length)[:, :, : LAGS[1]]  # (n, c, 50)
    return found[:, :, LAGS[0] :] / (found[:, :, :1] + 1e-3)


class Net(nn.Module):
    """Leads of a 10-s window to what is wrong with the heart."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Stem()
        self.lead_gain = nn.Embedding(LEADS, WIDTH)
        self.lead_shift = nn.Embedding(LEADS, WIDTH)
        self.level = nn.Linear(2, WIDTH)
        self.graph: nn.Module = LeadAttention()
        self.join = nn.Parameter(torch.randn(LEADS, WIDTH, WIDTH) * WIDTH**-0.5)
        self.joined = nn.LayerNorm(WIDTH)
        self.place = nn.Parameter(torch.randn(TOKENS, WIDTH) * 0.02)
        self.time: nn.Module = TimeAttention()
        self.questions = Questions()
        self.trees = Forests(1 + len(CONDITIONS) + len(SUPERCLASSES))
        self.drop = nn.Dropout(DROP)
        self.hidden = nn.Linear(4 * WIDTH + PULSES * (LAGS[1] - LAGS[0]), FEATURES)
        self.heads = nn.Linear(FEATURES, LOGITS)
        nn.init.ones_(self.lead_gain.weight)
        nn.init.zeros_(self.lead_shift.weight)

    def tokens(self, wave: Tensor, morlet: Tensor) -> Tokens:
        """Run the stem over the chunks of leads, (n, l, 5, 585) and (n, l, 5, 8, 50), and find their beats."""
        token, pulse = self.stem(wave.flatten(0, 2), morlet.flatten(0, 2))  # (n * l * 5, 5, 64), (n * l * 5, 50, 4)
        return _of_leads(token, pulse, wave, spread(wave, morlet))

    def forward(self, leads: Leads) -> Answer:
        """Answer for a batch."""
        return self.answer(self.tokens(leads.wave, leads.morlet), leads)

    def together(self, batches: Sequence[Leads]) -> list[Tokens]:
        """Return the tokens of batches of different sets of leads, with one pass, and one statistic, of the stem.

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
            _of_leads(t, p, each.wave, spread(each.wave, each.morlet))
            for t, p, each in zip(token, pulse, batches, strict=True)
        ]

    def answer(self, x: Tokens, leads: Leads) -> Answer:
        """Answer from what the stem made of leads; while it learns, without the trees."""
        out = self.heads(self.drop(self.features(x, leads)))  # (n, 19)
        if not self.training:
            own = len(self.trees.base)
            said = self.trees(out[:, :own], in_places(x.beat, x.spread, leads))  # (n, 11)
            out = torch.cat([said, out[:, own:]], 1)  # (n, 19)
        return Answer.of(out)

    def features(self, tokens: Tokens, leads: Leads) -> Tensor:
        """Return what the heads answer from, (n, 128)."""
        lead, there = leads.lead, leads.mask > 0.5  # (n, l), (n, l, 25)
        known = leads.amplitude[:, None, None].expand_as(leads.level)  # (n, l, 5)
        level = self.level(torch.stack([leads.level * known, known], 3))  # (n, l, 5, 64)
        x = tokens.token * self.lead_gain(lead)[:, :, None] + self.lead_shift(lead)[:, :, None]  # (n, l, 25, 64)
        x = x + level.repeat_interleave(TOKENS // CHUNKS, 2)  # (n, l, 25, 64)
        x = self.graph(x, lead, there) * there[..., None]  # (n, l, 25, 64)
        beside = x.transpose(1, 2).flatten(2)  # (n, 25, l * 64)
        x = beside @ self.join[lead].flatten(1, 2)  # (n, 25, 64)
        count = there.sum(1)[..., None]  # (n, 25, 1): leads of each token
        x = self.joined(x * count.clamp_min(1).rsqrt()) + self.place  # (n, 25, 64)
        gone = (count[..., 0] == 0) & (count.sum(1) > 0)  # (n, 25): none where nothing is there at all
        hidden = gone[:, None] * -1e4  # (n, 1, 25)
        x = self.time(x, hidden[:, None])  # (n, 25, 64)
        kept = ~gone[..., None]  # (n, 25, 1)
        mean = (x * kept).sum(1) / kept.sum(1)  # (n, 64)
        peak = x.masked_fill(~kept, -1e4).amax(1)  # (n, 64)
        found = self.questions(x, leads.person, hidden)  # (n, 2, 64)
        pulse = tokens.pulse.flatten(2, 3).unflatten(2, (TOKENS, TOKEN)) * there[..., None, None]  # (n, l, 25, 10, 4)
        pulse = pulse.sum(1) / count[..., None].clamp_min(1)  # (n, 25, 10, 4)
        alike = regularity(pulse.flatten(1, 2))  # (n, 4, 45)
        pooled = torch.cat([mean, peak, found.flatten(1), alike.flatten(1)], 1)  # (n, 436)
        return functional.relu(self.hidden(self.drop(pooled)))  # (n, 128)


def _of_leads(token: Tensor, pulse: Tensor, wave: Tensor, spread: Tensor) -> Tokens:
    """Put what the stem made of chunks in a row in the order of windows, leads and chunks, beside their beats."""
    shape = wave.shape[:3]
    return Tokens(token.unflatten(0, shape).flatten(2, 3), pulse.unflatten(0, shape), beats(wave), spread)


def in_places(beat: Tensor, spread: Tensor, leads: Leads) -> Tensor:
    """Return what is measured of each lead that the network knows, (n, 13 * 59), zero where missing.

    `beat` and `spread` are those of `Tokens`.
    """
    there = (leads.mask > 0.5).unflatten(2, (CHUNKS, -1)).any(3)  # (n, l, 5)
    each = described(beat, spread, leads.level, there, leads.amplitude)  # (n, l, 59)
    out = each.new_zeros(len(each), LEADS, DESCRIBED)
    return out.scatter_add(1, leads.lead[..., None].expand_as(each), each).flatten(1)


def folded(net: Net) -> Net:
    """Fold the stem's normalisations into its convolutions, and make a product of a small one: the same, sooner."""
    stem = net.stem
    for conv, norm in (("first", "first_norm"), ("second", "second_norm"), ("mix", "mix_norm")):
        setattr(stem, conv, fuse_conv_bn_eval(getattr(stem, conv), getattr(stem, norm)))
        setattr(stem, norm, nn.Identity())
    if isinstance(stem.attention, BlockAttention):
        stem.attention.moment = AsProduct(stem.attention.moment)
    return net
