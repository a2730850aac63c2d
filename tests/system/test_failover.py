"""A ward whose processes are killed under load, and the time for which its beds are blind."""

from __future__ import annotations

import signal

import pytest

from stream.settings import read_settings
from tests.campaign import kills
from tests.campaign.failover import measure
from tests.campaign.plan import KINDS, plan

pytestmark = pytest.mark.system
SEED = 7
MOST_BLIND_S = 8.0


@pytest.mark.timeout(400)
def test_after_eight_real_faults_each_alert_is_there_once_and_as_the_log_gives_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    drawn = plan(SEED, 36.0, 8, workers=3, beds=16)
    assert {fault.kind for fault in drawn.faults} == set(KINDS[:8])
    found = kills.run(drawn, read_settings().records)
    with capsys.disabled():
        print(f"\n{len(drawn.faults)} faults, {found.verdict.alerts} alerts, blind {found.verdict.blind_max_s} s")
    assert found.verdict.alerts > 100
    assert found.verdict.lethal > 10
    assert found.verdict.again > 0, "something was done again"
    assert (found.verdict.lost, found.verdict.doubled, found.verdict.differences) == (0, 0, 0), found.verdict.examples


@pytest.mark.timeout(240)
def test_beds_of_a_worker_that_is_killed_are_blind_for_seconds_and_no_lethal_alarm_is_missed() -> None:
    """How it is with 500 beds, with a second group, and when a worker is told to end, `make campaign` measures."""
    found = measure(24, 1, signal.SIGKILL)
    assert found.beds == 24
    assert found.lethal > 0
    assert found.missed == 0
    assert found.blind_s < MOST_BLIND_S
