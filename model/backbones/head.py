"""A linear head of one's own on the features of a published network, whose weights stay as they are.

Records and what is true of them are named by `labels.csv` in their folder, with a header: `record` (path of a WFDB
record from there), `labels` (none, one or several, with `;` between them) and, where known, `patient`.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from ecg import record, weights_file
from model.backbones.backbone import Backbone, load
from model.commit import commit
from model.rhythm_score import auroc

TABLE = "labels.csv"
FOLDS = 5
PENALTY = 0.1
"""Weight of the squared weights in the loss, features at a spread of one: chosen without a record, for small sets."""
STEPS = 200
"""Most steps of the fit; it ends earlier where nothing changes."""

Show = Callable[[str], None]


class Row(NamedTuple):
    """A line of `labels.csv`."""

    record: str
    patient: str
    labels: frozenset[str]


class Head(NamedTuple):
    """Weights over features, ready to answer.

    Attributes
    ----------
    weight : ndarray of float64, shape (n_labels, n_features)
    bias : ndarray of float64, shape (n_labels,)
    labels : tuple of str
    backbone_sha256 : str
        Hash of the file of weights whose features these are.
    """

    weight: NDArray[np.float64]
    bias: NDArray[np.float64]
    labels: tuple[str, ...]
    backbone_sha256: str

    def probabilities(self, backbone: Backbone, features: NDArray[np.floating]) -> dict[str, float]:
        """Return the answer for the features of a record, by label, each for itself.

        Raises ValueError where the features are of another file than the head was trained on.
        """
        if backbone.sha256 != self.backbone_sha256:
            wanted = self.backbone_sha256[:10]
            raise ValueError(f"the head was trained on weights {wanted}, and {backbone.path} is {backbone.sha256[:10]}")
        found = expit(self.weight @ features + self.bias).tolist()
        return dict(zip(self.labels, found, strict=True))


def read_table(data: Path) -> list[Row]:
    """Return the lines of a folder's `labels.csv`.

    Raises
    ------
    FileNotFoundError
        There is none.
    ValueError
        A column is missing, a record is there twice or without a name, there is no label at all, or one patient alone.
    """
    path = data / TABLE
    with path.open(newline="", encoding="utf-8-sig") as file:
        table = csv.DictReader(file)
        if lacking := {"record", "labels"} - set(table.fieldnames or ()):
            raise ValueError(f"{path}: it must have a column {sorted(lacking)[0]}, got {table.fieldnames}")
        lines = list(table)
    rows = []
    for line in lines:
        labels = frozenset(label.strip() for label in (line["labels"] or "").split(";")) - {""}
        rows.append(Row(line["record"], line.get("patient") or line["record"], labels))
    for name, count in Counter(row.record for row in rows).items():
        if not name or count > 1:
            raise ValueError(f"{path}: each line must name a record of its own, got {name!r} {count} times")
    if not any(row.labels for row in rows) or len({row.patient for row in rows}) < 2:
        raise ValueError(f"{path}: it must name records of two patients at least, and a label")
    return rows


def load_head(path: Path | str) -> Head:
    """Load a head; raises FileNotFoundError, and ValueError where the file is none."""
    kept = Path(path).read_bytes()
    made = weights_file.made(kept)
    try:
        tensors = safetensors.numpy.load(kept)
        return Head(tensors["weight"], tensors["bias"], tuple(made["labels"]), made["backbone_sha256"])
    except (KeyError, safetensors.SafetensorError) as error:
        raise ValueError(f"{path}: no head of `vigil train head`: {error}") from error


def train(
    backbone: Path,
    data: Path,
    out: Path,
    seed: int = 1,
    *,
    leads: tuple[str, ...] | None = None,
    show: Show = print,
) -> dict[str, float]:
    """Fit a head on the records of a folder, and write it.

    Parameters
    ----------
    backbone : Path
        Published file of weights.
    data : Path
        Folder with `labels.csv` and the WFDB records that it names.
    out : Path
        File to write (safetensors).
    seed : int
        Of the folds, which are by patient.
    leads : tuple of str, optional
        Which leads the network takes, in which order; unless given, the published ones.
    show : callable
        Takes a line of progress.

    Returns
    -------
    dict
        AUROC of each label by heads that never saw the patient, and their mean; NaN where a label has one side alone.

    Raises
    ------
    FileNotFoundError, ValueError
        As of `load`, `read_table`, `ecg.record.read` and `Backbone.features`.
    """
    rows = read_table(data)
    network = load(backbone, leads=leads)
    show(f"{len(rows)} records of {len({row.patient for row in rows})} patients, features of {network.kind.name}")
    x = np.stack([_features(network, data / row.record) for row in rows])
    labels = sorted(set().union(*(row.labels for row in rows)))
    truth = np.array([[label in row.labels for label in labels] for row in rows])
    figures = _out_of_fold(x, truth, _folds([row.patient for row in rows], seed), labels)
    weight, bias = fit(x, truth)
    made = {
        "command": f"vigil train head --backbone FILE --data DIR --out FILE --seed {seed}",
        "commit": commit(),
        "backbone": network.kind.name,
        "backbone_sha256": network.sha256,
        "leads": network.leads,
        "labels": labels,
        "positives": dict(zip(labels, truth.sum(0).tolist(), strict=True)),
        "records": [row.record for row in rows],
        "split": f"up to {FOLDS} folds by patient for the figures, seed {seed}; the head is fitted on all",
        "figures": {name: value for name, value in figures.items() if value == value},
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(weights_file.pack({"weight": weight, "bias": bias}, made))
    for name, value in figures.items():
        show(f"{name} {value:g}")
    return figures


def _features(network: Backbone, path: Path) -> NDArray[np.float32]:
    found = record.read(path)
    return network.features(found.mv(), found.rate_hz, [found.leads[row].name for row in found.rows("ecg")])


def _folds(patients: list[str], seed: int) -> NDArray[np.int64]:
    """Return the fold of each record: those of one patient in one fold."""
    names = sorted(set(patients))
    order = np.random.default_rng(seed).permutation(len(names))
    fold = {names[k]: place % FOLDS for place, k in enumerate(order)}
    return np.array([fold[patient] for patient in patients])


def _out_of_fold(
    x: NDArray[np.float32], truth: NDArray[np.bool_], fold: NDArray[np.int64], labels: list[str]
) -> dict[str, float]:
    score = np.zeros(truth.shape)
    for k in np.unique(fold):
        weight, bias = fit(x[fold != k], truth[fold != k])
        score[fold == k] = x[fold == k] @ weight.T + bias
    found = {f"auroc_{label}": auroc(score[:, k], truth[:, k]) for k, label in enumerate(labels)}
    known = [value for value in found.values() if not np.isnan(value)]
    return found | {"auroc_mean": float(np.mean(known)) if known else float("nan")}


def fit(x: NDArray[np.float32], truth: NDArray[np.bool_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit weights and bias of penalised logistic regressions, one a label, by L-BFGS.

    Parameters
    ----------
    x : ndarray of float32, shape (n, n_features)
    truth : ndarray of bool, shape (n, n_labels)

    Returns
    -------
    weight, bias : ndarray of float64, shapes (n_labels, n_features), (n_labels,)
    """
    mean, spread = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    spread[spread < 1e-9] = 1.0  # a feature that is the same for all says nothing
    scaled, shape = (x - mean) / spread, (truth.shape[1], x.shape[1] + 1)

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weight, bias = flat.reshape(shape)[:, :-1], flat.reshape(shape)[:, -1]
        logits = scaled @ weight.T + bias
        total = np.mean(np.logaddexp(0, logits) - truth * logits) + PENALTY * np.square(weight).sum() / len(weight)
        off = (expit(logits) - truth) / truth.size
        slope = np.column_stack([off.T @ scaled + 2 * PENALTY * weight / len(weight), off.sum(0)])
        return float(total), slope.ravel()

    found = minimize(loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    fitted = found.x.reshape(shape)[:, :-1] / spread
    return fitted, found.x.reshape(shape)[:, -1] - fitted @ mean
