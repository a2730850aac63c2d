"""`vigil replay --chain`: what the pure audit of chains needs, gathered from the log.

An audit is only as good as its keys. Without others given, they are those that the setups in force name, in the log or
in the partitions' newest checkpoints; whoever can write all topics anew can write those, too. Keys that the auditor
brings are trusted instead.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import msgspec

from ecg.frame import Command, FrameError, Input, PublicKey, Setup, Signed, decode
from stream import seal, snapshot, topics
from stream.audit.chain import Fault, audit
from stream.audit.compare import head_of
from stream.audit.derive import kind_of
from stream.audit.log import Entry, Log
from stream.audit.places import Shared, seal_body
from stream.intake import UNCONFIGURED
from stream.placement import partition_of
from stream.signing import opened
from stream.snapshot import PARTITION_KEY


class Audited(msgspec.Struct, frozen=True):
    """What an audit of chains and seals went over, and each fault; `behind` counts alerts behind the last seal."""

    intact: bool
    figures: dict[str, int]
    keys: list[str]
    faults: list[Fault]
    notes: list[str]


async def audit_log(log: Log, device: str | None = None, trusted: Mapping[str, PublicKey] | None = None) -> Audited:
    """Verify chains and seals of all devices, or of one.

    Parameters
    ----------
    log : Log
    device : str, optional
        The one device to look at; the seals of its partition are verified with it.
    trusted : mapping of str to PublicKey, optional
        By their ids, the keys that may have sealed; those that the log itself names by default.
    """
    bounds = await log.bounds(topics.INPUT)
    partitions = list(bounds) if device is None else [partition_of(device.encode(), len(bounds))]
    done = await log.acknowledged()
    seals = [entry for partition in partitions async for entry in _all(log, topics.SEALS, partition)]
    alerts = [entry async for entry in _all(log, topics.ALERTS, 0) if device is None or _is_of(entry, device)]
    commands, keys = await _inputs(log, partitions, seals, done)
    commands = [entry for entry in commands if device is None or _is_of(entry, device)]
    keys = keys if trusted is None else dict(trusted)
    kept = {partition: first for partition, (first, _) in bounds.items()}
    begin = await _begin(log, alerts, seals)
    faults = audit(alerts, commands, seals, keys, kept, begin)
    if device is not None:
        faults = [fault for fault in faults if fault.what == "seal" or fault.device == device]
    counts = Counter(fault.kind for fault in faults)
    figures = {
        "alerts": len(alerts),
        "commands": len(commands),
        "seals": len(seals),
        "behind": _behind(alerts, seals),
        "faults": len(faults),
        **{kind: counts[kind] for kind in ("altered", "removed", "inserted", "reordered", "forked")},
    }
    notes = _notes(alerts, seals, keys)
    notes += [f"partition {partition}: what came before seal {n} is not kept" for partition, n in begin.items()]
    return Audited(not faults, figures, sorted(keys), faults, notes)


async def _inputs(
    log: Log, partitions: list[int], seals: list[Entry], done: Mapping[int, int]
) -> tuple[list[Entry], dict[str, PublicKey]]:
    """Return the commands that were carried out, as far as the workers have come, and the keys that setups named."""
    named, refused, count = _named(seals), await _refused(log), len(await log.bounds(topics.INPUT))
    commands: list[Entry] = []
    keys: dict[str, PublicKey] = {}
    for partition in partitions:
        found = _Inputs(await _setup(log, partition), count, named, refused)
        async for entry in _all(log, topics.INPUT, partition):
            if entry.offset < done.get(partition, entry.offset + 1) or (partition, entry.offset) in named:
                found.add(entry)
        commands += found.commands
        keys |= found.keys
    return commands, keys


async def _begin(log: Log, alerts: list[Entry], seals: list[Entry]) -> dict[int, int]:
    """Return by partition the seal to go by where not all is kept: the first that there is, behind an alert."""
    lost_alerts = (await log.bounds(topics.ALERTS)).get(0, (0, 0))[0] > 0
    lost_seals = {partition for partition, (first, _) in (await log.bounds(topics.SEALS)).items() if first > 0}
    first: dict[int, int] = {}
    for entry in alerts:
        if (head := head_of(entry.value)) is not None and head.source.topic == topics.INPUT:
            place, partition = head.source.last_offset, head.source.partition
            first[partition] = min(place, first.get(partition, place))
    begin: dict[int, int] = {}
    bodies = [seal.decode(body) for entry in seals if (body := seal_body(entry.value)) is not None]
    for each in sorted(bodies, key=lambda each: -each.n):
        partition = each.partition
        behind = first.get(partition, each.offset) if lost_alerts else -1
        if (lost_alerts or partition in lost_seals) and (partition not in begin or each.offset > behind):
            begin[partition] = each.n
    return begin


def _notes(alerts: list[Entry], seals: list[Entry], keys: Mapping[str, PublicKey]) -> list[str]:
    notes: list[str] = []
    if not any("seal" in key.roles for key in keys.values()):
        notes.append("no key may seal: seals need no signature here, and whoever can write them can forge them")
    if not seals:
        notes.append("there is no seal yet")
    services = sum((head := head_of(entry.value)) is not None and head.source.topic != topics.INPUT for entry in alerts)
    if services:
        notes.append(f"{services} alerts are of services themselves, which no seal holds")
    return notes


def _behind(alerts: list[Entry], seals: list[Entry]) -> int:
    """Return how many alerts lie behind the last seal of their partition."""
    last: dict[int, int] = {}
    for entry in seals:
        if (body := seal_body(entry.value)) is not None:
            last[entry.partition] = max(last.get(entry.partition, -1), seal.decode(body).offset)
    heads = [head.source for entry in alerts if (head := head_of(entry.value)) is not None]
    return sum(source.last_offset >= last.get(source.partition, 0) for source in heads if source.topic == topics.INPUT)


def _named(seals: list[Entry]) -> set[tuple[int, int]]:
    """Return the places in the input of the commands that seals name."""
    bodies = [(entry.partition, body) for entry in seals if (body := seal_body(entry.value)) is not None]
    return {
        (partition, offset)
        for partition, body in bodies
        for head in seal.decode(body).heads.values()
        for offset, _ in head.commands
    }


async def _refused(log: Log) -> set[tuple[int, int]]:
    """Return the places in the input of what the dead letters hold: it changed no chain."""
    found: set[tuple[int, int]] = set()
    async for entry in _all(log, topics.DEAD_LETTERS, 0):
        said = dict(entry.headers)
        if said.get("topic") == topics.INPUT.encode():
            found.add((int(said["partition"]), int(said["offset"])))
    return found


async def _setup(log: Log, partition: int) -> Setup:
    """Return the setup that was in force when the log, as it is kept, begins, as the first checkpoint has it."""
    async with aclosing(_all(log, topics.CHECKPOINTS, partition)) as entries:
        async for entry in entries:
            if entry.key == PARTITION_KEY and entry.value is not None:
                return snapshot.decode(entry.value, Shared).setup
    return UNCONFIGURED


class _Inputs:
    """What an audit wants of a partition of the input: the commands that were carried out, and the keys."""

    def __init__(
        self, setup: Setup, partitions: int, named: set[tuple[int, int]], refused: set[tuple[int, int]]
    ) -> None:
        self._setup, self._partitions, self._named, self._refused = setup, partitions, named, refused
        self.keys: dict[str, PublicKey] = dict(setup.keys)
        self.commands: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Take a record of the input."""
        place, kind = (entry.partition, entry.offset), kind_of(entry.value or b"")[0]
        if place in self._named:
            self.commands.append(entry)
        elif place in self._refused:
            return
        elif kind.endswith("setup") and isinstance(setup := self._admitted(entry), Setup):
            if self._setup == UNCONFIGURED or setup.issued_ns > self._setup.issued_ns:
                self._setup = setup
                self.keys |= setup.keys
        elif kind.endswith("command") and isinstance(command := self._admitted(entry), Command):
            key = command.device.encode()
            if (entry.key, entry.partition) == (key, partition_of(key, self._partitions)):
                self.commands.append(entry)

    def _admitted(self, entry: Entry) -> Input | None:
        """Return what a record holds, where the setup in force admits it."""
        try:
            it = decode(entry.value or b"")
            if isinstance(it, Signed):
                return opened(it, self._setup, first=self._setup == UNCONFIGURED)
        except FrameError:
            return None
        return it if self._setup.unsigned else None


