"""Real Kafka and real Redis, started once for all system tests of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from stream.embedded import Services
from stream.kafka import Kafka
from stream.settings import read_settings
from tests.system.fresh import anew


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """Give services of our own, also where the environment names others: tests write where they like."""
    settings = read_settings().model_copy(update={"kafka": None, "redis": None})
    with Services(settings) as running:
        yield running


@pytest.fixture
def kafka(services: Services) -> Iterator[Kafka]:
    """Give empty topics, and leave none of what a test wrote there."""
    client: Kafka = {"bootstrap_servers": services.kafka}
    asyncio.run(anew(client))
    yield client
    asyncio.run(anew(client))
