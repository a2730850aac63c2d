"""Mains at 50 or 60 Hz, found and taken out of the raw signal at 250 Hz without delay; where there is none, not a bit.

A block of 25 samples (0.1 s) holds whole periods of both, so that one sum with an exact table gives the amplitude and
phase of each. In the course of blocks they stand still, or turn slowly where the grid drifts; a heart's do not. What is
taken off is the wave that earlier blocks foretell: a block that another one does not bear out, such as one with a QRS
complex, moves it little, so that nothing rings. (The idea to learn between complexes and go on through them is that of
Levkov et al., BioMed. Eng. OnLine 4, 2005, doi:10.1186/1475-925X-4-50; the tracker is another.)
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ecg.resample import ANALYSIS_HZ
from ecg.rows import Rows

MAINS_HZ = (50, 60)
"""What is looked for; either may be off by `DRIFT_HZ`."""
DRIFT_HZ = 0.7
BLOCK = 25
"""Samples in which both make whole periods."""
LEAST_MV = 0.004
"""Amplitude from which a wave is taken out."""

_LAG = 4
"""Blocks between two that are compared: whether a wave turns, and which way, is told up to 1.25 Hz off."""
_LEARNING, _BLOCKS, _COHERENT = 12, 32, 0.5
"""Pairs of blocks from which, and up to how many of which, a mean is formed; its share of the power in a wave."""
_PROOF, _MEMORY, _FORETOLD, _UNFORETOLD = 12, 25, 0.5, 0.1
"""Blocks foretold before the first is changed, and of the mean: by how much less is left, 1 all and 0 nothing of it."""
_STRAY, _STRAYS, _STEP = 9.0, 5, 0.12
"""A block of so many times the others' power is a QRS complex, but not the sixth in a row; the level moves by steps."""
_GAIN, _TURN = 0.35, 0.075
"""By what share of the error, once a block, the wave and its turning are moved."""
_FADED, _MOST_MISSING = 0.1, 30
_LEAST_POWER, _LIMIT = 1e-10, 1e4

