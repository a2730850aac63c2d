"""`vigil replay`: alerts derived again from a range of the input, and compared to the byte with those that were logged.

An alert belongs to a range where the input that decided it (`source.last_offset`) lies in it. A range of time is the
ward's: from the first tick at or after its begin to the first at or after its end, in each partition.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

import msgspec

from stream import topics
from stream.audit.compare import Comparison, Difference
from stream.audit.derive import Deriver, Refusal, Start, Stretch, Work
from stream.audit.log import Entry, Log
from stream.audit.nets import Nets
from stream.audit.places import alerts_since, first_derivable, place, seals_of
from stream.audit.sealed import Resealed, resealed
from stream.placement import partition_of
from stream.version import MACHINE, VERSION


class Wanted(msgspec.Struct, frozen=True):
    """What is to be derived again: of one device or all, in a range of the ward's time or of offsets by partition."""

    device: str | None = None
    from_ns: int | None = None
    to_ns: int | None = None
    first: Mapping[int, int] = {}
    end: Mapping[int, int] = {}
    start: Start = "checkpoint"


class Report(msgspec.Struct):
    """What a replay found; identical where no alert differs and none is unreadable.

    `figures` are counts of alerts and speeds, `inputs` the records of the range by kind, `refused` those that the
    pipeline refused by the field at fault, `gaps` offsets that the log has lost, `seal_faults` say what is wrong with
    seals (where all devices were derived), `notes` what else the auditor should know.
    """

    identical: bool
    version: str
    figures: dict[str, float]
    stretches: list[Stretch]
    resumed: dict[int, int]
    differences: list[Difference]
    unreadable: list[int]
    inputs: dict[str, int]
    refused: dict[str, int]
    refusals: list[Refusal]
    gaps: list[Stretch]
    seal_faults: list[str]
    notes: list[str]


async def replay(log: Log, wanted: Wanted, nets: Nets | None = None) -> Report:
    """Derive alerts again and compare them with what was logged.

    Raises
    ------
    ValueError
        If the log has no such range, or a checkpoint is of another version's form.
    """
    stretches, notes = await stretches_of(log, wanted)
    compared = Comparison(stretches, wanted.device)
    await read_logged(log, stretches, compared.log)
    deriver = Deriver(log, Nets(log) if nets is None else nets, device=wanted.device, start=wanted.start)
    for stretch in stretches:
        async for out in deriver.run(stretch):
            for _, value in out.alerts:
                compared.derive(value)
    if wanted.device is not None and not deriver.work.bed_seconds:
        notes.append(f"nothing was heard of {wanted.device} in this range")
    sealed = Resealed(0, 0, [])
    if wanted.device is None:
        sealed = await _seals(log, stretches, deriver.work)
    return await _report(log, stretches, compared, deriver.work, sealed, notes)


async def _seals(log: Log, stretches: list[Stretch], work: Work) -> Resealed:
    """Compare the seals of some stretches with those derived again."""
    logged = derived = 0
    faults: list[str] = []
    for partition, first, end in stretches:
        again = [body for place, body in work.seals if place == partition]
        found = resealed(await seals_of(log, partition, first, end), again, work.keys)
        logged, derived = logged + found.logged, derived + found.derived
        faults += [f"partition {partition}: {fault}" for fault in found.faults]
    return Resealed(logged, derived, faults)


async def read_logged(log: Log, stretches: list[Stretch], take: Callable[[list[Entry]], None]) -> None:
    """Hand over the records of the alert topic that can have come of some stretches."""
    appended = [await _append_ns(log, stretch) for stretch in stretches]
    since = await alerts_since(log, min(appended, default=0))
    end = (await log.bounds(topics.ALERTS)).get(0, (0, 0))[1]
    async for batch in log.read(topics.ALERTS, 0, since, end):
        take(batch)


async def _append_ns(log: Log, stretch: Stretch) -> int:
    async with aclosing(log.read(topics.INPUT, stretch.partition, stretch.first, stretch.end)) as batches:
        async for batch in batches:
            return batch[0].append_ns
    return 0


async def _report(
    log: Log, stretches: list[Stretch], compared: Comparison, work: Work, sealed: Resealed, notes: list[str]
) -> Report:
    counts = compared.counts()
    others = sorted(made for made in work.made_by if made != (VERSION, MACHINE))
    notes += [f"checkpoints were made by {code} on {kind}, this is {VERSION} on {MACHINE}" for code, kind in others]
    figures = {
        "alerts_logged": compared.logged,
        "alerts_derived": compared.derived,
        "alerts_of_services": compared.services,
        "alerts_doubled": compared.doubles,
        **counts,
        "seals_logged": sealed.logged,
        "seals_derived": sealed.derived,
        "times_real_time": round(work.ward_s / work.seconds, 1) if work.seconds else 0.0,
        "bed_seconds_per_core_second": round(work.bed_seconds / work.cpu_s, 1) if work.cpu_s else 0.0,
        "bed_seconds": work.bed_seconds,
        "seconds": round(work.seconds, 3),
    }
    return Report(
        not any(counts.values()) and not compared.unreadable and not sealed.faults,
        VERSION,
        figures,
        stretches,
        work.resumed,
        await compared.differences(log, work.gaps),
        compared.unreadable,
        dict(sorted(work.inputs.items())),
        dict(sorted(work.refused.items())),
        work.refusals,
        work.gaps,
        sealed.faults,
        notes,
    )


