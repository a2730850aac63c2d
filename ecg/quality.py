"""A verdict per lead and second on the raw signal at 250 Hz, with its reason: what the lead is worth, and why.

Each verdict is a function of that second's 250 samples, on the session's grid, so that no cutting of the stream changes
it; the one thing kept from the second before is the rail at which it ended, since a lead that stays there is saturated
and not flat. A verdict is information: `FLAT` in particular suspends nothing by itself, since a lead that is flat
without the device's lead-off flag shows asystole until something shows otherwise.

Verdicts are lenient, so that none of them takes fibrillation for noise. Beside them stands whether a second was
restless (`Unrest`): it never comes to rest, as in muscle noise, but as in some fibrillation, too. That is evidence for
`ecg.artefact`, which weighs it against what says fibrillation; on its own it condemns nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ecg.resample import ANALYSIS_HZ
from ecg.rows import Rows, Spans


class Verdict(IntEnum):
    """What a lead was worth in one second; numbers are kept for good, since snapshots hold them.

    The first that holds in the order lead off, missing, flat or saturated, clipped, mains or muscle, electrode motion
    or wander.
    """

    GOOD = 0
    LEAD_OFF = 1
    """The device said so for over half of the second."""
    MISSING = 2
    """Over half of the samples are missing."""
    FLAT = 3
    """Peak to peak under `FLAT_MV`, and not at the rail where the second before ended."""
    CLIPPED = 4
    """The signal stands at its highest or lowest value, entered steeply, for over `CLIPPED_S`."""
    MUSCLE = 5
    """What moves faster than a QRS complex is large between the complexes, and is no mains."""
    WANDER = 6
    """The level moves more than the heart does, slowly."""
    SATURATED = 7
    """The same as clipped for over `SATURATED_S`, or still where the second before ended at its rail."""
    MAINS = 8
    """As muscle, and half or more of it is at 50 or at 60 Hz."""
    ELECTRODE_MOTION = 9
    """The level moves more than the heart does, at once."""


_BY_CODE = tuple(sorted(Verdict))


class Unrest(NamedTuple):
    """How restless a second is: it is, by a rule, where all three are at least those of the rule.

    `calm_mv` is the peak to peak of its fourth calmest tenth, `share` that over its steepest step within 16 ms, and
    `turns` how often the signal turned, looked at in steps of 12 ms.
    """

    calm_mv: float
    share: float
    turns: float


RESTLESS = Unrest(0.12, 0.18, 38.0)
"""Chosen in round numbers on `vfdb`, `cudb` and `mitdb` (`ecg.artefact_fit`)."""
_in_force = [RESTLESS]


@contextmanager
def restless_from(rule: Unrest) -> Iterator[None]:
    """Let another rule say what is restless in the meantime, in this process."""
    _in_force.append(rule)
    try:
        yield
    finally:
        _in_force.pop()


class Second(NamedTuple):
    """What was said of one second of a lead; `second` counts from the stream's first sample."""

    second: int
    verdict: Verdict
    restless: bool


FLAT_MV = 0.03
"""Peak to peak, over a second, under which a lead is flat; fine VF has 0.1 mV and more."""
CLIPPED_S, SATURATED_S = 0.06, 0.5
"""Time at a rail within a second from which a lead is clipped, and from which it is saturated."""
NOISE_MV, NOISE_SHARE = 0.02, 0.045
"""Mean magnitude of the fast residue between complexes: at least so much, and so much of the smooth peak to peak."""
WANDER_MV, WANDER_SHARE = 1.0, 0.45
"""Step between the means of a second's halves: at least so much, and so much of the smooth peak to peak."""

MAINS_SHARE = 0.5
"""Share of the fast residue's power at 50 or at 60 Hz from which it is mains."""
ABRUPT_SHARE = 0.5
"""Share of the smooth peak to peak that the level moves within 0.1 s where an electrode moved."""

_N = ANALYSIS_HZ
_LIMIT_MV = np.float32(10_000.0)
_SMOOTH = 5
_PARTS = 10
_RANK = 3
_RAIL_RUN = 8
_ABRUPT = 25
_STAYS_MV = 0.02

_STREAM = np.dtype([("seen", "i8"), ("off", "i8"), ("rail", "f8"), ("second", "f4", (_N,))])
"""`rail` is the value at which the second before ended saturated or clipped; NaN where it did not."""
_HEAD = 24


