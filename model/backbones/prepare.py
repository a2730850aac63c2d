"""What published networks see of a record: leads in their order, at their rate, in windows, filtered and scaled.

Where nothing is published, this is ours: a record at another rate is resampled by a polyphase filter; missing samples
lie on a line between their neighbours; a record longer than a window is cut into windows end to end, each prepared
alone, and a rest is left out; a shorter record is prepared as it is, with zeros behind it; limb leads that a record
lacks are computed from I and II.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter
from scipy.signal import butter, filtfilt, iirnotch, resample_poly

from ecg.lead import canonical

RATE_HZ = 500
LEAST_S = 1.0
"""A record shorter than this is refused: the filters have nothing to settle on."""
MAINS_HZ, MAINS_Q = 50.0, 30.0
BAND_HZ, BAND_ORDER = (0.67, 40.0), 4
BASELINE = 201
"""Samples of the median that is taken as the baseline: 0.4 s, made odd."""
LEAST_MV = 1e-6
"""A standard deviation below this is none: a flat lead stays flat."""
_FROM_I_AND_II = {"III": (-1.0, 1.0), "aVR": (-0.5, -0.5), "aVL": (1.0, -0.5), "aVF": (-0.5, 1.0)}


def arranged(signal_mv: NDArray[np.floating], names: Sequence[str], leads: Sequence[str]) -> NDArray[np.float32]:
    """Return a record's leads in another order, limb leads from I and II where they are lacking.

    Parameters
    ----------
    signal_mv : ndarray, shape (n_leads, n_samples)
    names : sequence of str
        Names of its leads, in any spelling that `ecg.lead.canonical` knows.
    leads : sequence of str
        Which leads, in which order.

    Returns
    -------
    ndarray of float32, shape (len(leads), n_samples)

    Raises
    ------
    ValueError
        There is not a name for each lead, or a lead is lacking.
    """
    if signal_mv.ndim != 2 or len(signal_mv) != len(names):
        raise ValueError(f"signal_mv must be (leads, samples) of {len(names)} leads, got {signal_mv.shape}")
    rows = {canonical(name): row for name, row in zip(names, np.asarray(signal_mv, np.float32), strict=True)}
    out = [_lead(rows, lead) for lead in leads]
    return np.stack(out)


def _lead(rows: dict[str, NDArray[np.float32]], lead: str) -> NDArray[np.float32]:
    if lead in rows:
        return rows[lead]
    if lead in _FROM_I_AND_II and {"I", "II"} <= set(rows):
        of_i, of_ii = _FROM_I_AND_II[lead]
        return (of_i * rows["I"] + of_ii * rows["II"]).astype(np.float32)
    raise ValueError(f"the record has no lead {lead}, which the network takes; it has {', '.join(rows)}")


def windows(x_mv: NDArray[np.float32], rate_hz: float, length: int) -> list[NDArray[np.float32]]:
    """Bring leads to 500 Hz and cut them.

    Parameters
    ----------
    x_mv : ndarray of float32, shape (n_leads, n_samples)
        NaN where a sample is missing; a lead without any sample is flat.
    length : int
        Samples of a window at 500 Hz.

    Returns
    -------
    list of ndarray of float32, shape (n_leads, length)
        Of a record shorter than a window one, which is shorter.

    Raises
    ------
    ValueError
        The rate is not positive, or the record is shorter than `LEAST_S`.
    """
    if rate_hz <= 0:
        raise ValueError(f"rate_hz must be positive, got {rate_hz}")
    if x_mv.shape[1] < LEAST_S * rate_hz:
        raise ValueError(f"a record must hold at least {LEAST_S:g} s, got {x_mv.shape[1] / rate_hz:g} s")
    y = np.stack([_whole(row) for row in x_mv])
    ratio = Fraction(RATE_HZ) / Fraction(rate_hz).limit_denominator(1000)
    if ratio != 1:
        y = resample_poly(y, ratio.numerator, ratio.denominator, axis=1, padtype="line").astype(np.float32)
    whole = max(1, y.shape[1] // length)
    return [y[:, k * length : (k + 1) * length] for k in range(whole)]


def _whole(row: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill missing samples of a lead on lines between their neighbours."""
    there = np.flatnonzero(np.isfinite(row))
    if not len(there):
        return np.zeros_like(row)
    if len(there) == len(row):
        return row
    return np.interp(np.arange(len(row)), there, row[there]).astype(np.float32)


def filtered(x_mv: NDArray[np.float32]) -> NDArray[np.float64]:
    """Filter as ECGFounder's authors do: mains and band, each forward and backward, less a median over 0.4 s.

    Parameters
    ----------
    x_mv : ndarray of float32, shape (n_leads, n_samples)
        At 500 Hz.
    """
    mains: Any = iirnotch(MAINS_HZ, MAINS_Q, RATE_HZ)
    band: Any = butter(BAND_ORDER, BAND_HZ, "bandpass", fs=RATE_HZ)
    y = filtfilt(mains[0], mains[1], x_mv.astype(np.float64), axis=1)
    y = filtfilt(band[0], band[1], y, axis=1)
    return y - np.stack([median_filter(row, BASELINE, mode="constant") for row in y])


def scaled(x: NDArray[np.floating], axis: int | None) -> NDArray[np.float32]:
    """Return values less their mean, over their standard deviation: of all together, or along an axis."""
    y = x.astype(np.float64) - x.mean(axis=axis, keepdims=True, dtype=np.float64)
    spread = y.std(axis=axis, keepdims=True)
    return (y / np.where(spread > LEAST_MV, spread, 1.0)).astype(np.float32)


def founder(x_mv: NDArray[np.float32]) -> NDArray[np.float32]:
    """Prepare a window for ECGFounder: filtered, then scaled over all leads together."""
    return scaled(filtered(x_mv), None)


def fm(x_mv: NDArray[np.float32]) -> NDArray[np.float32]:
    """Prepare a window for ECG-FM: scaled lead by lead."""
    return scaled(x_mv, 1)
