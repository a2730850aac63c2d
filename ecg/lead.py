"""Lead names, their codes, and the way from a device's counts to millivolts."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.frame import ECG_UNITS_MV, MAX_ECG_LEADS, MAX_LEADS, MISSING, Frame, Lead
from ecg.record import MV_PER_UNIT, Record, RecordLead

PULSE_KINDS = ("pleth", "abp")
"""Kinds of lead that show a pulse; ECG and pulse leads travel in the same frame."""
STANDARD = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""The twelve standard leads, in the usual order."""

_OTHER = ("MLII", "MLI", "MLIII", "V", "MCL", *(f"MCL{n}" for n in range(1, 7)), *(f"ECG{n}" for n in range(1, 13)))
_SPELLINGS = {"I": "1 d1 di", "II": "2 d2 dii", "III": "3 d3 diii", "MLII": "ml2", "V": "c", "ECG1": "ecg"}
_ALIASES = {
    **{name.casefold(): name for name in (*STANDARD, *_OTHER)},
    **{f"c{n}": f"V{n}" for n in range(1, 7)},
} | {alias: name for name, aliases in _SPELLINGS.items() for alias in aliases.split()}

_NUMBERS = {"I": 1, "II": 2, "III": 61, "aVR": 62, "aVL": 63, "aVF": 64, "V": 87, "MCL": 91, "MLII": 126}
_NUMBERS |= {f"V{n}": 2 + n for n in range(1, 7)} | {f"MCL{n}": 91 + n for n in range(1, 7)}
MDC_LEAD_UNSPECIFIED = 131328
MDC_LEAD: dict[str, int] = {name: MDC_LEAD_UNSPECIFIED + number for name, number in _NUMBERS.items()}
"""IEEE 11073-10101 codes of the leads that have one; MLII is coded as the modified limb lead."""
MDC_HEART_RATE = 147842
MDC_PVC_RATE = 148066
MDC_PER_MINUTE = 264864


def canonical(name: str) -> str:
    """Return the usual spelling of an ECG lead's name; a name that is not known stays as it is.

    Examples
    --------
    >>> canonical("Lead avr"), canonical("ECG 2"), canonical("c4"), canonical("CM5")
    ('aVR', 'ECG2', 'V4', 'CM5')
    """
    key = name.casefold().replace(" ", "").replace("_", "").removeprefix("lead")
    return _ALIASES.get(key, name)


def names(leads: tuple[Lead, ...]) -> tuple[str, ...]:
    """Return the leads' usual names, ECG leads alone respelled, or as the device says where two would be alike."""
    usual = tuple(canonical(lead.name) if lead.kind == "ecg" else lead.name for lead in leads)
    return usual if len(set(usual)) == len(usual) else tuple(lead.name for lead in leads)


def mdc_code(name: str) -> int:
    """Return the IEEE 11073-10101 code of a lead, that of an unspecified lead where it has none."""
    return MDC_LEAD.get(canonical(name), MDC_LEAD_UNSPECIFIED)


def to_mv(frame: Frame) -> NDArray[np.float32]:
    """Return a frame's samples in millivolts, those of pulse leads in the lead's own unit.

    Returns
    -------
    ndarray of float32, shape (n_leads, n_samples)
        (count - baseline) / gain; NaN where the sample is missing or its electrode was off.
    """
    counts = frame.samples()
    baseline, gain, scale = _scales(frame.leads)
    signal = counts.astype(np.float32)
    signal -= baseline
    signal /= gain
    signal *= scale
    absent = counts == MISSING
    if np.count_nonzero(absent):  # a fourth of what any() takes
        signal[absent] = np.nan
    for lead, first, end in frame.lead_off:
        signal[lead, first:end] = np.nan
    return signal


@functools.lru_cache(maxsize=4096)
def _scales(leads: tuple[Lead, ...]) -> tuple[NDArray[np.float32], ...]:
    columns = (
        [lead.baseline for lead in leads],
        [lead.gain for lead in leads],
        [ECG_UNITS_MV[lead.unit] if lead.kind == "ecg" else 1.0 for lead in leads],
    )
    return tuple(np.array(column, dtype=np.float32)[:, None] for column in columns)


class Sent(NamedTuple):
    """What a device would send of a record.

    Attributes
    ----------
    leads : tuple of Lead
        Within the limits of a frame.
    counts : ndarray of int16, shape (n_leads, n_samples)
    notes : tuple of str
        What was taken otherwise than the record says: leads left out, a unit that is none of voltage.
    """

    leads: tuple[Lead, ...]
    counts: NDArray[np.int16]
    notes: tuple[str, ...]


def of_record(record: Record, names: Sequence[str] | None = None) -> Sent:
    """Return leads and counts of a record as every part of Vigil sends them, whoever plays it.

    Names are cut to 16 characters and numbered where they are alike; ECG leads are in millivolts, which any unit that
    is none of voltage is taken for.

    Parameters
    ----------
    record : ecg.record.Record
    names : sequence of str, optional
        Which leads, in which order; unless given, the first 12 ECG leads and others up to 16 in all.

    Raises
    ------
    ValueError
        If there is no such lead, or none of an ECG.
    """
    named, notes = _named(record.leads), []
    rows = _chosen(named, names)
    if not any(named[row].kind == "ecg" for row in rows):
        raise ValueError(f"{record.name}: leads must hold one of an ECG, got {_list([named[row] for row in rows])}")
    for row in rows:
        unit = record.leads[row].unit
        if named[row].kind == "ecg" and unit.lower() not in MV_PER_UNIT:
            notes.append(f"{record.name}: unit {unit!r} of lead {named[row].name} is taken as mV")
    if left := [] if names is not None else [lead for row, lead in enumerate(named) if row not in rows]:
        notes.append(f"{record.name}: left out {_list(left)}: at most {MAX_ECG_LEADS} ECG leads, {MAX_LEADS} in all")
    return Sent(tuple(named[row] for row in rows), np.ascontiguousarray(record.counts[rows]), tuple(notes))


def _named(leads: Sequence[RecordLead]) -> list[Lead]:
    made: list[Lead] = []
    for lead in leads:
        said = "".join(letter if letter.isprintable() else "_" for letter in lead.name).strip() or "ECG"
        name, number = said[:16].rstrip(), 2
        while name in {other.name for other in made}:
            name, number = f"{said[:13].rstrip()} {number}", number + 1
        gain, unit = lead.gain, "".join(letter for letter in lead.unit if letter.isprintable())[:16]
        if lead.kind == "ecg":
            gain, unit = gain / MV_PER_UNIT.get(lead.unit.lower(), 1.0), "mV"
        made.append(Lead(name, gain, lead.kind, lead.baseline, unit))
    return made


def _chosen(leads: Sequence[Lead], names: Sequence[str] | None) -> list[int]:
    if names is None:
        ecg = [row for row, lead in enumerate(leads) if lead.kind == "ecg"][:MAX_ECG_LEADS]
        others = [row for row, lead in enumerate(leads) if lead.kind != "ecg"]
        return sorted(ecg + others[: MAX_LEADS - len(ecg)])
    unknown = [name for name in names if name not in {lead.name for lead in leads}]
    if unknown:
        raise ValueError(f"leads must be of {_list(leads)}, got {unknown[0]!r}")
    return [next(row for row, lead in enumerate(leads) if lead.name == name) for name in names]


def _list(leads: Sequence[Lead]) -> str:
    return ", ".join(lead.name for lead in leads)
