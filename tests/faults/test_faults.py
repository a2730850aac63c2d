"""Whatever is killed, stopped, lost or rolled back: each alert reaches its ward once, as the log alone gives it."""

from __future__ import annotations

import pytest

from ecg.alert import decode_alert
from stream import topics
from stream.snapshot import head
from tests.faults.trial import trial, trials
from tests.faults.verdict import judge
from tests.faults.world import MOMENTS, World

SEEDS = range(40)


@pytest.mark.parametrize("first", SEEDS[::10])
def test_through_drawn_faults_nothing_is_lost_doubled_or_other_than_from_the_log(first: int) -> None:
    found = {seed: trial(seed) for seed in range(first, first + 10)}
    assert {seed: verdict for seed, verdict in found.items() if not verdict.holds} == {}
    assert sum(verdict.faults for verdict in found.values()) > 60
    assert sum(verdict.alerts for verdict in found.values()) > 150


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("blow", ["kill", "stop"])
def test_a_worker_struck_at_any_moment_of_a_batch_loses_and_doubles_nothing(moment: str, blow: str) -> None:
    with World(seed=len(moment), devices=4, partitions=1, workers=1) as world:
        world.run(5.0)
        world.strike(world.workers[0], "kill" if blow == "kill" else "stop", at=moment, for_s=9.0)
        world.run(30.0)
        verdict = judge(world, world.settle())
        assert verdict.holds, verdict
        assert world.workers[0].starts > 1 or blow == "stop"


def test_a_worker_that_is_told_to_end_leaves_the_state_of_every_device_as_of_its_last_batch() -> None:
    with World(seed=8, devices=4, partitions=1, workers=1) as world:
        world.run(12.2)
        before = len(world.brokers.entries(topics.STATE))
        world.strike(world.workers[0], "terminate")
        world.run(2.0)
        left = world.brokers.entries(topics.STATE)[before : before + 5]
        covers = {entry.key: head(entry.value or b"").covers for entry in left}
        assert len(covers) == 5  # four devices, and the partition's own
        assert len(set(covers.values())) == 1
        world.run(15.0)
        verdict = judge(world, world.settle())
        assert verdict.holds, verdict


def test_the_same_seed_gives_the_same_ward_to_the_byte() -> None:
    def ended(seed: int) -> list[list[tuple[object, ...]]]:
        with World(seed) as world:
            world.run(10.0)
            world.strike(world.workers[0], "kill")
            world.run(15.0)
            return [list(log) for log in world.brokers.logs.values()]

    assert ended(3) == ended(3)


def test_a_ward_without_faults_emits_each_alert_once() -> None:
    with World(seed=5, workers=1, partitions=1) as world:
        world.run(40.0)
        verdict = judge(world, world.settle())
        emitted = len(world.brokers.entries(topics.ALERTS))
    assert verdict.holds, verdict
    assert emitted == verdict.alerts > 8


def test_many_trials_are_summed_up() -> None:
    found, alone = trials(2, seed=100, processes=1), [trial(seed) for seed in (100, 101)]
    assert found["alerts"] == sum(verdict.alerts for verdict in alone) > 20
    assert found["faults"] == sum(verdict.faults for verdict in alone) > 8
    assert (found["lost"], found["doubled"], found["differences"], found["failed_seeds"]) == (0, 0, 0, {})


def test_a_publisher_that_begins_while_redis_is_away_raises_its_alarm_behind_those_of_before() -> None:
    with World(seed=5, workers=1, partitions=1) as world:
        world.run(20.0)
        world.redis_goes_away(12.0)
        world.run(25.0)
        world.redis_goes_away(14.0)
        world.strike(world.publishers[0], "kill")
        world.run(30.0)
        verdict = judge(world, world.settle())
        alerts = [decode_alert(entry.value or b"") for entry in world.brokers.entries(topics.ALERTS)]
    raised = [alert for alert in alerts if alert.device == "vigil:publisher-0" and alert.phase == "start"]
    assert len(raised) == 2
    assert verdict.holds, verdict
