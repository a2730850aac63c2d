"""Lead names, their codes, and the way from a device's counts to millivolts."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from ecg.frame import ECG_UNITS_MV, MISSING, Frame, Lead

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
    if absent.any():
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
