"""The pipeline: the log goes in, alerts come out; without I/O or a clock, the same live, in replay and in evaluation.

A heartbeat's way, in the order of this page:

1. `ecg.frame` decodes a record of the input topic; what breaks the contract is a dead letter, and its neighbours go on.
2. `ecg.timeline` puts the frames of each device in order.
3. `ecg.frontend` takes the new samples of all beds together: 250 Hz, denoised, quality, beats, fibrillation.
4. `ecg.window` cuts 10-s windows every 2 s, and `model` gives each its probabilities, in batches of one fixed size.
5. `stream.bed` goes through each device's entries in order, every 0.2 s of signal: `ecg.rhythm` decides what holds,
   `ecg.alarm` what is announced, `model.risk` the risk level.

Whatever the batches, partitions and frames, the same samples give the same alerts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg import lead
from ecg.clinical import Settings
from ecg.frame import MAX_BYTES, Command, Frame, FrameError, Input, Setup, Tick, decode
from ecg.frontend import Analysis, Chunk, FrontEnd
from ecg.resample import ANALYSIS_HZ
from ecg.timeline import Piece
from ecg.wardclock import WardClock
from stream.bed import Bed
from stream.bed_state import SCHEMA, Arrival, Heard, Kept, Time
from stream.placement import partition_of

TOPIC = "ecg.input.v1"
PARTITION_KEY = b"*"
"""Key of the snapshot of what a whole partition shares; no device may be called so."""
PATIENCE_NS = 3_000_000_000
"""A device silent for this long is not waited for: frames held behind a hole are taken."""
UNCONFIGURED = Setup(who="vigil", why="no setup in the log yet", issued_ns=0, settings=Settings(), unsigned=True)

Windowed = tuple[NDArray[np.float32], tuple[str, ...]]
Predict = Callable[[Sequence[Windowed]], list[dict[str, float]]]
"""Gives each window, float32 (n_leads, 2500) with its lead names, the probability of each class."""


class Record(NamedTuple):
    """One record of the input topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes


@dataclass
class Out:
    """What a batch gave, in the order in which it is to be published.

    `alerts`, `vitals` and `checkpoints` are (key, value), `snapshots` (partition, key, value), `dead` the records that
    could not be accepted with the reason; `frames` and `windows` count what was taken and what the network saw.
    """

    alerts: list[tuple[bytes, bytes]] = field(default_factory=list)
    vitals: list[tuple[bytes, bytes]] = field(default_factory=list)
    snapshots: list[tuple[int, bytes, bytes]] = field(default_factory=list)
    checkpoints: list[tuple[bytes, bytes]] = field(default_factory=list)
    dead: list[tuple[Record, str]] = field(default_factory=list)
    frames: int = 0
    windows: int = 0


class _Partition(msgspec.Struct, array_like=True):
    """What all devices of a partition share, and how far it was read."""

    covers: int = -1
    clock: WardClock = msgspec.field(default_factory=WardClock)
    setup: Setup = UNCONFIGURED


