"""Labelled windows of monitors' records, one or two leads: DS1 of `mitdb`, `vfdb`, `cudb`, `cinc2017`.

They teach the rhythm and whether there is an arrhythmia; what twelve leads show of a heart besides is unknown of them.
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
from ecg.resample import ANALYSIS_HZ
from ecg.window import HALO, SPAN, WINDOW
from model import rhythms
from model.dataset import Records, Report, kept
from model.frontend import Chunks, chunks, clean, cut
from model.labels import CONDITIONS, SUPERCLASSES, UNKNOWN, may_be
from model.net import ANY_LEAD, place

# fmt: off
DS1: tuple[str, ...] = (
    "101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122",
    "124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230",
)
# fmt: on
"""Training side of the usual split of `mitdb` between patients (de Chazal 2004, doi:10.1109/TBME.2004.827359)."""
NO_ONSET = frozenset({"cu14"})
"""Records of `cudb` in which no onset of fibrillation is marked."""
SLOTS = 2
"""Leads that are taken of a record; one may be missing."""
STEP_S, FINE_STEP_S, WINDOW_S = 5.0, 2.5, WINDOW / ANALYSIS_HZ
"""Windows every 5 s; those of VT and VF every 2.5 s for training."""
ROUGH_S = 10.0
"""`cudb` marks the onset of fibrillation roughly: this long before it nothing is taken as known."""
EXTRA = "+"
LEAST_SAMPLES = 250
"""A lead with fewer valid samples than this in the window counts as missing."""


class _Cut(NamedTuple):
    span_mv: NDArray[np.float32]
    lead: tuple[int, ...]
    label: rhythms.Label
    name: str
    extra: bool


class _Read(NamedTuple):
    """A record's first leads, clean, with a halo of missing samples at either end."""

    padded_mv: NDArray[np.float32]
    lead: tuple[int, ...]
    rate_hz: float

    @property
    def length_s(self) -> float:
        return (self.padded_mv.shape[1] - HALO) / ANALYSIS_HZ

    def cut(self, first_s: float, label: rhythms.Label, name: str, extra: bool = False) -> _Cut | None:
        """Return a window, or None where no lead has enough samples."""
        first = round(first_s * ANALYSIS_HZ)
        span_mv = self.padded_mv[:, first : first + SPAN]
        there = np.isfinite(span_mv).sum(axis=1) >= LEAST_SAMPLES
        lead = tuple(place for place, kept in zip(self.lead, there, strict=True) if kept)
        return _Cut(span_mv[there], lead, label, name, extra) if lead else None


def _read(path: Path) -> _Read:
    held = record.read(path)
    return _cleaned(held.mv()[:SLOTS], tuple(place(lead.name) for lead in held.leads[:SLOTS]), held.rate_hz)


