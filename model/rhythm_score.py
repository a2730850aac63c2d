"""What the rhythms of windows are worth that the network never saw: figures by class and by set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from model.labels import RHYTHMS

LEAST_WINDOWS = 20
LETHAL = (RHYTHMS.index("ventricular_tachycardia"), RHYTHMS.index("ventricular_fibrillation"))
LEAST_PATIENTS, LARGEST_SHARE = 3, 0.5
"""A class counts in `f1_macro_counted` with so many patients, none of whom holds a larger share of its windows."""


def figures(
    probabilities: NDArray[np.floating], allowed: NDArray[np.bool_], patient: NDArray[np.str_]
) -> dict[str, float]:
    """Score windows against what is known of them.

    A window counts for a class where that is its only allowed one and against it where the class is not allowed;
    where several are allowed, neither.

    Parameters
    ----------
    probabilities : ndarray of float, shape (n, n_classes)
    allowed : ndarray of bool, shape (n, n_classes)
    patient : ndarray of str, shape (n,)

    Returns
    -------
    dict
        Fractions and counts by name: `f1_`, `auroc_`, `windows_` and `patients_` of each class, of `lethal` (VT or VF)
        means over the classes, and `accuracy`.
    """
    answer = probabilities.argmax(axis=1)
    out: dict[str, float] = {}
    for k, name in enumerate(RHYTHMS):
        truth = _truth(allowed, (k,))
        out |= _binary(name, probabilities[:, k], answer == k, truth, patient)
    truth = _truth(allowed, LETHAL)
    out |= _binary("lethal", probabilities[:, list(LETHAL)].sum(axis=1), np.isin(answer, LETHAL), truth, patient)
    for kind in ("f1", "auroc"):
        out[f"{kind}_macro"] = _mean([out[f"{kind}_{name}"] for name in RHYTHMS])
    counted = [name for k, name in enumerate(RHYTHMS) if _is_counted(patient[_truth(allowed, (k,)) == 1])]
    out["f1_macro_counted"] = _mean([out[f"f1_{name}"] for name in counted])
    single = allowed.sum(axis=1) == 1
    out["accuracy"] = _ratio(allowed[np.arange(len(answer)), answer][single].sum(), single.sum())
    return out


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return round(float(np.mean(known)), 4) if known else float("nan")


def _is_counted(patient: NDArray[np.str_]) -> bool:
    """Say whether the windows of a class come from enough patients, and from none for the most part."""
    _, held = np.unique(patient, return_counts=True)
    return len(held) >= LEAST_PATIENTS and held.max() <= LARGEST_SHARE * len(patient)


def by_set(
    probabilities: NDArray[np.floating], allowed: NDArray[np.bool_], patient: NDArray[np.str_]
) -> dict[str, float]:
    """Score each set alone; a name ends in the set's, and classes with under `LEAST_WINDOWS` windows are left out."""
    source = np.char.partition(patient, "/")[:, 0]
    out: dict[str, float] = {}
    for name in np.unique(source):
        inside = source == name
        found = figures(probabilities[inside], allowed[inside], patient[inside])
        for of in (*RHYTHMS, "lethal"):
            if found[f"windows_{of}"] >= LEAST_WINDOWS:
                out |= {f"{k}_{of}_{name}": found[f"{k}_{of}"] for k in ("windows", "patients", "f1", "sensitivity")}
        if not np.isnan(found["specificity_lethal"]):
            out[f"specificity_lethal_{name}"] = found["specificity_lethal"]
    return out


def _truth(allowed: NDArray[np.bool_], classes: tuple[int, ...]) -> NDArray[np.int8]:
    """Return 1 where a window is surely one of the classes, 0 where surely not, -1 where nothing is known."""
    inside = allowed[:, list(classes)].any(axis=1)
    outside = np.delete(allowed, classes, axis=1).any(axis=1)
    return np.where(inside & ~outside, 1, np.where(inside, -1, 0)).astype(np.int8)


def _binary(
    name: str, score: NDArray[np.floating], said: NDArray[np.bool_], truth: NDArray[np.int8], patient: NDArray[np.str_]
) -> dict[str, float]:
    hit, missed, false = (said & (truth == 1)).sum(), (~said & (truth == 1)).sum(), (said & (truth == 0)).sum()
    right_no = (~said & (truth == 0)).sum()
    return {
        f"windows_{name}": int((truth == 1).sum()),
        f"patients_{name}": len(np.unique(patient[truth == 1])),
        f"f1_{name}": _ratio(2 * hit, 2 * hit + missed + false),
        f"sensitivity_{name}": _ratio(hit, hit + missed),
        f"specificity_{name}": _ratio(right_no, right_no + false),
        f"auroc_{name}": auroc(score[truth >= 0], truth[truth >= 0] == 1),
    }


def _ratio(part: np.integer, whole: np.integer) -> float:
    return round(float(part / whole), 4) if whole else float("nan")


def auroc(score: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve, ties counted half; NaN where one side is empty."""
    positives, negatives = int(truth.sum()), int((~truth).sum())
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(score)[truth].sum()
    return round(float((ranks - positives * (positives + 1) / 2) / (positives * negatives)), 4)
