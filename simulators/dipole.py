"""The heart as one moving dipole: each wave a vector, each lead a projection of it.

Because every lead is a projection of the same vector, leads agree as they do on a body: I + III = II, and
aVR + aVL + aVF = 0. The projections of V1-V6, I and II are Dower's (Dower, Machado and Osborne, Clin. Cardiol. 3:87,
1980, doi:10.1002/clc.4960030204); axes are x to the left, y to the feet, z to the back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_DOWER = {
    "I": (0.632, -0.235, 0.059),
    "II": (0.235, 1.066, -0.132),
    "V1": (-0.515, 0.157, -0.917),
    "V2": (0.044, 0.164, -1.387),
    "V3": (0.882, 0.098, -1.277),
    "V4": (1.213, 0.127, -0.601),
    "V5": (1.125, 0.127, -0.086),
    "V6": (0.831, 0.076, 0.230),
}
ECG_LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
"""The twelve leads that a dipole can be seen in."""


class Wave(NamedTuple):
    """One Gaussian: its centre from the R peak, its flanks, and its vector in mV."""

    at_s: float
    left_s: float
    right_s: float
    vector_mv: tuple[float, float, float]


def projection(leads: tuple[str, ...]) -> NDArray[np.float64]:
    """Return the matrix that takes the dipole (3 x n) to leads, shape (n_leads, 3)."""
    unknown = [lead for lead in leads if lead not in ECG_LEADS]
    if unknown:
        raise ValueError(f"leads must be of {', '.join(ECG_LEADS)}, got {unknown[0]!r}")
    one, two = np.array(_DOWER["I"]), np.array(_DOWER["II"])
    limb = {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}
    return np.array([limb[lead] if lead in limb else _DOWER[lead] for lead in leads]).reshape(len(leads), 3)


def normal_beat(rr_s: float, st_mv: float, p: bool) -> list[Wave]:
    """Return the waves of a beat that came through the His bundle.

    Parameters
    ----------
    rr_s : float
        RR interval before it: QT goes with its square root (Bazett).
    st_mv : float
        Level of the ST segment in lead II.
    p : bool
        Whether the atria beat before it; in atrial fibrillation they do not.
    """
    stretch = float(np.sqrt(np.clip(rr_s, 0.35, 1.4)))
    waves = [
        Wave(-0.022, 0.008, 0.008, (-0.10, -0.05, -0.25)),
        Wave(0.0, 0.011, 0.011, (0.95, 0.85, 0.35)),
        Wave(0.025, 0.010, 0.010, (-0.15, -0.20, 0.45)),
        Wave(0.31 * stretch, 0.060 * stretch, 0.042 * stretch, (0.25, 0.22, -0.15)),
    ]
    if p:
        waves.append(Wave(-0.12 - 0.04 * min(rr_s, 1.0), 0.022, 0.022, (0.06, 0.12, -0.02)))
    if st_mv:
        level = (0.17 * st_mv, 0.60 * st_mv, 0.0)  # the three overlap to 1.46 of one, a level of 1 in II
        waves += [Wave(at * stretch, 0.035, 0.035, level) for at in (0.11, 0.17, 0.23)]
    return waves


def ventricular_beat(rr_s: float) -> list[Wave]:
    """Return the waves of a beat from the ventricle: no P, 140-160 ms wide, T against the QRS."""
    stretch = float(np.sqrt(np.clip(rr_s, 0.25, 1.0)))
    return [
        Wave(0.0, 0.030, 0.026, (-0.65, 1.25, -0.85)),
        Wave(0.070, 0.026, 0.030, (0.35, -0.55, 0.40)),
        Wave(0.34 * stretch, 0.070 * stretch, 0.055 * stretch, (0.20, -0.40, 0.30)),
    ]


def paced_beat(rr_s: float) -> list[Wave]:
    """Return the waves of a beat paced at the right ventricle's apex: wide, axis upwards, T against the QRS."""
    stretch = float(np.sqrt(np.clip(rr_s, 0.35, 1.4)))
    return [
        Wave(0.0, 0.024, 0.028, (0.55, -1.00, 0.80)),
        Wave(0.060, 0.024, 0.024, (0.35, -0.25, 0.25)),
        Wave(0.33 * stretch, 0.065 * stretch, 0.050 * stretch, (-0.20, 0.35, -0.30)),
    ]


def add_wave_train(dipole_mv: NDArray[np.float64], rate_hz: float, at_s: float, waves: list[Wave], gain: float) -> None:
    """Add the waves of a beat at `at_s` to the dipole, in a circle: what passes the end comes in at the start."""
    first = int(np.floor((at_s - 0.45) * rate_hz))
    index = np.arange(first, int(np.ceil((at_s + 0.75) * rate_hz)))
    t = (index / rate_hz - at_s)[None, :] - np.array([w.at_s for w in waves])[:, None]
    left, right = (np.array([w[k] for w in waves])[:, None] for k in (1, 2))
    shape = np.exp(-0.5 * (t / np.where(t < 0, left, right)) ** 2)
    vectors = np.array([w.vector_mv for w in waves])
    np.add.at(dipole_mv.T, index % dipole_mv.shape[1], gain * (shape.T @ vectors))


def narrow_band(rng: np.random.Generator, n: int, rate_hz: float, centre_hz: float, width_hz: float) -> NDArray:
    """Return n samples of random waves around a frequency, RMS 1, which close into a circle."""
    frequency = np.fft.rfftfreq(n, 1 / rate_hz)
    weight = np.exp(-0.5 * ((frequency - centre_hz) / width_hz) ** 2) * (frequency > 0)
    waves = np.fft.irfft(weight * np.exp(2j * np.pi * rng.random(len(frequency))), n)
    return waves / max(float(np.sqrt(np.mean(waves**2))), 1e-12)


def fibrillation(rng: np.random.Generator, n: int, rate_hz: float, wave_hz: float, mv: float) -> NDArray[np.float64]:
    """Return the dipole of ventricular fibrillation, shape (3, n): no two waves alike, `mv` about the size in II."""
    common = narrow_band(rng, n, rate_hz, wave_hz, 0.9)
    own = np.stack([narrow_band(rng, n, rate_hz, wave_hz, 1.1) for _ in range(3)])
    size = 1 + 0.15 * narrow_band(rng, n, rate_hz, 0.3, 0.15)
    return mv / 2 * size * (np.array([[0.5], [0.8], [-0.6]]) * common + 0.45 * own)


def flutter(rng: np.random.Generator, n: int, rate_hz: float, wave_hz: float, mv: float) -> NDArray[np.float64]:
    """Return the dipole of ventricular flutter, shape (3, n): a regular large wave without isoelectric line."""
    turns = max(1, round(wave_hz * n / rate_hz))
    phase = 2 * np.pi * turns * np.arange(n) / n + 0.12 * narrow_band(rng, n, rate_hz, 0.4, 0.2)
    wave = np.sin(phase) + 0.18 * np.sin(2 * phase + 0.6)
    return mv / 2 * np.array([[-0.45], [0.95], [-0.6]]) * wave


def f_waves(rng: np.random.Generator, n: int, rate_hz: float, mv: float) -> NDArray[np.float64]:
    """Return the dipole of the fibrillating atria, shape (3, n): 5-8 Hz, largest in V1 and II."""
    wave = narrow_band(rng, n, rate_hz, 6.3, 0.5) + 0.25 * narrow_band(rng, n, rate_hz, 12.6, 1.0)
    return mv / 2 * np.array([[0.05], [0.6], [-0.8]]) * wave
