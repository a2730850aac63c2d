"""Real Kafka and real Redis, started once for all system tests of a run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from stream.embedded import Services
from stream.settings import read_settings


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """Give services of our own, also where the environment names others: tests write where they like."""
    settings = read_settings().model_copy(update={"kafka": None, "redis": None})
    with Services(settings) as running:
        yield running
