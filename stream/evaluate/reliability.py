"""Reliability: how often what was given a probability was so, in ten bins, as numbers and drawn as SVG.

Answers out of fold, each fold calibrated on the others. The error is Guo's (2017, arXiv:1706.04599) with its interval
by bootstrap over patients; the interval of a bin is Wilson's for that many independent cases. Windows of one patient
are not independent, so that bins of windows are less sure than theirs say.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from model.labels import RHYTHMS
from model.rhythm_score import LETHAL
from model.score import BINS, LEVEL, bin_of, draws

WIDTH, SIDE, LEFT, TOP, APART = 900, 300, 90, 84, 440
"""Of the picture, of a plot, and where plots lie, in pixels."""
FOOT = 66
"""Room under a plot for counts and the axis."""
INK, FAINT, GRID, POINT = "#1f2933", "#52606d", "#d9dee3", "#1f5fa8"


class Curve(NamedTuple):
    """Probabilities that were said, and what was so.

    Attributes
    ----------
    name : str
        Of the error in the figures.
    title : str
    said : ndarray of float64, shape (n,)
    so : ndarray of bool, shape (n,)
    patient : ndarray of str, shape (n,)
    """

    name: str
    title: str
    said: NDArray[np.float64]
    so: NDArray[np.bool_]
    patient: NDArray[np.str_]

    def errors(self) -> NDArray[np.float64]:
        """Return the expected calibration error, first as it is and then of each draw of the patients."""
        people, whose = np.unique(self.patient, return_inverse=True)
        off, cases = np.zeros((len(people), BINS)), np.bincount(whose)
        np.add.at(off, (whose, bin_of(self.said)), self.so - self.said)
        weight = draws(people).weight
        return np.abs(weight @ off).sum(axis=1) / (weight @ cases)


class Bin(NamedTuple):
    """Cases of like probability: its mean, how many there are and how many were so, and Wilson's interval of 95 %."""

    said: float
    found: float
    low: float
    high: float
    cases: int


def of_records(said: NDArray[np.float64], truth: NDArray[np.int8], patient: NDArray[np.str_]) -> Curve:
    """Pool probabilities (n, 11) of records over the outputs of which the truth is known."""
    known = truth >= 0
    whose = np.broadcast_to(patient[:, None], truth.shape)[known]
    return Curve("ece_diagnoses", "Normal, conditions, superclasses", said[known], truth[known] == 1, whose)


def of_windows(said: NDArray[np.float64], allowed: NDArray[np.bool_], patient: NDArray[np.str_]) -> list[Curve]:
    """Return the curves of windows of one known rhythm: of each rhythm, of the likeliest, and of VT and VF together.

    Parameters
    ----------
    said, allowed : ndarray, shape (n, 8)
    patient : ndarray of str, shape (n,)
    """
    single = allowed.sum(axis=1) == 1
    p, so, whose = said[single], allowed[single], patient[single]
    rows, most = np.arange(len(p)), p.argmax(axis=1)
    each = np.repeat(whose, len(RHYTHMS))
    return [
        Curve("rhythm_ece_each", "Rhythms, each of the eight", p.ravel(), so.ravel(), each),
        Curve("rhythm_ece", "The likeliest rhythm", p[rows, most], so[rows, most], whose),
        Curve(
            "rhythm_ece_lethal", "VT or VF", p[:, list(LETHAL)].sum(axis=1), np.isin(so.argmax(axis=1), LETHAL), whose
        ),
    ]


def bins(curve: Curve) -> list[Bin]:
    """Return the bins that hold a case, in order."""
    at, found = bin_of(curve.said), []
    for k in np.unique(at):
        so = curve.so[at == k]
        band = binomtest(int(so.sum()), len(so)).proportion_ci(LEVEL, "wilson")
        found.append(
            Bin(float(curve.said[at == k].mean()), float(so.mean()), float(band.low), float(band.high), len(so))
        )
    return found


