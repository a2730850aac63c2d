"""Training of the network: batches, changes, the loss.

Seeded: on one processor with as many threads the same command gives the same weights. An unknown label is masked out of
the loss. The leads of a batch are drawn: all twelve, or few of them, so that one network serves any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ecg.lead import STANDARD
from ecg.window import CHUNKS
from model.dataset import Records
from model.measured import Forests, spread
from model.net import YEARS, Answer, Leads, Net, beats, in_places

BATCH, WINDOW_BATCH, EPOCHS, RATE, DECAY = 32, 64, 28, 3e-3, 0.05
"""Records, and windows of monitors beside them, of each step."""
TUNING_EPOCHS, TUNING_RATE = 8, 3e-4
"""Where it goes on from weights that there are."""
SEEN = 128
"""Windows that are answered together."""
SUBSETS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("II", "V1"), ("II", "V5"), ("I", "II", "III", "aVR", "aVL", "aVF", "V1")),
    (("II",), ("I",)),
)
"""Sets of fewer leads that training draws, by groups; `DRAWN` says how often it takes each group, and else any."""
DRAWN = (0.25, 0.4, 0.35)
UNCHANGED, HIDE_LEVEL, HIDE_PERSON, HOLE = 0.4, 0.3, 0.3, 0.1
"""Chances that a record is taken as it is, that its amplitude or its person is hidden, that a chunk is missing."""
WEIGHTS = {"normal": 0.5, "condition": 0.5, "superclass": 1.0, "rhythm": 1.0}
"""Weight of each head in the loss."""
DROP_LEAD, FLIP = 0.3, 0.15
"""Chances that one of two leads of a window is dropped, and that a lead is turned over."""
LEAD_SETS: dict[str, tuple[str, ...]] = {"12": STANDARD, "ii_v1": ("II", "V1"), "ii": ("II",), "i": ("I",)}
"""Sets of leads that figures are given of."""

Show = Callable[[str], None]


class Sets(NamedTuple):
    """What is trained on, or some rows of it: twelve-lead records with changed copies of them, and monitors' windows.

    Attributes
    ----------
    copies : sequence of Records
        The records as they are, then changed.
    rows : ndarray of int64
        Which of the records.
    windows : Records or None
    seen : ndarray of int64
        Which of the windows.
    """

    copies: Sequence[Records]
    rows: NDArray[np.int64]
    windows: Records | None = None
    seen: NDArray[np.int64] = np.zeros(0, np.int64)


class Truths(NamedTuple):
    """Labels of a batch; -1 is unknown, and of the rhythm all that are allowed are true."""

    normal: Tensor
    condition: Tensor
    superclass: Tensor
    rhythm: Tensor


def fit(
    sets: Sets,
    seed: int,
    make: Callable[[], nn.Module] = Net,
    epochs: int = EPOCHS,
    show: Show = lambda line: None,
    rate: float = RATE,
) -> nn.Module:
    """Train one network.

    Parameters
    ----------
    sets : Sets
    make : callable
        Gives a network from `Leads` to `Answer`; one that takes windows of monitors too answers `together`.
    rate : float
        Of learning, at its height.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = make().train()
    chance = None if sets.windows is None else chances(sets.windows.rhythm[sets.seen], sets.windows.patient[sets.seen])

    def loss(rows: NDArray[np.int64]) -> Tensor:
        batches = [drawn(sets.copies, rows, rng)]
        if sets.windows is not None:
            chosen = sets.seen[rng.choice(len(sets.seen), WINDOW_BATCH, p=chance)]
            batches.append(varied(sets.windows, chosen, rng))
        if isinstance(net, Net):
            return _loss(net, batches, _fewer(rng))
        return masked_loss(net(batches[0][0]), batches[0][1])

    descend(net, sets.rows, rng, loss, epochs, rate, "loss", show)
    net.eval()
    if isinstance(net, Net) and not net.trees.share:
        grow(net.trees, sets.copies[0].take(sets.rows))
    return net


def descend(
    net: nn.Module,
    rows: NDArray[np.int64],
    rng: np.random.Generator,
    loss: Callable[[NDArray[np.int64]], Tensor],
    epochs: int,
    rate: float,
    name: str,
    show: Show,
) -> None:
    """Let a network learn from rows in random order, a batch a step, by the loss that is given of them.

    Each epoch shows its number and its mean loss under that `name`.
    """
    per_epoch = max(1, len(rows) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), rate, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * per_epoch, pct_start=0.2)
    for epoch in range(1, epochs + 1):
        order, total = rng.permutation(rows), 0.0
        for k in range(per_epoch):
            found = loss(order[k * BATCH : (k + 1) * BATCH])
            optimizer.zero_grad(set_to_none=True)
            found.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += float(found.detach())
        show(f"epoch {epoch} of {epochs}, {name} {total / per_epoch:.4f}")


