"""One ward's recordings as logs, cut in different ways, and what the pipeline makes of each."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from ecg.alert import Alert, decode_alert
from ecg.clinical import Settings
from ecg.frame import Admit, Command, Setup, Tick, encode
from simulators.bedside import Bedside
from simulators.source import Source
from stream.batch import Record
from stream.look import Net
from stream.pipeline import Pipeline
from stream.placement import partition_of

T0_NS = 1_800_000_000_000_000_000
SECOND_NS = 1_000_000_000
SILENCE_S = 15
"""So long the ward's clock goes on after the last samples, so that the silence of every device is alarmed."""


class Cut(NamedTuple):
    """A way to cut: partitions, seconds of a frame, and records of a batch."""

    partitions: int
    frame_s: float
    batch: int


WHOLE = Cut(1, 1.0, 2000)
"""What all others are compared with; nothing restarts in it."""
CUTS = (
    Cut(1, 0.04, 256),
    Cut(1, 0.25, 32),
    Cut(1, 2.0, 1),
    Cut(3, 0.25, 1),
    Cut(3, 1.0, 256),
    Cut(3, 0.04, 32),
    Cut(7, 2.0, 256),
    Cut(7, 1.0, 32),
)


class Row(NamedTuple):
    """What became of one cut: where it was restarted, its records and alerts, and differences of the two kinds."""

    cut: Cut
    restart: int
    records: int
    alerts: int
    differences: int
    replay_differences: int


def log(sources: Mapping[str, Source], cut: Cut, net: str | None) -> list[Record]:
    """Return the log that a ward's devices write, all partitions together in the order of time.

    A tick stands behind the frames that are due at its second.
    """
    setup = Setup("test", "cuts", T0_NS, Settings(), {"net": net}, unsigned=True)
    ends, records = [0] * cut.partitions, []

    def add(partition: int, key: bytes | None, value: bytes) -> None:
        records.append(Record(partition, ends[partition], key, value, T0_NS))
        ends[partition] += 1

    for partition in range(cut.partitions):
        add(partition, None, encode(setup))
    until_ns = T0_NS + 60 * SECOND_NS
    for device in sources:
        admit = Command(device, "nurse", "cuts", f"n-{device}"[:64], T0_NS, until_ns, Admit("icu", device))
        add(partition_of(device.encode(), cut.partitions), device.encode(), encode(admit))
    for _, _, device, value in _in_time(sources, cut.frame_s):
        if device is None:
            for partition in range(cut.partitions):
                add(partition, None, value)
        else:
            add(partition_of(device.encode(), cut.partitions), device.encode(), value)
    return records


def _in_time(sources: Mapping[str, Source], frame_s: float) -> Iterator[tuple[float, int, str | None, bytes]]:
    """Yield frames and ticks when they are due; among frames of one time, devices in their order."""
    longest_s = max(source.n_samples / source.rate_hz for source in sources.values())

    def ticks() -> Iterator[tuple[float, int, str | None, bytes]]:
        for second in range(1, int(longest_s) + SILENCE_S):
            yield float(second), len(sources), None, encode(Tick("ticker", second, T0_NS + second * SECOND_NS))

    def frames(nth: int, device: str, source: Source) -> Iterator[tuple[float, int, str | None, bytes]]:
        for due_s, frame in Bedside(device, source, T0_NS, frame_s).frames():
            yield due_s, nth, device, encode(msgspec.structs.replace(frame, last=False))

    senders = [frames(nth, device, source) for nth, (device, source) in enumerate(sources.items())]
    return heapq.merge(*senders, ticks(), key=lambda item: item[:2])


def decided(
    records: Sequence[Record], cut: Cut, nets: Mapping[str, Net], restart: int | None = None
) -> dict[str, bytes]:
    """Return the alerts of a log by id; the pipeline is restored from its snapshots once it is past a record.

    What is emitted again must be the same bytes.
    """
    pipeline, found = _pipeline(cut, nets), {}
    state: dict[int, dict[bytes, bytes]] = {partition: {} for partition in range(cut.partitions)}
    todo, done = list(records), 0
    while done < len(todo):
        out = pipeline.feed(todo[done : done + cut.batch])
        done += cut.batch
        for _, value in out.alerts:
            alert = decode_alert(value)
            assert found.setdefault(alert.id, value) == value, "emitted again, an alert has the same bytes"
        for partition, key, value in out.snapshots:
            if value is None:
                state[partition].pop(key, None)
            else:
                state[partition][key] = value
        if restart is not None and done >= restart:
            pipeline, restart = _pipeline(cut, nets), None
            resume = {partition: pipeline.restore(partition, rows) or 0 for partition, rows in state.items()}
            todo, done = [record for record in records if record.offset >= resume[record.partition]], 0
    return found


def _pipeline(cut: Cut, nets: Mapping[str, Net]) -> Pipeline:
    pipeline = Pipeline(nets)
    pipeline.partitions = cut.partitions
    return pipeline


def comparable(value: bytes) -> Alert:
    """Return an alert without what depends on where the log was cut: place, time of decision, and chain."""
    alert = decode_alert(value)
    source = msgspec.structs.replace(alert.source, partition=0, first_offset=0, last_offset=0)
    return msgspec.structs.replace(alert, source=source, decided_ns=0, ordinal=0, chain="")


def compared(
    sources: Mapping[str, Source],
    nets: Mapping[str, Net],
    seed: int,
    cuts: Sequence[Cut] = CUTS,
    tell: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Cut a ward's recordings in every way, and compare each with the whole, and with its own replay."""
    net, draw, rows = next(iter(nets), None), random.Random(seed), []
    whole = {id: comparable(value) for id, value in decided(log(sources, WHOLE, net), WHOLE, nets).items()}
    for cut in cuts:
        records = log(sources, cut, net)
        restart = draw.randrange(len(records))
        found = decided(records, cut, nets, restart)
        replayed = decided(records, cut._replace(batch=draw.choice((97, 500, 2000))), nets)
        differing = [
            id for id in whole.keys() | found.keys() if id not in found or comparable(found[id]) != whole.get(id)
        ]
        changed = [id for id in found.keys() | replayed.keys() if found.get(id) != replayed.get(id)]
        rows.append(Row(cut, restart, len(records), len(found), len(differing), len(changed)))
        tell(rows[-1])
    return rows
