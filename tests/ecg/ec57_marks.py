"""Annotations written by hand, as (position, symbol) or (position, symbol, note or subtype)."""

import numpy as np

from ecg.record import Annotations

RATE = 100.0
"""Of all cases: the match window is 15 samples."""
LATER = 40_000
"""A sample after the first five minutes."""
LENGTH = 100_000


def marks(*found: tuple) -> Annotations:
    """Annotations at these positions, from `LATER` on."""
    rows = [(*mark, "") if len(mark) == 2 else mark for mark in found]
    return Annotations(
        np.array([LATER + at for at, *_ in rows], np.int64),
        np.array([symbol for _, symbol, _ in rows], "<U1"),
        tuple(extra if isinstance(extra, str) else "" for *_, extra in rows),
        np.array([extra if isinstance(extra, int) else 0 for *_, extra in rows], np.int64),
    )
