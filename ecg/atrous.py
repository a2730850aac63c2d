"""The kernels of the undecimated wavelet transform: a few streams side by side, one sum a coefficient.

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
TOGETHER = 8
"""Streams that go through each step side by side: what one has just written is not yet there to be read again."""
LIMIT_MV = np.float32(10_000.0)
MEAN_TO_SIGMA = 1.2533
_RANK, _PACE = 0.4, 0.6
_LEAST_SIGMA_MV = 1e-3
# 15-31 Hz and below hold P, T and fibrillatory waves too: noise there is no more than muscles, which fill all levels,
# give beside what they give at 31-62 Hz (ratios of `nstdb`'s record of muscle noise)
_COARSE = (np.float32(1.0), np.float32(1.0), np.float32(1.6), np.float32(1.2))
_LITTLE = np.float32(0.075)
"""Noise of 15-31 Hz, as a share of the complexes there, that is let be; from twice that on thresholds are whole."""
_FADE = np.float32(0.96)
"""What is left of the size of the complexes after a block without any: half of it after 1.7 s."""
_CALM, _CERTAIN = np.float32(12.0), np.float32(24.0)


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
    levels = plan.strength.shape[0]
    tails = plan.delay  # of the filters of all levels: (taps - 1) * (1 + 2 + 4 + ...)
    sizes = (plan.delay, tails, tails, tails, plan.late.sum(), GUARD, plan.guard.max(), levels, levels + 1, 1)
    ends = np.zeros(len(sizes) + 2, dtype=np.int64)
    for k in range(len(sizes)):
        ends[k + 1] = ends[k] + sizes[k]
    total = ends[len(sizes)] + plan.extra
    ends[len(sizes) + 1] = total + total % 2  # whole numbers of 8 bytes
    return ends


@njit(cache=True, error_model="numpy")
def denoise(plan, memory, seen, whole, blocks, rows, x, count, base, y, m):  # pyright: ignore
    """Run the streams of a batch through all stages; each depends on itself alone.

    Below this everything takes whole arrays, and the row and the place to begin at: a slice, or an array out of the
    plan, counts its owners, which costs as much as to filter fifty samples. Places are unsigned, so that no access asks
    whether it counts from the end.
    """
    at, levels, width = sections(plan), plan.strength.shape[0], x.shape[1]
    analysis, synthesis, strength, needed = plan.analysis, plan.synthesis, plan.strength, plan.needed
    late, guards, delay, rule, fixed, active = plan.late, plan.guard, plan.delay, plan.rule, plan.fixed, plan.active
    span = analysis.shape[1] - 1
    widest = span * 2 ** (levels - 1)
    raw = np.empty((TOGETHER, delay + width), dtype=np.float32)
    since = np.empty((TOGETHER, width), dtype=np.int64)
    line = np.empty((TOGETHER, widest + width), dtype=np.float32)
    shrunk = np.empty((TOGETHER, widest + width), dtype=np.float32)
    detail = np.empty((TOGETHER * levels, late[0] + width), dtype=np.float32)
    threshold = np.empty((TOGETHER * levels, width), dtype=np.float32)
    means = np.empty((width // BLOCK + 2, levels), dtype=np.float32)
    limits = np.empty((width // BLOCK + 2, levels + 1), dtype=np.float32)
    scale = np.empty(width, dtype=np.float32)
    activity = np.empty((2, GUARD + width), dtype=np.float32)
    guard = np.zeros((TOGETHER, guards.max() + width), dtype=np.float32)
    low = np.empty((TOGETHER, width), dtype=np.float32)
    start, fresh = np.empty(TOGETHER, dtype=np.int64), np.empty(TOGETHER, dtype=np.int64)
    for i in range(0, rows.shape[0], TOGETHER):
        size = min(TOGETHER, rows.shape[0] - i)
        for g in range(size):
            row, n = rows[i + g], count[i + g]
            _push(memory, row, delay, x, i + g, n, raw, g)
            start[g] = 0 if whole[row] >= 0 else _begin(plan, memory[row], at, raw[g], n)
            fresh[g] = n - start[g]
            if fresh[g] > 0:
                past = max(whole[row], 0)
                whole[row] = _hold(raw, g, delay + start[g], fresh[g], memory, row, at[9], past, since, low)
        _analyse(analysis, span, late, memory, rows, i, size, at, line, detail, fresh, low)
        for g in range(size):
            row = rows[i + g]
            if fixed:
                for j in range(levels):
                    threshold[g * levels + j, : fresh[g]] = strength[j]
            elif fresh[g] > 0:
                inside = (seen[row] + start[g]) % BLOCK
                first, n = g * levels, fresh[g]
                _measure(detail, first, levels, late[0], inside, n, memory, row, at[8], means)
                blocks[row] = _follow(
                    strength, needed, active, blocks[row], since, g, inside, n, memory, row, at[7], means, limits
                )
                _lay_out(limits, levels, inside, n, threshold, first, scale)
                _watch(memory, row, at, detail, first + active, late[0], scale, activity, guard, g, n)
        _join(synthesis, span, late, guards, rule, memory, rows, i, size, at,
              line, shrunk, detail, threshold, guard, fresh, low)  # fmt: skip
        for g in range(size):
            row, n = rows[i + g], count[i + g]
            early = min(max(delay - seen[row], 0), n)
            begin = max(early, start[g])  # before the first sample all are missing
            _give(raw, g, begin, low, begin - start[g], base, y, i + g, begin - early, n - begin)
            m[i + g] = n - early
            seen[row] += n


@njit(cache=True, error_model="numpy", inline="always")
def _copy(source, a, at, into, b, to, n):  # pyright: ignore
    first, begin = np.uintp(at), np.uintp(to)
    for k in range(np.uintp(max(n, 0))):
        into[b, begin + k] = source[a, first + k]


@njit(cache=True, error_model="numpy")
def _push(memory, row, past, x, i, n, raw, g):  # pyright: ignore
    """Join the last `past` samples and the new ones, NaN where no heart's, and keep the last ones."""
    _copy(memory, row, 0, raw, g, 0, past)
    to = np.uintp(past)
    for k in range(np.uintp(n)):
        raw[g, to + k] = x[i, k] if abs(x[i, k]) < LIMIT_MV else np.float32(np.nan)
    _copy(raw, g, n, memory, row, 0, past)


