"""Hypothesis looks for a sequence of faults after which the ward holds something else than the log gives."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.faults.verdict import judge
from tests.faults.world import MOMENTS, Blow, World

WORKERS = st.integers(0, 1)
BLOWS: st.SearchStrategy[Blow] = st.sampled_from(["kill", "stop", "terminate"])


class Ward(RuleBasedStateMachine):
    """A ward to which anything is done in any order; at its end it must hold what its log gives."""

    world: World | None = None

    @initialize(seed=st.integers(0, 9), partitions=st.integers(1, 3), standby=st.booleans())
    def begin(self, seed: int, partitions: int, standby: bool) -> None:
        self.world = World(seed, devices=2, partitions=partitions, standby=standby)
        self.world.__enter__()
        self.ward.run(6.0)

    @property
    def ward(self) -> World:
        assert self.world is not None
        return self.world

    @rule(seconds=st.sampled_from([0.05, 0.3, 1.0, 4.0]))
    def deliver(self, seconds: float) -> None:
        """Frames come, and ticks: split, doubled, late and out of order as the network has it."""
        self.ward.run(seconds)

    @rule(doubled=st.floats(0, 0.5), late=st.floats(0, 0.5), lost=st.floats(0, 0.1))
    def network(self, doubled: float, late: float, lost: float) -> None:
        self.ward.network.doubled, self.ward.network.late, self.ward.network.lost = doubled, late, lost

    @rule(worker=WORKERS, blow=BLOWS, at=st.sampled_from(["", *MOMENTS]), nth=st.integers(1, 3))
    def strike_a_worker(self, worker: int, blow: Blow, at: str, nth: int) -> None:
        self.ward.strike(self.ward.workers[worker], blow, at, nth, for_s=0.5)

    @rule(worker=WORKERS, at=st.sampled_from(["", *MOMENTS]), for_s=st.sampled_from([7.0, 12.0]))
    def make_a_zombie(self, worker: int, at: str, for_s: float) -> None:
        self.ward.strike(self.ward.workers[worker], "stop", at, 1, for_s)

    @rule()
    def rebalance(self) -> None:
        self.ward.rebalance()

    @rule(publisher=WORKERS, blow=BLOWS, at=st.sampled_from(["", "wrote redis"]), for_s=st.sampled_from([1.0, 8.0]))
    def strike_a_publisher(self, publisher: int, blow: Blow, at: str, for_s: float) -> None:
        self.ward.strike(self.ward.publishers[publisher], blow, at, 1, for_s)

    @rule(calls=st.integers(1, 4))
    def redis_times_out(self, calls: int) -> None:
        self.ward.redis_times_out(calls)

    @rule()
    def redis_saves(self) -> None:
        self.ward.server.save()

    @rule()
    def redis_rolls_back(self) -> None:
        self.ward.redis_rolls_back()

    @rule()
    def redis_is_lost(self) -> None:
        self.ward.redis_is_lost()

    @rule()
    def command(self) -> None:
        self.ward.any_command()

    @rule()
    def command_again(self) -> None:
        self.ward.repeat_command()

    @rule()
    def set_up(self) -> None:
        self.ward.any_setup()

    @rule()
    def ticker_jumps(self) -> None:
        self.ward.ticker_jumps()

    @rule(ticker=WORKERS)
    def kill_a_ticker(self, ticker: int) -> None:
        self.ward.strike(self.ward.tickers[ticker], "kill")

    @rule(device=WORKERS, for_s=st.sampled_from([3.0, 9.0]))
    def device_falls_silent(self, device: int, for_s: float) -> None:
        self.ward.falls_silent(sorted(self.ward.monitors)[device], for_s)

    @rule(device=WORKERS, for_s=st.sampled_from([3.0, 9.0]))
    def patient_goes_home(self, device: int, for_s: float) -> None:
        self.ward.goes_home(sorted(self.ward.monitors)[device], for_s)

    @rule(device=WORKERS)
    def device_restarts(self, device: int) -> None:
        self.ward.monitors[sorted(self.ward.monitors)[device]].restart()

    def teardown(self) -> None:
        if self.world is None:
            return
        try:
            verdict = judge(self.world, self.world.settle())
            assert verdict.holds, verdict
        finally:
            self.world.__exit__()
            self.world = None


TestWard: Any = Ward.TestCase
TestWard.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
