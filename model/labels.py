"""What the SCP codes of PTB-XL say: its five superclasses, Vigil's two stages, and the rhythm. One table, in code.

`python -m model.labels` prints the table in Markdown, as the documentation has it.

A truth has three values: so, not so, and unknown, which neither trains nor counts. A statement that only describes a
shape (its likelihood is never given) makes a condition unknown instead of present, and so does a diagnosis that the
reader gave a likelihood under `LIKELY`. PTB-XL's superclasses are a benchmark's and follow its rule: a statement of any
likelihood counts (Strodthoff et al., IEEE J. Biomed. Health Inform. 25(5), 2021, doi:10.1109/JBHI.2020.3022989), and a
record without any superclass is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SUPERCLASSES: tuple[str, ...] = ("NORM", "MI", "STTC", "CD", "HYP")
CONDITIONS: tuple[str, ...] = (
    "arrhythmia",
    "conduction_disorder",
    "myocardial_infarction",
    "hypertrophy",
    "st_t_or_other",
)
"""Stage two: any of these at once. A QT abnormality is measured, never learned: five records here have LNGQT."""
RHYTHMS: tuple[str, ...] = (
    "sinus",
    "atrial_fibrillation",
    "supraventricular_tachycardia",
    "ventricular_tachycardia",
    "ventricular_fibrillation",
    "asystole",
    "paced",
    "noise",
)
"""Flutter of the atria is in `atrial_fibrillation`, of the ventricles in `ventricular_fibrillation`."""
LIKELY = 50.0
"""Likelihood, in per cent, from which on a diagnosis counts as a condition. 0 is PTB-XL's mark for none given."""
UNKNOWN = -1

ARRHYTHMIA, CONDUCTION, INFARCTION, HYPERTROPHY, OTHER = CONDITIONS


class Row(NamedTuple):
    """What one statement says.

    Attributes
    ----------
    superclass : str
        PTB-XL's own; empty where it has none.
    condition : str
        Of stage two; empty where the statement is no disease.
    rhythm : str
        Empty where it names none.
    shape : bool
        It describes a shape and diagnoses nothing: its condition becomes unknown.
    voltage : bool
        It rests on voltage: without amplitude its condition becomes unknown.
    note : str
        Why, where it is not plain.
    """

    superclass: str = ""
    condition: str = ""
    rhythm: str = ""
    shape: bool = False
    voltage: bool = False
    note: str = ""


def _rows(codes: str, row: Row) -> dict[str, Row]:
    return dict.fromkeys(codes.split(), row)


_NO_DISEASE = "sinus rate or sinus arrhythmia alone is no disease"
_HIDES = "what pacing hides (infarction, hypertrophy, ST-T) is unknown unless stated"
TABLE: dict[str, Row] = {
    "NORM": Row("NORM"),
    **_rows("IMI ASMI AMI ALMI ILMI LMI IPLMI IPMI PMI", Row("MI", INFARCTION)),
    **_rows("INJAS INJAL INJIN INJLA INJIL", Row("MI", INFARCTION, note="subendocardial injury: PTB-XL's class")),
    **_rows("NDT NST_ DIG ISC_ ISCAL ISCIN ISCIL ISCAS ISCLA ISCAN ANEUR EL", Row("STTC", OTHER)),
    "LNGQT": Row("STTC", OTHER, note="QT is measured; no head of its own"),
    **_rows("LAFB LPFB IRBBB CRBBB ILBBB CLBBB IVCD WPW 1AVB 2AVB 3AVB", Row("CD", CONDUCTION)),
    **_rows("LVH RVH SEHYP LAO/LAE RAO/RAE", Row("HYP", HYPERTROPHY)),
    "VCLVH": Row("", HYPERTROPHY, voltage=True, note="only of records that kept their amplitude"),
    "AFIB": Row("", ARRHYTHMIA, "atrial_fibrillation", note="no superclass"),
    "AFLT": Row("", ARRHYTHMIA, "atrial_fibrillation", note="no superclass"),
    **_rows("SVTAC PSVT", Row("", ARRHYTHMIA, "supraventricular_tachycardia")),
    **_rows("SVARR PAC PVC PRC(S) BIGU TRIGU", Row("", ARRHYTHMIA, note="ectopic beats are an arrhythmia")),
    "PACE": Row("", CONDUCTION, "paced", note=f"no superclass; {_HIDES}"),
    **_rows("SR SBRAD STACH SARRH", Row(rhythm="sinus", note=_NO_DISEASE)),
    **_rows("STD_ STE_ NT_ INVT LOWT TAB_", Row("", OTHER, shape=True)),
    "QWAVE": Row("", INFARCTION, shape=True),
    **_rows("LPR ABQRS", Row("", CONDUCTION, shape=True)),
    "HVOLT": Row("", HYPERTROPHY, shape=True, voltage=True),
    "LVOLT": Row(note="low voltage alone is no disease"),
}
"""Every statement of `scp_statements.csv`."""
_PACING_HIDES = (INFARCTION, HYPERTROPHY, OTHER)
_OF_SUPERCLASS = {"MI": INFARCTION, "STTC": OTHER, "CD": CONDUCTION, "HYP": HYPERTROPHY}