def as_object(curve: Curve) -> dict[str, Any]:
    """Return what `--json` prints of a curve."""
    rounded = [{name: round(value, 4) for name, value in each._asdict().items()} for each in bins(curve)]
    return {"of": curve.title, "bins": rounded}


def draw(file: Path, curves: Sequence[Curve], errors: Sequence[str]) -> None:
    """Write the diagram as SVG, a line on the error under each title; raises OSError where it cannot be written."""
    rows = (len(curves) + 1) // 2
    height = TOP + rows * (SIDE + FOOT + TOP) - TOP // 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12">',
        "<title>What the network said, out of fold, against what was so</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for k, (curve, error) in enumerate(zip(curves, errors, strict=True)):
        left, top = LEFT + k % 2 * APART, TOP + k // 2 * (SIDE + FOOT + TOP)
        parts += _axes(left, top, curve.title, error)
        for each in bins(curve):
            parts += _point(left, top, each)
    file.write_text("\n".join([*parts, "</svg>", ""]), encoding="utf-8")


def _axes(left: int, top: int, title: str, error: str) -> list[str]:
    """Return a plot without its points: title, grid, the diagonal on which the calibrated lie, and what is drawn."""
    ticks = [round(k / 5, 1) for k in range(6)]
    bottom, right, middle = top + SIDE, left + SIDE, left + SIDE / 2
    grid = "".join(f"M{left + t * SIDE:g} {top}V{bottom}M{left} {bottom - t * SIDE:g}H{right}" for t in ticks)
    return [
        f'<text x="{left}" y="{top - 34}" font-size="15" font-weight="bold" fill="{INK}">{title}</text>',
        f'<text x="{left}" y="{top - 15}" fill="{FAINT}">{error}</text>',
        f'<path d="{grid}" stroke="{GRID}" fill="none"/>',
        f'<path d="M{left} {bottom}L{right} {top}" stroke="{FAINT}" stroke-dasharray="4 4" fill="none"/>',
        *(
            f'<text x="{left - 8}" y="{bottom - t * SIDE + 4:g}" text-anchor="end" fill="{FAINT}">{t}</text>'
            for t in ticks
        ),
        *(
            f'<text x="{left + t * SIDE:g}" y="{bottom + 36}" text-anchor="middle" fill="{FAINT}">{t}</text>'
            for t in ticks
        ),
        f'<text x="{left - 8}" y="{bottom + 16}" text-anchor="end" font-size="9" fill="{FAINT}">cases</text>',
        f'<text x="{middle}" y="{bottom + 54}" text-anchor="middle" fill="{INK}">probability that was said</text>',
        f'<text transform="translate({left - 42} {top + SIDE / 2}) rotate(-90)" text-anchor="middle" '
        f'fill="{INK}">share that was so</text>',
    ]


def _point(left: int, top: int, each: Bin) -> list[str]:
    """Return a bin: its mean with the interval, and under the plot how many cases it holds."""
    x, (y, low, high) = left + each.said * SIDE, (top + SIDE * (1 - v) for v in (each.found, each.low, each.high))
    column = left + (int(min(each.said, 1 - 1e-9) * BINS) + 0.5) * SIDE / BINS
    return [
        f'<path d="M{x:.1f} {low:.1f}V{high:.1f}M{x - 4:.1f} {low:.1f}h8M{x - 4:.1f} {high:.1f}h8" '
        f'stroke="{POINT}" stroke-width="1.5" fill="none"/>',
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{POINT}"/>',
        f'<text x="{column:.1f}" y="{top + SIDE + 16}" text-anchor="middle" font-size="9" fill="{FAINT}">'
        f"{_short(each.cases)}</text>",
    ]


def _short(cases: int) -> str:
    """Return a count in at most four letters' room.

    Examples
    --------
    >>> _short(987), _short(9876), _short(98765), _short(987654)
    ('987', '9876', '98.8k', '988k')
    """
    return str(cases) if cases < 10_000 else f"{cases / 1000:.3g}k"
