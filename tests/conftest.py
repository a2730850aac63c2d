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


NEEDS_RECORDS = "VIGIL_RECORDS names no folder of record sets"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what needs Kafka and Redis first, since it mostly waits: processes that share the run begin at either end.

    Tests on real records are left out, loudly and counted, where VIGIL_RECORDS names no folder.
    """
    items.sort(key=lambda item: item.get_closest_marker("system") is None)
    for item in items:
        if item.get_closest_marker("records") and _records_folder() is None:
            item.add_marker(pytest.mark.skip(reason=NEEDS_RECORDS))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line how many tests on real records were left out."""
    skipped = terminalreporter.stats.get("skipped", [])
    if left_out := sum(NEEDS_RECORDS in str(report.longrepr) for report in skipped):
        terminalreporter.write_line(
            f"{left_out} tests on real records were skipped: set VIGIL_RECORDS to the folder of the record sets",
            red=True,
        )