@njit(cache=True, error_model="numpy")
def _begin(plan, own, at, raw, n):  # pyright: ignore
    """Find a stream's first sample, among `n` new ones, and fill its past with that sample's value."""
    x = raw[plan.delay :]
    start = 0
    while start < n and x[start] != x[start]:
        start += 1
    if start == n:
        return n
    value = x[start]
    levels, taps = plan.strength.shape[0], plan.analysis.shape[1]
    for j in range(levels):
        past, tail = _tail(taps - 1, j)
        own[at[1] + past : at[1] + past + tail] = value
        total = np.float32(0)
        for k in range(taps):
            total += plan.analysis[0, k] * value
        value = total
    for j in range(levels - 1, -1, -1):
        past, tail = _tail(taps - 1, j)
        own[at[3] + past : at[3] + past + tail] = value
        total = np.float32(0)
        for k in range(taps):
            total += plan.synthesis[0, k] * value
        value = total
    own[at[9]] = x[start]
    return start


@njit(cache=True, error_model="numpy")
def _tail(span, j):  # pyright: ignore
    """Return where, among those of all levels, the past begins that a level's filters look back on, and its length."""
    return span * ((1 << j) - 1), span << j


@njit(cache=True, error_model="numpy")
def _hold(raw, g, at, n, memory, row, held, whole, since, filled):  # pyright: ignore
    """Fill missing samples with the last one, and count for each the samples since one was missing."""
    first, missing = np.uintp(at), 0
    for k in range(np.uintp(n)):
        value = raw[g, first + k]
        missing += value != value
        filled[g, k] = value
    if missing == 0:
        for k in range(n):
            since[g, k] = whole + 1 + k
        memory[row, held] = filled[g, n - 1]
        return whole + n
    last = memory[row, held]
    for k in range(n):
        if filled[g, k] == filled[g, k]:
            last = filled[g, k]
            whole += 1
        else:
            filled[g, k] = last
            whole = 0
        since[g, k] = whole
    memory[row, held] = last
    return whole


