"""What all tests share: the folder of public record sets, where there is one."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")


def _records_folder() -> Path | None:
    named = os.environ.get("VIGIL_RECORDS")
    return Path(named) if named and Path(named).is_dir() else None


@pytest.fixture(scope="session")
def records() -> Path:
    """Folder of public record sets that VIGIL_RECORDS names; tests marked `records` are left out without it."""
    folder = _records_folder()
    assert folder is not None, "a test that takes `records` must be marked with it"
    return folder


@pytest.fixture(autouse=True)
def _own_log() -> Iterator[None]:
    """Take away what a test put into the root logger: its handlers write to that test's stderr, which is closed."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave tests on real records out, loudly and counted, where VIGIL_RECORDS names no folder."""
    if _records_folder() is not None:
        return
    needing = [item for item in items if item.get_closest_marker("records")]
    config.stash[LEFT_OUT] = len(needing)
    for item in needing:
        item.add_marker(pytest.mark.skip(reason="VIGIL_RECORDS names no folder of record sets"))


LEFT_OUT = pytest.StashKey[int]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say in one line how many tests on real records were left out."""
    if left_out := config.stash.get(LEFT_OUT, 0):
        terminalreporter.write_line(
            f"{left_out} tests on real records were skipped: set VIGIL_RECORDS to the folder of the record sets",
            red=True,
        )
