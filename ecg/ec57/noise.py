"""Noise stress test: noise is mixed into a record in turns of two minutes, as `nst` does.

The signal-to-noise ratio is that of `nst` (Moody, Muldrow and Mark, Computers in Cardiology 1984): an amplitude a of
the QRS complexes from peak to peak, and a root mean square r of the noise, 10 log10((a^2 / 8) / r^2) dB. Deviations: a
is that of the complexes in the clean stretch before each noisy one, not of the record's first 300; and only the second
half of the noise is used, since the first is for training.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.frame import MISSING
from ecg.record import Annotations, Record

NORMAL, PACED = "NLRBejn", "/"
FIRST_S = 300.0
TURN_S = 120.0
HALF_QRS_S = 0.05
MOST = 300
"""Complexes, or seconds of noise, that are measured at most."""


class Stretch(NamedTuple):
    """A stretch of time, in samples."""

    first: int
    last: int


def noisy_stretches(n_samples: int, rate_hz: float) -> list[Stretch]:
    """Return where noise is added: from minute 5 on, every other two minutes, up to the record's end."""
    starts = np.arange(FIRST_S, n_samples / rate_hz, 2 * TURN_S)
    return [Stretch(round(s * rate_hz), min(n_samples, round((s + TURN_S) * rate_hz))) for s in starts]


def second_half(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the half of a noise record, shape (n_leads, n_samples), that is for scoring."""
    return noise[:, noise.shape[1] // 2 :]


def first_half(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the half of a noise record that is for training."""
    return noise[:, : noise.shape[1] // 2]


def noisy(recording: Record, reference: Annotations, noise: Record, snr_db: float, *, scored: bool = True) -> Record:
    """Return a recording with half of a noise record in its ECG leads: the second, or, not to be scored, the first."""
    wave = (second_half if scored else first_half)(noise.counts.astype(np.float64))
    if noise.rate_hz != recording.rate_hz:
        from scipy.signal import resample_poly

        ratio = (Fraction(recording.rate_hz) / Fraction(noise.rate_hz)).limit_denominator(1000)
        wave = resample_poly(wave, ratio.numerator, ratio.denominator, axis=1)
    rows = recording.rows("ecg")
    counts = recording.counts[rows]
    signal = np.where(counts == MISSING, np.nan, counts.astype(np.float64))
    normal = np.isin(reference.symbols, list(NORMAL))
    beats = reference.samples[normal if normal.any() else reference.symbols == PACED]
    mixed = mix(signal, wave, beats, recording.rate_hz, snr_db)
    out = recording.counts.copy()
    out[rows] = np.where(np.isnan(mixed), MISSING, np.clip(np.round(mixed), -32767, 32767)).astype(np.int16)
    return replace(recording, counts=out)


def mix(
    signal: NDArray[np.float64],
    noise: NDArray[np.float64],
    beats: NDArray[np.int64],
    rate_hz: float,
    snr_db: float,
) -> NDArray[np.float64]:
    """Return a record with noise in its noisy stretches.

    Parameters
    ----------
    signal : ndarray of float64, shape (n_leads, n_samples)
        In any unit; NaN where missing.
    noise : ndarray of float64, shape (n_noise_leads, n_noise_samples)
        At the same rate, in any unit; begins anew where it ends. A record's lead i takes noise lead i, in turn.
    beats : ndarray of int64
        Positions of the record's normal beats, or of all, where it has no normal ones.
    rate_hz, snr_db : float
        The rate, and the signal-to-noise ratio while it is noisy.

    Returns
    -------
    ndarray of float64, shape (n_leads, n_samples)
        Without a step where noise sets in or ends: what it had added at the end of a stretch stays as an offset.
    """
    mixed = signal.copy()
    stretches = noisy_stretches(signal.shape[1], rate_hz)
    ratio = 10.0 ** (-snr_db / 20.0) * np.sqrt(2.0) / 4.0
    for i, row in enumerate(mixed):
        added = noise[i % len(noise)]
        rms = noise_amplitude(added, rate_hz)
        amplitude, clean_from = 0.0, 0
        for first, last in stretches:
            before = beats[(beats >= clean_from) & (beats < first)][-MOST:]
            amplitude, clean_from = qrs_amplitude(signal[i], before, rate_hz) or amplitude, last
            if amplitude > 0.0 and rms > 0.0:
                wave = ratio * amplitude / rms * added[np.arange(first - 1, last) % len(added)]
                wave -= wave[0]
                row[first:last] += wave[1:]
                row[last:] += wave[-1]
    return mixed


def qrs_amplitude(signal: NDArray[np.float64], beats: NDArray[np.int64], rate_hz: float) -> float:
    """Return the trimmed mean of the amplitudes from peak to peak within 50 ms of beats; 0 where there are none."""
    half = int(np.floor(HALF_QRS_S * rate_hz + 0.5))
    around = [signal[max(0, at - half) : at + half + 1] for at in beats.tolist()]
    return _trimmed([float(np.ptp(wave)) for wave in around if len(wave) and np.isfinite(wave).all()])


def noise_amplitude(noise: NDArray[np.float64], rate_hz: float) -> float:
    """Return the trimmed mean of the root mean squares of whole seconds, each about its own mean."""
    second = round(rate_hz)
    n = min(MOST, len(noise) // second)
    return _trimmed(noise[: n * second].reshape(n, second).std(axis=1).tolist())


def _trimmed(values: list[float]) -> float:
    """Return the mean without the least and the largest twentieth; 0 of nothing."""
    cut = len(values) // 20
    kept = sorted(values)[cut : len(values) - cut]
    return float(np.mean(kept)) if kept else 0.0
