"""`vigil evaluate diagnosis`: what the network says of PTB-XL's records, from twelve leads down to one, and of rhythms.

Rows of `ptbxl_zscored` give the headline, records of `ptbxl` the figures that end in `_raw`: one set lost its
amplitude, and the two are chosen differently. `auroc_superclass_macro` is the mean over PTB-XL's five superclasses;
an ending says from which leads. With `cross_validate` the network is trained without each fold's patients, and what it
is compared with as well: figures of those begin with their name (`resnet_`, `random_encoder_`, `boosting_`). Without it
the weights answer, and headlines leave out the records that they were trained on, whose figures end in `_in_sample`.
Figures of windows of monitors, out of fold alone, begin with `rhythm_`: F1 and AUROC of each rhythm, by set as well.
Calibration out of fold stands in `reliability`, and is drawn where a picture is asked for.
Intervals are by bootstrap over patients; a row whose patient is unknown counts as one of its own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from model import crossval, dataset, monitors, rhythm_score, weights
from model.crossval import Asked
from model.dataset import OWN, RAW, ZSCORED, Records
from model.score import Figures, aurocs, draws, macro
from model.train import LEAD_SETS, TUNING_EPOCHS, all_sets, truths
from stream.commands.common import say
from stream.evaluate import reliability
from stream.evaluate.reliability import Curve

Probabilities = dict[str, NDArray[np.float64]]
"""By set of leads, (n, 11)."""
SETS = {ZSCORED: "", RAW: "_raw", OWN: "_own"}
"""Sets, and how names of their figures end."""
LEADS = {"12": "", "ii_v1": "_leads_ii_v1", "ii": "_lead_ii", "i": "_lead_i"}
IN_SAMPLE = "_in_sample"
KEEPING = "vigil evaluate diagnosis --cross-validate --data DIR --work FOLDER"
MODELS = (crossval.NET, crossval.RESNET, crossval.RANDOM, crossval.BOOSTING)
NOTES = (
    "rows of ptbxl_zscored carry no patient ids: two records of one patient may lie in two folds",
    "a record without any superclass (pacing, flutter) is left out of the superclasses, as the benchmark does",
    "boosting is ecg's own on measured features; the random encoder is the network's stem before training",
)


def evaluate(
    data: Path,
    *,
    json: bool,
    cross_validate: bool,
    work: Path | None = None,
    file: Path | None = None,
    picture: Path | None = None,
) -> int:
    """Score the records of a folder and print the figures; returns the exit status.

    Parameters
    ----------
    data : Path
        Folder that holds `ptbxl`, `ptbxl_zscored` or both.
    json : bool
    cross_validate : bool
        Train without each fold's patients, and print figures out of fold.
    work : Path, optional
        Folder in which folds are kept, so that a run can go on where it ended, and the network of each.
    file : Path, optional
        Weights to score instead of those that come with Vigil.
    picture : Path, optional
        Where the reliability diagram goes, as SVG; of answers out of fold alone.
    """
    if picture is not None and not cross_validate:
        say("--reliability draws answers out of fold: it goes with --cross-validate")
        return 2
    if not cross_validate and not (file or weights.shipped()).is_file():
        say(f"{file or weights.shipped()}: no weights; --cross-validate trains them fold by fold")
        return 2
    found = partial(_cross_validated, data, work, picture) if cross_validate else partial(_by_weights, data, file)
    return told(found, json=json)


def told(found: Callable[[], dict[str, Any]], *, json: bool) -> int:
    """Print what comes of figures, or why none can; returns the exit status."""
    try:
        figures = found()
    except ValueError as error:
        say(str(error))
        return 2
    print(msgspec.json.encode(figures).decode() if json else text(figures))
    return 0


def train(data: Path, out: Path, seed: int, work: Path | None, start: Path | None = None) -> int:
    """Train the network on the records of a folder and write its weights; returns the exit status.

    Parameters
    ----------
    data, work
        As of `evaluate`; also WFDB records that a `labels.csv` names, as `model.dataset.listed` takes them.
    start : Path, optional
        Weights to go on from.
    """
    try:
        if start is not None:
            weights.load(start)
        dataset.listed(data)
    except (FileNotFoundError, ValueError) as error:
        say(str(error))
        return 2
    with folder(work) as held:
        asked = Asked(data, held, seed, start=start)
        if start is not None:
            asked = asked._replace(epochs=TUNING_EPOCHS, pretraining=0)
        material = crossval.material(asked, report)
        command = f"vigil train net {'--from WEIGHTS ' if start else ''}--data DIR --out FILE --seed {seed}"
        out.write_bytes(weights.make(asked, material, command, lambda answers: _figures(answers, material), say))
    return 0


@contextmanager
def folder(work: Path | None) -> Iterator[Path]:
    """Give the folder of work, made where it is not there, or a temporary one."""
    if work is not None:
        work.mkdir(parents=True, exist_ok=True)
        yield work
    else:
        with tempfile.TemporaryDirectory() as made:
            yield Path(made)


def _cross_validated(data: Path, work: Path | None, picture: Path | None) -> dict[str, Any]:
    with folder(work) as held:
        asked = Asked(data, held)
        material = crossval.material(asked, report)
        answers = crossval.out_of_fold(asked, material, MODELS, say)
        weights.keep_folds(asked, material, answers[crossval.NET], KEEPING)
        found, curves = _scored(answers, material)
    if picture is not None:
        reliability.draw(picture, curves, [_error(curve, found) for curve in curves])
    return found | {"reliability": {curve.name: reliability.as_object(curve) for curve in curves}}


def _error(curve: Curve, found: Mapping[str, Any]) -> str:
    """Return the line on a curve's calibration error."""
    low, high = found["intervals"][curve.name]
    people = len(np.unique(curve.patient))
    return f"calibration error {found['figures'][curve.name]:.3f} ({low:.3f} to {high:.3f}), {people:,} patients"


