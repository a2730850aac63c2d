"""How the definitions of the challenge's alarms are chosen."""

from __future__ import annotations

import numpy as np
import pytest

from ecg.challenge2015 import KINDS, SETTINGS
from ecg.challenge2015_fit import CANDIDATES, SHIPPED, Definition, fit, fit_all

N = len(CANDIDATES["asystole"])


def kept_from(*firsts: int) -> np.ndarray:
    """Alarms that are kept by every definition from this one on."""
    return np.arange(N) >= np.array(firsts)[:, None]


def test_the_definition_with_the_best_score_is_taken() -> None:
    assert fit("asystole", np.array([True, False]), kept_from(1, 2)) == 1
    assert fit("asystole", np.array([True, False, False, False, False, False, False]), kept_from(2, *[1] * 6)) == 0


def test_a_true_alarm_withheld_costs_five() -> None:
    assert fit("asystole", np.array([True, True, False, False]), kept_from(0, 2, 1, 1)) == 2


def test_of_nearly_equals_the_one_that_keeps_more_true_alarms_is_taken() -> None:
    for n_false, taken in ((5, 2), (45, 0)):
        true = np.array([True] * 40 + [False] * n_false)
        assert fit("asystole", true, kept_from(*[0] * 39, 2, *[2] * n_false)) == taken


def test_of_equals_the_one_nearest_to_the_challenges_own_is_taken() -> None:
    assert fit("asystole", np.array([True, False]), kept_from(0, N)) == 0
    assert fit("asystole", np.zeros(0, np.bool_), kept_from()[:0].reshape(0, N)) == 0


def test_decisions_by_other_candidates_are_refused() -> None:
    with pytest.raises(ValueError, match=r"kept must have shape \(1, 3\), got \(1, 2\)"):
        fit("asystole", np.array([True]), np.ones((1, 2), np.bool_))


def test_each_type_is_chosen_by_its_own_alarms() -> None:
    found = fit_all([("asystole", True, [False, False, True]), ("asystole", False, [False] * 3)])
    assert found == {kind: 2 if kind == "asystole" else 0 for kind in KINDS}


def test_candidates_begin_with_the_challenges_own_are_in_range_and_hold_the_shipped_one() -> None:
    assert set(CANDIDATES) == set(SHIPPED) == set(KINDS)
    for kind, tried in CANDIDATES.items():
        assert tried[0] == Definition(SETTINGS)
        assert SHIPPED[kind] in tried
        assert len(set(map(str, tried))) == len(tried)
        for each in tried:
            each.settings.check()
