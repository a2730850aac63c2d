"""How the weights of `ecg.wave` are fitted, and on which records; refitted without some patients they score these.

Logistic regression on 4-s windows of clean leads, one a second. A window counts where one rhythm fills it: fibrillation
and flutter against all else but VT, asystole and noise. Which eight features are weighed was chosen once, on all of
these records; the refitted weights inherit that choice. The shipped weights are what this gives on all of them
(`vigil train rhythm`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg import wave
from ecg.episodes import bracketed, marked, union
from ecg.frontend import Chunk, FrontEnd
from ecg.record import Annotations, annotations, read
from ecg.resample import ANALYSIS_HZ

_VFDB = "418 419 420 421 422 424 425 426 428 430 605 607 609 610 611"
_CUDB = "01 02 04 07 08 11 12 13 14 15 16 17 18 20 21 22 26 28 29 30 31 33 34 35"
_DS1 = "101 106 108 109 112 114 115 116 118 119 122 124 201 203 205 207 208 209 215 220 223 230"

TRAINED_ON: dict[str, tuple[str, ...]] = {
    "vfdb": tuple(_VFDB.split()),
    "cudb": tuple(f"cu{number}" for number in _CUDB.split()),
    "mitdb": tuple(_DS1.split()),
    "nstdb": ("bw", "em", "ma"),
}
"""Records by set; of `nstdb` the first half."""
NOISY = ("101", "119", "223")
"""Records of `mitdb` to which the noise was added as well."""
NOISY_DB = (0.0, 6.0)
RIDGE = 1e-3
"""L2 penalty on the weights of standardised features."""
TOWARDS_SENSITIVITY = 1.5
"""How far the bias was moved after the fit."""
NOISE_WEIGHT = 0.3

_STEP, _WINDOW = ANALYSIS_HZ, 2 * wave.SAMPLES
_LEAST_MV = 0.1
_TOP_SD = 6.0
_NOISY_SAMPLES = 100_000


class Windows(NamedTuple):
    """Windows of one source (a record, or a noise, alone or added to one): features, and whether they fibrillate.

    `patient` is whose they are: `<set>/<record>`; `source` the same with the noise that was added.
    """

    source: str
    patient: str
    features: NDArray[np.float64]
    fibrillates: NDArray[np.bool_]


def patient(record_set: str, record: str) -> str:
    """Return whose record this is: 201 and 202 of `mitdb` are one patient."""
    return "mitdb/201" if (record_set, record) == ("mitdb", "202") else f"{record_set}/{record}"


def windows(data: Path, record_set: str, record: str) -> Windows:
    """Return the windows of one record of `TRAINED_ON`, of `data`, the folder that holds the sets."""
    clean, rate_hz, end_s = _clean(data / record_set / record)
    found = annotations(data / record_set / record)
    labels = np.zeros(clean.shape[1], np.int8)
    for code, stretches in enumerate(_rhythms(found, rate_hz, end_s), 1):
        for first, end in stretches * ANALYSIS_HZ:
            labels[int(first) : int(end)] = code
    features, codes = _features(clean, labels)
    kept = codes <= 1
    name = f"{record_set}/{record}"
    return Windows(name, patient(record_set, record), features[kept], codes[kept] == 1)


def noise(data: Path, kind: str) -> Iterator[Windows]:
    """Give the windows of one noise of `nstdb` (its first half), alone and added to records of `mitdb`."""
    clean, *_ = _clean(data / "nstdb" / kind, half=True)
    yield _none_fibrillates(f"nstdb/{kind}", f"nstdb/{kind}", clean)
    for record in NOISY:
        beats, *_ = _clean(data / "mitdb" / record, end_s=clean.shape[1] / ANALYSIS_HZ)
        beats = beats[:, : clean.shape[1]]
        high, low = np.nanpercentile(beats[:, : 300 * ANALYSIS_HZ], [99.5, 0.5], axis=1)
        power = np.nanvar(clean, axis=1)
        for snr_db in NOISY_DB:
            gain = np.sqrt((high - low) ** 2 / 8 / power / 10 ** (snr_db / 10)).astype(np.float32)
            mixed = (beats + gain[:, None] * clean[:, : beats.shape[1]])[:, :_NOISY_SAMPLES]
            yield _none_fibrillates(f"mitdb/{record}+{kind}{snr_db:g}", f"mitdb/{record}", mixed)


def fit(training: Collection[Windows], without: Collection[str] = ()) -> tuple[NDArray[np.float64], float]:
    """Return weights and bias, fitted on all windows but those of some patients.

    Raises
    ------
    ValueError
        If what is left has no fibrillation, or nothing else.
    """
    used = [each for each in training if each.patient not in without and len(each.features)]
    if not used or len({*np.concatenate([each.fibrillates for each in used]).tolist()}) < 2:
        raise ValueError("windows must hold fibrillation and other rhythms once those patients are left out")
    x = np.concatenate([each.features for each in used])
    y = np.concatenate([each.fibrillates for each in used])
    weight = np.concatenate([_window_weights(each) for each in used])
    mean, sd = x.mean(0), x.std(0)
    z = np.clip((x - mean) / np.where(sd > 0, sd, 1.0), -_TOP_SD, _TOP_SD)
    coefficients = _logistic(z, y.astype(np.float64), weight / weight.sum())
    weights = coefficients[:-1] / np.where(sd > 0, sd, 1.0)
    return weights, float(coefficients[-1] - weights @ mean + TOWARDS_SENSITIVITY)


def _logistic(z: NDArray[np.float64], y: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit by Newton's method; the bias comes last and is all but free of the penalty."""
    rows = np.column_stack([z, np.ones(len(z))])
    penalty = np.append(np.full(z.shape[1], RIDGE), 1e-9)
    found = np.zeros(rows.shape[1])
    for _ in range(50):
        p = 1.0 / (1.0 + np.exp(-np.clip(rows @ found, -30, 30)))
        gradient = rows.T @ (weight * (p - y)) + penalty * found
        curvature = (rows * (weight * p * (1 - p))[:, None]).T @ rows + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        found -= step
        if abs(step).max() < 1e-8:
            break
    return found


