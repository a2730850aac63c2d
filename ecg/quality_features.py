"""What describes a short recording of several leads, for whether it is acceptable (`ecg.quality_forest`).

Each lead gives the quantities of `QUANTITIES`, on its raw samples at 250 Hz; of each quantity the recording gives the
order statistics over its leads (`RANKS`), so that no feature belongs to a lead by name, and how far leads agree comes
on top (`AGREEMENT`). Anything can be described: what is missing is held, what is beyond 10 V is missing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecg.resample import ANALYSIS_HZ

SECONDS = 10
"""Length that is described: of a longer recording the first so many seconds; a shorter one stands still at its end."""
LIMB = 6
"""The first leads of a standard twelve, each a sum of two of them: only the others can tell what one of them ought to
show."""

QUANTITIES = (
    "size", "largest", "wander", "jump", "rail", "level", "still", "fast", "fast_most", "burst", "calm", "calm_most",
    "uneven", "mains", "high", "very_high", "base", "peaked", "qrs", "qrs_peak", "alone", "alone_most", "alone_share",
    "steep", "steep_least", "steep_share", "steps", "flat",
)  # fmt: skip
"""Of a lead, mostly as log10 of mV. Levels: median and largest range of a second; range and largest step of means of
0.2 s; share of samples at an extreme; magnitude of the median; share of fifths of a second under 20 uV. Noise: median
and largest residue of a mean of 5 samples, in the fourth calmest tenth of a second, and their ratio; range in that
tenth, median and largest, and their ratio. Powers: at 50 or 60 Hz, at 25 to 45 Hz and above 62 Hz over that at 5 to
15 Hz; below 1 Hz over all. Complexes: log kurtosis of the differences; 99th percentile at 5 to 25 Hz, and over the
median. What other leads do not tell: median and largest deviation in a second, and over the size. Steps of 16 ms:
median and least of the steepest in a second, largest over the median, share over 1 mV; seconds under 30 uV."""
RANKS = (
    ("least", 0.0), ("second", 0.1), ("lower", 0.25), ("median", 0.5), ("upper", 0.75), ("last_but_one", 0.9),
    ("most", 1.0),
)  # fmt: skip
"""Order statistics over the leads: the name, and the place among them as a share."""
AGREEMENT = ("envelope_least", "envelope_third", "envelope_median", "envelope_most", "envelope", "one", "three", "six")
"""Mean correlation of a lead's envelope at 5 to 25 Hz with the others': least, third, median, most; share of the power
of the envelopes, and of the leads, that one, three, six common waves hold."""
COUNTS = ("flat_near", "flat_far", "far", "noisy", "bursting", "strange", "restless")
"""Leads that are flat throughout, within 5 mV of nought and beyond; that are beyond; whose usual fast residue is over
20 uV; whose largest is over 50 uV; that in a second deviate by 0.3 mV from what the others tell; whose usual tenth has
0.2 mV."""
NAMES = tuple(f"{quantity}_{rank}" for quantity in QUANTITIES for rank, _ in RANKS) + AGREEMENT + COUNTS

_N = SECONDS * ANALYSIS_HZ
_LIMIT_MV = 10_000.0
_FIFTH = ANALYSIS_HZ // 5
_CLIP_MV = 5.0
_TENTHS, _RANK = 10, 3


def describe(raw_mv: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the features of a recording, in the order of `NAMES`, all of them finite.

    Parameters
    ----------
    raw_mv : ndarray of float32, shape (n_leads, n)
        Leads at 250 Hz, NaN where missing; a standard twelve has its limb leads first.

    Raises
    ------
    ValueError
        If there is no lead.
    """
    if not len(raw_mv):
        raise ValueError(f"raw_mv must have a lead, got shape {raw_mv.shape}")
    x = _filled(raw_mv)
    quick = _band(x, 5.0, 25.0)
    quantities = np.column_stack([*_levels(x), *_noises(x), *_powers(x), *_beats(x, quick), *_alone(x), *_steps(x)])
    places = np.round(np.array([share for _, share in RANKS]) * (len(x) - 1)).astype(np.int64)
    ordered = np.sort(quantities, axis=0)[places].T.ravel()
    found = np.concatenate([ordered, _agreement(x, quick), _counts(quantities)])
    return np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)


