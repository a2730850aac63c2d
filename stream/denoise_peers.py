"""Ways to clean an ECG that Vigil's denoiser is compared with: each has the whole strip in hand, and most look ahead.

pywt's transforms are used with db4 and four levels, as Vigil has them, on the signal without wander (a zero-phase
high-pass), and with two published rules: soft universal thresholds with one noise level from the finest details
(Donoho and Johnstone, Biometrika 81(3), 1994, doi:10.1093/biomet/81.3.425), and soft universal thresholds with a noise
level of each level's own (Johnstone and Silverman, J. R. Stat. Soc. B 59(2), 1997, doi:10.1111/1467-9868.00071).
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pywt
from numpy.typing import NDArray
from scipy.signal import butter, sosfiltfilt

Signals = NDArray[np.float64]
"""In mV at `RATE_HZ`, shape (n_leads, n_samples), none missing."""
Cleaner = Callable[[Signals], Signals]

RATE_HZ = 250.0
HIGHPASS_HZ, LOWPASS_HZ = 0.5, 40.0
WAVELET, LEVELS = "db4", 4
WINDOW_S, HOP_S = 10.0, 2.0
ENVIRONMENT = Path(".venv-peers")
SCRIPT = Path(__file__).with_name("bench_neurokit.py")
_MAD = 0.6745


def highpass(signals: Signals) -> Signals:
    """Return signals without what lies under 0.5 Hz: a Butterworth filter of order 2, forwards and backwards."""
    return sosfiltfilt(_butterworth(None), signals, axis=-1)


def bandpass(signals: Signals) -> Signals:
    """Return what lies between 0.5 and 40 Hz, by the same kind of filter."""
    return sosfiltfilt(_butterworth(LOWPASS_HZ), signals, axis=-1)


@cache
def _butterworth(upper_hz: float | None) -> NDArray[np.float64]:
    high = np.asarray(butter(2, HIGHPASS_HZ, "highpass", fs=RATE_HZ, output="sos"))
    return high if upper_hz is None else np.vstack([high, np.asarray(butter(2, upper_hz, fs=RATE_HZ, output="sos"))])


def stationary(signals: Signals, by_level: bool = False) -> Signals:
    """Return what `pywt.swt`, `pywt.threshold` (soft, universal) and `pywt.iswt` make of signals.

    Parameters
    ----------
    signals : ndarray of float64, shape (..., n_samples)
    by_level : bool
        Whether each level has a noise level of its own.
    """
    n, whole = signals.shape[-1], 2**LEVELS
    even = np.pad(signals, [(0, 0)] * (signals.ndim - 1) + [(0, -n % whole)], mode="symmetric")
    parts: list[Any] = pywt.swt(even, WAVELET, level=LEVELS, trim_approx=True)
    finest = universal(parts[-1])
    shrunk = [_soft(detail, universal(detail) if by_level else finest) for detail in parts[1:]]
    return np.asarray(pywt.iswt([parts[0], *shrunk], WAVELET))[..., :n]


def decimated(signals: Signals) -> Signals:
    """Return what `pywt.wavedec`, `pywt.threshold` (soft, universal) and `pywt.waverec` make of signals."""
    parts = pywt.wavedec(signals, WAVELET, level=LEVELS, axis=-1)
    threshold = universal(parts[-1])
    return pywt.waverec([parts[0], *(_soft(d, threshold) for d in parts[1:])], WAVELET, axis=-1)[
        ..., : signals.shape[-1]
    ]


def universal(detail: Signals) -> Signals:
    """Return sigma sqrt(2 ln n) of each row, sigma from the median magnitude; shape (..., 1)."""
    sigma = np.median(np.abs(detail), axis=-1, keepdims=True) / _MAD
    return sigma * np.sqrt(2 * np.log(detail.shape[-1]))


def _soft(detail: Signals, threshold: Signals) -> Signals:
    return np.sign(detail) * np.maximum(np.abs(detail) - threshold, 0.0)


def per_window(clean: Cleaner, signals: Signals) -> Signals:
    """Return signals cleaned in windows of 10 s, one each 2 s, of each of which the middle 2 s are taken."""
    width, hop = round(WINDOW_S * RATE_HZ), round(HOP_S * RATE_HZ)
    n, lead_in = signals.shape[-1], (width - hop) // 2
    padded = np.pad(signals, [(0, 0), (lead_in, lead_in + -n % hop)], mode="symmetric")
    windows = np.lib.stride_tricks.sliding_window_view(padded, width, axis=-1)[:, ::hop]
    middle = clean(windows)[..., lead_in : lead_in + hop]
    return middle.reshape(len(signals), -1)[:, :n]


def _flat(clean: Cleaner, signals: Signals) -> Signals:
    return clean(highpass(signals))


def _windows(clean: Cleaner, signals: Signals) -> Signals:
    return per_window(partial(_flat, clean), signals)


@contextmanager
def peers() -> Iterator[dict[str, Cleaner]]:
    """Give the peers by name; `neurokit2`, which takes seconds to start, once, and only where its environment is."""
    named: dict[str, Cleaner] = {
        "highpass": highpass,
        "pywt_swt": partial(_flat, stationary),
        "pywt_swt_by_level": partial(_flat, partial(stationary, by_level=True)),
        "pywt_swt_windows": partial(_windows, stationary),
        "pywt_dwt_windows": partial(_windows, decimated),
        "bandpass_windows": partial(per_window, bandpass),
    }
    if (ENVIRONMENT / "bin" / "python").exists():
        with neurokit2(ENVIRONMENT) as clean:
            yield named | {"neurokit2": clean}
    else:
        yield named


@contextmanager
def neurokit2(environment: Path) -> Iterator[Cleaner]:
    """Give NeuroKit2's `ecg_clean`, which runs in an environment of its own; it raises ValueError where it ended."""
    command = [str(environment / "bin" / "python"), str(SCRIPT)]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process,
    ):
        assert process.stdin is not None
        try:
            yield partial(_asked, process, Path(folder) / "wave.npy")
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close()


def _asked(process: subprocess.Popen[str], wave: Path, signals: Signals) -> Signals:
    assert process.stdin is not None
    assert process.stdout is not None
    np.save(wave, signals)
    with suppress(BrokenPipeError):
        print(json.dumps({"wave": str(wave), "rate_hz": RATE_HZ}), file=process.stdin, flush=True)
    if not process.stdout.readline():
        raise ValueError(f"neurokit2 ended with {process.wait()}")
    return np.load(wave)
