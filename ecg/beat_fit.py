"""How the weights of the beat detector are fitted, on which records, and anew without some patients.

Three logistic regressions over the terms that `ecg.beat_class` weighs: whether a complex is a beat, and as a first
impression whether a beat is ventricular, and whether another one is supraventricular. Two judges over all that
describes a beat, trees (`ecg.forest_grow`) and networks (`ecg.beat_layers`) each, ask the last two again, and name it;
to them a complex that was taken as a beat and is none of the reference's is neither. A forest (`ecg.beat_doubt`) asks
of what was taken as a beat whether it is one, on these records as they are and with electrode motion in them, the first
half of `em` of `nstdb`. What complexes are weighed comes from the chain itself: records go through the filters of the
ward and the detector notes each complex that it judges, with what describes it.

Weights that are fitted without a patient still owe something to all of them: which terms there are and where they are
cut off was chosen on all of these records, and so were the thresholds; and which beats a complex is compared with was
decided by weights (`NOTED_BY`) that had seen them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg import beat_doubt
from ecg.beat_class import (
    AGREE,
    APART,
    BEFORE,
    EARLY,
    GAIN,
    HABIT,
    KNOWN,
    LAST_STEEP,
    LIKE,
    MASS,
    NORMAL,
    SHARE,
    SINCE,
    STEEP,
    UNEVEN,
    VOTE,
)
from ecg.beat_context import ALIKE, N_CONTEXT
from ecg.beat_detect import detect
from ecg.beat_judge import Judge, Judges
from ecg.beat_layers import fit_nets
from ecg.beat_state import BEAT, MAX_LEADS, Rules, first_state
from ecg.beat_weights import Evidence, Supraventricular, Ventricular, Weights
from ecg.ec57.label import BEATS, CLASSES
from ecg.ec57.noise import noisy, noisy_stretches
from ecg.episodes import bracketed
from ecg.forest import Trees
from ecg.forest_grow import grow
from ecg.frontend import Chunk, FrontEnd
from ecg.learned import LEARNED
from ecg.record import Annotations, Record, annotations, read
from ecg.resample import ANALYSIS_HZ
from ecg.rows import Rows
from ecg.wave_fit import patient

ORIGIN = LEARNED["beats"]
"""Records by set that the shipped weights were fitted on."""
FIRST_S = 300.0
"""What comes before is not fitted: the detector knows little of the patient there."""
NEAR_S = 0.15
"""A complex is the reference's beat if it lies this near, and neither has a nearer partner."""
EDGE_S = 0.5
"""What lies this near to fibrillation or flutter, or in it, is not fitted."""
RIDGE = 2e-5
"""L2 penalty on the weights of standardised terms."""

MANY = {"N": 1000, "S": 100, "V": 100}
"""Beats of a class in a record above which each counts less, by the root of their number."""
LEAN_VENTRICULAR, LEAN_SUPRAVENTRICULAR = 0.5, 0.6
"""Log-odds by which the judges lean towards naming a beat: F1 was best out of fold about there."""

NO_BEAT = "O"
NOTED_BY = Weights(doubt=beat_doubt.NEVER)
"""By which the detector judges while it notes complexes, whatever is in force: the shipped ones, without a doubt."""
NOISE = "em"
NOISE_DB = (6.0, 12.0)
"""Signal-to-noise ratios of what teaches doubt: both in each record of `mitdb`, in turn in those of other sets."""
DECIMALS = 3
"""To which weights are rounded."""


class Complexes(NamedTuple):
    """The complexes that the detector judged in one record.

    `features` is what describes them (`ecg.beat_class`, and `ecg.beat_context` for those that were taken), shape
    (n, N_CONTEXT); `taken` whether the detector took each
    as a beat, 0 no, 1 by evidence, 2 by search-back, which asks for none; `classes` the class of the reference's beat
    there (N S V F Q), or `NO_BEAT`.
    """

    record: str
    patient: str
    features: NDArray[np.float32]
    taken: NDArray[np.int64]
    classes: NDArray[np.str_]
    noisy: bool = False


def collect(path: Path, record_set: str) -> Complexes:
    """Return the complexes of one record, without extension, of a set of `ORIGIN`."""
    return _complexes(read(path), annotations(path), path.name, record_set)


def collect_noisy(path: Path, record_set: str, noise: Record) -> Iterator[Complexes]:
    """Give those of its noisy stretches at the ratios that are its turn, with the first half of a noise record."""
    recording, reference = read(path), annotations(path)
    for snr_db in NOISE_DB if record_set == "mitdb" else NOISE_DB[ORIGIN[record_set].index(path.name) % 2 :][:1]:
        mixed = noisy(recording, reference, noise, snr_db, scored=False)
        yield _complexes(mixed, reference, path.name, record_set, noisy=True)