@njit(cache=True, error_model="numpy")
def _analyse(taps, span, late, memory, rows, i, size, at, line, detail, fresh, low):  # pyright: ignore
    """Split `low` (changed in place into the last approximation) into the details of each level."""
    levels, waiting = late.shape[0], at[4]
    for j in range(levels):
        before, tail = _tail(span, j)
        _extend(memory, rows, i, size, at[1] + before, tail, low, fresh, line)
        _filter(taps, 0, line, tail, j, low, 0, 1, 0, fresh, size)
        _filter(taps, 1, line, tail, j, detail, j, levels, late[0], fresh, size)
        _wait(memory, rows, i, size, waiting, late[j], detail, j, levels, late[0], fresh)
        waiting += late[j]


@njit(cache=True, error_model="numpy")
def _extend(memory, rows, i, size, at, tail, low, fresh, line):  # pyright: ignore
    """Join the past and the new values of each stream in its line, and keep the newest as the past."""
    past, joined = np.uintp(at), np.uintp(tail)
    for g in range(size):
        row, n = rows[i + g], np.uintp(max(fresh[g], 0))
        for k in range(joined):
            line[g, k] = memory[row, past + k]
        for k in range(n):
            line[g, joined + k] = low[g, k]
        for k in range(joined):
            memory[row, past + k] = line[g, n + k]


@njit(cache=True, error_model="numpy")
def _wait(memory, rows, i, size, at, waits, detail, j, levels, late, fresh):  # pyright: ignore
    """Put the details that wait for coarser ones before a level's new ones, and keep those that wait from now on."""
    first, begin, waiting = np.uintp(late - waits), np.uintp(at), np.uintp(waits)
    for g in range(size):
        row, level, n = rows[i + g], g * levels + j, np.uintp(max(fresh[g], 0))
        for k in range(waiting):
            detail[level, first + k] = memory[row, begin + k]
        for k in range(waiting):
            memory[row, begin + k] = detail[level, first + n + k]


@njit(cache=True, error_model="numpy")
def _filter(taps, which, line, tail, j, out, level, levels, to, fresh, size):  # pyright: ignore
    """Filter with one of a pair of filters, spread by 2^j, into rows `level`, `level + levels`, ..., from `to` on."""
    if taps.shape[1] == 8:
        _filter_eight(taps, which, line, tail, j, out, level, levels, to, fresh, size)
    else:
        for k in range(0, taps.shape[1], 2):
            _add_two(taps, which, k, line, tail, j, out, level, levels, to, fresh, size, k > 0)


@njit(cache=True, error_model="numpy")
def _filter_eight(taps, which, line, tail, j, out, level, levels, to, fresh, size):  # pyright: ignore
    """Filter with eight taps, as many as the default wavelet has, in one pass."""
    a0, a1, a2, a3 = taps[which, 0], taps[which, 1], taps[which, 2], taps[which, 3]
    a4, a5, a6, a7 = taps[which, 4], taps[which, 5], taps[which, 6], taps[which, 7]
    step, x0, begin = np.uintp(1 << j), np.uintp(tail), np.uintp(to)
    x1, x2, x3 = x0 - step, x0 - step - step, x0 - step - step - step
    x4, x5, x6, x7 = x3 - step, x3 - step - step, x3 - step - step - step, x3 - step - step - step - step
    for g in range(size):
        row = level + g * levels
        for i in range(np.uintp(max(fresh[g], 0))):
            first = a0 * line[g, x0 + i] + a1 * line[g, x1 + i] + a2 * line[g, x2 + i] + a3 * line[g, x3 + i]
            second = first + a4 * line[g, x4 + i] + a5 * line[g, x5 + i] + a6 * line[g, x6 + i]
            out[row, begin + i] = second + a7 * line[g, x7 + i]


