"""Ventricular fibrillation and flutter found from the wave itself, without beats.

Every 0.4 s the last four seconds of each lead are weighed by their shape (`ecg.wave`); the leads' mean decides, unless
a lead denies it.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ecg.rows import Rows, Spans
from ecg.wave import DENIED, FEATURES, FLOOR, SAMPLES, WAVE_HZ, extent, in_force, log_odds, period

GRID = 100
"""Samples between two judgements (0.4 s); a judgement stands at each multiple of it."""
WINDOW = 1000
"""Samples that a judgement looks back on (4 s)."""
MAX_LEADS = 16
"""Leads of one bed that can be judged; further ones are not looked at."""
FLAT_MV = 0.05
"""A lead that moves less than this from peak to peak in a second is flat."""

FIBRILLATION = np.dtype(
    [
        ("end", "i8"),
        ("fibrillatory", "?"),
        ("score", "f4"),
        ("rate_hz", "f4"),
        ("regularity", "f4"),
        ("leads", "u2"),
        ("flat", "?"),
        ("usable", "u2"),
        ("size_mv", "f4"),
    ]
)
"""One judgement: `end` is the sample after the last one seen; `score` the log-odds (mean over leads, above 0 is
fibrillatory); `rate_hz` and `regularity` (0 to 1, the height of the autocorrelation's peak) describe the wave of the
most fibrillatory lead, where it is not far from one; `leads` show it, `usable` ones have a signal for at least half of
the last two seconds (flat ones included), a bit a lead; `flat` that all usable leads were flat in these; `size_mv` is
the range of the largest lead."""


_BLOCKS = WINDOW // GRID
_PRESENT = 5
_LEAST_MV = 0.2
"""Coarse fibrillation begins here (Kerber et al., Circulation 95(6), 1997, doi:10.1161/01.CIR.95.6.1677)."""
_STILL = -2.0
"""Log-odds of a lead that stood still for a second: a wave that stopped, or slow beats."""


_BED = np.dtype(
    [
        ("seen", "i8"),
        ("leads", "i8"),
        ("held", "f4", (MAX_LEADS,)),
        ("first", "f4", (MAX_LEADS,)),
        ("missing", "i2", (MAX_LEADS, _BLOCKS)),
        ("recent", "f4", (MAX_LEADS, SAMPLES)),
    ]
)


class Fibrillation:
    """Judges many beds' clean leads at 250 Hz every `GRID` samples, a row a bed.

    Missing samples are bridged by the last one that was there. A lead with more than half of its window missing, or
    smaller than 0.2 mV over all of it, does not vote; one that moved less than 0.1 mV in a second of it votes against.
    Judgements are the same whatever the chunks and the batch.

    Examples
    --------
    >>> t = np.arange(2500) / 250
    >>> wave = np.sin(2 * np.pi * 5 * t + 2 * np.sin(4.4 * t)) * (0.4 + 0.16 * np.sin(5.7 * t))
    >>> fibrillation = Fibrillation()
    >>> fibrillation.reset(0)
    >>> found = fibrillation.feed(np.array([0]), wave.astype("f4")[None, None], np.array([1]), np.array([2500]))[0]
    >>> int(found["end"][-1]), bool(found["fibrillatory"][-1])
    (2500, True)
    """

    def __init__(self) -> None:
        initial = np.zeros((), dtype=_BED)
        initial["missing"] = GRID
        self.rows = Rows(initial)

    def reset(self, row: int) -> None:
        """Start a bed in a row."""
        self.rows.reset(row)

    def feed(
        self, rows: NDArray[np.int64], x: NDArray[np.float32], leads: NDArray[np.int64], count: NDArray[np.int64]
    ) -> list[NDArray[np.void]]:
        """Take clean samples of some beds and return the judgements that they complete.

        Parameters
        ----------
        rows : ndarray of int64, shape (b,)
            Rows of the beds, each at most once.
        x : ndarray of float32, shape (b, max_leads, width)
            Clean samples in mV at 250 Hz, NaN where missing. Only `x[i, :leads[i], :count[i]]` is read.
        leads, count : ndarray of int64, shape (b,)
            Leads of each bed and samples given of each.

        Returns
        -------
        list of ndarray of `FIBRILLATION`
            The judgements of each bed, in order.
        """
        most = int(count.max(initial=0)) // GRID + 1
        found = np.zeros((len(rows), most), dtype=FIBRILLATION)
        made = np.zeros(len(rows), dtype=np.int64)
        if len(rows):
            state = self.rows.state
            kept = (state["seen"], state["leads"], state["held"], state["first"], state["missing"], state["recent"])
            _feed(rows, x, leads, count, *kept, found, made, in_force())
        return [found[i, : made[i]] for i in range(len(rows))]

    def snapshot(self, row: int) -> bytes:
        """Return a bed's state as bytes; of its samples only those that `restore` could not tell from the last ones."""
        state = self.rows.state
        leads, first = int(state["leads"][row]), _first_needed(int(state["seen"][row]))
        whole = first > 0 and bool(state["missing"][row, :leads, first // GRID % _BLOCKS].any())
        return bytes((leads, whole)) + self.rows.snapshot(row, _spans(leads, whole))

    def restore(self, row: int, kept: bytes, clean: NDArray[np.float32]) -> None:
        """Put back what `snapshot` returned.

        Parameters
        ----------
        row : int
        kept : bytes
        clean : ndarray of float32, shape (n_leads, n)
            The last `WINDOW` samples, or more, that the bed was fed; all of them where there were not as many.

        Raises
        ------
        ValueError
            If it is of another layout, or samples are lacking.
        """
        if len(kept) < 2 or kept[0] > MAX_LEADS or kept[1] > 1:
            raise ValueError(f"a bed must hold its leads and whether it is whole, got {kept[:2]!r}")
        self.rows.restore(row, kept[2:], _spans(kept[0], bool(kept[1])))
        if not kept[1]:
            self._take_again(row, clean)

    def _take_again(self, row: int, clean: NDArray[np.float32]) -> None:
        """Fill a row's rings as `_take` does, from a block's beginning at which all leads are there, or the first."""
        state = self.rows.state
        leads, seen = int(state["leads"][row]), int(state["seen"][row])
        first = _first_needed(seen)
        if len(clean) < leads or clean.shape[1] < seen - first:
            raise ValueError(f"samples must be at least {leads} x {seen - first}, got {clean.shape}")
        x = clean[:leads, clean.shape[1] - (seen - first) :]
        there = np.isfinite(x)
        last = np.maximum.accumulate(np.where(there, np.arange(x.shape[1]), -1), axis=1)
        held = np.where(last >= 0, np.take_along_axis(x, np.maximum(last, 0), axis=1), np.float32(0))
        pairs = x.shape[1] // 2
        halves = np.float32(0.5) * (held[:, 0 : 2 * pairs : 2] + held[:, 1 : 2 * pairs : 2])
        state["recent"][row, :leads, (first // 2 + np.arange(pairs)) % SAMPLES] = halves.T
        begins = np.arange(0, x.shape[1], GRID)
        lacking = np.add.reduceat(~there, begins, axis=1, dtype=np.int16) if len(begins) else there[:, :0]
        state["missing"][row, :leads, (first // GRID + np.arange(len(begins))) % _BLOCKS] = lacking.T


def _first_needed(seen: int) -> int:
    """Return the first sample that the judgement after `seen` samples may look back on: a block begins there."""
    return max(0, -(-seen // GRID) - _BLOCKS) * GRID


@lru_cache(maxsize=64)
def _spans(leads: int, whole: bool) -> Spans:
    """Return what of a row is kept of so many leads: without their samples unless `whole`."""
    sizes = {"held": 4, "first": 4} | ({"missing": 2 * _BLOCKS, "recent": 4 * SAMPLES} if whole else {})
    at = {name: _BED.fields[name][1] for name in sizes}  # pyright: ignore
    return ((0, at["held"]), *((at[name], at[name] + size * leads) for name, size in sizes.items()))


@njit(cache=True)
def _feed(  # pyright: ignore
    rows, x, leads, count, seen, n_leads, held, first, missing, recent, found, made, weights
):
    """Take each bed's samples up to the next point of the grid, judge there, and go on."""
    window, seconds = np.empty(SAMPLES), np.empty((SAMPLES // WAVE_HZ, 3))
    features = np.empty(len(FEATURES))
    for i in range(rows.shape[0]):
        row = rows[i]
        n_leads[row] = min(leads[i], MAX_LEADS)
        done = 0
        while done < count[i]:
            take = min(count[i] - done, GRID - seen[row] % GRID)
            for k in range(n_leads[row]):
                part = x[i, k, done : done + take]
                _take(part, seen[row], held[row], first[row], missing[row, k], recent[row, k], k)
            seen[row] += take
            done += take
            if seen[row] % GRID == 0:
                judgement = found[i, made[i]]
                judgement.end = seen[row]
                judgement.usable, judgement.flat = _present(missing[row], recent[row], n_leads[row], seen[row])
                _judge(judgement, missing[row], recent[row], window, seconds, features, weights)
                made[i] += 1


@njit(cache=True)
def _judge(judgement, missing, recent, window, seconds, features, weights):  # pyright: ignore
    """Let the usable leads vote, and describe the wave of the one that is surest."""
    total, voters, balance, surest, most = 0.0, 0, 0, -1, FLOOR
    for k in range(MAX_LEADS):
        if not (judgement.usable >> k) & 1 or 2 * missing[k].sum() > WINDOW:
            continue
        _unroll(recent[k], judgement.end, window)
        centre, low, high, least = extent(window, seconds)
        judgement.size_mv = max(judgement.size_mv, np.float32(high - low))
        if high - low < _LEAST_MV:
            continue
        odds = _STILL
        if least >= 0.5 * _LEAST_MV:
            odds = log_odds(window, seconds, centre, low, high - low, features, weights)
            odds = min(max(odds, FLOOR), -FLOOR)
        total += odds
        voters += 1
        if odds > 0:
            judgement.leads |= 1 << k
            balance += 1
        elif odds < DENIED:
            balance -= 2
        if surest < 0 or odds > most:
            surest, most = k, odds
    judgement.score = total / voters if voters else FLOOR
    judgement.fibrillatory = judgement.score > 0 and balance >= 0
    if judgement.score > DENIED:
        _unroll(recent[surest], judgement.end, window)
        judgement.rate_hz, judgement.regularity = period(window)


@njit(cache=True)
def _take(x, seen, held, first, missing, recent, lead):  # pyright: ignore
    """Put samples that end at most at the next point of the grid into a lead's ring, two to one."""
    block = (seen // GRID) % _BLOCKS
    if seen % GRID == 0:
        missing[block] = 0
    last, before, odd, lacking = held[lead], first[lead], (seen & 1) == 1, 0
    at = (seen >> 1) % SAMPLES
    for k in range(x.shape[0]):
        if np.isfinite(x[k]):
            last = x[k]
        else:
            lacking += 1
        if odd:
            recent[at] = np.float32(0.5) * (before + last)
            at = at + 1 if at + 1 < SAMPLES else 0
        else:
            before = last
        odd = not odd
    held[lead], first[lead] = last, before
    missing[block] += lacking


@njit(cache=True)
def _present(missing, recent, n_leads, seen):  # pyright: ignore
    """Return the bits of the leads with a signal in the last two seconds, and whether all of them were flat."""
    usable, all_flat = 0, True
    last = seen // GRID - 1
    blocks = min(_PRESENT, last + 1)
    for lead in range(n_leads):
        lacking = 0
        for back in range(blocks):
            lacking += missing[lead, (last - back) % _BLOCKS]
        if 2 * lacking > blocks * GRID:
            continue
        usable |= 1 << lead
        end, n = (seen >> 1) % SAMPLES, blocks * GRID // 2
        low, high = np.inf, -np.inf
        for part in (recent[lead, max(0, end - n) : end], recent[lead, SAMPLES - max(0, n - end) :]):
            for k in range(part.shape[0]):
                low, high = min(low, part[k]), max(high, part[k])
        all_flat = all_flat and high - low < FLAT_MV
    return usable, usable != 0 and all_flat


@njit(cache=True)
def _unroll(recent, seen, window):  # pyright: ignore
    """Copy a ring into a window, oldest first."""
    start = (seen >> 1) % SAMPLES
    for k in range(start, SAMPLES):
        window[k - start] = recent[k]
    for k in range(start):
        window[SAMPLES - start + k] = recent[k]
