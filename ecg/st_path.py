"""The path on which ST and QT are measured: a baseline with 1.5 s of look-ahead all to itself, and nothing else.

The monitoring path (`ecg.wavelet`, `ecg.wander`) must be quick, so that its baseline sees 0.4 s ahead and follows the
heart itself where it should follow the electrode. Here the baseline is a linear-phase low-pass at 0.6 Hz: means of 10
samples (40 ms), weighted by a sinc under a Kaiser window (Kaiser, 1974) from 1.46 s before to 1.46 s after; straight
lines join the results. It passes wander of up to 0.3 Hz within 3 % and leaves hearts of 54 a minute and more alone.
Noise stays in: what is measured here is an average of many beats (`ecg.average_beat`), which takes it out.

Where blocks are missing, they count as the mean of those that are there; nothing is used from beyond a gap of 0.2 s,
since the level after it may be another one. A level is its own baseline wherever a stream begins, ends or breaks off.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ecg.atrous import LIMIT_MV
from ecg.resample import ANALYSIS_HZ
from ecg.rows import Rows

TICK = 10
"""Samples at 250 Hz whose mean is one value of the grid."""
REACH = 36
"""Values before and after the one in the middle."""
DELAY = TICK * (REACH + 1) + TICK // 2 - 1
"""Samples after a sample that must have come before its baseline is known."""
CUT_HZ = 0.6
"""Frequency of which half belongs to the baseline."""
GAP = 5
"""Values missing in a row from which nothing beyond them is used."""

_LIMIT_MV = np.float32(LIMIT_MV)
_WINDOW = 2 * REACH + 1
_BETA = 2.5
_AGE_S = np.arange(-REACH, REACH + 1) * TICK / ANALYSIS_HZ
_SINC = np.sinc(2 * CUT_HZ * _AGE_S) * np.kaiser(_WINDOW, _BETA)
_WEIGHTS = (_SINC / _SINC.sum()).astype(np.float32)
_POSITIVE = np.hanning(_WINDOW + 2)[1:-1].astype(np.float32)
_SUM, _HELD, _BEFORE, _AFTER = range(_WINDOW, _WINDOW + 4)


class StPath:
    """Streams of many leads made ready for measuring ST and QT, a row a stream.

    Attributes
    ----------
    delay : int
        Samples by which the output comes after the input, 374 (1.496 s). The output keeps the input's numbering: the
        first `delay` samples of a stream give nothing, after that each gives one, and `flush` gives the last `delay`.

    Notes
    -----
    Missing samples are NaN in the output at the same places. Within 1.5 s of a stream's ends and of gaps the baseline
    is less exact.

    Examples
    --------
    >>> path = StPath()
    >>> path.delay
    374
    >>> path.reset(0)
    >>> y, m = path.feed(np.array([0]), np.ones((1, 500), dtype=np.float32), np.array([500]))
    >>> int(m[0]), float(abs(y).max()) < 1e-6
    (126, True)
    """

    def __init__(self) -> None:
        self.delay = DELAY
        layout = np.dtype([("seen", "i8"), ("baseline", "f4", (_WINDOW + 4,)), ("waiting", "f4", (DELAY,))])
        initial = np.zeros((), dtype=layout)
        initial["waiting"] = np.nan
        initial["baseline"] = np.nan
        initial["baseline"][[_SUM, _HELD]] = 0
        self.rows = Rows(initial)

    def reset(self, row: int) -> None:
        """Start a stream in a row."""
        self.rows.reset(row)

    def snapshot(self, row: int) -> bytes:
        """Return the state of a stream."""
        return self.rows.snapshot(row)

    def restore(self, row: int, kept: bytes) -> None:
        """Put back what `snapshot` returned; raises ValueError where it is of another layout."""
        self.rows.restore(row, kept)

    def feed(
        self, rows: NDArray[np.int64], x: NDArray[np.float32], count: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Take samples of some streams and return those `delay` earlier, level with their baseline.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            Rows of the streams, each at most once.
        x : ndarray of float32, shape (n, width)
            Samples at 250 Hz in mV before any denoising; NaN where missing; of 10 V and more is missing too.
            Only `x[i, :count[i]]` is read.
        count : ndarray of int64, shape (n,)
            Samples given of each stream.

        Returns
        -------
        y : ndarray of float32, shape (n, width2)
            Samples in mV, NaN where missing and beyond `m[i]`.
        m : ndarray of int64, shape (n,)
            Samples returned of each stream.
        """
        x = np.ascontiguousarray(x, dtype=np.float32)
        y = np.full((len(rows), int(count.max(initial=0))), np.nan, dtype=np.float32)
        m = np.zeros(len(rows), dtype=np.int64)
        if y.size:
            state = self.rows.state
            _feed(state["seen"], state["baseline"], state["waiting"], rows, x, count, y, m)
        return np.ascontiguousarray(y[:, : int(m.max(initial=0))]), m

    def flush(self, row: int) -> NDArray[np.float32]:
        """Return the last `delay` samples (or all, of a shorter stream) at a record's end."""
        lacking = np.full((1, self.delay), np.nan, dtype=np.float32)
        y, m = self.feed(np.array([row]), lacking, np.array([self.delay]))
        return y[0, : int(m[0])]


