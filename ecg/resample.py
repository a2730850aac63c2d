"""Streaming change of sampling rate to the one at which everything after it works, aligned to the exact sample time.

A windowed sinc (Kaiser, 60 dB) in polyphase form: output k is the signal at k/250 s after the first input sample, with
linear phase and no other delay than the look-ahead of half the filter. Each output sample is one dot product over a
fixed set of input samples in a fixed order, so that the result is the same to the bit however the stream is cut.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ecg.rows import Rows, Spans

ANALYSIS_HZ = 250
"""Rate of all signals after the resampler."""
RATE_LIMITS_HZ = (100, 1000)
"""Lowest and highest rate of a device."""

_RIPPLE_DB = 60.0
_MAX_PHASES = 2000
_MAX_HISTORY = 96
_LEAST_WEIGHT = np.float32(0.2)

_ADVANCE = np.dtype("i8")
_STREAM = np.dtype(
    [
        ("advance", _ADVANCE),
        ("divisor", _ADVANCE),
        ("seen", "i8"),
        ("made", "i8"),
        ("recent", "f4", (_MAX_HISTORY,)),
    ]
)


class _Plan(NamedTuple):
    """Filter of one rate: `step` = `advance`/`divisor` input samples an output, `weights` by phase and tap."""

    advance: int
    divisor: int
    half: int
    weights: NDArray[np.float32]


class Resampler:
    """Streams of many leads brought to `ANALYSIS_HZ`, a row a stream.

    Pass-band: to 80 Hz from devices of 250 Hz and more, to 0.4 of the rate from slower ones; error there under 0.2 %.
    A stream that comes at 250 Hz is passed through bit for bit and without look-ahead. An output whose nearest input
    sample is missing is NaN; the others are formed from the samples that are there, with the weights made to sum to
    one again, so that neither a gap nor the ends of the stream ring.

    Examples
    --------
    >>> resampler = Resampler()
    >>> resampler.reset(0, 500.0)
    >>> ones = np.ones((1, 500), dtype=np.float32)
    >>> y, m = resampler.feed(np.array([0]), ones, np.array([500]))
    >>> int(m[0]) + len(resampler.flush(0))
    250
    """

    def __init__(self) -> None:
        initial = np.zeros((), dtype=_STREAM)
        initial["recent"] = np.nan
        self.rows = Rows(initial)

    def reset(self, row: int, rate_hz: float) -> None:
        """Start a stream of `rate_hz` in a row; raises ValueError for a rate outside `RATE_LIMITS_HZ`."""
        plan = _plan(rate_hz)
        self.rows.reset(row)
        self.rows.state["advance"][row] = plan.advance
        self.rows.state["divisor"][row] = plan.divisor

    def look_ahead_s(self, row: int) -> float:
        """Seconds of signal after an output sample that must have come before it can be formed."""
        plan = self._plan_of(row)
        if plan.advance == plan.divisor:
            return 0.0
        return plan.half * plan.divisor / (plan.advance * ANALYSIS_HZ)

    def feed(
        self, rows: NDArray[np.int64], x: NDArray[np.float32], count: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Take samples of some streams, all of one rate, and return what can be formed from them.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            Rows of the streams, each at most once.
        x : ndarray of float32, shape (n, width)
            Samples at the device's rate; NaN where missing. Only `x[i, :count[i]]` is read.
        count : ndarray of int64, shape (n,)
            Samples given of each stream.

        Returns
        -------
        y : ndarray of float32, shape (n, width2)
            Samples at `ANALYSIS_HZ`, NaN where missing and beyond `m[i]`.
        m : ndarray of int64, shape (n,)
            Samples returned of each stream.
        """
        if len(rows) == 0:
            return np.empty((0, 0), dtype=np.float32), np.empty(0, dtype=np.int64)
        x = np.ascontiguousarray(x, dtype=np.float32)
        plan = self._plan_of(int(rows[0]))
        given = int(count.max())
        y = np.full((len(rows), given * plan.divisor // plan.advance + 1), np.nan, dtype=np.float32)
        m = self._run(plan, rows, x, count, y, np.int64(0))
        return np.ascontiguousarray(y[:, : int(m.max())]), m

    def flush(self, row: int) -> NDArray[np.float32]:
        """Return the outputs up to the last input sample, which waited for look-ahead, at a record's end."""
        plan = self._plan_of(row)
        lacking = np.full((1, plan.half), np.nan, dtype=np.float32)
        y = np.full((1, plan.half * plan.divisor // plan.advance + 2), np.nan, dtype=np.float32)
        m = self._run(plan, np.array([row]), lacking, np.array([plan.half]), y, np.int64(plan.half))
        return y[0, : int(m[0])]

    @staticmethod
    def outputs(n_inputs: int, rate_hz: float, *, flushed: bool = False) -> int:
        """Return how many outputs a stream of `rate_hz` has given after its first `n_inputs` samples."""
        plan = _plan(rate_hz)
        if flushed:
            return (n_inputs - 1) * plan.divisor // plan.advance + 1 if n_inputs else 0
        if plan.advance == plan.divisor:
            return n_inputs
        return max(0, -((plan.half - n_inputs) * plan.divisor // plan.advance))

    def snapshot(self, row: int) -> bytes:
        """Return the state of a stream, its rate included, and no more samples than further outputs need."""
        return self.rows.snapshot(row, _spans(self._plan_of(row)))

    def restore(self, row: int, kept: bytes) -> None:
        """Put back what `snapshot` returned; raises ValueError where it is of another layout."""
        if len(kept) < 2 * _ADVANCE.itemsize:
            raise ValueError(f"a row must hold {2 * _ADVANCE.itemsize} bytes and more, got {len(kept)}")
        advance, divisor = np.frombuffer(kept, _ADVANCE, 2).tolist()
        self.rows.restore(row, kept, _spans(_plan(ANALYSIS_HZ * advance / max(divisor, 1))))

    def _plan_of(self, row: int) -> _Plan:
        state = self.rows.state
        return _design(int(state["advance"][row]), int(state["divisor"][row]))

    def _run(
        self,
        plan: _Plan,
        rows: NDArray[np.int64],
        x: NDArray[np.float32],
        count: NDArray[np.int64],
        y: NDArray[np.float32],
        beyond: np.int64,
    ) -> NDArray[np.int64]:
        state = self.rows.state
        if np.any(state["advance"][rows] != plan.advance) or np.any(state["divisor"][rows] != plan.divisor):
            raise ValueError("all streams of a call must have the same rate")
        m = np.zeros(len(rows), dtype=np.int64)
        if plan.advance == plan.divisor:
            if not beyond:
                y[:, : x.shape[1]] = x[:, : y.shape[1]]
                m[:] = count
            return m
        fields = (state["seen"], state["made"], state["recent"])
        _resample(plan.weights, plan.advance, plan.divisor, plan.half, rows, x, count, beyond, *fields, y, m)
        return m


def _spans(plan: _Plan) -> Spans:
    """Return what of a stream's row is needed: an output looks back on less than twice half the filter."""
    needed = 0 if plan.advance == plan.divisor else 2 * plan.half - 1
    head = _STREAM.itemsize - 4 * _MAX_HISTORY
    return (0, head), (_STREAM.itemsize - 4 * needed, _STREAM.itemsize)


@lru_cache(maxsize=256)
def _plan(rate_hz: float) -> _Plan:
    low, high = RATE_LIMITS_HZ
    if not low <= rate_hz <= high:
        raise ValueError(f"rate_hz must be from {low} to {high}, got {rate_hz}")
    step = Fraction(rate_hz).limit_denominator(1000) / ANALYSIS_HZ
    return _design(step.numerator, step.denominator)


@lru_cache(maxsize=64)
def _design(advance: int, divisor: int) -> _Plan:
    """Return the filter: phases are exact where there are at most `_MAX_PHASES`, else rounded to 1/2000 of a sample."""
    rate_hz = ANALYSIS_HZ * advance / divisor
    if rate_hz > ANALYSIS_HZ:
        cutoff_hz, width_hz = 102.5, 45.0
    else:
        cutoff_hz, width_hz = 0.5 * rate_hz, 0.2 * rate_hz
    reach = (_RIPPLE_DB - 7.95) / (2.285 * 2 * math.pi * width_hz / rate_hz) / 2
    half = 2 * math.ceil(reach / 2)  # so that the taps come in fours
    phases = min(divisor, _MAX_PHASES)
    away = np.arange(1 - half, half + 1) - np.arange(phases + 1)[:, None] / phases
    beta = 0.1102 * (_RIPPLE_DB - 8.7)
    window = np.i0(beta * np.sqrt(np.clip(1 - (away / reach) ** 2, 0, None))) * (np.abs(away) < reach)
    weights = np.sinc(2 * cutoff_hz / rate_hz * away) * window
    weights /= weights.sum(axis=1, keepdims=True)
    return _Plan(advance, divisor, half, weights.astype(np.float32))


@njit(cache=True)
def _resample(weights, advance, divisor, half, rows, x, count, beyond, seen, made, recent, y, m):  # pyright: ignore
    """Form what outputs are complete; `beyond` of the samples given lie after the end of the stream."""
    phases = weights.shape[0] - 1
    taps = 2 * half
    room = recent.shape[1]
    line = np.empty(room + x.shape[1], dtype=np.float32)
    for i in range(rows.shape[0]):
        row, n = rows[i], count[i]
        line[:room] = recent[row]
        line[room : room + n] = x[i, :n]
        recent[row] = line[n : n + room]
        lacking = _mask(line[: room + n])
        first, end = seen[row] - room, seen[row] + n
        last = end - 1 - half
        k = made[row]
        at = k * advance // divisor
        rest = k * advance - at * divisor
        while at <= last and (beyond == 0 or k * advance <= (end - beyond - 1) * divisor):
            phase = rest if phases == divisor else (rest * phases + divisor // 2) // divisor
            start = at - half + 1 - first
            if lacking > 0:
                nearest = half if 2 * rest >= divisor else half - 1
                y[i, k - made[row]] = _dot_of_present(weights[phase], line[start : start + taps], nearest)
            else:
                y[i, k - made[row]] = _dot(weights[phase], line[start : start + taps])
            k += 1
            rest += advance
            while rest >= divisor:
                rest -= divisor
                at += 1
        m[i] = k - made[row]
        made[row] = k
        seen[row] = end


@njit(cache=True)
def _mask(line):  # pyright: ignore
    """Make every missing or infinite sample NaN and return how many there are."""
    lacking = 0
    for k in range(line.shape[0]):
        if not abs(line[k]) < np.inf:
            line[k] = np.nan
            lacking += 1
    return lacking


@njit(cache=True)
def _dot(w, x):  # pyright: ignore
    """Sum in four parts, in an order that never changes."""
    part = w.shape[0] // 4
    w1, w2, w3 = w[part:], w[2 * part :], w[3 * part :]
    x1, x2, x3 = x[part:], x[2 * part :], x[3 * part :]
    a = b = c = d = np.float32(0)
    for k in range(part):
        a += w[k] * x[k]
        b += w1[k] * x1[k]
        c += w2[k] * x2[k]
        d += w3[k] * x3[k]
    return (a + b) + (c + d)


@njit(cache=True)
def _dot_of_present(w, x, nearest):  # pyright: ignore
    """Sum over the samples that are there, with their weights made to sum to one; equal to `_dot` if all are."""
    if np.isnan(x[nearest]):
        return np.float32(np.nan)
    held = x.copy()
    whole = np.float32(0)
    lacking = False
    for k in range(x.shape[0]):
        if np.isnan(x[k]):
            held[k] = 0
            lacking = True
        else:
            whole += w[k]
    if not lacking:
        return _dot(w, x)
    return _dot(w, held) / whole if whole > _LEAST_WEIGHT else x[nearest]