class Quality:
    """Verdicts on the seconds of many leads, a row a stream.

    Examples
    --------
    >>> quality = Quality()
    >>> quality.reset(0)
    >>> seconds = quality.feed(np.array([0]), np.zeros((1, 600), dtype=np.float32), np.array([600]))[0]
    >>> [(second, code.name, restless) for second, code, restless in seconds]
    [(0, 'FLAT', False), (1, 'FLAT', False)]
    """

    def __init__(self) -> None:
        initial = np.zeros((), dtype=_STREAM)
        initial["rail"] = np.nan
        self.rows = Rows(initial)

    def reset(self, row: int) -> None:
        """Start a stream in a row; its first sample begins second 0."""
        self.rows.reset(row)

    def snapshot(self, row: int) -> bytes:
        """Return the state of a stream: of its samples those of the second that has not ended."""
        return self.rows.snapshot(row, _spans(int(self.rows.state["seen"][row]) % _N))

    def restore(self, row: int, kept: bytes) -> None:
        """Put back what `snapshot` returned; raises ValueError where it is of another layout."""
        self.rows.restore(row, kept, _spans(min(_N, max(0, len(kept) - _HEAD) // 4)))

    def feed(
        self,
        rows: NDArray[np.int64],
        raw: NDArray[np.float32],
        count: NDArray[np.int64],
        off: NDArray[np.bool_] | None = None,
    ) -> list[list[Second]]:
        """Take samples of some streams and return what is to be said of each second that they complete.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            Rows of the streams, each at most once.
        raw : ndarray of float32, shape (n, width)
            Samples at 250 Hz in mV before any denoising; NaN where missing; beyond 10 V is missing too.
            Only `raw[i, :count[i]]` is read.
        count : ndarray of int64, shape (n,)
            Samples given of each stream.
        off : ndarray of bool, shape (n, width), optional
            Where the device says that the electrode is off; nowhere if not given.

        Returns
        -------
        list of list of Second
            For each stream the seconds completed, in order.
        """
        state = self.rows.state
        raw = np.ascontiguousarray(raw, dtype=np.float32)
        flags = np.zeros(raw.shape, dtype=np.bool_) if off is None else np.ascontiguousarray(off, dtype=np.bool_)
        first = state["seen"][rows] // _N
        codes = np.zeros((len(rows), raw.shape[1] // _N + 1), dtype=np.int64)
        unrests = np.zeros((*codes.shape, 3), dtype=np.float64)
        done = np.zeros(len(rows), dtype=np.int64)
        if codes.size:
            kept = (state["seen"], state["off"], state["rail"], state["second"])
            _feed(*kept, rows, raw, count, flags, codes, unrests, done)
        restless: list[list[bool]] = np.greater_equal(unrests, _in_force[-1]).all(axis=2).tolist()  # pyright: ignore
        return [
            [Second(at + k, _BY_CODE[code], restless[i][k]) for k, code in enumerate(codes[i, :n].tolist())]
            for i, (at, n) in enumerate(zip(first.tolist(), done.tolist(), strict=True))
        ]


def unrest(raw_mv: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how restless each whole second is of leads at 250 Hz, in the order of `Unrest`.

    Parameters
    ----------
    raw_mv : ndarray of float32, shape (n_leads, n)
        NaN where missing; beyond 10 V is missing too.

    Returns
    -------
    ndarray of float64, shape (n_leads, n // 250, 3)
    """
    n = raw_mv.shape[1] // _N
    found = np.zeros((len(raw_mv), n, 3))
    if found.size:
        _unrests(np.ascontiguousarray(raw_mv[:, : n * _N], np.float32).reshape(len(raw_mv), n, _N), found)
    return found


def _spans(samples: int) -> Spans:
    return ((0, _HEAD + 4 * samples),)


@njit(cache=True, error_model="numpy")
def _feed(seen, off, rail, second, rows, raw, count, flags, codes, unrests, done):  # pyright: ignore
    held = np.empty(_N, dtype=np.float32)
    smooth = np.empty(_N, dtype=np.float32)
    for i in range(rows.shape[0]):
        row, k = rows[i], 0
        while k < count[i]:
            at = seen[row] % _N
            n = min(_N - at, count[i] - k)
            second[row, at : at + n] = raw[i, k : k + n]
            for j in range(k, k + n):
                off[row] += flags[i, j]
            seen[row] += n
            k += n
            if at + n == _N:
                held[:] = second[row]
                codes[i, done[i]], rail[row] = _judge(held, off[row], rail[row], smooth)
                _unrest(held, unrests[i, done[i]])
                done[i] += 1
                off[row] = 0


@njit(cache=True, error_model="numpy")
def _judge(x, off, rail, smooth):  # pyright: ignore
    """Return the code of one second and the rail at its end; missing samples of `x` are filled with the one before."""
    missing = _fill(x)
    if 2 * off > _N:
        return 1, np.nan
    if 2 * missing > _N:
        return (1 if 2 * off >= missing else 2), np.nan
    low, high = x.min(), x.max()
    if high - low < FLAT_MV:
        if abs(low - rail) < _STAYS_MV or abs(high - rail) < _STAYS_MV:
            return 7, rail
        return 3, np.nan
    railed = _railed(x, low, high)
    if railed > CLIPPED_S * _N:
        return (7 if railed > SATURATED_S * _N else 4), _rail_at_end(x, low, high)
    fast = _fast_residue(x, smooth)
    inner = smooth[_SMOOTH // 2 : _N - _SMOOTH // 2]
    excursion = inner.max() - inner.min()
    if fast > NOISE_MV and fast > NOISE_SHARE * excursion:
        return (8 if max(_share_at(x, smooth, 50.0), _share_at(x, smooth, 60.0)) >= MAINS_SHARE else 5), np.nan
    step = abs(x[: _N // 2].mean() - x[_N // 2 :].mean())
    if step > WANDER_MV and step > WANDER_SHARE * excursion:
        return (9 if _abrupt(inner) > ABRUPT_SHARE * excursion else 6), np.nan
    return 0, np.nan


@njit(cache=True, error_model="numpy")
def _rail_at_end(x, low, high):  # pyright: ignore
    """Return the second's extreme at which its last samples stand; NaN where they do not."""
    for value in (low, high):
        still = True
        for k in range(_N - _RAIL_RUN, _N):
            still = still and abs(x[k] - value) < _STAYS_MV
        if still:
            return np.float64(value)
    return np.nan


@njit(cache=True, error_model="numpy")
def _share_at(x, smooth, hz):  # pyright: ignore
    """Return the share of the fast residue's power that is at one frequency."""
    half = _SMOOTH // 2
    a, b, total = 0.0, 0.0, 1e-12
    for k in range(half, _N - half):
        residue = np.float64(x[k] - smooth[k])
        angle = 2 * np.pi * hz * k / _N
        a += residue * np.cos(angle)
        b += residue * np.sin(angle)
        total += residue * residue
    return 2 * (a * a + b * b) / (_N - 2 * half) / total


@njit(cache=True, error_model="numpy")
def _abrupt(level):  # pyright: ignore
    """Return how far the level moves at most within 0.1 s, and stays: means of 0.1 s before and after are compared."""
    most = np.float32(0)
    for k in range(_ABRUPT, level.shape[0] - 2 * _ABRUPT, 5):
        most = max(most, abs(level[k + _ABRUPT : k + 2 * _ABRUPT].mean() - level[k - _ABRUPT : k].mean()))
    return most


@njit(cache=True, error_model="numpy")
def _unrests(x, found):  # pyright: ignore
    held = np.empty(_N, dtype=np.float32)
    for lead in range(x.shape[0]):
        for k in range(x.shape[1]):
            held[:] = x[lead, k]
            _fill(held)
            _unrest(held, found[lead, k])


@njit(cache=True, error_model="numpy")
def _unrest(x, found):  # pyright: ignore
    """Fill what `Unrest` names of a second without missing samples."""
    part = _N // _PARTS
    ranges = np.empty(_PARTS, dtype=np.float32)
    for p in range(_PARTS):
        low = high = x[p * part]
        for k in range(p * part + 1, (p + 1) * part):
            low, high = min(low, x[k]), max(high, x[k])
        ranges[p] = high - low
    ranges.sort()
    steepest, turns = np.float32(0), 0
    for k in range(_N - 4):
        steepest = max(steepest, abs(x[k + 4] - x[k]))
        turns += (x[k + 4] - x[k + 1]) * (x[k + 3] - x[k]) < 0
    found[0] = ranges[_RANK]
    found[1] = ranges[_RANK] / steepest if steepest > 0 else 0.0
    found[2] = turns


@njit(cache=True, error_model="numpy")
def _fill(x):  # pyright: ignore
    """Hold the last value where samples are missing, the first one before it, and return how many are."""
    missing, last = 0, np.float32(0)
    for k in range(_N):
        if abs(x[k]) < _LIMIT_MV:
            last = x[k]
            break
    for k in range(_N):
        if abs(x[k]) < _LIMIT_MV:
            last = x[k]
        else:
            x[k] = last
            missing += 1
    return missing


@njit(cache=True, error_model="numpy")
def _railed(x, low, high):  # pyright: ignore
    """Return how many samples stand still at the second's lowest or highest value after a steep way there."""
    near = max(0.002 * (high - low), 0.002)
    total, k = 0, 0
    while k < _N:
        at_low, at_high = x[k] - low < near, high - x[k] < near
        end = k + 1
        while end < _N and abs(x[end] - x[k]) < near:
            end += 1
        if (at_low or at_high) and end - k >= _RAIL_RUN and _steep(x, k, end, 0.1 * (high - low)):
            total += end - k
        k = end
    return total


@njit(cache=True, error_model="numpy")
def _steep(x, start, end, enough):  # pyright: ignore
    """Tell whether the signal comes to the run, or leaves it, by more than `enough` within 12 ms."""
    came = start >= 3 and abs(x[start - 3] - x[start]) > enough
    return came or (end + 2 < _N and abs(x[end + 2] - x[end - 1]) > enough)


@njit(cache=True, error_model="numpy")
def _fast_residue(x, smooth):  # pyright: ignore
    """Return the mean magnitude of what a mean of 5 samples leaves, in the fourth calmest tenth of the second."""
    half, part = _SMOOTH // 2, (_N - _SMOOTH + 1) // _PARTS
    means = np.empty(_PARTS, dtype=np.float32)
    for k in range(half, _N - half):
        smooth[k] = (x[k - 2] + x[k - 1] + x[k] + x[k + 1] + x[k + 2]) * np.float32(0.2)
    for p in range(_PARTS):
        total = np.float32(0)
        for k in range(half + p * part, half + (p + 1) * part):
            total += abs(x[k] - smooth[k])
        means[p] = total / part
    means.sort()
    return means[_RANK]