async def stretches_of(log: Log, wanted: Wanted) -> tuple[list[Stretch], list[str]]:
    """Return the ranges of the input that are wanted, by partition, and what is to be said of them."""
    bounds = await log.bounds(topics.INPUT)
    named = set(wanted.first) | set(wanted.end)
    if wanted.device is not None:
        named = {partition_of(wanted.device.encode(), len(bounds))}
    if unknown := sorted(named - bounds.keys()):
        raise ValueError(f"partition must be one of {len(bounds)}, got {unknown[0]}")
    found, notes = [], []
    done = await log.acknowledged()
    lost = (await log.bounds(topics.ALERTS)).get(0, (0, 0))[0]
    if lost:
        notes.append(f"the alert topic begins at offset {lost}: earlier alerts are not kept")
    for partition in sorted(named or bounds):
        stretch = await _stretch(log, wanted, partition, bounds[partition])
        if (end := done.get(partition, stretch.end)) < stretch.end:
            notes.append(f"partition {partition}: the workers have come to offset {end}, what follows is left out")
            stretch = stretch._replace(end=end)
        reached = await first_derivable(log, partition, bounds[partition][0], wanted.device)
        if stretch.first < reached and wanted.start == "checkpoint":
            notes.append(
                f"partition {partition}: the log begins at offset {bounds[partition][0]}, and alerts can be derived"
                f" from offset {reached} on"
            )
            stretch = stretch._replace(first=reached)
        if stretch.first < stretch.end:
            found.append(stretch)
    return found, notes


async def _stretch(log: Log, wanted: Wanted, partition: int, bounds: tuple[int, int]) -> Stretch:
    first, end = bounds
    if wanted.from_ns is not None:
        first = await place(log, partition, wanted.from_ns)
    if wanted.to_ns is not None:
        end = await place(log, partition, wanted.to_ns)
    first, end = wanted.first.get(partition, first), wanted.end.get(partition, end)
    return Stretch(partition, max(first, bounds[0]), min(end, bounds[1]))


def time_ns(text: str) -> int:
    """Read a time: ISO 8601 (UTC where it names no zone), or nanoseconds since 1970.

    Examples
    --------
    >>> time_ns("2027-01-15T08:00:01Z"), time_ns("1800000001000000000")
    (1800000001000000000, 1800000001000000000)
    """
    if text.isdecimal():
        return int(text)
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"time must be as 2027-01-15T08:00:01Z, or ns since 1970, got {text!r}") from None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    since = when - datetime(1970, 1, 1, tzinfo=UTC)
    return ((since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds) * 1000


def offsets(given: list[str]) -> dict[int, int]:
    """Read offsets by partition, as in `0:1200`.

    Examples
    --------
    >>> offsets(["0:1200", "3:7"])
    {0: 1200, 3: 7}
    """
    read: dict[int, int] = {}
    for each in given:
        match = re.fullmatch(r"(\d+):(\d+)", each)
        if match is None:
            raise ValueError(f"offset must be PARTITION:OFFSET, as in 0:1200, got {each!r}")
        read[int(match[1])] = int(match[2])
    return read


def told(report: Report) -> list[str]:
    """Return a report in lines for people."""
    figures = report.figures
    lines = [f"note: {note}" for note in report.notes]
    lines += [_line(each) for each in report.differences]
    lines += [f"unreadable: record {place} of {topics.ALERTS}" for place in report.unreadable]
    lines += [f"seals: {fault}" for fault in report.seal_faults]
    lines += [f"gap: partition {gap.partition} lacks offsets {gap.first} to {gap.end - 1}" for gap in report.gaps]
    inputs = ", ".join(f"{n} {kind}" for kind, n in report.inputs.items())
    refused = ", ".join(f"{n} for {field}" for field, n in report.refused.items()) or "none"
    lines += [f"inputs: {inputs}; refused: {refused}"]
    lines += [f"  refused at {each.partition}:{each.offset}: {each.reason}" for each in report.refusals]
    counts = [f"{figures[name]:.0f} {name.removeprefix('alerts_')}" for name in _COUNTS]
    lines.append(f"alerts: {', '.join(counts)}; {'identical' if report.identical else 'DIFFERENT'}")
    lines.append(f"seals: {figures['seals_logged']:.0f} logged, {figures['seals_derived']:.0f} derived")
    lines.append(
        f"{figures['times_real_time']:.0f} times real time,"
        f" {figures['bed_seconds_per_core_second']:.0f} bed-seconds per core-second"
    )
    return lines


_COUNTS = (
    "alerts_logged",
    "alerts_derived",
    "missing",
    "extra",
    "changed",
    "alerts_of_services",
    "alerts_doubled",
)


def _line(each: Difference) -> str:
    where = f"input {each.partition}:{each.offset}" + (f", logged at {each.place}" if each.place is not None else "")
    fields = "; ".join(f"{name or 'bytes'}: {_cut(was)} -> {_cut(now)}" for name, (was, now) in each.fields.items())
    cause = f" [{each.why or each.cause}]"
    return f"{each.kind}: {each.device} {each.condition} {each.phase} {each.alert} ({where}) {fields}{cause}"


def _cut(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else text[:57] + "..."
