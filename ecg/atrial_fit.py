"""How the weights for atrial fibrillation (`ecg.atrial_weights`) are made, on which records; anew without patients.

The intervals of annotated beats are given as the pipeline gives them, and the network is taught, at each place where it
would decide, whether the reference names fibrillation there. Gaps, atrial flutter, and what lies before a record's
first mark of a rhythm are left out. Places are drawn so that a record of `mitdb` counts `WEIGHT` times a place of
`ltafdb`, whose records are 48 times as long. Adam (Kingma and Ba 2015, arXiv:1412.6980) in NumPy, from a seed.

What was chosen by looking: the features, the size of the network, the two thresholds and how far an onset is set back.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ecg.atrial import EVERY, LEAST
from ecg.atrial_features import N_FEATURES, WINDOWS, describe
from ecg.atrial_weights import FARTHEST, Weights
from ecg.beats import BEAT
from ecg.ec57.label import CLASSES
from ecg.episodes import Stretches, common, marked, outside, union
from ecg.learned import LEARNED
from ecg.record import Annotations, annotations
from ecg.resample import ANALYSIS_HZ
from ecg.rhythm_state import State, take_beats
from ecg.wave_fit import patient

ORIGIN = LEARNED["atrial"]
"""Records by set."""
RATE_HZ = {"mitdb": 360.0, "ltafdb": 128.0}
"""Of the annotations, by set."""
WEIGHT = {"mitdb": 40.0, "ltafdb": 1.0}
GAP_S = 3.0
"""An interval longer than this is a gap, and is not scored."""
SEED, ROUNDS, BATCH, SIZE = 1, 700, 4096, 24
PACE, DECAY = 5e-3, 0.01
_LONGEST = WINDOWS[-1]


class Places(NamedTuple):
    """Where the network would decide in one record: what the intervals are like, and whether they are fibrillation.

    `features` is float32, shape (n, N_FEATURES); `fibrillating` bool, shape (n,).
    """

    record: str
    patient: str
    weight: float
    features: NDArray[np.float32]
    fibrillating: NDArray[np.bool_]


class Taken(NamedTuple):
    """The intervals of a record that the rule takes: where each ends, its length, and the onset that is named then.

    `samples` and `since` (-1 outside of fibrillation) are at 250 Hz, counted from the first beat.
    """

    samples: NDArray[np.int64]
    rr_s: NDArray[np.float64]
    since: NDArray[np.int64]


def beats(reference: Annotations, rate_hz: float) -> tuple[NDArray[np.float64], list[str]]:
    """Return the annotated beats, in seconds, and their classes (N S V F Q)."""
    kept = np.array([symbol in CLASSES["papers"] and symbol != "!" for symbol in reference.symbols], np.bool_)
    return reference.samples[kept] / rate_hz, [CLASSES["papers"][s] for s in reference.symbols[kept].tolist()]


def truth(reference: Annotations, rate_hz: float, at_s: NDArray[np.float64]) -> tuple[Stretches, Stretches]:
    """Return the stretches of atrial fibrillation that are scored, and all that are.

    What lies before the first mark of a rhythm is not: nobody has said what it is.
    """
    first_s, end_s = float(at_s[0]), float(at_s[-1])
    named = [at for at, aux in zip(reference.samples.tolist(), reference.aux, strict=True) if aux.startswith("(")]
    first_s = max(first_s, named[0] / rate_hz) if named else first_s
    long = np.diff(at_s) > GAP_S
    gaps = np.column_stack([at_s[:-1][long], at_s[1:][long]])
    scored = outside(union(gaps, marked(reference, ("(AFL",), rate_hz, end_s)), first_s, end_s)
    return common(marked(reference, ("(AFIB",), rate_hz, end_s), scored), scored


def take(at_s: NDArray[np.float64], classes: Sequence[str]) -> Taken:
    """Give beats to the rule in force as the pipeline does."""
    given = np.zeros(len(at_s), BEAT)
    given["sample"] = np.round((at_s - at_s[0]) * ANALYSIS_HZ)
    given["label"] = [ord(label) for label in classes]
    given["rr_s"] = np.append(np.nan, np.diff(at_s))
    given["similarity"], given["width_ms"], given["amplitude_mv"] = 1.0, 90.0, 1.0
    state, found = State(), []
    for n in range(len(given)):
        before = state.atrial.taken
        take_beats(state, given[n : n + 1].tolist())
        if state.atrial.taken > before:
            found.append((state.atrial.samples[-1], state.atrial.rr_s[-1], state.atrial.since))
    samples, rr_s, since = zip(*found, strict=True) if found else ((), (), ())
    return Taken(np.array(samples, np.int64), np.array(rr_s, np.float64), np.array(since, np.int64))


def intervals(at_s: NDArray[np.float64], classes: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return where the intervals end that `take` finds, and their length in s, all at once."""
    samples = np.round((at_s - at_s[0]) * ANALYSIS_HZ).astype(np.int64)
    new = np.append(True, np.diff(np.maximum.accumulate(samples)) > 0)
    samples, ventricular = samples[new], (np.array(classes) == "V")[new]
    rr = np.diff(samples)
    taken = (rr > 0.2 * ANALYSIS_HZ) & (rr < 2.5 * ANALYSIS_HZ) & ~ventricular[1:] & ~ventricular[:-1]
    return samples[1:][taken], rr[taken] / ANALYSIS_HZ


