"""Streaming wavelet denoising: an undecimated transform, shrunk level by level and put together again, all causal.

Each level filters the approximation of the level below with the wavelet's filters spread by 2^(level-1) (algorithme a
trous; Shensa, IEEE Trans. Signal Process. 40(10), 1992, doi:10.1109/78.157290), so that no sample depends on where a
block begins: the shift-averaged ("cycle-spun") shrinkage of Coifman and Donoho, 1995, over an endless record. Every
coefficient is one sum of fixed terms in a fixed order: the result is the same to the bit for any cutting and batching.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pywt
from numpy.typing import NDArray

from ecg import wander
from ecg.atrous import BLOCK, GUARD, LIMIT_MV, MEAN_TO_SIGMA, Plan, denoise, sections
from ecg.rows import Rows

Rule = Literal["soft", "hard", "garrote"]
_RULES: tuple[Rule, ...] = ("soft", "hard", "garrote")


@dataclass(frozen=True)
class Denoising:
    """How a stream is denoised.

    Parameters
    ----------
    wavelet : str
        A discrete wavelet of pywt.
    levels : int
    strength : tuple of float
        Threshold of each level, finest first, as a multiple of its noise level; the last holds for further levels.
    fixed_mv : tuple of float, optional
        Thresholds of each level that neither follow the noise nor spare the QRS complex, in mV of the orthonormal
        transform (as `pywt.swt` gives); all zero leaves the signal as it is.
    rule : {"soft", "hard", "garrote"}
    wander : bool
        Whether baseline wander is taken out.
    """

    wavelet: str = "db4"
    levels: int = 4
    strength: tuple[float, ...] = (3.5, 3.5, 2.5, 1.0)
    fixed_mv: tuple[float, ...] | None = None
    rule: Rule = "garrote"
    wander: bool = True

    def __post_init__(self) -> None:
        if self.wavelet not in pywt.wavelist(kind="discrete"):  # pyright: ignore[reportAttributeAccessIssue]
            raise ValueError(f"wavelet must be a discrete one of pywt, got {self.wavelet!r}")
        if not 1 <= self.levels <= 8:
            raise ValueError(f"levels must be from 1 to 8, got {self.levels}")
        if self.rule not in _RULES:
            raise ValueError(f"rule must be one of {_RULES}, got {self.rule!r}")
        for name in ("strength", "fixed_mv"):
            values = getattr(self, name)
            if values is not None and (not values or not all(v >= 0 for v in values)):
                raise ValueError(f"{name} must be one or more numbers from 0 up, got {values}")

    @property
    def delay(self) -> int:
        """Samples by which the output comes after the input: (taps - 1) * (2^levels - 1)."""
        bank = pywt.Wavelet(self.wavelet)  # pyright: ignore[reportAttributeAccessIssue]
        return (bank.dec_len - 1) * (2**self.levels - 1)


class Denoiser:
    """Streams of many leads without noise and wander, a row a stream.

    Parameters
    ----------
    config : Denoising, optional

    Attributes
    ----------
    delay : int
        Samples by which the output comes after the input. The output keeps the input's numbering: the first `delay`
        samples of a stream give nothing, after that each gives one, and `flush` gives the last `delay`.

    Notes
    -----
    Missing samples are NaN in the output at the same places. Inside, the last sample is held through a gap; blocks
    that a gap touches do not count for the noise level, and the baseline is formed from the samples that are there.
    Before its first sample a stream is taken to have stood at that sample's value.

    Examples
    --------
    >>> denoiser = Denoiser(Denoising(wavelet="db2", levels=3))
    >>> denoiser.delay
    21
    >>> denoiser.reset(0)
    >>> y, m = denoiser.feed(np.array([0]), np.ones((1, 50), dtype=np.float32), np.array([50]))
    >>> int(m[0]), float(abs(y[0, :29]).max()) < 1e-6
    (29, True)
    """

    def __init__(self, config: Denoising | None = None) -> None:
        self.config = config or Denoising()
        self.delay = self.config.delay
        self._plan = _design(self.config)
        at = sections(self._plan)
        layout = np.dtype([("memory", "f4", (at[-1],)), ("seen", "i8"), ("whole", "i8"), ("blocks", "i8")])
        initial = np.zeros((), dtype=layout)
        initial["whole"] = -1
        initial["memory"][: self.delay] = np.nan
        wander.clear(initial["memory"][at[-2] :])
        self._initial = initial
        self.rows = Rows(initial)
        self._analysis = [(int(at[k]), int(at[k + 1])) for k in (1, 4)]
        rest = [(0, int(at[1])), (int(at[2]), int(at[4])), (int(at[5]), layout.itemsize // 4)]
        self._shorter = [(4 * first, 4 * end) for first, end in rest]
        self._spans = [*self._shorter, *((4 * first, 4 * end) for first, end in self._analysis)]

    def reset(self, row: int) -> None:
        """Start a stream in a row."""
        self.rows.reset(row)

    def snapshot(self, row: int) -> bytes:
        """Return the state of a stream; without the transform's first half where its last samples give that again."""
        again = self.rows.state["memory"][row, 0] == self.rows.state["memory"][row, 0]
        return self.rows.snapshot(row, self._shorter if again else self._spans)

    def restore(self, row: int, kept: bytes) -> None:
        """Put back what `snapshot` returned; raises ValueError where it is of another layout."""
        self.restore_all([row], [kept])

    def restore_all(self, rows: Sequence[int], kept: Sequence[bytes]) -> None:
        """Put several streams back at once; see `restore`."""
        shorter = sum(end - first for first, end in self._shorter)
        lacking = []
        for row, held in zip(rows, kept, strict=True):
            again = len(held) == shorter
            self.rows.restore(row, held, self._shorter if again else self._spans)
            if again:
                lacking.append(row)
        if lacking:
            self._transform_again(lacking)

    def _transform_again(self, rows: Sequence[int]) -> None:
        """Give streams what the last `delay` samples come to in the transform's first half: it looks back no further.

        The first of these samples is there, so that what was held before it does not matter.
        """
        scratch = Rows(self._initial)
        for k in range(len(rows)):
            scratch.reset(k)
        memory = self.rows.state["memory"]
        recent = memory[rows, : self.delay]
        self._run(scratch, np.arange(len(rows)), recent, np.full(len(rows), self.delay))
        for first, end in self._analysis:
            memory[rows, first:end] = scratch.state["memory"][: len(rows), first:end]

    def feed(
        self, rows: NDArray[np.int64], x: NDArray[np.float32], count: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Take samples of some streams and return the clean samples `delay` earlier.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            Rows of the streams, each at most once.
        x : ndarray of float32, shape (n, width)
            Samples at 250 Hz in mV; NaN where missing. Only `x[i, :count[i]]` is read.
        count : ndarray of int64, shape (n,)
            Samples given of each stream.

        Returns
        -------
        y : ndarray of float32, shape (n, width2)
            Clean samples in mV, NaN where missing and beyond `m[i]`.
        m : ndarray of int64, shape (n,)
            Samples returned of each stream.
        """
        return self._run(self.rows, rows, x, count)

    def _run(
        self, table: Rows, rows: NDArray[np.int64], x: NDArray[np.float32], count: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        x = np.ascontiguousarray(x, dtype=np.float32)
        y = np.full((len(rows), int(count.max(initial=0))), np.nan, dtype=np.float32)
        m = np.zeros(len(rows), dtype=np.int64)
        if y.size:
            state = table.state
            memory = state.view(np.float32).reshape(len(state), -1)
            counters = (state["seen"], state["whole"], state["blocks"])
            base = np.zeros(y.shape, dtype=np.float32)
            if self.config.wander:
                at = int(sections(self._plan)[-2])
                wander.baselines(memory, at, self.delay, LIMIT_MV, state["seen"], rows, x, count, base)
            denoise(self._plan, memory, *counters, rows, x, count, base, y, m)
        return np.ascontiguousarray(y[:, : int(m.max(initial=0))]), m

    def noise_mv(self, row: int) -> NDArray[np.float32]:
        """Return the noise level (standard deviation) that each level of a stream is taken to have, finest first."""
        at = sections(self._plan)
        return self.rows.state["memory"][row, at[7] : at[8]] * np.float32(MEAN_TO_SIGMA)

    def flush(self, row: int) -> NDArray[np.float32]:
        """Return the last `delay` samples (or all, of a shorter stream) at a record's end."""
        lacking = np.full((1, self.delay), np.nan, dtype=np.float32)
        y, m = self.feed(np.array([row]), lacking, np.array([self.delay]))
        return y[0, : int(m[0])]


def _design(config: Denoising) -> Plan:
    bank = pywt.Wavelet(config.wavelet)  # pyright: ignore[reportAttributeAccessIssue]
    analysis = np.array([bank.dec_lo, bank.dec_hi], dtype=np.float64)
    synthesis = np.array([bank.rec_lo, bank.rec_hi], dtype=np.float64) / 2
    levels, taps = config.levels, bank.dec_len
    late = np.array([(taps - 1) * (2**levels - 2**j) for j in range(1, levels + 1)])
    given = config.fixed_mv if config.fixed_mv is not None else config.strength
    strength = np.array([given[min(j, len(given) - 1)] for j in range(levels)], dtype=np.float32)
    centre = np.array([_centre(analysis, j) for j in range(levels)])
    active = min(2, levels - 1)
    guard = np.maximum(np.round(late + centre - centre[active] - GUARD / 2), 0).astype(np.int64)
    return Plan(
        analysis=analysis.astype(np.float32),
        synthesis=synthesis.astype(np.float32),
        late=late,
        guard=guard,
        needed=np.array([(taps - 1) * (2 ** (j + 1) - 1) + BLOCK for j in range(levels)]),
        strength=strength,
        fixed=config.fixed_mv is not None,
        rule=_RULES.index(config.rule),
        active=active,
        delay=config.delay,
        extra=wander.floats(config.delay),
    )


def _centre(analysis: NDArray[np.float64], level: int) -> float:
    """Return the centre of energy, in samples, of the filter from the signal to the details of a level."""
    whole = np.ones(1)
    for j in range(level + 1):
        spread = np.zeros((analysis.shape[1] - 1) * 2**j + 1)
        spread[:: 2**j] = analysis[0 if j < level else 1]
        whole = np.convolve(whole, spread)
    return float((np.arange(len(whole)) * whole**2).sum() / (whole**2).sum())
