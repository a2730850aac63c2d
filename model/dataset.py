"""Twelve-lead records with their diagnoses: PTB-XL as PhysioNet publishes it, and its z-scored rows.

`ptbxl` holds `ptbxl_database.csv` and records at 500 or 100 Hz; any part of it will do. `ptbxl_zscored` holds rows that
lost their amplitude (a standard deviation is taken for `MV_A_DEVIATION`) and carry no patient ids. A row whose record
is listed in `ptbxl_database.csv` has its patient from there; of the others nothing is known but that those of PTB-XL's
fold 9 are no patients of its folds 1 to 8, and `model.persons` says which rows look like one heart.
"""

from __future__ import annotations

import ast
import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import resample_poly

from ecg import record
from ecg.lead import STANDARD, canonical
from model import labels
from model.frontend import Chunks, chunks, clean, cut, last_span

RAW, ZSCORED, OWN = "ptbxl", "ptbxl_zscored", "own"
OWN_LABELS = ("record", "patient", "codes")
"""Columns that `labels.csv` of a folder of one's own must have; `age` (years) and `sex` (0 male, 1 female) may be."""
MV_A_DEVIATION = 0.15
"""Millivolts that a standard deviation of a z-scored lead is taken for: what PTB-XL's leads have in the middle."""
SAME_PATIENT = {"ptbxl/463": "patient 16690"}
"""Records under another patient's id: 463 is 145, sample for sample (`python -m model.persons`)."""
ZSCORED_HZ, COUNTS_A_DEVIATION = 100.0, 10.0
OLDEST = 90.0
"""PTB-XL writes 300 for patients who were older than 89."""
NOISES = ("bw", "em", "ma")
NOISE_SHARE, SNR_DB, RATE_SPREAD = 0.7, (6.0, 24.0), 0.1
"""Chance that a changed copy has noise, its range, and by how much its rate may be off."""
SLOWEST_HZ = 200.0
"""A record of a lower rate is brought to twice it before that is changed: the pipeline takes none under 100 Hz."""

Report = Callable[[str, int, int], None]
"""Called with a set's name, records done, and records in all."""


class Records(NamedTuple):
    """Records with what is known of them, n in all.

    Attributes
    ----------
    leads : Chunks
        First axes (n, l, 5): l leads of five chunks each.
    lead : ndarray of int8, shape (n, l)
        Place of each lead in `ecg.lead.STANDARD`; 12 is any other, or none.
    amplitude : ndarray of bool, shape (n,)
        Whether millivolts are the patient's.
    age, sex : ndarray of float32, shape (n,)
        Years; 0 male and 1 female, as PTB-XL has it; NaN where unknown.
    superclass, condition : ndarray of int8, shapes (n, 5), (n, 5)
    normal : ndarray of int8, shape (n,)
    rhythm : ndarray of bool, shape (n, 8)
        As `model.labels.Truth` has them.
    name, patient : ndarray of str, shape (n,)
        `set/ecg_id`, and the patient; a record whose patient is unknown is one of its own.
    """

    leads: Chunks
    lead: NDArray[np.int8]
    amplitude: NDArray[np.bool_]
    age: NDArray[np.float32]
    sex: NDArray[np.float32]
    superclass: NDArray[np.int8]
    condition: NDArray[np.int8]
    normal: NDArray[np.int8]
    rhythm: NDArray[np.bool_]
    name: NDArray[np.str_]
    patient: NDArray[np.str_]

    def take(self, rows: NDArray[np.integer]) -> Records:
        """Return some of the records."""
        return self._make([self.leads.take(rows), *(part[rows] for part in self[1:])])

    def of_set(self, name: str) -> NDArray[np.bool_]:
        """Return which records are of a set."""
        return np.char.startswith(self.name, f"{name}/")


class Listed(NamedTuple):
    """A record before its signal is read."""

    name: str
    patient: str
    truth: labels.Truth
    amplitude: bool
    age: float
    sex: float
    read: Callable[[], tuple[NDArray[np.float32], float]]
    """Gives millivolts, (12, samples), and the rate."""


def listed(data: Path) -> list[Listed]:
    """Return the records of a folder that holds `ptbxl`, `ptbxl_zscored`, or WFDB records that `labels.csv` names.

    Raises
    ------
    ValueError
        The folder holds none of these, or a line of its `labels.csv` cannot be read.
    """
    database = data / RAW / "ptbxl_database.csv"
    rows = _lines(database) if database.is_file() else []
    patients = {row["ecg_id"]: row["patient_id"] for row in rows}
    found = [*_published(data / RAW, rows), *_zscored(data / ZSCORED, patients), *_own(data)]
    if not found:
        raise ValueError(f"data must hold {RAW}, {ZSCORED}, or records with a labels.csv, got {data}")
    return found


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def _published(folder: Path, rows: Sequence[Mapping[str, str]]) -> Iterator[Listed]:
    for row in rows:
        there = [folder / row[column] for column in ("filename_hr", "filename_lr")]
        path = next((path for path in there if path.with_name(path.name + ".hea").is_file()), None)
        if path is None:
            continue
        age, name = float(row["age"] or "nan"), f"{RAW}/{row['ecg_id']}"
        yield Listed(
            name=name,
            patient=SAME_PATIENT.get(name, f"patient {float(row['patient_id']):.0f}"),
            truth=labels.of_codes(ast.literal_eval(row["scp_codes"])),
            amplitude=True,
            age=OLDEST if age > OLDEST else age,
            sex=float(row["sex"] or "nan"),
            read=lambda path=path: _standard(path),
        )


