"""What a denoiser does to the heart itself: ST, amplitude and edges of the QRS on clean leads, beats found in noise.

An edge of a QRS complex is found by one rule before and after: of the ranges (greatest less least) of each 16 ms within
60 ms around the marked complex, the first and the last that is over a tenth of the greatest.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.record import annotations
from stream.denoise_peers import RATE_HZ, Cleaner, Signals
from stream.denoise_scores import MARGIN_S, Strips, lead_of_ludb, over_and_over

LUDB = (
    *("1", "3", "4", "5", "9", "11", "14", "21", "22", "23", "24", "25", "27", "28", "30", "32", "33", "40", "44"),
    *("46", "49", "59", "61", "62", "63", "68", "70", "71", "75", "79"),
)
"""Records of `ludb` without a pacer: all twelve leads of each."""
LEAST_QRS_MV = 0.15
"""Edges of smaller complexes are not looked for: a tenth of them is noise."""
MATCH_S = 0.15
_WINDOW, _SHARE, _AROUND = 4, 0.1, 15
_J_TO_ST, _PR = 15, slice(-6, -1)


class Marked(NamedTuple):
    """Leads to be denoised, and of each the first and last sample of complexes in it."""

    clean_mv: Signals
    complexes: list[list[tuple[int, int]]]


def marked_of(records: Path, names: tuple[str, ...] = LUDB) -> Marked:
    """Return all leads of records of `ludb`, played twice, with the complexes of the second time.

    Raises
    ------
    FileNotFoundError
        If a record is not there.
    """
    leads, complexes = [], []
    margin = round(MARGIN_S * RATE_HZ)
    for name in names:
        for extension, lead in lead_of_ludb(records, name).items():
            marks = annotations(records / "ludb" / "data" / name, extension)
            at, n = marks.samples // 2, len(lead)
            spans = [(int(at[k - 1]), int(at[k + 1])) for k in range(1, len(at) - 1) if _whole(marks.symbols, k)]
            complexes.append([(a + n, b + n) for a, b in spans if a > margin and b < n - margin])
            leads.append(lead)
    return Marked(over_and_over(np.stack(leads), 2), complexes)


def _whole(symbols: NDArray[np.str_], k: int) -> bool:
    return tuple(symbols[k - 1 : k + 2]) == ("(", "N", ")")


def faithfulness(marked: Marked, clean: Cleaner) -> dict[str, float]:
    """Return, at the 95th percentile of the complexes, how far a cleaner moves ST, size and edges."""
    st_uv, size, edges_ms = [], [], []
    for before, after, complexes in zip(marked.clean_mv, clean(marked.clean_mv), marked.complexes, strict=True):
        for onset, end in complexes:
            st_uv.append(1e3 * abs(_st(after, onset, end) - _st(before, onset, end)))
            was, became = np.ptp(before[onset : end + 1]), np.ptp(after[onset : end + 1])
            if was >= LEAST_QRS_MV:
                size.append(100 * abs(became / was - 1))
                moved = np.subtract(edges(after, onset, end), edges(before, onset, end))
                edges_ms.append(np.abs(moved) * 1e3 / RATE_HZ)
    onset_ms, offset_ms = np.percentile(edges_ms, 95, axis=0)
    return {
        "st_moved_p95_uv": round(float(np.percentile(st_uv, 95)), 1),
        "r_amplitude_change_p95_percent": round(float(np.percentile(size, 95)), 2),
        "qrs_onset_shift_p95_ms": round(float(onset_ms), 1),
        "qrs_offset_shift_p95_ms": round(float(offset_ms), 1),
    }


def _st(lead: NDArray[np.float64], onset: int, end: int) -> float:
    """Return ST, 60 ms after the end of the QRS, against the level before it."""
    return float(lead[end + _J_TO_ST] - lead[onset + _PR.start : onset + _PR.stop].mean())


def edges(lead: NDArray[np.float64], onset: int, end: int) -> tuple[int, int]:
    """Return the first and the last sample of a complex by the module's rule."""
    first = onset - _AROUND
    ranges = np.ptp(np.lib.stride_tricks.sliding_window_view(lead[first : end + _AROUND + _WINDOW], _WINDOW), axis=1)
    over = np.flatnonzero(ranges > _SHARE * ranges.max())
    return first + int(over[0]), first + int(over[-1])


def beat_errors(strips: Strips, signals: Signals) -> int:
    """Return how many beats sleepecg misses or makes up where the strips are scored, of those with reference beats.

    Raises
    ------
    ImportError
        If sleepecg is not installed.
    """
    from sleepecg.heartbeats import detect_heartbeats

    wrong = 0
    for lead, reference in strips.beats.items():
        flat = not np.ptp(signals[lead])  # which it refuses
        found = np.asarray([] if flat else detect_heartbeats(signals[lead], RATE_HZ), np.int64)
        scored = strips.scored[lead]
        wrong += _alone(reference[scored[reference]], found) + _alone(found[scored[found]], reference)
    return wrong


def _alone(these: NDArray[np.int64], others: NDArray[np.int64]) -> int:
    """Return how many have none of the others within 150 ms."""
    if not len(others):
        return len(these)
    return int((np.abs(these[:, None] - others[None]).min(axis=1) > MATCH_S * RATE_HZ).sum())
