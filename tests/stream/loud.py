"""Stands where a network stands, and answers from the samples alone, so that a window in the wrong place shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Heard(NamedTuple):
    """How much each lead of a chunk varies, (n,)."""

    spread: np.ndarray


class Loud:
    """A network in the two steps of `stream.look.Net`."""

    def encode(self, cut_mv: Sequence[np.ndarray], leads: Sequence[Sequence[str]]) -> list[Heard]:
        assert [len(chunk) for chunk in cut_mv] == [len(names) for names in leads]
        return [Heard(np.array([np.nan_to_num(lead).std() for lead in chunk])) for chunk in cut_mv]

    def classify(self, windows: Sequence[Sequence[Heard]], leads: Sequence[Sequence[str]]) -> list[dict[str, float]]:
        return [
            {"loud": round(float(np.mean([chunk.spread for chunk in window])), 4), "leads": float(len(names))}
            for window, names in zip(windows, leads, strict=True)
        ]
