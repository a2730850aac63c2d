"""What may become of an alarm: its stages, the events that lead from one to another, and what is announced of each.

The machine that works by it is `ecg.alarm`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from ecg.alert import Phase, Presence

Stage = Literal["inactive", "pending", "inhibited", "on", "covered", "acknowledged", "latched"]
Event = Literal[
    "holds", "due", "inhibited", "covered", "uncovered", "spreads", "acknowledge", "remind", "gone", "latches", "reset"
]


class Step(NamedTuple):
    """Where an event leads, and what is announced of it, if anything."""

    stage: Stage
    phase: Phase | None = None
    presence: Presence = "off"


TABLE: dict[tuple[Stage, Event], Step] = {
    ("inactive", "holds"): Step("pending"),
    ("pending", "due"): Step("on", "start", "on"),
    ("pending", "inhibited"): Step("inhibited", "suppressed"),
    ("pending", "gone"): Step("inactive"),
    ("pending", "reset"): Step("inactive"),
    ("inhibited", "due"): Step("on", "start", "on"),
    ("inhibited", "gone"): Step("inactive", "end"),
    ("inhibited", "reset"): Step("inactive", "end"),
    ("on", "covered"): Step("covered", "escalate", "off"),
    ("on", "spreads"): Step("on", "update", "on"),
    ("on", "acknowledge"): Step("acknowledged", "update", "acknowledged"),
    ("on", "gone"): Step("inactive", "end", "off"),
    ("on", "latches"): Step("latched", "update", "latched"),
    ("on", "reset"): Step("inactive", "end", "off"),
    ("covered", "uncovered"): Step("on", "update", "on"),
    ("covered", "acknowledge"): Step("acknowledged", "update", "acknowledged"),
    ("covered", "gone"): Step("inactive", "end", "off"),
    ("covered", "latches"): Step("latched", "update", "latched"),
    ("covered", "reset"): Step("inactive", "end", "off"),
    ("acknowledged", "spreads"): Step("on", "update", "on"),
    ("acknowledged", "remind"): Step("on", "update", "on"),
    ("acknowledged", "gone"): Step("inactive", "end", "off"),
    ("acknowledged", "reset"): Step("inactive", "end", "off"),
    ("latched", "acknowledge"): Step("inactive", "end", "off"),
    ("latched", "holds"): Step("inactive", "end", "off"),
    ("latched", "reset"): Step("inactive", "end", "off"),
}
"""What may follow what. An event that a stage does not name leaves it as it is.

`covered` is a condition that holds behind a worse one of its chains; `inhibited` one that is due too soon after an
alarm of it, or of a worse one, ended: it is logged as suppressed, and starts if it holds for that long. A latched alarm
whose condition holds anew ends, and a new one starts, so that it sounds. Lethal conditions are never inhibited, and
covered only by one that nobody has acknowledged.
"""


def diagram() -> str:
    """Return the table as a state diagram in Mermaid, an arrow a row, with the phase that it announces.

    Examples
    --------
    >>> diagram().splitlines()[1:3]
    ['    [*] --> pending: holds', '    pending --> on: due / start']
    """
    lines = ["stateDiagram-v2"]
    for (stage, event), step in TABLE.items():
        ends = ["[*]" if each == "inactive" else each for each in (stage, step.stage)]
        said = f" / {step.phase}" if step.phase else ""
        lines.append(f"    {ends[0]} --> {ends[1]}: {event}{said}")
    return "\n".join(lines)
