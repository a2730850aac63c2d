"""Seeded trials: a ward that lives through a minute of drawn faults, and is then judged."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

from tests.faults.verdict import Verdict, judge
from tests.faults.world import MOMENTS, Blow, World

STEPS = 14
STEP_S = 5.0


def disturb(world: World, draw: random.Random) -> None:
    """Do one drawn thing to a ward."""
    what, weight = zip(*_DEEDS, strict=True)
    draw.choices(what, weight)[0](world, draw)


def _strike_worker(world: World, draw: random.Random) -> None:
    blow: Blow = draw.choice(("kill", "kill", "stop", "stop", "terminate"))
    behind = [moment for moment in MOMENTS if moment.endswith("behind alerts")]
    at = draw.choice(("", *MOMENTS, *behind, *behind))
    for_s = draw.choice((0.5, 3.0, 9.0, 15.0))
    world.strike(draw.choice(world.workers), blow, at, draw.choice((1, 1, 2, 3)), for_s)


def _strike_publisher(world: World, draw: random.Random) -> None:
    blow: Blow = draw.choice(("kill", "kill", "stop", "terminate"))
    at = draw.choice(("", "wrote redis", "wrote redis"))
    world.strike(draw.choice(world.publishers), blow, at, draw.choice((1, 1, 2, 3)), draw.choice((1.0, 6.0, 12.0)))


def _strike_ticker(world: World, draw: random.Random) -> None:
    blow: Blow = draw.choice(("kill", "stop"))
    world.strike(draw.choice(world.tickers), blow, "", 1, draw.choice((1.0, 8.0)))


def _device(world: World, draw: random.Random) -> None:
    name = draw.choice(sorted(world.monitors))
    match draw.randrange(3):
        case 0:
            world.falls_silent(name, draw.uniform(1.0, 14.0))
        case 1:
            world.monitors[name].restart()
        case _:
            world.monitors[name].garble = draw.choice((2, 12))


_DEEDS: tuple[tuple[Callable[[World, random.Random], object], float], ...] = (
    (_strike_worker, 8.0),
    (_strike_publisher, 4.0),
    (_strike_ticker, 1.0),
    (_device, 3.0),
    (lambda world, draw: world.goes_home(draw.choice(sorted(world.monitors)), draw.uniform(2.0, 12.0)), 1.5),
    (lambda world, draw: world.rebalance(), 3.0),
    (lambda world, draw: world.redis_times_out(draw.choice((1, 1, 2, 5))), 3.0),
    (lambda world, draw: world.redis_goes_away(draw.uniform(0.5, 8.0)), 1.0),
    (lambda world, draw: world.server.save(), 2.0),
    (lambda world, draw: world.redis_rolls_back(), 2.0),
    (lambda world, draw: world.redis_is_lost(), 1.0),
    (lambda world, draw: world.ticker_jumps(), 0.5),
    (lambda world, draw: world.any_command(), 4.0),
    (lambda world, draw: world.repeat_command(), 1.0),
    (lambda world, draw: world.any_setup(), 1.0),
)


def trial(seed: int) -> Verdict:
    """Run one trial; the same seed gives the same."""
    draw = random.Random(seed)
    shape = {
        "devices": draw.randint(2, 4),
        "partitions": draw.choice((1, 2, 2, 3)),
        "workers": draw.randint(1, 3),
        "standby": draw.random() < 0.25,
    }
    with World(draw.randrange(2**32), **shape) as world:
        world.run(draw.uniform(1.0, 12.0))
        for _ in range(STEPS):
            disturb(world, draw)
            world.run(draw.random() * STEP_S)
        return judge(world, world.settle())


def trials(
    n: int, seed: int = 0, processes: int = 2, progress: Callable[[int], None] = lambda done: None
) -> dict[str, Any]:
    """Run trials `seed`, `seed + 1`, ... and return the sums of what they found.

    Returns
    -------
    dict
        `trials`, `faults`, `alerts`, `lost`, `doubled`, `differences`, and `failed_seeds` with what each found.
    """
    found: dict[str, Any] = {"trials": n, "faults": 0, "alerts": 0, "lost": 0, "doubled": 0, "differences": 0}
    failed: dict[int, list[str]] = {}
    for done, (at, verdict) in enumerate(_verdicts(range(seed, seed + n), processes), 1):
        for name in ("faults", "alerts"):
            found[name] += getattr(verdict, name)
        for name in ("lost", "doubled", "differences"):
            found[name] += len(getattr(verdict, name))
        if not verdict.holds:
            failed[at] = [*verdict.lost, *verdict.doubled, *verdict.differences]
        progress(done)
    return found | {"failed_seeds": failed}


def _verdicts(seeds: Iterable[int], processes: int) -> Iterable[tuple[int, Verdict]]:
    if processes < 2:
        yield from map(_judged, seeds)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_judged, seeds, chunksize=4)


def _judged(seed: int) -> tuple[int, Verdict]:
    return seed, trial(seed)
