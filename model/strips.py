"""What the network says of a short strip, window by window, for the forests of `ecg.strip_class` to weigh."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from ecg import strip_class, strip_features, strip_fit
from ecg.record import read
from ecg.strip_class import SAID, Class
from ecg.strip_fit import Described
from model import crossval, monitors, weights
from model.crossval import NET, Asked, Material
from model.dataset import Records
from model.score import OUTPUTS
from model.train import Show, answers

_OF_ALL = [OUTPUTS.index("condition_arrhythmia"), OUTPUTS.index("normal")]
SET = "cinc2017"


def pooled(logits: NDArray[np.float32]) -> NDArray[np.float16]:
    """Return what is said of all windows of a strip, (windows, 19) to (30,); zeros where it has none.

    Mean, largest and least of the logarithm of each rhythm's probability, and of the log-odds of an arrhythmia and of a
    normal ECG. Half precision, as it is kept.
    """
    if not len(logits):
        return np.zeros(SAID, np.float16)
    rhythm = logits[:, len(OUTPUTS) :]
    each = np.concatenate([rhythm - np.logaddexp.reduce(rhythm, axis=1, keepdims=True), logits[:, _OF_ALL]], axis=1)
    return np.concatenate([each.mean(axis=0), each.max(axis=0), each.min(axis=0)]).astype(np.float16)


def said(net: nn.Module, windows: Records | None) -> NDArray[np.float16]:
    """Return what a network says of a strip, shape (30,), of its windows as `model.monitors.strip` cuts them."""
    none = np.zeros((0, 0), np.float32)
    return pooled(none if windows is None else answers(net, windows, np.arange(len(windows.name))))


def judge(mv: NDArray[np.float32], rate_hz: float) -> Class:
    """Return the class of a strip of one lead, float32 (n,) in mV, by the shipped network and forests.

    Examples
    --------
    >>> judge(np.zeros(9000, np.float32), 300.0)
    '~'
    """
    return strip_class.classify(strip_class.shipped(), _described("", mv, rate_hz).features)


def collect(path: Path, network: Path | None = None) -> Described:
    """Return what describes a record, without extension, by its first lead and a network, the shipped one.

    Parameters
    ----------
    path : Path
    network : Path, optional
        That of a fold, as `crossval.Asked.network` names its file.
    """
    recording = read(path)
    return _described(path.name, recording.mv()[0], recording.rate_hz, network)


def _described(name: str, mv: NDArray[np.float32], rate_hz: float, network: Path | None = None) -> Described:
    found = Described(name, strip_features.features(strip_features.prepare(mv, rate_hz)))
    return strip_fit.beside(found, said(_net(network), monitors.strip(mv, rate_hz)))


@cache
def _net(file: Path | None) -> nn.Module:
    torch.set_num_threads(1)
    return weights.load(weights.shipped()).net if file is None else weights.network_of_fold(file)


def unlearned(asked: Asked, held: Material, show: Show) -> dict[Path, list[str]]:
    """Return the records of `cinc2017` by the network that had not learned from them.

    Folds that are not in the folder of work are trained.
    """
    if held.windows is None:
        return {}
    crossval.out_of_fold(asked, held, (NET,), show)
    mine = held.windows.of_set(SET)
    patient, fold = held.windows.patient[mine], held.window_fold[mine]
    return {
        asked.network(k): [str(name).partition("/")[2] for name in np.unique(patient[fold == k])]
        for k in range(asked.folds)
    }
