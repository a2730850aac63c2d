"""Exact waveforms for tests of a cardiotachometer, after the inputs that IEC 60601-2-27 and EC13 describe.

The standards' own texts were not read: QRS complexes are triangles, with an S wave if one is asked for, and T waves
half sines of the stated width and height, upon a line at zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def train(
    beats_s: Sequence[float] | NDArray[np.float64],
    seconds: float,
    rate_hz: float = 250.0,
    qrs_mv: float = 1.0,
    qrs_ms: float = 100.0,
    t_mv: float = 0.0,
    t_ms: float = 180.0,
    qt_ms: float = 350.0,
    s_share: float = 0.0,
) -> NDArray[np.float32]:
    """Return one lead with a beat at each of the given seconds (the peak of its QRS), in mV, shape (n,).

    Parameters
    ----------
    beats_s : sequence of float
    seconds, rate_hz : float
    qrs_mv, qrs_ms : float
        Height (negative: downwards) and width at the foot of the QRS.
    t_mv, t_ms : float
        Height and width of the T wave.
    qt_ms : float
        From the start of the QRS to the end of T.
    s_share : float
        Part of the height, from peak to peak, that an S wave has; width and height are then those of both.
    """
    if qrs_ms <= 0 or t_ms <= 0 or qt_ms < t_ms:
        raise ValueError(f"qrs_ms, t_ms and qt_ms - t_ms must be positive, got {qrs_ms}, {t_ms}, {qt_ms - t_ms}")
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    made = np.zeros(len(t))
    for beat_s in beats_s:
        first, last = np.searchsorted(t, (beat_s - qrs_ms / 1000, beat_s + qt_ms / 1000))
        since_ms = 1000 * (t[first:last] - beat_s)
        made[first:last] += qrs_mv * _complex(since_ms / qrs_ms, s_share)
        into_t = (since_ms + qrs_ms / 2 - qt_ms + t_ms) / t_ms
        made[first:last] += t_mv * np.where((into_t > 0) & (into_t < 1), np.sin(np.pi * into_t), 0.0)
    return made.astype(np.float32)


def _complex(share: NDArray[np.float64], s_share: float) -> NDArray[np.float64]:
    """Return a QRS of height 1 and width 1 with straight flanks, the middle at 0; its S, if any, is `s_share` deep."""
    if not s_share:
        return np.maximum(0.0, 1 - 2 * np.abs(share))
    return np.interp(share, (-0.5, -0.15, 0.25, 0.5), (0.0, 1 - s_share, -s_share, 0.0))


def at_rates(steps: Sequence[tuple[float, float]], first_s: float = 0.5) -> NDArray[np.float64]:
    """Return the seconds of beats at exactly the rates of (bpm, seconds) steps, one after another.

    The interval of the new rate begins with the last beat of the old one.
    """
    beats: list[float] = []
    at, end = first_s, 0.0
    for bpm, seconds in steps:
        if bpm <= 0:
            raise ValueError(f"bpm must be positive, got {bpm!r}")
        end += seconds
        if beats:
            at = max(beats[-1] + 60 / bpm, end - seconds)
        while at < end:
            beats.append(at)
            at += 60 / bpm
    return np.array(beats)
