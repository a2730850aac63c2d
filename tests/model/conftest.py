"""A network with random weights, and small sets of records that any network can tell apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from model import dataset, monitors, weights
from tests.model import made_up


@pytest.fixture(scope="session")
def weights_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    path.write_bytes(made_up.random_weights())
    return path


@pytest.fixture(scope="session")
def network(weights_path: Path) -> weights.Network:
    return weights.load(weights_path)


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of twelve-lead rows and strips of a monitor."""
    folder = tmp_path_factory.mktemp("sets")
    made_up.write_rows(folder)
    made_up.write_strips(folder)
    return folder


@pytest.fixture(scope="session")
def generated(rows: Path) -> dataset.Records:
    return dataset.read_sets(rows)


@pytest.fixture(scope="session")
def strips(rows: Path) -> dataset.Records:
    found = monitors.cached(rows, None)
    assert found is not None
    return found
