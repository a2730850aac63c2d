"""What would have been alarmed under other weights or settings: a range of the input derived again as if, and counted.

Where the range begins, the setup in force takes another face, as do those that follow; what came before is as it was.
What is compared is how often each condition was announced, not bytes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from ecg.clinical import Settings
from ecg.frame import Setup
from stream import topics
from stream.audit.compare import head_of
from stream.audit.derive import Deriver
from stream.audit.log import Entry, Log
from stream.audit.nets import Nets
from stream.audit.replay import Wanted, read_logged, stretches_of
from stream.version import VERSION


class Under(NamedTuple):
    """What is to be otherwise: clinical settings, or the sha256 of the network's weights (None: the rules alone)."""

    settings: Settings | None = None
    weights: str | None = None
    other_weights: bool = False

    def face(self, setup: Setup) -> Setup:
        """Return a setup as if."""
        if self.settings is not None:
            setup = msgspec.structs.replace(setup, settings=self.settings)
        if self.other_weights:
            setup = msgspec.structs.replace(setup, weights={**setup.weights, "net": self.weights})
        return setup


class Row(msgspec.Struct, frozen=True):
    """How often something was announced: as it was logged, and as it would have been."""

    name: str
    logged: int
    derived: int


class WhatIf(msgspec.Struct, frozen=True):
    """By condition, and by bed and day (UTC, of the decision); changes of risk level are counted each."""

    version: str
    figures: dict[str, float]
    conditions: list[Row]
    beds: list[Row]
    notes: list[str]


class _Seen(msgspec.Struct, frozen=True):
    id: str
    ward: str
    bed: str
    device: str
    condition: str
    phase: str
    decided_ns: int


_seen = msgspec.json.Decoder(_Seen)


class _Counts:
    """Announcements, each alert once."""

    def __init__(self) -> None:
        self.conditions: Counter[str] = Counter()
        self.beds: Counter[str] = Counter()
        self._ids: set[str] = set()

    def add(self, value: bytes) -> None:
        alert = _seen.decode(value)
        if alert.id in self._ids or (alert.phase != "start" and alert.condition != "risk_level"):
            return
        self._ids.add(alert.id)
        day = datetime.fromtimestamp(alert.decided_ns // 10**9, UTC).strftime("%Y-%m-%d")
        place = f"{alert.ward}/{alert.bed}" if alert.bed else alert.device
        self.conditions[alert.condition] += 1
        self.beds[f"{day} {place} {alert.condition}"] += 1


async def what_if(log: Log, wanted: Wanted, under: Under, nets: Nets) -> WhatIf:
    """Derive a range as if, and count what is announced beside what was.

    Raises
    ------
    ValueError
        If the log has no such range, or a checkpoint is of another version's form.
    """
    stretches, notes = await stretches_of(log, wanted)
    inside = {stretch.partition: stretch for stretch in stretches}

    def counts(value: bytes) -> bool:
        head = head_of(value)
        if head is None or head.source.topic != topics.INPUT or wanted.device not in (None, head.device):
            return False
        stretch = inside.get(head.source.partition)
        return stretch is not None and stretch.first <= head.source.last_offset < stretch.end

    logged, derived = _Counts(), _Counts()
    await read_logged(log, stretches, _taking(logged, counts))
    deriver = Deriver(log, nets, device=wanted.device, start=wanted.start, as_if=under.face)
    for stretch in stretches:
        async for out in deriver.run(stretch):
            for _, value in out.alerts:
                if counts(value):
                    derived.add(value)
    figures = {
        "alerts_logged": logged.conditions.total(),
        "alerts_derived": derived.conditions.total(),
        "bed_seconds": deriver.work.bed_seconds,
        "seconds": round(deriver.work.seconds, 3),
    }
    return WhatIf(
        VERSION, figures, _rows(logged.conditions, derived.conditions), _rows(logged.beds, derived.beds), notes
    )


def _taking(counts: _Counts, wanted: Callable[[bytes], bool]) -> Callable[[list[Entry]], None]:
    def take(entries: list[Entry]) -> None:
        for entry in entries:
            if entry.value is not None and wanted(entry.value):
                counts.add(entry.value)

    return take


def _rows(logged: Counter[str], derived: Counter[str]) -> list[Row]:
    return [Row(name, logged[name], derived[name]) for name in sorted(logged | derived)]


def told(what: WhatIf) -> list[str]:
    """Return both tables in lines for people."""
    lines = [f"note: {note}" for note in what.notes]
    for title, rows in (("condition", what.conditions), ("day, bed, condition", what.beds)):
        width = max(map(len, [title, *(row.name for row in rows)]))
        lines += [f"{title:{width}}  logged  derived"]
        lines += [f"{row.name:{width}}  {row.logged:6}  {row.derived:7}" for row in rows] + [""]
    return lines[:-1]
