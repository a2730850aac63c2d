"""Streams of samples through a stage that gives them late: whole, and cut, among neighbours, with restarts between."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float32]


class Stage(Protocol):
    """What all of them have."""

    def reset(self, row: int) -> None: ...

    def feed(
        self, rows: NDArray[np.int64], x: Signal, count: NDArray[np.int64]
    ) -> tuple[Signal, NDArray[np.int64]]: ...

    def flush(self, row: int) -> Signal: ...

    def snapshot(self, row: int) -> bytes: ...

    def restore(self, row: int, kept: bytes) -> None: ...


def undisturbed(stage: Stage, x: Signal) -> Signal:
    """Return all that a stage gives of one stream, its end included."""
    stage.reset(0)
    y, m = stage.feed(np.array([0]), x[None], np.array([len(x)]))
    return np.concatenate([y[0, ..., : m[0]], stage.flush(0)], axis=-1)


def disturbed(stage: Stage, x: Signal, cuts: Iterable[int], *, singly: bool) -> list[Signal]:
    """Return the same of three streams that are cut, some of it sample by sample; the second one moves at every cut."""
    n = x.shape[1]
    for row in (5, 0, 9):
        stage.reset(row)
    parts: list[list[Signal]] = [[], [], []]
    edges = sorted({0, n, *cuts, *(range(400, 450) if singly else ())})
    for start, end in itertools.pairwise(edges):
        count = np.array([end - start, 0, end - start])
        y, m = stage.feed(np.array([5, 0, 9]), np.ascontiguousarray(x[:, start:end]), count)
        stage.restore(70, stage.snapshot(0))
        z, k = stage.feed(np.array([70]), np.ascontiguousarray(x[1:2, start:end]), np.array([end - start]))
        stage.restore(0, stage.snapshot(70))
        for i, (got, held) in enumerate(((y[0], m[0]), (z[0], k[0]), (y[2], m[2]))):
            assert np.isnan(got[..., held:]).all()
            parts[i].append(got[..., :held])
    return [np.concatenate([*parts[i], stage.flush(row)], axis=-1) for i, row in enumerate((5, 0, 9))]
