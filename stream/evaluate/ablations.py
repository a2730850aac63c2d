"""`vigil evaluate ablations`: what each part of the network is worth, on the same folds, trained for as long.

Each variant lacks one of `model.ablations.PARTS`, or has a state-space block in the place of the transformer layer, and
is trained as the whole network is beside it, for fewer epochs, without pretraining, and on the first folds alone.
Figures are of the records of those folds: macro AUROC over PTB-XL's superclasses from twelve leads and from lead II, of
z-scored rows and raw records together and (`_raw`) of raw records, which alone have age and sex; AUROC of AF and of VT
or VF over windows of monitors. A difference is the whole network less the variant, with its interval by bootstrap over
patients: above zero, the part helps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model import crossval, monitors
from model.crossval import NET, NETWORKS, WINDOWS, Answers, Asked, Material
from model.dataset import RAW
from model.labels import RHYTHMS
from model.score import OUTPUTS, Draws, Figures, aurocs, draws, macro
from model.train import EPOCHS, truths
from stream.commands.common import say
from stream.evaluate.diagnosis import SETS, folder, report, told

ABLATED_EPOCHS, ABLATED_FOLDS = 12, 2
LEADS = {"12": "", "ii": "_lead_ii"}
TOLD = {"af": ("atrial_fibrillation",), "lethal": ("ventricular_tachycardia", "ventricular_fibrillation")}
NOTES = (f"{ABLATED_FOLDS} of {crossval.FOLDS} folds, {ABLATED_EPOCHS} epochs instead of {EPOCHS}",)


def evaluate(data: Path, *, json: bool, work: Path | None = None) -> int:
    """Train the network and its variants and print the figures; returns the exit status.

    Parameters
    ----------
    data, work
        As of `stream.evaluate.diagnosis.evaluate`.
    json : bool
    """
    return told(lambda: _found(data, work), json=json)


def _found(data: Path, work: Path | None) -> dict[str, object]:
    with folder(work) as held:
        asked = Asked(data, held, epochs=ABLATED_EPOCHS, pretraining=0)
        material = crossval.material(asked, report)
        return _scored(crossval.out_of_fold(asked, material, tuple(NETWORKS), say, ABLATED_FOLDS), material)


def _scored(logits: dict[str, Answers], material: Material) -> dict[str, object]:
    figures, records = Figures(), material.copies[0]
    truth, reached = truths(records), dict[tuple[str, str], NDArray[np.float64]]()
    mine = material.record_fold < ABLATED_FOLDS
    for of_set, which in (("", mine), (SETS[RAW], mine & records.of_set(RAW))):
        if not which.any():
            continue
        drawn = draws(records.patient[which])
        for name, said in logits.items():
            for of, ending in LEADS.items():
                figure = f"auroc_superclass_macro{ending}{of_set}"
                reached[figure, name] = macro(said[of][which], truth[which], drawn)
    windows = material.windows
    if windows is not None:
        used = (material.window_fold < ABLATED_FOLDS) & monitors.counted(windows)
        drawn = draws(windows.patient[used])
        for name, said in logits.items():
            for rhythm, classes in TOLD.items():
                rows = said[WINDOWS][used][:, len(OUTPUTS) :]
                reached[f"auroc_{rhythm}", name] = _told(rows, windows.rhythm[used], classes, drawn)
    for (figure, name), values in reached.items():
        figures.add(figure if name == NET else f"{figure}_{name}", values)
        if name != NET:
            figures.add(f"{figure}_over_{name}", reached[figure, NET] - values)
    return {"figures": figures.values, "intervals": figures.intervals, "failed": {}, "notes": [*NOTES]}


def _told(
    logits: NDArray[np.float32], allowed: NDArray[np.bool_], classes: tuple[str, ...], drawn: Draws
) -> NDArray[np.float64]:
    """Return the AUROC of some rhythms together over the windows that are surely of these, or surely of none."""
    among = np.isin(RHYTHMS, classes)
    known = allowed[:, among].any(axis=1) != allowed[:, ~among].any(axis=1)
    score = np.logaddexp.reduce(logits[known][:, among], axis=1) - np.logaddexp.reduce(logits[known][:, ~among], axis=1)
    so: NDArray[np.bool_] = allowed[known][:, among].max(axis=1)
    return aurocs(score, so, drawn.take(known))
