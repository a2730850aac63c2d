"""Training of the rhythm network: five folds by patient for the figures and the calibration, then all for the weights.

Seeded and on one thread: on one processor the same command gives the same weights.
"""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model import dataset, evaluate, weights
from model.labels import CLASSES
from model.net import SLOTS, WINDOW, RhythmNet, prepare

FOLDS, EPOCHS, WINDOWS_AN_EPOCH, BATCH = 5, 12, 10_000, 128
RATE, DECAY = 4e-3, 2e-2
DROP_LEAD, FLIP, GAIN, HOLE = 0.3, 0.15, 0.35, 0.2
"""Chance to drop one of two leads and to turn one over, spread of the gain (log), chance of a hole in the signal."""

Show = Callable[[str], None]


class Calibration(NamedTuple):
    """Probabilities are softmax(logits / temperature + bias), fitted on answers out of fold."""

    temperature: float
    bias: tuple[float, ...]

    def apply(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return probabilities, shape (n, n_classes)."""
        scaled = logits.astype(np.float64) / self.temperature + np.asarray(self.bias)
        power = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return power / power.sum(axis=1, keepdims=True)


def train(
    data: Path,
    out: Path,
    seed: int = 1,
    *,
    cache: Path | None = None,
    epochs: int = EPOCHS,
    folds: int = FOLDS,
    show: Show = print,
) -> dict[str, float]:
    """Train the network on the sets in a folder and write its weights.

    Parameters
    ----------
    data : Path
        Folder that holds `mitdb`, `vfdb`, `cudb` and `cinc2017`; a set that is absent is left out.
    out : Path
        File of weights to write (safetensors).
    cache : Path, optional
        Folder outside the project in which to keep the windows between runs.
    show : callable
        Takes a line of progress.

    Returns
    -------
    dict
        The figures out of fold, as `evaluate.figures` names them; they are in the file's metadata too.
    """
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    windows = dataset.cached(data, cache, _reporter(show))
    show(f"{len(windows.slots)} windows of {len(np.unique(windows.patient))} patients")
    logits, fold = cross_validate(windows, seed, epochs, folds, show)
    counted = np.flatnonzero(~windows.extra)
    found = _out_of_fold(logits, windows, fold, counted)
    calibration = calibrate(logits[counted], windows.allowed[counted])
    net = fit(windows, np.arange(len(windows.slots)), seed, epochs, lambda line: show(f"all: {line}"))
    weights.save(
        out,
        net,
        calibration.temperature,
        calibration.bias,
        _provenance(windows, seed, epochs, folds) | {"figures": found},
    )
    for name, value in found.items():
        show(f"{name} {value:g}")
    return found


def cross_validate(
    windows: dataset.Windows, seed: int, epochs: int, folds: int, show: Show
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the logits of each window by a network that never saw its patient, and the folds."""
    fold = dataset.folds(windows, folds, seed)
    logits = np.zeros((len(fold), len(CLASSES)), np.float32)
    for k in range(folds):
        net = fit(windows, np.flatnonzero(fold != k), seed + k, epochs, lambda line, k=k: show(f"fold {k}: {line}"))
        held = np.flatnonzero(fold == k)
        logits[held] = answer(net, windows, held)
    return logits, fold


def _out_of_fold(
    logits: NDArray[np.float32], windows: dataset.Windows, fold: NDArray[np.int64], counted: NDArray[np.int64]
) -> dict[str, float]:
    """Score each fold with the calibration of the others, so that none is fitted to what it is tested on."""
    probabilities = np.zeros(logits.shape)
    for k in np.unique(fold):
        others = counted[fold[counted] != k]
        probabilities[fold == k] = calibrate(logits[others], windows.allowed[others]).apply(logits[fold == k])
    known = probabilities[counted], windows.allowed[counted], windows.patient[counted]
    return evaluate.figures(*known) | evaluate.by_set(*known)


def fit(
    windows: dataset.Windows, rows: NDArray[np.int64], seed: int, epochs: int, show: Show = lambda line: None
) -> RhythmNet:
    """Train one network on some of the windows."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = RhythmNet(len(CLASSES)).train()
    steps = epochs * (WINDOWS_AN_EPOCH // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.2)
    chance, total = _chances(windows.take(rows)), 0.0
    for step in range(1, steps + 1):
        batch = rows[rng.choice(len(rows), BATCH, p=chance)]
        loss = _loss(net(*_inputs(_vary(windows.signal_mv(batch), rng))), torch.from_numpy(windows.allowed[batch]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        total += float(loss.detach())
        if step % (steps // epochs) == 0:
            show(f"epoch {step * epochs // steps} of {epochs}, loss {total / (steps // epochs):.4f}")
            total = 0.0
    return net.eval()


def answer(net: RhythmNet, windows: dataset.Windows, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the logits of windows, shape (n, n_classes)."""
    out = np.zeros((len(rows), len(CLASSES)), np.float32)
    with torch.inference_mode():
        for first in range(0, len(rows), BATCH):
            part = slice(first, first + BATCH)
            out[part] = net(*_inputs(windows.signal_mv(rows[part]))).numpy()
    return out


def calibrate(logits: NDArray[np.float32], allowed: NDArray[np.bool_]) -> Calibration:
    """Fit a temperature and a bias by class, which takes back the balance of the training's sampling."""
    x, mask = torch.from_numpy(logits).double(), torch.from_numpy(allowed)
    log_t = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(x.shape[1], dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_t, bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = _loss(x * torch.exp(-log_t) + bias, mask) + 1e-4 * (bias**2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return Calibration(round(float(log_t.detach().exp()), 6), tuple(round(float(b), 6) for b in bias.detach()))


def _loss(logits: Tensor, allowed: Tensor) -> Tensor:
    """Return the mean of -log P(one of the allowed classes)."""
    inside = torch.where(allowed, logits, torch.full_like(logits, -1e9))
    return (torch.logsumexp(logits, 1) - torch.logsumexp(inside, 1)).mean()


def _chances(windows: dataset.Windows) -> NDArray[np.float64]:
    """Give each label, and in it each patient, a share that grows with the root of its windows."""
    _, label = np.unique(windows.allowed, axis=0, return_inverse=True)
    _, group, size = np.unique(np.char.add(windows.patient, label.astype(str)), return_inverse=True, return_counts=True)
    share = 1.0 / np.sqrt(size[group])
    for k in range(label.max() + 1):
        share[label == k] *= np.sqrt((label == k).sum()) / share[label == k].sum()
    return share / share.sum()


def _vary(x_mv: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Change windows as other patients, leads and cables would."""
    n = len(x_mv)
    x_mv *= np.exp(rng.normal(0, GAIN, (n, SLOTS, 1))).astype(np.float32)
    x_mv[rng.random((n, SLOTS)) < FLIP] *= -1
    both = ~np.isnan(x_mv[:, 0]).all(axis=1) & ~np.isnan(x_mv[:, 1]).all(axis=1)
    x_mv[np.flatnonzero(both & (rng.random(n) < DROP_LEAD)), rng.integers(SLOTS)] = np.nan
    for row in np.flatnonzero(rng.random(n) < HOLE):
        first, length = rng.integers(WINDOW), rng.integers(WINDOW // 3)
        x_mv[row, :, first : first + length] = np.nan
    return x_mv


def _inputs(x_mv: NDArray[np.float32]) -> tuple[Tensor, Tensor, Tensor]:
    scaled, mask, log_scale = (torch.from_numpy(a) for a in prepare(x_mv.reshape(-1, WINDOW)))
    shape = (len(x_mv), SLOTS)
    return scaled.reshape(*shape, -1), mask.reshape(*shape, -1), log_scale.reshape(shape)


def _reporter(show: Show) -> dataset.Report:
    def report(name: str, done: int, of: int) -> None:
        if done % 500 == 0 or done == of:
            show(f"{name}: {done} of {of} records read")

    return report


def _provenance(windows: dataset.Windows, seed: int, epochs: int, folds: int) -> dict[str, object]:
    """Say how the weights were made: what a reader needs to make them again."""
    patients = np.unique(windows.patient).tolist()
    sets = sorted({name.split("/")[0] for name in patients})
    records = {name: [p.split("/")[1] for p in patients if p.startswith(f"{name}/")] for name in sets}
    libraries = {name: version(name) for name in ("numpy", "scipy", "torch", "numba", "safetensors")}
    return {
        "command": f"vigil train net --data DIR --out FILE --seed {seed}",
        "commit": commit(),
        "seed": seed,
        "epochs": epochs,
        "split": f"{folds} folds by patient for the figures and the calibration; the weights are trained on all",
        "records": records,
        "windows": {name: int(np.char.startswith(windows.patient, f"{name}/").sum()) for name in sets},
        "preprocessing": "ecg.resample to 250 Hz, ecg.wavelet, windows of 10 s, model.net.prepare",
        "labels": "model.labels",
        "versions": libraries | {"python": platform.python_version()},
    }


def commit() -> str:
    """Return the commit that the running code is of, with `-dirty` where it was changed, or `unknown`."""
    ask = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--abbrev=40", "--dirty", "--exclude=*"]
    try:
        return subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
