"""The kernels of the scalogram: plain sums at each hop, of many streams side by side.

Streams rather than frames or bands lie beside each other because each step of a sum is then the same for all of them:
a machine's vectors are filled, and no stream's sum is taken in another order than if it were alone.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ecg.atrous import LIMIT_MV

SEEN_FLOATS = 2
"""Numbers of float32 before the samples in a stream's memory: the room of its counter."""

_LIMIT_MV = np.float32(LIMIT_MV)
# enough streams that a step's work outweighs its beginning
_SIDE = 64


@njit(cache=True, error_model="numpy")
def transform(weights, halves, hop, seen, memory, rows, x, count, m, y):  # pyright: ignore
    """Form the frames of a batch: `_SIDE` streams at a time go through each step side by side, each for itself.

    Parameters
    ----------
    weights : ndarray of float32, shape (2, bands, reach + 1)
        Real and imaginary halves of the wavelets, from their middle on.
    halves : ndarray of int64, shape (bands,)
        How far each of them reaches, at most `reach`.
    hop : int
        Samples from one frame to the next.
    seen : ndarray of int64, shape (streams,)
        Samples of each stream before these; moved on.
    memory : ndarray of float32, shape (streams, SEEN_FLOATS + 2 * reach)
        Ends with the last samples of each stream; changed in place.
    rows, x, count : ndarray
        As `Scalogram.feed` takes them.
    m : ndarray of int64, shape (n,)
        Frames that are due.
    y : ndarray of float32, shape (n, bands, frames)
        Filled with their magnitudes; NaN, which it must hold before, stays where a sample is missing.
    """
    reach, side = weights.shape[2] - 1, min(_SIDE, rows.shape[0])
    line = np.empty(2 * reach + x.shape[1], dtype=np.float32)
    longest = 2 * reach + hop * y.shape[2]
    beside, turned = np.zeros(longest * side, dtype=np.float32), np.empty(longest * side, dtype=np.float32)
    folded = np.empty((2, reach + 1, side), dtype=np.float32)
    sums = np.empty((2, side), dtype=np.float32)
    power = np.empty((halves.shape[0], y.shape[2], side), dtype=np.float32)
    for begin in range(0, rows.shape[0], side):
        end = min(begin + side, rows.shape[0])
        frames = m[begin:end].max()
        span = 2 * reach + hop * (frames - 1) + 1 if frames > 0 else 0
        laid = beside[: span * side].reshape(span, side)
        for i in range(begin, end):
            row, n = rows[i], count[i]
            _push(memory[row, SEEN_FLOATS:], x[i, :n], line)
            first = (max(seen[row] - reach, 0) + hop - 1) // hop * hop - seen[row] + reach
            _lay(line[first : 2 * reach + n], laid[:, i - begin])
            seen[row] += n
        _turn(laid, turned)
        for f in range(frames):
            own = hop * f + reach
            _fold(beside[own * side :], turned[(span - 1 - own) * side :], folded.reshape(-1))
            for j in range(halves.shape[0]):
                _sum(weights[:, j, : halves[j] + 1], folded, end - begin, sums)
                _power(sums, end - begin, power[j, f])
        for i in range(begin, end):
            _magnitudes(power[:, : m[i], i - begin], y[i])


@njit(cache=True, error_model="numpy")
def _lay(x, out):  # pyright: ignore
    """Copy the samples of a stream from those of its first frame on; another stream may have more frames."""
    given = min(x.shape[0], out.shape[0])
    for k in range(given):
        out[k] = x[k]
    for k in range(given, out.shape[0]):
        out[k] = np.nan


@njit(cache=True, error_model="numpy")
def _push(recent, x, line):  # pyright: ignore
    """Join the last samples and the new ones, NaN where they cannot be a heart's, and keep the last ones."""
    past, n = recent.shape[0], x.shape[0]
    for k in range(past):
        line[k] = recent[k]
    for k in range(n):
        line[past + k] = x[k] if abs(x[k]) < _LIMIT_MV else np.float32(np.nan)
    newest = line[n : n + past]
    for k in range(past):
        recent[k] = newest[k]


@njit(cache=True, error_model="numpy")
def _turn(laid, turned):  # pyright: ignore
    """Copy the streams, the last sample first: what lies before a frame is then in a row, too."""
    span, side = laid.shape
    for k in range(span):
        out, x = turned[k * side : (k + 1) * side], laid[span - 1 - k]
        for i in range(side):
            out[i] = x[i]


@njit(cache=True, error_model="numpy")
def _fold(after, before, folded):  # pyright: ignore
    """Give the sums and the differences of the samples at each distance after and before a frame's own."""
    half = folded.shape[0] // 2
    total, difference = folded[:half], folded[half:]
    for k in range(half):
        total[k] = after[k] + before[k]
        difference[k] = after[k] - before[k]


@njit(cache=True, error_model="numpy")
def _sum(weights, folded, n, sums):  # pyright: ignore
    """Weigh what is folded by both halves of a wavelet, four samples at a time."""
    taps = weights.shape[1]
    for part in range(2):
        out = sums[part, :n]
        for i in range(n):
            out[i] = 0
        for t in range(0, taps // 4 * 4, 4):
            a, b, c, d = weights[part, t], weights[part, t + 1], weights[part, t + 2], weights[part, t + 3]
            x0, x1 = folded[part, t, :n], folded[part, t + 1, :n]
            x2, x3 = folded[part, t + 2, :n], folded[part, t + 3, :n]
            for i in range(n):
                out[i] = out[i] + a * x0[i] + b * x1[i] + c * x2[i] + d * x3[i]
        for t in range(taps // 4 * 4, taps):
            a, x0 = weights[part, t], folded[part, t, :n]
            for i in range(n):
                out[i] = out[i] + a * x0[i]


@njit(cache=True, error_model="numpy")
def _power(sums, n, out):  # pyright: ignore
    """Give the squared magnitudes of streams, NaN where a sample under a wavelet is missing."""
    for i in range(n):
        out[i] = sums[0, i] * sums[0, i] + sums[1, i] * sums[1, i]


@njit(cache=True, error_model="numpy")
def _magnitudes(power, out):  # pyright: ignore
    """Give the magnitudes of a stream's frames that are due; of the others what `out` holds stays."""
    for j in range(power.shape[0]):
        for f in range(power.shape[1]):
            out[j, f] = np.sqrt(power[j, f])
