"""Streaming scalogram: magnitudes of a continuous wavelet transform by complex Morlet wavelets, at a fixed hop.

The second stage of wavelets beside the Daubechies transform of `ecg.wavelet`, as in FoundationalECGNet's pair
(arXiv:2509.08961): features in time and frequency for a network. Each wavelet is a Gaussian of `omega0` / (2 pi f)
seconds around a complex wave (Grossmann and Morlet, 1984, doi:10.1137/0515056; Torrence and Compo, 1998,
doi:10.1175/1520-0477(1998)079<0061:APGTWA>2.0.CO;2). It differs from theirs in four points: it is cut off at `cut`
standard deviations; what its real part then sums to is taken out of it, so that a constant has no magnitude; it is
scaled so that a sine of 1 mV at a band's centre has a magnitude of 1 mV; and it is a sum at each hop, not an FFT.

Every magnitude is one sum of fixed terms in a fixed order: the same to the bit for any cutting and batching.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecg.atrous import LIMIT_MV
from ecg.morlet import SEEN_FLOATS, transform
from ecg.resample import ANALYSIS_HZ
from ecg.rows import Rows, Spans

LONGEST_S = 1.5
"""Longest delay that a bank may have."""

_SEEN_BYTES = 4 * SEEN_FLOATS


@dataclass(frozen=True)
class Bank:
    """Bands of a scalogram.

    Parameters
    ----------
    low_hz, high_hz : float
        Centres of the lowest and the highest band; those between are spaced by equal ratios.
    bands : int
    omega0 : float
        Radians of the wave in one standard deviation of its Gaussian: more tells frequencies apart better, and
        times worse.
    cut : float
        Standard deviations at which the wavelets are cut off on both sides.
    hop : int
        Samples from one frame to the next.
    """

    low_hz: float = 3.0
    high_hz: float = 40.0
    bands: int = 12
    omega0: float = 5.0
    cut: float = 4.0
    hop: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.low_hz < self.high_hz <= ANALYSIS_HZ / 4:
            edges = f"{self.low_hz}, {self.high_hz}"
            raise ValueError(f"low_hz and high_hz must rise within 0 to {ANALYSIS_HZ / 4:g}, got {edges}")
        if not 2 <= self.bands <= 64:
            raise ValueError(f"bands must be from 2 to 64, got {self.bands}")
        if not 4 <= self.omega0 <= 12:
            raise ValueError(f"omega0 must be from 4 to 12, got {self.omega0}")
        if not 2 <= self.cut <= 6:
            raise ValueError(f"cut must be from 2 to 6, got {self.cut}")
        if self.hop < 1:
            raise ValueError(f"hop must be positive, got {self.hop}")
        if self.delay > LONGEST_S * ANALYSIS_HZ:
            raise ValueError(f"the lowest band must have a delay of at most {LONGEST_S} s, got {self.delay_s:.2f} s")

    @functools.cached_property
    def centres_hz(self) -> NDArray[np.float64]:
        """Centres of the bands, lowest first."""
        return np.geomspace(self.low_hz, self.high_hz, self.bands)

    @functools.cached_property
    def halves(self) -> NDArray[np.int64]:
        """Samples that each band's wavelet reaches to either side, lowest band first."""
        sigma = self.omega0 / (2 * np.pi * self.centres_hz) * ANALYSIS_HZ
        return np.floor(self.cut * sigma).astype(np.int64)

    @property
    def delay(self) -> int:
        """Samples after a frame's own that must have come before it is known: half of the longest wavelet."""
        return int(self.halves[0])

    @property
    def delay_s(self) -> float:
        """The delay in seconds."""
        return self.delay / ANALYSIS_HZ

    def wavelets(self) -> list[NDArray[np.complex128]]:
        """Return the wavelet of each band, lowest first: `2 * half + 1` numbers each.

        The magnitude of a frame is that of the sum of the samples around it, each times the conjugate of its number.
        """
        out = []
        for f, half in zip(self.centres_hz, self.halves, strict=True):
            t_s = np.arange(-half, half + 1) / ANALYSIS_HZ
            bell = np.exp(-0.5 * (2 * np.pi * f * t_s / self.omega0) ** 2)
            wave = np.exp(2j * np.pi * f * t_s)
            out.append(2 * bell * (wave - (bell * wave.real).sum() / bell.sum()) / bell.sum())
        return out


