"""Clean signals in whole microvolts: half the bytes of a snapshot, and far finer than any lead's noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_UV = 32767
"""What lies farther from zero than this is given as this: no ECG does."""
_MV = np.float32(1e-3)
_MISSING = -32768


def whole(mv: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return samples in mV on the grid of whole microvolts; NaN, where a sample is missing, stays.

    Examples
    --------
    >>> whole(np.array([0.1234, -40.0, np.nan], np.float32)).tolist()
    [0.12300000339746475, -32.76700210571289, nan]
    """
    uv = np.rint(mv * np.float32(1000))
    np.clip(uv, -MOST_UV, MOST_UV, out=uv)
    uv += 0  # there is one zero
    return uv * _MV


def packed(mv: NDArray[np.float32]) -> bytes:
    """Return samples of that grid as bytes, two a sample."""
    uv = np.rint(mv * np.float32(1000))
    uv[np.isnan(uv)] = _MISSING
    return uv.astype(np.int16).tobytes()


def unpacked(kept: bytes) -> NDArray[np.float32]:
    """Return the samples of which `packed` made these bytes, in one row; raises ValueError where one is cut short."""
    uv = np.frombuffer(kept, np.int16)
    mv = uv.astype(np.float32) * _MV
    mv[uv == _MISSING] = np.nan
    return mv
