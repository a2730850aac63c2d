"""How the spread of a run is chosen."""

from __future__ import annotations

import numpy as np
import pytest

from ecg.rate import RUN_SPREAD
from ecg.rate_fit import SPREADS, fit


def kept_from(*firsts: int) -> np.ndarray:
    """Alarms that are kept by every spread from this one on."""
    return np.arange(len(SPREADS)) >= np.array(firsts)[:, None]


def test_the_spread_with_the_best_score_is_taken() -> None:
    assert fit(np.array([True, True, False]), kept_from(1, 3, 4)) == SPREADS[3]
    assert fit(np.array([True, False, False, False, False, False, False]), kept_from(5, *[4] * 6)) == SPREADS[3]


def test_a_true_alarm_withheld_costs_five() -> None:
    assert fit(np.array([True, True, False]), kept_from(1, 5, 3)) == SPREADS[-1]


def test_of_equals_the_largest_is_taken() -> None:
    assert fit(np.array([True, False]), kept_from(0, len(SPREADS))) == SPREADS[-1]


def test_without_an_alarm_none_is_chosen() -> None:
    with pytest.raises(ValueError, match="must be alarms"):
        fit(np.zeros(0, np.bool_), kept_from()[:0].reshape(0, len(SPREADS)))


def test_the_shipped_spread_is_among_those_tried() -> None:
    assert RUN_SPREAD in SPREADS
    assert list(SPREADS) == sorted(set(SPREADS))
