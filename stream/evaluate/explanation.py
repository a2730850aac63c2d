"""`vigil evaluate explanation`: whether what is marked is what the network's answer rests on, and how long it takes.

The ten seconds before each alarm of `cinc2015`, which no network of Vigil has seen. The fifth of a window that is
marked most is taken out, and ten times as much at random: the log odds of the answer are to fall more without what is
marked. Nothing is chosen on these records.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg.record import read
from ecg.window import SPAN
from model.explain import prototypes as near
from model.explain.prototypes import Prototypes
from model.explain.saliency import LOOKED_AT, choose_leads, deletion, occluded, saliency
from model.explain.shared import encoded
from model.frontend import clean, last_span
from model.labels import RHYTHMS
from model.score import OUTPUTS
from model.weights import Network, load, shipped
from stream.evaluate import run

SET = "cinc2015"
BEFORE_S = 40.0
"""Seconds that the filters get to settle."""
DRAWS = 10


class Judged(NamedTuple):
    """One window: the answer, by how much its log odds fall, what it is like, and the time that both took."""

    answer: str
    marked: float
    at_random: float
    like: str
    wall_ms: float
    cpu_ms: float


def evaluate(data: Path, *, json: bool, prototypes: Path | None) -> int:
    """Score the explanations of the shipped network and print the figures; returns the exit status, 2 without records.

    `prototypes` is a file to use instead of those that come with Vigil.
    """
    network = load(shipped())
    like = near.load(prototypes or near.shipped(), network.sha256)
    judge(
        Seen(np.zeros((LOOKED_AT, SPAN), np.float32), ["II", "V1"]), network, like
    )  # what is compiled and allocated once is not timed
    paths = run.records(data / SET)
    found = run.over(paths, lambda path: judge(window(path), network, like), processes=1)
    report = {"figures": figures(list(found.results.values())), "failed": found.failed}
    if json:
        print(msgspec.json.encode(report).decode())
    else:
        print("\n".join(f"{name:40} {value:g}" for name, value in report["figures"].items()))
    return 0 if found.results else 2


class Seen(NamedTuple):
    """The last 10.8 s of a record as the network sees them, (2, 2700), and the names of the leads."""

    x_mv: NDArray[np.float32]
    leads: list[str]


def window(path: Path) -> Seen:
    """Return the end of a record."""
    found = read(path)
    names = [found.leads[row].name for row in found.rows("ecg")]
    chosen = choose_leads(names)
    x_mv = found.mv()[list(chosen), -round(BEFORE_S * found.rate_hz) :]
    return Seen(last_span(clean(x_mv, found.rate_hz)), [names[row] for row in chosen])


def judge(seen: Seen, network: Network, like: Prototypes) -> Judged:
    """Mark a window, say what it is like, time that, and take out what is marked."""

    def answer(x_mv: NDArray[np.float32]) -> NDArray[np.float32]:
        return network.rhythm_logits(x_mv, seen.leads)

    wall, cpu = time.perf_counter(), time.process_time()
    windows = encoded(network, occluded(seen.x_mv), seen.leads)
    logits = network.answer(windows, [seen.leads] * len(windows))
    why = saliency(logits[:, len(OUTPUTS) :], seen.x_mv)
    label = like.nearest(network.features(windows[:1], [seen.leads])[0], 1)[0].label
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    fall = deletion(answer, seen.x_mv, why, DRAWS)
    return Judged(RHYTHMS[why.of], fall.marked, fall.at_random, label, 1e3 * wall, 1e3 * cpu)


def figures(judged: list[Judged]) -> dict[str, float]:
    """Return the means over windows, the share of them in which what is marked counts more, and the times."""
    if not judged:
        return {"windows": 0}
    marked, at_random = (np.array([getattr(each, name) for each in judged]) for name in ("marked", "at_random"))
    found = {
        "windows": len(judged),
        "log_odds_fall_marked": float(marked.mean()),
        "log_odds_fall_random": float(at_random.mean()),
        "marked_counts_more": float((marked > at_random).mean()),
        "cpu_ms_p50": float(np.median([each.cpu_ms for each in judged])),
        "cpu_ms_p95": float(np.percentile([each.cpu_ms for each in judged], 95)),
        "wall_ms_p50": float(np.median([each.wall_ms for each in judged])),
        "wall_ms_p95": float(np.percentile([each.wall_ms for each in judged], 95)),
    }
    found["nearest_prototype_agrees"] = float(np.mean([each.like == each.answer for each in judged]))
    return {name: round(value, 4) for name, value in found.items()}