def described(records: Records, names: Sequence[str]) -> NDArray[np.float32]:
    """Return what is measured of records in these leads, (n, 767), as `model.net.in_places` gives it."""
    with torch.inference_mode():
        found = [
            in_places(beats(leads.wave), spread(leads.wave, leads.morlet), leads).numpy()
            for leads in in_batches(records, np.arange(len(records.name)), names)
        ]
    return np.concatenate(found)


def grow(forests: Forests, records: Records) -> None:
    """Grow trees on records, from each of `LEAD_SETS` and twelve leads twice."""
    sets = [STANDARD, *LEAD_SETS.values()]
    x = np.concatenate([described(records, names) for names in sets])
    forests.grow(x, np.tile(truths(records), (len(sets), 1)))


def _loss(net: Net, batches: Sequence[tuple[Leads, Truths]], fewer: Sequence[int]) -> Tensor:
    """Return the loss over records from all their leads and from fewer, and over windows, with one pass of the stem."""
    leads, truth = batches[0]
    tokens = net.together([leads for leads, _ in batches])
    some = leads.some(fewer)
    loss = masked_loss(net.answer(tokens[0].some(fewer, some.wave), some), truth)
    for seen, (asked, true) in zip(tokens, batches, strict=True):
        loss = loss + masked_loss(net.answer(seen, asked), true)
    return loss


def started(weights: Path) -> Net:
    """Return a network that goes on from the weights of a file."""
    net = Net()
    net.load_state_dict(safetensors.torch.load(weights.read_bytes()))
    return net


def chances(rhythm: NDArray[np.bool_], patient: NDArray[np.str_]) -> NDArray[np.float64]:
    """Give each label, and in it each patient, a share that grows with the root of its windows."""
    _, label = np.unique(rhythm, axis=0, return_inverse=True)
    _, group, size = np.unique(np.char.add(patient, label.astype(str)), return_inverse=True, return_counts=True)
    share = 1.0 / np.sqrt(size[group])
    for k in range(label.max() + 1):
        share[label == k] *= np.sqrt((label == k).sum()) / share[label == k].sum()
    return share / share.sum()


def masked_loss(answer: Answer, truths: Truths) -> Tensor:
    """Return the weighted sum of each head's mean loss over what is known of it."""
    loss = answer.normal.new_zeros(())
    for name in ("normal", "condition", "superclass"):
        truth, logits = getattr(truths, name), getattr(answer, name)
        known = truth >= 0
        each = functional.binary_cross_entropy_with_logits(
            logits, truth.clamp_min(0).to(logits.dtype), reduction="none"
        )
        loss = loss + WEIGHTS[name] * (each * known).sum() / known.sum().clamp_min(1)
    return loss + WEIGHTS["rhythm"] * allowed_loss(answer.rhythm, truths.rhythm)


def allowed_loss(logits: Tensor, allowed: Tensor) -> Tensor:
    """Return the mean of -log P(one of the allowed classes) over the rows of which something is known."""
    inside = torch.where(allowed, logits, torch.full_like(logits, -1e9))
    known = ~allowed.all(1)
    each = torch.logsumexp(logits, 1) - torch.logsumexp(inside, 1)
    return (each * known).sum() / known.sum().clamp_min(1)


def drawn(copies: Sequence[Records], rows: NDArray[np.int64], rng: np.random.Generator) -> tuple[Leads, Truths]:
    """Return a batch of training: records changed or not, all their leads, some of what is known hidden."""
    plain = rng.random(len(rows)) < UNCHANGED
    which = np.where(plain, 0, rng.integers(min(1, len(copies) - 1), len(copies), len(rows)))
    parts = [copies[w].take(np.array([row])) for w, row in zip(which, rows, strict=True)]
    amplitude = np.concatenate([part.amplitude for part in parts]) & (rng.random(len(rows)) >= HIDE_LEVEL)
    leads = batch(parts, STANDARD, amplitude)
    leads.person[torch.from_numpy(rng.random(len(rows)) < HIDE_PERSON)] = 0
    _holes(leads, rng)
    return leads, _truths(copies[0], rows)


