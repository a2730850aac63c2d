"""What all devices of a partition share, and what a batch has yet to do for each of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ecg.frame import Setup
from ecg.timeline import Piece
from ecg.wardclock import WardClock
from stream import seal
from stream.bed_state import Heard
from stream.intake import UNCONFIGURED


class Partition(msgspec.Struct, array_like=True):
    """What all devices of a partition share, and how far it was read.

    `seals` counts those that were given, of which the last was at `sealed_ns` of the ward's time and has the hash
    `sealed`; `strangers` the inputs in a row that could not be accepted, by the key of devices that are not known.
    """

    covers: int = -1
    clock: WardClock = msgspec.field(default_factory=WardClock)
    setup: Setup = UNCONFIGURED
    seals: int = 0
    sealed_ns: int = 0
    sealed: str = ""
    strangers: dict[str, int] = {}
    checkpoint_slot: int = -1

    def sealed_up_to(self, sealed: bytes | None) -> Partition:
        """Return this as of after a seal, the last one that was published, if any."""
        if sealed is not None and (last := seal.decode(sealed)).n >= self.seals:
            self.seals, self.sealed_ns, self.sealed = last.n + 1, last.time_ns, seal.seal_hash(sealed)
        return self


class Minute(NamedTuple):
    """The first tick of a minute of the ward's time."""

    partition: int
    offset: int
    time_ns: int


class Work:
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
