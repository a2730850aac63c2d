"""What of a window an answer rests on: each 0.4 s of each lead is taken out, and the answer asked again.

Occlusion (Zeiler and Fergus 2014, doi:10.1007/978-3-319-10590-1_53), with what is taken out missing, as the network
knows it from lost frames, rather than filled with some value. It needs the network's logits and nothing of its inside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CELL = 100
"""Samples of a cell: 0.4 s at 250 Hz, about a beat."""
PREFERRED: tuple[str, ...] = ("II", "MLII", "V1", "MCL1", "V5", "MCL5", "I", "V2", "III")
"""Leads of which two are looked at where a bed has more, best first."""
LOOKED_AT = 2
SHARE = 0.2
"""Share of the cells that there are that `deletion` takes out."""

Answer = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From windows in mV (n, leads, samples), NaN where a sample is missing, to logits (n, classes)."""


class Saliency(NamedTuple):
    """What an answer rests on.

    Attributes
    ----------
    of : int
        Which answer, by its place.
    weight : ndarray of float32, shape (n_leads, n_cells)
        By how much the log odds of the answer fall without this cell; below zero it speaks against it. Zero where
        there is no signal.
    """

    of: int
    weight: NDArray[np.float32]


class Deletion(NamedTuple):
    """By how much the log odds of an answer fall without a share of the window: the marked one, or one at random."""

    marked: float
    at_random: float


def choose_leads(names: Sequence[str]) -> tuple[int, ...]:
    """Return the rows of the two leads that an explanation is of: by `PREFERRED`, else the first ones."""
    upper = [name.upper().removeprefix("MDC_ECG_LEAD_") for name in names]
    known = sorted((PREFERRED.index(name), row) for row, name in enumerate(upper) if name in PREFERRED)
    order = [row for _, row in known] + [row for row, name in enumerate(upper) if name not in PREFERRED]
    return tuple(sorted(order[:LOOKED_AT]))


def occluded(x_mv: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a window, and then it without each of its cells, lead by lead: what `saliency` needs the answers for.

    Parameters
    ----------
    x_mv : ndarray of float32, shape (n_leads, n_samples)
        NaN where a sample is missing; its length a multiple of `CELL`.

    Returns
    -------
    ndarray of float32, shape (1 + n_leads * n_cells, n_leads, n_samples)
    """
    leads, cells = len(x_mv), x_mv.shape[1] // CELL
    each = np.eye(leads * cells, dtype=bool).reshape(-1, leads, cells)
    return np.concatenate([x_mv[None], _without(x_mv, each)])


def saliency(logits: NDArray[np.float32], x_mv: NDArray[np.float32], of: int | None = None) -> Saliency:
    """Say what an answer for a window rests on.

    Parameters
    ----------
    logits : ndarray of float32, shape (1 + n_leads * n_cells, n_classes)
        Of what `occluded` returned for the window.
    x_mv : ndarray of float32, shape (n_leads, n_samples)
    of : int, optional
        Which answer; unless given, the likeliest.
    """
    of = int(logits[0].argmax()) if of is None else of
    odds = log_odds(logits, of)
    there = _there(x_mv)
    weight = (odds[0] - odds[1:]).reshape(there.shape)
    return Saliency(of, np.where(there, weight, 0).astype(np.float32))


def deletion(answer: Answer, x_mv: NDArray[np.float32], found: Saliency, draws: int, seed: int = 1) -> Deletion:
    """Take out the cells that weigh most, and as many at random, and compare what becomes of the answer.

    Parameters
    ----------
    answer : callable
    x_mv : as of `saliency`
    draws : int
        How many random choices are averaged.
    """
    there = np.flatnonzero(_there(x_mv))
    if not len(there):
        return Deletion(0.0, 0.0)
    count = max(1, round(SHARE * len(there)))
    rng = np.random.default_rng(seed)
    most = there[np.argsort(-found.weight.ravel()[there], kind="stable")[:count]]
    chosen = [most, *(rng.choice(there, count, replace=False) for _ in range(draws))]
    out = np.zeros((len(chosen), found.weight.size), bool)
    for row, cells in zip(out, chosen, strict=True):
        row[cells] = True
    odds = log_odds(
        answer(np.concatenate([x_mv[None], _without(x_mv, out.reshape(-1, *found.weight.shape))])), found.of
    )
    fall = odds[0] - odds[1:]
    return Deletion(float(fall[0]), float(fall[1:].mean()))


def log_odds(logits: NDArray[np.float32], of: int) -> NDArray[np.float64]:
    """Return the log odds of one answer against all others, shape (n,), from logits (n, classes)."""
    z = logits.astype(np.float64)
    others = np.delete(z, of, axis=1)
    most = others.max(axis=1)
    return z[:, of] - most - np.log(np.exp(others - most[:, None]).sum(axis=1))


def _there(x_mv: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Say which cells hold a sample, shape (n_leads, n_cells)."""
    cells = x_mv.shape[1] // CELL
    found: NDArray[np.bool_] = np.isfinite(x_mv[:, : cells * CELL]).reshape(len(x_mv), cells, CELL)
    return np.logical_or.reduce(found, axis=2)


def _without(x_mv: NDArray[np.float32], out: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return a window without some of its cells, once for each choice (n, n_leads, n_cells)."""
    gone = np.zeros((len(out), *x_mv.shape), bool)
    gone[..., : out.shape[2] * CELL] = np.repeat(out, CELL, axis=2)
    return np.where(gone, np.float32(np.nan), x_mv)
