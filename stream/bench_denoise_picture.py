"""`vigil bench denoise --picture FILE`: a noisy strip of a generated heart, and what the monitoring path makes of it.

Pictures of records would be excerpts of them; this heart and its noise are generated, the same at every call.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecg.wavelet import Denoiser
from simulators.artefact import Noise, noise
from simulators.heart import Heart
from stream.bench_denoise import path

RATE_HZ = 250.0
WARM_UP_S, SHOWN_S = 12.0, 8.0
SEED = 7
NOISES_MV: tuple[tuple[Noise, float], ...] = (("wander", 0.25), ("muscle", 0.05), ("mains", 0.1))
"""RMS of each."""
WIDTH, LEFT, TOP, PX_PER_S, PX_PER_MV = 960, 150, 46, 98.0, 52.0
ROW = 124
INK, FAINT, GRID = "#1f2933", "#52606d", "#f3c6c6"
Signal = NDArray[np.float64]


def draw(file: Path) -> None:
    """Write the figure as SVG; raises OSError where it cannot be written."""
    file.write_text(_svg(_strips()), encoding="utf-8")


def _strips() -> list[tuple[str, str, Signal]]:
    """Return a title, a remark and the samples of each row, in mV."""
    n, first = round((WARM_UP_S + SHOWN_S + 1) * RATE_HZ), round(WARM_UP_S * RATE_HZ)
    shown = slice(first, first + round(SHOWN_S * RATE_HZ))
    script = [("sinus", 14.0, {"rate_bpm": 72.0}), ("pvcs", 20.0, {"every": 3.0})]
    clean = Heart(script, ("II",), RATE_HZ, seed=SEED).samples(0, n)[0].astype(np.float64)
    noisy = clean + sum(noise(kind, n, RATE_HZ, mv, SEED + k) for k, (kind, mv) in enumerate(NOISES_MV))
    out, delay = path(noisy[None])[0], Denoiser().delay
    said = ", ".join(f"{kind} {mv:g} mV" for kind, mv in NOISES_MV)
    return [
        ("Noisy", said, noisy[shown]),
        ("Denoised", f"comes {delay / RATE_HZ:.2f} s later", out[shown]),
        ("The heart", "what was generated", clean[shown]),
    ]


def _svg(strips: Sequence[tuple[str, str, Signal]]) -> str:
    height = TOP + ROW * len(strips) + 24
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="13">',
        "<title>A noisy strip of a generated heart, before and after the monitoring path</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="26" font-size="15" font-weight="bold" fill="{INK}">Lead II of a generated heart</text>',
        f'<path d="{_grid(len(strips))}" stroke="{GRID}" stroke-width="1" fill="none"/>',
    ]
    for row, (title, remark, mv) in enumerate(strips):
        middle = TOP + ROW * row + ROW / 2
        parts += [
            f'<text x="16" y="{middle - 4:.0f}" font-weight="bold" fill="{INK}">{title}</text>',
            *(
                f'<text x="16" y="{middle + 13 + 14 * k:.0f}" font-size="11" fill="{FAINT}">{line}</text>'
                for k, line in enumerate(remark.split(", "))
            ),
            f'<polyline points="{_points(mv, middle)}" stroke="{INK}" stroke-width="1.2" fill="none"/>',
        ]
    foot = TOP + ROW * len(strips) + 14
    scale = "one square: 0.2 s, 0.5 mV"
    parts.append(f'<text x="{WIDTH - 16}" y="{foot}" text-anchor="end" font-size="11" fill="{FAINT}">{scale}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _grid(rows: int) -> str:
    """Return the path of a grid of 0.2 s and 0.5 mV behind all rows."""
    right, bottom = LEFT + SHOWN_S * PX_PER_S, TOP + ROW * rows
    across = [f"M{x:.1f} {TOP}V{bottom}" for x in np.arange(LEFT, right + 1, 0.2 * PX_PER_S)]
    middles = [TOP + ROW * (row + 0.5) for row in range(rows)]
    along = [f"M{LEFT} {y:.1f}H{right:.1f}" for mid in middles for y in mid + PX_PER_MV * np.arange(-1.0, 1.1, 0.5)]
    return "".join([*across, *along])


def _points(mv: Signal, middle: float) -> str:
    level = mv - np.median(mv)
    at = [(LEFT + k / RATE_HZ * PX_PER_S, middle - PX_PER_MV * value) for k, value in enumerate(level)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
