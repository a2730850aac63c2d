"""Windows of fixed length that slide over a bed's signal, for the model; missing samples stay marked in them."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg.microvolts import counts, millivolts

WINDOW = 2500
"""Samples of a window: 10 s at 250 Hz."""
HOP = 500
"""Samples from one window's end to the next: 2 s at 250 Hz."""
CHUNKS = WINDOW // HOP
"""Chunks of a window; it shares all but the last with the window before."""
HALO = 200
"""Samples before a window that are given with it: convolutions over its beginning need them."""
SPAN = HALO + WINDOW
_RING = -(-SPAN // HOP) * HOP


class Window(NamedTuple):
    """The last 10.8 s before sample `end` of the stretch: a window of 10 s behind its halo.

    `mv` is an ndarray of float32, shape (n_leads, 2700), with NaN where a sample is missing or lies before the stretch.
    """

    end: int
    mv: NDArray[np.float32]

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Which samples are missing, shape (n_leads, 2700)."""
        return np.isnan(self.mv)


class _Kept(msgspec.Struct, array_like=True):
    leads: int
    end: int
    last: bytes


class Windows:
    """The windows of one bed: they end at samples 2500, 3000, 3500, ... of the stretch, whatever the chunks.

    Parameters
    ----------
    leads : int
        Leads of the signal.

    Examples
    --------
    >>> windows = Windows(leads=1)
    >>> [window.end for n in range(8) for window in windows.feed(np.zeros((1, 400), dtype=np.float32))]
    [2500, 3000]
    """

    def __init__(self, leads: int) -> None:
        self.reset(leads)

    def reset(self, leads: int) -> None:
        """Begin a stretch, at sample 0."""
        self.end = 0
        self._ring = np.full((leads, _RING), np.nan, dtype=np.float32)

    def feed(self, mv: NDArray[np.float32]) -> list[Window]:
        """Take the next samples, in whole microvolts, and return the windows that they complete.

        Parameters
        ----------
        mv : ndarray of float32, shape (n_leads, n)
            Of the grid of `ecg.microvolts`, NaN where missing.

        Raises
        ------
        ValueError
            If the number of leads is not that of the stretch.
        """
        if mv.ndim != 2 or len(mv) != len(self._ring):
            raise ValueError(f"signal must have the shape ({len(self._ring)}, n), got {mv.shape}")
        windows, first = [], 0
        while first < mv.shape[1]:
            last = min(mv.shape[1], first + HOP - self.end % HOP)
            self._write(mv[:, first:last])
            first = last
            if self.end % HOP == 0 and self.end >= WINDOW:
                windows.append(Window(self.end, self.last(SPAN)))
        return windows

    @property
    def kept(self) -> int:
        """How many of the last samples a snapshot holds: those that the next window needs."""
        return min(self.end, SPAN - HOP + self.end % HOP)

    def last(self, n: int) -> NDArray[np.float32]:
        """Return the last n samples, at most `SPAN`, in order; NaN for those before the stretch."""
        start, end = (self.end - n) % _RING, self.end % _RING
        if n and start >= end:
            return np.concatenate((self._ring[:, start:], self._ring[:, :end]), axis=1)
        return self._ring[:, start:end].copy()

    def snapshot(self) -> bytes:
        """Return the state as bytes."""
        return msgspec.msgpack.encode(_Kept(len(self._ring), self.end, counts(self.last(self.kept)).tobytes()))

    def restore(self, kept: bytes) -> None:
        """Put back a state that `snapshot` returned; raises msgspec.DecodeError or ValueError on other bytes."""
        state = msgspec.msgpack.decode(kept, type=_Kept)
        self.reset(state.leads)
        self.end = state.end
        last = millivolts(np.frombuffer(state.last, np.int16)).reshape(state.leads, self.kept)
        self._ring[:, np.arange(self.end - self.kept, self.end) % _RING] = last

    def _write(self, mv: NDArray[np.float32]) -> None:
        # a chunk never crosses a multiple of HOP, and the ring's length is one: it never wraps
        start = self.end % _RING
        self._ring[:, start : start + mv.shape[1]] = mv
        self.end += mv.shape[1]