def _own(folder: Path) -> Iterator[Listed]:
    """Return the records of a folder whose `labels.csv` has a line of each: its SCP statements, as `IMI:80|SR`."""
    file = folder / "labels.csv"
    if not file.is_file():
        return
    for at, row in enumerate(_lines(file), 2):
        if lacking := [name for name in OWN_LABELS if row.get(name) is None]:
            raise ValueError(f"{file}, line {at}: must have the columns {', '.join(OWN_LABELS)}, lacks {lacking[0]}")
        path = folder / row["record"]
        if not path.with_name(path.name + ".hea").is_file():
            raise ValueError(f"{file}, line {at}: record must be a WFDB record beside it, got {row['record']!r}")
        try:
            said = (code.partition(":") for code in row["codes"].split("|") if code)
            truth = labels.of_codes({code.strip(): float(likelihood or 0) for code, _, likelihood in said})
            age, sex = (float(row.get(name) or "nan") for name in ("age", "sex"))
        except ValueError as error:
            raise ValueError(f"{file}, line {at}: {error}") from error
        name, patient = f"{OWN}/{row['record']}", f"{OWN} {row['patient']}"
        yield Listed(name, patient, truth, True, age, sex, lambda path=path: _standard(path))


def _standard(path: Path) -> tuple[NDArray[np.float32], float]:
    """Return the twelve leads of a record in the usual order; NaN of those that it lacks."""
    held = record.read(path)
    signal_mv = held.mv()
    place = {canonical(held.leads[row].name): signal_mv[k] for k, row in enumerate(held.rows("ecg"))}
    missing = np.full(held.n_samples, np.nan, np.float32)
    return np.stack([place.get(name, missing) for name in STANDARD]), held.rate_hz


def _zscored(folder: Path, patients: Mapping[str, str]) -> Iterator[Listed]:
    if not (folder / "labels.csv").is_file():
        return
    with np.load(folder / "signals.npz") as kept:
        counts = kept["z10"]
    for row, z in zip(_lines(folder / "labels.csv"), counts, strict=True):
        of = patients.get(row["ecg_id"])
        yield Listed(
            name=f"{ZSCORED}/{row['ecg_id']}",
            patient=f"patient {float(of):.0f}" if of else f"unknown {row['ecg_id']}",
            truth=zscored_truth(row),
            amplitude=False,
            age=float("nan"),
            sex=float("nan"),
            read=lambda z=z: ((z * (MV_A_DEVIATION / COUNTS_A_DEVIATION)).astype(np.float32), ZSCORED_HZ),
        )


def zscored_truth(row: Mapping[str, str]) -> labels.Truth:
    """Return what a line of `labels.csv` says: its superclasses, and its codes where they are known."""
    flags = {name: row[name] == "1" for name in labels.SUPERCLASSES}
    if not row["scp_codes"]:
        return labels.of_superclasses(flags)
    said = labels.of_codes(dict.fromkeys(row["scp_codes"].split("|"), 0.0), amplitude=False)
    return said._replace(superclass=labels.of_superclasses(flags).superclass)


def read_sets(data: Path, *, changed: int | None = None, report: Report = lambda name, done, of: None) -> Records:
    """Read the records of a folder.

    Parameters
    ----------
    data : Path
    changed : int, optional
        Seed of changes to each record, as other recorders and cables would make them: another rate, noise. None gives
        the records as they are.
    """
    found = listed(data)
    noise = _noise(data / "nstdb") if changed is not None else None
    leads = []
    for done, each in enumerate(found, 1):
        signal_mv, rate_hz = each.read()
        if changed is not None:
            rng = np.random.default_rng([changed, done])
            signal_mv, rate_hz = change(signal_mv, rate_hz, noise, rng)
        leads.append(chunks(cut(last_span(clean(signal_mv, rate_hz)))))
        report(each.name.split("/")[0], done, len(found))
    return _packed(found, Chunks(*(np.stack(part) for part in zip(*leads, strict=True))))


