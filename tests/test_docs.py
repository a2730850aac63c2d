"""The documentation holds what the code holds."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ecg.clinical import RANGES, Settings
from ecg.condition import CONDITIONS

ROOT = Path(__file__).parent.parent
ALARMS = (ROOT / "docs" / "alarms.md").read_text().splitlines()


def test_every_condition_stands_in_the_page_on_alarms_as_the_code_has_it() -> None:
    for c in CONDITIONS.values():
        kind = "lethal, latching" if c.lethal else "technical" if c.technical else ""
        assert f"| `{c.name}` | {c.priority} | {kind} | {c.delay_s:g} | {c.hold_s:g} | {c.code} |" in ALARMS


def test_every_setting_stands_there_with_its_default_and_range() -> None:
    defaults = msgspec.structs.asdict(Settings())
    assert set(defaults) == set(RANGES)
    for name, (low, high, unit, meaning) in RANGES.items():
        assert f"| `{name}` | {meaning} | {defaults[name]:g} {unit} | {low:g}-{high:g} |" in ALARMS
