"""WFDB records and their annotations: the only file here that imports wfdb, and only when a record is read."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg.frame import MISSING, LeadKind

_MV_PER_UNIT = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6}
_PLETH = ("PLETH", "PPG", "SPO2")
_PRESSURE = ("ABP", "ART", "PAP", "CVP", "ICP", "BP")
_BREATH = ("RESP", "IMP", "CO2")


class RecordLead(NamedTuple):
    """One signal of a record: what it is, and value in `unit` = (count - baseline) / gain."""

    name: str
    kind: LeadKind
    gain: float
    baseline: int
    unit: str


@dataclass(frozen=True)
class Record:
    """A stretch of a record, as the device stored it.

    Attributes
    ----------
    name : str
    rate_hz : float
    leads : tuple of RecordLead
    counts : ndarray of int16, shape (n_leads, n_samples)
        `MISSING` (-32768) marks a missing sample.
    start_s : float
        Where in the record the stretch starts.
    comments : tuple of str
        The header's lines of comment.
    """

    name: str
    rate_hz: float
    leads: tuple[RecordLead, ...]
    counts: NDArray[np.int16]
    start_s: float = 0.0
    comments: tuple[str, ...] = ()

    @property
    def n_samples(self) -> int:
        """Samples a lead."""
        return self.counts.shape[1]

    @property
    def duration_s(self) -> float:
        """Length of the stretch."""
        return self.n_samples / self.rate_hz

    def rows(self, kind: LeadKind) -> list[int]:
        """Return the rows of the leads of one kind."""
        return [row for row, lead in enumerate(self.leads) if lead.kind == kind]

    def mv(self, kind: LeadKind | None = "ecg") -> NDArray[np.float32]:
        """Return the leads of one kind (None: all), float32, shape (n, n_samples), NaN where a sample is missing.

        Voltages are in millivolts whatever their unit in the header; other signals are in their own unit.
        """
        rows = list(range(len(self.leads))) if kind is None else self.rows(kind)
        out = np.empty((len(rows), self.n_samples), dtype=np.float32)
        for into, row in zip(out, rows, strict=True):
            lead, counts = self.leads[row], self.counts[row]
            scale = _MV_PER_UNIT.get(lead.unit.lower(), 1.0) / lead.gain
            into[:] = (counts.astype(np.float64) - lead.baseline) * scale
            into[counts == MISSING] = np.nan
        return out


class Annotations(NamedTuple):
    """Annotations of a record in order of time.

    `samples` are int64 at the record's own rate, `symbols` one string each (`N`, `V`, `+`, `~`, ...), `aux` their notes
    (`(AFIB`; empty where there is none), `subtypes` int64 (-1 of a `~` is a shutdown).
    """

    samples: NDArray[np.int64]
    symbols: NDArray[np.str_]
    aux: tuple[str, ...]
    subtypes: NDArray[np.int64]


def read(path: str | Path, first_s: float = 0.0, end_s: float | None = None) -> Record:
    """Read a WFDB record, or the stretch of it from `first_s` up to `end_s`.

    Parameters
    ----------
    path : str or Path
        The record's path without extension (one ending `.hea` is taken too).

    Raises
    ------
    FileNotFoundError
        There is no such record.
    ValueError
        The stretch is empty or begins outside the record, or a count does not fit 16 bits.
    """
    path = _without_header(path)
    with _wfdb() as wfdb:
        header = wfdb.rdheader(str(path))
        rate_hz, length = float(header.fs), int(header.sig_len)
        first = round(first_s * rate_hz)
        end = length if end_s is None else min(length, round(end_s * rate_hz))
        if not 0 <= first < end:
            raise ValueError(
                f"first_s must lie in the record of {length / rate_hz:g} s and before end_s, got {first_s}"
            )
        stored = wfdb.rdrecord(str(path), sampfrom=first, sampto=end, physical=False)
    leads = tuple(
        _lead(*lead) for lead in zip(stored.sig_name, stored.adc_gain, stored.baseline, stored.units, strict=True)
    )
    counts = _int16(stored.d_signal, stored.fmt)
    return Record(path.name, rate_hz, leads, counts, first / rate_hz, tuple(stored.comments or ()))


def annotations(path: str | Path, extension: str = "atr") -> Annotations:
    """Read a record's annotation file; raises FileNotFoundError where there is none."""
    with _wfdb() as wfdb:
        found = wfdb.rdann(str(_without_header(path)), extension)
    aux = tuple((note or "").rstrip("\x00") for note in found.aux_note)
    symbols = np.asarray(found.symbol, dtype=np.str_) if len(found.symbol) else np.empty(0, "<U1")
    return Annotations(np.asarray(found.sample, np.int64), symbols, aux, np.asarray(found.subtype, np.int64))