class Scalogram:
    """Scalograms of many leads, a row a stream.

    Parameters
    ----------
    bank : Bank, optional

    Attributes
    ----------
    delay : int
        Samples by which a frame comes after its own sample. Frame `k` belongs to sample `k * hop` of the stream;
        `flush` gives those that the stream's end leaves open.

    Notes
    -----
    A magnitude is NaN where a sample under its wavelet is missing, or lies before the stream's first or after its
    last: a single one masks 2.1 s of the lowest of the default bands and 0.16 s of the highest.

    Examples
    --------
    >>> scalogram = Scalogram()
    >>> scalogram.delay
    265
    >>> scalogram.reset(0)
    >>> wave = np.sin(2 * np.pi * 3 * np.arange(1000) / 250).astype(np.float32)
    >>> y, m = scalogram.feed(np.array([0]), wave[None], np.array([1000]))
    >>> y.shape, int(m[0]), round(float(y[0, 0, 50]), 3)
    ((1, 12, 74), 74, 1.0)
    """

    def __init__(self, bank: Bank | None = None) -> None:
        self.config = bank or Bank()
        self.delay = self.config.delay
        self._halves = self.config.halves
        self._weights = _halved(self.config)
        layout = np.dtype([("seen", "i8"), ("recent", "f4", (2 * self.delay,))])
        initial = np.zeros((), dtype=layout)
        initial["recent"] = np.nan
        self.rows = Rows(initial)

    def reset(self, row: int) -> None:
        """Start a stream in a row; its first sample is that of frame 0."""
        self.rows.reset(row)

    def snapshot(self, row: int) -> bytes:
        """Return the state of a stream: its last `2 * delay` samples, or as many as there were."""
        return self.rows.snapshot(row, self._spans(int(self.rows.state["seen"][row])))

    def restore(self, row: int, kept: bytes) -> None:
        """Put back what `snapshot` returned; raises ValueError where it is of another layout."""
        self.rows.restore(row, kept, self._spans(max(0, len(kept) - _SEEN_BYTES) // 4))

    def feed(
        self, rows: NDArray[np.int64], x: NDArray[np.float32], count: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Take samples of some streams and return the frames that they complete.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            Rows of the streams, each at most once.
        x : ndarray of float32, shape (n, width)
            Clean samples at 250 Hz in mV; NaN where missing; of 10 V and more is missing too.
            Only `x[i, :count[i]]` is read.
        count : ndarray of int64, shape (n,)
            Samples given of each stream.

        Returns
        -------
        y : ndarray of float32, shape (n, bands, frames)
            Magnitudes in mV, lowest band first, NaN where masked and beyond `m[i]`.
        m : ndarray of int64, shape (n,)
            Frames returned of each stream.
        """
        x = np.ascontiguousarray(x, dtype=np.float32)
        seen, hop = self.rows.state["seen"], self.config.hop
        m = _frames(seen[rows] + count - self.delay, hop) - _frames(seen[rows] - self.delay, hop)
        y = np.full((len(rows), self.config.bands, int(m.max(initial=0))), np.nan, dtype=np.float32)
        if x.size:
            memory = self.rows.state.view(np.float32).reshape(len(seen), -1)
            transform(self._weights, self._halves, hop, seen, memory, rows, x, count, m, y)
        return y, m

    def inside(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the frames of pieces whose longest wavelets lie inside them, to the bit as `feed` gives these.

        No stream takes part in it. The first frame belongs to the first multiple of `hop` from `delay` on.

        Parameters
        ----------
        x : ndarray of float32, shape (n, width)
            Pieces of more than `2 * delay` samples, as `feed` takes them.

        Returns
        -------
        ndarray of float32, shape (n, bands, frames)
        """
        n, held, hop = len(x), 2 * self.delay, self.config.hop
        past, due = _frames(np.array([self.delay, x.shape[1] - self.delay]), hop)
        y = np.full((n, self.config.bands, due - past), np.nan, dtype=np.float32)
        memory = np.empty((n, SEEN_FLOATS + held), dtype=np.float32)
        memory[:, SEEN_FLOATS:] = np.where(np.abs(x[:, :held]) < LIMIT_MV, x[:, :held], np.float32(np.nan))
        new = np.ascontiguousarray(x[:, held:], dtype=np.float32)
        seen, rows, count, m = np.full(n, held), np.arange(n), np.full(n, new.shape[1]), np.full(n, due - past)
        transform(self._weights, self._halves, hop, seen, memory, rows, new, count, m, y)
        return y

    def flush(self, row: int) -> NDArray[np.float32]:
        """Return the last frames at a record's end, float32, shape (bands, frames)."""
        lacking = np.full((1, self.delay), np.nan, dtype=np.float32)
        y, m = self.feed(np.array([row]), lacking, np.array([self.delay]))
        return y[0, :, : int(m[0])]

    def _spans(self, samples: int) -> Spans:
        held = 2 * self.delay
        return ((0, _SEEN_BYTES), (_SEEN_BYTES + 4 * (held - min(samples, held)), _SEEN_BYTES + 4 * held))


def _frames(samples: NDArray[np.int64], hop: int) -> NDArray[np.int64]:
    """Return how many frames belong to the first `samples` samples."""
    return np.maximum(samples + hop - 1, 0) // hop


@functools.cache
def _halved(bank: Bank) -> NDArray[np.float32]:
    """Return the wavelets from their middle on, float32, shape (2, bands, delay + 1).

    Their real parts are even, and what is given of those is for both sides; their imaginary parts are odd.
    """
    out = np.zeros((2, bank.bands, bank.delay + 1), dtype=np.float32)
    for j, (wavelet, half) in enumerate(zip(bank.wavelets(), bank.halves, strict=True)):
        out[0, j, : half + 1] = wavelet[half:].real
        out[1, j, : half + 1] = wavelet[half:].imag
    out[0, :, 0] /= 2
    return out
