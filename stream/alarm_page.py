"""What `docs/alarms.md` takes from the code: conditions, settings, chains and what may become of an alarm.

`python -m stream.alarm_page docs/alarms.md` writes these parts anew; a test compares them.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import msgspec

from ecg.alarm_table import diagram
from ecg.clinical import RANGES, Settings
from ecg.condition import CHAINS, CONDITIONS, Condition

_DEFAULTS = msgspec.structs.asdict(Settings())


def written(page: str) -> str:
    """Return a page with the parts between `<!-- NAME -->` and `<!-- /NAME -->` as the code has them."""
    for name, part in parts().items():
        page = re.sub(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", rf"\g<1>{part}\n\g<2>", page, flags=re.S)
    return page


def parts() -> dict[str, str]:
    """Return the parts by name."""
    return {
        "conditions": conditions(),
        "settings": settings(),
        "chains": chains(),
        "stages": f"```mermaid\n{diagram()}\n```",
    }


def conditions() -> str:
    """Return the table of conditions; a number that a setting decides stands with its default and range."""
    rows = [
        "| condition | priority | | holds when (default, range) | delay, s | hold, s | inhibit, s | code | after |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for c in CONDITIONS.values():
        kind = "lethal, latching" if c.lethal else "technical" if c.technical else ""
        timing = f"{c.delay_s:g} | {c.hold_s:g} | {c.inhibit_s:g}"
        rows.append(f"| `{c.name}` | {c.priority} | {kind} | {_definition(c)} | {timing} | {c.code} | {c.source} |")
    return "\n".join(rows)


def _definition(condition: Condition) -> str:
    def number(found: re.Match[str]) -> str:
        low, high, unit, _ = RANGES[found[1]]
        return f"{_DEFAULTS[found[1]]:g} {unit} ({low:g}-{high:g})"

    return re.sub(r"\{(\w+)\}", number, condition.definition)


def settings() -> str:
    """Return the table of settings."""
    rows = ["| setting | meaning | default | range |", "| --- | --- | --- | --- |"]
    for name, (low, high, unit, meaning) in RANGES.items():
        rows.append(f"| `{name}` | {meaning} | {_DEFAULTS[name]:g} {unit} | {low:g}-{high:g} |")
    return "\n".join(rows)


def chains() -> str:
    """Return the chains as a list, worst first."""
    return "\n".join("- " + " over ".join(f"`{name}`" for name in chain) for chain in CHAINS)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(written(path.read_text()))
