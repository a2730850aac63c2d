"""Frames of one device as WFDB records: counts and gains exactly as they were sent, what is missing as missing.

The frames go through the device's timeline, so that doubled, late and lost ones lie as the pipeline took them; but the
timeline is shown counts for millivolts, and of electrodes that were off what they gave.
"""

from __future__ import annotations

import bisect
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg.frame import MISSING, Frame, Lead
from ecg.timeline import Piece, Timeline


class Place(NamedTuple):
    """A sample of one of the records."""

    record: str
    sample: int


class _Anchor(NamedTuple):
    """From which event time on which record's samples lie where."""

    t_ns: int
    record: str
    sample: int
    rate_hz: float


class _Open:
    """A record that is being written: 16-bit samples, all leads of one moment together."""

    def __init__(self, name: str, piece: Piece, folder: Path | None) -> None:
        self.name, self.t0_ns, self.rate_hz = name, piece.t_ns, piece.rate_hz
        self.layout, self.leads = piece.leads, tuple(_sent(lead) for lead in piece.leads)
        self.n = 0
        self._folder = folder
        self._data: IO[bytes] | None = None if folder is None else (folder / f"{name}.dat").open("wb")

    @property
    def end_ns(self) -> int:
        return self.t0_ns + round(self.n * 1e9 / self.rate_hz)

    def write(self, counts: NDArray[np.int16]) -> None:
        self.n += counts.shape[1]
        if self._data is not None:
            self._data.write(np.ascontiguousarray(counts.T).astype("<i2").tobytes())

    def missing(self, n: int) -> None:
        """Write missing samples, a second at a time."""
        step = int(self.rate_hz)
        for first in range(0, n, step):
            self.write(np.full((len(self.leads), min(step, n - first)), MISSING, np.int16))

    def close(self) -> None:
        """End the record, and write its header."""
        if self._data is None or self._folder is None:
            return
        self._data.close()
        (self._folder / f"{self.name}.hea").write_text(self._header())

    def _header(self) -> str:
        start = datetime.fromtimestamp(self.t0_ns // 1_000_000_000, UTC)
        fraction = f".{self.t0_ns % 1_000_000_000 // 1000:06d}"
        rate = f"{self.rate_hz:.17g}"
        lines = [f"{self.name} {len(self.leads)} {rate} {self.n} {start:%H:%M:%S}{fraction} {start:%d/%m/%Y}"]
        for lead in self.leads:
            scale = f"{lead.gain!r}({lead.baseline})/{_unit(lead.unit)}"
            lines.append(f"{self.name}.dat 16 {scale} 16 0 0 0 0 {lead.name}")
        lines.append(f"# first sample at {self.t0_ns} ns since 1970, event time")
        lines += [f"# lead {lead.name}: {lead.kind}, unit as sent: {lead.unit!r}" for lead in self.leads]
        return "\n".join(lines) + "\n"


class Recorder:
    """Writes a device's frames as WFDB records: one, unless its leads, rate or gains change, or its clock falls back.

    Parameters
    ----------
    device : str
    folder : Path or None
        Where to; None: only tell where samples would lie.
    first : int
        Frames at lower offsets are shown, so that those behind them are put in order, but not written.
    timeline : bytes or None
        As the device's checkpoint has it.

    Attributes
    ----------
    name : str
        Of the first record, which the others' begin with.
    records : dict of str to float
        Rate of each record by its name.
    """

    def __init__(self, device: str, folder: Path | None, first: int = 0, timeline: bytes | None = None) -> None:
        self.name = record_name(device)
        self.records: dict[str, float] = {}
        self._folder, self._first = folder, first
        self._open: _Open | None = None
        self._anchors: list[_Anchor] = []
        self._timeline = Timeline()
        if timeline is not None:
            self._timeline.restore(timeline)
            state = self._timeline.state
            state.leads = tuple(_shown(lead) for lead in state.leads)
            state.held = [_counted(frame) for frame in state.held]

    def feed(self, frame: Frame, offset: int) -> None:
        """Take the frame at an offset of the input."""
        self._write(self._timeline.feed(_counted(frame), offset))

    def close(self, offset: int) -> None:
        """Take what still waits for lost frames at the end, and end the last record."""
        self._write(self._timeline.flush(offset))
        if self._open is not None:
            self._open.close()

    @property
    def first_ns(self) -> int | None:
        """Event time of the first sample that was written, if any was."""
        return self._anchors[0].t_ns if self._anchors else None

    def place(self, t_ns: int) -> Place | None:
        """Return where the sample of an event time lies; before the first sample, the first; None without a record."""
        if not self._anchors:
            return None
        at = max(0, bisect.bisect_right(self._anchors, t_ns, key=lambda anchor: anchor.t_ns) - 1)
        anchor = self._anchors[at]
        return Place(anchor.record, max(0, anchor.sample + round((t_ns - anchor.t_ns) * anchor.rate_hz / 1e9)))

    def _write(self, pieces: list[Piece]) -> None:
        for piece in pieces:
            if piece.offset >= self._first:
                record = self._record_of(piece)
                anchor = _Anchor(piece.t_ns, record.name, record.n, record.rate_hz)
                if self._anchors and anchor.t_ns < self._anchors[-1].t_ns:  # a clock that fell back
                    self._anchors = [each for each in self._anchors if each.t_ns < anchor.t_ns]
                self._anchors.append(anchor)
                record.write(_counts(piece.mv))

    def _record_of(self, piece: Piece) -> _Open:
        """Return the record that a piece belongs to, filled up to it."""
        record = self._open
        if record is not None and (record.layout, record.rate_hz) == (piece.leads, piece.rate_hz):
            lacking = round((piece.t_ns - record.end_ns) * record.rate_hz / 1e9)
            if not piece.new or lacking >= 0:
                record.missing(lacking if piece.new else 0)
                return record
        if record is not None:
            record.close()
        name = self.name if not self.records else f"{self.name}-{len(self.records) + 1}"
        self.records[name] = piece.rate_hz
        self._open = _Open(name, piece, self._folder)
        return self._open


def record_name(device: str) -> str:
    """Return a device's name as a WFDB record may have it: letters, digits, `_` and `-`."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", device)


def _shown(lead: Lead) -> Lead:
    """Return a lead whose counts the timeline takes for its values, and that holds in its unit what it was."""
    return Lead(lead.name, 1.0, "resp", 0, msgspec.json.encode(lead).decode())


def _sent(shown: Lead) -> Lead:
    return msgspec.json.decode(shown.unit, type=Lead)


def _counted(frame: Frame) -> Frame:
    return msgspec.structs.replace(frame, leads=tuple(_shown(lead) for lead in frame.leads), lead_off=())


def _counts(values: NDArray[np.float32]) -> NDArray[np.int16]:
    return np.where(np.isnan(values), MISSING, values).astype(np.int16)


def _unit(unit: str) -> str:
    """Return a unit as a header may have it: one word, and none means millivolts there."""
    return re.sub(r"\s", "_", unit) or "NU"
