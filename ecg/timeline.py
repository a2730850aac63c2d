"""Puts the frames of one device in order: reordered, doubled, late and lost frames, gaps, and a clock that drifts."""

from __future__ import annotations

import functools
import math
import zlib
from bisect import insort
from fractions import Fraction
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg.frame import MAX_FRAME_S, MIN_FRAME_S, Frame, Lead
from ecg.lead import to_mv

HELD_NS = 2_000_000_000
"""Frames that wait behind a hole hold at most this much signal; then the hole is a gap."""
MAX_GAP_S = 10.0
"""A longer gap is not filled with missing samples: a new stretch begins after it."""
DRIFT_NS = 100_000_000
"""Event time keeps within this of the device's clock, as long as that runs no faster or slower than `SLEW`."""
STEP_NS = 500_000_000
"""A larger difference at once is a step: a skew where the clock is behind; a gap where it is ahead, but a skew, too,
where it is ahead by `MAX_GAP_S` more than frames that were lost could hold."""
SLEW = 0.01
"""Event time follows a drifting clock by at most this much of the time that passes."""
PAST_SESSIONS = 4
MISSED_RANGES = 32


class Note(NamedTuple):
    """What was wrong with the time of a piece: a gap before it, or a clock that stepped (back: negative seconds)."""

    kind: Literal["gap", "clock_skew"]
    seconds: float


class Piece(NamedTuple):
    """Samples that follow one another, at the device's rate, ready for the filters.

    Attributes
    ----------
    new : bool
        A stretch begins: a session, other leads, another rate, or signal after a long gap or a clock's step ahead. The
        filters start anew.
    first : int
        Number of the first sample in its stretch; the pieces of a stretch leave no number out.
    t_ns : int
        Event time of the first sample.
    rate_hz, leads : float, tuple of Lead
        As the device said them.
    mv : ndarray of float32, shape (n_leads, n_samples)
        Millivolts (pulse leads in their own unit); NaN where a sample is missing or its electrode was off.
    off : tuple of (lead, first, end)
        Samples of this piece, from its own beginning, whose electrode was off.
    pacer : tuple of int
        Samples of this piece at which the device saw a pacer spike.
    offset : int
        Input offset that released the piece: that of its own frame, or of the later one that ended the waiting.
    last : bool
        The session ends with this piece.
    notes : tuple of Note
    """

    new: bool
    first: int
    t_ns: int
    rate_hz: float
    leads: tuple[Lead, ...]
    mv: NDArray[np.float32]
    off: tuple[tuple[int, int, int], ...]
    pacer: tuple[int, ...]
    offset: int
    last: bool
    notes: tuple[Note, ...]


class State(msgspec.Struct, array_like=True):
    """Where a device's timeline stands.

    `index` numbers the next sample of the stretch, `origin_ns` is the event time of its sample 0, and `clock_ns` what
    the device's clock was ahead of event time at the last frame; `held` are frames that wait behind a hole, in order;
    `missed` the ranges of frames given up; `doubted` is the number of the newest frame that was dropped as given up
    although it was later than any seen, -1 since a frame was taken; `duplicates` and `late` count dropped frames.
    """

    session: str = ""
    past: list[str] = []
    next_seq: int = 0
    leads: tuple[Lead, ...] = ()
    rate_hz: float = 0.0
    index: int = 0
    origin_ns: int = 0
    clock_ns: int = 0
    newest_ns: int = 0
    held: list[Frame] = []
    missed: list[tuple[int, int]] = []
    doubted: int = -1
    duplicates: int = 0
    late: int = 0


class _Held(msgspec.Struct, array_like=True):
    """A frame that waits, without what all of them share; `leads` is the place of its leads in `_Kept.leads`."""

    seq: int
    t0_ns: int
    rate_hz: float
    leads: int
    counts: bytes
    lead_off: tuple[tuple[int, int, int], ...]
    pacer: tuple[int, ...]
    last: bool


class _Kept(msgspec.Struct, array_like=True):
    state: State
    device: str
    leads: list[tuple[Lead, ...]]
    held: bytes


_decoder = msgspec.msgpack.Decoder(_Kept)
_held_decoder = msgspec.msgpack.Decoder(list[_Held])
_MOST_HELD_BYTES = 1 << 20


