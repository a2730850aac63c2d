"""The records of which the demo tells its stories: which they are, and where the demo finds them unless told."""

from __future__ import annotations

from pathlib import Path

from simulators.story import PLOTS


def demo_records() -> dict[str, set[str]]:
    """Return the records of the demo's stories, by set."""
    names: dict[str, set[str]] = {}
    for cut in (cut for plot in PLOTS for cut in plot.cuts):
        one, _, record = cut.record.partition("/")
        names.setdefault(one, set()).add(record)
    return names


def demo_folder(cache: Path) -> Path | None:
    """Return the folder to which `vigil records get demo` brings them unless told, once something is there."""
    folder = cache / "records"
    return folder if any(folder.glob("*/*.hea")) else None