def _cleaned(signal_mv: NDArray[np.float32], lead: tuple[int, ...], rate_hz: float) -> _Read:
    clean_mv = clean(signal_mv, rate_hz)
    edge = ((0, 0), (HALO // 2, max(HALO // 2, SPAN - HALO // 2 - clean_mv.shape[1])))
    return _Read(np.pad(clean_mv, edge, constant_values=np.nan), lead, rate_hz)


def _windows(read: _Read, name: str, label: Callable[[float, float], rhythms.Label | None]) -> Iterator[_Cut]:
    """Cut a long record: every 5 s, and every 2.5 s where it is VT or VF."""
    for k in range(int((read.length_s - WINDOW_S) / FINE_STEP_S) + 1):
        first_s = k * FINE_STEP_S
        found, extra = label(first_s, first_s + WINDOW_S), bool(k % 2)
        if found is None or (extra and not found.rhythm <= rhythms.VT.rhythm | rhythms.VF.rhythm):
            continue
        if (window := read.cut(first_s, found, name, extra)) is not None:
            yield window


def _mitdb(path: Path) -> Iterator[_Cut]:
    read, notes = _read(path), record.annotations(path)
    at_s = notes.samples / read.rate_hz
    marks = [(t, aux) for t, aux, symbol in zip(at_s, notes.aux, notes.symbols, strict=True) if symbol == "+"]
    spans = rhythms.spans(marks, rhythms.MITDB, read.length_s)
    beat = ~np.isin(notes.symbols, ["+", "~", "|", "[", "]", '"', "x"])

    def label(first_s: float, end_s: float) -> rhythms.Label | None:
        found = rhythms.of_window(spans, first_s, end_s)
        if found != rhythms.SINUS:
            return found
        return rhythms.sinus(notes.symbols[beat & (at_s >= first_s) & (at_s < end_s)].tolist())

    return _windows(read, f"mitdb/{path.name}", label)


def _vfdb(path: Path) -> Iterator[_Cut]:
    read, notes = _read(path), record.annotations(path)
    marks = [(t / read.rate_hz, aux) for t, aux in zip(notes.samples, notes.aux, strict=True) if aux]
    spans = rhythms.spans(marks, rhythms.VFDB, read.length_s)
    return _windows(read, f"vfdb/{path.name}", lambda a, b: rhythms.of_window(spans, a, b))


def _cudb(path: Path) -> Iterator[_Cut]:
    read, notes = _read(path), record.annotations(path)
    marks: list[tuple[float, str]] = []
    for sample, symbol, aux in zip(notes.samples, notes.symbols, notes.aux, strict=True):
        if symbol == "[":
            marks.append((max(sample / read.rate_hz - ROUGH_S, marks[-1][0] if marks else 0.0), "unsure"))
        if symbol in "[]" or aux:
            marks.append((sample / read.rate_hz, symbol if symbol in "[]" else aux))
    spans = rhythms.spans(marks, rhythms.CUDB, read.length_s, before="")
    return _windows(read, f"cudb/{path.name}", lambda a, b: rhythms.of_window(spans, a, b))


def _cinc2017(path: Path, said: str) -> Iterator[_Cut]:
    return _along(_read(path), f"cinc2017/{path.name}", rhythms.CINC2017[said])


def strip(mv: NDArray[np.float32], rate_hz: float) -> Records | None:
    """Return the windows of a strip of one lead, (n,) in mV, one every 5 s; None where it has none."""
    cuts = list(_along(_cleaned(mv[None], (ANY_LEAD,), rate_hz), "strip", rhythms.Label(frozenset()), STEP_S))
    return _packed(cuts) if cuts else None


def _along(read: _Read, name: str, label: rhythms.Label, every_s: float = WINDOW_S) -> Iterator[_Cut]:
    starts = list(np.arange(0, max(read.length_s - WINDOW_S, 0) + 1e-9, every_s))
    if read.length_s - WINDOW_S - starts[-1] >= every_s / 2:
        starts.append(read.length_s - WINDOW_S)
    for first_s in starts:
        if (window := read.cut(first_s, label, name)) is not None:
            yield window


def _sources(data: Path) -> Iterator[tuple[str, list[Callable[[], Iterator[_Cut]]]]]:
    """Give each set's name and a function a record; records that are not there are left out."""

    def there(name: str) -> list[Path]:
        return sorted(path.with_suffix("") for path in (data / name).glob("*.hea"))

    yield "mitdb", [partial(_mitdb, path) for path in there("mitdb") if path.name in DS1]
    yield "vfdb", [partial(_vfdb, path) for path in there("vfdb")]
    yield "cudb", [partial(_cudb, path) for path in there("cudb") if path.name not in NO_ONSET]
    reference = data / "cinc2017" / "REFERENCE.csv"
    rows = list(csv.reader(reference.read_text().splitlines())) if reference.is_file() else []
    yield "cinc2017", [partial(_cinc2017, data / "cinc2017" / name, said) for name, said in rows]


def cached(data: Path, cache: Path | None, report: Report = lambda name, done, of: None) -> Records | None:
    """Return the windows of every set under a folder, two slots each; None where the folder holds none of the sets.

    They are kept in a folder outside the project, if one is named. The caller clears it when code or data change. A
    window between those of the 5-s grid is there to train on, and has a name that ends in `EXTRA`.
    """
    if not any(readers for _, readers in _sources(data)):
        return None
    return kept(cache / "windows.npz" if cache else None, lambda: _read_sets(data, report))


def _read_sets(data: Path, report: Report) -> Records:
    parts: list[Records] = []
    for name, readers in _sources(data):
        for done, reader in enumerate(readers, 1):
            if cuts := list(reader()):
                parts.append(_packed(cuts))
            report(name, done, len(readers))
    leads = Chunks(*(np.concatenate(part) for part in zip(*(each.leads for each in parts), strict=True)))
    return Records(leads, *(np.concatenate(part) for part in zip(*(each[1:] for each in parts), strict=True)))


def counted(windows: Records) -> NDArray[np.bool_]:
    """Return which windows lie on the 5-s grid."""
    return ~np.char.endswith(windows.name, EXTRA)


def _packed(cuts: list[_Cut]) -> Records:
    n = len(cuts)
    span_mv = np.full((n, SLOTS, SPAN), np.nan, np.float32)
    lead = np.full((n, SLOTS), ANY_LEAD, np.int8)
    condition = np.full((n, len(CONDITIONS)), UNKNOWN, np.int8)
    for row, each in enumerate(cuts):
        span_mv[row, : len(each.lead)], lead[row, : len(each.lead)] = each.span_mv, each.lead
    condition[:, CONDITIONS.index("arrhythmia")] = [each.label.arrhythmia for each in cuts]
    unknown = np.full(n, np.nan, np.float32)
    return Records(
        leads=chunks(cut(span_mv)),
        lead=lead,
        amplitude=np.ones(n, bool),
        age=unknown,
        sex=unknown,
        superclass=np.full((n, len(SUPERCLASSES)), UNKNOWN, np.int8),
        condition=condition,
        normal=np.full(n, UNKNOWN, np.int8),
        rhythm=np.stack([may_be(each.label.rhythm) for each in cuts]),
        name=np.array([f"{each.name}{EXTRA if each.extra else ''}" for each in cuts]),
        patient=np.array([each.name for each in cuts]),
    )
