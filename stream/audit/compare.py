"""Alerts as they were logged beside alerts as they are derived again: each difference, and what likely caused it.

Of the logged ones a digest is kept, not the bytes, so that days of a ward can be compared; what differs is read again.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

from ecg.alert import Source
from stream import topics
from stream.audit.derive import Stretch
from stream.audit.log import Entry, Log
from stream.version import VERSION

MOST_TOLD = 1000
"""Differences that are told one by one; the others are counted."""
FOLLOWS = "follows"
UNKNOWN = "unknown"


class Head(msgspec.Struct, frozen=True):
    """What places an alert, and what decided it."""

    id: str
    ordinal: int
    chain: str
    device: str
    condition: str
    phase: str
    source: Source
    weights_sha256: tuple[str, ...]
    settings_sha256: str
    version: str


_head = msgspec.json.Decoder(Head)


def head_of(value: bytes | None) -> Head | None:
    """Return the head of an alert; None where the bytes are none."""
    try:
        return _head.decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


class Difference(msgspec.Struct):
    """An alert that is `missing` in the log, `extra` in it, or `changed`.

    `place` is the offset in the alert topic, `offset` the one of the input that decided the alert; `fields` has what
    was logged and what is derived of each field that differs; `cause` what it likely comes from: `weights`, `settings`,
    `code version`, `data gap`, `follows` (the chain alone differs, as it does behind any difference), `unknown`.
    """

    kind: Literal["missing", "extra", "changed"]
    cause: str
    device: str
    condition: str
    phase: str
    alert: str
    partition: int
    offset: int
    ordinal: int
    place: int | None = None
    fields: dict[str, tuple[Any, Any]] = {}
    why: str = ""


class _Logged(NamedTuple):
    place: int
    digest: bytes


class _Decided(NamedTuple):
    """What decided an alert that was logged."""

    weights: tuple[str, ...]
    settings: str
    version: str


class Comparison:
    """Takes what was logged, then what is derived, and tells how they differ.

    Parameters
    ----------
    stretches : iterable of Stretch
        Alerts that inputs of these decided are compared, others passed over.
    device : str, optional
        The one device to look at.

    Attributes
    ----------
    logged, derived, services, doubles : int
        Alerts that were logged (each once) and derived; those logged that services gave of themselves, which no input
        decides; copies of one alert with the same bytes, which do no harm.
    unreadable : list of int
        Offsets of records in the alert topic that are none, or lie under another key than their device's.
    """

    def __init__(self, stretches: Iterable[Stretch], device: str | None = None) -> None:
        self._stretches = {stretch.partition: stretch for stretch in stretches}
        self._device = device
        self._waiting: dict[str, dict[bytes, _Logged]] = {}
        self._decided: dict[str, list[tuple[tuple[int, int], _Decided]]] = {}
        self._unlogged: list[bytes] = []
        self._changed: list[tuple[int, bytes]] = []
        self.logged = self.derived = self.services = self.doubles = 0
        self._counts: Counter[str] = Counter()
        self.unreadable: list[int] = []

    def log(self, entries: Iterable[Entry]) -> None:
        """Take records of the alert topic."""
        for entry in entries:
            head = head_of(entry.value)
            if head is None or entry.value is None or entry.key != head.device.encode():
                self.unreadable.append(entry.offset)
            elif head.source.topic != topics.INPUT:
                self.services += 1
            elif self._is_wanted(head):
                self._log(entry.offset, entry.value, head)

    def _is_wanted(self, head: Head) -> bool:
        stretch = self._stretches.get(head.source.partition)
        inside = stretch is not None and stretch.first <= head.source.last_offset < stretch.end
        return inside and self._device in (None, head.device)

    def _log(self, place: int, value: bytes, head: Head) -> None:
        copies = self._waiting.setdefault(head.id, {})
        digest = _digest(value)
        if digest in copies:
            self.doubles += 1
            return
        self.logged += 1
        copies[digest] = _Logged(place, digest)
        decided = _Decided(head.weights_sha256, head.settings_sha256, head.version)
        known = self._decided.setdefault(head.device, [])
        if not known or known[-1][1] != decided:
            known.append(((head.source.last_offset, head.ordinal), decided))

    def derive(self, value: bytes) -> None:
        """Take an alert that was derived."""
        head = head_of(value)
        assert head is not None, "the pipeline's own"
        if not self._is_wanted(head):
            return
        self.derived += 1
        copies = self._waiting.pop(head.id, {})
        if not copies:
            self._count("missing", self._unlogged, value)
        copies.pop(_digest(value), None)
        for other in copies.values():
            self._count("changed", self._changed, (other.place, value))

    def _count(self, kind: str, kept: list[Any], item: Any) -> None:
        self._counts[kind] += 1
        if len(kept) < MOST_TOLD:
            kept.append(item)

    def counts(self) -> dict[str, int]:
        """Return how many alerts are missing, extra and changed; to be asked at the end."""
        extra = sum(len(copies) for copies in self._waiting.values())
        return {"missing": self._counts["missing"], "extra": extra, "changed": self._counts["changed"]}

    async def differences(self, log: Log, gaps: Iterable[Stretch]) -> list[Difference]:
        """Return the differences in the order of the input, at most `MOST_TOLD` of a kind."""
        extra = [copy.place for copies in self._waiting.values() for copy in copies.values()][:MOST_TOLD]
        values = await _read(log, [*extra, *(place for place, _ in self._changed)])
        found = [_difference("missing", None, None, value) for value in self._unlogged]
        found += [_difference("extra", place, values[place], None) for place in extra]
        found += [_difference("changed", place, values[place], value) for place, value in self._changed]
        found.sort(key=lambda each: (each.partition, each.offset, each.device, each.ordinal))
        gaps, seen = list(gaps), set()
        for each in found:
            self._explain(each, gaps, first=each.device not in seen)
            seen.add(each.device)
        return found

    def _explain(self, difference: Difference, gaps: list[Stretch], *, first: bool) -> None:
        """Say what a difference likely comes from: what decided differs, or the log, or an earlier difference."""
        causes: dict[str, str] = {}
        logged = self._decided_at(difference)
        for field, cause in (
            ("weights_sha256", "weights"),
            ("settings_sha256", "settings"),
            ("version", "code version"),
        ):
            if field in difference.fields:
                was, now = difference.fields[field]
                causes[cause] = f"{cause} {_shown(was)} decided, {_shown(now)} derived"
        if not causes and logged is not None and logged.version != VERSION:
            causes["code version"] = f"version {logged.version} decided, {VERSION} derived"
        before = [gap for gap in gaps if gap.partition == difference.partition and gap.first <= difference.offset]
        if not causes and before:
            causes["data gap"] = ", ".join(f"the log lacks offsets {gap.first} to {gap.end - 1}" for gap in before[-3:])
        if not causes and not first and set(difference.fields) == {"chain"}:
            causes[FOLLOWS] = "the chain alone differs: it follows from an earlier difference of the device"
        difference.cause = ", ".join(causes) or UNKNOWN
        difference.why = "; ".join(causes.values())

    def _decided_at(self, difference: Difference) -> _Decided | None:
        """Return what decided the device's logged alerts at a place, else the next that was logged."""
        known = self._decided.get(difference.device, [])
        before = [decided for place, decided in known if place <= (difference.offset, difference.ordinal)]
        return before[-1] if before else known[0][1] if known else None


