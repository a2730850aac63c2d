"""Four classes of short strips (`cinc2017`) by the forests of `ecg.strip_class`, and the challenge's score of them.

The forests weigh what the network says, too (`model.strips`). Out of fold they are grown anew without each fold's
records, on what networks said that had not learned from a strip, as it is kept beside the shipped forests.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg import strip_class, strip_fit
from ecg.strip_class import CLASSES, Class
from ecg.strip_fit import Described
from model import strips
from model.commit import commit
from model.crossval import Asked, material
from stream.commands.common import say
from stream.evaluate import diagnosis, run
from stream.evaluate.figures import folds as divide

NAMED: dict[str, Class] = {"normal": "N", "af": "A", "other": "O"}
"""The classes whose F1 makes the score."""
_FOLDS = 5


class Decided(NamedTuple):
    """What a strip is, what it was called, and whether what called it had been taught by it."""

    truth: Class
    decided: Class
    seen: bool


def decide(folder: Path, failed: dict[str, str], *, cross_validate: bool) -> dict[str, Decided]:
    """Name every strip of a folder that its `REFERENCE.csv` lists; with `cross_validate` by forests without its fold.

    What could not be read is added to `failed`. Records are not tied to patients in this set: folds are by record.
    """
    truth = reference(folder)
    paths = [folder / name for name in sorted(truth)]
    outcome = run.over(paths, strip_fit.collect if cross_validate else strips.collect)
    found, reasons = list(outcome.results.values()), dict(outcome.failed)
    if cross_validate:
        found = _beside_kept(found, reasons)
    failed.update({f"cinc2017/{name}": reason for name, reason in reasons.items()})
    called = _out_of_fold(found, truth) if cross_validate else _called(strip_class.shipped(), found)
    taught = set() if cross_validate else taught_by()
    return {name: Decided(truth[name], each, name in taught) for name, each in called.items()}


def reference(folder: Path) -> dict[str, Class]:
    """Return the classes of a folder's strips; none where it has no `REFERENCE.csv`."""
    listed = folder / "REFERENCE.csv"
    return strip_fit.read_reference(listed.read_text()) if listed.is_file() else {}


def taught_by() -> set[str]:
    """Return the records that the shipped forests were grown on."""
    return set(strip_class.made(strip_class.SHIPPED.read_bytes())["records"]["cinc2017"])


def _beside_kept(found: Sequence[Described], reasons: dict[str, str]) -> list[Described]:
    """Put what was said of each strip out of fold behind what describes it; where nothing is kept, that is a reason."""
    said = strip_class.said_out_of_fold(strip_class.SHIPPED.read_bytes())
    lacking = "no answer of a network that had not learned from it lies beside the shipped forests"
    reasons |= {each.record: lacking for each in found if each.record not in said}
    return [strip_fit.beside(each, said[each.record]) for each in found if each.record in said]


def _out_of_fold(found: Sequence[Described], truth: dict[str, Class]) -> dict[str, Class]:
    called: dict[str, Class] = {}
    for fold in divide({each.record for each in found}, _FOLDS):
        without = set(fold)
        forests = strip_fit.fit(found, truth, without)
        called |= _called(forests, [each for each in found if each.record in without])
    return called


def _called(forests: strip_class.Forests, found: Sequence[Described]) -> dict[str, Class]:
    return {each.record: strip_class.classify(forests, each.features) for each in found}


def train(data: Path, out: Path, work: Path | None) -> None:
    """Grow the forests on the strips of `cinc2017` in a folder of the sets, and write them as safetensors.

    What the network says of a strip comes from the folds of `vigil train net`, which are trained where the folder of
    work does not hold them.

    Raises
    ------
    ValueError
        If the strips are not there, or nothing to train the network on.
    """
    truth = reference(data / "cinc2017")
    found: dict[str, Described] = {}
    with diagnosis.folder(work) as held:
        asked = Asked(data, held)
        for network, names in strips.unlearned(asked, material(asked, diagnosis.report), say).items():
            paths = [data / "cinc2017" / name for name in names if name in truth]
            found |= run.over(paths, partial(strips.collect, network=network)).results
    how = {
        "command": "vigil train strips --data DIR --out FILE --work FOLDER",
        "seed": strip_fit.SEED,
        "split": f"{_FOLDS} folds by record for the figures; the forests are grown on all",
        "commit": commit(),
        "network": f"out of the {asked.folds} folds of vigil train net, seed {asked.seed}, {asked.epochs} epochs",
    }
    said = {name: each.features[-strip_class.SAID :].astype(np.float16) for name, each in found.items()}
    out.write_bytes(strip_class.encode(strip_fit.fit(found.values(), truth), said, how))


def confusion(pairs: Sequence[tuple[Class, Class]]) -> NDArray[np.float64]:
    """Return rows of 16 counts, one a record, of (truth, decision) pairs in the order of `CLASSES`."""
    rows = np.zeros((len(pairs), 16))
    for row, (truth, decision) in zip(rows, pairs, strict=True):
        row[4 * CLASSES.index(truth) + CLASSES.index(decision)] = 1
    return rows


def f1(sums: NDArray[np.float64], name: Class) -> NDArray[np.float64]:
    """Return the F1 of one class as a fraction, of sums of such rows; NaN where it neither is nor was said."""
    table, k = sums.reshape(-1, 4, 4), CLASSES.index(name)
    of = table[:, k].sum(axis=1) + table[:, :, k].sum(axis=1)
    return np.divide(2 * table[:, k, k], of, out=np.full(len(of), np.nan), where=of > 0)


def f1_mean(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the challenge's score: the mean F1 of normal rhythm, atrial fibrillation and other rhythms."""
    return np.mean([f1(sums, name) for name in NAMED.values()], axis=0)