def _figures(logits: Mapping[str, crossval.Answers], material: crossval.Material) -> dict[str, Any]:
    """Return the figures alone of answers out of fold, as weights carry them."""
    return _scored(logits, material)[0]


def _scored(logits: Mapping[str, crossval.Answers], material: crossval.Material) -> tuple[dict[str, Any], list[Curve]]:
    """Score answers out of fold, each fold calibrated on the others; also give what was said against what was so."""
    records, truth = material.copies[0], truths(material.copies[0])
    fold = material.record_fold
    said = {
        name: {of: crossval.probabilities(each[of], truth, fold) for of in LEAD_SETS} for name, each in logits.items()
    }
    figures = Figures()
    _add(figures, records, said, np.ones(len(truth), bool))
    twelve = said[crossval.NET]["12"]
    figures.add_coverage("", crossval.conformal_sets(twelve, truth, fold), truth)
    curves = [reliability.of_records(twelve, truth, records.patient)]
    if material.windows is not None:
        windows = _windows(logits[crossval.NET][crossval.WINDOWS], material.windows, material.window_fold)
        figures.values |= _rhythms(*windows)
        curves += reliability.of_windows(*windows)
    for curve in curves:
        figures.add(curve.name, curve.errors())
    return _printed(figures, records), curves


Windows = tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.str_]]
"""Probabilities of rhythms (n, 8), those that are allowed, and whose the windows are."""


def _windows(logits: NDArray[np.float32], windows: Records, fold: NDArray[np.int64]) -> Windows:
    """Return what was said of the windows on the 5-s grid, each fold calibrated on the others."""
    used = monitors.counted(windows)
    said = crossval.rhythm_probabilities(logits, windows.rhythm, fold, used)
    return said[used], windows.rhythm[used], windows.patient[used]


def _rhythms(said: NDArray[np.float64], allowed: NDArray[np.bool_], patient: NDArray[np.str_]) -> dict[str, float]:
    found = rhythm_score.figures(said, allowed, patient) | rhythm_score.by_set(said, allowed, patient)
    return {f"rhythm_{name}": value for name, value in found.items() if np.isfinite(value)}