def collect(path: Path, record_set: str) -> Places:
    """Return the places of one record, without extension, of a set of `ORIGIN`."""
    features, fibrillating = places(annotations(path), RATE_HZ[record_set])
    return Places(
        f"{record_set}/{path.name}", patient(record_set, path.name), WEIGHT[record_set], features, fibrillating
    )


def places(reference: Annotations, rate_hz: float) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the features and the truth of every place of a record that is scored."""
    at_s, classes = beats(reference, rate_hz)
    if len(at_s) < LEAST:
        return np.empty((0, N_FEATURES), np.float32), np.empty(0, np.bool_)
    theirs, scored = truth(reference, rate_hz, at_s)
    samples, rr_s = intervals(at_s, classes)
    ends = np.arange(-(-LEAST // EVERY) * EVERY, len(rr_s) + 1, EVERY)
    found = np.zeros((len(ends), N_FEATURES), np.float32)
    _describe_all(rr_s, ends, found)
    end_s = samples[ends - 1] / ANALYSIS_HZ + at_s[0]
    kept = _inside(end_s, scored)
    return found[kept], _inside(end_s, theirs)[kept]


def fit(training: Collection[Places], without: Collection[str] = ()) -> Weights:
    """Return weights taught by all patients but some.

    Raises
    ------
    ValueError
        If what is left has no fibrillation, or nothing else.
    """
    used = sorted((each for each in training if each.patient not in without), key=lambda each: each.record)
    truth = np.concatenate([each.fibrillating for each in used]) if used else np.empty(0, np.bool_)
    if truth.all() or not truth.any():
        raise ValueError("records must hold atrial fibrillation, and more, once those patients are left out")
    features = np.concatenate([each.features for each in used])
    weight = np.repeat([each.weight for each in used], [len(each.features) for each in used])
    return _taught(features, truth, weight / weight.sum())


def _taught(features: NDArray[np.float32], truth: NDArray[np.bool_], weight: NDArray[np.float64]) -> Weights:
    """Teach a network from the seed; the pace rises over a third of the rounds and falls over the rest."""
    rng = np.random.default_rng(SEED)
    mean, scale = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64) + 1e-6
    sizes = (N_FEATURES, SIZE, SIZE, 1)
    layers = [
        [rng.uniform(-1, 1, (m, n)) / np.sqrt(m), rng.uniform(-1, 1, n) / np.sqrt(m)]
        for m, n in itertools.pairwise(sizes)
    ]
    moments = [[(np.zeros_like(part), np.zeros_like(part)) for part in layer] for layer in layers]
    chances = np.cumsum(weight)
    for k in range(1, ROUNDS + 1):
        drawn = np.minimum(np.searchsorted(chances, rng.random(BATCH)), len(truth) - 1)
        x = np.clip((features[drawn] - mean) / scale, -FARTHEST, FARTHEST)
        pace = PACE * min(k / (0.3 * ROUNDS), 0.5 * (1 + np.cos(np.pi * max(0.0, k / ROUNDS - 0.3) / 0.7)))
        for layer, slopes, kept in zip(layers, _slopes(layers, x, truth[drawn]), moments, strict=True):
            for part, slope in enumerate(slopes):
                first = 0.9 * kept[part][0] + 0.1 * slope
                second = 0.999 * kept[part][1] + 0.001 * slope**2
                kept[part] = (first, second)
                step = first / (1 - 0.9**k) / (np.sqrt(second / (1 - 0.999**k)) + 1e-8)
                layer[part] = layer[part] - pace * (step + DECAY * layer[part])
    (hidden, hidden_bias), (deeper, deeper_bias), (last, last_bias) = layers
    return Weights(mean, scale, hidden, hidden_bias, deeper, deeper_bias, last[:, 0], last_bias)


def _slopes(layers: list[list[Any]], x: NDArray[np.float64], truth: NDArray[np.bool_]) -> list[tuple[Any, Any]]:
    """Return how the mean loss changes with each layer's matrix and bias."""
    inputs = [x]
    for matrix, bias in layers[:-1]:
        inputs.append(np.maximum(0.0, inputs[-1] @ matrix + bias))
    odds = inputs[-1] @ layers[-1][0] + layers[-1][1]
    error = (1 / (1 + np.exp(-odds)) - truth[:, None]) / len(x)
    out = []
    for (matrix, _), given in zip(reversed(layers), reversed(inputs), strict=True):
        out.append((given.T @ error, error.sum(axis=0)))
        error = (error @ matrix.T) * (given > 0)
    return out[::-1]


def _inside(at_s: NDArray[np.float64], stretches: Stretches) -> NDArray[np.bool_]:
    out = np.zeros(len(at_s), np.bool_)
    for first, end in stretches:
        out[np.searchsorted(at_s, first) : np.searchsorted(at_s, end)] = True
    return out


@njit(cache=True, error_model="numpy")
def _describe_all(rr_s, ends, found):
    f = np.empty(N_FEATURES)
    for k in range(len(ends)):
        describe(rr_s[max(0, ends[k] - _LONGEST) : ends[k]], f)
        found[k] = f
