"""The pipeline: the log goes in, alerts come out; without I/O or a clock, the same live, in replay and in evaluation.

A heartbeat's way, in the order of this page:

1. `ecg.frame` decodes a record of the input topic, `stream.intake` says whether it is admitted; what is not is a dead
   letter, and its neighbours go on.
2. `ecg.timeline` puts the frames of each device in order.
3. `ecg.frontend` takes the new samples of all beds together: 250 Hz, mains out, denoised, quality, beats, fibrillation,
   and the pulse of those that have one.
4. `ecg.window` cuts 10-s windows every 2 s, and `model` gives each its probabilities, in batches of one fixed size,
   from chunks that overlapping windows share (`stream.look`).
5. `stream.bed` goes through each device's entries in order, every 0.2 s of signal: `ecg.rhythm` decides what holds,
   `ecg.confirm` what of it a pulse contradicts, `ecg.alarm` what is announced, `model.risk` the risk level.
6. Once a minute of the ward's time the chains of each partition are sealed (`stream.seal`), and devices that are gone
   are forgotten.

Whatever the batches, partitions and frames, the same samples give the same alerts.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from ecg import lead
from ecg.frame import Command, Frame, FrameError, Setup, Tick, decode
from ecg.frontend import Analysis, Chunk, FrontEnd
from ecg.resample import ANALYSIS_HZ
from ecg.timeline import Piece
from ecg.wardclock import WardClock
from stream import seal, snapshot
from stream.anew import Anew
from stream.batch import Out, Record
from stream.bed import CHECKPOINT_EVERY_NS, Bed
from stream.bed_state import MANY_RUNS, Arrival, Heard, Lost, Order, Time, merged
from stream.bed_technical import BAD_FRAMES
from stream.intake import UNCONFIGURED, Refused, admissible, content, passed_over, tag_of
from stream.look import Asked, Looks, Net
from stream.partition import Minute, Partition, Work
from stream.placement import partition_of
from stream.snapshot import PARTITION_KEY, Kept
from stream.version import VERSION

TOPIC = "ecg.input.v1"
PATIENCE_NS = 3_000_000_000
"""A device silent for this long is not waited for: frames held behind a hole are taken."""
QUARANTINED_EVERY = 100
"""Of a device in quarantine, only one in so many inputs that cannot be accepted goes to the dead letters."""
MOST_DEVICES = 2000
"""Most devices of a partition that are not forgotten yet: what a sender of ever new names takes is bounded."""
STRANGERS = 1000
"""Most names that are remembered of devices of which no frame was ever accepted."""
FAILING_LEAST = 3
"""A partition stops where at least so many of its devices fail, and they are half of those that send."""


class _FullError(FrameError):
    """A partition has no room for another device; that is no fault of this device, nor of the partition's others."""


