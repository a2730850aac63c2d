"""Labelled windows from the public record sets, seen as the running pipeline sees them: resampled and denoised.

Sets: DS1 of `mitdb`, and `vfdb`, `cudb`, `cinc2017`. Nothing of a record leaves this module but arrays in memory and,
where a cache folder outside the project is named, one file in it.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg import record
from ecg.microvolts import MISSING, counts, millivolts
from ecg.resample import ANALYSIS_HZ, Resampler
from ecg.wavelet import Denoiser
from model import labels
from model.net import LEAST_SAMPLES, SLOTS, WINDOW

# fmt: off
DS1: tuple[str, ...] = (
    "101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122",
    "124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230",
)
# fmt: on
"""Training side of the usual split of `mitdb` between patients (de Chazal 2004, doi:10.1109/TBME.2004.827359)."""
SAME_PATIENT = {"mitdb/202": "mitdb/201"}
NO_ONSET = frozenset({"cu14"})
"""Records of `cudb` in which no onset of fibrillation is marked."""
STEP_S, FINE_STEP_S, WINDOW_S = 5.0, 2.5, WINDOW / ANALYSIS_HZ
"""Windows every 5 s; those of VT and VF every 2.5 s for training."""
ROUGH_S = 10.0
"""`cudb` marks the onset of fibrillation roughly: this long before it nothing is taken as known."""

Report = Callable[[str, int, int], None]
"""Called with a set's name, records done, and records in all."""


class Windows(NamedTuple):
    """Windows with their labels.

    Attributes
    ----------
    leads : ndarray of int16, shape (m, 2500)
        Clean signal in microvolts, `MISSING` where a sample is missing.
    slots : ndarray of int32, shape (n, 2)
        Rows of `leads` that make each window; -1 is no lead.
    allowed : ndarray of bool, shape (n, n_classes)
        Classes that the annotation allows.
    patient : ndarray of str, shape (n,)
        `set/record`; one for records of one patient.
    extra : ndarray of bool, shape (n,)
        Windows between those of the 5-s grid: for training, never counted in a figure.
    """

    leads: NDArray[np.int16]
    slots: NDArray[np.int32]
    allowed: NDArray[np.bool_]
    patient: NDArray[np.str_]
    extra: NDArray[np.bool_]

    def take(self, rows: NDArray[np.integer]) -> Windows:
        """Return some of the windows; the leads stay shared."""
        return self._replace(
            slots=self.slots[rows], allowed=self.allowed[rows], patient=self.patient[rows], extra=self.extra[rows]
        )

    def signal_mv(self, rows: NDArray[np.integer]) -> NDArray[np.float32]:
        """Return windows as the network takes them, float32, shape (n, 2, 2500), NaN where missing."""
        slots = self.slots[rows]
        out = millivolts(self.leads[slots])
        out[slots < 0] = np.nan
        return out


class _Cut(NamedTuple):
    leads: NDArray[np.int16]
    allowed: labels.Allowed
    patient: str
    extra: bool


def clean(signal_mv: NDArray[np.float32], rate_hz: float) -> NDArray[np.float32]:
    """Bring whole leads through the pipeline's own resampler and denoiser.

    Parameters
    ----------
    signal_mv : ndarray of float32, shape (n_leads, n_samples)

    Returns
    -------
    ndarray of float32, shape (n_leads, about n_samples * 250 / rate_hz)
    """
    rows = np.arange(len(signal_mv), dtype=np.int64)
    resampler, denoiser = Resampler(), Denoiser()
    for row in rows:
        resampler.reset(int(row), rate_hz)
        denoiser.reset(int(row))
    raw = _through(resampler, rows, signal_mv)
    return _through(denoiser, rows, raw)


