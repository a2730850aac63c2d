"""State of many streams as one structured array, a row a stream: a row can be taken out, and put back, as bytes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Spans = Sequence[tuple[int, int]]
"""Bytes of a row, (first, end) each: what of it is kept, where the rest is not needed or can be had otherwise."""


class Rows:
    """Rows of state that start alike.

    Parameters
    ----------
    initial : numpy.ndarray, shape ()
        A structured scalar array: what a row holds before its first sample.

    Examples
    --------
    >>> rows = Rows(np.zeros((), dtype=[("level", "f4")]))
    >>> rows.reset(2); rows.state["level"][2] = 0.5
    >>> kept = rows.snapshot(2)
    >>> rows.reset(2); rows.restore(2, kept); float(rows.state["level"][2])
    0.5
    """

    def __init__(self, initial: NDArray[np.void]) -> None:
        self._initial = initial.tobytes()
        self._lay_out(np.empty(0, dtype=initial.dtype))

    def reset(self, row: int) -> None:
        """Bring a row to its first state, making room where there is none yet."""
        if row >= len(self.state):
            grown = np.empty(max(64, 2 * len(self.state), row + 1), dtype=self.state.dtype)
            grown.view(np.uint8).data[:] = bytes(self._bytes) + self._initial * (len(grown) - len(self.state))
            self._lay_out(grown)
        self._bytes[row * self._size : (row + 1) * self._size] = self._initial

    def snapshot(self, row: int, spans: Spans | None = None) -> bytes:
        """Return a row as bytes, or what some spans of it hold, one after another."""
        at = row * self._size
        if spans is None:
            return bytes(self._bytes[at : at + self._size])
        return b"".join([self._bytes[at + first : at + end] for first, end in spans])

    def restore(self, row: int, kept: bytes, spans: Spans | None = None) -> None:
        """Put back a row that `snapshot` returned; what is outside the spans is as in a first state.

        Raises
        ------
        ValueError
            If the bytes are of another layout.
        """
        spans = ((0, self._size),) if spans is None else spans
        size = sum(end - first for first, end in spans)
        if len(kept) != size:
            raise ValueError(f"a row must hold {size} bytes, got {len(kept)}")
        self.reset(row)
        at, taken = row * self._size, 0
        for first, end in spans:
            self._bytes[at + first : at + end] = kept[taken : taken + end - first]
            taken += end - first

    def _lay_out(self, state: NDArray[np.void]) -> None:
        self.state = state
        self._size = state.dtype.itemsize
        self._bytes = state.view(np.uint8).data
