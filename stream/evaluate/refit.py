"""What is learned, fitted on the records that are here: on all of them, or without a fold's patients."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg import (
    artefact_fit,
    atrial_fit,
    atrial_weights,
    beat_doubt,
    beat_fit,
    beat_judge,
    beat_layers,
    beat_weights,
    forest_grow,
    wave,
    wave_fit,
)
from ecg.beat_weights import Weights
from ecg.learned import LEARNED
from ecg.quality import Unrest, restless_from
from ecg.record import read
from stream.evaluate import run
from stream.evaluate.figures import folds as divide

OTHERS = frozenset({"ltafdb", "vfdb", "cudb", "cinc2011", "cinc2015", "cinc2017", "ludb", "ptbxl"})
"""Sets whose records are other patients, though some have the numbers of `mitdb` or `svdb`."""


class Anew(NamedTuple):
    """The learned parts (`ecg.learned`) by which a patient is judged; None: the shipped one.

    `wave` is the weights of the wave and their bias.
    """

    wave: tuple[NDArray[np.float64], float] | None = None
    beats: Weights | None = None
    atrial: atrial_weights.Weights | None = None
    artefact: Unrest | None = None


@contextmanager
def judging(anew: Anew) -> Iterator[None]:
    """Let these parts judge in the meantime, in this process."""
    with ExitStack() as stack:
        if anew.wave is not None:
            stack.enter_context(wave.weighing(*anew.wave))
        if anew.beats is not None:
            stack.enter_context(beat_weights.weighing(anew.beats))
        if anew.atrial is not None:
            stack.enter_context(atrial_weights.weighing(anew.atrial))
        if anew.artefact is not None:
            stack.enter_context(restless_from(anew.artefact))
        yield


class Refitted(NamedTuple):
    """What was fitted without a fold's patients.

    `folds` are of patients; `anew` by patient, of their fold; `parts` are those that were fitted anew; `notes` says
    what could not be had.
    """

    folds: list[list[str]]
    anew: dict[str, Anew]
    parts: tuple[str, ...]
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
    """Fit the weights of the beat detector without the fold of each patient of a folder's records.

    The sets to fit on are the folder, or lie beside it; nothing is fitted if none is here.
    """
    data = data.resolve()
    folders = {name: data if data.name == name else data.parent / name for name in beat_fit.ORIGIN}
    training, notes = collected("beats", folders)
    return _fitted({whose(data, name) for name in records}, {"beats": training}, notes)


def rhythm_out_of_fold(data: Path, sets: Iterable[str]) -> Refitted:
    """Fit all parts without the fold of each patient of these sets, and of `ltafdb`, in a folder of the sets."""
    ltafdb = {f"ltafdb/{path.stem}" for path in (data / "ltafdb").glob("*.atr")}
    patients = {wave_fit.patient(name, path.name) for name in sets for path in run.records(data / name)}
    training, notes = _on_all(data)
    return _fitted(patients | ltafdb, training, notes)


def _fitted(patients: Iterable[str], training: Mapping[str, Sequence[Any]], notes: list[str]) -> Refitted:
    """Divide patients, with those to fit on, and fit each part without each fold; a noise is nobody's."""
    taught = {each.patient for used in training.values() for each in used if not each.patient.startswith("nstdb/")}
    folds = divide({*patients, *taught})
    parts: dict[str, list[Any]] = {}
    for name, used in training.items():
        try:
            parts |= {name: [_PARTS[name].fit(used, fold) for fold in folds]} if used else {}
        except ValueError as error:
            notes = [*notes, f"{name}: {error}"]
    notes = [*dict.fromkeys(notes), *(f"no {name} was fitted anew" for name in training if name not in parts)]
    by_fold = [Anew(**{name: fitted[k] for name, fitted in parts.items()}) for k in range(len(folds))]
    anew = {patient: by_fold[k] for k, fold in enumerate(folds) for patient in fold}
    return Refitted(folds, anew, tuple(parts), notes)


def _windows(record_set: str, path: Path) -> list[wave_fit.Windows]:
    data = path.parent.parent
    return (
        [*wave_fit.noise(data, path.name)] if record_set == "nstdb" else [wave_fit.windows(data, record_set, path.name)]
    )


def _complexes(record_set: str, path: Path) -> list[beat_fit.Complexes]:
    noise = path.parent.parent / "nstdb" / beat_fit.NOISE
    mixed = beat_fit.collect_noisy(path, record_set, read(noise)) if noise.with_suffix(".hea").is_file() else ()
    return [beat_fit.collect(path, record_set), *mixed]


def _places(record_set: str, path: Path) -> list[atrial_fit.Places]:
    return [atrial_fit.collect(path, record_set)]


def _ladders(record_set: str, path: Path) -> list[artefact_fit.Tally]:
    return [artefact_fit.collect(path, record_set)]


def _restless(tallies: Collection[artefact_fit.Tally], without: Collection[str]) -> Unrest:
    return artefact_fit.CANDIDATES[artefact_fit.fit(tallies, without)]


