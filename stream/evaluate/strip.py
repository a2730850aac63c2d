"""Strips of a record as SVG: its ECG leads, the beats that were found, and both annotations as bands above."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.record import Record

PIXELS_PER_S, LEAD_PIXELS, BAND_PIXELS, LEFT = 60, 130, 18, 10
MOST_POINTS_PER_S = 250
COLOURS = ("#2c7fb8", "#d95f0e", "#31a354", "#756bb1", "#c51b8a", "#636363")


class Band(NamedTuple):
    """One row above the leads: what it shows, and the stretches in seconds in which it holds."""

    text: str
    stretches: Iterable[tuple[float, float]]


def draw(
    path: Path,
    title: str,
    recording: Record,
    first_s: float,
    seconds: float,
    bands: Sequence[Band],
    beats_s: NDArray[np.float64],
) -> None:
    """Write a strip of a record.

    Parameters
    ----------
    path : Path
        The SVG file.
    title : str
        Stands above it.
    recording : Record
        Its ECG leads are drawn, each over its own range; a missing sample leaves a hole.
    first_s, seconds : float
        The stretch, cut to the record.
    bands : sequence of Band
        The reference's and ours.
    beats_s : ndarray of float64
        When our beats were, marked above the first lead.
    """
    first_s = max(0.0, first_s)
    end_s = min(recording.duration_s, first_s + seconds)
    top = 24 + BAND_PIXELS * len(bands) + 12
    rows = recording.rows("ecg")
    width, height = LEFT + (end_s - first_s) * PIXELS_PER_S + LEFT, top + LEAD_PIXELS * len(rows) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" font-family="sans-serif"'
        ' font-size="12"><rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="16" font-weight="bold">{escape(title)}</text>',
    ]
    parts += _seconds(first_s, end_s, top, height - 24)
    for k, band in enumerate(bands):
        parts += _band(band, COLOURS[k % len(COLOURS)], 24 + BAND_PIXELS * k, first_s, end_s)
    for beat_s in beats_s[(beats_s >= first_s) & (beats_s < end_s)]:
        x = LEFT + (beat_s - first_s) * PIXELS_PER_S
        parts.append(f'<path d="M{x:.1f} {top - 8}v8" stroke="black"/>')
    mv = recording.mv()
    for k, row in enumerate(rows):
        parts += _lead(recording.leads[row].name, mv[k], recording.rate_hz, first_s, end_s, top + LEAD_PIXELS * k)
    path.write_text("\n".join([*parts, "</svg>\n"]))


def _seconds(first_s: float, end_s: float, top: float, bottom: float) -> Iterable[str]:
    for second in range(int(np.ceil(first_s)), int(end_s) + 1):
        x = LEFT + (second - first_s) * PIXELS_PER_S
        yield f'<path d="M{x:.1f} {top}V{bottom:.0f}" stroke="#eeeeee"/>'
        if second % 2 == 0:
            yield f'<text x="{x:.1f}" y="{bottom + 16:.0f}" fill="#666666">{second} s</text>'


def _band(band: Band, colour: str, y: float, first_s: float, end_s: float) -> Iterable[str]:
    for first, end in band.stretches:
        first, end = max(first, first_s), min(end, end_s)
        if first < end:
            x, width = LEFT + (first - first_s) * PIXELS_PER_S, (end - first) * PIXELS_PER_S
            place = f'x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAND_PIXELS - 4}"'
            yield f'<rect {place} fill="{colour}" opacity="0.4"/>'
    yield f'<text x="{LEFT}" y="{y + 11}">{escape(band.text)}</text>'


def _lead(name: str, mv: NDArray[np.float32], rate_hz: float, first_s: float, end_s: float, y: float) -> Iterable[str]:
    step = max(1, int(rate_hz // MOST_POINTS_PER_S))
    shown = mv[round(first_s * rate_hz) : round(end_s * rate_hz) : step]
    low, high = (np.nanmin(shown), np.nanmax(shown)) if np.isfinite(shown).any() else (0.0, 0.0)
    scale = (LEAD_PIXELS - 16) / max(high - low, 0.2)
    moves, pen = [], "M"
    for k, value in enumerate(shown.tolist()):
        if value != value:
            pen = "M"
            continue
        moves.append(f"{pen}{LEFT + k * step / rate_hz * PIXELS_PER_S:.1f} {y + 8 + (high - value) * scale:.1f}")
        pen = "L"
    yield f'<path d="{"".join(moves)}" fill="none" stroke="black" stroke-width="0.8"/>'
    yield f'<text x="{LEFT}" y="{y + 12:.0f}" fill="#666666">{escape(name)}, {high - low:.2f} mV</text>'