def _packed(found: Sequence[Listed], leads: Chunks) -> Records:
    truths = [each.truth for each in found]
    return Records(
        leads,
        np.tile(np.arange(len(STANDARD), dtype=np.int8), (len(found), 1)),
        np.array([each.amplitude for each in found]),
        np.array([each.age for each in found], np.float32),
        np.array([each.sex for each in found], np.float32),
        np.stack([truth.superclass for truth in truths]),
        np.stack([truth.condition for truth in truths]),
        np.array([truth.normal for truth in truths], np.int8),
        np.stack([truth.rhythm for truth in truths]),
        np.array([each.name for each in found]),
        np.array([each.patient for each in found]),
    )


def _noise(folder: Path) -> dict[str, tuple[NDArray[np.float32], float]] | None:
    """Return the first half of each noise record: the second is for scoring. None where they are not here."""
    if not all((folder / f"{name}.hea").is_file() for name in NOISES):
        return None
    out = {}
    for name in NOISES:
        held = record.read(folder / name)
        out[name] = held.mv()[:, : held.n_samples // 2], held.rate_hz
    return out


def change(
    signal_mv: NDArray[np.float32],
    rate_hz: float,
    noise: Mapping[str, tuple[NDArray[np.float32], float]] | None,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], float]:
    """Return a record as another recorder would have it: noise in every lead, and a heart that beats faster or slower.

    Parameters
    ----------
    signal_mv : ndarray of float32, shape (leads, samples)
    rate_hz : float
    noise : mapping of str to (ndarray of float32, shape (channels, samples), rate), optional
    rng : Generator
    """
    if noise is not None and rng.random() < NOISE_SHARE:
        kind, noise_hz = noise[NOISES[rng.integers(len(NOISES))]]
        need = int(np.ceil(signal_mv.shape[1] * noise_hz / rate_hz)) + 1
        added = np.stack([_cut(kind, need, rng) for _ in signal_mv])
        added = resample_poly(added, round(rate_hz), round(noise_hz), axis=1)[:, : signal_mv.shape[1]]
        added -= added.mean(axis=1, keepdims=True)
        power = np.nanvar(signal_mv) / max(float(added.var()), 1e-9)
        signal_mv = signal_mv + added * np.float32(np.sqrt(power * 10 ** (-rng.uniform(*SNR_DB) / 10)))
    if rate_hz < SLOWEST_HZ:
        signal_mv, rate_hz = resample_poly(signal_mv, 2, 1, axis=1), 2 * rate_hz
    return signal_mv.astype(np.float32), float(round(rate_hz * rng.uniform(1 - RATE_SPREAD, 1 + RATE_SPREAD)))


def _cut(noise: NDArray[np.float32], length: int, rng: np.random.Generator) -> NDArray[np.float32]:
    first = rng.integers(max(1, noise.shape[1] - length))
    return noise[rng.integers(len(noise)), first : first + length]


def cached(data: Path, cache: Path | None, copies: int, report: Report = lambda name, done, of: None) -> list[Records]:
    """Return the records as they are, then changed copies of them.

    They are kept in a folder outside the project, if one is named. The caller clears it when code or data change.
    """
    return [
        kept(
            cache / f"records-{copy}.npz" if cache else None,
            partial(read_sets, data, changed=copy or None, report=report),
        )
        for copy in range(copies + 1)
    ]


def kept(file: Path | None, read: Callable[[], Records]) -> Records:
    """Return what a file holds, and write it first where it is not there."""
    if file is not None and file.is_file():
        with np.load(file) as held:
            parts = {name: held[name] for name in (*Chunks._fields, *Records._fields[1:])}
        return Records(Chunks(**{name: parts.pop(name) for name in Chunks._fields}), **parts)
    records = read()
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **records.leads._asdict(), **{k: v for k, v in records._asdict().items() if k != "leads"})
    return records


def folds(records: Records, count: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each record: a patient's are in one, and each fold has its share of each set and diagnosis.

    Patients are dealt out in turn, at random within groups of one set and one rarest superclass or rhythm.
    """
    patients, inverse = np.unique(records.patient, return_inverse=True)
    said = np.concatenate(
        [records.superclass == 1, records.rhythm & (records.rhythm.sum(axis=1) == 1)[:, None]], axis=1
    )
    held = np.zeros((len(patients), said.shape[1]), bool)
    np.logical_or.at(held, inverse, said)
    total = held.sum(axis=0)
    rarest = np.where(held.any(axis=1), np.where(held, total, len(patients) + 1).argmin(axis=1), -1)
    source = np.empty(len(patients), records.name.dtype)
    source[inverse] = np.char.partition(records.name, "/")[:, 0]
    shuffled = np.random.default_rng(seed).permutation(len(patients))
    order = sorted(shuffled, key=lambda p: (source[p], rarest[p]))
    fold = np.empty(len(patients), np.int64)
    fold[order] = np.arange(len(patients)) % count
    return fold[inverse]