@njit(cache=True, error_model="numpy")
def _add_two(taps, which, k, line, tail, j, out, level, levels, to, fresh, size, more):  # pyright: ignore
    """Set, or with `more` add, the terms of taps `k` and `k + 1`; pywt's filters have an even length."""
    a0, a1, begin = taps[which, k], taps[which, k + 1], np.uintp(to)
    x0, x1 = np.uintp(tail - (k << j)), np.uintp(tail - ((k + 1) << j))
    for g in range(size):
        row, n = level + g * levels, np.uintp(max(fresh[g], 0))
        if more:
            for i in range(n):
                out[row, begin + i] = out[row, begin + i] + a0 * line[g, x0 + i] + a1 * line[g, x1 + i]
        else:
            for i in range(n):
                out[row, begin + i] = a0 * line[g, x0 + i] + a1 * line[g, x1 + i]


@njit(cache=True, error_model="numpy")
def _measure(detail, first, levels, late, inside, n, memory, row, sums, means):  # pyright: ignore
    """Sum the magnitudes of details by level and block; give the mean of each block that ends, keep the last sum."""
    ended = (inside + n) // BLOCK
    for j in range(0, levels - levels % 4, 4):
        level, k, at = first + j, late, sums + j
        a, b, c, d = memory[row, at], memory[row, at + 1], memory[row, at + 2], memory[row, at + 3]
        for block in range(ended + 1):  # four sums side by side: each addition waits for the one before it
            end = min(late + n, late + (block + 1) * BLOCK - inside)
            for i in range(np.uintp(k), np.uintp(end)):
                a += abs(detail[level, i])
                b += abs(detail[level + 1, i])
                c += abs(detail[level + 2, i])
                d += abs(detail[level + 3, i])
            k = end
            if block < ended:
                means[block, j], means[block, j + 1] = a / np.float32(BLOCK), b / np.float32(BLOCK)
                means[block, j + 2], means[block, j + 3] = c / np.float32(BLOCK), d / np.float32(BLOCK)
                a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        memory[row, at], memory[row, at + 1], memory[row, at + 2], memory[row, at + 3] = a, b, c, d
    for j in range(levels - levels % 4, levels):
        k, total = late, memory[row, sums + j]
        for block in range(ended + 1):
            end = min(late + n, late + (block + 1) * BLOCK - inside)
            for i in range(np.uintp(k), np.uintp(end)):
                total += abs(detail[first + j, i])
            k = end
            if block < ended:
                means[block, j] = total / np.float32(BLOCK)
                total = np.float32(0)
        memory[row, sums + j] = total


@njit(cache=True, error_model="numpy")
def _follow(strength, needed, active, blocks, since, g, inside, n, memory, row, noise, means, limits):  # pyright: ignore
    """Follow the noise level of each level by the means of blocks; give the thresholds of each block, and its scale.

    A level moves, by a share of itself, towards the value that `_RANK` of the means lie under. After the sums lies the
    size of the complexes: the greatest mean of a block, fading.
    """
    levels, ended = strength.shape[0], (inside + n) // BLOCK
    last, largest = levels - 1, noise + 2 * levels
    for block in range(ended + 1):
        size = memory[row, largest]
        for j in range(levels):
            sigma = memory[row, noise + j]
            if j >= 2:
                sigma = min(sigma, _COARSE[min(j, 3)] * memory[row, noise + 1])
            share = _beyond(sigma, _LITTLE * size) if j == 2 else np.float32(1)
            sigma *= np.float32(MEAN_TO_SIGMA)
            limits[block, j] = strength[j] * sigma * share
            if j == active:
                limits[block, levels] = np.float32(1) / max(sigma, np.float32(_LEAST_SIGMA_MV))
        if block == ended:
            break
        pace = np.float32(max(_PACE, 1.0 / (1.0 + blocks + block)))
        up, down = np.float32(1) + pace * np.float32(_RANK), np.float32(1) - pace * np.float32(1 - _RANK)
        whole = since[g, (block + 1) * BLOCK - inside - 1]
        for j in range(levels):
            level, value = memory[row, noise + j], means[block, j]
            moved = min(level * up, value) if value > level else max(level * down, value)
            if whole >= needed[j]:
                memory[row, noise + j] = value if level == 0 else moved
        if whole >= needed[last]:
            memory[row, largest] = max(size * _FADE, max(means[block, active], means[block, last]))
    return blocks + ended


