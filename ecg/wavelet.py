"""Streaming wavelet denoising: an undecimated transform, shrunk level by level and put together again, all causal.

Each level filters the approximation of the level below with the wavelet's filters spread by 2^(level-1) (algorithme a
trous; Shensa, IEEE Trans. Signal Process. 40(10), 1992, doi:10.1109/78.157290), so that no sample depends on where a
block begins: the shift-averaged ("cycle-spun") shrinkage of Coifman and Donoho, 1995, over an endless record. Every
coefficient is one sum of fixed terms in a fixed order: the result is the same to the bit for any cutting and batching.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pywt
from numba import njit
from numpy.typing import NDArray

from ecg import wander
from ecg.rows import Rows

Rule = Literal["soft", "hard", "garrote"]
_RULES: tuple[Rule, ...] = ("soft", "hard", "garrote")

BLOCK = 25
"""Samples (0.1 s) whose mean magnitude is one value for the noise level."""
_GUARD = 32
_LIMIT_MV = np.float32(10_000.0)
_MEAN_TO_SIGMA = 1.2533
_RANK = 0.3
_LEAST_SIGMA_MV = 1e-3
# 15-31 Hz and below hold P, T and fibrillatory waves too: noise there is no more than muscles, which fill all levels,
# give beside what they give at 31-62 Hz (ratios of `nstdb`'s record of muscle noise)
_COARSE = (np.float32(1.0), np.float32(1.0), np.float32(1.6), np.float32(1.2))
_CALM, _CERTAIN = np.float32(4.0), np.float32(8.0)


@dataclass(frozen=True)
class Denoising:
    """How a stream is denoised.

    Parameters
    ----------
    wavelet : str
        A discrete wavelet of pywt.
    levels : int
    strength : tuple of float
        Threshold of each level, finest first, as a multiple of its noise level; the last holds for further levels.
    fixed_mv : tuple of float, optional
        Thresholds of each level that neither follow the noise nor spare the QRS complex, in mV of the orthonormal
        transform (as `pywt.swt` gives); all zero leaves the signal as it is.
    rule : {"soft", "hard", "garrote"}
    wander : bool
        Whether baseline wander is taken out.
    """

    wavelet: str = "db4"
    levels: int = 4
    strength: tuple[float, ...] = (3.0, 3.0, 2.5, 1.0)
    fixed_mv: tuple[float, ...] | None = None
    rule: Rule = "garrote"
    wander: bool = True

    def __post_init__(self) -> None:
        if self.wavelet not in pywt.wavelist(kind="discrete"):  # pyright: ignore[reportAttributeAccessIssue]
            raise ValueError(f"wavelet must be a discrete one of pywt, got {self.wavelet!r}")
        if not 1 <= self.levels <= 8:
            raise ValueError(f"levels must be from 1 to 8, got {self.levels}")
        if self.rule not in _RULES:
            raise ValueError(f"rule must be one of {_RULES}, got {self.rule!r}")
        for name in ("strength", "fixed_mv"):
            values = getattr(self, name)
            if values is not None and (not values or not all(v >= 0 for v in values)):
                raise ValueError(f"{name} must be one or more numbers from 0 up, got {values}")

    @property
    def delay(self) -> int:
        """Samples by which the output comes after the input: (taps - 1) * (2^levels - 1)."""
        bank = pywt.Wavelet(self.wavelet)  # pyright: ignore[reportAttributeAccessIssue]
        return (bank.dec_len - 1) * (2**self.levels - 1)


class _Plan(NamedTuple):
    """What the kernel needs of a configuration.

    `late` is by how many samples a level's details wait for the synthesis of the coarser ones, `guard` the age of the
    activity that belongs to them, `needed` the samples without a gap that make a block of them count for the noise.
    """

    analysis: NDArray[np.float32]
    synthesis: NDArray[np.float32]
    late: NDArray[np.int64]
    guard: NDArray[np.int64]
    needed: NDArray[np.int64]
    strength: NDArray[np.float32]
    fixed: bool
    rule: int
    active: int
    delay: int
    extra: int


class Denoiser:
    """Streams of many leads without noise and wander, a row a stream.

    Parameters
    ----------
    config : Denoising, optional

    Attributes
    ----------
    delay : int
        Samples by which the output comes after the input. The output keeps the input's numbering: the first `delay`
        samples of a stream give nothing, after that each gives one, and `flush` gives the last `delay`.

    Notes
    -----
    Missing samples are NaN in the output at the same places. Inside, the last sample is held through a gap; blocks
    that a gap touches do not count for the noise level, and the baseline is formed from the samples that are there.
    Before its first sample a stream is taken to have stood at that sample's value.

    Examples
    --------
    >>> denoiser = Denoiser(Denoising(wavelet="db2", levels=3))
    >>> denoiser.delay
    21
    >>> denoiser.reset(0)
    >>> y, m = denoiser.feed(np.array([0]), np.ones((1, 50), dtype=np.float32), np.array([50]))
    >>> int(m[0]), float(abs(y[0, :29]).max()) < 1e-6
    (29, True)
    """

    def __init__(self, config: Denoising | None = None) -> None:
        self.config = config or Denoising()
        self.delay = self.config.delay
        self._plan = _design(self.config)
        at = _sections(self._plan)
        layout = np.dtype([("memory", "f4", (at[-1],)), ("seen", "i8"), ("whole", "i8"), ("blocks", "i8")])
        initial = np.zeros((), dtype=layout)
        initial["whole"] = -1
        initial["memory"][: self.delay] = np.nan
        wander.clear(initial["memory"][at[-2] :])
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
        """Take samples of some streams and return the clean samples `delay` earlier.

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
        y : ndarray of float32, shape (n, width2)
            Clean samples in mV, NaN where missing and beyond `m[i]`.
        m : ndarray of int64, shape (n,)
            Samples returned of each stream.
        """
        y = np.full((len(rows), int(count.max(initial=0))), np.nan, dtype=np.float32)
        m = np.zeros(len(rows), dtype=np.int64)
        if y.size:
            state = self.rows.state
            memory = state.view(np.float32).reshape(len(state), -1)
            counters = (state["seen"], state["whole"], state["blocks"])
            base = np.zeros(y.shape, dtype=np.float32)
            if self.config.wander:
                at = int(_sections(self._plan)[-2])
                wander.baselines(memory, at, self.delay, _LIMIT_MV, state["seen"], rows, x, count, base)
            _denoise(self._plan, memory, *counters, rows, x, count, base, y, m)
        return y[:, : int(m.max(initial=0))], m

    def noise_mv(self, row: int) -> NDArray[np.float32]:
        """Return the noise level (standard deviation) that each level of a stream is taken to have, finest first."""
        at = _sections(self._plan)
        return self.rows.state["memory"][row, at[7] : at[8]] * np.float32(_MEAN_TO_SIGMA)

    def flush(self, row: int) -> NDArray[np.float32]:
        """Return the last `delay` samples (or all, of a shorter stream) at a record's end."""
        lacking = np.full((1, self.delay), np.nan, dtype=np.float32)
        y, m = self.feed(np.array([row]), lacking, np.array([self.delay]))
        return y[0, : int(m[0])]