def _filled(raw_mv: NDArray[np.float32]) -> NDArray[np.float64]:
    """Hold the last value where samples are missing, the first one before it, and bring all to one length."""
    x = np.asarray(raw_mv[:, :_N], np.float64)
    there = np.abs(x) < _LIMIT_MV
    if x.shape[1] == 0:
        return np.zeros((len(x), _N))
    last = np.maximum.accumulate(np.where(there, np.arange(x.shape[1]), -1), axis=1)
    last = np.where(last < 0, there.argmax(axis=1)[:, None], last)
    held = np.take_along_axis(np.where(there, x, 0.0), last, axis=1)
    return np.pad(held, ((0, 0), (0, _N - x.shape[1])), mode="edge")


def _log(x: NDArray[np.float64], least: float = 1e-3) -> NDArray[np.float64]:
    return np.log10(x + least)


def _seconds(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x.reshape(len(x), SECONDS, -1)


def _levels(x: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return size, largest, wander, jump, rail, level and still."""
    ranges = np.ptp(_seconds(x), axis=2)
    means = x.reshape(len(x), -1, _FIFTH).mean(axis=2)
    low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
    rail = ((x - low < 0.005) | (high - x < 0.005)).mean(axis=1)
    return [
        _log(np.median(ranges, axis=1)),
        _log(ranges.max(axis=1)),
        _log(np.ptp(means, axis=1)),
        _log(np.abs(np.diff(means, axis=1)).max(axis=1)),
        rail,
        _log(np.abs(np.median(x, axis=1))),
        (np.ptp(x.reshape(len(x), -1, _FIFTH), axis=2) < 0.02).mean(axis=1),
    ]


def _noises(x: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return fast, fast_most, burst, calm, calm_most and uneven."""
    seconds = _seconds(x)
    smooth = sum((seconds[..., k : ANALYSIS_HZ - 4 + k] for k in range(5)), np.zeros(())) / 5
    residue = np.abs(seconds[..., 2:-2] - smooth)[..., :240].reshape(len(x), SECONDS, _TENTHS, -1).mean(axis=3)
    fast = np.sort(residue, axis=2)[..., _RANK]
    calm = np.sort(np.ptp(seconds.reshape(len(x), SECONDS, _TENTHS, -1), axis=3), axis=2)[..., _RANK]
    out = []
    for part in (fast, calm):
        usual, most = np.median(part, axis=1), part.max(axis=1)
        out += [_log(usual), _log(most), _log(most) - _log(usual)]
    return out


def _powers(x: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return mains, high, very_high and base."""
    centred = x - x.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(centred * np.hanning(_N), axis=1)) ** 2
    hz = np.fft.rfftfreq(_N, 1 / ANALYSIS_HZ)

    def of(low: float, high: float) -> NDArray[np.float64]:
        return power[:, (hz >= low) & (hz < high)].sum(axis=1)

    qrs = of(5, 15) + 1e-9
    mains = np.maximum(of(49, 51), of(59, 61))
    base = of(0.05, 1) / (of(0.05, 100) + 1e-9)
    return [_log(each, 1e-5) for each in (mains / qrs, of(25, 45) / qrs, of(62, 100) / qrs, base)]


def _beats(x: NDArray[np.float64], quick: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return peaked, qrs and qrs_peak."""
    steps = np.diff(x, axis=1)
    steps -= steps.mean(axis=1, keepdims=True)
    kurtosis = (steps**4).mean(axis=1) / ((steps**2).mean(axis=1) ** 2 + 1e-12)
    size, usual = np.quantile(np.abs(quick), 0.99, axis=1), np.median(np.abs(quick), axis=1)
    return [np.log(kurtosis + 0.1), _log(size), _log(size / (usual + 1e-3))]


def _alone(x: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return alone, alone_most and alone_share."""
    centred = np.clip(x - np.median(x, axis=1, keepdims=True), -_CLIP_MV, _CLIP_MV)
    width = 3 * _FIFTH + 1
    sums = np.cumsum(np.pad(centred, ((0, 0), (width // 2 + 1, width // 2)), mode="edge"), axis=1)
    rapid = centred - (sums[:, width:] - sums[:, :-width]) / width
    products = rapid @ rapid.T
    left = np.empty((len(x), SECONDS))
    for lead in range(len(x)):
        others = [k for k in range(len(x)) if k != lead and not (lead < LIMB < len(x) and k < LIMB)]
        ridge = np.eye(len(others)) * _N * 1e-4
        weights = np.linalg.solve(products[np.ix_(others, others)] + ridge, products[others, lead])
        left[lead] = _seconds((rapid[lead] - weights @ rapid[others])[None])[0].std(axis=1)
    size = np.median(_seconds(rapid).std(axis=2), axis=1)
    most = left.max(axis=1)
    return [_log(np.median(left, axis=1)), _log(most), _log(most, 0.01) - _log(size, 0.01)]


def _steps(x: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return steep, steep_least, steep_share, steps and flat."""
    within = np.abs(_seconds(x)[..., 4:] - _seconds(x)[..., :-4])
    steepest = within.max(axis=2)
    flat = (np.ptp(_seconds(x), axis=2) < 0.03).sum(axis=1)
    return [
        _log(np.median(steepest, axis=1)),
        _log(steepest.min(axis=1)),
        _log(steepest.max(axis=1), 0.01) - _log(np.median(steepest, axis=1), 0.01),
        (within > 1.0).mean(axis=(1, 2)),
        flat.astype(np.float64),
    ]


def _agreement(x: NDArray[np.float64], quick: NDArray[np.float64]) -> NDArray[np.float64]:
    envelopes = np.abs(quick).reshape(len(x), -1, _FIFTH // 2).mean(axis=2)
    envelopes = _of_power_one(envelopes - envelopes.mean(axis=1, keepdims=True))
    with_others = (envelopes @ envelopes.T).sum(axis=1) - 1.0
    ordered = np.sort(with_others / max(1, len(x) - 1))
    shared = np.linalg.svd(envelopes, compute_uv=False) ** 2 / len(x)
    waves = np.cumsum(np.linalg.svd(_of_power_one(x - x.mean(axis=1, keepdims=True))[:, ::5], compute_uv=False) ** 2)
    waves = 5 * waves / len(x)
    places = [0, min(2, len(x) - 1), len(x) // 2, -1]
    return np.array([*ordered[places], shared[0], *(waves[min(k, len(waves)) - 1] for k in (1, 3, 6))])


def _counts(quantities: NDArray[np.float64]) -> NDArray[np.float64]:
    of: dict[str, NDArray[np.float64]] = dict(zip(map(str, QUANTITIES), quantities.T, strict=True))
    still, far = of["flat"] == SECONDS, of["level"] > np.log10(5.0)
    limits = {"fast": 0.02, "fast_most": 0.05, "alone_most": 0.3, "calm": 0.2}
    over = [(of[name] > np.log10(limit)).sum() for name, limit in limits.items()]
    return np.array([(still & ~far).sum(), (still & far).sum(), far.sum(), *over], np.float64)


def _of_power_one(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x / (np.linalg.norm(x, axis=1, keepdims=True) + 1e-6)


def _band(x: NDArray[np.float64], low_hz: float, high_hz: float) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(x - x.mean(axis=1, keepdims=True), axis=1)
    hz = np.fft.rfftfreq(_N, 1 / ANALYSIS_HZ)
    spectrum[:, (hz < low_hz) | (hz > high_hz)] = 0
    return np.fft.irfft(spectrum, _N, axis=1)
