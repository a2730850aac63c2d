"""Answers out of fold, of the network and of what it is compared with: one fold after another, each kept when done."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ecg import weights_file
from model import baselines, dataset, monitors, pretrain, train
from model.ablations import VARIANTS
from model.dataset import Records, Report
from model.labels import RHYTHMS
from model.net import Net
from model.score import OUTPUTS, Softmax, calibrate, calibrated, conformal, covered
from model.train import LEAD_SETS, Sets, Show

FOLDS, COPIES = 5, 2
"""Folds by patient, and changed copies of each record that training draws from."""
PROCESSES = 2
"""Folds that are trained side by side, each on one thread."""
NET, RESNET, RANDOM, BOOSTING = "net", "resnet", "random_encoder", "boosting"
NETWORKS: dict[str, Callable[[], Net]] = {NET: Net} | VARIANTS
"""The network and its variants, which answer for windows of monitors, too."""
WINDOWS = "windows"
"""Names the answers to monitors' windows, beside those of the sets of leads."""
Answers = dict[str, NDArray[np.float32]]
"""Logits by set of leads, (n, 19): `OUTPUTS`, then the rhythms; of windows under `WINDOWS`."""


class Asked(NamedTuple):
    """A run of folds: the records' folder, one that keeps what is done, the seed, and numbers of epochs and folds.

    The network learns without labels for `pretraining` epochs beforehand; its variants do not. With `start`, a file of
    weights, it goes on from there, and learns slowly.
    """

    data: Path
    work: Path
    seed: int = 1
    epochs: int = train.EPOCHS
    folds: int = FOLDS
    start: Path | None = None
    pretraining: int = pretrain.EPOCHS

    def file(self, name: str, k: int) -> Path:
        """Return where the answers of a model of one fold are kept."""
        tuned = "" if self.start is None else f"-{hashlib.sha256(self.start.read_bytes()).hexdigest()[:8]}"
        return self.work / f"{name}{tuned}-{self.seed}-{self.pretraining}+{self.epochs}-{k}of{self.folds}.npz"

    def network(self, k: int) -> Path:
        """Return where the tensors of the network of one fold are kept; of k = `folds` that of all patients."""
        return self.file(NET, k).with_suffix(".safetensors")

    def fit(self, sets: Sets, seed: int, make: Callable[[], Net] = Net, show: Show = lambda line: None) -> nn.Module:
        """Train a network once."""
        if self.start is not None:
            return train.fit(sets, seed, partial(train.started, self.start), self.epochs, show, train.TUNING_RATE)
        if self.pretraining and make is Net:
            make = partial(pretrain.pretrained, sets, seed, self.pretraining, show)
        return train.fit(sets, seed, make, self.epochs, show)


class Material(NamedTuple):
    """What a run trains on, and the fold of each record and each window of monitors."""

    copies: list[Records]
    windows: Records | None
    record_fold: NDArray[np.int64]
    window_fold: NDArray[np.int64]

    def without(self, k: int) -> Sets:
        """Return what one fold trains on: all but its own records and windows; of k = `folds` that is all."""
        rows, seen = (np.flatnonzero(fold != k) for fold in (self.record_fold, self.window_fold))
        return Sets(self.copies, rows, self.windows, seen)

    def fold_of(self, answers: str) -> NDArray[np.int64]:
        """Return the folds of what some answers are of: `WINDOWS`, or a set of leads."""
        return self.window_fold if answers == WINDOWS else self.record_fold


def material(asked: Asked, report: Report = lambda name, done, of: None) -> Material:
    """Read records and windows, from the folder of work where they are there already, and cut the folds by patient."""
    copies, windows = (
        dataset.cached(asked.data, asked.work, COPIES, report),
        monitors.cached(asked.data, asked.work, report),
    )
    none = np.zeros(0, np.int64)
    fold = none if windows is None else dataset.folds(windows, asked.folds, asked.seed)
    return Material(copies, windows, dataset.folds(copies[0], asked.folds, asked.seed), fold)


def out_of_fold(
    asked: Asked,
    held: Material,
    models: Sequence[str],
    show: Show = lambda line: None,
    first: int | None = None,
    whole: bool = False,
) -> dict[str, Answers]:
    """Return each model's logits of each record by what never saw its patient; two folds are at work at a time.

    Parameters
    ----------
    asked, held
        As of `material`; what a fold answered is read from the folder of work where it is there already.
    models : sequence of str
        Of `net`, `resnet`, `random_encoder`, `boosting`, and the names of `VARIANTS`.
    first : int, optional
        Only so many folds, from the first on; the answers to the records of the others are zero.
    whole : bool
        Train the network on all patients beside them, too, and keep it as `asked.network(asked.folds)`.
    """
    width = len(OUTPUTS) + len(RHYTHMS)
    sizes = dict.fromkeys(LEAD_SETS, len(held.record_fold))
    found = {name: {of: np.zeros((n, width), np.float32) for of, n in sizes.items()} for name in models}
    if held.windows is not None:
        for name in NETWORKS.keys() & set(models):
            found[name][WINDOWS] = np.zeros((len(held.window_fold), width), np.float32)
    jobs = [(name, k) for name in models for k in range(first or asked.folds)] + [(NET, asked.folds)] * whole
    context = get_context("spawn")
    lines = context.SimpleQueue()
    listener = Thread(target=_pass_on, args=(lines, show))
    listener.start()
    try:
        with ProcessPoolExecutor(PROCESSES, context, initializer=_tell, initargs=(lines,)) as pool:
            for (name, k), said in zip(jobs, pool.map(partial(_kept, asked), jobs), strict=True):
                show(f"{_which(name, k, asked)}: done")
                for of, logits in said.items():
                    found[name][of][held.fold_of(of) == k] = logits
    finally:
        lines.put(None)
        listener.join()
    return found