def _design(config: Denoising) -> _Plan:
    bank = pywt.Wavelet(config.wavelet)  # pyright: ignore[reportAttributeAccessIssue]
    analysis = np.array([bank.dec_lo, bank.dec_hi], dtype=np.float64)
    synthesis = np.array([bank.rec_lo, bank.rec_hi], dtype=np.float64) / 2
    levels, taps = config.levels, bank.dec_len
    late = np.array([(taps - 1) * (2**levels - 2**j) for j in range(1, levels + 1)])
    given = config.fixed_mv if config.fixed_mv is not None else config.strength
    strength = np.array([given[min(j, len(given) - 1)] for j in range(levels)], dtype=np.float32)
    centre = np.array([_centre(analysis, j) for j in range(levels)])
    active = min(2, levels - 1)
    guard = np.maximum(np.round(late + centre - centre[active] - _GUARD / 2), 0).astype(np.int64)
    return _Plan(
        analysis=analysis.astype(np.float32),
        synthesis=synthesis.astype(np.float32),
        late=late,
        guard=guard,
        needed=np.array([(taps - 1) * (2 ** (j + 1) - 1) + BLOCK for j in range(levels)]),
        strength=strength,
        fixed=config.fixed_mv is not None,
        rule=_RULES.index(config.rule),
        active=active,
        delay=config.delay,
        extra=wander.floats(config.delay),
    )


def _centre(analysis: NDArray[np.float64], level: int) -> float:
    """Return the centre of energy, in samples, of the filter from the signal to the details of a level."""
    whole = np.ones(1)
    for j in range(level + 1):
        spread = np.zeros((analysis.shape[1] - 1) * 2**j + 1)
        spread[:: 2**j] = analysis[0 if j < level else 1]
        whole = np.convolve(whole, spread)
    return float((np.arange(len(whole)) * whole**2).sum() / (whole**2).sum())


