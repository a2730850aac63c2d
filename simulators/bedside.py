"""A bedside monitor: all its leads, a frame whenever one is full, nothing lost and nothing late."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ecg.frame import MAX_FRAME_S, MIN_FRAME_S, Frame
from simulators.source import Source

Due = tuple[float, Frame]
"""A frame, and the second of the virtual clock at which it leaves its device."""


class Device(Protocol):
    """Whatever sends frames."""

    @property
    def device(self) -> str:
        """Pseudonym of the device."""
        ...

    def frames(self) -> Iterator[Due]:
        """Give its frames with the second since the start at which each leaves, in that order."""
        ...


class Framer:
    """Cuts a source into the frames of one session.

    Parameters
    ----------
    source : Source
    device : str
    t0_ns : int
        Device time of the first sample.
    frame_s : float
        Length of a frame, 0.04 to 2 s.
    session : str
        Empty: named after `t0_ns`, so that each start has its own.
    """

    def __init__(self, source: Source, device: str, t0_ns: int, frame_s: float, session: str = "") -> None:
        if not MIN_FRAME_S <= frame_s <= MAX_FRAME_S:
            raise ValueError(f"frame_s must be between {MIN_FRAME_S} and {MAX_FRAME_S} s, got {frame_s!r}")
        self.source, self.device, self.t0_ns = source, device, t0_ns
        self.session = session or f"s{t0_ns:x}"
        self._rate = Fraction(source.rate_hz).limit_denominator(1000)
        self._least = math.ceil(MIN_FRAME_S * source.rate_hz)
        self._most = int(MAX_FRAME_S * source.rate_hz)
        self.n = min(max(self._least, round(frame_s * source.rate_hz)), self._most)

    def cuts(self) -> Iterator[tuple[int, int, bool]]:
        """Give (first sample, samples, whether it is the last) of each frame; no frame is shorter than 40 ms."""
        first, total = 0, self.source.n_samples if self.source.loop_to is None else None
        while total is None or first < total:
            left = self.n if total is None else total - first
            n = min(self.n, left)
            if n < left < n + self._least:
                n = left if left <= self._most else left // 2
            yield first, n, total is not None and n == left
            first += n

    def frame(self, seq: int, first: int, n: int, last: bool = False, t0_ns: int | None = None) -> Frame:
        """Return the frame of samples first <= i < first + n, at `t0_ns` where its clock says otherwise."""
        source = self.source
        at = source.positions(first, n)
        return Frame(
            device=self.device,
            session=self.session,
            seq=seq,
            t0_ns=self.time_ns(first) if t0_ns is None else t0_ns,
            rate_hz=source.rate_hz,
            leads=source.leads,
            counts=source.counts[:, at].tobytes(),
            lead_off=() if source.off is None else _ranges(source.off[:, at]),
            pacer=() if source.pacer is None else tuple(np.flatnonzero(source.pacer[at]).tolist()),
            last=last,
        )

    def time_ns(self, sample: int) -> int:
        """Return the device time of a sample."""
        return self.t0_ns + sample * 1_000_000_000 * self._rate.denominator // self._rate.numerator


def _ranges(off: NDArray[np.bool_]) -> tuple[tuple[int, int, int], ...]:
    if not off.any():
        return ()
    edges = np.diff(np.pad(off, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, ends = np.argwhere(edges == 1), np.argwhere(edges == -1)
    return tuple((int(lead), int(a), int(b)) for (lead, a), (_, b) in zip(starts, ends, strict=True))


@dataclasses.dataclass(frozen=True, eq=False)
class Bedside:
    """A bedside monitor.

    Parameters
    ----------
    device : str
    source : Source
    t0_ns : int
        UTC of the virtual clock's start.
    frame_s : float
        Length of a frame, 0.04 to 2 s.
    phase_s : float
        How long after the start the first sample is taken: where monitors of one ward differ.
    session : str
    """

    device: str
    source: Source
    t0_ns: int
    frame_s: float = 0.25
    phase_s: float = 0.0
    session: str = ""

    def frames(self) -> Iterator[Due]:
        """Give each frame at the moment its last sample is taken."""
        framer = Framer(self.source, self.device, self.t0_ns + round(self.phase_s * 1e9), self.frame_s, self.session)
        for seq, (first, n, last) in enumerate(framer.cuts()):
            yield self.phase_s + (first + n) / self.source.rate_hz, framer.frame(seq, first, n, last)
