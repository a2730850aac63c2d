"""The page for engineers holds what the code holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stream.retention import shown
from stream.settings import PREFIX, Settings
from stream.topic_table import TOPICS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text()
SERVICES = {"worker": "watch", "publisher": "publish", "ticker": "ticker"}


def section(heading: str) -> str:
    return PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]


def test_every_variable_of_the_environment_stands_there_and_no_other() -> None:
    named = set(re.findall(rf"`({PREFIX}[A-Z_]+)`", section("Settings")))
    assert named == {PREFIX + name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("service", SERVICES)
def test_every_metric_of_a_service_stands_there_and_no_other(service: str) -> None:
    source = (ROOT / "stream" / f"{SERVICES[service]}.py").read_text()
    made = re.findall(r'health\.(counter|gauge|seconds)\(\s*"([a-z_]+)"', source)
    names = {name + ("_seconds" if kind == "seconds" else "") for kind, name in made}
    table = section("Health and metrics").split(f"| `vigil_{service}_...`", 1)[1].split("\n\n", 1)[0]
    rows = [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)} == names


def test_how_long_each_topic_is_kept_stands_there_as_the_table_has_it() -> None:
    for topic in TOPICS.values():
        kept = "newest" if topic.cleanup == "compact" else shown(topic.retention_ms)
        (row,) = [line for line in section("What is kept how long").splitlines() if f"`{topic.name}`" in line]
        assert row.startswith(f"| `{topic.name}` | {kept} | ")
        if topic.kept_as:
            assert f"`--keep-{topic.kept_as}`" in row
