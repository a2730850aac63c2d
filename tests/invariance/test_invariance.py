"""However recordings are cut into partitions, frames and batches, and wherever a worker restarts: the same alerts."""

from __future__ import annotations

import pytest

from ecg.alert import decode_alert
from tests.invariance.cuts import CUTS, WHOLE, Cut, compared, decided, log
from tests.invariance.stretches import short

SOURCES = {stretch.device: stretch.source() for stretch in short()}


@pytest.mark.parametrize("cut", CUTS, ids=lambda cut: "-".join(map(str, cut)))
def test_a_cut_and_a_restart_change_no_alert_and_a_replay_no_byte(cut: Cut) -> None:
    (row,) = compared(SOURCES, {}, seed=len(str(cut)), cuts=[cut])
    assert (row.differences, row.replay_differences) == (0, 0)


def test_the_stretches_have_something_to_lose() -> None:
    alerts = [decode_alert(value) for value in decided(log(SOURCES, WHOLE, None), WHOLE, {}).values()]
    raised = {alert.condition for alert in alerts if alert.phase == "start"}
    assert {"ventricular_tachycardia", "asystole", "no_data", "risk_level"} <= raised


def test_the_cuts_cover_nearly_all_pairs() -> None:
    pairs = {(a, b) for cut in CUTS for a in enumerate(cut) for b in enumerate(cut) if a < b}
    assert {cut.partitions for cut in CUTS} == {1, 3, 7}
    assert {cut.frame_s for cut in CUTS} == {0.04, 0.25, 1.0, 2.0}
    assert {cut.batch for cut in CUTS} == {1, 32, 256}
    assert len(pairs) >= 20, "of 33"
