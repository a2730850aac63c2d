"""Pacer spikes that a device flags: out of the signal before the filters, and back at their place after them.

A spike is 0.1-2 ms wide, one to three samples of a device. Left in, a filter for 250 Hz spreads it, and what stays of
it depends on the device's rate; the shrinkage may take it for noise, and a beat detector for a complex. So its samples
are held at the level shortly before it, what it rose above that is kept, and is added to the clean signal where it was.
Where the filters do nothing, a spike at 250 Hz comes back as it was.

A beat that follows a spike closely is a paced one: what the device flags says so, and no shape need be known.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg.beats import MAX_DELAY_S
from ecg.resample import ANALYSIS_HZ

SPIKE_S = 0.002
"""How long a spike may last, from its flagged sample on, and how long before that its flank may begin."""
REST_S, REST = 0.02, 4
"""Time, and at least so many samples, after a spike in which no other is taken out: flags can never hide a heart."""
PACED_S = 0.2
"""A beat whose largest deflection follows a spike within this is paced: a wide complex may take so long to its top."""

Signal = NDArray[np.float32]
_P = ord("P")
_KEPT_SAMPLES = round((MAX_DELAY_S + PACED_S) * ANALYSIS_HZ) + 1


class Spike(NamedTuple):
    """A spike that waits: its sample at 250 Hz, and its height in each lead."""

    at: int
    mv: list[float]


class _Kept(msgspec.Struct, array_like=True):
    """State of a bed: samples in and out, the last ones of each lead, and a spike of which `left` are still to come.

    `spikes` are those, at 250 Hz, that a beat may still be found to follow.
    """

    rate_hz: float
    seen: int
    given: int
    free: int
    before: list[list[float]]
    at: int
    left: int
    level: list[float]
    height: list[float]
    waiting: list[Spike]
    spikes: list[int]


_decoder = msgspec.msgpack.Decoder(_Kept)


class Pacer:
    """The flagged spikes of one bed.

    Parameters
    ----------
    rate_hz : float
        Rate of the device.
    leads : int

    Notes
    -----
    A spike stays where it is in a lead whose level before it is missing, as does one that follows another by less
    than `REST_S` or `REST` samples. What is missing stays missing. Results do not depend on how the stream is cut.

    Examples
    --------
    >>> pacer = Pacer(250.0, leads=1)
    >>> x = np.array([[0.5, 0.5, 3.0, 0.25]], dtype=np.float32)
    >>> calm = pacer.take_out(x, flags=(2,))
    >>> calm.tolist(), pacer.put_back(calm).tolist()
    ([[0.5, 0.5, 0.5, 0.25]], [[0.5, 0.5, 3.0, 0.25]])
    """

    def __init__(self, rate_hz: float, leads: int) -> None:
        nothing = np.full((leads, 1 + int(SPIKE_S * rate_hz)), np.nan)
        self._kept = _Kept(rate_hz, 0, 0, 0, nothing.tolist(), 0, 0, nothing[:, 0].tolist(), [0.0] * leads, [], [])

    def take_out(self, mv: Signal, flags: Sequence[int] = ()) -> Signal:
        """Take the next samples of the device and return them without flagged spikes.

        Parameters
        ----------
        mv : ndarray of float32, shape (n_leads, n)
            In millivolts, NaN where missing; not changed.
        flags : sequence of int
            Samples of these at which the device saw a spike.
        """
        kept = self._kept
        if not mv.shape[1]:
            return mv
        out = mv.copy() if kept.left or flags else mv
        if kept.left:
            self._hold(mv, out, 0)
        for flag in sorted(flags):
            if kept.seen + flag >= kept.free:
                self._begin(mv, flag)
                self._hold(mv, out, flag)
        kept.seen += mv.shape[1]
        self._remember(mv)
        return out

    def name(self, beats: NDArray[np.void]) -> NDArray[np.void]:
        """Return beats that were found in the clean signal, ndarray of `BEAT`; those that follow a spike are P.

        A spike on a beat's way down, or after it, did not evoke it. An atrial spike is followed by a conducted beat
        later than `PACED_S`, or that one is called paced, too.
        """
        kept = self._kept
        if not kept.spikes or not len(beats):
            return beats
        spikes = np.array(kept.spikes, np.int64)
        last = np.searchsorted(spikes, beats["sample"], side="right") - 1
        since = beats["sample"] - spikes[np.maximum(last, 0)]
        out = beats.copy()
        out["label"][(last >= 0) & (since <= PACED_S * ANALYSIS_HZ)] = _P
        return out

    def put_back(self, clean: Signal) -> Signal:
        """Take the next samples at 250 Hz that come of the filters, shape (n_leads, m); return them with the spikes.

        A spike that is due before it was given whole, at the end of a session or where the filters' delay is under
        `SPIKE_S`, is put back as far as it is known.
        """
        kept = self._kept
        first, kept.given = kept.given, kept.given + clean.shape[1]
        if kept.spikes and kept.spikes[0] < kept.given - _KEPT_SAMPLES:
            kept.spikes = [at for at in kept.spikes if at >= kept.given - _KEPT_SAMPLES]
        if kept.left and kept.at < kept.given:
            self._end()
        due = [spike for spike in kept.waiting if spike.at < kept.given]
        if not due:
            return clean
        kept.waiting = kept.waiting[len(due) :]
        out = clean.copy()
        for spike in due:
            out[:, spike.at - first] += np.array(spike.mv, np.float32)
        return out

    def snapshot(self) -> bytes:
        """Return the state as bytes."""
        return msgspec.msgpack.encode(self._kept)

    def restore(self, kept: bytes) -> None:
        """Put back what `snapshot` returned; raises msgspec.DecodeError on other bytes."""
        self._kept = _decoder.decode(kept)

    def _begin(self, mv: Signal, flag: int) -> None:
        kept = self._kept
        rate = Fraction(kept.rate_hz).limit_denominator(1000)
        kept.at = int((kept.seen + flag) * ANALYSIS_HZ / rate + Fraction(1, 2))
        kept.spikes.append(kept.at)
        kept.left = len(kept.before[0])
        kept.free = kept.seen + flag + kept.left + max(REST, round(REST_S * kept.rate_hz))
        kept.level = [
            float(lead[flag - kept.left]) if flag >= kept.left else before[flag]
            for lead, before in zip(mv, kept.before, strict=True)
        ]
        kept.height = [0.0] * len(mv)

    def _remember(self, mv: Signal) -> None:
        width = len(self._kept.before[0])
        last = mv if mv.shape[1] >= width else np.concatenate([np.array(self._kept.before, np.float32), mv], axis=1)
        self._kept.before = last[:, -width:].tolist()

    def _hold(self, mv: Signal, out: Signal, first: int) -> None:
        """Hold the level over what there is of the spike, and keep the largest of what was above or under it."""
        kept = self._kept
        part = mv[:, first : first + kept.left]
        level = np.array(kept.level, np.float32)[:, None]
        above = part - level
        known = np.isfinite(above)
        out[:, first : first + kept.left] = np.where(known, level, part)
        above = np.concatenate([np.array(kept.height, np.float32)[:, None], np.where(known, above, 0)], axis=1)
        kept.height = above[np.arange(len(mv)), np.abs(above).argmax(axis=1)].tolist()
        kept.left -= part.shape[1]
        if not kept.left:
            self._end()

    def _end(self) -> None:
        self._kept.left = 0
        self._kept.waiting.append(Spike(self._kept.at, self._kept.height))
