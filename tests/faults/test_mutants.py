"""The simulator can fail: ways to break delivery are found by it."""

from __future__ import annotations

import pytest

from tests.faults.mutants import MUTANTS
from tests.faults.trial import trial
from tests.faults.verdict import judge
from tests.faults.world import World


@pytest.mark.parametrize("name", ["fence open", "own row alone", "rollback unnoticed"])
def test_drawn_faults_find_a_mutant(name: str) -> None:
    with MUTANTS[name]():
        assert not all(trial(seed).holds for seed in range(5))


def struck_behind_alerts(seed: int) -> bool:
    """Kill a worker over and over as the first snapshot behind alerts is stored, and say whether all holds."""
    with World(seed, devices=4, partitions=1, workers=1) as world:
        world.run(6.0)
        for _ in range(10):
            world.strike(world.workers[0], "kill", at="stored ecg.state.v1 behind alerts")
            world.run(4.0)
        return judge(world, world.settle()).holds


def test_alerts_that_are_not_awaited_before_snapshots_are_missed() -> None:
    assert struck_behind_alerts(0)
    with MUTANTS["alerts not awaited"]():
        assert not all(struck_behind_alerts(seed) for seed in range(8))