def _by_weights(data: Path, file: Path | None) -> dict[str, Any]:
    network = weights.load(file or weights.shipped())
    records = dataset.read_sets(data, report=report)
    logits = all_sets(network.net, records, np.arange(len(records.name)))
    width = len(truths(records)[0])
    said = {of: network.probabilities(each, LEAD_SETS[of])[:, :width] for of, each in logits.items()}
    seen = np.isin(records.name, network.made["records"])
    figures = Figures()
    for which, ending in ((~seen, ""), (seen, IN_SAMPLE)):
        _add(figures, records, {crossval.NET: said}, which, ending)
    return _printed(figures, records) | {"weights_sha256": network.sha256}


def _add(
    figures: Figures, records: Records, said: Mapping[str, Probabilities], which: NDArray[np.bool_], ending: str = ""
) -> None:
    """Add the figures of some of the records: the network's in full, of the others the headlines."""
    truth = truths(records)
    for name, of_set in SETS.items():
        kept = which & records.of_set(name)
        if kept.any():
            net = {of: each[kept] for of, each in said[crossval.NET].items()}
            _add_set(figures, truth[kept], records.patient[kept], net, of_set + ending)
            for other in sorted(said.keys() - {crossval.NET}):
                theirs = {of: each[kept] for of, each in said[other].items()}
                _add_other(figures, truth[kept], records.patient[kept], net, other, theirs, of_set + ending)
    if which.any():
        drawn = draws(records.patient[which])
        figures.add_calibration(f"ece{ending}", said[crossval.NET]["12"][which], truth[which], drawn)


def _add_set(
    figures: Figures, truth: NDArray[np.int8], patient: NDArray[np.str_], net: Probabilities, ending: str
) -> None:
    drawn = draws(patient)
    known = truth[:, 0] >= 0
    for of, leads in LEADS.items():
        figures.add(f"auroc_superclass_macro{leads}{ending}", macro(net[of], truth, drawn))
        normal = aurocs(net[of][known, 0], truth[known, 0] == 1, drawn.take(known))
        figures.add(f"auroc_normal{leads}{ending}", normal)
    figures.add_outputs(ending, net["12"], truth, drawn)


def _add_other(
    figures: Figures,
    truth: NDArray[np.int8],
    patient: NDArray[np.str_],
    net: Probabilities,
    name: str,
    theirs: Probabilities,
    ending: str,
) -> None:
    """Add what another model reaches, and by how much the network is better, draw by draw."""
    drawn = draws(patient)
    for of, leads in LEADS.items():
        reached = macro(theirs[of], truth, drawn)
        figures.add(f"{name}_auroc_superclass_macro{leads}{ending}", reached)
        figures.add(f"auroc_superclass_macro{leads}_over_{name}{ending}", macro(net[of], truth, drawn) - reached)


def _printed(figures: Figures, records: Records) -> dict[str, Any]:
    counted = {f"{name}_records": int(records.of_set(name).sum()) for name in SETS}
    unknown = int(np.char.startswith(records.patient, "unknown").sum())
    values = {**figures.values, **counted, "records_without_patient": unknown}
    leads = {of: list(names) for of, names in LEAD_SETS.items()}
    return {"figures": values, "intervals": figures.intervals, "lead_sets": leads, "failed": {}, "notes": [*NOTES]}


def report(name: str, done: int, of: int) -> None:
    """Say how many records of a set were read, now and then."""
    if done % 500 == 0 or done == of:
        say(f"{name}: {done} of {of} records read")


def text(found: Mapping[str, Any]) -> str:
    """Return what is printed without `--json`."""
    lines = []
    for name, value in found["figures"].items():
        between = found["intervals"].get(name)
        limits = "  ({:.3f}-{:.3f})".format(*between) if between else ""
        lines.append(f"{name:>52}  {value}{limits}")
    return "\n".join([*lines, *(f"note: {note}" for note in found["notes"])])
