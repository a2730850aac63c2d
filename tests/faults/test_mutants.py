"""The trials can fail: a way to break delivery is found within some of them."""

from __future__ import annotations

import pytest

from tests.faults.mutants import MUTANTS
from tests.faults.trial import trial


@pytest.mark.parametrize("name", ["fence open", "alerts not awaited", "own row alone", "rollback unnoticed"])
def test_a_mutant_is_found(name: str) -> None:
    with MUTANTS[name]():
        assert not all(trial(seed).holds for seed in range(20))
