"""What a short strip of one lead is like: its intervals, its shapes, what stands before each QRS, and its noise.

Everything comes from the ward's own front end over the whole strip (`ecg.frontend`): beats with their classes and
likeness, the clean and the raw signal. P waves are looked for in the mean of the complexes that resemble each other:
in sinus rhythm what precedes each QRS is alike, in atrial fibrillation it is not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.atrial_features import N_FEATURES, describe
from ecg.atrial_features import NAMES as INTERVALS
from ecg.atrial_features import WINDOWS as INTERVAL_WINDOWS
from ecg.frontend import Chunk, FrontEnd
from ecg.quality import Verdict, unrest
from ecg.resample import ANALYSIS_HZ, Resampler

_BEFORE, _AFTER = 75, 112
"""Samples of a complex before and after its fiducial point."""
_P, _QRS, _T, _REST = slice(20, 62), slice(62, 90), slice(95, 165), slice(150, 187)
_LEAST_BEATS = 5
_ALIKE = 0.8
_CLASSES = "NSVFQ"
NAMES = (
    *(f"{name}_of_{n}" for n in INTERVAL_WINDOWS for name in INTERVALS),
    *("seconds", "beats_per_s", "shortest", "lower_tenth", "upper_tenth", "longest", "early_share", "late_share"),
    *("early_then_late", "shortest_s", "longest_s", "median_s", "alternation", "step_share_of_near"),
    *(f"share_{label}" for label in _CLASSES),
    *("least_likeness", "low_likeness", "mean_likeness", "spread_size", "mean_width_ms", "spread_width", "shapes"),
    *("usual_shape", "alike_share", "p_size", "p_likeness", "p_low", "p_spread", "p_place", "t_size", "t_likeness"),
    *("qrs_likeness", "rest_power", "rest_fibrillatory", "rest_slow", "beat_free_power", "qrs_mv"),
    *("calm_mv", "calm_share", "turns", "muscle_share", "wander_share", "flat_share", "bad_share", "raw_residue"),
)
"""What is said of a strip, in order; sizes are shares of the median QRS, intervals of the median one, unless named."""


class Strip(NamedTuple):
    """A strip as the front end gives it: raw and clean at 250 Hz, float32 (n,), beats, and verdicts a second."""

    raw_mv: NDArray[np.float32]
    clean_mv: NDArray[np.float32]
    beats: NDArray[np.void]
    verdicts: NDArray[np.int64]


def prepare(mv: NDArray[np.float32], rate_hz: float) -> Strip:
    """Run a strip of one lead, float32 (n,) in mV at its own rate, through the front end."""
    front, resampler, row = FrontEnd(), Resampler(), np.array([0])
    found = front.feed([Chunk(front.open(rate_hz, 1), mv[None], 0, last=True)])[0]
    resampler.reset(0, rate_hz)
    raw, count = resampler.feed(row, mv[None], np.array([len(mv)]))
    whole = np.concatenate([raw[0, : int(count[0])], resampler.flush(0)])
    n = min(len(whole), found.clean.shape[1])
    verdicts = np.array([each.verdicts[0] for each in found.quality], np.int64)
    return Strip(whole[:n], found.clean[0, :n], found.beats, verdicts)


def features(strip: Strip) -> NDArray[np.float32]:
    """Return what a strip is like, shape (len(NAMES),), in the order of `NAMES`."""
    beats = strip.beats
    rr_s = np.diff(beats["sample"]) / ANALYSIS_HZ
    parts = [_spread(rr_s), _rate(rr_s, len(strip.clean_mv)), _shapes(beats), _waves(strip), _noise(strip)]
    return np.concatenate(parts).astype(np.float32)


def _spread(rr_s: NDArray[np.float64]) -> NDArray[np.float64]:
    found = np.zeros(N_FEATURES)
    if len(rr_s) >= _LEAST_BEATS:
        describe(np.clip(rr_s, 0.2, 3.0), found)
    return found


def _rate(rr_s: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    seconds = n / ANALYSIS_HZ
    if len(rr_s) < _LEAST_BEATS:
        return np.array([seconds, len(rr_s) / max(seconds, 1.0), *np.zeros(12)])
    median = float(np.median(rr_s))
    x, step = rr_s / median, np.diff(rr_s / median)
    early, late = x < 0.85, x > 1.15
    near = np.abs(step[(np.abs(x[1:] - 1) < 0.15) & (np.abs(x[:-1] - 1) < 0.15)])
    return np.array([
        *(seconds, len(rr_s) / seconds, x.min(), np.quantile(x, 0.1), np.quantile(x, 0.9), x.max()),
        *(early.mean(), late.mean(), (early[:-1] & late[1:]).mean(), rr_s.min(), rr_s.max(), median),
        *(float((np.sign(step[1:]) != np.sign(step[:-1])).mean()), float(near.mean()) if len(near) else 0.0),
    ])  # fmt: skip


def _shapes(beats: NDArray[np.void]) -> NDArray[np.float64]:
    if len(beats) < _LEAST_BEATS:
        return np.zeros(len(_CLASSES) + 8)
    labels, like = beats["label"], beats["similarity"].astype(np.float64)
    size, width = beats["amplitude_mv"].astype(np.float64), beats["width_ms"].astype(np.float64)
    _, counts = np.unique(beats["shape"], return_counts=True)
    return np.array([
        *((labels == ord(each)).mean() for each in _CLASSES),
        *(like.min(), np.quantile(like, 0.2), like.mean(), size.std() / max(size.mean(), 1e-3)),
        *(width.mean(), width.std(), len(counts), counts.max() / len(beats)),
    ])  # fmt: skip


def _waves(strip: Strip) -> NDArray[np.float64]:
    """Describe P, QRS and T of the complexes that resemble their mean, and what lies between them."""
    at = strip.beats["sample"]
    at = at[(at >= _BEFORE) & (at + _AFTER <= len(strip.clean_mv))]
    if len(at) < _LEAST_BEATS:
        return np.zeros(14)
    cuts = np.nan_to_num(strip.clean_mv)[at[:, None] + np.arange(-_BEFORE, _AFTER)].astype(np.float64)
    cuts -= np.median(cuts[:, 55:62], axis=1, keepdims=True)
    mean = np.median(cuts, axis=0)
    alike = _likeness(cuts[:, _QRS], mean[_QRS]) > _ALIKE
    chosen = cuts[alike] if alike.sum() >= _LEAST_BEATS else cuts
    mean = chosen.mean(axis=0)
    height = max(float(np.ptp(mean[_QRS])), 1e-3)
    p, t = _likeness(chosen[:, _P], mean[_P]), _likeness(chosen[:, _T], mean[_T])
    rest = chosen - mean
    between = rest[:, _REST] - rest[:, _REST].mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(rest[:, _P] - rest[:, _P].mean(axis=1, keepdims=True), 128, axis=1)) ** 2
    hz = np.fft.rfftfreq(128, 1 / ANALYSIS_HZ)
    total = power[:, (hz > 1)].sum() + 1e-9
    return np.array([
        *(alike.mean(), np.ptp(mean[_P]) / height, p.mean(), np.quantile(p, 0.2), p.std()),
        *(float(np.argmax(np.abs(mean[_P] - np.median(mean[_P])))), np.ptp(mean[_T]) / height, t.mean()),
        *(float(_likeness(cuts[:, _QRS], mean[_QRS]).mean()), rest[:, _P].std() / height),
        *(power[:, (hz >= 4) & (hz <= 10)].sum() / total, power[:, (hz > 1) & (hz < 4)].sum() / total),
        *(between.std() / height, height),
    ])  # fmt: skip


def _unrest_of(x: NDArray[np.float32]) -> float:
    return float(np.nan_to_num(np.diff(x, prepend=0.0)).std())


def _likeness(cuts: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the correlation of each row with the mean, 0 where one of them is level."""
    x, y = cuts - cuts.mean(axis=1, keepdims=True), mean - mean.mean()
    size = np.sqrt((x**2).sum(axis=1) * (y**2).sum())
    return np.divide(x @ y, size, out=np.zeros(len(x)), where=size > 1e-9)


def _noise(strip: Strip) -> NDArray[np.float64]:
    calm = unrest(strip.raw_mv[None])[0]
    kinds = (Verdict.MUSCLE, Verdict.WANDER, Verdict.FLAT, Verdict.GOOD)
    muscle, wander, flat, good = (
        float((strip.verdicts == kind).mean()) if len(strip.verdicts) else 0 for kind in kinds
    )
    fast = _unrest_of(strip.raw_mv - strip.clean_mv) / max(_unrest_of(strip.clean_mv), 1e-3)
    means = np.median(calm, axis=0) if len(calm) else np.zeros(3)
    return np.array([*means, muscle, wander, flat, 1 - good, fast])
