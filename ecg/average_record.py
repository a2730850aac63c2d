"""The averaged normal beat of a whole short record, for `ecg.qt_measure`; as it comes, it is `ecg.average_beat`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.average_beat import LAGS, LEVEL_END, LEVEL_FIRST
from ecg.qt_measure import POST, PRE, ST, WIDTH

LEAST = 3
"""Fewest beats that are averaged."""
_QRS = slice(PRE - 25, PRE + 30)


class Average(NamedTuple):
    """An averaged beat: mV (n_leads, WIDTH), its standard error by lead, and how many beats it is of."""

    beat_mv: NDArray[np.float32]
    error_mv: NDArray[np.float32]
    beats: int


def average(level_mv: NDArray[np.float32], samples: NDArray[np.int64]) -> Average | None:
    """Average beats of one shape.

    Parameters
    ----------
    level_mv : ndarray of float32, shape (n_leads, n_samples)
        A record at 250 Hz without its baseline (`ecg.st_path`); a lead with missing samples at any beat is left out.
    samples : ndarray of int64
        Where the beats are, to within 12 ms; those too near to an end are left out.

    Returns
    -------
    Average or None
        None where fewer than `LEAST` beats are whole.

    Examples
    --------
    >>> mv = np.tile(np.sin(np.arange(200) / 20), 5).astype("f4")[None]
    >>> average(mv, np.array([100, 300, 500, 700])).beats, average(mv, np.array([100])) is None
    (4, True)
    """
    samples = samples[(samples >= PRE + LAGS) & (samples + POST + LAGS <= level_mv.shape[1])]
    if len(samples) < LEAST:
        return None
    beats = np.stack([_cut(level_mv, at) for at in samples.tolist()])
    usual = np.median(beats, axis=0)
    lags = range(-LAGS, LAGS + 1)
    moved = [
        min((_cut(level_mv, at + lag) for lag in lags), key=lambda b: _unlike(b, usual)) for at in samples.tolist()
    ]
    beats = np.stack(moved)
    quartiles = np.percentile(beats[:, :, PRE + ST :], (25, 75), axis=0)
    error = np.median(quartiles[1] - quartiles[0], axis=1) / 1.35 * 1.25 / np.sqrt(len(beats))
    return Average(np.median(beats, axis=0).astype(np.float32), error.astype(np.float32), len(beats))


def _cut(level_mv: NDArray[np.float32], at: int) -> NDArray[np.float32]:
    beat = level_mv[:, at - PRE : at - PRE + WIDTH]
    return beat - beat[:, LEVEL_FIRST:LEVEL_END].mean(axis=1, keepdims=True)


def _unlike(beat: NDArray[np.float32], usual: NDArray[np.float32]) -> float:
    return float(np.nansum((beat[:, _QRS] - usual[:, _QRS]) ** 2))
