"""Answers out of fold, of the network and of what it is compared with: one fold after another, each kept when done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from model.diagnosis import baselines, dataset, train
from model.diagnosis.dataset import Records
from model.diagnosis.net import DiagnosisNet
from model.diagnosis.score import calibrate, calibrated
from model.diagnosis.train import LEAD_SETS, OUTPUTS, Show

FOLDS, COPIES = 5, 2
"""Folds by patient, and changed copies of each record that training draws from."""
THREADS = 2
NET, RESNET, RANDOM, BOOSTING = "net", "resnet", "random_encoder", "boosting"
Answers = dict[str, NDArray[np.float32]]
"""Logits by set of leads, (n, 11) in the order of `OUTPUTS`."""


class Asked(NamedTuple):
    """A run of folds: its seed, its epochs, its number of folds, and the folder that keeps what is done (or none)."""

    seed: int = 1
    epochs: int = train.EPOCHS
    folds: int = FOLDS
    work: Path | None = None


def out_of_fold(
    copies: Sequence[Records], asked: Asked, models: Sequence[str], show: Show = lambda line: None
) -> tuple[dict[str, Answers], NDArray[np.int64]]:
    """Return each model's logits of each record by what never saw its patient, and the folds.

    Parameters
    ----------
    copies : sequence of Records
        As `dataset.cached` gives them.
    models : sequence of str
        Of `net`, `resnet`, `random_encoder`, `boosting`.
    """
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    fold = dataset.folds(copies[0], asked.folds, asked.seed)
    n = len(fold)
    found = {name: {of: np.zeros((n, len(OUTPUTS)), np.float32) for of in LEAD_SETS} for name in models}
    for k in range(asked.folds):
        rows, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        for name in models:
            said = _kept(asked, name, k, copies, rows, held, show)
            for of, logits in said.items():
                found[name][of][held] = logits
    return found, fold


def _kept(
    asked: Asked,
    name: str,
    k: int,
    copies: Sequence[Records],
    rows: NDArray[np.int64],
    held: NDArray[np.int64],
    show: Show,
) -> Answers:
    """Return one model's answers of one fold, from the folder where they are there already."""
    file = asked.work / f"{name}-{asked.seed}-{asked.epochs}-{k}of{asked.folds}.npz" if asked.work else None
    if file is not None and file.is_file():
        with np.load(file) as kept:
            return {of: kept[of] for of in LEAD_SETS}
    said = _answered(
        name, copies, rows, held, asked.seed + k, asked.epochs, lambda line: show(f"{name}, fold {k}: {line}")
    )
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part.npz")
        np.savez(part, allow_pickle=False, **said)
        part.replace(file)
    return said


def _answered(
    name: str,
    copies: Sequence[Records],
    rows: NDArray[np.int64],
    held: NDArray[np.int64],
    seed: int,
    epochs: int,
    show: Show,
) -> Answers:
    if name in (NET, RESNET):
        net = train.fit(copies, rows, seed, DiagnosisNet if name == NET else baselines.ResNet, epochs, show)
        return {of: logits[:, : len(OUTPUTS)] for of, logits in train.all_sets(net, copies[0], held).items()}
    describe: dict[str, Callable[[Sequence[str]], NDArray[np.float32]]] = {
        RANDOM: lambda leads: baselines.random_features(copies[0], leads, seed),
        BOOSTING: lambda leads: baselines.beat_features(copies[0], leads),
    }
    head = {RANDOM: baselines.linear, BOOSTING: baselines.boosted}[name]
    truth = train.truths(copies[0])
    said = {of: head(describe[name](leads), truth, rows)[held] for of, leads in LEAD_SETS.items()}
    show("done")
    return said


def probabilities(logits: Answers, truth: NDArray[np.int8], fold: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Return probabilities by set of leads, those of each fold calibrated on the answers of the others."""
    out = {}
    for of, said in logits.items():
        out[of] = np.zeros(said.shape)
        for k in np.unique(fold):
            out[of][fold == k] = calibrated(said[fold == k], calibrate(said[fold != k], truth[fold != k]))
    return out