@njit(cache=True, error_model="numpy")
def _feed(seen, baseline, waiting, rows, x, count, y, m):  # pyright: ignore
    """Hold the samples of each stream until their baseline is known, and take it off."""
    line = np.empty(DELAY + x.shape[1], dtype=np.float32)
    base = np.empty(x.shape[1], dtype=np.float32)
    for i in range(rows.shape[0]):
        row, n = rows[i], count[i]
        line[:DELAY] = waiting[row]
        for k in range(n):
            line[DELAY + k] = x[i, k] if abs(x[i, k]) < _LIMIT_MV else np.float32(np.nan)
        waiting[row] = line[n : n + DELAY]
        _follow(baseline[row], seen[row] % TICK, x[i, :n], base)
        early = min(max(DELAY - seen[row], 0), n)
        for k in range(early, n):
            if line[k] == line[k]:
                y[i, k - early] = line[k] - base[k]
        m[i] = n - early
        seen[row] += n


@njit(cache=True, error_model="numpy")
def _follow(state, inside, x, out):  # pyright: ignore
    """Take samples of one stream, the first of which is the `inside`-th of its block; give the newest baselines."""
    total, held = state[_SUM], state[_HELD]
    before, after = state[_BEFORE], state[_AFTER]
    for i in range(x.shape[0]):
        if abs(x[i]) < _LIMIT_MV:
            total += x[i]
            held += 1
        inside += 1
        if inside == TICK:
            for k in range(_WINDOW - 1):
                state[k] = state[k + 1]
            state[_WINDOW - 1] = total / held if held > 0 else np.float32(np.nan)
            before, after = after, _level(state)
            total, held, inside = np.float32(0), np.float32(0), 0
        if before != before:
            out[i] = after
        elif after != after:
            out[i] = before
        else:
            out[i] = before + (after - before) * np.float32((inside + 0.5) / TICK)
    state[_SUM], state[_HELD] = total, held
    state[_BEFORE], state[_AFTER] = before, after


@njit(cache=True, error_model="numpy")
def _level(values):  # pyright: ignore
    """Return the baseline in the middle of the values, NaN where the value there is missing."""
    centre = values[REACH]
    if centre != centre:
        return centre
    near, far = np.float32(0), np.float32(0)
    for k in range(1, REACH + 1, 2):
        near += _WEIGHTS[REACH + k] * ((values[REACH - k] - centre) + (values[REACH + k] - centre))
        far += _WEIGHTS[REACH + k + 1] * ((values[REACH - k - 1] - centre) + (values[REACH + k + 1] - centre))
    whole = centre + (near + far)
    return whole if whole == whole else _beside_gap(values)


@njit(cache=True, error_model="numpy")
def _beside_gap(values):  # pyright: ignore
    """Return the same where some values are missing: they count as the mean of those that are there."""
    centre = values[REACH]
    total, weight = np.float32(0), np.float32(0)
    mean, share = np.float32(0), np.float32(0)
    for k in range(_end(values, -1), _end(values, 1) + 1):
        if values[k] == values[k]:
            above = values[k] - centre
            total += _WEIGHTS[k] * above
            weight += _WEIGHTS[k]
            mean += _POSITIVE[k] * above
            share += _POSITIVE[k]
    return centre + total + (np.float32(1) - weight) * (mean / share)


@njit(cache=True, error_model="numpy")
def _end(values, step):  # pyright: ignore
    """Return the last value from the middle on, in one direction, that no gap cuts off."""
    last, k = REACH, REACH + step
    while 0 <= k < _WINDOW and abs(k - last) <= GAP:
        if values[k] == values[k]:
            last = k
        k += step
    return last
