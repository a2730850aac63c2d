"""What a finger and an artery feel of each beat: PLETH and ABP, late by the pulse's transit, weak where filling was."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulators.schedule import Beat

ABP_DELAY_S, PLETH_DELAY_S = 0.18, 0.28
"""From the R peak to the foot of the pulse: electromechanical delay and transit to wrist and finger."""
_FLOOR_MMHG, _STROKE_MMHG, _RUNOFF_S = 14.0, 46.0, 1.3


def strength(beat: Beat) -> float:
    """Return the stroke of a beat against a resting one: it falls with filling time, more so from the ventricle."""
    filling = 1.24 * (1 - float(np.exp(-beat.rr_s / 0.5)))
    return filling * (0.45 if beat.label == "V" else 1.0)


def _strokes(beats: Sequence[Beat], n: int, rate_hz: float, delay_s: float) -> NDArray[np.float64]:
    at = np.array([round((beat.at_s + delay_s) * rate_hz) for beat in beats], dtype=np.int64)
    train = np.zeros(n)
    np.add.at(train, at % n, np.array([strength(beat) for beat in beats]))
    return train


def _circular(train: NDArray[np.float64], kernel: NDArray[np.float64]) -> NDArray[np.float64]:
    n = len(train)
    folded = np.pad(kernel, (0, -len(kernel) % n)).reshape(-1, n).sum(0)
    return np.fft.irfft(np.fft.rfft(train) * np.fft.rfft(folded), n)


def arterial_mmhg(beats: Sequence[Beat], n: int, rate_hz: float) -> NDArray[np.float64]:
    """Return arterial pressure, shape (n,): an elastic vessel that each stroke fills and that runs off in 1.3 s.

    Without beats it falls towards 14 mmHg.
    """
    t = np.arange(round(10 * rate_hz)) / rate_hz
    runoff = np.exp(-t / _RUNOFF_S) * (1 - np.exp(-t / 0.05))
    notch = 0.10 * np.exp(-0.5 * ((t - 0.36) / 0.035) ** 2) - 0.06 * np.exp(-0.5 * ((t - 0.29) / 0.02) ** 2)
    systole = 0.25 * np.exp(-0.5 * ((t - 0.13) / 0.06) ** 2)
    return _FLOOR_MMHG + _STROKE_MMHG * _circular(_strokes(beats, n, rate_hz, ABP_DELAY_S), runoff + notch + systole)


def pleth(beats: Sequence[Beat], n: int, rate_hz: float) -> NDArray[np.float64]:
    """Return the plethysmogram without its slow part, shape (n,), a resting pulse about 1 high."""
    t = np.arange(round(2 * rate_hz)) / rate_hz
    main = np.exp(-0.5 * ((t - 0.17) / np.where(t < 0.17, 0.065, 0.12)) ** 2)
    second = 0.35 * np.exp(-0.5 * ((t - 0.42) / 0.09) ** 2)
    return _circular(_strokes(beats, n, rate_hz, PLETH_DELAY_S), main + second)
