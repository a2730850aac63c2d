"""What a diagnosis is worth: AUROC, F1 and calibration of each output, with intervals by bootstrap over patients."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import binom

from model.labels import CONDITIONS, SUPERCLASSES

OUTPUTS: tuple[str, ...] = (
    "normal",
    *(f"condition_{name}" for name in CONDITIONS),
    *(f"superclass_{name.lower()}" for name in SUPERCLASSES),
)
"""What a row of answers holds, before the rhythms."""
BENCHMARK = tuple(k for k, name in enumerate(OUTPUTS) if name.startswith("superclass_"))
RESAMPLES, SEED, LEVEL = 1000, 2015, 0.95
"""Draws of the patients behind an interval, their seed, and the share of them that it holds."""
BINS, SAID = 10, 0.5
"""Bins of the calibration error, and the probability from which on a diagnosis counts as said, for F1."""
RIDGE, SHIFT_RIDGE = 1e-2, 1e-4
"""How strongly a calibration is held to leave logits as they are."""

CONFORMAL_LEVEL, BAND = 0.9, 0.99
"""Share of cases whose set is to hold the truth, and what part of chance the band around it leaves in."""

Values = dict[str, float]
Intervals = dict[str, tuple[float, float]]


class Draws(NamedTuple):
    """Weights of records, float64: first once each, then as often as their patients were drawn; (1 + draws, n)."""

    weight: NDArray[np.float64]

    def take(self, rows: NDArray[np.bool_]) -> Draws:
        """Return the weights of some of the records."""
        return Draws(self.weight[:, rows])


def draws(patient: NDArray[np.str_], resamples: int = RESAMPLES) -> Draws:
    """Draw patients with replacement, always in the same way."""
    _, whose = np.unique(patient, return_inverse=True)
    people = int(whose.max()) + 1
    times = np.random.default_rng(SEED).multinomial(people, np.full(people, 1 / people), resamples)
    return Draws(np.concatenate([np.ones((1, len(patient))), times[:, whose]]).astype(np.float64))


def aurocs(score: NDArray[np.floating], truth: NDArray[np.bool_], drawn: Draws) -> NDArray[np.float64]:
    """Return the area under the ROC curve of each draw, ties counted half; NaN where one side is empty.

    Parameters
    ----------
    score, truth : ndarray, shape (n,)
    drawn : Draws

    Returns
    -------
    ndarray of float64, shape (1 + draws,)
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(score[order]) > 0]) if len(score) else np.zeros(0, np.int64)
    if not len(starts):
        return np.full(len(drawn.weight), np.nan)
    weight = drawn.weight[:, order]
    up = np.add.reduceat(weight * truth[order], starts, axis=1)
    down = np.add.reduceat(weight * ~truth[order], starts, axis=1)
    beaten = np.cumsum(down, axis=1) - down / 2
    pairs = up.sum(axis=1) * down.sum(axis=1)
    return np.divide((up * beaten).sum(axis=1), pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def macro(probability: NDArray[np.floating], truth: NDArray[np.int8], drawn: Draws) -> NDArray[np.float64]:
    """Return the mean AUROC over the five superclasses of each draw; NaN where one of them has none of either kind."""
    return np.mean([_known_auroc(probability[:, k], truth[:, k], drawn) for k in BENCHMARK], axis=0)


def _known_auroc(score: NDArray[np.floating], truth: NDArray[np.int8], drawn: Draws) -> NDArray[np.float64]:
    known = truth >= 0
    return aurocs(score[known], truth[known] == 1, drawn.take(known))


class Figures:
    """Figures by name as they are added, with their intervals."""

    def __init__(self) -> None:
        self.values: Values = {}
        self.intervals: Intervals = {}

    def add(self, name: str, drawn: NDArray[np.float64]) -> None:
        """Add a figure from its value and those of the draws; one that says nothing is left out."""
        if not np.isfinite(drawn[0]):
            return
        self.values[name] = round(float(drawn[0]), 4)
        low, high = np.nanquantile(drawn[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        self.intervals[name] = (round(float(low), 4), round(float(high), 4))

    def add_outputs(self, suffix: str, probability: NDArray, truth: NDArray[np.int8], drawn: Draws) -> None:
        """Add counts, AUROC, F1, calibration error and Brier skill of each output."""
        for k, name in enumerate(OUTPUTS):
            known = truth[:, k] >= 0
            p, so, kept = probability[known, k], truth[known, k] == 1, drawn.take(known)
            self.values[f"records_{name}{suffix}"] = int(known.sum())
            self.values[f"positives_{name}{suffix}"] = int(so.sum())
            self.add(f"auroc_{name}{suffix}", aurocs(p, so, kept))
            if so.any():
                self.add(f"f1_{name}{suffix}", _f1(p, so, kept))
                self.add(f"brier_skill_{name}{suffix}", _brier_skill(p, so, kept))
            self.add(f"ece_{name}{suffix}", calibration_errors(p, so, kept))

    def add_coverage(self, suffix: str, inside: NDArray[np.bool_], truth: NDArray[np.int8]) -> None:
        """Add how often the set of each output holds the truth, "no" or "yes", and the band that chance leaves.

        Parameters
        ----------
        inside : ndarray of bool, shape (n, k, 2)
            As of `covered`, by thresholds of other folds.
        """
        for k, name in enumerate(OUTPUTS):
            for word, ending in enumerate(("no", "yes")):
                held = inside[truth[:, k] == word, k, word]
                if len(held):
                    low, high = binom.interval(BAND, len(held), CONFORMAL_LEVEL)
                    self.values[f"coverage_{name}_{ending}{suffix}"] = round(float(held.mean()), 4)
                    band = round(float(low / len(held)), 4), round(float(high / len(held)), 4)
                    self.intervals[f"coverage_{name}_{ending}{suffix}"] = band
        known = truth >= 0
        self.values[f"set_size{suffix}"] = round(float(inside.sum(axis=2)[known].mean()), 4)

    def add_calibration(self, name: str, probability: NDArray, truth: NDArray[np.int8], drawn: Draws) -> None:
        """Add the calibration error over all superclasses together."""
        known = (truth[:, BENCHMARK] >= 0).all(axis=1)
        p, so = probability[known][:, BENCHMARK], truth[known][:, BENCHMARK] == 1
        every = Draws(np.repeat(drawn.weight[:, known], len(BENCHMARK), axis=1))
        self.add(name, calibration_errors(p.ravel(), so.ravel(), every))


def _f1(p: NDArray[np.floating], so: NDArray[np.bool_], drawn: Draws) -> NDArray[np.float64]:
    said = p >= SAID
    hit, wrong = drawn.weight @ (said & so), drawn.weight @ (said != so)
    return np.divide(2 * hit, 2 * hit + wrong, out=np.full(len(hit), np.nan), where=hit + wrong > 0)


def _brier_skill(p: NDArray[np.floating], so: NDArray[np.bool_], drawn: Draws) -> NDArray[np.float64]:
    """Return by how much the squared error is smaller than that of saying the share of positives, always."""
    total = drawn.weight.sum(axis=1)
    share = drawn.weight @ so / total
    plain = share * (1 - share)
    error = drawn.weight @ ((p - so) ** 2) / total
    return np.divide(plain - error, plain, out=np.full(len(plain), np.nan), where=plain > 0)


def calibration_errors(p: NDArray[np.floating], so: NDArray[np.bool_], drawn: Draws) -> NDArray[np.float64]:
    """Return the expected calibration error over ten equal bins (Guo 2017, arXiv:1706.04599) of each draw."""
    off = np.zeros((len(p), BINS))
    off[np.arange(len(p)), bin_of(p)] = so - p.astype(np.float64)
    total = drawn.weight.sum(axis=1)
    error = np.abs(drawn.weight @ off).sum(axis=1)
    return np.divide(error, total, out=np.full(len(total), np.nan), where=total > 0)


def bin_of(p: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the bin of each probability, the last for a probability of one."""
    return np.minimum((p * BINS).astype(np.int64), BINS - 1)


def calibrate(logits: NDArray[np.floating], truth: NDArray[np.int8]) -> NDArray[np.float64]:
    """Fit probabilities to answers out of fold: of each output 1 / (1 + exp(-(slope * logit + shift))) (Platt 1999).

    Parameters
    ----------
    logits : ndarray, shape (n, k)
    truth : ndarray of int8, shape (n, k)
        -1 is unknown.

    Returns
    -------
    ndarray of float64, shape (k, 2)
        Slope and shift; 1 and 0 where nothing is known.
    """
    return np.array([_platt(x[t >= 0], t[t >= 0] == 1) for x, t in zip(logits.T, truth.T, strict=True)])


def _platt(logit: NDArray[np.floating], so: NDArray[np.bool_]) -> tuple[float, float]:
    if so.all() or not so.any():
        return 1.0, 0.0
    x = np.stack([logit, np.ones(len(logit))], axis=1).astype(np.float64)
    plain, share = np.array([1.0, 0.0]), float(so.mean())

    def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds, off = x @ at, at - plain
        value = (np.logaddexp(0, odds) - so * odds).sum() + RIDGE / 2 * off @ off
        return float(value), x.T @ (probability(odds) - so) + RIDGE * off

    fitted = minimize(loss, np.array([0.0, np.log(share / (1 - share))]), jac=True, method="L-BFGS-B").x
    return round(float(fitted[0]), 6), round(float(fitted[1]), 6)


def calibrated(logits: NDArray[np.floating], fitted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return probabilities of logits (n, k) by what `calibrate` returned."""
    return probability(logits.astype(np.float64) * fitted[:, 0] + fitted[:, 1])


def probability(logit: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-logit)), for any logit."""
    return 0.5 * (1 + np.tanh(0.5 * logit))


def conformal(
    said: NDArray[np.floating], truth: NDArray[np.int8], level: float = CONFORMAL_LEVEL
) -> NDArray[np.float64]:
    """Return what the probability of "no" and of "yes" must reach for the word to be in the set, by output: (k, 2).

    Each word's own true cases set its threshold (Mondrian conformal prediction; Vovk, Lindsay, Nouretdinov and
    Gammerman 2003), so that of future ones, exchangeable with these, the share `level` has it in its set.

    Parameters
    ----------
    said : ndarray, shape (n, k)
        Calibrated probabilities of answers out of fold.
    truth : ndarray of int8, shape (n, k)
        -1 is unknown.
    """
    out = np.zeros((said.shape[1], 2))
    for k in range(said.shape[1]):
        for word in (0, 1):
            p = said[truth[:, k] == word, k]
            own = np.sort(p if word else 1 - p)
            rank = int((len(own) + 1) * (1 - level))
            out[k, word] = own[rank - 1] if rank else 0.0
    return out


def covered(said: NDArray[np.floating], least: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which words are in the sets, shape (n, k, 2): "no" and "yes", one, both or neither."""
    return np.stack([1 - said >= least[:, 0], said >= least[:, 1]], axis=2)


class Softmax(NamedTuple):
    """Probabilities of classes of which one holds: softmax(logits / temperature + bias)."""

    temperature: float
    bias: tuple[float, ...]

    @classmethod
    def fit(cls, logits: NDArray[np.floating], allowed: NDArray[np.bool_]) -> Softmax:
        """Fit to answers out of fold, of which each allows some classes; a class that is never alone keeps its bias.

        Parameters
        ----------
        logits : ndarray, shape (n, k)
        allowed : ndarray of bool, shape (n, k)
        """
        known = ~allowed.all(axis=1)
        x, inside = logits[known].astype(np.float64), allowed[known]

        def loss(at: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            power = np.exp(at[0])
            said = x * power + at[1:]
            of_all, of_allowed = _softmax(said), _softmax(np.where(inside, said, -np.inf))
            value = (_total(said) - _total(np.where(inside, said, -np.inf))).mean()
            off = (of_all - of_allowed) / max(len(x), 1)
            slope = np.concatenate([[(off * x).sum() * power], off.sum(axis=0)])
            slope[1:] += 2 * SHIFT_RIDGE * at[1:]
            return float(value + SHIFT_RIDGE * (at[1:] ** 2).sum()), slope

        if not len(x):
            return cls(1.0, (0.0,) * logits.shape[1])
        fitted = minimize(loss, np.zeros(1 + x.shape[1]), jac=True, method="L-BFGS-B").x
        return cls(round(float(np.exp(-fitted[0])), 6), tuple(round(float(b), 6) for b in fitted[1:]))

    def apply(self, logits: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return probabilities, shape (n, k)."""
        return _softmax(logits.astype(np.float64) / self.temperature + np.asarray(self.bias))


def _total(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    peak = logits.max(axis=1)
    return peak + np.log(np.exp(logits - peak[:, None]).sum(axis=1))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    power = np.exp(logits - logits.max(axis=1, keepdims=True))
    return power / power.sum(axis=1, keepdims=True)
