"""The parts of a campaign: each gives `faults`, `lost`, `doubled` and `differences` where it has them."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tests.campaign import failover, kills
from tests.campaign.plan import plan
from tests.faults.trial import trials
from tests.fuzz.guided import guided
from tests.fuzz.whole import MOST_SNAPSHOT, whole
from tests.invariance import stretches
from tests.invariance.__main__ import invariance
from tests.stream.test_audit_tamper import tamper

TRIALS = 1000
"""In one part; a full campaign has ten of these."""
ALTERATIONS = 1000
NONSENSE = 50_000
"""Records of nonsense through the whole path in one part; a full campaign has twenty of these."""
GUIDED = 200_000
"""Inputs of a fuzzer that looks which branches they take."""
MANY = 500
"""Beds of a large ward."""


class Part(NamedTuple):
    """One part: its name, by which it is resumed, and what runs it."""

    name: str
    run: Callable[[], dict[str, Any]]


class Rounds(NamedTuple):
    """How much of real kills there is: rounds, real seconds and faults of each."""

    rounds: int
    seconds: float
    faults: int


SHORT, FULL = Rounds(3, 100.0, 9), Rounds(10, 120.0, 11)


def parts(full: bool, seed: int, records: Path | None) -> list[Part]:
    """Return the parts of a campaign, in the order in which they are run."""
    rounds = FULL if full else SHORT
    simulated = [Part(f"simulator {k}", lambda k=k: _simulated(seed + k * TRIALS)) for k in range(10 if full else 1)]
    wards = list(stretches.full(records)) if full and records else [stretches.stated(records)]
    cuts = [Part(f"cuts {k}", lambda k=k: invariance([wards[k]], net=True, seed=seed + k)) for k in range(len(wards))]
    nonsense = [Part(f"nonsense {k}", lambda k=k: _nonsense(seed + k)) for k in range(20 if full else 0)]
    nonsense += [Part("guided nonsense", lambda: _guided(seed))] if full else []
    real = [Part(f"kills {k}", lambda k=k: _killed(seed + k, rounds, k, records)) for k in range(rounds.rounds)]
    blind = [
        Part(f"blind {how} {beds} beds {groups} groups", lambda *, a=(beds, groups, how): _blind(*a))
        for beds in (24, MANY)
        for groups in (1, 2)
        for how in ("SIGKILL", "SIGTERM")
        if full or beds < MANY or how == "SIGKILL"
    ]
    return [Part("tampering", lambda: _tampered(seed)), *simulated, *real, *blind, *cuts, *nonsense]


def _tell(line: str) -> None:
    print(f"    {line}", file=sys.stderr, flush=True)


def _tampered(seed: int) -> dict[str, Any]:
    found = tamper(seed, ALTERATIONS)
    return {"differences": len(found["missed"]), **found}


def _simulated(seed: int) -> dict[str, Any]:
    found = trials(TRIALS, seed, 2, lambda done: _tell(f"{done} of {TRIALS}") if done % 100 == 0 else None)
    return found | {"simulated_faults": found.pop("faults"), "failed_seeds": sorted(found["failed_seeds"])}


def _nonsense(seed: int) -> dict[str, Any]:
    found = whole(NONSENSE, seed)
    outgrown = found["largest_snapshot_bytes"] > MOST_SNAPSHOT
    return found | {"differences": found["neighbours_changed"] + outgrown}


def _guided(seed: int) -> dict[str, Any]:
    found = guided(GUIDED, seed)
    return found | {"differences": int(found.get("crashes", False))}


def _killed(seed: int, rounds: Rounds, number: int, records: Path | None) -> dict[str, Any]:
    drawn = plan(seed, rounds.seconds, rounds.faults, first=number * rounds.faults)
    _tell(f"seed {seed}: {drawn.partitions} partitions, {drawn.workers} workers, batches of {drawn.batch}")
    found = kills.run(drawn, records, _tell)
    verdict = found.verdict
    return {
        "seed": seed,
        "faults": len(drawn.faults),
        "alerts": verdict.alerts,
        "lethal": verdict.lethal,
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "differences": verdict.differences,
        "emitted_again": verdict.again,
        "seals": verdict.seals,
        "blind_max_s": verdict.blind_max_s,
        "lethal_delay_s": verdict.lethal_delay_s,
        "ended_by_themselves": len(found.ends),
        "examples": verdict.examples,
    }


def _blind(beds: int, groups: int, how: str) -> dict[str, Any]:
    found = failover.measure(beds, groups, signal.Signals[how])
    return msgspec.to_builtins(found) | {"lost": found.missed}