@njit(cache=True, error_model="numpy")
def _beyond(value, least):  # pyright: ignore
    """Return how far a value is beyond another: 0 up to it, 1 from twice of it on."""
    return min(max(value - least, np.float32(0)), least) / least if least > 0 else np.float32(value > 0)


@njit(cache=True, error_model="numpy")
def _lay_out(limits, levels, inside, n, threshold, first, scale):  # pyright: ignore
    """Write the thresholds, and the scale of the activity, of each sample."""
    k = 0
    for block in range((inside + n) // BLOCK + 1):
        end = min(n, (block + 1) * BLOCK - inside)
        for j in range(levels):
            limit = limits[block, j]
            for i in range(np.uintp(k), np.uintp(end)):
                threshold[first + j, i] = limit
        loudness = limits[block, levels]
        for i in range(np.uintp(k), np.uintp(end)):
            scale[i] = loudness
        k = end


@njit(cache=True, error_model="numpy")
def _watch(memory, row, at, detail, level, late, scale, active, guard, g, n):  # pyright: ignore
    """Find the activity, as a multiple of the noise, in the last `GUARD` samples of the level that a QRS fills."""
    first, old = np.uintp(late), at[7] - at[6]
    _copy(memory, row, at[5], active, 0, 0, GUARD)
    to = np.uintp(GUARD)
    for k in range(np.uintp(max(n, 0))):
        active[0, to + k] = abs(detail[level, first + k]) * scale[k]
    _copy(active, 0, max(n, 0), memory, row, at[5], GUARD)
    _greatest_of_four(active, 0, 1, 1, GUARD + n)
    _greatest_of_four(active, 1, 4, 0, GUARD + n)
    _copy(memory, row, at[6], guard, g, 0, old)
    newer, older, into = np.uintp(GUARD), np.uintp(GUARD - GUARD // 2), np.uintp(old)
    for k in range(np.uintp(max(n, 0))):
        guard[g, into + k] = max(active[0, newer + k], active[0, older + k])
    _copy(guard, g, max(n, 0), memory, row, at[6], old)


@njit(cache=True, error_model="numpy", inline="always")
def _greatest_of_four(active, source, step, into, n):  # pyright: ignore
    """Give the greatest of each value and those `step`, 2 and 3 times `step` before it; the first ones stay as is."""
    _copy(active, source, 0, active, into, 0, 3 * step)
    x0, x1, x2 = np.uintp(3 * step), np.uintp(2 * step), np.uintp(step)
    for k in range(np.uintp(max(n - 3 * step, 0))):
        newer = max(active[source, x0 + k], active[source, x1 + k])
        active[into, x0 + k] = max(newer, max(active[source, x2 + k], active[source, k]))


@njit(cache=True, error_model="numpy")
def _share(guard):  # pyright: ignore
    """Return how much of a threshold holds: none of it where the activity shows a QRS complex."""
    calm = (_CERTAIN - guard) * np.float32(1 / (_CERTAIN - _CALM))
    return min(max(calm, np.float32(0)), np.float32(1))


@njit(cache=True, error_model="numpy")
def _shrink(rule, detail, j, levels, waited, threshold, guard, recent, out, to, fresh, size):  # pyright: ignore
    """Shrink the details of a level by the rule: 0 soft, 1 hard, 2 garrote."""
    first, second, begin = np.uintp(waited), np.uintp(recent), np.uintp(to)
    for g in range(size):
        level, n = g * levels + j, np.uintp(max(fresh[g], 0))
        if rule == 0:
            for k in range(n):
                d, t = detail[level, first + k], threshold[level, k] * _share(guard[g, second + k])
                out[g, begin + k] = max(d - t, np.float32(0)) + min(d + t, np.float32(0))
        elif rule == 1:
            for k in range(n):
                d, t = detail[level, first + k], threshold[level, k] * _share(guard[g, second + k])
                out[g, begin + k] = d if abs(d) >= t else np.float32(0)
        else:
            for k in range(n):
                d, t = detail[level, first + k], threshold[level, k] * _share(guard[g, second + k])
                power, least = d * d, t * t
                out[g, begin + k] = d * (np.float32(1) - least / power) if power > least else np.float32(0)


@njit(cache=True, error_model="numpy")
def _join(
    taps, span, late, guards, rule, memory, rows, i, size, at, line, shrunk, detail, threshold, guard, fresh, low
):  # pyright: ignore
    """Shrink the details and put `low` (changed in place into the signal) and them together, coarsest first."""
    old, levels = at[7] - at[6], late.shape[0]
    for j in range(levels - 1, -1, -1):
        before, tail = _tail(span, j)
        _extend(memory, rows, i, size, at[3] + before, tail, low, fresh, line)
        _shrink(
            rule, detail, j, levels, late[0] - late[j], threshold, guard, old - guards[j], shrunk, tail, fresh, size
        )
        _remember(memory, rows, i, size, at[2] + before, tail, fresh, shrunk)
        _merge(taps, line, shrunk, tail, j, low, fresh, size)


@njit(cache=True, error_model="numpy")
def _remember(memory, rows, i, size, at, tail, fresh, line):  # pyright: ignore
    """Put the past before the new values that are in each stream's line, and keep the newest as the past."""
    past, before = np.uintp(at), np.uintp(tail)
    for g in range(size):
        row, n = rows[i + g], np.uintp(max(fresh[g], 0))
        for k in range(before):
            line[g, k] = memory[row, past + k]
        for k in range(before):
            memory[row, past + k] = line[g, n + k]


@njit(cache=True, error_model="numpy")
def _merge(taps, line, shrunk, tail, j, out, fresh, size):  # pyright: ignore
    """Put approximation and details together."""
    if taps.shape[1] == 8:
        _merge_eight(taps, 0, line, shrunk, tail, j, out, fresh, size)
        _merge_eight(taps, 4, line, shrunk, tail, j, out, fresh, size)
    else:
        for k in range(0, taps.shape[1], 2):
            _add_two(taps, 0, k, line, tail, j, out, 0, 1, 0, fresh, size, k > 0)
            _add_two(taps, 1, k, shrunk, tail, j, out, 0, 1, 0, fresh, size, True)


@njit(cache=True, error_model="numpy")
def _merge_eight(taps, k, line, shrunk, tail, j, out, fresh, size):  # pyright: ignore
    """Set (or, from the fifth tap on, add) the terms of taps `k` to `k + 3` of both filters of the synthesis."""
    a0, a1, a2, a3 = taps[0, k], taps[0, k + 1], taps[0, k + 2], taps[0, k + 3]
    b0, b1, b2, b3 = taps[1, k], taps[1, k + 1], taps[1, k + 2], taps[1, k + 3]
    step, x0 = np.uintp(1 << j), np.uintp(tail - (k << j))
    x1, x2, x3 = x0 - step, x0 - step - step, x0 - step - step - step
    for g in range(size):
        n = np.uintp(max(fresh[g], 0))
        if k == 0:
            for i in range(n):
                first = a0 * line[g, x0 + i] + a1 * line[g, x1 + i] + a2 * line[g, x2 + i] + a3 * line[g, x3 + i]
                second = first + b0 * shrunk[g, x0 + i] + b1 * shrunk[g, x1 + i] + b2 * shrunk[g, x2 + i]
                out[g, i] = second + b3 * shrunk[g, x3 + i]
        else:
            for i in range(n):
                first = out[g, i] + a0 * line[g, x0 + i] + a1 * line[g, x1 + i] + a2 * line[g, x2 + i]
                second = first + a3 * line[g, x3 + i] + b0 * shrunk[g, x0 + i] + b1 * shrunk[g, x1 + i]
                out[g, i] = second + b2 * shrunk[g, x2 + i] + b3 * shrunk[g, x3 + i]


@njit(cache=True, error_model="numpy")
def _give(raw, g, begin, low, at, base, y, i, to, n):  # pyright: ignore
    """Write the clean samples, and NaN where one was missing."""
    first, second, into = np.uintp(begin), np.uintp(at), np.uintp(to)
    for k in range(np.uintp(max(n, 0))):
        there = raw[g, first + k] == raw[g, first + k]
        y[i, into + k] = low[g, second + k] - base[i, first + k] if there else np.float32(np.nan)