class Pipeline:
    """The state of all devices of some partitions, and the function from the log to alerts.

    Parameters
    ----------
    nets : mapping of str to Net
        The networks that a setup may name, by the sha256 of their weights.
    watch : callable
        Is shown what the array stages found of a device, with the event time of its first clean sample.

    Attributes
    ----------
    partitions : int
        How many the input has; a record of a device that lies in another than its key's is a dead letter. 0: the
        place is not looked at, as with a recording that never was in Kafka.
    only : frozenset of bytes
        Keys of the devices that are wanted, where an audit is of some alone; others are passed over. Empty: all are.
    """

    def __init__(self, nets: Mapping[str, Net], watch: Callable[[str, int, Analysis], None] | None = None) -> None:
        self._nets, self._watch = nets, watch
        self.partitions = 0
        self.only: frozenset[bytes] = frozenset()
        self._face: Callable[[Setup], Setup] | None = None
        self._front, self._looks = FrontEnd(), Looks(nets)
        self._beds: defaultdict[int, dict[str, Bed]] = defaultdict(dict)
        self._partitions: dict[int, Partition] = {}
        self._again: dict[int, Partition] = {}
        self._written: dict[int, tuple[int, Setup]] = {}
        self._forgotten: dict[tuple[int, str], None] = {}
        self._alive: dict[int, frozenset[str]] = {}
        self._anew: dict[int, Anew] = {}

    def feed(self, records: Sequence[Record]) -> Out:
        """Take records of the input topic, in log order within each partition, and return what comes of them."""
        out = Out()
        alerts: list[tuple[int, int, int, bytes, bytes]] = []
        rest, busy = deque(records), set[Bed]()
        while rest:
            work, minute = self._sort_out(rest, out)
            busy |= work.keys()
            while work:
                alerts += self._round(work, out)
                work = {bed: todo for bed, todo in work.items() if todo.heard}
            if minute is not None:
                self._seal(minute, out)
        alerts.sort(key=lambda item: item[:3])
        out.alerts.extend((key, value) for p, offset, _, key, value in alerts if not self._was_given(p, offset))
        out.dead = [letter for letter in out.dead if not self._was_given(letter[0].partition, letter[0].offset)]
        ends = {record.partition: record.offset for record in records}
        self._snapshots(ends, busy, out)
        refused = {record.partition for record, _ in out.dead} | out.withheld.keys()
        out.stopped.update(partition for partition in refused if self._fails(partition))
        return out

    def restore(self, partition: int, snapshots: Mapping[bytes, bytes], sealed: bytes | None = None) -> int | None:
        """Put the devices of a partition back as their snapshots have them.

        `sealed` is the body of the last seal that was published, if any: seals up to it are not given again.

        Returns
        -------
        int or None
            The next offset to read, one past the lowest that a snapshot covers; None where there is nothing to go by.

        Raises
        ------
        SchemaError
            If a snapshot is of another schema: `rebuild` does without them.
        """
        self.drop([partition])
        if PARTITION_KEY not in snapshots:
            return None
        shared = snapshot.decode(row := snapshots[PARTITION_KEY], Partition)
        self._partitions[partition] = shared.sealed_up_to(sealed)
        self._written[partition] = (shared.clock.now_ns, shared.setup)
        devices = snapshot.head(row).devices
        self._alive[partition] = frozenset(devices)
        turn = {device.encode(): n for n, device in enumerate(devices)}  # as they were first heard
        keys = sorted(snapshots.keys() - {PARTITION_KEY}, key=lambda key: (turn.get(key, len(turn)), key))
        beds = [self._restore_bed(partition, snapshots[key]) for key in keys]
        lowest = min(beds, key=lambda bed: bed.state.covers, default=None)
        if lowest is None or lowest.state.covers >= shared.covers:
            return 1 + shared.covers
        state = lowest.state  # its clock and setup are those that all had at its offset
        self._again[partition] = Partition(state.covers, state.clock.copy(), lowest.setup)
        return 1 + state.covers

    def _restore_bed(self, partition: int, value: bytes) -> Bed:
        kept = snapshot.decode(value, Kept)
        bed = Bed(kept.device, TOPIC, partition, UNCONFIGURED, WardClock())
        bed.restore(kept)
        bed.front = None if kept.front is None else self._front.restore(kept.front, bed.windows.last(bed.windows.kept))
        self._beds[partition][kept.device] = bed
        return bed

    def see_as(self, face: Callable[[Setup], Setup]) -> None:
        """Show setups another face from here on, those in force as well: what would have been alarmed under it."""
        self._face = face
        for shared in (*self._partitions.values(), *self._again.values()):
            shared.setup = self._seen_as(shared.setup)
        for bed in self._all_beds():
            bed.set_up(self._seen_as(bed.setup))

    def rebuild(
        self, partition: int, snapshots: Mapping[bytes, bytes], first: int, sealed: bytes | None = None
    ) -> None:
        """Begin a partition anew, at the first offset of its log, since its snapshots are of another schema.

        What they cover was published, and is not given again. Behind it, devices are told if the log has lost its
        beginning, and the first batch gives a snapshot of every device, and tombstones of those that are gone.
        """
        self.drop([partition])
        self._partitions[partition] = Partition().sealed_up_to(sealed)
        heads = {key: snapshot.head_or_none(value) for key, value in snapshots.items()}
        self._anew[partition] = Anew(first, heads)

    def _was_given(self, partition: int, offset: int) -> bool:
        return partition in self._anew and offset <= self._anew[partition].given

    def _seen_as(self, setup: Setup) -> Setup:
        return setup if self._face is None or setup == UNCONFIGURED else self._face(setup)

    def drop(self, partitions: Iterable[int]) -> None:
        """Forget partitions that are no longer ours."""
        for partition in partitions:
            for held in (self._partitions, self._again, self._written, self._anew, self._alive):
                held.pop(partition, None)
            for bed in self._beds.pop(partition, {}).values():
                self._close(bed)

    def _close(self, bed: Bed) -> None:
        self._looks.forget(bed)
        if bed.front is not None:
            self._front.close(bed.front)

    def missing_weights(self, records: Sequence[Record]) -> set[str]:
        """Return the hashes of networks that setups in these records, or in force, name and that are not loaded."""
        setups = [shared.setup for shared in self._partitions.values()]
        setups += [bed.setup for bed in self._all_beds()]
        for record in records:
            if tag_of(body := content(record.value)) == "setup":
                with suppress(FrameError):
                    setups += [entry] if isinstance(entry := decode(body), Setup) else []
        return {sha for setup in setups if (sha := setup.weights.get("net")) is not None} - set(self._nets)

    def _sort_out(self, records: deque[Record], out: Out) -> tuple[dict[Bed, Work], Minute | None]:
        """Decode records and give each device its entries, in the order of the log; stop after a new minute's tick."""
        work: defaultdict[Bed, Work] = defaultdict(Work)
        while records:
            record = records.popleft()
            shared = self._partitions.get(record.partition)
            if shared is None:
                shared = self._partitions[record.partition] = Partition()
            at = self._again.get(record.partition, shared)
            if 0 <= at.covers < record.offset - 1:
                self._tell_all(record, Lost(record.offset - 1 - at.covers), work)
            anew = self._anew.get(record.partition)
            if anew is not None and (lost := anew.lost(record.offset)) is not None:
                self._tell_all(record, lost, work)
            before_ns = at.clock.now_ns
            if not passed_over(record.key, record.value, self.only):
                entry = self._decode(record, at, out)
                if isinstance(entry, Setup):
                    entry = self._seen_as(entry)
                if isinstance(entry, Tick | Setup):
                    self._share(record, entry, work)
                else:
                    self._hear(record, at, entry, work, out)
            for each in (shared, at):
                each.covers = max(each.covers, record.offset)
            if at is not shared and at.covers >= shared.covers:
                del self._again[record.partition]
            if seal.is_due(before_ns, at.clock.now_ns):
                return work, Minute(record.partition, record.offset, at.clock.now_ns)
        return work, None

    def _decode(self, record: Record, at: Partition, out: Out) -> Frame | Tick | Command | Setup | Refused:
        """Return the entry, or whose input could not be accepted; `at` is the partition as of this record."""
        frame = True
        try:
            entry = decode(record.value)
            frame = isinstance(entry, Frame)
            entry = admissible(entry, at.setup, self._nets)
            if isinstance(entry, Frame | Command) and record.key != entry.device.encode():
                raise FrameError("device", entry.device, f"the record's key, {record.key!r}")
            if isinstance(entry, Frame | Command) and self.partitions:
                place = partition_of(entry.device.encode(), self.partitions)
                if place != record.partition:
                    raise FrameError("partition", record.partition, f"{place}, by murmur2 of its key")
            if isinstance(entry, Frame | Command) and not self._has_room(record, entry.device):
                raise _FullError("device", entry.device, f"one of the {MOST_DEVICES} that the partition has room for")
        except FrameError as error:
            device = "" if isinstance(error, _FullError) else (record.key or b"").decode(errors="replace")
            if self._is_letter(record, device, at):
                out.dead.append((record, str(error)))
            else:
                out.withheld[record.partition] = out.withheld.get(record.partition, 0) + 1
            return Refused(device, frame)
        if at.strangers and isinstance(entry, Frame | Command):
            at.strangers.pop(entry.device, None)
        return entry

    def _has_room(self, record: Record, device: str) -> bool:
        """Say whether a device may begin here, or has long begun; what is fed again is as it was the first time."""
        beds = self._beds[record.partition]
        known = device in beds or record.offset <= self._partitions[record.partition].covers
        return known or len(beds) < MOST_DEVICES

    def _is_letter(self, record: Record, device: str, at: Partition) -> bool:
        """Count what cannot be accepted in a row, and say whether it goes to the dead letters: not all of it does."""
        bed = self._beds[record.partition].get(device)
        if bed is not None:
            if record.offset > bed.state.covers:
                bed.state.bad_heard += 1
            count = bed.state.bad_heard
        else:
            if device not in at.strangers and len(at.strangers) >= STRANGERS:
                at.strangers.pop(next(iter(at.strangers)))
            count = at.strangers[device] = at.strangers.get(device, 0) + 1
        return count <= BAD_FRAMES or count % QUARANTINED_EVERY == 0

    def _share(self, record: Record, entry: Tick | Setup, work: defaultdict[Bed, Work]) -> None:
        """Take what concerns a whole partition, and hand it to each of its devices."""
        shared, again = self._partitions[record.partition], self._again.get(record.partition)
        states = [] if again is None else [again]
        if record.offset > shared.covers:
            states.append(shared)
        for state in states:
            if isinstance(entry, Tick):
                state.clock.take(entry, record.append_ns)
            else:
                state.setup = entry
        self._tell_all(record, entry, work)

    def _tell_all(self, record: Record, entry: Tick | Setup | Lost, work: defaultdict[Bed, Work]) -> None:
        for bed in self._beds[record.partition].values():
            if record.offset > bed.state.covers:
                work[bed].heard.extend(self._told(record, bed, entry))

    def _told(self, record: Record, bed: Bed, entry: Tick | Setup | Lost) -> list[Heard]:
        """Return what an entry for all means to one device; its clock is its own, as it may be behind the others."""
        offset = record.offset
        if not isinstance(entry, Tick):
            return [Heard(offset, entry)]
        before_ns = bed.state.clock.now_ns
        now_ns = bed.state.clock.take(entry, record.append_ns)
        waited = bed.timeline.flush(offset) if now_ns - bed.state.arrived_ns > PATIENCE_NS else []
        return [
            *(Heard(offset, piece) for piece in waited),
            Heard(offset, Time(now_ns, seal.is_due(before_ns, now_ns))),
        ]

    def _hear(
        self, record: Record, at: Partition, entry: Frame | Command | Refused, work: defaultdict[Bed, Work], out: Out
    ) -> None:
        """Hand a device its own entry; a device that was never heard of begins here, but not with a bad one."""
        bed = self._beds[record.partition].get(entry.device)
        if bed is None:
            if isinstance(entry, Refused) or self._was_forgotten(record, entry.device):
                return
            bed = Bed(entry.device, TOPIC, record.partition, at.setup, at.clock)
            self._beds[record.partition][entry.device] = bed
            self._forgotten.pop((record.partition, entry.device), None)
            if record.partition in self._anew:
                self._anew[record.partition].begin(bed)
        if record.offset <= bed.state.covers:
            return
        if isinstance(entry, Refused):
            if entry.frame:
                work[bed].heard.append(Heard(record.offset, Arrival.BAD))
            return
        heard = work[bed].heard
        if isinstance(entry, Command):
            heard.append(Heard(record.offset, Order(entry, record.value)))
            return
        out.frames += 1
        bed.state.bad_heard = 0
        useless = bed.timeline.useless
        pieces = bed.timeline.feed(entry, record.offset)
        if bed.timeline.useless == useless:  # a device stuck on frames of the past is as silent as one that is off
            bed.state.arrived_ns = bed.state.clock.now_ns
            heard.append(Heard(record.offset, Arrival.GOOD))
        heard.extend(Heard(record.offset, piece) for piece in pieces)

    def _was_forgotten(self, record: Record, device: str) -> bool:
        """Say whether a device without a bed, heard of before the partition's own snapshot, was gone by then.

        One that was not is put back from the row of an earlier life, and begins anew here as it did the first time.
        """
        alive = device in self._alive.get(record.partition, ())
        return not alive and record.offset <= self._partitions[record.partition].covers

    def _seal(self, minute: Minute, out: Out) -> None:
        """Seal the chains of a partition, and forget the devices that are gone; a seal is given once."""
        shared, heads = self._partitions[minute.partition], {}
        beds = self._beds[minute.partition]
        for device, bed in list(beds.items()):
            if bed.mark is None:
                continue
            heads[device], bed.mark = bed.mark, None
            if heads[device].ended:
                self._close(beds.pop(device))
                self._forgotten[minute.partition, device] = None
        if minute.time_ns <= shared.sealed_ns:
            return
        body = seal.encode(
            seal.Seal(minute.partition, shared.seals, minute.time_ns, minute.offset, shared.sealed, VERSION, heads)
        )
        shared.seals, shared.sealed_ns, shared.sealed = shared.seals + 1, minute.time_ns, seal.seal_hash(body)
        out.seals.append((minute.partition, body))

    def _fails(self, partition: int) -> bool:
        """Say whether so many devices of a partition fail that the fault must be ours, or everybody's."""
        beds = self._beds[partition].values()
        strangers = self._partitions[partition].strangers
        failing = sum(bed.fails for bed in beds) + sum(n >= BAD_FRAMES for name, n in strangers.items() if name)
        sending = sum(bed.sends or bed.fails for bed in beds) + sum(bool(name) for name in strangers)
        return failing >= FAILING_LEAST and 2 * failing >= sending

    def _round(self, work: dict[Bed, Work], out: Out) -> list[tuple[int, int, int, bytes, bytes]]:
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
            if not self._was_given(bed.partition, bed.state.offset):
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
        self._looks.forget(bed)
        if bed.front is not None:
            self._front.close(bed.front)
        leads = lead.names(tuple(piece.leads[row] for row in _rows_of(piece, "ecg")))
        gains = [piece.leads[row].gain for row in _rows_of(piece, *lead.PULSE_KINDS)]
        bed.front = self._front.open(piece.rate_hz, len(leads), gains)
        bed.restart(piece, leads)

    def _join(self, bed: Bed, pieces: list[tuple[int, Piece]]) -> tuple[Chunk, dict[int, int]]:
        assert bed.front is not None
        state, ends, rows = bed.state, {}, _rows_of(pieces[0][1], "ecg")
        first, n_before, pacer = self._front.raw_after(bed.front, state.n_in), state.n_in, []
        for at, piece in pieces:
            pacer += [state.n_in - n_before + spike for spike in piece.pacer]
            off = [*state.off, *(_at_analysis_rate(run, piece, rows) for run in piece.off if run[0] in rows)]
            state.off = merged(off) if len(off) > MANY_RUNS else off
            state.n_in += piece.mv.shape[1]
            ends[at] = self._front.clean_after(bed.front, state.n_in, last=piece.last)
        mv, pulse = (_joined(pieces, chosen) for chosen in (rows, _rows_of(pieces[0][1], *lead.PULSE_KINDS)))
        return Chunk(bed.front, mv, first, tuple(state.off), pieces[-1][1].last, pacer, pulse), ends

    def _predict(
        self, analyses: Mapping[Bed, Analysis], setups: Mapping[Bed, Setup], out: Out
    ) -> dict[Bed, list[tuple[int, dict[str, float]]]]:
        """Show the networks the windows that ended in this batch, those of all beds together."""
        asked: dict[Bed, Asked] = {}
        for bed, analysis in analyses.items():
            windows, net = bed.windows.feed(analysis.clean), setups[bed].weights.get("net")
            if net is not None and windows:
                asked[bed] = Asked(net, bed.state.leads, windows)
        out.windows += sum(len(each.windows) for each in asked.values())
        return self._looks.feed(asked)

    def snapshot(self, partition: int) -> dict[bytes, bytes]:
        """Return the rows of a partition as it stands, by key: those of all devices, due or not, and its own."""
        shared, beds = self._partitions[partition], self._beds[partition]
        rows = {device.encode(): self._snapshot_of(bed) for device, bed in beds.items()}
        return {**rows, PARTITION_KEY: snapshot.encode(shared, shared.covers, devices=list(beds))}

    def is_settled(self, partition: int) -> bool:
        """Say whether nothing of a partition is being derived again, so that its rows may be put away as they are."""
        return partition in self._partitions and partition not in self._again and partition not in self._anew

    def _snapshot_of(self, bed: Bed) -> bytes:
        return bed.snapshot(None if bed.front is None else self._front.snapshot(bed.front))

    def _all_beds(self) -> Iterator[Bed]:
        return (bed for beds in self._beds.values() for bed in beds.values())

    def _snapshots(self, partitions: Mapping[int, int], busy: Container[Bed], out: Out) -> None:
        """Add the snapshots that are due of partitions, each fed up to an offset.

        A partition's own comes last, so that it never covers an unknown device; after a restore it may be ahead of
        what has been fed again, and a device may be ahead of both. Devices are forgotten only behind it. For a device
        that was not `busy` no time has passed.
        """
        for partition, end in partitions.items():
            if not self._was_given(partition, end):
                anew = self._anew.pop(partition, None)
                for bed in self._beds[partition].values():
                    if bed.state.covers < end:
                        bed.state.covers = end
                    if anew is not None or bed in busy:
                        self._snapshots_of_bed(bed, out, anew=anew is not None)
                self._snapshots_of(partition, anew, out)
        forgotten = [(partition, device.encode()) for partition, device in self._forgotten]
        out.snapshots.extend((partition, key, None) for partition, key in forgotten if partition not in self._anew)
        self._forgotten.clear()

    def _snapshots_of_bed(self, bed: Bed, out: Out, *, anew: bool) -> None:
        """Add those that are due of a device; both of one that was derived `anew`."""
        due, checkpoint_due = bed.snapshot_due(), bed.checkpoint_due() or anew
        if due or checkpoint_due:
            key, kept = bed.device.encode(), self._snapshot_of(bed)
            out.snapshots.append((bed.partition, key, kept))
            if checkpoint_due:
                out.checkpoints.append((bed.partition, key, kept))

    def _snapshots_of(self, partition: int, anew: Anew | None, out: Out) -> None:
        """Add those of a partition itself, and the tombstones where it was derived `anew`."""
        shared, devices = self._partitions[partition], list(self._beds[partition])
        if anew is not None:
            out.snapshots.extend((partition, key, None) for key in anew.gone(devices))
        if anew is not None or self._written.get(partition) != (shared.clock.now_ns, shared.setup):
            self._written[partition] = (shared.clock.now_ns, shared.setup)
            slot = shared.clock.now_ns // CHECKPOINT_EVERY_NS
            due, shared.checkpoint_slot = slot != shared.checkpoint_slot or anew is not None, slot
            kept = snapshot.encode(shared, shared.covers, devices=devices)
            out.snapshots.append((partition, PARTITION_KEY, kept))
            if due:
                out.checkpoints.append((partition, PARTITION_KEY, kept))


def _setup_of(bed: Bed, heard: Sequence[Heard]) -> Setup:
    """Return the setup in force for the samples of a round: no setup comes after its first piece."""
    return next((h.what for h in reversed(heard) if isinstance(h.what, Setup)), bed.setup)


def _joined(pieces: Sequence[tuple[int, Piece]], rows: list[int]) -> NDArray[np.float32]:
    """Return some leads of pieces that follow one another."""
    if len(pieces) == 1:
        mv = pieces[0][1].mv
        return mv if len(rows) == len(mv) else mv[rows]
    return np.concatenate([piece.mv[rows] for _, piece in pieces], axis=1)


def _rows_of(piece: Piece, *kinds: str) -> list[int]:
    return [row for row, each in enumerate(piece.leads) if each.kind in kinds]


def _at_analysis_rate(run: tuple[int, int, int], piece: Piece, rows: list[int]) -> tuple[int, int, int]:
    """Bring a run of lead-off samples from a piece's own numbering to samples of the stretch at 250 Hz."""
    row, first, end = run
    ratio = ANALYSIS_HZ / piece.rate_hz
    return rows.index(row), math.ceil((piece.first + first) * ratio), math.ceil((piece.first + end) * ratio)
