"""The array stages of a bed are put back exactly: the same results from then on, and the same snapshot, to the byte."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecg.frontend import Analysis, Chunk, FrontEnd
from ecg.window import WINDOW, Windows
from simulators.heart import Heart

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
SCRIPT = [("sinus", 5, {}), ("ventricular_fibrillation", 6, {}), ("sinus", 3, {})]
SECONDS = 14


class Bed:
    """One bed's array stages, among rows that others have used."""

    def __init__(self, rate_hz: float, leads: int, strangers: int) -> None:
        self.rate_hz, self.front, self.windows = rate_hz, FrontEnd(), Windows(leads)
        for _ in range(strangers):
            other = self.front.open(250.0, 3)
            self.front.feed([Chunk(other, np.ones((3, 700), np.float32), 0)])
            self.front.close(other)
        self.bed, self.n_in = self.front.open(rate_hz, leads, (200.0,) * min(leads, 2)), 0

    def feed(self, mv: NDArray[np.float32], *, last: bool = False) -> tuple[object, ...]:
        off = ((0, self.n_in % 700, self.n_in % 700 + 90),)
        first, pulse = self.front.raw_after(self.bed, self.n_in), mv[:2]  # an ECG rises and falls, too
        chunk = Chunk(self.bed, mv, first, off, last, pulse=pulse)
        self.n_in += mv.shape[1]
        analysis: Analysis = self.front.feed([chunk])[0]
        windows = self.windows.feed(analysis.clean)
        return (
            *(part.tobytes() for part in (*analysis[:3], analysis.pulses)),
            analysis.quality,
            *((window.end, window.mv.tobytes()) for window in windows),
        )

    def snapshot(self) -> tuple[bytes, bytes]:
        return self.front.snapshot(self.bed), self.windows.snapshot()

    def moved(self, strangers: int) -> Bed:
        """Return this bed as it is put back elsewhere."""
        front, windows = self.snapshot()
        other = Bed(self.rate_hz, 1, strangers)
        other.front.close(other.bed)
        other.windows.restore(windows)
        other.bed = other.front.restore(front, other.windows.last(other.windows.kept))
        other.n_in = self.n_in
        return other


def signal(rate_hz: float, leads: int, seed: int) -> NDArray[np.float32]:
    """Heartbeats and fibrillation with gaps of all lengths, in each lead others; one lead may be missing for long."""
    random = np.random.default_rng(seed)
    source = Heart(SCRIPT, LEADS[:leads], rate_hz, seed).source()
    mv = source.counts[:, : round(SECONDS * rate_hz)] / np.float32(200)
    for _ in range(random.integers(0, 6)):
        lead, first = random.integers(leads), random.integers(mv.shape[1])
        mv[lead, first : first + random.integers(1, 1 + random.choice([2, 200, 6000]))] = np.nan
    if random.random() < 0.3:
        mv[:, : random.integers(1, mv.shape[1] // 2)] = np.nan
    mv[0, random.integers(mv.shape[1])] = 2e4
    return mv.astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(
    rate_hz=st.sampled_from([100.0, 250.0, 257.0, 360.0, 500.0, 1000.0]),
    leads=st.sampled_from([1, 2, 3, 12]),
    seed=st.integers(0, 999),
    cuts=st.lists(st.floats(0, 1), min_size=1, max_size=5),
)
def test_a_bed_put_back_at_any_sample_goes_on_byte_for_byte(
    rate_hz: float, leads: int, seed: int, cuts: list[float]
) -> None:
    mv = signal(rate_hz, leads, seed)
    one, two = Bed(rate_hz, leads, 0), Bed(rate_hz, leads, 2)
    edges = sorted({0, mv.shape[1], *(round(cut * mv.shape[1]) for cut in cuts)})
    for k, (first, end) in enumerate(itertools.pairwise(edges)):
        last = end == mv.shape[1]
        assert one.feed(mv[:, first:end], last=last) == two.feed(mv[:, first:end], last=last)
        kept = one.snapshot()
        assert two.snapshot() == kept
        two = two.moved(k)
        assert two.snapshot() == kept


def test_a_snapshot_holds_no_more_samples_than_the_next_window_needs() -> None:
    windows = Windows(1)
    for _ in range(30):
        windows.feed(np.zeros((1, 250), np.float32))
        assert windows.kept <= WINDOW
        assert len(windows.snapshot()) < 4 * windows.kept + 20


def test_the_samples_that_a_restore_needs_must_be_there() -> None:
    bed = Bed(250.0, 2, 0)
    bed.feed(signal(250.0, 2, 1)[:, :1500])
    with pytest.raises(ValueError, match="samples must be at least 2 x "):
        FrontEnd().restore(bed.snapshot()[0], np.zeros((2, 500), np.float32))
