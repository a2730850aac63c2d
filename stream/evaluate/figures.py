"""Figures of `vigil evaluate ec57` from what each record scored, each with its interval by bootstrap over patients."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ecg import estimate
from ecg.ec57.table import Counts
from stream.evaluate.beats import Scored
from stream.evaluate.run import patient

PROTOCOLS = {
    "": "papers",
    "_bxb": "bxb",
    "_whole": "papers_whole",
    "_reference_peaks": "papers_reference_peaks",
    "_reference_peaks_bxb": "bxb_reference_peaks",
}
"""End of a figure's name, and the protocol behind it."""

Values = dict[str, float | None]
Intervals = dict[str, tuple[float, float] | None]


class Figures:
    """Figures as they are added, with their intervals."""

    def __init__(self) -> None:
        self.values: Values = {}
        self.intervals: Intervals = {}

    def add(self, name: str, rows: Mapping[str, Sequence[float]], statistic: estimate.Statistic) -> None:
        """Add a figure of sums over records; None where they say nothing.

        Parameters
        ----------
        name : str
            Name of the figure.
        rows : mapping of str to sequence of float
            What each record counts.
        statistic : callable
            From sums of such rows, shape (n, k), to n figures.
        """
        sums: dict[str, NDArray[np.float64]] = {}
        for record, row in rows.items():
            who = patient(record)
            sums[who] = sums.get(who, np.zeros(len(row))) + np.array(row, np.float64)
        counts = np.array(list(sums.values()), np.float64)
        self.values[name] = rounded(float(statistic(counts.sum(axis=0)[None])[0])) if len(counts) else None
        limits = estimate.interval(counts, statistic) if len(counts) else None
        self.intervals[name] = (round(limits[0], 3), round(limits[1], 3)) if limits else None

    def add_counts(self, kind: str, suffix: str, rows: Mapping[str, Counts]) -> None:
        """Add sensitivity, predictive value and F1 of one kind of beats."""
        self.add(f"{kind}_se{suffix}", rows, _sensitivity)
        self.add(f"{kind}_ppv{suffix}", rows, _predictivity)
        self.add(f"{kind}_f1{suffix}", rows, _f1)


def rounded(value: float) -> float | None:
    """Return a figure as it is printed; None for no number."""
    return round(value, 3) if math.isfinite(value) else None


def figures(scored: Mapping[str, Scored]) -> tuple[Values, Intervals]:
    """Return the figures by name, and their intervals.

    All but those that end in `_all` leave paced records out. A figure is None where nothing was scored for it.
    """
    unpaced = {name: record for name, record in scored.items() if not record.paced}
    found = Figures()
    found.add_counts("qrs", "", {name: record.tables["papers"].qrs for name, record in unpaced.items()})
    found.add_counts("qrs", "_all", {name: record.tables["papers"].qrs for name, record in scored.items()})
    for kind in ("veb", "sveb"):
        for suffix, protocol in PROTOCOLS.items():
            tables = {name: record.tables.get(protocol) for name, record in unpaced.items()}
            found.add_counts(kind, suffix, {name: getattr(table, kind) for name, table in tables.items() if table})
    _add_short(found, unpaced)
    _add_episodes(found, unpaced)
    for peer in sorted({peer for record in scored.values() for peer in record.peers}):
        found.add_counts(f"{peer}_qrs", "", {name: record.peers[peer] for name, record in unpaced.items()})
        found.add_counts(f"{peer}_qrs", "_all", {name: record.peers[peer] for name, record in scored.items()})
    return found.values, found.intervals


def _add_short(found: Figures, scored: Mapping[str, Scored]) -> None:
    for figure, share in (("auecdf_se", "sensitivity"), ("auecdf_ppv", "ppv")):
        shares = {name: getattr(record.short, share) for name, record in scored.items()}
        found.add(figure, {name: (float((1.0 - x).sum()), len(x)) for name, x in shares.items()}, estimate.share)


def _add_episodes(found: Figures, scored: Mapping[str, Scored]) -> None:
    for kind in ("AF", "VF"):
        episodes = {name: record.episodes[kind] for name, record in scored.items() if kind in record.episodes}
        matched = {name: each.matched for name, each in episodes.items()}
        found.add(f"{kind.lower()}_episode_se", matched, _sensitivity)
        found.add(f"{kind.lower()}_episode_ppv", matched, _second_sensitivity)
        theirs = {name: (each.reference_overlap_s, each.reference_s) for name, each in episodes.items()}
        ours = {name: (each.test_overlap_s, each.test_s) for name, each in episodes.items()}
        found.add(f"{kind.lower()}_duration_se", theirs, estimate.share)
        found.add(f"{kind.lower()}_duration_ppv", ours, estimate.share)


def _sensitivity(n: NDArray[np.float64]) -> NDArray[np.float64]:
    return estimate.percent(n[:, 0], n[:, 0] + n[:, 1])


def _second_sensitivity(n: NDArray[np.float64]) -> NDArray[np.float64]:
    return estimate.percent(n[:, 2], n[:, 2] + n[:, 3])


def _predictivity(n: NDArray[np.float64]) -> NDArray[np.float64]:
    return estimate.percent(n[:, 0], n[:, 0] + n[:, 2])


def _f1(n: NDArray[np.float64]) -> NDArray[np.float64]:
    return estimate.percent(2 * n[:, 0], 2 * n[:, 0] + n[:, 1] + n[:, 2])


def folds(records: Iterable[str], n: int = 5, seed: int = estimate.SEED) -> list[list[str]]:
    """Return the records in n folds, those of a patient together; the seed decides which."""
    names = sorted(records)
    patients = sorted({patient(name) for name in names})
    shuffled = [patients[i] for i in np.random.default_rng(seed).permutation(len(patients))]
    chosen = [set(shuffled[k::n]) for k in range(min(n, len(patients)))]
    return [[name for name in names if patient(name) in fold] for fold in chosen]
