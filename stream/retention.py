"""How long what is in the log is kept: chosen in hours, by topic, when topics are made or later.

A checkpoint is where a replay starts, so checkpoints outlive the input by an hour; alerts and seals are what a replay
compares with, so they are kept at least as long as the input. The rest is free.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

HOUR_MS = 3_600_000
FOREVER = -1
"""What Kafka calls for ever, in `retention.ms`."""
LONGEST_H = 1_000_000
CHECKPOINTS_OUTLIVE_MS = HOUR_MS
DAY_MS = 24 * HOUR_MS
LEAST_SEGMENT_MS = 600_000

Keep = Mapping[str, int]
"""For how many milliseconds what is kept, or `FOREVER`: by `input`, `vitals`, `alerts`, `seals`, `dead-letters`."""


def hours_ms(given: str) -> int:
    """Return hours, as somebody wrote them, in milliseconds.

    Raises
    ------
    ValueError
        If it is neither a whole number of hours from 1 to a million nor `forever`.

    Examples
    --------
    >>> hours_ms("336"), hours_ms("forever")
    (1209600000, -1)
    """
    if given == "forever":
        return FOREVER
    if not re.fullmatch(r"[0-9]{1,7}", given) or not 1 <= int(given) <= LONGEST_H:
        raise ValueError(f"hours must be 1 to {LONGEST_H}, or `forever`, got {given!r}")
    return int(given) * HOUR_MS


def shown(retention_ms: int) -> str:
    """Return how long something is kept, for people."""
    return "for ever" if retention_ms == FOREVER else f"{retention_ms / HOUR_MS:g} h"


def longer(retention_ms: int, by_ms: int) -> int:
    """Return a retention that is longer by so much; for ever stays so."""
    return FOREVER if retention_ms == FOREVER else retention_ms + by_ms


def at_least(retention_ms: int, least_ms: int) -> bool:
    """Say whether one retention is at least as long as another."""
    return retention_ms == FOREVER or (least_ms != FOREVER and retention_ms >= least_ms)


def segment_ms(retention_ms: int) -> int:
    """Return after how long a segment is closed: only closed ones are deleted, so this is how late that may be.

    A seventh of what is kept, from ten minutes up to a day.
    """
    if retention_ms == FOREVER:
        return 7 * DAY_MS
    return min(max(retention_ms // 7, LEAST_SEGMENT_MS), DAY_MS)
