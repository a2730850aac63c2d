"""Clean signals in whole microvolts: half the bytes of a snapshot, and far finer than any lead's noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST_UV = 32767
"""What lies farther from zero than this is given as this: no ECG does."""
MISSING = -32768
"""What a count says of a sample that is missing."""
_MV = np.float32(1e-3)


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


def counts(mv: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return samples in mV as whole microvolts, two bytes each."""
    uv = np.clip(np.rint(mv * np.float32(1000)), -MOST_UV, MOST_UV)
    uv[np.isnan(uv)] = MISSING
    return uv.astype(np.int16)


def millivolts(uv: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return counts of `counts` in mV, on the grid of `whole`."""
    mv = uv.astype(np.float32) * _MV
    mv[uv == MISSING] = np.nan
    return mv
