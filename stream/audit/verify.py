"""`vigil verify`: one alert derived alone, from the nearest checkpoint of its device, and what decided it."""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import Any

import msgspec

from ecg.alert import Alert, decode_alert
from stream import topics
from stream.audit.compare import changed_fields
from stream.audit.derive import Deriver, Refusal, Stretch
from stream.audit.log import Entry, Log
from stream.audit.nets import Nets
from stream.version import VERSION


class Verified(msgspec.Struct, frozen=True):
    """An alert as it was logged (at `place` in its topic), and how the one that is derived again differs.

    `resumed` is the offset of the input from which it was derived; `derived` says whether there is such an alert.
    """

    identical: bool
    derived: bool
    place: int
    version: str
    alert: Alert
    resumed: int
    fields: dict[str, tuple[Any, Any]]
    gaps: list[Stretch]
    refusals: list[Refusal]


async def find(log: Log, wanted: str) -> Entry | None:
    """Return an alert by its id, its offset in the alert topic, or its entry in Redis, which begins with that offset.

    Of copies of one alert the first counts.
    """
    first, end = (await log.bounds(topics.ALERTS)).get(0, (0, 0))
    if match := re.fullmatch(r"(\d{1,19})(-\d+)?", wanted):
        first, end = int(match[1]), int(match[1]) + 1
    async with aclosing(log.read(topics.ALERTS, 0, first, end)) as batches:
        async for batch in batches:
            for entry in batch:
                if match or (wanted.encode() in (entry.value or b"") and _id(entry) == wanted):
                    return entry
    return None


def _id(entry: Entry) -> str | None:
    try:
        return decode_alert(entry.value or b"").id
    except msgspec.DecodeError:
        return None


async def verify(log: Log, entry: Entry, nets: Nets | None = None) -> Verified:
    """Derive one alert again, of its device alone, and compare it with the logged one.

    Raises
    ------
    ValueError
        If the record is no alert, or one that no input decided; or a checkpoint is of another version's form.
    """
    try:
        alert = decode_alert(entry.value or b"")
    except msgspec.DecodeError as error:
        raise ValueError(f"record {entry.offset} of {topics.ALERTS} must be an alert, got {error}") from None
    source = alert.source
    if source.topic != topics.INPUT:
        raise ValueError(f"alert must come of {topics.INPUT}, got one that {alert.device} gave of {source.topic}")
    deriver = Deriver(log, Nets(log) if nets is None else nets, device=alert.device)
    again: bytes | None = None
    async for out in deriver.run(Stretch(source.partition, source.last_offset, source.last_offset + 1)):
        for _, value in out.alerts:
            other = decode_alert(value)
            if (other.source.last_offset, other.ordinal) == (source.last_offset, alert.ordinal) or other.id == alert.id:
                again = value
    logged = entry.value or b""
    return Verified(
        again == logged and entry.key == alert.device.encode(),
        again is not None,
        entry.offset,
        VERSION,
        alert,
        deriver.work.resumed.get(source.partition, 0),
        {} if again is None or again == logged else changed_fields(logged, again),
        deriver.work.gaps,
        deriver.work.refusals,
    )


def told(found: Verified) -> list[str]:
    """Return in lines for people what decided an alert, and whether it is the same again."""
    alert, source = found.alert, found.alert.source
    weights = ", ".join(sha[:12] for sha in alert.weights_sha256) or "none: the rules alone"
    lines = [
        f"{alert.id}  {alert.device} at {alert.ward}/{alert.bed}: {alert.text}, {alert.phase}, {alert.priority}",
        f"decided by input {source.partition}:{source.last_offset}, evidence from offset {source.first_offset} on,"
        f" derived from offset {found.resumed} on",
        f"trace: {alert.evidence.trace or 'none'}; beats: {alert.evidence.beats or 'none'}",
        f"quality: {', '.join(f'{lead} {word}' for lead, word in alert.evidence.quality.items()) or 'none'}",
        f"weights {weights}; settings {alert.settings_sha256[:12]}; version {alert.version}, this is {found.version}",
    ]
    lines += [f"gap: partition {gap.partition} lacks offsets {gap.first} to {gap.end - 1}" for gap in found.gaps]
    if not found.derived:
        return [*lines, "DIFFERENT: no such alert is derived"]
    lines += [f"{name or 'bytes'}: logged {was!r}, derived {now!r}" for name, (was, now) in found.fields.items()]
    return [*lines, "identical" if found.identical else "DIFFERENT"]