def _which(name: str, k: int, asked: Asked) -> str:
    return f"{name}, {'all patients' if k == asked.folds else f'fold {k + 1} of {asked.folds}'}"


_lines: list[SimpleQueue[str | None]] = []
"""Where a process that trains puts what it shows."""


def _tell(lines: SimpleQueue[str | None]) -> None:
    _lines[:] = [lines]


def _pass_on(lines: SimpleQueue[str | None], show: Show) -> None:
    while (line := lines.get()) is not None:
        show(line)


def _kept(asked: Asked, job: tuple[str, int]) -> Answers:
    """Return one model's answers of one fold, from the folder where they are there already."""
    name, k = job
    file = asked.file(name, k)
    if file.is_file():
        with np.load(file) as kept:
            return dict(kept)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    said = _answered(name, _material(asked), k, asked)
    part = file.with_suffix(".part.npz")
    np.savez(part, allow_pickle=False, **said)
    part.replace(file)
    return said


_material = functools.cache(material)


def _answered(name: str, held: Material, k: int, asked: Asked) -> Answers:
    records, seed = held.copies[0], asked.seed + k
    sets, mine = held.without(k), np.flatnonzero(held.record_fold == k)
    rows = sets.rows
    if name in NETWORKS:
        net = asked.fit(sets, seed, NETWORKS[name], lambda line: _lines[0].put(f"{_which(name, k, asked)}: {line}"))
        if name == NET:
            asked.network(k).write_bytes(weights_file.pack(tensors(net), {}))
        if not len(mine):
            return {}
        said = train.all_sets(net, records, mine)
        if held.windows is not None:
            said[WINDOWS] = train.answers(net, held.windows, np.flatnonzero(held.window_fold == k))
        return said
    if name == RESNET:
        epochs = min(asked.epochs, baselines.EPOCHS)
        return train.all_sets(train.fit(Sets(held.copies, rows), seed, baselines.ResNet, epochs), records, mine)
    if name == BOOSTING:
        trees = baselines.boosting(records.take(rows))
        said = {of: logits[:, : len(OUTPUTS)] for of, logits in train.all_sets(trees, records, mine).items()}
    else:
        features = {of: baselines.random_features(records, leads, seed) for of, leads in LEAD_SETS.items()}
        said = {of: baselines.linear(x, train.truths(records), rows)[mine] for of, x in features.items()}
    rest = np.zeros((len(mine), len(RHYTHMS)), np.float32)
    return {of: np.concatenate([logits, rest], axis=1) for of, logits in said.items()}


def tensors(net: nn.Module) -> dict[str, NDArray[Any]]:
    """Return all that a network has learned, by name."""
    return {name: held.numpy() for name, held in net.state_dict().items()}


def probabilities(logits: NDArray[np.float32], truth: NDArray[np.int8], fold: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return probabilities of `OUTPUTS`, those of each fold calibrated on the answers of the others."""
    said = logits[:, : len(OUTPUTS)]
    out = np.zeros(said.shape)
    for k in np.unique(fold):
        out[fold == k] = calibrated(said[fold == k], calibrate(said[fold != k], truth[fold != k]))
    return out


def conformal_sets(said: NDArray[np.float64], truth: NDArray[np.int8], fold: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return conformal sets of probabilities, (n, 11, 2), those of each fold by the thresholds of the others."""
    out = np.zeros((*said.shape, 2), bool)
    for k in np.unique(fold):
        out[fold == k] = covered(said[fold == k], conformal(said[fold != k], truth[fold != k]))
    return out


def rhythm_probabilities(
    logits: NDArray[np.float32], allowed: NDArray[np.bool_], fold: NDArray[np.int64], used: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return probabilities of the rhythms of windows, each fold's calibrated on those of the others that are `used`."""
    said, out = logits[:, len(OUTPUTS) :], np.zeros((len(logits), len(RHYTHMS)))
    for k in np.unique(fold):
        others = used & (fold != k)
        out[fold == k] = Softmax.fit(said[others], allowed[others]).apply(said[fold == k])
    return out
