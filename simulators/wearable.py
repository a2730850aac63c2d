"""A wearable: one lead, a clock that drifts, a radio that is silent, then sends all at once, and loses some."""

from __future__ import annotations

import dataclasses
import heapq
import math
from collections.abc import Iterator

import numpy as np

from ecg.frame import Frame
from simulators.bedside import Due, Framer
from simulators.source import Source

REORDER_S = 2.0
"""Samples that may wait behind a late frame: the bound that the receiver states."""


@dataclasses.dataclass(frozen=True, eq=False)
class Wearable:
    """A patch or watch that keeps its samples and sends them in bursts.

    Parameters
    ----------
    device : str
    source : Source
        Its first ECG lead is worn.
    t0_ns : int
        UTC of the virtual clock's start.
    frame_s : float
    burst_s : float
        Seconds of samples that it keeps before it sends them; 0 sends each frame at once.
    first_burst_s : float or None
        When the first burst comes, `burst_s` unless given.
    drift_ppm : float
        How much faster than it says its converter samples; its clock is kept right by the network.
    late_frames : int or None
        A late frame arrives after up to so many that follow it; None: as many as the bound allows, see `reach`.
    late, lost, doubled : float
        The part of the frames that come late, never, and twice.
    seed : int
    session : str
    """

    device: str
    source: Source
    t0_ns: int
    frame_s: float = 0.5
    burst_s: float = 30.0
    first_burst_s: float | None = None
    drift_ppm: float = 40.0
    late_frames: int | None = None
    late: float = 0.05
    lost: float = 0.0
    doubled: float = 0.02
    seed: int = 0
    session: str = ""

    def __post_init__(self) -> None:
        if self.late_frames is not None and not 0 <= self.late_frames <= reach(self.frame_s):
            raise ValueError(f"late_frames must be between 0 and {reach(self.frame_s)}, got {self.late_frames}")
        if abs(self.drift_ppm) > 1000:
            raise ValueError(f"drift_ppm must be between -1000 and 1000, got {self.drift_ppm}")
        for part in ("late", "lost", "doubled"):
            if not 0 <= getattr(self, part) <= 1:
                raise ValueError(f"{part} must be between 0 and 1, got {getattr(self, part)}")

    def frames(self) -> Iterator[Due]:
        """Give the frames in the order in which they arrive, bursts at once, late ones after those that follow."""
        waiting: list[tuple[int, int, int, Frame]] = []
        now_s = 0.0
        for count, (leaves_s, delay, frame) in enumerate(self._made()):
            if self.burst_s and leaves_s > now_s + 2 * _AIR_S:  # a burst ends: nothing is kept for the next
                yield from ((now_s, kept[-1]) for kept in sorted(waiting))
                waiting.clear()
            now_s = leaves_s
            heapq.heappush(waiting, (frame.seq + delay, -frame.seq, count, frame))
            while waiting and waiting[0][0] <= frame.seq:
                yield now_s, heapq.heappop(waiting)[-1]
        yield from ((now_s, kept[-1]) for kept in sorted(waiting))

    def _made(self) -> Iterator[tuple[float, int, Frame]]:
        """Give (when it leaves, by how many frames it is late, the frame), without the lost ones."""
        rng = np.random.default_rng(self.seed)
        framer = Framer(one_lead(self.source), self.device, self.t0_ns, self.frame_s, self.session)
        true_hz = self.source.rate_hz * (1 + self.drift_ppm * 1e-6)
        sent_s, most = 0.0, reach(self.frame_s) if self.late_frames is None else self.late_frames
        for seq, (first, n, last) in enumerate(framer.cuts()):
            late, lost, doubled = (rng.random(3) < (self.late, self.lost, self.doubled)) & (not last)
            delay = int(rng.integers(1, most + 1)) if late and most else 0
            sent_s = max(self._leaves_s((first + n) / true_hz), sent_s + _AIR_S)
            frame = framer.frame(seq, first, n, last, self.t0_ns + round(first / true_hz * 1e9))
            for _ in range(0 if lost else 2 if doubled else 1):
                yield sent_s, delay, frame

    def _leaves_s(self, taken_s: float) -> float:
        """Return when the burst leaves that carries a frame taken at `taken_s`."""
        if not self.burst_s:
            return taken_s
        first_s = self.burst_s if self.first_burst_s is None else self.first_burst_s
        return first_s + self.burst_s * max(0, math.ceil((taken_s - first_s) / self.burst_s - 1e-9))


_AIR_S = 0.01
"""What a frame of a burst takes on the air."""


def reach(frame_s: float) -> int:
    """Return by how many frames one may be late so that less than two seconds of samples wait behind it."""
    return max(0, math.ceil(REORDER_S / frame_s - 1e-9) - 1)


def one_lead(source: Source) -> Source:
    """Return a source of which only the first ECG lead is left."""
    rows = [row for row, lead in enumerate(source.leads) if lead.kind == "ecg"][:1]
    if not rows:
        raise ValueError(f"source must have an ECG lead, got {[lead.name for lead in source.leads]}")
    return dataclasses.replace(
        source,
        leads=(source.leads[rows[0]],),
        counts=np.ascontiguousarray(source.counts[rows]),
        off=None if source.off is None else source.off[rows],
    )
