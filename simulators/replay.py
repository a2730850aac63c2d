"""A record as a device would send it: its own counts, and a loop that closes from beat to beat."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, find_peaks, sosfiltfilt

from ecg import record
from ecg.frame import MISSING
from ecg.lead import of_record
from simulators.source import Source

SLACK_S = 4.0
"""A loop closes between a beat this near to the start and one this near to the end."""
_BLEND_S = 0.12
_BEFORE_R_S = 0.24
"""The joint lies this far before an R peak: at the foot of the P wave or before it."""


def replay(
    path: str | Path,
    first_s: float = 0.0,
    end_s: float | None = None,
    leads: Sequence[str] | None = None,
    loop: bool = True,
    end_slack_s: float = SLACK_S,
    tell: Callable[[str], None] | None = None,
) -> Source:
    """Return a stretch of a WFDB record as a source.

    Counts, gain and baseline are the record's, but for the 0.12 s before the joint of a loop, where the end of the
    stretch passes over into what came before its start. `ecg.lead.of_record` says what becomes of leads
    that a frame cannot hold as they are.

    Parameters
    ----------
    path : str or Path
        The record without extension.
    first_s, end_s : float
        The stretch; a loop starts up to 4 s later and ends up to `end_slack_s` earlier, where its joint is the
        smoothest.
    leads : sequence of str, optional
        Which leads, in which order; all that a frame may hold unless given.
    loop : bool
        Whether it goes on from its start when it ends.
    end_slack_s : float
        Less where the end of the stretch matters, as when it ends in an asystole.
    tell : callable, optional
        Is given each line that `ecg.lead.of_record` notes about the leads.
    """
    found = record.read(path, first_s, end_s)
    sent = of_record(found, leads)
    source = Source(found.name, found.rate_hz, sent.leads, sent.counts, None, start_s=found.start_s)
    if tell is not None:
        for note in sent.notes:
            tell(note)
    return closed(source, end_slack_s) if loop else source


def peaks(mv: NDArray[np.float32], rate_hz: float) -> NDArray[np.int64]:
    """Return R peaks of ECG leads, shape (n_leads, n): a plain detector with the whole stretch in hand."""
    band = butter(2, (8, min(25, 0.4 * rate_hz)), "bandpass", fs=rate_hz, output="sos")
    energy = np.zeros(mv.shape[1])
    for lead in np.nan_to_num(mv - np.nanmedian(np.nan_to_num(mv), axis=1, keepdims=True)):
        slope = np.abs(sosfiltfilt(band, lead))
        energy += slope / max(float(np.percentile(slope, 99)), 1e-6)
    width = max(1, round(0.06 * rate_hz))
    smooth = np.convolve(energy, np.ones(width) / width, "same")
    height = 0.3 * float(np.percentile(smooth, 98))
    return find_peaks(smooth, height=max(height, 1e-9), distance=max(1, round(0.26 * rate_hz)))[0].astype(np.int64)


def closed(source: Source, end_slack_s: float = SLACK_S) -> Source:
    """Return the stretch as a loop, cut so that its end leads into its start as one beat leads into the next.

    The joint is taken at the same phase of two beats, so the RR interval across it is one that the record has; of all
    pairs near the ends, the one whose leads agree best. At an end without beats, the waves alone are matched.

    Raises
    ------
    ValueError
        If the source is shorter than 2 s.
    """
    rate = source.rate_hz
    if source.n_samples < 2 * rate:
        raise ValueError(f"source must last 2 s to be a loop, got {source.n_samples / rate:g} s")
    blend, quarter_s = max(2, round(_BLEND_S * rate)), source.n_samples / rate / 4
    reach, slack = (round(min(most_s, quarter_s) * rate) for most_s in (SLACK_S, end_slack_s))
    ecg = [row for row, lead in enumerate(source.leads) if lead.kind == "ecg"]
    values = source.mv(0, source.n_samples)
    at = peaks(values[ecg], rate) - round(_BEFORE_R_S * rate)
    starts = at[(at >= blend) & (at <= reach)]
    ends = at[at >= source.n_samples - slack]
    starts = starts if len(starts) else np.arange(blend, max(reach, blend + 1), 2)
    ends = ends if len(ends) else np.arange(source.n_samples - slack, source.n_samples, max(1, slack // 40))
    start, end = _best_joint(values, starts, ends, blend)
    counts = source.counts[:, start:end].copy()
    counts[:, -blend:] = _blended(counts[:, -blend:], source.counts[:, start - blend : start])
    return dataclasses.replace(source, counts=counts, loop_to=0, start_s=source.start_s + start / rate)


def _best_joint(values: NDArray[np.float32], starts: NDArray, ends: NDArray, blend: int) -> tuple[int, int]:
    """Return the pair at which what would follow the end is most like what follows the start."""
    scale = np.maximum(np.nanstd(np.nan_to_num(values), axis=1, keepdims=True), 1e-6)
    filled = np.nan_to_num(values) / scale
    before = np.stack([filled[:, s - blend : s] for s in starts])
    cost = [np.mean((before - filled[:, e - blend : e]) ** 2, axis=(1, 2)) for e in ends]
    chosen = np.unravel_index(int(np.argmin(cost)), (len(ends), len(starts)))
    return int(starts[chosen[1]]), int(ends[chosen[0]])


def _blended(tail: NDArray[np.int16], lead_in: NDArray[np.int16]) -> NDArray[np.int16]:
    share = np.sin(np.pi / 2 * (np.arange(tail.shape[1]) + 1) / tail.shape[1]) ** 2
    mixed = np.round((1 - share) * tail + share * lead_in).astype(np.int16)
    return np.where((tail == MISSING) | (lead_in == MISSING), tail, mixed)
