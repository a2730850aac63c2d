"""Generated lethal events alarm within 10 s of their onset: clean, with one of two leads failing, and in noise."""

from __future__ import annotations

import pytest

from simulators.lethal import KINDS
from stream.evaluate.standards import CLEAN, FLAT, MOTION, MUSCLE, OFF, Happened, events

SEEDS = 2


@pytest.fixture(scope="module")
def happened() -> list[Happened]:
    return events(SEEDS, (CLEAN, FLAT, OFF, MOTION, MUSCLE))


@pytest.mark.parametrize("variant", [CLEAN, FLAT, OFF, MOTION, MUSCLE])
@pytest.mark.parametrize("kind", KINDS)
def test_60601_2_27_a_lethal_event_alarms_within_10_s(happened: list[Happened], kind: str, variant: str) -> None:
    of = [each for each in happened if (each.condition, each.variant) == (kind, variant)]
    assert len(of) == SEEDS
    assert all(each.alarmed for each in of), of


def test_an_event_that_alarms_late_or_never_is_missed() -> None:
    assert not Happened(CLEAN, "asystole", 0, None).alarmed
    assert not Happened(CLEAN, "asystole", 0, 9.8).alarmed
    assert Happened(CLEAN, "asystole", 0, 9.0).alarmed
