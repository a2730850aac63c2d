"""WFDB records and their annotations: the only file here that imports wfdb, and only when a record is read."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg.frame import MISSING, LeadKind

MV_PER_UNIT = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "nv": 1e-6}
"""Units of voltage that headers have, in lower case, in millivolts."""
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
    """A stretch of a record, as the device stored it, but for counts, gains and baselines that no frame can hold.

    Of those, counts wider than 16 bits are centred and divided by a power of two, and an inverted lead is turned, so
    that values stay the same to that precision (an ECG lead's, but for an offset that is constant).

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
            scale = MV_PER_UNIT.get(lead.unit.lower(), 1.0) / lead.gain
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
        The record's path without extension (one ending `.hea` or `.dat` is taken too).

    Raises
    ------
    FileNotFoundError
        There is no such record.
    ValueError
        The stretch is empty or begins outside the record, the header is none or names no signal, no rate or no
        length, or the signal file is shorter than the header says.
    """
    path = _without_extension(path)
    with _wfdb() as wfdb:
        rate_hz, length = _header(wfdb, path)
        first = round(first_s * rate_hz)
        end = length if end_s is None else min(length, round(end_s * rate_hz))
        if not 0 <= first < end:
            raise ValueError(
                f"first_s must lie in the record of {length / rate_hz:g} s and before end_s, got {first_s}"
            )
        stored = _stored(wfdb, path, first, end)
    said = zip(stored.sig_name, stored.adc_gain, stored.baseline, stored.units, strict=True)
    fitted = [
        _fitted(_lead(*lead), signal, _MISSING_IN.get(fmt, MISSING))
        for lead, signal, fmt in zip(said, stored.d_signal.T, stored.fmt, strict=True)
    ]
    leads, counts = tuple(lead for lead, _ in fitted), np.stack([row for _, row in fitted])
    return Record(path.name, rate_hz, leads, counts, first / rate_hz, tuple(stored.comments or ()))


def _header(wfdb: Any, path: Path) -> tuple[float, int]:
    """Return rate and length of a record, whose header must name them and a signal."""
    try:
        header = wfdb.rdheader(str(path))
    except (ValueError, TypeError, IndexError) as error:
        raise ValueError(f"{path.name}: no WFDB header ({error})") from error
    for what, value in (("signal", header.n_sig), ("sampling rate", header.fs), ("number of samples", header.sig_len)):
        if not value:
            raise ValueError(f"{path.name}: header names no {what}")
    return float(header.fs), int(header.sig_len)


def _stored(wfdb: Any, path: Path, first: int, end: int) -> Any:
    try:
        return wfdb.rdrecord(str(path), sampfrom=first, sampto=end, physical=False)
    except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        short = isinstance(error, ValueError) and any(sign in str(error) for sign in _SHORT)
        what = "signal file is shorter than its header says" if short else f"no WFDB signal ({error!r})"
        raise ValueError(f"{path.name}: {what}") from error


def annotations(path: str | Path, extension: str = "atr") -> Annotations:
    """Read a record's annotation file; raises FileNotFoundError where there is none."""
    with _wfdb() as wfdb:
        found = wfdb.rdann(str(_without_extension(path)), extension)
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


def _without_extension(path: str | Path) -> Path:
    path = Path(path)
    return path.with_suffix("") if path.suffix in (".hea", ".dat") else path


def _lead(name: str | None, gain: float, baseline: int, unit: str | None) -> RecordLead:
    name, unit = name or "", unit or ""
    return RecordLead(name, _kind(name.upper(), unit.lower()), gain, baseline, unit)


def _kind(name: str, unit: str) -> LeadKind:
    if unit in ("mmhg", "kpa") or name.startswith(_PRESSURE):
        return "abp"
    if name.startswith(_BREATH):
        return "resp"
    return "pleth" if name.startswith(_PLETH) else "ecg"


def _fitted(lead: RecordLead, signal: NDArray[np.integer], missing: int) -> tuple[RecordLead, NDArray[np.int16]]:
    """Return a lead's counts in 16 bits, and the lead with the gain and baseline that they have there."""
    wide, gone = signal.astype(np.int64), signal == missing
    seen = wide[~gone]
    ends = (int(seen.min()), int(seen.max())) if seen.size else (0, 0)
    scale = MV_PER_UNIT.get(lead.unit.lower(), 1.0) if lead.kind == "ecg" else 1.0
    if max(map(abs, (*ends, lead.baseline))) > _MOST or not _LEAST_GAIN <= lead.gain / scale <= _MOST_GAIN:
        ends = ends if lead.kind == "ecg" else (min(*ends, lead.baseline), max(*ends, lead.baseline))
        centre = 0 if max(map(abs, ends)) <= _MOST else sum(ends) // 2
        step = _step(lead, abs(lead.gain) / scale, ends[1] - centre)
        wide = np.clip(np.rint((wide - centre) / step), -_MOST, _MOST)
        baseline = round(min(max((lead.baseline - centre) / step, -_MOST), _MOST))
        lead = lead._replace(gain=lead.gain / step, baseline=baseline)
    return lead, np.where(gone, MISSING, wide).astype(np.int16)


def _step(lead: RecordLead, gain: float, reach: int) -> float:
    """Return by what counts are divided, so that they reach as far as 16 bits and the gain is within its limits."""
    if not (math.isfinite(gain) and gain > 0):
        raise ValueError(f"gain of {lead.name!r} must be finite and not 0, got {lead.gain}")
    need = max(0, math.ceil(math.log2(max(reach, 1) / _MOST)), math.ceil(math.log2(gain / _MOST_GAIN)))
    most = math.floor(math.log2(gain / _LEAST_GAIN))
    return math.copysign(2.0 ** min(need, most), lead.gain)


_SHORT = ("reshape", "broadcast", "not loaded correctly")
"""What wfdb says, among else, where a signal file holds fewer samples than it tries to read."""
_MOST, _LEAST_GAIN, _MOST_GAIN = 32767, 1e-3, 1e6
"""What a frame can hold: counts and baselines as far as this from 0, and gains within these."""
_MISSING_IN = {
    "80": -128, "310": -512, "311": -512, "212": -2048, "508": -128, "24": -(2**23), "524": -(2**23), "32": -(2**31),
}  # fmt: skip
"""Counts that stand for a missing sample in formats other than 16 bits."""
