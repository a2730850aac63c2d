"""What a bed hears, remembers and gives, and how it lies in a snapshot."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from enum import Enum
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg.artefact import Ladder
from ecg.average_beat import MEASURED
from ecg.beats import BEAT
from ecg.fibrillation import FIBRILLATION
from ecg.frame import Command, Setup
from ecg.frontend import Analysis, BedSecond
from ecg.pulse import PULSE
from ecg.resample import ANALYSIS_HZ
from ecg.timeline import Piece
from ecg.wardclock import WardClock

SAMPLE_NS = 1_000_000_000 // ANALYSIS_HZ


def _place(dtype: np.dtype[np.void], field: str) -> int:
    """Return the place of a field in rows."""
    assert dtype.names is not None
    return dtype.names.index(field)


Row = tuple[Any, ...]
"""One entry of a structured array as Python's own numbers, in the order of its fields."""
LABEL, RR_S, FIBRILLATORY = _place(BEAT, "label"), _place(BEAT, "rr_s"), _place(FIBRILLATION, "fibrillatory")
"""Where these lie in the rows of beats and of judgements."""


class Arrival(Enum):
    """A frame came: one that was taken, or one that could not be accepted."""

    GOOD = "good"
    BAD = "bad"


class Time(NamedTuple):
    """The ward's time, after a tick; `sealing` where that was the first of a minute."""

    now_ns: int
    sealing: bool = False


class Order(NamedTuple):
    """A command, with the bytes in which it lies in the log."""

    command: Command
    record: bytes


class Lost(NamedTuple):
    """So many records of the partition, of whomever, are missing from the log before this place."""

    records: int


class Heard(NamedTuple):
    """One entry of a device's log, in order: that a frame came, the pieces of samples it released, the time, ..."""

    offset: int
    what: Piece | Time | Order | Setup | Arrival | Lost


class Given(NamedTuple):
    """What a bed gives back: alerts (offset, ordinal, bytes), vitals, and refused commands (offset, reason)."""

    alerts: list[tuple[int, int, bytes]]
    vitals: list[bytes]
    refused: list[tuple[int, str]]


class State(msgspec.Struct):
    """What a bed remembers beside its timeline, rules and alarms.

    `clock` is the ward's, and `arrived_ns` its time at the last frame, as of the whole batch; `tick_ns` and
    `frame_tick_ns` are the same in the order of the log. `now_ns` is the bed's own event time, `heard_ns` the same at
    the last frame, `anchor_ns` that of sample 0; `offsets` has the input offset of each of the last seconds;
    `blind_steps` counts steps since a heart, or why none is seen, could last be told, also over restarts; `links`
    those of the chain whose head is `chain`, `commands` the ones since the last seal that are commands. `spikes` are
    those of a pacer that the rules have not reached, `ladder` is where the artefact ladder stands, `fibrillatory`
    whether the wave was called so since it went on; `withheld` counts the alarms that a pulse or the network withheld,
    `doubted_ns` is the onset of the last that the network did. Inputs in a row that could not be accepted are counted
    twice: `bad_heard` as of the whole batch, `bad_frames` in the order of the log.
    """

    covers: int = -1
    setup: Setup | None = None
    tick_ns: int = 0
    frame_tick_ns: int = 0
    clock: WardClock = msgspec.field(default_factory=WardClock)
    arrived_ns: int = 0
    blind_steps: int = 0
    now_ns: int = 0
    heard_ns: int = 0
    anchor_ns: int = 0
    leads: tuple[str, ...] = ()
    rate_hz: float = 0.0
    n_in: int = 0
    clean_end: int = 0
    step_end: int = 0
    off: list[tuple[int, int, int]] = []
    spikes: list[int] = []
    offset: int = -1
    offsets: list[int] = []
    ordinal: int = 0
    chain: str = ""
    links: int = 0
    commands: list[tuple[int, str]] = []
    quality: tuple[int, ...] = ()
    ladder: Ladder = msgspec.field(default_factory=Ladder)
    fibrillatory: bool = False
    withheld: int = 0
    doubted_ns: int = 0
    probabilities: dict[str, float] | None = None
    gap_s: float = 0.0
    gap_ns: int = 0
    skew_s: float = 0.0
    skew_ns: int = 0
    bad_frames: int = 0
    bad_heard: int = 0
    lost: int = 0
    lost_ns: int = 0
    discharged: bool = False
    ended: bool = False
    beats: str = ""
    rhythm: str = "starting"
    heart_rate_bpm: float | None = None
    risk_onset_ns: int = 0
    risk_n: int = 0
    nonces: dict[str, int] = {}
    snapshot_slot: int = -1
    checkpoint_slot: int = -1


class Queue:
    """What the array stages found of one kind, in order of time, until the rules have reached it.

    It holds rows of Python's own numbers: the rules look at one or two of them at a time.

    Parameters
    ----------
    dtype : dtype
        Of the structured array that it is.
    due : str
        The field that holds the sample from which on one is known.
    """

    def __init__(self, dtype: np.dtype[np.void], due: str) -> None:
        self._dtype, self._due = dtype, itemgetter(_place(dtype, due))
        self._found, self._none = list[Row](), np.empty(0, dtype)

    def add(self, found: NDArray[np.void]) -> None:
        """Put what was found behind what waits."""
        if len(found):
            self._found += found.tolist()

    def before(self, end: int) -> Sequence[Row]:
        """Take out what is known before a sample."""
        found = self._found
        if not found or self._due(found[0]) >= end:
            return ()
        n = bisect_left(found, end, key=self._due)
        taken = found[:n]
        del found[:n]
        return taken

    def array_before(self, end: int) -> NDArray[np.void]:
        """Take out the same as a structured array."""
        rows = self.before(end)
        return np.array(rows, self._dtype) if rows else self._none

    def snapshot(self) -> bytes:
        """Return what waits as bytes."""
        return np.array(self._found, self._dtype).tobytes() if self._found else b""

    def restore(self, kept: bytes) -> None:
        """Put back what `snapshot` returned; raises ValueError on other bytes."""
        self._found = []
        self.add(np.frombuffer(kept, self._dtype))


class Pending:
    """What the array stages found and the rules have not yet reached, in order of time."""

    def __init__(self) -> None:
        self.beats, self.fibrillation = Queue(BEAT, "confirmed"), Queue(FIBRILLATION, "end")
        self.quality: list[BedSecond] = []
        self.probabilities: list[tuple[int, dict[str, float]]] = []
        self.trace: NDArray[np.float32] = np.empty(0, np.float32)
        self.pulses, self.measured = Queue(PULSE, "confirmed"), Queue(MEASURED, "at")

    def add(self, analysis: Analysis, probabilities: list[tuple[int, dict[str, float]]]) -> None:
        """Put what a batch found behind what waits."""
        self.beats.add(analysis.beats)
        self.fibrillation.add(analysis.fibrillation)
        self.pulses.add(analysis.pulses)
        self.measured.add(analysis.measured)
        self.quality += analysis.quality
        self.probabilities += probabilities
        self.trace = np.concatenate([self.trace, analysis.clean[0]])


MANY_RUNS = 32
"""From so many runs of samples without an electrode on, those that touch are kept as one."""


def merged(runs: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
    """Return runs (lead, first, end) in order, those that overlap or touch as one."""
    kept: list[tuple[int, int, int]] = []
    for lead, first, end in sorted(runs):
        if kept and kept[-1][0] == lead and first <= kept[-1][2]:
            kept[-1] = (lead, kept[-1][1], max(end, kept[-1][2]))
        else:
            kept.append((lead, first, end))
    return kept
