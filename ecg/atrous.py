"""The kernels of the undecimated wavelet transform: one stream after another, one sum a coefficient.

All of them are in this one module: numba's cache does not notice a change in a module whose compiled functions another
module has built in.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

BLOCK = 25
"""Samples (0.1 s) whose mean magnitude is one value for the noise level."""
GUARD = 32
LIMIT_MV = np.float32(10_000.0)
MEAN_TO_SIGMA = 1.2533
_RANK = 0.3
_LEAST_SIGMA_MV = 1e-3
# 15-31 Hz and below hold P, T and fibrillatory waves too: noise there is no more than muscles, which fill all levels,
# give beside what they give at 31-62 Hz (ratios of `nstdb`'s record of muscle noise)
_COARSE = (np.float32(1.0), np.float32(1.0), np.float32(1.6), np.float32(1.2))
_CALM, _CERTAIN = np.float32(4.0), np.float32(8.0)


class Plan(NamedTuple):
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


@njit(cache=True, error_model="numpy")
def sections(plan):  # pyright: ignore
    """Return where each part of a stream's memory begins, and at the end how many float32 numbers it takes."""
    levels, taps = plan.strength.shape[0], plan.analysis.shape[1]
    widest = (taps - 1) * 2 ** (levels - 1)
    tail = levels * widest
    sizes = (plan.delay, tail, tail, tail, levels * plan.late[0], GUARD, plan.guard.max(), levels, levels, 1)
    ends = np.zeros(len(sizes) + 2, dtype=np.int64)
    for k in range(len(sizes)):
        ends[k + 1] = ends[k] + sizes[k]
    total = ends[len(sizes)] + plan.extra
    ends[len(sizes) + 1] = total + total % 2  # whole numbers of 8 bytes
    return ends


@njit(cache=True, error_model="numpy")
def denoise(plan, memory, seen, whole, blocks, rows, x, count, base, y, m):  # pyright: ignore
    """Run each stream of a batch through all stages, by itself."""
    at = sections(plan)
    levels, taps, width = plan.strength.shape[0], plan.analysis.shape[1], x.shape[1]
    widest = (taps - 1) * 2 ** (levels - 1)
    raw = np.empty(plan.delay + width, dtype=np.float32)
    since = np.empty(width, dtype=np.int64)
    line = np.empty((2, widest + width), dtype=np.float32)
    detail = np.empty((levels, plan.late[0] + width), dtype=np.float32)
    threshold = np.empty((levels, width), dtype=np.float32)
    scale = np.empty(width, dtype=np.float32)
    active = np.empty((2, GUARD + width), dtype=np.float32)
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
        raw[past + k] = x[k] if abs(x[k]) < LIMIT_MV else np.float32(np.nan)
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
            sigma *= np.float32(MEAN_TO_SIGMA)
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
    """Find the activity, as a multiple of the noise, in the last `GUARD` samples of the level that a QRS fills."""
    late, old = plan.late[0], past.shape[0]
    active[0, :GUARD] = tail
    for k in range(n):
        active[0, GUARD + k] = abs(detail[plan.active, late + k]) * scale[k]
    tail[:] = active[0, n : n + GUARD]
    source, reach = 0, 1
    while reach < GUARD:
        width = GUARD + n - reach
        newer, older = active[source, reach : reach + width], active[source, :width]
        into = active[1 - source, reach : reach + width]
        for k in range(width):
            into[k] = max(newer[k], older[k])
        active[1 - source, :reach] = active[source, :reach]
        source = 1 - source
        reach *= 2
    guard[:old] = past
    guard[old : old + n] = active[source, GUARD : GUARD + n]
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