def _shown(value: Any) -> str:
    text = ", ".join(str(each)[:12] for each in value) if isinstance(value, list | tuple) else str(value)[:12]
    return text or "none"


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()[:16]


def _difference(
    kind: Literal["missing", "extra", "changed"], place: int | None, logged: bytes | None, derived: bytes | None
) -> Difference:
    head = head_of(derived or logged)
    assert head is not None, "it was counted by its head"
    fields = changed_fields(logged, derived) if logged is not None and derived is not None else {}
    where = head.source.partition, head.source.last_offset, head.ordinal
    return Difference(kind, UNKNOWN, head.device, head.condition, head.phase, head.id, *where, place, fields)


def changed_fields(logged: bytes, derived: bytes) -> dict[str, tuple[Any, Any]]:
    """Return by the name of each field that differs, as in `evidence.trace`, what was logged and what is derived."""
    was, now = _flat(msgspec.json.decode(logged)), _flat(msgspec.json.decode(derived))
    return {name: (was.get(name), now.get(name)) for name in was | now if was.get(name) != now.get(name)} or {
        "": ("the same fields", "in other bytes")
    }


def _flat(fields: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


async def _read(log: Log, places: list[int]) -> dict[int, bytes]:
    """Read some records of the alert topic again, in one go."""
    found: dict[int, bytes] = {}
    if places:
        wanted = set(places)
        async for batch in log.read(topics.ALERTS, 0, min(places), max(places) + 1):
            found |= {entry.offset: entry.value or b"" for entry in batch if entry.offset in wanted}
    return found