def _is_of(entry: Entry, device: str) -> bool:
    return entry.key == device.encode() or f'"device":"{device}"'.encode() in (entry.value or b"")


async def _all(log: Log, topic: str, partition: int) -> AsyncGenerator[Entry]:
    first, end = (await log.bounds(topic)).get(partition, (0, 0))
    async with aclosing(log.read(topic, partition, first, end)) as batches:
        async for batch in batches:
            for entry in batch:
                yield entry


def told(found: Audited) -> list[str]:
    """Return an audit in lines for people."""
    figures = found.figures
    lines = [f"note: {note}" for note in found.notes]
    lines += [_line(fault) for fault in found.faults]
    lines.append(
        f"{figures['alerts']} alerts, {figures['commands']} commands, {figures['seals']} seals;"
        f" {figures['behind']} alerts behind the last seals; keys {', '.join(found.keys) or 'none'}"
    )
    return [*lines, "intact up to the last seals" if found.intact else f"{figures['faults']} FAULTS"]


def _line(fault: Fault) -> str:
    what = f"{fault.kind} {fault.what}" + (f" {fault.alert}" if fault.alert else "")
    where = [f"device {fault.device}"] if fault.device is not None else []
    where += [f"partition {fault.partition}"] if fault.partition is not None else []
    where += [f"offset {fault.place}"] if fault.place is not None else []
    before, behind = fault.between
    if fault.between != (None, None):
        where.append(
            f"between seals {'the first' if before is None else before} and {'now' if behind is None else behind}"
        )
    return f"{what}: {', '.join(where)}: {fault.why}"