@njit(cache=True, error_model="numpy")
def _sections(plan):  # pyright: ignore
    """Return where each part of a stream's memory begins, and at the end how many float32 numbers it takes."""
    levels, taps = plan.strength.shape[0], plan.analysis.shape[1]
    widest = (taps - 1) * 2 ** (levels - 1)
    tail = levels * widest
    sizes = (plan.delay, tail, tail, tail, levels * plan.late[0], _GUARD, plan.guard.max(), levels, levels, 1)
    ends = np.zeros(len(sizes) + 2, dtype=np.int64)
    for k in range(len(sizes)):
        ends[k + 1] = ends[k] + sizes[k]
    total = ends[len(sizes)] + plan.extra
    ends[len(sizes) + 1] = total + total % 2  # whole numbers of 8 bytes
    return ends


@njit(cache=True, error_model="numpy")
def _denoise(plan, memory, seen, whole, blocks, rows, x, count, base, y, m):  # pyright: ignore
    """Run each stream of a batch through all stages, by itself."""
    at = _sections(plan)
    levels, taps, width = plan.strength.shape[0], plan.analysis.shape[1], x.shape[1]
    widest = (taps - 1) * 2 ** (levels - 1)
    raw = np.empty(plan.delay + width, dtype=np.float32)
    since = np.empty(width, dtype=np.int64)
    line = np.empty((2, widest + width), dtype=np.float32)
    detail = np.empty((levels, plan.late[0] + width), dtype=np.float32)
    threshold = np.empty((levels, width), dtype=np.float32)
    scale = np.empty(width, dtype=np.float32)
    active = np.empty((2, _GUARD + width), dtype=np.float32)
    guard = np.zeros(plan.guard.max() + width, dtype=np.float32)
    low = np.empty(width, dtype=np.float32)
    for i in range(rows.shape[0]):
        row, n = rows[i], count[i]
        own = memory[row]
        _push(own[: at[1]], x[i], n, raw)
        start = _begin(plan, own, at, raw[plan.delay :], n, whole[row])
        fresh = n - start
        if fresh > 0:
            held = own[at[9] : at[10]]
            whole[row] = _hold(raw[plan.delay + start :], fresh, held, max(whole[row], 0), since, low)
            _analyse(plan, own[at[1] : at[2]], own[at[4] : at[5]], line, detail, fresh, low)
            first = seen[row] + start
            noise, sums = own[at[7] : at[8]], own[at[8] : at[9]]
            blocks[row] = _follow(plan, first, blocks[row], since, detail, noise, sums, threshold, scale, fresh)
            if not plan.fixed:
                _watch(plan, own[at[5] : at[6]], own[at[6] : at[7]], detail, scale, active, guard, fresh)
            _join(plan, own[at[2] : at[3]], own[at[3] : at[4]], line, detail, threshold, guard, fresh, low)
        early = min(max(plan.delay - seen[row], 0), n)
        for k in range(early, n):
            if raw[k] == raw[k]:
                y[i, k - early] = low[k - start] - base[i, k]
        m[i] = n - early
        seen[row] += n


@njit(cache=True, error_model="numpy")
def _push(recent, x, n, raw):  # pyright: ignore
    """Join the last samples and the new ones, NaN where they cannot be a heart's, and keep the last ones."""
    past = recent.shape[0]
    raw[:past] = recent
    for k in range(n):
        raw[past + k] = x[k] if abs(x[k]) < _LIMIT_MV else np.float32(np.nan)
    recent[:] = raw[n : n + past]


@njit(cache=True, error_model="numpy")
def _begin(plan, own, at, x, n, whole):  # pyright: ignore
    """Return where to begin; at a stream's first sample, fill its past with that sample's value."""
    if whole >= 0:
        return 0
    start = 0
    while start < n and x[start] != x[start]:
        start += 1
    if start == n:
        return n
    value = x[start]
    levels, taps = plan.strength.shape[0], plan.analysis.shape[1]
    tail = (at[2] - at[1]) // levels
    for j in range(levels):
        own[at[1] + j * tail : at[1] + (j + 1) * tail] = value
        total = np.float32(0)
        for k in range(taps):
            total += plan.analysis[0, k] * value
        value = total
    for j in range(levels - 1, -1, -1):
        own[at[3] + j * tail : at[3] + (j + 1) * tail] = value
        total = np.float32(0)
        for k in range(taps):
            total += plan.synthesis[0, k] * value
        value = total
    own[at[9]] = x[start]
    return start


