"""The weights of the beat detector, fitted on the records that are here: all of them, or without a fold's patients."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from ecg import beat_fit
from ecg.beat_fit import Complexes
from ecg.beat_weights import Weights
from stream.evaluate import run
from stream.evaluate.figures import folds

OTHERS = frozenset({"ltafdb", "vfdb", "cudb", "cinc2011", "cinc2015", "cinc2017", "ludb", "ptbxl"})
"""Sets whose records are other patients, though some have the numbers of `mitdb` or `svdb`."""


class Refitted(NamedTuple):
    """Weights that have not seen a fold's patients.

    `folds` are of patients; `weights` by record, of the fold of its patient; `notes` says what could not be had.
    """

    folds: list[list[str]]
    weights: dict[str, Weights]
    notes: list[str]


def whose(data: Path, record: str) -> str:
    """Return the patient of a record as `<set>/<record>`: noisy ones and those of `qtdb` are of `mitdb` and `svdb`.

    Examples
    --------
    >>> whose(Path("mitdb"), "202"), whose(Path("nstdb"), "118e06"), whose(Path("qtdb"), "sel803")
    ('mitdb/201', 'mitdb/118', 'svdb/803')
    """
    clean = run.patient(record)
    number = re.fullmatch(r"(?:sel)?([128])\d\d", clean)
    if data.name in OTHERS or number is None:
        return f"{data.name}/{clean}"
    return f"{'svdb' if number[1] == '8' else 'mitdb'}/{clean.removeprefix('sel')}"


def out_of_fold(data: Path, records: Iterable[str]) -> Refitted:
    """Fit weights for each record of a folder without its patient's fold; the sets to fit on are the folder, or beside.

    No weights if none of these sets is here.
    """
    data = data.resolve()
    training, notes = complexes({name: data if data.name == name else data.parent / name for name in beat_fit.ORIGIN})
    patients = {name: whose(data, name) for name in records}
    divided = folds({*patients.values(), *(each.patient for each in training)})
    if not training:
        return Refitted(divided, {}, [*notes, "no weights were fitted anew"])
    fitted = {who: weights for fold in divided for who, weights in _fold(training, fold).items()}
    return Refitted(divided, {name: fitted[who] for name, who in patients.items()}, notes)


def _fold(training: list[Complexes], fold: list[str]) -> dict[str, Weights]:
    return dict.fromkeys(fold, beat_fit.fit(training, without=set(fold)))


def complexes(folders: Mapping[str, Path]) -> tuple[list[Complexes], list[str]]:
    """Return the complexes of all records to fit on, by the sets' folders, and which records are not here."""
    paths = [folder / name for record_set, folder in folders.items() for name in beat_fit.ORIGIN[record_set]]
    here = [path for path in paths if path.with_suffix(".hea").is_file() and path.with_suffix(".atr").is_file()]
    notes = []
    for record_set, folder in folders.items():
        of = len(beat_fit.ORIGIN[record_set])
        n = of - sum(path.parent == folder for path in here)
        notes += [f"{n} of {of} records of {record_set} to fit on are not here"] if n else []
    if not here:
        return [], notes
    sets = {folder: record_set for record_set, folder in folders.items()}
    outcome = run.over(here, partial(_collect, sets=sets))
    notes += [f"{name}: not fitted on: {why}" for name, why in outcome.failed.items()]
    return list(outcome.results.values()), notes


def _collect(path: Path, sets: Mapping[Path, str]) -> Complexes:
    return beat_fit.collect(path, sets[path.parent])


def train(data: Path, out: Path | None) -> None:
    """Fit the weights of the beat detector on the sets of a folder, and print them or write them as JSON.

    Raises
    ------
    ValueError
        If none of the records to fit on is there.
    """
    training, notes = complexes({name: data / name for name in beat_fit.ORIGIN})
    weights = beat_fit.fit(training)
    fitted = {name: part._asdict() for name, part in weights._asdict().items()}
    found = {"weights": fitted, "records": [each.record for each in training], "notes": notes}
    text = msgspec.json.format(msgspec.json.encode(found)).decode()
    if out is None:
        print(text)
    else:
        out.write_text(text + "\n")