def _window_weights(each: Windows) -> NDArray[np.float64]:
    """Weigh a source's windows of a class by the root of their number, so that a long record does not rule."""
    out = np.zeros(len(each.fibrillates))
    for label in (False, True):
        chosen = each.fibrillates == label
        if chosen.any():
            out[chosen] = 1.0 / np.sqrt(chosen.sum())
    noisy = each.source.startswith("nstdb") or "+" in each.source
    return out * (NOISE_WEIGHT if noisy else 1.0)


def _rhythms(found: Annotations, rate_hz: float, end_s: float) -> Iterator[NDArray[np.float64]]:
    """Give the stretches of fibrillation and flutter, then of what is left out."""
    fibrillation = marked(found, ("(VF", "(VFIB", "(VFL"), rate_hz, end_s)
    yield union(fibrillation, bracketed(found, rate_hz, end_s))
    yield marked(found, ("(VT", "(NOISE", "(HGEA", "(ASYS"), rate_hz, end_s)


def _clean(path: Path, *, half: bool = False, end_s: float | None = None) -> tuple[NDArray[np.float32], float, float]:
    """Return a record's clean leads at 250 Hz, its rate, and its length in seconds."""
    recording = read(path, 0.0, end_s)
    mv = recording.mv()[:, : recording.n_samples // 2 if half else None]
    front = FrontEnd()
    bed = front.open(recording.rate_hz, len(mv))
    return front.feed([Chunk(bed, mv, 0, (), last=True)])[0].clean, recording.rate_hz, recording.duration_s


def _none_fibrillates(source: str, whose: str, clean: NDArray[np.float32]) -> Windows:
    features, _ = _features(clean, np.zeros(clean.shape[1], np.int8))
    return Windows(source, whose, features, np.zeros(len(features), np.bool_))


def _features(clean: NDArray[np.float32], labels: NDArray[np.int8]) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """Return the features and labels of all windows of all leads in which one label holds and a lead can be judged."""
    found, codes = [], []
    changes = np.append(0, np.cumsum(np.diff(labels) != 0))
    ends = [e for e in range(_WINDOW, clean.shape[1] + 1, _STEP) if changes[e - 1] == changes[e - _WINDOW]]
    for lead in clean:
        held = _held(lead)
        for end in ends:
            if 2 * np.isnan(lead[end - _WINDOW : end]).sum() > _WINDOW:
                continue
            part = held[end - _WINDOW : end].reshape(-1, 2).mean(axis=1, dtype=np.float64)
            if np.ptp(part) > _LEAST_MV:
                found.append(wave.describe(part))
                codes.append(labels[end - 1])
    return np.array(found).reshape(-1, len(wave.FEATURES)), np.array(codes, np.int8)


def _held(lead: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bridge missing samples by the last one that was there."""
    last = np.maximum.accumulate(np.where(np.isnan(lead), 0, np.arange(len(lead))))
    return np.nan_to_num(lead[last])