class Truth(NamedTuple):
    """What is known of a record: 1 so, 0 not so, `UNKNOWN`.

    Attributes
    ----------
    superclass : ndarray of int8, shape (5,)
        In the order of `SUPERCLASSES`.
    normal : int
        A normal ECG by its reader: NORM, and no condition besides.
    condition : ndarray of int8, shape (5,)
        In the order of `CONDITIONS`.
    rhythm : ndarray of bool, shape (8,)
        Which of `RHYTHMS` it may be: all where nothing is known.
    """

    superclass: NDArray[np.int8]
    normal: int
    condition: NDArray[np.int8]
    rhythm: NDArray[np.bool_]


def of_codes(codes: Mapping[str, float], *, amplitude: bool = True) -> Truth:
    """Return what a record's statements say.

    Parameters
    ----------
    codes : mapping of str to float
        Likelihood by statement, in per cent.
    amplitude : bool
        Whether the record kept its amplitude.

    Raises
    ------
    ValueError
        A statement is not in the table.

    Examples
    --------
    >>> of_codes({"IMI": 35.0, "SR": 0.0}).condition.tolist()  # an infarction that may be
    [0, 0, -1, 0, 0]
    """
    unknown = sorted(set(codes) - set(TABLE))
    if unknown:
        raise ValueError(f"codes must be SCP statements of PTB-XL, got {unknown[0]!r}")
    superclass = _superclasses(TABLE[code].superclass for code in codes)
    condition = np.zeros(len(CONDITIONS), np.int8)
    for code, likelihood in codes.items():
        row = TABLE[code]
        if not row.condition:
            continue
        at = CONDITIONS.index(row.condition)
        doubted = row.shape or (row.voltage and not amplitude) or 0 < likelihood < LIKELY
        condition[at] = max(condition[at], 1) if not doubted else condition[at] or UNKNOWN
    if "PACE" in codes:
        hidden = [CONDITIONS.index(name) for name in _PACING_HIDES]
        condition[hidden] = np.where(condition[hidden] == 1, 1, UNKNOWN)
    return Truth(superclass, _normal(superclass, condition), condition, _rhythm(codes))


def of_superclasses(flags: Mapping[str, bool]) -> Truth:
    """Return what is known of a record whose superclasses alone are: nothing of arrhythmia, which has none."""
    superclass = _superclasses(name for name, so in flags.items() if so)
    condition = np.full(len(CONDITIONS), UNKNOWN, np.int8)
    for name, of in _OF_SUPERCLASS.items():
        condition[CONDITIONS.index(of)] = bool(flags[name])
    return Truth(superclass, _normal(superclass, condition), condition, may_be(()))


def may_be(names: Iterable[str]) -> NDArray[np.bool_]:
    """Return which rhythms these names allow; without one, all."""
    held = set(names)
    return np.array([not held or name in held for name in RHYTHMS])


def _superclasses(named: Iterable[str]) -> NDArray[np.int8]:
    held = set(named)
    found = np.array([name in held for name in SUPERCLASSES], np.int8)
    return found if found.any() else np.full(len(SUPERCLASSES), UNKNOWN, np.int8)


def _normal(superclass: NDArray[np.int8], condition: NDArray[np.int8]) -> int:
    """Return whether a record is normal; one that names neither NORM nor a disease says nothing."""
    if (superclass[1:] == 1).any() or (condition == 1).any():
        return 0
    return 1 if superclass[0] == 1 else UNKNOWN


def _rhythm(codes: Iterable[str]) -> NDArray[np.bool_]:
    """Return the rhythm that the statements agree on; pacing goes before what is seen beneath it."""
    named = {TABLE[code].rhythm for code in codes} - {""}
    if "paced" in named:
        return may_be(["paced"])
    return may_be(named if len(named) == 1 else ())


def markdown() -> str:
    """Return the table for the documentation: statements that say the same share a line."""
    lines = ["| SCP statements | superclass | stage two | rhythm | |", "| --- | --- | --- | --- | --- |"]
    said: dict[Row, list[str]] = {}
    for code, row in TABLE.items():
        said.setdefault(row, []).append(code)
    return "\n".join([*lines, *(_line(codes, row) for row, codes in said.items())])


def _line(codes: Sequence[str], row: Row) -> str:
    words = [row.note] if row.note else []
    if row.shape:
        words.append("a shape, no diagnosis: makes the condition unknown")
    cells = (", ".join(f"`{code}`" for code in codes), row.superclass, row.condition, row.rhythm, "; ".join(words))
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    print(markdown())