class _Part(NamedTuple):
    """Records by set, what is taken of each, and the fit on it without some patients."""

    origin: Mapping[str, Sequence[str]]
    collect: Callable[[str, Path], list[Any]]
    fit: Callable[[Collection[Any], Collection[str]], Any]


_PARTS = {
    "wave": _Part(wave_fit.TRAINED_ON, _windows, wave_fit.fit),
    "beats": _Part(beat_fit.ORIGIN, _complexes, beat_fit.fit),
    "atrial": _Part(atrial_fit.ORIGIN, _places, atrial_fit.fit),
    "artefact": _Part(LEARNED["artefact"], _ladders, _restless),
}


def _on_all(data: Path) -> tuple[dict[str, list[Any]], list[str]]:
    """Return what each part is fitted on, from a folder that holds the sets, and what is not here."""
    training: dict[str, list[Any]] = {}
    notes: list[str] = []
    for name, part in _PARTS.items():
        training[name], missing = collected(name, {record_set: data / record_set for record_set in part.origin})
        notes += missing
    return training, notes


def collected(part: str, folders: Mapping[str, Path]) -> tuple[list[Any], list[str]]:
    """Return what a part is fitted on, from the folders of its sets, and which records are not here."""
    origin, collect, _ = _PARTS[part]
    found: list[Any] = []
    notes: list[str] = []
    for record_set, names in origin.items():
        paths = [folders[record_set] / name for name in names]
        here = [path for path in paths if any(path.with_suffix(end).is_file() for end in (".hea", ".atr"))]
        if len(here) < len(paths):
            missing = len(paths) - len(here)
            notes.append(f"{missing} of {len(paths)} records of {record_set} to fit on are not here")
        if here:
            outcome = run.over(here, partial(collect, record_set))
            found += [each for some in outcome.results.values() for each in some]
            notes += [f"{name}: not fitted on: {why}" for name, why in outcome.failed.items()]
    return found, notes


def train_beats(data: Path, out: Path | None, doubt: Path | None = None) -> None:
    """Fit the weights of the beat detector on the sets of a folder: print the regressions, write judges and doubt.

    Raises
    ------
    ValueError
        If none of the records to fit on is there.
    """
    from model.commit import commit

    training, notes = collected("beats", {name: data / name for name in beat_fit.ORIGIN})
    weights = beat_fit.fit(training)
    found = {
        "weights": {
            name: part._asdict() for name, part in weights._asdict().items() if name not in ("judges", "doubt")
        },
        "records": [each.record for each in training if not each.noisy],
        "notes": notes,
    }
    _say(found, None)
    made = {
        "command": "vigil train beats --data DIR --out FILE --doubt FILE",
        "seeds": [forest_grow.SEED, *beat_layers.SEEDS],
        "split": "none: fitted on all of these records; folds by patient for the figures",
        "commit": commit(),
        "records": found["records"],
    }
    if out is not None:
        out.write_bytes(beat_judge.encode(weights.judges, made))
    if doubt is not None:
        noise = [f"nstdb/{beat_fit.NOISE}, first half, at {snr_db:g} dB" for snr_db in beat_fit.NOISE_DB]
        doubt.write_bytes(beat_doubt.encode(weights.doubt, {**made, "seeds": [forest_grow.SEED], "noise": noise}))


def train_rhythm(data: Path, out: Path | None) -> None:
    """Fit the weights of the wave, and print them or write them as JSON.

    Raises
    ------
    ValueError
        If the records to fit on are not there.
    """
    windows, notes = collected("wave", {name: data / name for name in wave_fit.TRAINED_ON})
    weights, bias = wave_fit.fit(windows)
    fitted = {
        "wave": {"weights": dict(zip(wave.FEATURES, weights.round(3).tolist(), strict=True)), "bias": round(bias, 3)},
    }
    _say({**fitted, "records": sorted({each.source for each in windows}), "notes": notes}, out)


def train_atrial(data: Path, out: Path) -> None:
    """Fit the weights for atrial fibrillation on the sets of a folder, and write them as safetensors.

    Raises
    ------
    ValueError
        If the records to fit on are not there.
    """
    from model.commit import commit

    places, notes = collected("atrial", {name: data / name for name in atrial_fit.ORIGIN})
    made = {
        "command": "vigil train atrial --data DIR --out FILE",
        "seed": atrial_fit.SEED,
        "split": "five folds by patient for the figures; the weights are fitted on all",
        "commit": commit(),
        "records": {
            name: sorted(each.record for each in places if each.record.startswith(name)) for name in LEARNED["atrial"]
        },
        "notes": notes,
    }
    out.write_bytes(atrial_weights.encode(atrial_fit.fit(places), made))


def _say(found: dict[str, Any], out: Path | None) -> None:
    text = msgspec.json.format(msgspec.json.encode(found)).decode()
    if out is None:
        print(text)
    else:
        out.write_text(text + "\n")
