"""The wavelet front end: the stream's own Daubechies and Morlet stages, cut into chunks of fixed shape.

What the network sees of a lead is what the running pipeline has: the clean signal of `ecg.wavelet` (Daubechies) and
frames of `ecg.scalogram` (Morlet), the pair of FoundationalECGNet (arXiv:2509.08961). The same code makes both live and
from a record. Nothing is a statistic of a whole window: a chunk of 2 s is scaled by its own range and needs `HALO`
samples before it, so that overlapping windows share their chunks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ecg.resample import ANALYSIS_HZ, Resampler
from ecg.scalogram import Bank, Scalogram
from ecg.wavelet import Denoiser
from ecg.window import CHUNKS, HALO, HOP, SPAN

CHUNK = HOP
"""Samples of a chunk, as many as come from one window to the next."""
REACH = HALO + CHUNK
"""Samples of a chunk with its halo, half before it and half behind."""
STEP = 10
"""Samples of a step: 40 ms."""
STEPS, WAVE = CHUNK // STEP, 585
"""Steps of a chunk, and samples that the convolutions read for them: each step is the middle of its filters."""
FIRST = HALO // 2 - (WAVE - (STEPS - 1) * STEP) // 2
"""First sample of a chunk with its halo that the convolutions read."""
TOKEN = 10
"""Steps of a token, 0.4 s: what attention looks at."""
CHUNK_TOKENS = STEPS // TOKEN
TOKENS = CHUNKS * CHUNK_TOKENS
BANK = Bank(low_hz=8.0, high_hz=40.0, bands=8, hop=STEP)
"""Morlet bands that reach no further than half the halo to either side."""
FLOOR_MV = 0.1
"""A chunk is divided by its range, or by this where that is less."""
TYPICAL_MV = 1.0
"""Range that counts as zero on the logarithmic scale of levels."""
LEAST_SHARE = 0.2
"""A chunk with a smaller share of its samples counts as missing."""
WARM_UP_S = 3.0
"""Length of a record's beginning that filters see beforehand, mirrored: in a stream something came before."""


class Chunks(NamedTuple):
    """Chunks of leads as the network takes them, all float16; `...` stands for any number of axes.

    Attributes
    ----------
    wave : shape (..., 585)
        Clean signal over its chunk's range; 0 where missing.
    morlet : shape (..., 8, 50)
        Logarithm of the scalogram's magnitudes over the same range, about -1 to 1; 0 where masked.
    level : shape (...)
        Natural logarithm of the range in mV; 0 of a chunk that is missing.
    mask : shape (..., 5)
        Share of valid samples behind each token.
    """

    wave: NDArray[np.float16]
    morlet: NDArray[np.float16]
    level: NDArray[np.float16]
    mask: NDArray[np.float16]

    def take(self, rows: NDArray[np.integer]) -> Chunks:
        """Return some along the first axis."""
        return Chunks(*(part[rows] for part in self))


def clean(signal_mv: NDArray[np.float32], rate_hz: float) -> NDArray[np.float32]:
    """Bring a whole record's leads through the pipeline's resampler and denoiser, warmed up on its mirrored beginning.

    Parameters
    ----------
    signal_mv : ndarray of float32, shape (leads, samples)
        In mV, NaN where missing.
    rate_hz : float

    Returns
    -------
    ndarray of float32, shape (leads, about samples * 250 / rate_hz)
    """
    lead_in = min(round(WARM_UP_S * rate_hz), signal_mv.shape[1] - 1)
    whole = np.concatenate([signal_mv[:, lead_in:0:-1], signal_mv], axis=1).astype(np.float32)
    rows, resampler, denoiser = np.arange(len(whole)), Resampler(), Denoiser()
    for row in rows:
        resampler.reset(int(row), rate_hz)
        denoiser.reset(int(row))
    for stage in (resampler, denoiser):
        y, count = stage.feed(rows, np.ascontiguousarray(whole), np.full(len(rows), whole.shape[1], np.int64))
        tails = [stage.flush(int(row)) for row in rows]
        whole = np.stack([np.concatenate([a[:m], tail]) for a, m, tail in zip(y, count, tails, strict=True)])
    return whole[:, round(lead_in * ANALYSIS_HZ / rate_hz) :]


def last_span(clean_mv: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the last 10.8 s of leads, shape (leads, 2700); what lies before their first sample is missing."""
    out = np.full((len(clean_mv), SPAN), np.nan, np.float32)
    kept = clean_mv[:, -SPAN:]
    out[:, SPAN - kept.shape[1] :] = kept
    return out


def cut(span_mv: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut 10.8 s into the five chunks of a window, each behind its halo: (..., 2700) to (..., 5, 700).

    Raises
    ------
    ValueError
        The leads are not of 10.8 s.
    """
    if span_mv.shape[-1:] != (SPAN,):
        raise ValueError(f"span_mv must be (..., {SPAN}), got {span_mv.shape}")
    return np.stack([span_mv[..., k * CHUNK : k * CHUNK + REACH] for k in range(CHUNKS)], axis=-2)


def chunks(cut_mv: NDArray[np.float32]) -> Chunks:
    """Scale chunks, each by its range, and give what the network takes of them.

    Parameters
    ----------
    cut_mv : ndarray of float32, shape (..., 700)
        Clean signal at 250 Hz, NaN where missing; the chunk itself is the 500 samples in the middle.
    """
    shape, flat = cut_mv.shape[:-1], np.ascontiguousarray(cut_mv, np.float32).reshape(-1, REACH)
    valid = np.isfinite(flat)
    there = valid[:, HALO // 2 : HALO // 2 + CHUNK].view(np.uint8)
    count = np.add.reduceat(there, range(0, CHUNK, CHUNK // CHUNK_TOKENS), axis=1, dtype=np.int64)  # (n, 5)
    enough = count.sum(axis=1) >= LEAST_SHARE * CHUNK  # (n,)
    extent = np.fmax.reduce(flat, axis=1) - np.fmin.reduce(flat, axis=1)
    scale = np.where(enough, np.maximum(extent, np.float32(FLOOR_MV)), np.float32(1))  # (n,)
    read = slice(FIRST, FIRST + WAVE)
    wave = torch.from_numpy(flat[:, read] / scale[:, None]).nan_to_num_(0.0, 0.0, 0.0).numpy()
    wave[~enough] = 0
    mask = np.where(enough[:, None], count / (CHUNK // CHUNK_TOKENS), 0.0)
    level = np.where(enough, np.log(scale / TYPICAL_MV), 0.0)
    parts = wave, _morlet(flat, scale, enough), level, mask
    return Chunks(*(_half(part).reshape(*shape, *part.shape[1:]) for part in parts))


def _half(x: NDArray[np.floating]) -> NDArray[np.float16]:
    """Round to float16, as NumPy does, twenty times as fast."""
    return torch.from_numpy(x).half().numpy()


def _morlet(cut_mv: NDArray[np.float32], scale: NDArray[np.float32], enough: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the scalogram of each chunk's steps over the chunk's range, (n, 8, 50)."""
    stage = Scalogram(BANK)
    # frames inside begin at the first whole step that the delay leaves
    first = HALO // 2 // STEP - -(-stage.delay // STEP)
    steps = stage.inside(cut_mv)[:, :, first : first + STEPS]  # (n, 8, 50)
    steps /= scale[:, None, None]
    steps += np.float32(3e-3)
    part = np.log(steps, out=steps)
    part /= 3
    part += 1
    part[~enough] = 0
    return torch.from_numpy(part).nan_to_num_(0.0).numpy()