@njit(cache=True, error_model="numpy")
def _hold(x, n, held, whole, since, filled):  # pyright: ignore
    """Fill missing samples with the last one, and count for each the samples since one was missing."""
    last = held[0]
    for k in range(n):
        if x[k] == x[k]:
            last = x[k]
            whole += 1
        else:
            whole = 0
        filled[k] = last
        since[k] = whole
    held[0] = last
    return whole


@njit(cache=True, error_model="numpy")
def _analyse(plan, tails, waiting, line, detail, n, low):  # pyright: ignore
    """Split `low` (changed in place into the last approximation) into the details of each level."""
    levels, taps = plan.strength.shape[0], plan.analysis.shape[1]
    tail, late = tails.shape[0] // levels, plan.late[0]
    for j in range(levels):
        own, past = tails[j * tail : (j + 1) * tail], waiting[j * late : (j + 1) * late]
        _extend(own, low[:n], line[0])
        _copy(past, detail[j])
        high = detail[j, late : late + n]
        _clear(high)
        _clear(low[:n])
        if taps % 4 == 2:
            _add_two(plan.analysis[0], 0, line[0], tail, j, low[:n])
            _add_two(plan.analysis[1], 0, line[0], tail, j, high)
        for k in range(taps % 4, taps, 4):
            _add_four(plan.analysis[0], k, line[0], tail, j, low[:n])
            _add_four(plan.analysis[1], k, line[0], tail, j, high)
        _copy(detail[j, n : n + late], past)


@njit(cache=True, error_model="numpy")
def _copy(source, into):  # pyright: ignore
    for k in range(source.shape[0]):
        into[k] = source[k]


@njit(cache=True, error_model="numpy")
def _clear(out):  # pyright: ignore
    for k in range(out.shape[0]):
        out[k] = 0


@njit(cache=True, error_model="numpy")
def _extend(own, new, line):  # pyright: ignore
    """Join the past and the new values in `line`, and keep the newest as the past."""
    past, n = own.shape[0], new.shape[0]
    for k in range(past):
        line[k] = own[k]
    joined, newest = line[past : past + n], line[n : n + past]
    for k in range(n):
        joined[k] = new[k]
    for k in range(past):
        own[k] = newest[k]


@njit(cache=True, error_model="numpy")
def _add_two(taps, k, line, tail, j, out):  # pyright: ignore
    """Add the terms of taps `k` and `k + 1` of a filter spread by 2^j; pywt's filters have an even length."""
    n, step, begin = out.shape[0], 1 << j, tail - (k << j)
    x0, x1 = line[begin : begin + n], line[begin - step : begin - step + n]
    a0, a1 = taps[k], taps[k + 1]
    for i in range(n):
        out[i] = out[i] + a0 * x0[i] + a1 * x1[i]


@njit(cache=True, error_model="numpy")
def _add_four(taps, k, line, tail, j, out):  # pyright: ignore
    """Add the terms of taps `k` to `k + 3`."""
    n, step, begin = out.shape[0], 1 << j, tail - (k << j)
    x0, x1 = line[begin : begin + n], line[begin - step : begin - step + n]
    begin -= 2 * step
    x2, x3 = line[begin : begin + n], line[begin - step : begin - step + n]
    a0, a1, a2, a3 = taps[k], taps[k + 1], taps[k + 2], taps[k + 3]
    for i in range(n):
        out[i] = out[i] + a0 * x0[i] + a1 * x1[i] + a2 * x2[i] + a3 * x3[i]


@njit(cache=True, error_model="numpy")
def _follow(plan, first, blocks, since, detail, noise, sums, threshold, scale, n):  # pyright: ignore
    """Follow the noise level of each level, a value each `BLOCK` samples, and give the threshold of each sample."""
    levels, late = plan.strength.shape[0], plan.late[0]
    if plan.fixed:
        for j in range(levels):
            threshold[j, :n] = plan.strength[j]
        return blocks
    k = 0
    while k < n:
        end = min(n, k + BLOCK - (first + k) % BLOCK)
        for j in range(levels):
            sigma = noise[j] if j < 2 else min(noise[j], _COARSE[min(j, 3)] * noise[1])
            sigma *= np.float32(_MEAN_TO_SIGMA)
            threshold[j, k:end] = plan.strength[j] * sigma
            if j == plan.active:
                scale[k:end] = np.float32(1) / max(sigma, np.float32(_LEAST_SIGMA_MV))
            total = sums[j]
            for i in range(k, end):
                total += abs(detail[j, late + i])
            sums[j] = total
        if (first + end) % BLOCK == 0:
            for j in range(levels):
                if since[end - 1] >= plan.needed[j]:
                    noise[j] = _quantile(noise[j], sums[j] / np.float32(BLOCK), blocks)
                sums[j] = 0
            blocks += 1
        k = end
    return blocks