def _through(stage: Resampler | Denoiser, rows: NDArray[np.int64], x: NDArray[np.float32]) -> NDArray[np.float32]:
    y, count = stage.feed(rows, np.ascontiguousarray(x), np.full(len(rows), x.shape[1], np.int64))
    tails = [stage.flush(int(row)) for row in rows]
    return np.stack([np.concatenate([a[:m], tail]) for a, m, tail in zip(y, count, tails, strict=True)])


def _windows(
    signal: NDArray[np.int16], patient: str, label: Callable[[float, float], labels.Allowed | None]
) -> Iterator[_Cut]:
    """Cut a long record: every 5 s, and every 2.5 s where it is VT or VF."""
    for k in range(int((signal.shape[1] / ANALYSIS_HZ - WINDOW_S) / FINE_STEP_S) + 1):
        first_s = k * FINE_STEP_S
        allowed, extra = label(first_s, first_s + WINDOW_S), bool(k % 2)
        if allowed is None or (extra and not allowed <= labels.VT | labels.VF):
            continue
        first = round(first_s * ANALYSIS_HZ)
        cut = signal[:, first : first + WINDOW]
        kept = cut[(cut != MISSING).sum(axis=1) >= LEAST_SAMPLES][:SLOTS]
        if len(kept):
            yield _Cut(kept, allowed, patient, extra)


def _read_clean(path: Path) -> tuple[NDArray[np.int16], float]:
    read = record.read(path)
    return counts(clean(read.mv()[:SLOTS], read.rate_hz)), read.rate_hz


def _mitdb(path: Path) -> Iterator[_Cut]:
    signal, rate_hz = _read_clean(path)
    notes = record.annotations(path)
    at_s = notes.samples / rate_hz
    marks = [(t, aux) for t, aux, symbol in zip(at_s, notes.aux, notes.symbols, strict=True) if symbol == "+"]
    rhythm = labels.spans(marks, labels.MITDB, signal.shape[1] / ANALYSIS_HZ)
    beat = ~np.isin(notes.symbols, ["+", "~", "|", "[", "]", '"', "x"])

    def label(first_s: float, end_s: float) -> labels.Allowed | None:
        found = labels.window_label(rhythm, first_s, end_s)
        if found != labels.NORMAL:
            return found
        return labels.sinus(notes.symbols[beat & (at_s >= first_s) & (at_s < end_s)].tolist(), end_s - first_s)

    name = f"mitdb/{path.name}"
    return _windows(signal, SAME_PATIENT.get(name, name), label)


def _vfdb(path: Path) -> Iterator[_Cut]:
    signal, rate_hz = _read_clean(path)
    notes = record.annotations(path)
    marks = [(t / rate_hz, aux) for t, aux in zip(notes.samples, notes.aux, strict=True) if aux]
    rhythm = labels.spans(marks, labels.VFDB, signal.shape[1] / ANALYSIS_HZ)
    return _windows(signal, f"vfdb/{path.name}", lambda a, b: labels.window_label(rhythm, a, b))


def _cudb(path: Path) -> Iterator[_Cut]:
    signal, rate_hz = _read_clean(path)
    notes = record.annotations(path)
    marks: list[tuple[float, str]] = []
    for sample, symbol, aux in zip(notes.samples, notes.symbols, notes.aux, strict=True):
        if symbol == "[":
            marks.append((max(sample / rate_hz - ROUGH_S, marks[-1][0] if marks else 0.0), "unsure"))
        if symbol in "[]" or aux:
            marks.append((sample / rate_hz, symbol if symbol in "[]" else aux))
    rhythm = labels.spans(marks, labels.CUDB, signal.shape[1] / ANALYSIS_HZ, before="")
    return _windows(signal, f"cudb/{path.name}", lambda a, b: labels.window_label(rhythm, a, b))


