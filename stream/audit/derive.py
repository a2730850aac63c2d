"""The log of a partition through the pipeline again, from the nearest checkpoint before a place or from its start."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import msgspec

from ecg.frame import FrameError, PublicKey, Setup, Tick, decode
from stream import seal, snapshot, topics
from stream.audit.log import Log, as_record, opened
from stream.audit.nets import Nets
from stream.audit.places import Shared, rows_before, seal_before
from stream.batch import Out, Record
from stream.pipeline import Pipeline
from stream.snapshot import PARTITION_KEY

Start = Literal["checkpoint", "first"]
MOST_TOLD = 20
"""Refused inputs that are told one by one."""


class Stretch(NamedTuple):
    """A range of a partition of the input: what comes of inputs from `first` to before `end`."""

    partition: int
    first: int
    end: int


class Refusal(NamedTuple):
    """An input that the pipeline refused, and why."""

    partition: int
    offset: int
    reason: str


@dataclass
class Work:
    """What was done to derive a stretch, and what was met on the way.

    Attributes
    ----------
    resumed : dict of int to int
        By partition, the offset from which the pipeline was fed.
    gaps : list of Stretch
        Offsets that the log has lost.
    inputs : Counter
        Records of the stretches by kind, as in `tick` and `signed tick`.
    refused : Counter
        Refused ones by the field that was at fault, as in `signature` and `nonce`.
    refusals : list of Refusal
        The first of them.
    keys : dict of str to PublicKey
        Those that setups in force named.
    made_by : set of (str, str)
        Version of the code and kind of machine that made the checkpoints begun with.
    seals : list of (int, bytes)
        Partition and body of the seals of the stretches, derived again.
    bed_seconds, ward_s, seconds, cpu_s : float
        Seconds of beds, of the ward's time (of the longest stretch), of the wall's and of processors; the two last
        without the loading of networks.
    """

    resumed: dict[int, int] = field(default_factory=dict)
    gaps: list[Stretch] = field(default_factory=list)
    inputs: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    refusals: list[Refusal] = field(default_factory=list)
    keys: dict[str, PublicKey] = field(default_factory=dict)
    made_by: set[tuple[str, str]] = field(default_factory=set)
    seals: list[tuple[int, bytes]] = field(default_factory=list)
    bed_seconds: float = 0.0
    ward_s: float = 0.0
    seconds: float = 0.0
    cpu_s: float = 0.0

    def refuse(self, record: Record, reason: str) -> None:
        """Note an input that was refused."""
        self.refused[reason.partition(" must ")[0]] += 1
        if len(self.refusals) < MOST_TOLD:
            self.refusals.append(Refusal(record.partition, record.offset, reason))


class Deriver:
    """Feeds stretches of the log to pipelines of their own.

    Parameters
    ----------
    log : Log
    nets : Nets
        Networks that are there already; what setups name is loaded as they come.
    device : str, optional
        The one device to look at; all of them by default.
    start : "checkpoint" or "first"
        Where to begin: at the nearest checkpoints before the stretch, or at the log's first offset.
    as_if : callable, optional
        Gives each setup another face.

    Attributes
    ----------
    work : Work
    """

    def __init__(
        self,
        log: Log,
        nets: Nets,
        *,
        device: str | None = None,
        start: Start = "checkpoint",
        as_if: Callable[[Setup], Setup] | None = None,
    ) -> None:
        self._log, self._nets, self._device, self._start, self._as_if = log, nets, device, start, as_if
        self.work = Work()

    async def run(self, stretch: Stretch) -> AsyncGenerator[Out]:
        """Yield what comes of a stretch, and of what lies between where it begins and the stretch.

        Raises
        ------
        ValueError
            If a checkpoint is of another version's form, or weights in force are not in the log.
        """
        spent = _Spent()
        pipeline, at = await self._begin(stretch, spent)
        ticks = _Ticks()
        async for batch in self._log.read(topics.INPUT, stretch.partition, at, stretch.end):
            records = [as_record(entry) for entry in batch]
            self._look(records, at, stretch, ticks)
            at = records[-1].offset + 1
            await self._load(pipeline.missing_weights(records), spent)
            before = sum(record.offset < stretch.first for record in records)
            if before:
                yield self._fed(pipeline, records[:before], stretch)
            if before < len(records):
                if self._as_if is not None:
                    pipeline.see_as(self._as_if)
                yield self._fed(pipeline, records[before:], stretch)
        if at < stretch.end:
            self.work.gaps.append(Stretch(stretch.partition, at, stretch.end))
        self.work.ward_s = max(self.work.ward_s, ticks.span_s)
        self.work.seconds += spent.seconds
        self.work.cpu_s += spent.cpu_s

    async def _load(self, wanted: set[str], spent: _Spent) -> None:
        """Load networks, which takes the time of a start, not of a replay."""
        if wanted - self._nets.keys():
            began = _Spent()
            await self._nets.load(wanted)
            spent.less(began)

    async def _begin(self, stretch: Stretch, spent: _Spent) -> tuple[Pipeline, int]:
        """Return a pipeline at a place from which the stretch can be reached, and the next offset to read."""
        partition = stretch.partition
        pipeline = Pipeline(self._nets)
        bounds = await self._log.bounds(topics.INPUT)
        pipeline.partitions = len(bounds)
        if self._device is not None:
            pipeline.only = frozenset({self._device.encode()})
        at = 0
        if self._start == "checkpoint":
            rows = await rows_before(self._log, partition, stretch.first, self._device)
            self._remember(rows)
            at = pipeline.restore(partition, rows, await seal_before(self._log, partition, stretch.first)) or 0
            await self._load(pipeline.missing_weights([]), spent)
            if lacking := pipeline.missing_weights([]):
                raise ValueError(f"weights {', '.join(sorted(lacking))[:12]} are in force, and not in the log")
        self.work.resumed[partition] = at
        return pipeline, at

    def _remember(self, rows: Mapping[bytes, bytes]) -> None:
        for key, value in rows.items():
            if key == PARTITION_KEY:
                self.work.keys |= snapshot.decode(value, Shared).setup.keys
            else:
                head = snapshot.head(value)
                self.work.made_by.add((head.version, head.machine))

    def _fed(self, pipeline: Pipeline, records: Sequence[Record], stretch: Stretch) -> Out:
        out = pipeline.feed(records)
        self.work.bed_seconds += len(out.vitals)
        refused = {record.offset for record, _ in out.dead}
        for record, reason in out.dead:
            if stretch.first <= record.offset < stretch.end:
                self.work.refuse(record, reason)
        for record in records:
            if record.offset not in refused and kind_of(record.value)[0].endswith("setup"):
                setup = opened(record.value)
                self.work.keys |= setup.keys if isinstance(setup, Setup) else {}
        self.work.seals += [(p, body) for p, body in out.seals if seal.decode(body).offset >= stretch.first]
        return out

    def _look(self, records: Sequence[Record], at: int, stretch: Stretch, ticks: _Ticks) -> None:
        """Note what is missing before and between records, and what those of the stretch are."""
        for record in records:
            if record.offset > at:
                self.work.gaps.append(Stretch(record.partition, at, record.offset))
            at = record.offset + 1
            kind, body = kind_of(record.value)
            if kind.endswith("tick"):
                ticks.add(body)
            if record.offset >= stretch.first:
                self.work.inputs[kind] += 1


class _Spent:
    """Time of the wall and of processors since it was made."""

    def __init__(self) -> None:
        self._wall, self._cpu = time.monotonic(), time.process_time()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._wall

    @property
    def cpu_s(self) -> float:
        return time.process_time() - self._cpu

    def less(self, other: _Spent) -> None:
        """Leave out the time since another one was made."""
        self._wall, self._cpu = self._wall + other.seconds, self._cpu + other.cpu_s


class _Ticks:
    """The ward's time that ticks span."""

    def __init__(self) -> None:
        self._first_ns = self._last_ns = 0

    def add(self, body: bytes) -> None:
        try:
            tick = decode(body)
        except FrameError:
            return
        if isinstance(tick, Tick):
            self._first_ns = self._first_ns or tick.time_ns
            self._last_ns = max(self._last_ns, tick.time_ns)

    @property
    def span_s(self) -> float:
        return (self._last_ns - self._first_ns) / 1e9


class _Tag(msgspec.Struct):
    type: str
    body: bytes = b""


_tag = msgspec.msgpack.Decoder(_Tag)


def kind_of(value: bytes) -> tuple[str, bytes]:
    """Return what a record is, by its tags alone, and its bytes out of their envelope."""
    try:
        tag = _tag.decode(value)
        if tag.type != "signed":
            return tag.type, value
        return f"signed {_tag.decode(tag.body).type}", tag.body
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "unreadable", b""
