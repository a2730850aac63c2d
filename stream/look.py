"""What the networks make of each bed's windows: chunks that overlapping windows share are encoded once.

What is kept of a bed is a function of its samples, so that it is in no snapshot: after a restore the next window's
chunks are encoded again, to the same bits.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from ecg.window import CHUNKS, HALO, HOP, SPAN, Window

Bed = TypeVar("Bed", bound=Hashable)


class Net(Protocol):
    """A network in two steps, each the same to the bit whatever the batch."""

    def encode(self, cut_mv: Sequence[NDArray[np.float32]], leads: Sequence[Sequence[str]]) -> list[Any]:
        """Encode chunks of beds with their halo, each (leads, 700), with the names of their leads."""
        ...

    def classify(self, windows: Sequence[Sequence[Any]], leads: Sequence[Sequence[str]]) -> list[dict[str, float]]:
        """Answer for windows of five encoded chunks each, with the names of their leads."""
        ...


class Asked(NamedTuple):
    """Windows of one bed that ended, in order, with its leads, and the network by its weights."""

    net: str
    leads: tuple[str, ...]
    windows: list[Window]


class Looks:
    """Encoded chunks by bed, and the answers for windows.

    Parameters
    ----------
    nets : mapping of str to Net
        By the sha256 of their weights.
    """

    def __init__(self, nets: Mapping[str, Net]) -> None:
        self._nets = nets
        self._kept: dict[Hashable, dict[tuple[str, int], Any]] = {}

    def forget(self, bed: Hashable) -> None:
        """Forget a bed that is gone, or begins another stretch."""
        self._kept.pop(bed, None)

    def feed(self, asked: Mapping[Bed, Asked]) -> dict[Bed, list[tuple[int, dict[str, float]]]]:
        """Answer for the windows of many beds together: by bed, each window's last sample with its probabilities."""
        seen: dict[Bed, list[tuple[int, dict[str, float]]]] = {}
        for net in {each.net for each in asked.values()}:
            mine = {bed: each for bed, each in asked.items() if each.net == net}
            self._encode(net, mine)
            places = [(bed, window.end) for bed, each in mine.items() for window in each.windows]
            windows = [[self._kept[bed][net, at] for at in _ends(end)] for bed, end in places]
            answers = self._nets[net].classify(windows, [mine[bed].leads for bed, _ in places])
            for (bed, end), answer in zip(places, answers, strict=True):
                seen.setdefault(bed, []).append((end, answer))
            for bed, each in mine.items():
                last = each.windows[-1].end
                self._kept[bed] = {(net, at): self._kept[bed][net, at] for at in _ends(last)}
        return seen

    def _encode(self, net: str, asked: Mapping[Bed, Asked]) -> None:
        """Encode the chunks that no window before had."""
        lacking: dict[tuple[Bed, int], NDArray[np.float32]] = {}
        for bed, each in asked.items():
            kept = self._kept.setdefault(bed, {})
            for window in each.windows:
                for at in _ends(window.end):
                    if (net, at) not in kept and (bed, at) not in lacking:
                        back = window.end - at
                        lacking[bed, at] = window.mv[:, SPAN - back - HOP - HALO : SPAN - back]
        if lacking:
            found = self._nets[net].encode(list(lacking.values()), [asked[bed].leads for bed, _ in lacking])
            for (bed, at), chunk in zip(lacking, found, strict=True):
                self._kept[bed][net, at] = chunk


def _ends(end: int) -> list[int]:
    """Return the last samples of a window's chunks."""
    return [end - HOP * k for k in reversed(range(CHUNKS))]