def varied(windows: Records, rows: NDArray[np.int64], rng: np.random.Generator) -> tuple[Leads, Truths]:
    """Return a batch of monitors' windows, changed as other leads and cables would."""
    leads = batch([windows.take(rows)], None, rng.random(len(rows)) >= HIDE_LEVEL)
    sign = torch.from_numpy(np.where(rng.random(leads.lead.shape) < FLIP, -1, 1).astype(np.float32))
    leads = leads._replace(wave=leads.wave * sign[..., None, None])
    both = (leads.mask.sum(2) > 0).all(1).numpy() & (rng.random(len(rows)) < DROP_LEAD)
    dropped = np.flatnonzero(both), rng.integers(leads.lead.shape[1], size=int(both.sum()))
    leads.mask[dropped], leads.wave[dropped], leads.morlet[dropped] = 0, 0, 0
    _holes(leads, rng)
    return leads, _truths(windows, rows)


def _holes(leads: Leads, rng: np.random.Generator) -> None:
    """Let a chunk of some be missing."""
    tokens = leads.mask.shape[2] // CHUNKS
    for row in np.flatnonzero(rng.random(len(leads.wave)) < HOLE):
        hole = int(rng.integers(CHUNKS))
        leads.mask[row, :, hole * tokens : (hole + 1) * tokens] = 0
        leads.wave[row, :, hole] = leads.morlet[row, :, hole] = 0


def _truths(records: Records, rows: NDArray[np.int64]) -> Truths:
    normal, condition, superclass = (
        torch.from_numpy(part[rows]).long() for part in (records.normal, records.condition, records.superclass)
    )
    return Truths(normal, condition, superclass, torch.from_numpy(records.rhythm[rows]))


def _fewer(rng: np.random.Generator) -> list[int]:
    """Draw some of the twelve leads."""
    group = int(rng.choice(len(DRAWN), p=DRAWN))
    if group == len(SUBSETS):
        return rng.permutation(len(STANDARD))[: rng.integers(1, 7)].tolist()
    return [STANDARD.index(name) for name in SUBSETS[group][rng.integers(len(SUBSETS[group]))]]


def batch(
    parts: Sequence[Records], names: Sequence[str] | None = None, amplitude: NDArray[np.bool_] | None = None
) -> Leads:
    """Return records as the network takes them: with these of their leads in this order, or with all that they have."""
    places = slice(None) if names is None else [STANDARD.index(name) for name in names]
    held = (np.concatenate([np.asarray(part.leads[k][:, places]) for part in parts]) for k in range(4))
    wave, morlet, level, mask = (torch.from_numpy(np.ascontiguousarray(part, np.float32)) for part in held)
    lead = torch.from_numpy(np.concatenate([part.lead[:, places] for part in parts]).astype(np.int64))
    known = np.concatenate([part.amplitude for part in parts]) if amplitude is None else amplitude
    age = np.concatenate([part.age for part in parts])
    sex = np.concatenate([part.sex for part in parts])
    known = torch.from_numpy(known.astype(np.float32))
    return Leads(wave, morlet, level, mask.flatten(2), lead, known, person(age, sex))


def person(age: NDArray[np.float32], sex: NDArray[np.float32]) -> Tensor:
    """Return age and sex as the network takes them, (n, 4)."""
    told = np.stack([(age - YEARS) / YEARS, np.isfinite(age), 2 * sex - 1, np.isfinite(sex)], axis=1)
    return torch.from_numpy(np.nan_to_num(told).astype(np.float32))


def in_batches(records: Records, rows: NDArray[np.int64], names: Sequence[str] | None = None) -> Iterator[Leads]:
    """Give records as `batch` does, so many at a time."""
    for first in range(0, len(rows), SEEN):
        yield batch([records.take(rows[first : first + SEEN])], names)


def answers(
    net: nn.Module, records: Records, rows: NDArray[np.int64], names: Sequence[str] | None = None
) -> NDArray[np.float32]:
    """Return logits of records from these leads, or from all that they have: shape (n, 19), the rhythms last."""
    with torch.inference_mode():
        return np.concatenate([net(leads).joined().numpy() for leads in in_batches(records, rows, names)])


def all_sets(net: nn.Module, records: Records, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
    """Return `answers` for each of `LEAD_SETS`."""
    return {of: answers(net, records, rows, names) for of, names in LEAD_SETS.items()}


def truths(records: Records) -> NDArray[np.int8]:
    """Return what is known of records, shape (n, 11), in the order of `model.score.OUTPUTS`; -1 is unknown."""
    return np.concatenate([records.normal[:, None], records.condition, records.superclass], axis=1)
