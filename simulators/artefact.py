"""What spoils a signal: noises of each kind, and what a device does when its electrode or its radio fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from ecg.frame import MISSING
from simulators.source import Source

Noise = Literal["white", "mains", "wander", "muscle", "motion"]
Kind = Literal["white", "mains", "wander", "muscle", "motion", "clip", "flat", "lead_off", "dropout"]
NOISES: tuple[Noise, ...] = ("white", "mains", "wander", "muscle", "motion")


@dataclasses.dataclass(frozen=True)
class Artefact:
    """One disturbance of a source, from `first_s` to `end_s` of its samples.

    Attributes
    ----------
    kind : str
        A noise; `clip` (limited to +-`mv`), `flat` (the converter stands still and nobody says so), `lead_off` (flat,
        and the device says so) or `dropout` (no samples).
    mv : float
        RMS of a noise; the rail of `clip`.
    leads : tuple of str
        Names of the ECG leads; all of them unless given.
    mains_hz : float
    """

    kind: Kind
    first_s: float
    end_s: float
    mv: float = 0.2
    leads: tuple[str, ...] = ()
    mains_hz: float = 50.0


def noise(kind: Noise, n: int, rate_hz: float, rms_mv: float, seed: int, mains_hz: float = 50.0) -> NDArray[np.float32]:
    """Return noise of one lead, shape (n,), in mV.

    Parameters
    ----------
    kind : str
        `white`; `mains` with its third harmonic; `wander`, below 0.5 Hz; `muscle`, 20-120 Hz in bursts; `motion`, the
        electrode's, 0.5-10 Hz with steps that decay.
    n : int
    rate_hz, rms_mv : float
    seed : int
    mains_hz : float
    """
    if kind not in NOISES:
        raise ValueError(f"kind must be one of {', '.join(NOISES)}, got {kind!r}")
    rng = np.random.default_rng(seed)
    made = {"white": _white, "mains": _mains, "wander": _wander, "muscle": _muscle, "motion": _motion}[kind](
        rng, n, rate_hz, mains_hz
    )
    size = float(np.sqrt(np.mean(made**2))) if n else 0.0
    return (made * (rms_mv / max(size, 1e-12))).astype(np.float32)


def _white(rng: np.random.Generator, n: int, rate_hz: float, mains_hz: float) -> NDArray:
    return rng.standard_normal(n)


def _mains(rng: np.random.Generator, n: int, rate_hz: float, mains_hz: float) -> NDArray:
    turn = 2 * np.pi * mains_hz * np.arange(n) / rate_hz + rng.uniform(0, 2 * np.pi)
    third = 0.15 * np.sin(3 * turn) if 3 * mains_hz < rate_hz / 2 else 0.0
    return np.sin(turn) + third


def _wander(rng: np.random.Generator, n: int, rate_hz: float, mains_hz: float) -> NDArray:
    t = np.arange(n) / rate_hz
    frequency, phase = rng.uniform(0.05, 0.45, 8), rng.uniform(0, 2 * np.pi, 8)
    return np.sin(2 * np.pi * frequency[:, None] * t + phase[:, None]).sum(0)


def _muscle(rng: np.random.Generator, n: int, rate_hz: float, mains_hz: float) -> NDArray:
    band = butter(2, (20, min(120, 0.45 * rate_hz)), "bandpass", fs=rate_hz, output="sos")
    bursts = 0.4 + np.abs(sosfilt(butter(1, 0.7, fs=rate_hz, output="sos"), 12 * rng.standard_normal(n)))
    return sosfilt(band, rng.standard_normal(n)) * bursts


def _motion(rng: np.random.Generator, n: int, rate_hz: float, mains_hz: float) -> NDArray:
    slow = np.asarray(sosfilt(butter(2, (0.5, 10), "bandpass", fs=rate_hz, output="sos"), rng.standard_normal(n)))
    slow = slow / max(float(np.std(slow)), 1e-12)
    steps = np.where(rng.random(n) < 0.8 / rate_hz, rng.standard_normal(n) * 4, 0.0)
    jumps = sosfilt(np.array([[1.0, 0, 0, 1, -np.exp(-1 / (0.35 * rate_hz)), 0]]), steps)
    return slow + jumps


def disturb(source: Source, artefacts: Sequence[Artefact], seed: int = 0) -> Source:
    """Return the source with artefacts upon it; the rest of its samples is as it was.

    Raises
    ------
    ValueError
        If a stretch lies outside the source, or a lead is not one of its ECG leads.
    """
    counts = source.counts.copy()
    off = np.zeros(counts.shape, dtype=bool) if source.off is None else source.off.copy()
    for number, artefact in enumerate(artefacts):
        at = _stretch(source, artefact)
        for row in _rows(source, artefact.leads):
            _spoil(source, counts[row], off[row], artefact, at, row, seed + 1009 * number + 31 * row)
    return dataclasses.replace(source, counts=counts, off=off if off.any() else None)


def _stretch(source: Source, artefact: Artefact) -> slice:
    first, end = round(artefact.first_s * source.rate_hz), round(artefact.end_s * source.rate_hz)
    if not 0 <= first < end <= source.n_samples:
        length_s = source.n_samples / source.rate_hz
        raise ValueError(
            f"first_s and end_s must lie in the {length_s:g} s of the source, got {artefact.first_s}, {artefact.end_s}"
        )
    return slice(first, end)


def _rows(source: Source, names: tuple[str, ...]) -> list[int]:
    ecg = {lead.name: row for row, lead in enumerate(source.leads) if lead.kind == "ecg"}
    unknown = [name for name in names if name not in ecg]
    if unknown:
        raise ValueError(f"leads must be of {', '.join(ecg)}, got {unknown[0]!r}")
    return [ecg[name] for name in names] if names else list(ecg.values())


def _spoil(
    source: Source,
    counts: NDArray[np.int16],
    off: NDArray[np.bool_],
    artefact: Artefact,
    at: slice,
    row: int,
    seed: int,
) -> None:
    lead, part = source.leads[row], counts[at]
    there = part != MISSING
    rail = round(artefact.mv * lead.gain)
    if artefact.kind == "dropout":
        part[:] = MISSING
    elif artefact.kind == "clip":
        part[there] = np.clip(part[there], max(lead.baseline - rail, -32767), min(lead.baseline + rail, 32767))
    elif artefact.kind in ("flat", "lead_off"):
        part[:] = part[0] if part[0] != MISSING else lead.baseline
        off[at] |= artefact.kind == "lead_off"
    else:
        made = noise(artefact.kind, len(part), source.rate_hz, artefact.mv, seed, artefact.mains_hz)
        part[there] = np.clip(np.round(part[there] + made[there] * lead.gain), -32767, 32767)
