"""The documentation holds what the code holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from ecg.alarm_table import TABLE
from ecg.clinical import RANGES
from ecg.condition import CONDITIONS
from stream.alarm_page import parts, written
from stream.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "MODEL_CARD.md", *sorted((ROOT / "docs").glob("*.md"))]
ALARMS = (ROOT / "docs" / "alarms.md").read_text()


def test_the_page_on_alarms_has_conditions_settings_chains_and_stages_as_the_code_has_them() -> None:
    assert set(re.findall(r"<!-- (\w+) -->", ALARMS)) == set(parts())
    assert written(ALARMS) == ALARMS, "run `python -m stream.alarm_page docs/alarms.md`"
    for name in (*CONDITIONS, *RANGES):
        assert f"| `{name}` |" in ALARMS
    assert ALARMS.count(" --> ") == len(TABLE)


def _commands(group: TyperGroup) -> set[str]:
    """The names of all commands, those in groups with the group's before them, and of the groups."""
    names = set()
    for name, command in group.commands.items():
        names.add(name)
        if isinstance(command, TyperGroup):
            names |= {f"{name} {each}" for each in _commands(command)}
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_page_names_is_there(page: Path) -> None:
    vigil = typer.main.get_command(app)
    assert isinstance(vigil, TyperGroup)
    commands = _commands(vigil)
    groups = {name.split()[0] for name in commands if " " in name}
    for first, second in re.findall(r"(?:`|bin/|^|\n)vigil ([a-z][a-z0-9-]*)(?: ([a-z][a-z0-9-]*))?", page.read_text()):
        assert first in commands, f"{page.name}: vigil {first}"
        if first in groups and second:
            assert f"{first} {second}" in commands, f"{page.name}: vigil {first} {second}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_target_and_every_file_that_a_page_names_is_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"`make ([a-z-]+)", page.read_text())) <= targets
    for link in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / link).exists(), f"{page.name}: {link}"
