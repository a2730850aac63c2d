"""`vigil evaluate labels`: how few labels the network needs, and whether pretraining without labels pays.

Of the training patients of a fold a share keeps its labels, a smaller one within the larger. The network learns from
these alone, from scratch or from weights that `model.pretrain` made of all training patients of the fold, unlabelled.
Both answer for the same patients, of whom nothing was seen. Trees are grown on what has labels. Figures are of the
first folds: macro AUROC over PTB-XL's superclasses, of z-scored rows and (`_raw`) of raw records, from twelve leads and
from lead II; of the network with its trees, and `alone`, without. A difference is with pretraining less without, by the
same draws of the patients: above zero, it pays.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model import crossval, train
from model.ablations import without
from model.crossval import Asked, Material
from model.dataset import RAW, ZSCORED
from model.measured import Forests
from model.net import Net
from model.pretrain import EPOCHS as PRETRAINED_EPOCHS
from model.pretrain import pretrained
from model.score import OUTPUTS, Figures, draws, macro
from model.train import LEAD_SETS, Sets, truths
from stream.commands.common import say
from stream.evaluate.diagnosis import folder, report, told

SHARES: dict[float, int] = {0.1: 36, 0.3: 24, 1.0: 12}
"""Share of the training patients that keep their labels, and epochs: fewer records make shorter epochs."""
SCORED_FOLDS = 2
SCRATCH, PRETRAINED = "scratch", "pretrained"
LEADS = {"12": "", "ii": "_lead_ii"}
SETS = {ZSCORED: "", RAW: "_raw"}
NOTES = (
    f"{SCORED_FOLDS} of {crossval.FOLDS} folds; epochs by share: {SHARES}; {PRETRAINED_EPOCHS} without labels before",
)

Answers = dict[str, NDArray[np.float32]]
"""Logits of a fold's records by `12`, `ii` and, of the network without its trees, `12_alone`, `ii_alone`: (n, 11)."""


def evaluate(data: Path, *, json: bool, work: Path | None = None) -> int:
    """Train with fewer and fewer labels and print the figures; returns the exit status.

    Parameters
    ----------
    data, work
        As of `stream.evaluate.diagnosis.evaluate`.
    json : bool
    """
    return told(lambda: _found(data, work), json=json)


def _found(data: Path, work: Path | None) -> dict[str, object]:
    with folder(work) as held:
        asked = Asked(data, held, pretraining=0)
        material = crossval.material(asked, report)
        with ProcessPoolExecutor(crossval.PROCESSES, mp_context=get_context("spawn")) as pool:
            said = list(pool.map(partial(answered, asked), range(SCORED_FOLDS)))
        return _scored(said, material)


def answered(asked: Asked, k: int) -> dict[tuple[str, float], Answers]:
    """Return what was answered of fold k, by how it was trained and the share of labels; kept when it is done."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    held, found = crossval.material(asked), {}
    sets = held.without(k)
    starts: dict[str, Callable[[], Net]] = {SCRATCH: partial(without, "trees"), PRETRAINED: _once(asked, k, sets)}
    for share, epochs in SHARES.items():
        some, trees = labelled(sets, share, asked.seed), Forests(len(OUTPUTS))
        for way, start in starts.items():
            file = asked.file(f"labels_{way}_{100 * share:.0f}", k)
            if not file.is_file():
                if not trees.share:
                    train.grow(trees, held.copies[0].take(some.rows))
                net = train.fit(some, asked.seed + k, start, epochs, partial(_show, file.stem))
                np.savez(file, allow_pickle=False, **_answers(net, trees, held, np.flatnonzero(held.record_fold == k)))
            with np.load(file) as kept:
                found[way, share] = dict(kept)
    return found


def labelled(sets: Sets, share: float, seed: int) -> Sets:
    """Return the records and windows of a share of the patients; a smaller share lies within a larger one."""
    records, rng = sets.copies[0].patient, np.random.default_rng(seed)
    rows = sets.rows[_drawn(records[sets.rows], share, rng)]
    if sets.windows is None:
        return Sets(sets.copies, rows)
    seen = sets.seen[_drawn(sets.windows.patient[sets.seen], share, rng)]
    return Sets(sets.copies, rows, sets.windows, seen)


def _drawn(patient: NDArray[np.str_], share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    order = rng.permutation(np.unique(patient))
    return np.isin(patient, order[: max(1, round(share * len(order)))])


def _once(asked: Asked, k: int, sets: Sets) -> Callable[[], Net]:
    """Give copies of a network that is pretrained when it is first asked for."""
    made: list[Net] = []

    def start() -> Net:
        if not made:
            made.append(pretrained(sets, asked.seed + k, PRETRAINED_EPOCHS, partial(_show, f"fold {k}")))
        net = without("trees")
        net.load_state_dict(made[0].state_dict())
        return net

    return start


def _show(what: str, line: str) -> None:
    say(f"{what}: {line}")


def _answers(net: torch.nn.Module, trees: Forests, held: Material, mine: NDArray[np.int64]) -> Answers:
    records, out = held.copies[0], {}
    for of in LEADS:
        own = train.answers(net, records, mine, LEAD_SETS[of])[:, : len(OUTPUTS)]
        shown = train.described(records.take(mine), LEAD_SETS[of])
        out[f"{of}_alone"] = own
        out[of] = trees(torch.from_numpy(own), torch.from_numpy(shown)).numpy()
    return out


def _scored(said: list[dict[tuple[str, float], Answers]], material: Material) -> dict[str, object]:
    figures, records = Figures(), material.copies[0]
    order = np.concatenate([np.flatnonzero(material.record_fold == k) for k in range(SCORED_FOLDS)])
    truth, patient = truths(records)[order], records.patient[order]
    for name, of_set in SETS.items():
        mine = records.of_set(name)[order]
        if not mine.any():
            continue
        drawn = draws(patient[mine])
        for share in SHARES:
            for of in (f"{leads}{kind}" for kind in ("", "_alone") for leads in LEADS):
                reached = {
                    way: macro(np.concatenate([fold[way, share][of] for fold in said])[mine], truth[mine], drawn)
                    for way in (SCRATCH, PRETRAINED)
                }
                leads, _, alone = of.partition("_")
                ending = f"{LEADS[leads]}{alone and '_alone'}{of_set}_labels_{100 * share:.0f}"
                for way, values in reached.items():
                    figures.add(f"auroc_superclass_macro{ending}_{way}", values)
                figures.add(f"auroc_superclass_macro{ending}_gained", reached[PRETRAINED] - reached[SCRATCH])
    return {"figures": figures.values, "intervals": figures.intervals, "failed": {}, "notes": [*NOTES]}