def write_annotations(
    path: str | Path,
    extension: str,
    samples: ArrayLike,
    symbols: Sequence[str],
    *,
    rate_hz: float,
    aux: Sequence[str] | None = None,
    subtypes: ArrayLike | None = None,
) -> None:
    """Write `<path>.<extension>`, a WFDB annotation file at the record's own rate.

    Parameters
    ----------
    samples : array_like of int, shape (n,)
        Positions at `rate_hz`; they need not be in order.
    symbols : sequence of str
        One WFDB symbol each.
    aux, subtypes : sequence of str, array_like of int, optional
        Notes, and subtypes in -128 ... 127.
    """
    at = np.asarray(samples, dtype=np.int64)
    order = np.argsort(at, kind="stable")
    notes = [""] * len(at) if aux is None else list(aux)
    kinds = np.zeros(len(at), np.int64) if subtypes is None else np.asarray(subtypes, np.int64)
    path = Path(path)
    if not len(at):
        (path.parent / f"{path.name}.{extension}").write_bytes(b"\0\0")
        return
    with _wfdb() as wfdb:
        wfdb.wrann(
            path.name,
            extension,
            at[order],
            symbol=[symbols[i] for i in order],
            subtype=kinds[order],
            aux_note=[notes[i] for i in order],
            fs=int(rate_hz) if rate_hz == int(rate_hz) else rate_hz,
            write_dir=str(path.parent),
        )


def write_signals(path: str | Path, names: Sequence[str], mv: NDArray[np.float32], rate_hz: float) -> None:
    """Write leads in millivolts, shape (n_leads, n_samples), as a 16-bit WFDB record; NaN marks a missing sample."""
    path = Path(path)
    with _wfdb() as wfdb:
        wfdb.wrsamp(
            path.name,
            fs=rate_hz,
            units=["mV"] * len(names),
            sig_name=list(names),
            p_signal=mv.T.astype(np.float64),
            fmt=["16"] * len(names),
            write_dir=str(path.parent),
        )


@contextmanager
def _wfdb() -> Iterator[Any]:
    """Give wfdb, silent: under pandas 3.1 both its import and its reading of annotations warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import wfdb

        yield wfdb


def _without_header(path: str | Path) -> Path:
    path = Path(path)
    return path.with_suffix("") if path.suffix == ".hea" else path


def _lead(name: str, gain: float, baseline: int, unit: str) -> RecordLead:
    return RecordLead(name, _kind(name.upper(), unit.lower()), gain, baseline, unit)


def _kind(name: str, unit: str) -> LeadKind:
    if unit in ("mmhg", "kpa") or name.startswith(_PRESSURE):
        return "abp"
    if name.startswith(_BREATH):
        return "resp"
    return "pleth" if name.startswith(_PLETH) else "ecg"


def _int16(signal: NDArray[np.integer], formats: Sequence[str]) -> NDArray[np.int16]:
    wide = signal.T.astype(np.int64)
    for row, stored in zip(wide, formats, strict=True):
        row[row == _MISSING_IN.get(stored, MISSING)] = MISSING
    if wide.min() < -32768 or wide.max() > 32767:
        raise ValueError(f"counts must fit 16 bits, got {wide.min()} to {wide.max()}")
    return np.ascontiguousarray(wide, dtype=np.int16)


_MISSING_IN = {"80": -128, "310": -512, "311": -512, "212": -2048, "508": -128}
"""Counts that stand for a missing sample in formats other than 16 bits."""
