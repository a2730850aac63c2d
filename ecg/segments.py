"""Segments of five seconds: which hold a rhythm to be shocked, which cannot be judged, and which the alarms called.

The protocol of defibrillators' analyses (Kerber et al. 1997, doi:10.1161/01.CIR.95.6.1677), on a monitor that runs on:
to be shocked are ventricular fibrillation, flutter, and tachycardia from 150 bpm.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.ec57.label import BEATS
from ecg.episodes import RHYTHMS, Span, Stretches, bracketed, marked, union
from ecg.frame import MISSING
from ecg.record import Annotations, Record

SEGMENT_S = 5.0
RAPID_BPM = 150.0
"""A tachycardia from this rate on is to be shocked."""
BAND_HZ = (1.0, 10.0)
"""Where the peak of a tachycardia's spectrum is sought."""

Label = Literal[
    "shockable", "other", "asystole", "slow_vt", "noise", "ectopy", "boundary", "fast_unlabelled", "unreadable"
]
JUDGED: dict[Label, bool] = {"shockable": True, "other": False, "asystole": False}
"""Labels that are scored, and whether they are to be shocked; segments of the others are counted apart."""

_POINTS = 4096
_RAILED = 10
"""A count that a record's extreme is reached so often is the end of the converter's range."""


class Segment(NamedTuple):
    """One segment: where it begins, what it holds, and whether the alarms called it one to be shocked."""

    first_s: float
    label: Label
    called: bool


def ventricular(annotations: Annotations, rate_hz: float, end_s: float) -> dict[str, Stretches]:
    """Return the reference's stretches by what they are scored as (`RHYTHMS`); `[` to `]` is fibrillation too."""
    found = {name: marked(annotations, marks, rate_hz, end_s) for name, marks in RHYTHMS.items()}
    found["vf"] = union(found["vf"], bracketed(annotations, rate_hz, end_s))
    return found


def rate_bpm(mv: NDArray[np.float32], rate_hz: float) -> float:
    """Return the rate of a regular wave: where the spectra of its leads, each of power one, have their common peak.

    Parameters
    ----------
    mv : ndarray of float32, shape (n_leads, n_samples)
        As recorded, NaN where missing.

    Returns
    -------
    float
        NaN where no lead moves.

    Examples
    --------
    >>> round(rate_bpm(np.sin(2 * np.pi * 3 * np.arange(1250) / 250)[None], 250.0))
    180
    """
    hz = np.fft.rfftfreq(_POINTS, 1 / rate_hz)
    inside = (hz >= BAND_HZ[0]) & (hz <= BAND_HZ[1])
    total = np.zeros(inside.sum())
    for lead in np.asarray(mv, np.float64):
        centred = np.nan_to_num(lead - np.nanmean(lead)) if np.isfinite(lead).any() else np.zeros(len(lead))
        power = np.abs(np.fft.rfft(centred * np.hanning(len(centred)), _POINTS)[inside]) ** 2
        if power.sum() > 0:
            total += power / power.sum()
    return 60.0 * float(hz[inside][total.argmax()]) if total.any() else float("nan")


def unreadable(recording: Record) -> NDArray[np.bool_]:
    """Return the seconds of a record in which every ECG lead is flat, railed or missing for over half of it.

    A sample is flat if it equals the one before, and railed at an end of the counts that the record reaches often.
    """
    rate = round(recording.rate_hz)
    n = recording.n_samples // rate
    leads = []
    for row in recording.rows("ecg"):
        counts = recording.counts[row].astype(np.int64)
        there = counts[counts != MISSING]
        bad = (counts == MISSING) | (np.diff(counts, prepend=counts[:1] + 1) == 0)
        for rail in (there.min(), there.max()) if len(there) else ():
            bad |= (counts == rail) & ((there == rail).sum() >= _RAILED)
        leads.append(2 * bad[: n * rate].reshape(n, rate).sum(axis=1) > rate)
    return np.all(leads, axis=0) if leads else np.ones(n, np.bool_)


def label_all(recording: Record, annotations: Annotations, *, beats_only: bool = False) -> list[tuple[float, Label]]:
    """Return where each segment of a record begins, and what it holds after the reference.

    Parameters
    ----------
    recording, annotations : Record, Annotations
        The record from its first sample, and its reference.
    beats_only : bool
        The reference marks beats and fibrillation but no other rhythm (`cudb`): then segments without a mark whose
        median RR is over 150 bpm, and segments mostly of unreadable seconds, are counted apart.
    """
    rate_hz, end_s = recording.rate_hz, recording.duration_s
    rhythms = ventricular(annotations, rate_hz, end_s)
    mv = recording.mv()
    beats_s = annotations.samples[np.isin(annotations.symbols, list(BEATS))] / rate_hz
    lost = unreadable(recording) if beats_only else np.zeros(int(end_s) + 1, np.bool_)
    out: list[tuple[float, Label]] = []
    for k in range(int(end_s // SEGMENT_S)):
        first, end = k * SEGMENT_S, (k + 1) * SEGMENT_S
        label = _label(rhythms, first, end)
        if label == "vt":
            bpm = rate_bpm(mv[:, round(first * rate_hz) : round(end * rate_hz)], rate_hz)
            label = "shockable" if bpm >= RAPID_BPM else "slow_vt"
        if beats_only and label in JUDGED:
            if 2 * lost[int(first) : int(end)].sum() > SEGMENT_S:
                label = "unreadable"
            elif label == "other" and _median_bpm(beats_s, first, end) > RAPID_BPM:
                label = "fast_unlabelled"
        out.append((first, label))
    return out


def called(spans: Iterable[Span], first_s: float, conditions: Sequence[str] = ()) -> bool:
    """Whether the alarms called a segment one to be shocked.

    They did if an alarm of fibrillation, or of ventricular tachycardia from 150 bpm, was announced within it, or had
    been announced before and its condition still held at its end. Evidence counts from the time at which it was
    announced, and no longer than the rules found it: neither what an alert says of the past, nor the time that an
    alarm stays on after its condition, calls a segment.

    Parameters
    ----------
    spans : iterable of Span
        Our alarms.
    first_s : float
        Where the segment begins.
    conditions : sequence of str
        Further conditions whose alarms are to count.
    """
    end_s = first_s + SEGMENT_S
    return any(
        (first_s <= s.decided_s < end_s or (s.decided_s < first_s and s.last_s >= end_s))
        and (s.condition == "ventricular_fibrillation" or s.condition in conditions or _is_rapid(s))
        for s in spans
    )


def _is_rapid(span: Span) -> bool:
    return span.condition == "ventricular_tachycardia" and span.value >= RAPID_BPM


def _label(rhythms: dict[str, Stretches], first: float, end: float) -> Label | Literal["vt"]:
    """Return what fills a segment; a boundary where anything fills only a part of it."""
    names: dict[str, Label | Literal["vt"]] = {
        "vf": "shockable",
        "vt": "vt",
        "asystole": "asystole",
        "noise": "noise",
        "ectopy": "ectopy",
    }
    for name, label in names.items():
        at = rhythms[name]
        if ((at[:, 0] <= first) & (at[:, 1] >= end)).any():
            return label
        if ((at[:, 0] < end) & (at[:, 1] > first)).any():
            return "boundary"
    return "other"


def _median_bpm(beats_s: NDArray[np.float64], first: float, end: float) -> float:
    inside = beats_s[(beats_s >= first) & (beats_s < end)]
    return 60.0 / float(np.median(np.diff(inside))) if len(inside) > 1 else 0.0
