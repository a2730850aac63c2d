"""Training of the diagnosis network: batches, changes, the loss, and one network after another, fold by fold.

Seeded: on one processor with as many threads the same command gives the same weights. An unknown label is masked out of
the loss. The leads of a batch are drawn: all twelve, or few of them, so that one network serves any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ecg.lead import STANDARD
from model.diagnosis.dataset import Records
from model.diagnosis.frontend import CHUNKS
from model.diagnosis.labels import CONDITIONS, SUPERCLASSES
from model.diagnosis.net import YEARS, Answer, DiagnosisNet, Leads

BATCH, EPOCHS, RATE, DECAY = 32, 32, 3e-3, 0.05
SEEN = 128
"""Windows that are answered together."""
SUBSETS: tuple[tuple[tuple[str, ...], ...], ...] = (
    (STANDARD,),
    (("II", "V1"), ("II", "V5"), ("I", "II", "III", "aVR", "aVL", "aVF", "V1")),
    (("II",), ("I",)),
)
"""Sets of leads that training draws from, by groups; `DRAWN` says how often it takes each group, and else any leads."""
DRAWN = (0.5, 0.12, 0.18, 0.2)
UNCHANGED, HIDE_LEVEL, HIDE_PERSON, HOLE = 0.4, 0.3, 0.3, 0.1
"""Chances that a record is taken as it is, that its amplitude or its person is hidden, that a chunk is missing."""
WEIGHTS = {"normal": 0.5, "condition": 0.5, "superclass": 1.0, "rhythm": 0.25}
"""Weight of each head in the loss."""
LEAD_SETS: dict[str, tuple[str, ...]] = {"12": STANDARD, "ii_v1": ("II", "V1"), "ii": ("II",), "i": ("I",)}
"""Sets of leads that figures are given of."""
OUTPUTS = ("normal", *CONDITIONS, *SUPERCLASSES)
"""What a row of answers holds, before the rhythms."""

Show = Callable[[str], None]


class Truths(NamedTuple):
    """Labels of a batch; -1 is unknown."""

    normal: Tensor
    condition: Tensor
    superclass: Tensor
    rhythm: Tensor


def fit(
    copies: Sequence[Records],
    rows: NDArray[np.int64],
    seed: int,
    make: Callable[[], nn.Module] = DiagnosisNet,
    epochs: int = EPOCHS,
    show: Show = lambda line: None,
) -> nn.Module:
    """Train one network on some of the records.

    Parameters
    ----------
    copies : sequence of Records
        The records as they are, and changed copies of them.
    rows : ndarray of int64
        Which of them.
    make : callable
        Gives a network from `Leads` to `Answer`.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = make().train()
    per_epoch = max(1, len(rows) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=epochs * per_epoch, pct_start=0.2)
    for epoch in range(1, epochs + 1):
        order, total = rng.permutation(rows), 0.0
        for k in range(per_epoch):
            leads, truths = drawn(copies, order[k * BATCH : (k + 1) * BATCH], rng)
            loss = masked_loss(net(leads), truths)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        show(f"epoch {epoch} of {epochs}, loss {total / per_epoch:.4f}")
    return net.eval()


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
    each = functional.cross_entropy(answer.rhythm, truths.rhythm, ignore_index=-1, reduction="sum")
    return loss + WEIGHTS["rhythm"] * each / (truths.rhythm >= 0).sum().clamp_min(1)


def drawn(copies: Sequence[Records], rows: NDArray[np.int64], rng: np.random.Generator) -> tuple[Leads, Truths]:
    """Return a batch of training: records changed or not, some of their leads, some of what is known hidden."""
    names = _subset(rng)
    plain = rng.random(len(rows)) < UNCHANGED
    which = np.where(plain, 0, rng.integers(min(1, len(copies) - 1), len(copies), len(rows)))
    parts = [copies[w].take(np.array([row])) for w, row in zip(which, rows, strict=True)]
    amplitude = np.concatenate([part.amplitude for part in parts]) & (rng.random(len(rows)) >= HIDE_LEVEL)
    leads = batch(parts, names, amplitude)
    leads.person[torch.from_numpy(rng.random(len(rows)) < HIDE_PERSON)] = 0
    for row in np.flatnonzero(rng.random(len(rows)) < HOLE):
        hole = int(rng.integers(CHUNKS))
        tokens = leads.mask.shape[2] // CHUNKS
        leads.mask[row, :, hole * tokens : (hole + 1) * tokens] = 0
        leads.wave[row, :, hole] = leads.morlet[row, :, hole] = 0
    whole = copies[0]
    truth = (torch.from_numpy(getattr(whole, name)[rows]).long() for name in Truths._fields)
    return leads, Truths(*truth)


def _subset(rng: np.random.Generator) -> tuple[str, ...]:
    group = int(rng.choice(len(DRAWN), p=DRAWN))
    if group < len(SUBSETS):
        return SUBSETS[group][rng.integers(len(SUBSETS[group]))]
    return tuple(rng.permutation(STANDARD)[: rng.integers(1, 7)])


def batch(parts: Sequence[Records], names: Sequence[str], amplitude: NDArray[np.bool_] | None = None) -> Leads:
    """Return records as the network takes them, with these of their leads in this order."""
    places = [STANDARD.index(name) for name in names]
    held = (np.concatenate([np.asarray(part.leads[k][:, places]) for part in parts]) for k in range(4))
    wave, morlet, level, mask = (torch.from_numpy(np.ascontiguousarray(part, np.float32)) for part in held)
    known = np.concatenate([part.amplitude for part in parts]) if amplitude is None else amplitude
    age = np.concatenate([part.age for part in parts])
    sex = np.concatenate([part.sex for part in parts])
    lead = torch.tensor(places).expand(len(wave), -1)
    return Leads(wave, morlet, level, mask, lead, torch.from_numpy(known.astype(np.float32)), person(age, sex))


def person(age: NDArray[np.float32], sex: NDArray[np.float32]) -> Tensor:
    """Return age and sex as the network takes them, (n, 4)."""
    told = np.stack([(age - YEARS) / YEARS, np.isfinite(age), 2 * sex - 1, np.isfinite(sex)], axis=1)
    return torch.from_numpy(np.nan_to_num(told).astype(np.float32))


def answers(net: nn.Module, records: Records, rows: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.float32]:
    """Return logits of records from these leads, shape (n, outputs and rhythms)."""
    out = []
    with torch.inference_mode():
        for first in range(0, len(rows), SEEN):
            said: Answer = net(batch([records.take(rows[first : first + SEEN])], names))
            out.append(torch.cat([said.normal[:, None], *said[1:]], 1).numpy())
    return np.concatenate(out)


def all_sets(net: nn.Module, records: Records, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
    """Return `answers` for each of `LEAD_SETS`."""
    return {of: answers(net, records, rows, names) for of, names in LEAD_SETS.items()}


def truths(records: Records) -> NDArray[np.int8]:
    """Return what is known of records, shape (n, 11), in the order of `OUTPUTS`; -1 is unknown."""
    return np.concatenate([records.normal[:, None], records.condition, records.superclass], axis=1)