class Timeline:
    """The timeline of one device.

    Within a session, any cutting into frames, any doubling of frames, and any reordering in which the frames behind a
    hole hold at most `HELD_NS` of signal give the same samples at the same event times. (Of a clock that drifts by
    more than `DRIFT_NS`, event times follow the frames' own, each within `DRIFT_NS`.)

    Examples
    --------
    >>> frames = [Frame("d", "s", n, n * 10**9, 100.0, (Lead("II", 200.0),), bytes(200)) for n in range(4)]
    >>> timeline = Timeline()
    >>> [(piece.first, piece.offset) for n in (0, 2, 1, 1, 3) for piece in timeline.feed(frames[n], offset=n)]
    [(0, 0), (100, 1), (200, 1), (300, 3)]
    """

    def __init__(self) -> None:
        self.state = State()

    def feed(self, frame: Frame, offset: int) -> list[Piece]:
        """Take the frame at an input offset and return what it releases, in order."""
        pieces = []
        if frame.session in self.state.past:
            self.state.late += 1
            return pieces
        if frame.session != self.state.session or self._restarted(frame):
            pieces = self.flush(offset)
            self._begin(frame.session)
        state = self.state
        if frame.seq < state.next_seq or any(held.seq == frame.seq for held in state.held):
            lost = self._lost(frame)
            state.late += lost
            state.duplicates += not lost
            if lost and self._newer(frame):
                state.doubted = max(state.doubted, frame.seq)
            return pieces
        state.doubted = -1
        state.newest_ns = max(state.newest_ns, frame.t0_ns + _ns(frame.n_samples, frame.rate_hz))
        insort(state.held, frame, key=lambda held: held.seq)
        return pieces + self._release(offset, HELD_NS)

    def flush(self, offset: int) -> list[Piece]:
        """Give up waiting for lost frames, as when a device falls silent, and return what was held."""
        return self._release(offset, -1)

    def snapshot(self) -> bytes:
        """Return the state as bytes; frames that wait, which is seldom, are deflated."""
        frames = self.state.held
        if not frames:
            return msgspec.msgpack.encode(_Kept(self.state, "", [], b""))
        leads = list(dict.fromkeys(frame.leads for frame in frames))
        held = [
            _Held(f.seq, f.t0_ns, f.rate_hz, leads.index(f.leads), f.counts, f.lead_off, f.pacer, f.last)
            for f in frames
        ]
        state = msgspec.structs.replace(self.state, held=[])
        packed = zlib.compress(msgspec.msgpack.encode(held), 1)
        return msgspec.msgpack.encode(_Kept(state, frames[0].device, leads, packed))

    def restore(self, kept: bytes) -> None:
        """Put back a state that `snapshot` returned; raises msgspec.DecodeError on other bytes."""
        state, device, leads, packed = msgspec.structs.astuple(_decoder.decode(kept))
        if packed:
            session, held = state.session, zlib.decompressobj().decompress(packed, _MOST_HELD_BYTES)
            state.held = [
                Frame(device, session, f.seq, f.t0_ns, f.rate_hz, leads[f.leads], f.counts, f.lead_off, f.pacer, f.last)
                for f in _held_decoder.decode(held)
            ]
        self.state = state

    @property
    def useless(self) -> int:
        """Frames that were dropped because they, or what came after them, had been there before."""
        return self.state.duplicates + self.state.late

    def event_ns(self, index: int) -> int:
        """Return the event time of a sample of the present stretch."""
        return self.state.origin_ns + _ns(index, self.state.rate_hz)

    def _restarted(self, frame: Frame) -> bool:
        """Whether a number that was used comes with a time later than any seen: a device that reuses its session.

        Of numbers given up, the second such frame says so: one may be late from before the clock stepped back, but
        all of them come if a single wrong number, far ahead, had them given up.
        """
        if frame.seq >= self.state.next_seq or not self._newer(frame):
            return False
        return not self._lost(frame) or 0 <= self.state.doubted < frame.seq

    def _lost(self, frame: Frame) -> bool:
        return any(first <= frame.seq < end for first, end in self.state.missed)

    def _newer(self, frame: Frame) -> bool:
        return frame.t0_ns > self.state.newest_ns + HELD_NS

    def _begin(self, session: str) -> None:
        old = self.state
        past = [name for name in (*old.past, old.session) if name and name != session][-PAST_SESSIONS:]
        self.state = State(session=session, past=past, duplicates=old.duplicates, late=old.late)

    def _release(self, offset: int, patience_ns: int) -> list[Piece]:
        pieces, held = [], self.state.held
        while held and (
            held[0].seq == self.state.next_seq
            or sum(_ns(frame.n_samples, frame.rate_hz) for frame in held) > patience_ns
        ):
            pieces += self._take(held.pop(0), offset)
        return pieces

    def _take(self, frame: Frame, offset: int) -> list[Piece]:
        state, pieces = self.state, []
        hole = frame.seq - state.next_seq
        if hole:
            state.missed = [*state.missed, (state.next_seq, frame.seq)][-MISSED_RANGES:]
        state.next_seq = frame.seq + 1
        new = state.rate_hz == 0.0
        missing, step_ns = (0, 0) if new else self._missing(frame, hole)
        notes = [Note("gap", missing / state.rate_hz)] if missing else []
        if step_ns:
            notes.append(Note("clock_skew", step_ns / 1e9))
        if new or step_ns or missing > MAX_GAP_S * state.rate_hz or not _is_as(frame, state):
            new, state.index, state.origin_ns, state.clock_ns = True, 0, frame.t0_ns, 0
        elif missing:
            pieces, notes = self._gap(missing, offset, tuple(notes)), []
        state.leads, state.rate_hz = frame.leads, frame.rate_hz
        notes += self._follow(frame)
        pieces.append(self._piece(to_mv(frame), offset, tuple(notes), new, frame))
        return pieces

    def _missing(self, frame: Frame, hole: int) -> tuple[int, int]:
        """Return how many samples are missing before a frame, and by how many ns the clock stepped ahead there.

        What is missing is told by the device's clock; by number, if it fell back, or if it ran ahead by more than
        the frames of the hole and a gap of `MAX_GAP_S` can hold.
        """
        rate_hz, ahead_ns = self.state.rate_hz, frame.t0_ns - self.event_ns(self.state.index)
        if ahead_ns > (MAX_GAP_S + hole * MAX_FRAME_S) * 1e9:
            missing = hole * frame.n_samples
            return missing, ahead_ns - _ns(missing, rate_hz)
        if hole:
            missing = round((ahead_ns - self.state.clock_ns) * rate_hz / 1e9)
            return (missing if missing >= math.ceil(hole * MIN_FRAME_S * rate_hz) else hole * frame.n_samples), 0
        return (round(ahead_ns * rate_hz / 1e9) if ahead_ns > STEP_NS else 0), 0

    def _follow(self, frame: Frame) -> list[Note]:
        """Let event time follow the device's clock: at once where that stepped back, gently where it drifts."""
        state, notes = self.state, []
        ahead_ns = frame.t0_ns - self.event_ns(state.index)
        if ahead_ns < -STEP_NS:
            state.origin_ns += ahead_ns
            notes.append(Note("clock_skew", ahead_ns / 1e9))
        elif abs(ahead_ns) > DRIFT_NS:
            most = int(SLEW * _ns(frame.n_samples, frame.rate_hz))
            state.origin_ns += int(math.copysign(min(abs(ahead_ns) - DRIFT_NS, most), ahead_ns))
        state.clock_ns = frame.t0_ns - self.event_ns(state.index)
        return notes

    def _gap(self, missing: int, offset: int, notes: tuple[Note, ...]) -> list[Piece]:
        """Return missing samples, in pieces no longer than the longest frame, the notes on the first."""
        widest, pieces = int(MAX_FRAME_S * self.state.rate_hz), []
        while missing:
            width = min(missing, widest)
            mv = np.full((len(self.state.leads), width), np.nan, dtype=np.float32)
            pieces.append(self._piece(mv, offset, notes))
            missing, notes = missing - width, ()
        return pieces

    def _piece(
        self,
        mv: NDArray[np.float32],
        offset: int,
        notes: tuple[Note, ...],
        new: bool = False,
        frame: Frame | None = None,
    ) -> Piece:
        state = self.state
        off, pacer, last = (frame.lead_off, frame.pacer, frame.last) if frame else ((), (), False)
        first, t_ns = state.index, self.event_ns(state.index)
        state.index += mv.shape[1]
        return Piece(new, first, t_ns, state.rate_hz, state.leads, mv, off, pacer, offset, last, notes)


def _is_as(frame: Frame, state: State) -> bool:
    """Say whether a frame goes on as its stretch began, but for gains and baselines."""
    alike = frame.leads == state.leads or _layout(frame.leads) == _layout(state.leads)
    return alike and frame.rate_hz == state.rate_hz


def _layout(leads: tuple[Lead, ...]) -> list[tuple[str, str, str]]:
    return [(lead.name, lead.kind, lead.unit) for lead in leads]


@functools.lru_cache(maxsize=256)
def _ratio(rate_hz: float) -> tuple[int, int]:
    return Fraction(rate_hz).limit_denominator(1000).as_integer_ratio()


def _ns(samples: int, rate_hz: float) -> int:
    """Return how long so many samples take, to the nearest nanosecond, exactly."""
    top, bottom = _ratio(rate_hz)
    return (2 * samples * bottom * 1_000_000_000 + top) // (2 * top)