_FASTEST = 2 * np.pi * DRIFT_HZ * BLOCK / ANALYSIS_HZ
_PHASE = 2 * np.pi * np.outer(MAINS_HZ, np.arange(BLOCK)) / ANALYSIS_HZ
_STEP_PHASE = 2 * np.pi * np.array(MAINS_HZ)[:, None] / ANALYSIS_HZ
_COS, _SIN = np.cos(_PHASE), np.sin(_PHASE)
# what is summed is x[n] - 2 x[n-2] + x[n-4]: it leaves little of P, T and wander; its gain is taken out here
_SHARE = 2 / BLOCK / (-4 * np.sin(_STEP_PHASE) ** 2)
_WITH_COS = _SHARE * np.cos(_PHASE - 2 * _STEP_PHASE)
_WITH_SIN = -_SHARE * np.sin(_PHASE - 2 * _STEP_PHASE)
_LEAN = 2 / np.tan(_STEP_PHASE[:, 0]) / BLOCK
"""By how much that gain grows with the angle by which a wave turns in a block; the mean of a block falls with it."""
_AHEAD = (BLOCK + BLOCK // 2 + 2) / BLOCK
"""Blocks from the middle of what was summed to the last sample of the next block."""

_TONE = np.dtype(
    [
        ("age", "i8"),
        ("mean_re", "f8"),
        ("mean_im", "f8"),
        ("mean_power", "f8"),
        ("past", "f8", (_LAG, 2)),
        ("level", "f8"),
        ("tracked", "i8"),
        ("re", "f8"),
        ("im", "f8"),
        ("angle", "f8"),
        ("score", "f8"),
        ("strays", "i8"),
        ("fades", "i8"),
    ]
)
_STREAM = np.dtype(
    [
        ("seen", "i8"),
        ("missed", "i8"),
        ("held", "f8", (4,)),
        ("sums", "f8", (4,)),
        ("tones", _TONE, (2,)),
        ("on", "i8"),
        ("given_of", "i8"),
        ("given", "f8", (4,)),
        ("bend", "f8"),
    ]
)


class Mains:
    """Streams of many leads without mains, a row a stream.

    As long as no mains is found, a stream comes out as it went in, to the bit. Found is what stays in phase with
    itself, and with what it foretells, for over 2 s. A missing sample stays missing, and the phase goes on. Where the
    mains ends, or the signal stands still at a rail, what is taken off ends within 0.4 s. One of the two frequencies
    is taken out at a time, without its harmonics.

    Examples
    --------
    >>> mains = Mains()
    >>> mains.reset(0)
    >>> wave = np.sin(2 * np.pi * 50.2 * np.arange(2500) / 250).astype(np.float32)[None]
    >>> y = mains.feed(np.array([0]), wave, np.array([2500]))
    >>> bool((y[0, :250] == wave[0, :250]).all()), float(abs(y[0, 1500:]).max()) < 0.05, mains.found_hz(0)
    (True, True, 50)
    """

    def __init__(self) -> None:
        initial = np.zeros((), dtype=_STREAM)
        initial["held"] = np.nan
        initial["on"] = -1
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

    def found_hz(self, row: int) -> int | None:
        """Return which mains is being taken out of a stream, 50 or 60, or none."""
        on = int(self.rows.state["on"][row])
        return MAINS_HZ[on] if on >= 0 else None

    def feed(self, rows: NDArray[np.int64], x: NDArray[np.float32], count: NDArray[np.int64]) -> NDArray[np.float32]:
        """Take samples of some streams and return them without mains.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            Rows of the streams, each at most once.
        x : ndarray of float32, shape (n, width)
            Samples at 250 Hz in mV; NaN where missing. Only `x[i, :count[i]]` is read.
        count : ndarray of int64, shape (n,)
            Samples given of each stream.

        Returns
        -------
        ndarray of float32, shape (n, width)
            The same samples, none later; beyond `count[i]` as they came.
        """
        y = np.array(x, dtype=np.float32, order="C")
        if y.size:
            _feed(self.rows.state, rows, y, count)
        return y


@njit(cache=True, error_model="numpy")
def _feed(state, rows, x, count):  # pyright: ignore
    """Take the mains out of each stream of a batch, in place."""
    for i in range(rows.shape[0]):
        s, k, n = state[rows[i]], 0, count[i]
        while k < n:
            at = s.seen % BLOCK
            m = min(BLOCK - at, n - k)
            _sum(s, at, x[i], k, m)
            if s.given[0] != 0 or s.given[1] != 0 or s.given[2] != 0 or s.given[3] != 0:
                _take_off(s, at, x[i], k, m)
            s.seen += m
            k += m
            if at + m == BLOCK:
                _end_block(s)


@njit(cache=True, error_model="numpy")
def _sum(s, at, x, first, n):  # pyright: ignore
    """Add samples to the sums of their block; a missing one makes them NaN, and with them the block missing."""
    h4, h3, h2, h1 = s.held[0], s.held[1], s.held[2], s.held[3]
    a, b, c, d = s.sums[0], s.sums[1], s.sums[2], s.sums[3]
    for j in range(n):
        v = np.float64(x[first + j])
        fast = v - 2 * h2 + h4
        a += fast * _WITH_COS[0, at + j]
        b += fast * _WITH_SIN[0, at + j]
        c += fast * _WITH_COS[1, at + j]
        d += fast * _WITH_SIN[1, at + j]
        h4, h3, h2, h1 = h3, h2, h1, v
    s.held[0], s.held[1], s.held[2], s.held[3] = h4, h3, h2, h1
    s.sums[0], s.sums[1], s.sums[2], s.sums[3] = a, b, c, d


@njit(cache=True, error_model="numpy")
def _take_off(s, at, x, first, n):  # pyright: ignore
    """Take off what was foretold for this block: an amplitude that goes from its start to its end, on an arc."""
    tone, re, im = s.given_of, s.given[0], s.given[1]
    more_re, more_im = (s.given[2] - re) / BLOCK, (s.given[3] - im) / BLOCK
    bend = s.bend / (BLOCK * BLOCK)
    for j in range(n):
        past = at + j + 1
        wave = (re + more_re * past) * _COS[tone, at + j] - (im + more_im * past) * _SIN[tone, at + j]
        x[first + j] = np.float32(x[first + j] - wave * (1 + bend * past * (BLOCK - past)))


@njit(cache=True, error_model="numpy")
def _end_block(s):  # pyright: ignore
    """Learn from the sums of a block, and foretell the next one."""
    at = (s.seen // BLOCK) % _LAG
    missing = not abs(s.sums[0]) + abs(s.sums[1]) + abs(s.sums[2]) + abs(s.sums[3]) < _LIMIT
    s.missed = s.missed + 1 if missing else 0
    for k in range(2):
        q = s.tones[k]
        if missing:
            _pass_over(q, at)
            if s.missed > _MOST_MISSING:
                _forget(q)
        else:
            _follow(q, at, s.sums[2 * k], s.sums[2 * k + 1])
        s.sums[2 * k] = s.sums[2 * k + 1] = 0
    s.given[0], s.given[1] = s.given[2], s.given[3]
    if s.on >= 0 or s.tones[0].tracked + s.tones[1].tracked > 0:
        _switch(s)
    s.given[2] = s.given[3] = 0
    if s.on >= 0:
        q = s.tones[s.on]
        gain = 1 - _LEAN[s.on] * q.angle + q.angle * q.angle / 24
        c, d = gain * math.cos(_AHEAD * q.angle), gain * math.sin(_AHEAD * q.angle)
        s.given_of, s.bend = s.on, 0.5 * q.angle * q.angle
        s.given[2], s.given[3] = q.re * c - q.im * d, q.re * d + q.im * c


@njit(cache=True, error_model="numpy")
def _switch(s):  # pyright: ignore
    """Begin to take out the wave that has been proved, or leave off from one that is there no longer."""
    if s.on >= 0:
        if s.tones[s.on].tracked == 0 or _power(s.tones[s.on]) < 0.25 * LEAST_MV * LEAST_MV:
            s.on = -1
    elif s.given[0] == 0 and s.given[1] == 0:
        for k in range(2):
            q = s.tones[k]
            proved = q.tracked >= _PROOF and q.score > _FORETOLD and _is_coherent(q)
            if proved and _power(q) > max(LEAST_MV * LEAST_MV, _power(s.tones[1 - k])):
                s.on = k
                return


@njit(cache=True, error_model="numpy")
def _power(q):  # pyright: ignore
    """Return the square of a wave's amplitude."""
    return q.re * q.re + q.im * q.im


@njit(cache=True, error_model="numpy")
def _forget(q):  # pyright: ignore
    """Begin anew to look for a wave."""
    q.age = q.tracked = 0
    q.mean_re = q.mean_im = q.mean_power = q.level = q.re = q.im = 0


@njit(cache=True, error_model="numpy")
def _pass_over(q, at):  # pyright: ignore
    """Go on by one block of which nothing is known."""
    if q.tracked > 0:
        _turn(q)
    q.past[at, 0] = np.nan


@njit(cache=True, error_model="numpy")
def _follow(q, at, re, im):  # pyright: ignore
    """Take the amplitude of a block: track the wave, if there is one, or see whether there might be."""
    power = re * re + im * im
    stray = _track(q, re, im, power) if q.tracked > 0 else _is_stray(q, power, _STEP)
    if stray:
        q.past[at, 0] = np.nan
        return
    _compare(q, at, re, im, power)
    if q.tracked >= 2 * _PROOF or q.age < _LEARNING or not _is_coherent(q):
        return
    angle = math.atan2(q.mean_im, q.mean_re) / _LAG
    if abs(angle) > _FASTEST:
        q.tracked = 0
        return
    q.angle = angle
    if q.tracked == 0:
        q.re, q.im = re, im
        q.tracked = 1
        q.level = q.score = 0
        q.strays = q.fades = 0


@njit(cache=True, error_model="numpy")
def _is_stray(q, power, step):  # pyright: ignore
    """Tell whether a block is far over the level of the others, which is about their median, and let that follow."""
    level = q.level if q.level > 0 else max(power, _LEAST_POWER)
    q.level = max(level * (1 + step if power > level else 1 - step), _LEAST_POWER)
    if not power > _STRAY * level:
        q.strays = 0
        return False
    q.strays += 1
    if q.strays > _STRAYS:
        q.level = power
    return q.strays <= _STRAYS


@njit(cache=True, error_model="numpy")
def _compare(q, at, re, im, power):  # pyright: ignore
    """Add how a block's amplitude stands to that of `_LAG` blocks ago, and the power of both, to their means."""
    past_re, past_im = q.past[at, 0], q.past[at, 1]
    q.past[at, 0], q.past[at, 1] = re, im
    if past_re != past_re:
        return
    q.age = min(q.age + 1, _BLOCKS)
    share = 1 / q.age
    both = 0.5 * (power + past_re * past_re + past_im * past_im)
    q.mean_re += (re * past_re + im * past_im - q.mean_re) * share
    q.mean_im += (im * past_re - re * past_im - q.mean_im) * share
    q.mean_power += (both - q.mean_power) * share


@njit(cache=True, error_model="numpy")
def _is_coherent(q):  # pyright: ignore
    """Tell whether the amplitudes of some seconds' blocks follow one another."""
    least = _COHERENT * q.mean_power
    return q.mean_re * q.mean_re + q.mean_im * q.mean_im > least * least


@njit(cache=True, error_model="numpy")
def _turn(q):  # pyright: ignore
    """Let the wave go on by one block."""
    c, d, re = math.cos(q.angle), math.sin(q.angle), q.re
    q.re, q.im = re * c - q.im * d, re * d + q.im * c


@njit(cache=True, error_model="numpy")
def _track(q, re, im, power):  # pyright: ignore
    """Compare a block with what was foretold, and let the wave follow it; tell whether the block is a stray."""
    _turn(q)
    known, level, off_re, off_im = _power(q), q.level, re - q.re, im - q.im
    off = off_re * off_re + off_im * off_im
    stray = _is_stray(q, off, max(_STEP, min(0.5, 1 / q.tracked)))
    q.fades = q.fades + 1 if power < _FADED * known else 0
    q.tracked += 1
    if stray:
        _move(q, off_re, off_im, known, math.sqrt(level / off))
    else:
        borne_out = (power - off) / max(power + off, _LEAST_POWER)
        q.score += (borne_out - q.score) / min(q.tracked, _MEMORY)
        _move(q, off_re, off_im, known, 1.0)
    if q.fades > 1 or (q.tracked > _PROOF and q.score < _UNFORETOLD):
        _forget(q)
    return stray


@njit(cache=True, error_model="numpy")
def _move(q, off_re, off_im, known, weight):  # pyright: ignore
    """Move the wave, and how fast it turns, by a share of what it was off."""
    if known > 0:
        across = (off_im * q.re - off_re * q.im) / known
        turned = q.angle + _TURN * weight * min(max(across, -0.5), 0.5)
        q.angle = min(max(turned, -_FASTEST), _FASTEST)
    gain = weight * max(_GAIN, 1 / q.tracked)
    q.re += gain * off_re
    q.im += gain * off_im
