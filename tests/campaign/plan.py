"""What is done to a ward in one round of real kills, when and to whom: all of it drawn from a seed."""

from __future__ import annotations

import random
from typing import NamedTuple

KINDS = (
    "worker SIGKILL",
    "worker SIGSTOP",
    "redis SIGKILL, append-only file on",
    "publisher SIGKILL",
    "worker SIGTERM",
    "broker restart",
    "redis SIGKILL, append-only file off",
    "ticker SIGKILL",
    "publisher SIGSTOP",
    "worker SIGKILL",
    "broker SIGKILL",
    "redis rolled back",
    "publisher SIGTERM",
    "worker SIGSTOP",
    "ticker SIGSTOP",
)
"""Kinds of fault; a round goes through as many as it has faults, so that a longer one has all of them."""
PUBLISHERS = TICKERS = 2
SESSION_S = 6.0
CALM_S = 6.0
"""At the beginning and at the end of a round nothing is done."""


class Fault(NamedTuple):
    """Something done to one process: `down_s` is how long it stays away or stopped."""

    at_s: float
    kind: str
    target: int
    down_s: float


class Plan(NamedTuple):
    """One round: how the ward is built, and what happens to it, at real seconds from its start."""

    seed: int
    seconds: float
    partitions: int
    workers: int
    standby: int
    batch: int
    frame_s: float
    faults: tuple[Fault, ...]
    beds: int = 24


def plan(seed: int, seconds: float, faults: int, first: int = 0, workers: int | None = None, beds: int = 24) -> Plan:
    """Draw a round.

    Parameters
    ----------
    seed : int
        Two rounds with the same seed and the same numbers are the same.
    seconds : float
        How long devices send, in real seconds.
    faults : int
        How many there are.
    first : int
        With which of `KINDS` to begin.
    workers : int or None
        How many; None: three or four.
    beds : int
        How many.
    """
    rng = random.Random(seed)
    count = rng.choice((3, 3, 4)) if workers is None else workers
    kinds = [KINDS[(first + k) % len(KINDS)] for k in range(faults)]
    rng.shuffle(kinds)
    step = (seconds - 2 * CALM_S) / max(1, faults)
    times = [CALM_S + (k + rng.random()) * step for k in range(faults)]
    return Plan(
        seed=seed,
        seconds=seconds,
        partitions=rng.choice((1, 3, 4, 7)) if workers is None else 4,
        workers=count,
        standby=rng.choice((0, 0, 1)),
        batch=rng.choice((32, 256, 2000)),
        frame_s=rng.choice((0.25, 0.5, 1.0)),
        faults=tuple(_fault(rng, at_s, kind, count) for at_s, kind in zip(times, kinds, strict=True)),
        beds=beds,
    )


def _fault(rng: random.Random, at_s: float, kind: str, workers: int) -> Fault:
    targets = {"worker": workers, "publisher": PUBLISHERS, "ticker": TICKERS}.get(kind.split()[0], 1)
    down_s = SESSION_S + 1 + 2 * rng.random() if kind.endswith("SIGSTOP") else 2 * rng.random()
    return Fault(round(at_s, 2), kind, rng.randrange(targets), round(down_s, 2))
