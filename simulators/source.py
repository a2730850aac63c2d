"""What a simulated device measures: counts with their flags, once through and then, if they loop, on and on."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from ecg.frame import MISSING, Lead


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """Samples for a device.

    Attributes
    ----------
    name : str
        Where they come from.
    rate_hz : float
    leads : tuple of Lead
        In the order of the rows of `counts`.
    counts : ndarray of int16, shape (n_leads, n_samples)
        `ecg.frame.MISSING` where there is no sample.
    loop_to : int or None
        The sample that follows the last one; None if the source ends.
    off : ndarray of bool, shape (n_leads, n_samples), or None
        Where the device knows an electrode to be off.
    pacer : ndarray of bool, shape (n_samples,), or None
        Where the device saw a pacer spike.
    start_s : float
        Where in its record the first sample lies.
    """

    name: str
    rate_hz: float
    leads: tuple[Lead, ...]
    counts: NDArray[np.int16]
    loop_to: int | None = 0
    off: NDArray[np.bool_] | None = None
    pacer: NDArray[np.bool_] | None = None
    start_s: float = 0.0

    def __post_init__(self) -> None:
        if self.counts.ndim != 2 or self.counts.shape[0] != len(self.leads) or not self.counts.size:
            raise ValueError(f"counts must be {len(self.leads)} leads x samples, got shape {self.counts.shape}")
        if self.loop_to is not None and not 0 <= self.loop_to < self.counts.shape[1]:
            raise ValueError(f"loop_to must be a sample of the source, got {self.loop_to}")

    @property
    def n_samples(self) -> int:
        """Samples until the end, or until the loop closes."""
        return self.counts.shape[1]

    def positions(self, first: int, n: int) -> slice | NDArray[np.int64]:
        """Return where samples first <= i < first + n lie in `counts`; fewer than n where the source ends."""
        if first + n <= self.n_samples:
            return slice(first, first + n)
        if self.loop_to is None:
            return slice(first, self.n_samples)
        index = np.arange(first, first + n)
        lap = self.n_samples - self.loop_to
        return np.where(index < self.n_samples, index, self.loop_to + (index - self.loop_to) % lap)

    def take(self, first: int, n: int) -> NDArray[np.int16]:
        """Return counts of samples first <= i < first + n, shape (n_leads, at most n)."""
        return self.counts[:, self.positions(first, n)]

    def mv(self, first: int, n: int) -> NDArray[np.float32]:
        """Return samples in each lead's unit, shape (n_leads, at most n), NaN where missing."""
        counts = self.take(first, n)
        gain = np.array([lead.gain for lead in self.leads])[:, None]
        baseline = np.array([lead.baseline for lead in self.leads])[:, None]
        return np.where(counts == MISSING, np.nan, (counts - baseline) / gain).astype(np.float32)


def to_counts(values: NDArray, leads: tuple[Lead, ...]) -> NDArray[np.int16]:
    """Return samples in the leads' units, shape (n_leads, n), as a converter would give them: NaN is missing."""
    gain = np.array([lead.gain for lead in leads])[:, None]
    baseline = np.array([lead.baseline for lead in leads])[:, None]
    counts = np.clip(np.round(np.nan_to_num(values) * gain + baseline), MISSING + 1, 32767)
    return np.where(np.isnan(values), MISSING, counts).astype(np.int16)