def _complexes(
    recording: Record, reference: Annotations, name: str, record_set: str, *, noisy: bool = False
) -> Complexes:
    front = FrontEnd()
    mv = recording.mv()
    clean = front.feed([Chunk(front.open(recording.rate_hz, len(mv)), mv, 0, (), last=True)])[0].clean
    log = judged(clean)
    at_s = log[:, 0] / ANALYSIS_HZ
    is_beat = np.isin(reference.symbols, list(BEATS))
    found = reference_classes(at_s, reference.samples[is_beat] / recording.rate_hz, reference.symbols[is_beat])
    kept = (at_s > FIRST_S) & ~_fibrillates(at_s, reference, recording.rate_hz, recording.duration_s)
    if noisy:
        stretches = [(a, b) for a, b in noisy_stretches(recording.n_samples, recording.rate_hz)]
        kept &= np.any([(at_s >= a / recording.rate_hz) & (at_s < b / recording.rate_hz) for a, b in stretches], axis=0)
    features, taken = log[kept, 2:].astype(np.float32), log[kept, 1].astype(np.int64)
    return Complexes(f"{record_set}/{name}", patient(record_set, name), features, taken, found[kept], noisy)


def judged(clean_mv: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return what the detector judged in a bed's clean leads, in order of time.

    Each row holds the complex's middle (sample), whether it was taken as a beat (0, 1, or 2 by search-back), and its
    features. One that search-back took after all is there twice.
    """
    rows = Rows(first_state())
    rows.reset(0)
    x = np.ascontiguousarray(clean_mv[None, :MAX_LEADS], np.float32)
    leads, count = np.array([x.shape[1]]), np.array([x.shape[2]])
    most = x.shape[2] // 20 + 2
    log, beats = np.zeros((2 * most, 2 + N_CONTEXT)), np.zeros((1, most), BEAT)
    detect(rows.state, np.array([0]), x, leads, count, Rules(weights=NOTED_BY), beats, np.zeros(1, np.int64), log)
    log = log[1 : 1 + int(log[0, 0])]
    return log[np.argsort(log[:, 0], kind="stable")]


def reference_classes(
    at_s: NDArray[np.float64], beats_s: NDArray[np.float64], symbols: NDArray[np.str_]
) -> NDArray[np.str_]:
    """Return the class, by the papers' mapping, of the reference's beat at each complex; `NO_BEAT` without one."""
    classes = np.full(len(at_s), NO_BEAT)
    if not len(at_s) or not len(beats_s):
        return classes
    nearest_beat, nearest = _nearest(at_s, beats_s), _nearest(beats_s, at_s)
    own = nearest[nearest_beat]
    mutual = (at_s[own] == at_s) & (abs(beats_s[nearest_beat] - at_s) <= NEAR_S)
    names = np.array([CLASSES["papers"][symbol] for symbol in symbols.tolist()])
    classes[mutual] = names[nearest_beat[mutual]]
    return classes


def _nearest(of: NDArray[np.float64], among: NDArray[np.float64]) -> NDArray[np.int64]:
    right = np.clip(np.searchsorted(among, of), 1, max(1, len(among) - 1))
    left = right - 1
    right = np.minimum(right, len(among) - 1)
    return np.where(of - among[left] <= among[right] - of, left, right).astype(np.int64)


def _fibrillates(at_s: NDArray[np.float64], reference: Annotations, rate_hz: float, end_s: float) -> NDArray[np.bool_]:
    out = np.zeros(len(at_s), np.bool_)
    for first, end in bracketed(reference, rate_hz, end_s):
        out |= (at_s > first - EDGE_S) & (at_s < end + EDGE_S)
    return out


def evidence_terms(f: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what `Evidence` weighs, but its base: a column a weight, a row a complex."""
    since = np.round(f[:, SINCE] * ANALYSIS_HZ)
    times = np.where(since < 80, 2.0, np.where(since < 100, 1.0, 0.0))
    return np.column_stack(
        [
            np.minimum(0, f[:, VOTE]),
            np.minimum(0, f[:, AGREE]),
            np.maximum(0.5, f[:, LIKE]),
            np.maximum(0, f[:, KNOWN]),
            np.maximum(0, f[:, APART]),
            np.clip(f[:, EARLY], -0.7, 0),
            np.minimum(0, f[:, STEEP]),
            np.minimum(0, f[:, LAST_STEEP]) * times,
        ]
    )


def ventricular_terms(f: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what `Ventricular` weighs, but its base."""
    return np.column_stack(
        [
            f[:, APART],
            np.maximum(0, f[:, APART] - 0.8),
            np.clip(f[:, EARLY], -0.7, 0.1),
            f[:, GAIN],
            f[:, HABIT],
            f[:, MASS],
            f[:, STEEP],
            np.clip(f[:, BEFORE], -0.5, 0.7),
            f[:, UNEVEN],
            np.minimum(0.3, f[:, SHARE]) * (1 - f[:, HABIT]),
        ]
    )


def supraventricular_terms(f: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what `Supraventricular` weighs, but its base."""
    early = f[:, EARLY]
    return np.column_stack(
        [np.minimum(0, early + 0.1), np.minimum(0, early + 0.25), f[:, UNEVEN], np.minimum(0, f[:, BEFORE])]
    )


def fit(training: Collection[Complexes], without: Collection[str] = ()) -> Weights:
    """Return weights fitted on all complexes but those of some patients.

    What the detector took as a beat, with a normal beat known, teaches its class; fusion and unknown beats teach none.
    Noisy complexes teach doubt alone, and where there are none, doubt is as shipped.

    Raises
    ------
    ValueError
        If what is left lacks a class.
    """
    doubted = [each for each in training if each.patient not in without and len(each.classes)]
    used = [each for each in doubted if not each.noisy]
    if not used:
        raise ValueError("complexes must be left once those patients are left out")
    f = np.concatenate([each.features for each in used])
    classes = np.concatenate([each.classes for each in used])
    taken = np.concatenate([each.taken for each in used])
    counts = np.concatenate([_counts(each.classes) for each in used])
    named = (taken > 0) & np.isin(classes, ["N", "S", "V"]) & (f[:, NORMAL] != 0)
    others = named & (classes != "V")
    told = named | ((taken > 0) & (classes == NO_BEAT) & (f[:, NORMAL] != 0))
    rest = told & (classes != "V")
    known = f[named].astype(np.float64)
    return Weights(
        Evidence(*_logistic(evidence_terms(f[taken < 2].astype(np.float64)), classes[taken < 2] != NO_BEAT)),
        Ventricular(*_logistic(ventricular_terms(known), classes[named] == "V")),
        Supraventricular(*_logistic(supraventricular_terms(f[others].astype(np.float64)), classes[others] == "S")),
        Judges(
            _judge(f[told], classes[told] == "V", counts[told], LEAN_VENTRICULAR),
            _judge(f[rest], classes[rest] == "S", counts[rest], LEAN_SUPRAVENTRICULAR),
        ),
        fit_doubt(doubted) if len(doubted) > len(used) else beat_doubt.shipped(),
    )


def fit_doubt(used: Collection[Complexes]) -> Trees:
    """Return the forest that doubts, grown on all that the detector would ask it about."""
    f, classes = np.concatenate([each.features for each in used]), np.concatenate([each.classes for each in used])
    taken = np.concatenate([each.taken for each in used])
    asked = (taken == 1) & (f[:, APART] < ALIKE) & (f[:, NORMAL] != 0)
    return grow(f[asked], classes[asked] != NO_BEAT, np.ones(asked.sum()))


def _counts(classes: NDArray[np.str_]) -> NDArray[np.float64]:
    """Return how much each complex of a record counts: less where the record has many of its class."""
    out = np.ones(len(classes))
    for name, many in MANY.items():
        own = classes == name
        out[own] = min(1.0, (many / max(1, own.sum())) ** 0.5)
    return out


def _judge(f: NDArray[np.float32], truth: NDArray[np.bool_], counts: NDArray[np.float64], lean: float) -> Judge:
    return Judge(np.array([lean]), grow(f, truth, counts), fit_nets(f, truth, counts))


def _logistic(terms: NDArray[np.float64], truth: NDArray[np.bool_]) -> Iterator[float]:
    """Give the base and the weights, by Newton's method from nothing, each step halved until it is none too many."""
    if truth.all() or not truth.any():
        raise ValueError("complexes must hold beats of every class, and others that are none")
    mean, sd = terms.mean(0), terms.std(0)
    sd[sd <= 0] = 1.0
    rows = np.column_stack([np.ones(len(terms)), (terms - mean) / sd])
    sign = np.where(truth, -1.0, 1.0)
    penalty = np.append(1e-12, np.full(terms.shape[1], RIDGE))

    def loss(b: NDArray[np.float64]) -> float:
        return float(np.logaddexp(0, sign * (rows @ b)).mean() + 0.5 * (penalty * b * b).sum())

    found = np.zeros(rows.shape[1])
    for _ in range(100):
        p = 1.0 / (1.0 + np.exp(-np.clip(rows @ found, -500, 500)))
        gradient = rows.T @ (p - truth) / len(rows) + penalty * found
        curvature = (rows * (p * (1 - p))[:, None]).T @ rows / len(rows) + np.diag(penalty)
        step = np.linalg.solve(curvature, gradient)
        while loss(found - step) > loss(found) and abs(step).max() > 1e-9:
            step /= 2
        found -= step
        if abs(step).max() < 1e-7:
            break
    weights = found[1:] / sd
    yield round(float(found[0] - weights @ mean), DECIMALS)
    yield from (round(weight, DECIMALS) for weight in weights.tolist())