@njit(cache=True, error_model="numpy")
def _quantile(level, value, blocks):  # pyright: ignore
    """Move a level, by a share of itself, towards the value that `_RANK` of the values lie under."""
    if level == 0:
        return value
    pace = np.float32(max(0.1, 1.0 / (1.0 + blocks)))
    if value > level:
        return min(level * (np.float32(1) + pace * np.float32(_RANK)), value)
    return max(level * (np.float32(1) - pace * np.float32(1 - _RANK)), value)


@njit(cache=True, error_model="numpy")
def _watch(plan, tail, past, detail, scale, active, guard, n):  # pyright: ignore
    """Find the activity, as a multiple of the noise, in the last `_GUARD` samples of the level that a QRS fills."""
    late, old = plan.late[0], past.shape[0]
    active[0, :_GUARD] = tail
    for k in range(n):
        active[0, _GUARD + k] = abs(detail[plan.active, late + k]) * scale[k]
    tail[:] = active[0, n : n + _GUARD]
    source, reach = 0, 1
    while reach < _GUARD:
        width = _GUARD + n - reach
        newer, older = active[source, reach : reach + width], active[source, :width]
        into = active[1 - source, reach : reach + width]
        for k in range(width):
            into[k] = max(newer[k], older[k])
        active[1 - source, :reach] = active[source, :reach]
        source = 1 - source
        reach *= 2
    guard[:old] = past
    guard[old : old + n] = active[source, _GUARD : _GUARD + n]
    past[:] = guard[n : n + old]


@njit(cache=True, error_model="numpy")
def _share(guard):  # pyright: ignore
    """Return how much of a threshold holds: none of it where the activity shows a QRS complex."""
    calm = (_CERTAIN - guard) * np.float32(1 / (_CERTAIN - _CALM))
    return min(max(calm, np.float32(0)), np.float32(1))


@njit(cache=True, error_model="numpy")
def _soft(detail, threshold, guard, out):  # pyright: ignore
    for k in range(out.shape[0]):
        t = threshold[k] * _share(guard[k])
        out[k] = max(detail[k] - t, np.float32(0)) + min(detail[k] + t, np.float32(0))


@njit(cache=True, error_model="numpy")
def _hard(detail, threshold, guard, out):  # pyright: ignore
    for k in range(out.shape[0]):
        out[k] = detail[k] if abs(detail[k]) >= threshold[k] * _share(guard[k]) else np.float32(0)


@njit(cache=True, error_model="numpy")
def _garrote(detail, threshold, guard, out):  # pyright: ignore
    for k in range(out.shape[0]):
        t = threshold[k] * _share(guard[k])
        power, least = detail[k] * detail[k], t * t
        out[k] = detail[k] * (np.float32(1) - least / power) if power > least else np.float32(0)


@njit(cache=True, error_model="numpy")
def _join(plan, shrunk, approximation, line, detail, threshold, guard, n, low):  # pyright: ignore
    """Shrink the details and put `low` (changed in place into the signal) and them together, coarsest first."""
    levels, taps = plan.strength.shape[0], plan.synthesis.shape[1]
    tail, late, old = shrunk.shape[0] // levels, plan.late[0], plan.guard.max()
    for j in range(levels - 1, -1, -1):
        own, past = shrunk[j * tail : (j + 1) * tail], approximation[j * tail : (j + 1) * tail]
        _extend(past, low[:n], line[0])
        _copy(own, line[1])
        waited = late - plan.late[j]
        recent = guard[old - plan.guard[j] : old - plan.guard[j] + n]
        own_detail, own_threshold, fresh = detail[j, waited : waited + n], threshold[j, :n], line[1, tail : tail + n]
        if plan.rule == 0:
            _soft(own_detail, own_threshold, recent, fresh)
        elif plan.rule == 1:
            _hard(own_detail, own_threshold, recent, fresh)
        else:
            _garrote(own_detail, own_threshold, recent, fresh)
        _copy(line[1, n : n + tail], own)
        _clear(low[:n])
        if taps % 4 == 2:
            _add_two(plan.synthesis[0], 0, line[0], tail, j, low[:n])
            _add_two(plan.synthesis[1], 0, line[1], tail, j, low[:n])
        for k in range(taps % 4, taps, 4):
            _add_four(plan.synthesis[0], k, line[0], tail, j, low[:n])
            _add_four(plan.synthesis[1], k, line[1], tail, j, low[:n])
