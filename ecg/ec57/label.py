"""WFDB symbols of beats and the classes that EC57 gives them: N S V F Q, and O and X for no beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from ecg.record import Annotations

Mapping = Literal["bxb", "papers"]
"""Who maps: `bxb` counts escape beats as supraventricular; most papers on inter-patient splits, as normal."""

FLUTTER_WAVE = "!"
"""bxb reads it as a complex that belongs to no class (O), so that one outside marked flutter can match a beat."""

_COMMON = (
    dict.fromkeys("NLRB", "N") | dict.fromkeys("aAJS", "S") | dict.fromkeys("VEr", "V") | {"F": "F"}
) | dict.fromkeys("/fQ?", "Q")

CLASSES: dict[Mapping, dict[str, str]] = {
    "bxb": _COMMON | dict.fromkeys("ejn", "S") | {FLUTTER_WAVE: "O"},
    "papers": _COMMON | dict.fromkeys("ejn", "N") | {FLUTTER_WAVE: "O"},
}
"""Symbol of a beat to its class. Paced beats and their fusions are Q: paced records are outside the report."""

BEATS = frozenset(CLASSES["bxb"])
"""All symbols that bxb takes as a beat."""

_WFDB = {"P": "/"}
"""Vigil's own classes, where WFDB's symbol is another letter."""


def marks(samples: ArrayLike, labels: Sequence[str], aux: Sequence[str] | None = None) -> Annotations:
    """Return beats as annotations.

    Parameters
    ----------
    samples : array_like of int, shape (n,)
        Positions at the record's own rate, in order of time.
    labels : sequence of str
        Vigil's classes (N S V F Q P) or WFDB symbols.
    aux : sequence of str, optional
        Notes; rhythm changes (`+`) have theirs there.
    """
    at = np.asarray(samples, np.int64)
    symbols = np.array([_WFDB.get(label, label) for label in labels], dtype="<U1")
    notes = ("",) * len(at) if aux is None else tuple(aux)
    return Annotations(at, symbols, notes, np.zeros(len(at), np.int64))


def is_shutdown(subtype: int) -> bool:
    """Whether a `~` of this subtype says that no signal is readable."""
    return int(subtype) & 0x30 == 0x30
