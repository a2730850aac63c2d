"""Atrial fibrillation from intervals alone (`ltafdb`), and four classes of short strips by rules (`cinc2017`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg import atrial_fit
from ecg.episodes import Stretches, common, total, union
from ecg.record import Annotations, annotations, read
from ecg.resample import ANALYSIS_HZ
from stream.analyze import Analyzed, analyze
from stream.evaluate.refit import Anew, judging

Class = Literal["N", "A", "O", "~"]
CINC2017: tuple[Class, ...] = ("N", "A", "O", "~")
"""Normal rhythm, atrial fibrillation, another rhythm, noise."""
SETTLED_S = 6
"""Seconds of a strip before the first rhythm that counts."""
ECTOPIC = 2
"""Ectopic beats that make a strip another rhythm."""
NORMAL_BPM = (50.0, 100.0)


class Seconds(NamedTuple):
    """Seconds of one record by what the reference and the rule say."""

    both: float
    reference: float
    test: float
    all: float


def intervals(path: Path, anew: Mapping[str, Anew] | None = None) -> Seconds:
    """Score the rule for atrial fibrillation on one record of `ltafdb`, on its annotated beats, without any signal.

    It is judged by what was fitted without its patient, where that is given.
    """
    with judging((anew or {}).get(f"ltafdb/{path.name}", Anew())):
        return from_beats(annotations(path), atrial_fit.RATE_HZ["ltafdb"])


def from_beats(reference: Annotations, rate_hz: float) -> Seconds:
    """Give annotated beats to the rule as the pipeline does, and compare the episodes that it names.

    An episode lasts from the onset that the rule names, at the time at which it speaks, to the beat at which it ends.
    """
    at_s, classes = atrial_fit.beats(reference, rate_hz)
    if len(at_s) < 2:
        return Seconds(0.0, 0.0, 0.0, 0.0)
    theirs, scored = atrial_fit.truth(reference, rate_hz, at_s)
    ours = common(_named(at_s, classes), scored)
    return Seconds(total(common(theirs, ours)), total(theirs), total(ours), total(scored))


def _named(at_s: NDArray[np.float64], classes: Sequence[str]) -> Stretches:
    found, since = [], -1
    taken = atrial_fit.take(at_s, classes)
    for sample, now in zip(taken.samples.tolist(), taken.since.tolist(), strict=True):
        if since >= 0 and now < 0:
            found.append((since, sample))
        since = now
    end = (at_s[-1] - at_s[0]) * ANALYSIS_HZ
    found += [(since, end)] if since >= 0 else []
    return union(np.array(found, np.float64).reshape(-1, 2) / ANALYSIS_HZ + at_s[0])


def strip(path: Path) -> Class:
    """Run one short strip through the pipeline and name its class by rules."""
    return classify(analyze(read(path), {}))


def classify(analyzed: Analyzed) -> Class:
    """Return the class of a strip, by the pipeline's own names of its rhythm, a second each.

    Noise if more than half of the seconds after the first six have no rate; atrial fibrillation if the rhythm was
    named so, or if it was irregular for more than half of those seconds with a rate and no ectopic beats explain it;
    another rhythm if there are two ectopic beats, or the median rate is not from 50 to 100 bpm; else normal.
    """
    seconds = analyzed.vitals[SETTLED_S:] or analyzed.vitals
    rates = [second.heart_rate_bpm for second in seconds if second.heart_rate_bpm is not None]
    if 2 * len(rates) < len(seconds) or not rates:
        return "~"
    names: Counter[str] = Counter(second.rhythm for second in seconds if second.heart_rate_bpm is not None)
    ectopic = sum(label in "VSF" for label in analyzed.beat_labels)
    if names["atrial fibrillation"] or (2 * names["irregular"] > len(rates) and ectopic < ECTOPIC):
        return "A"
    if ectopic >= ECTOPIC or not NORMAL_BPM[0] <= float(np.median(rates)) <= NORMAL_BPM[1]:
        return "O"
    return "N"


def read_reference(text: str) -> dict[str, Class]:
    """Read `REFERENCE.csv`: a line a record, with its name and class.

    Raises
    ------
    ValueError
        If a line has no known class.
    """
    truth: dict[str, Class] = {}
    for line in text.splitlines():
        name, _, symbol = line.strip().partition(",")
        if name and symbol not in CINC2017:
            raise ValueError(f"a line of REFERENCE.csv must be a record and one of N, A, O, ~, got {line!r}")
        if name:
            truth[name] = CINC2017[CINC2017.index(symbol)]
    return truth


def confusion(pairs: Sequence[tuple[Class, Class]]) -> NDArray[np.float64]:
    """Return rows of 16 counts, one a record, of (truth, decision) pairs in the order of `CINC2017`."""
    rows = np.zeros((len(pairs), 16))
    for row, (truth, decision) in zip(rows, pairs, strict=True):
        row[4 * CINC2017.index(truth) + CINC2017.index(decision)] = 1
    return rows


def f1(sums: NDArray[np.float64], name: Class) -> NDArray[np.float64]:
    """Return the F1 of one class as a fraction, of sums of such rows; NaN where it neither is nor was said."""
    table, k = sums.reshape(-1, 4, 4), CINC2017.index(name)
    of = table[:, k].sum(axis=1) + table[:, :, k].sum(axis=1)
    return np.divide(2 * table[:, k, k], of, out=np.full(len(of), np.nan), where=of > 0)


def f1_mean(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the challenge's score: the mean F1 of normal rhythm, atrial fibrillation and other rhythms."""
    return np.mean([f1(sums, name) for name in ("N", "A", "O")], axis=0)
