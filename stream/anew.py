"""A partition that is derived again from its log, since its snapshots are of another schema."""

from __future__ import annotations

from collections.abc import Mapping

from stream.bed import Bed
from stream.bed_state import Lost
from stream.snapshot import PARTITION_KEY, Head


class Anew:
    """What is known of such a partition beforehand.

    Parameters
    ----------
    first : int
        The first offset that the log holds.
    heads : mapping of bytes to (Head or None)
        By key, how the snapshots begin that cannot be read further.

    Attributes
    ----------
    given : int
        The last offset of which everything was published.
    """

    def __init__(self, first: int, heads: Mapping[bytes, Head | None]) -> None:
        self._lost, self._heads = Lost(first) if first else None, heads
        self.given = max((head.covers for head in heads.values() if head is not None), default=-1)

    def begin(self, bed: Bed) -> None:
        """Let the chain of a device that begins go on from its snapshot, once that is passed."""
        bed.handed_on = self._heads.get(bed.device.encode())

    def lost(self, offset: int) -> Lost | None:
        """Return, at the first offset of which not everything was published, what the log has lost, if anything."""
        if offset <= self.given:
            return None
        lost, self._lost = self._lost, None
        return lost

    def gone(self, devices: list[str]) -> list[bytes]:
        """Return the keys of snapshots whose devices are not among those that there are."""
        return sorted(set(self._heads) - {PARTITION_KEY} - {device.encode() for device in devices})
