"""State of many streams as one structured array, a row a stream: a row can be taken out, and put back, as bytes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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
        self._initial = initial
        self.state: NDArray[np.void] = np.empty(0, dtype=initial.dtype)

    def reset(self, row: int) -> None:
        """Bring a row to its first state, making room where there is none yet."""
        if row >= len(self.state):
            grown = np.full(max(64, 2 * len(self.state), row + 1), self._initial, dtype=self._initial.dtype)
            grown[: len(self.state)] = self.state
            self.state = grown
        self.state[row] = self._initial

    def snapshot(self, row: int) -> bytes:
        """Return a row as bytes."""
        return self.state[row].tobytes()

    def restore(self, row: int, kept: bytes) -> None:
        """Put back a row that `snapshot` returned; raises ValueError where it is of another layout."""
        if len(kept) != self._initial.dtype.itemsize:
            raise ValueError(f"a row must hold {self._initial.dtype.itemsize} bytes, got {len(kept)}")
        self.reset(row)
        self.state[row] = np.frombuffer(kept, dtype=self._initial.dtype)[0]