def _cinc2017(path: Path, label: str) -> Iterator[_Cut]:
    signal, _ = _read_clean(path)
    short = WINDOW - signal.shape[1]
    if short > 0:
        signal = np.pad(signal, ((0, 0), (short, 0)), constant_values=MISSING)
    starts = list(range(0, signal.shape[1] - WINDOW + 1, WINDOW))
    if signal.shape[1] - WINDOW - starts[-1] >= WINDOW // 2:
        starts.append(signal.shape[1] - WINDOW)
    for first in starts:
        cut = signal[:SLOTS, first : first + WINDOW]
        if (cut != MISSING).sum() >= LEAST_SAMPLES:
            yield _Cut(cut, labels.CINC2017[label], f"cinc2017/{path.name}", False)


def _sources(data: Path) -> Iterator[tuple[str, list[Callable[[], Iterator[_Cut]]]]]:
    """Give each set's name and a function a record; records that are not there are left out."""

    def there(name: str) -> list[Path]:
        return sorted(path.with_suffix("") for path in (data / name).glob("*.hea"))

    yield "mitdb", [partial(_mitdb, path) for path in there("mitdb") if path.name in DS1]
    yield "vfdb", [partial(_vfdb, path) for path in there("vfdb")]
    yield "cudb", [partial(_cudb, path) for path in there("cudb") if path.name not in NO_ONSET]
    reference = data / "cinc2017" / "REFERENCE.csv"
    rows = list(csv.reader(reference.read_text().splitlines())) if reference.is_file() else []
    yield "cinc2017", [partial(_cinc2017, data / "cinc2017" / name, label) for name, label in rows]


def read_sets(data: Path, report: Report = lambda name, done, of: None) -> Windows:
    """Read every set under a folder and cut its windows.

    Raises
    ------
    ValueError
        The folder holds none of the sets.
    """
    cuts: list[_Cut] = []
    for name, readers in _sources(data):
        for done, reader in enumerate(readers, 1):
            cuts.extend(reader())
            report(name, done, len(readers))
    if not cuts:
        raise ValueError(f"data must hold mitdb, vfdb, cudb or cinc2017, got {data}")
    return _pack(cuts)


def _pack(cuts: list[_Cut]) -> Windows:
    first = np.cumsum([0, *(len(cut.leads) for cut in cuts)])
    slots = np.full((len(cuts), SLOTS), -1, np.int32)
    for into, at, cut in zip(slots, first[:-1], cuts, strict=True):
        into[: len(cut.leads)] = np.arange(at, at + len(cut.leads))
    allowed = np.array([[name in cut.allowed for name in labels.CLASSES] for cut in cuts])
    patient, extra = np.array([cut.patient for cut in cuts]), np.array([cut.extra for cut in cuts])
    return Windows(np.concatenate([cut.leads for cut in cuts]), slots, allowed, patient, extra)


def cached(data: Path, cache: Path | None, report: Report = lambda name, done, of: None) -> Windows:
    """Return `read_sets`, kept in one file of a folder outside the project; the caller clears it when code changes."""
    if cache is None:
        return read_sets(data, report)
    file = cache / "windows.npz"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        np.savez(file, **read_sets(data, report)._asdict())
    with np.load(file) as kept:
        return Windows(**{name: kept[name] for name in Windows._fields})


def folds(windows: Windows, count: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each window: all windows of a patient are in one, and each fold has its share of each class.

    Patients are dealt out in turn, at random within groups of the same set and the same rarest class.
    """
    total = windows.allowed.sum(axis=0)
    patients, inverse = np.unique(windows.patient, return_inverse=True)
    held = np.zeros((len(patients), len(total)), bool)
    np.logical_or.at(held, inverse, windows.allowed & (windows.allowed.sum(axis=1) == 1)[:, None])
    rarest = np.where(held.any(axis=1), np.where(held, total, total.max() + 1).argmin(axis=1), -1)
    shuffled = np.random.default_rng(seed).permutation(len(patients))
    source = np.array([name.split("/")[0] for name in patients])
    order = sorted(shuffled, key=lambda p: (source[p], rarest[p]))
    fold = np.empty(len(patients), np.int64)
    fold[order] = np.arange(len(patients)) % count
    return fold[inverse]