class _Work:
    """What one device has yet to go through in this batch."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []

    def next_round(self) -> list[Heard]:
        """Take entries up to the next one before which all others must be done: a restart, or a setup after samples."""
        stop = next((at for at in range(1, len(self.heard)) if self._parts(at)), len(self.heard))
        taken, self.heard = self.heard[:stop], self.heard[stop:]
        return taken

    def _parts(self, at: int) -> bool:
        what = self.heard[at].what
        return (isinstance(what, Piece) and what.new) or (isinstance(what, Setup) and _has_piece(self.heard[:at]))


def _has_piece(heard: Sequence[Heard]) -> bool:
    return any(isinstance(h.what, Piece) for h in heard)


class Pipeline:
    """The state of all devices of some partitions, and the function from the log to alerts.

    Parameters
    ----------
    nets : mapping of str to Predict
        The networks that a setup may name, by the sha256 of their weights.
    watch : callable
        Is shown what the array stages found of a device, with the event time of its first clean sample.

    Attributes
    ----------
    partitions : int
        How many the input has; a record of a device that lies in another than its key's is a dead letter. 0: the
        place is not looked at, as with a recording that never was in Kafka.
    """

    def __init__(self, nets: Mapping[str, Predict], watch: Callable[[str, int, Analysis], None] | None = None) -> None:
        self._nets, self._watch = nets, watch
        self.partitions = 0
        self._front = FrontEnd()
        self._beds: dict[tuple[int, str], Bed] = {}
        self._partitions: dict[int, _Partition] = {}
        self._written: dict[int, tuple[int, Setup]] = {}

    def feed(self, records: Sequence[Record]) -> Out:
        """Take records of the input topic, in log order within each partition, and return what comes of them."""
        out = Out()
        alerts: list[tuple[int, int, int, bytes, bytes]] = []
        work = self._sort_out(records, out)
        while work:
            alerts += self._round(work, out)
            work = {bed: todo for bed, todo in work.items() if todo.heard}
        alerts.sort(key=lambda item: item[:3])
        out.alerts.extend((key, value) for *_, key, value in alerts)
        self._snapshots({record.partition: record.offset for record in records}, out)
        return out

    def restore(self, partition: int, snapshots: Mapping[bytes, bytes]) -> int | None:
        """Put the devices of a partition back as their snapshots have them.

        Returns
        -------
        int or None
            The next offset to read, one past the lowest that a snapshot covers; None where there is nothing to go by.
        """
        self.drop([partition])
        if PARTITION_KEY not in snapshots:
            return None
        shared = self._partitions[partition] = msgspec.msgpack.decode(snapshots[PARTITION_KEY], type=_Partition)
        covers = [shared.covers]
        for key, value in sorted(snapshots.items()):
            if key != PARTITION_KEY:
                covers.append(self._restore_bed(partition, value))
        return 1 + min(covers)

    def _restore_bed(self, partition: int, value: bytes) -> int:
        kept = msgspec.msgpack.decode(value, type=Kept)
        if kept.schema != SCHEMA:
            raise ValueError(f"snapshot schema must be {SCHEMA}, got {kept.schema}")
        bed = Bed(kept.device, TOPIC, partition, UNCONFIGURED, WardClock())
        bed.restore(kept)
        bed.front = None if kept.front is None else self._front.restore(kept.front)
        self._beds[partition, kept.device] = bed
        return bed.state.covers

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget partitions that are no longer ours."""
        for partition in partitions:
            self._partitions.pop(partition, None)
            self._written.pop(partition, None)
            for key in [key for key in self._beds if key[0] == partition]:
                bed = self._beds.pop(key)
                if bed.front is not None:
                    self._front.close(bed.front)

    def missing_weights(self, records: Sequence[Record]) -> set[str]:
        """Return the hashes of networks that setups in these records, or in force, name and that are not loaded."""
        setups = [shared.setup for shared in self._partitions.values()]
        setups += [bed.setup for bed in self._beds.values()]
        for record in records:
            if _is_setup(record.value):
                with suppress(FrameError):
                    setups.append(cast("Setup", decode(record.value)))
        return {sha for setup in setups if (sha := setup.weights.get("net")) is not None} - set(self._nets)

    def _sort_out(self, records: Sequence[Record], out: Out) -> dict[Bed, _Work]:
        """Decode records and give each device its entries, in the order of the log."""
        work: dict[Bed, _Work] = {}
        for record in records:
            shared = self._partitions.setdefault(record.partition, _Partition())
            entry = self._decode(record, out)
            if isinstance(entry, Tick | Setup):
                self._share(record, shared, entry, work)
            else:
                self._hear(record, shared, entry, work, out)
            shared.covers = max(shared.covers, record.offset)
        return work

    def _decode(self, record: Record, out: Out) -> Input | str:
        """Return the entry, or the name of the device (from the key) whose entry could not be accepted."""
        try:
            entry = decode(record.value)
            if isinstance(entry, Frame | Command) and record.key != entry.device.encode():
                raise FrameError("device", entry.device, f"the record's key, {record.key!r}")
            if isinstance(entry, Frame | Command) and self.partitions:
                place = partition_of(entry.device.encode(), self.partitions)
                if place != record.partition:
                    raise FrameError("partition", record.partition, f"{place}, by murmur2 of its key")
            if isinstance(entry, Setup) and (net := entry.weights.get("net")) is not None and net not in self._nets:
                raise FrameError("weights.net", net, "the sha256 of weights that are in the log")
        except FrameError as error:
            out.dead.append((record, str(error)))
            return (record.key or b"").decode(errors="replace")
        return entry

    def _share(self, record: Record, shared: _Partition, entry: Tick | Setup, work: dict[Bed, _Work]) -> None:
        """Hand what concerns a whole partition to each of its devices."""
        if record.offset > shared.covers:
            if isinstance(entry, Tick):
                shared.clock.take(entry)
            else:
                shared.setup = entry
        for (partition, _), bed in self._beds.items():
            if partition == record.partition and record.offset > bed.state.covers:
                heard = work.setdefault(bed, _Work()).heard
                heard.extend(self._told(record.offset, bed, entry))

    def _told(self, offset: int, bed: Bed, entry: Tick | Setup) -> list[Heard]:
        """Return what an entry for all means to one device; its clock is its own, as it may be behind the others."""
        if isinstance(entry, Setup):
            return [Heard(offset, entry)]
        now_ns = bed.state.clock.take(entry)
        waited = bed.timeline.flush(offset) if now_ns - bed.state.arrived_ns > PATIENCE_NS else []
        return [*(Heard(offset, piece) for piece in waited), Heard(offset, Time(now_ns))]

    def _hear(
        self, record: Record, shared: _Partition, entry: Frame | Command | str, work: dict[Bed, _Work], out: Out
    ) -> None:
        """Hand a device its own entry; a device that was never heard of begins here, but not with a bad frame."""
        device = entry if isinstance(entry, str) else entry.device
        bed = self._beds.get((record.partition, device))
        if bed is None:
            if isinstance(entry, str):
                return
            bed = Bed(device, TOPIC, record.partition, shared.setup, shared.clock)
            self._beds[record.partition, device] = bed
        if record.offset <= bed.state.covers:
            return
        heard = work.setdefault(bed, _Work()).heard
        if isinstance(entry, Frame):
            out.frames += 1
            useless = bed.timeline.useless
            pieces = bed.timeline.feed(entry, record.offset)
            if bed.timeline.useless == useless:  # a device stuck on frames of the past is as silent as one that is off
                bed.state.arrived_ns = bed.state.clock.now_ns
                heard.append(Heard(record.offset, Arrival.GOOD))
            heard.extend(Heard(record.offset, piece) for piece in pieces)
        else:
            heard.append(Heard(record.offset, entry if isinstance(entry, Command) else Arrival.BAD))

    def _round(self, work: dict[Bed, _Work], out: Out) -> list[tuple[int, int, int, bytes, bytes]]:
        """Take every device up to its next restart: the arrays of all together, then each in order."""
        turns = [(bed, todo.next_round()) for bed, todo in work.items()]
        chunks, ends = self._chunks(turns)
        analyses = dict(zip(chunks, self._front.feed(list(chunks.values())), strict=True)) if chunks else {}
        seen = self._predict(analyses, {bed: _setup_of(bed, heard) for bed, heard in turns}, out)
        alerts = []
        for bed, heard in turns:
            given = bed.consume(heard, ends.get(bed, {}), analyses.get(bed), seen.get(bed, []))
            if self._watch is not None and bed in analyses:
                self._watch(bed.device, bed.state.anchor_ns, analyses[bed])
            key = bed.device.encode()
            out.vitals.extend((key, value) for value in given.vitals)
            alerts.extend((bed.partition, offset, ordinal, key, value) for offset, ordinal, value in given.alerts)
            out.dead.extend((Record(bed.partition, offset, key, b""), reason) for offset, reason in given.refused)
        return alerts

    def _chunks(self, turns: list[tuple[Bed, list[Heard]]]) -> tuple[dict[Bed, Chunk], dict[Bed, dict[int, int]]]:
        """Join each device's pieces into one chunk, and note how many clean samples there are after each piece."""
        chunks: dict[Bed, Chunk] = {}
        ends: dict[Bed, dict[int, int]] = {}
        for bed, heard in turns:
            pieces = [(at, h.what) for at, h in enumerate(heard) if isinstance(h.what, Piece)]
            if not pieces:
                continue
            if pieces[0][1].new or bed.front is None:
                self._restart(bed, pieces[0][1])
            chunks[bed], ends[bed] = self._join(bed, pieces)
        return chunks, ends

    def _restart(self, bed: Bed, piece: Piece) -> None:
        if bed.front is not None:
            self._front.close(bed.front)
        leads = lead.names(tuple(piece.leads[row] for row in _ecg_rows(piece)))
        bed.front = self._front.open(piece.rate_hz, len(leads))
        bed.restart(piece, leads)

    def _join(self, bed: Bed, pieces: list[tuple[int, Piece]]) -> tuple[Chunk, dict[int, int]]:
        assert bed.front is not None
        state, ends, rows = bed.state, {}, _ecg_rows(pieces[0][1])
        first = self._front.raw_after(bed.front, state.n_in)
        for at, piece in pieces:
            state.off += [_at_analysis_rate(run, piece, rows) for run in piece.off if run[0] in rows]
            state.n_in += piece.mv.shape[1]
            ends[at] = self._front.clean_after(bed.front, state.n_in, last=piece.last)
        mv = np.concatenate([piece.mv[rows] for _, piece in pieces], axis=1)
        return Chunk(bed.front, mv, first, tuple(state.off), pieces[-1][1].last), ends

    def _predict(
        self, analyses: Mapping[Bed, Analysis], setups: Mapping[Bed, Setup], out: Out
    ) -> dict[Bed, list[tuple[int, dict[str, float]]]]:
        """Show the networks the windows that ended in this batch, those of all beds together."""
        asked: dict[str, list[tuple[Bed, int, Windowed]]] = {}
        for bed, analysis in analyses.items():
            windows = bed.windows.feed(analysis.clean)
            net = setups[bed].weights.get("net")
            if net is not None:
                asked.setdefault(net, []).extend((bed, end, (x, bed.state.leads)) for end, x in windows)
        seen: dict[Bed, list[tuple[int, dict[str, float]]]] = {}
        for net, windows in asked.items():
            out.windows += len(windows)
            answers = self._nets[net]([window for *_, window in windows])
            for (bed, end, _), answer in zip(windows, answers, strict=True):
                seen.setdefault(bed, []).append((end, answer))
        return seen

    def _snapshots(self, partitions: Mapping[int, int], out: Out) -> None:
        """Add the snapshots that are due of partitions, each fed up to an offset.

        A partition's own comes last, so that it never covers an unknown device; after a restore it may be ahead of
        what has been fed again, and a device may be ahead of both.
        """
        for (partition, _), bed in self._beds.items():
            if partition not in partitions:
                continue
            bed.state.covers = max(bed.state.covers, partitions[partition])
            due, checkpoint_due = bed.snapshot_due(), bed.checkpoint_due()
            if due or checkpoint_due:
                kept = bed.snapshot(None if bed.front is None else self._front.snapshot(bed.front))
                out.snapshots.append((partition, bed.device.encode(), kept))
                if checkpoint_due:
                    out.checkpoints.append((bed.device.encode(), kept))
        for partition in sorted(partitions):
            shared = self._partitions[partition]
            if self._written.get(partition) != (shared.clock.now_ns, shared.setup):
                self._written[partition] = (shared.clock.now_ns, shared.setup)
                out.snapshots.append((partition, PARTITION_KEY, msgspec.msgpack.encode(shared)))


class _Tag(msgspec.Struct):
    type: str


_tag = msgspec.msgpack.Decoder(_Tag)


def _is_setup(value: bytes) -> bool:
    """Look at a record's tag alone."""
    try:
        return len(value) <= MAX_BYTES and _tag.decode(value).type == "setup"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _setup_of(bed: Bed, heard: Sequence[Heard]) -> Setup:
    """Return the setup in force for the samples of a round: no setup comes after its first piece."""
    return next((h.what for h in reversed(heard) if isinstance(h.what, Setup)), bed.setup)


def _ecg_rows(piece: Piece) -> list[int]:
    return [row for row, each in enumerate(piece.leads) if each.kind == "ecg"]


def _at_analysis_rate(run: tuple[int, int, int], piece: Piece, rows: list[int]) -> tuple[int, int, int]:
    """Bring a run of lead-off samples from a piece's own numbering to samples of the stretch at 250 Hz."""
    row, first, end = run
    ratio = ANALYSIS_HZ / piece.rate_hz
    return rows.index(row), math.ceil((piece.first + first) * ratio), math.ceil((piece.first + end) * ratio)
