"""The array stages of the pipeline: from device samples of many beds to clean leads, beats, fibrillation and quality.

Beds are taken together as padded arrays; each bed's results depend on its own samples alone, whatever the batch and
whatever the chunks that they came in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg.artefact import is_noisy
from ecg.average_beat import MEASURED, AverageBeats
from ecg.beats import Beats
from ecg.fibrillation import Fibrillation
from ecg.mains import Mains
from ecg.microvolts import whole
from ecg.pacer import Pacer
from ecg.pulse import PULSE, Pulses
from ecg.quality import Quality, Second
from ecg.resample import Resampler
from ecg.wavelet import Denoiser

Signal = NDArray[np.float32]
_Padded = tuple[NDArray[np.int64], Signal, NDArray[np.int64]]
"""Leads of many beds under each other: their rows, samples padded to one width, and how many are valid."""
_NOTHING: Signal = np.empty((0, 0), np.float32)
_NO_PULSES: NDArray[np.void] = np.empty(0, PULSE)
_NO_MEASURED: NDArray[np.void] = np.empty(0, MEASURED)


class Chunk(NamedTuple):
    """What one bed brings to a batch: `mv` float32 (n_leads, n) at the device's rate, NaN where missing or off.

    `first` is the number of clean-clock samples (250 Hz) that the bed's resampler gave before this chunk, and `off` the
    runs (lead, first, end) on that clock during which an electrode was off. `last` ends the session: the filters give
    what they still hold. `pacer` are samples of `mv` at which the device saw a pacer spike. `pulse` are the same
    samples of the bed's pulse leads, float32 (n_pulse_leads, n), in their own units.
    """

    bed: int
    mv: NDArray[np.float32]
    first: int
    off: Sequence[tuple[int, int, int]] = ()
    last: bool = False
    pacer: Sequence[int] = ()
    pulse: NDArray[np.float32] = _NOTHING


class BedSecond(NamedTuple):
    """What was said of one second of a bed: its number, the verdict on each lead, and whether it was noisy."""

    second: int
    verdicts: tuple[int, ...]
    noisy: bool


class Analysis(NamedTuple):
    """What one bed gets back.

    `clean` is float32 (n_leads, m) at 250 Hz, the samples that follow the ones given before; `beats` and `fibrillation`
    are structured arrays (see those modules); `quality` has the seconds that ended, in order. `shown` is `clean` with
    the pacer spikes that the device flagged, which nothing else sees. `pulses` are those of the pulse leads
    (`ecg.pulse`), in the order in which they were sure. `measured` is what the averaged normal beat showed.
    """

    clean: NDArray[np.float32]
    beats: NDArray[np.void]
    fibrillation: NDArray[np.void]
    quality: list[BedSecond]
    shown: NDArray[np.float32]
    pulses: NDArray[np.void] = _NO_PULSES
    measured: NDArray[np.void] = _NO_MEASURED


class _Layout(msgspec.Struct, frozen=True):
    rate_hz: float
    streams: tuple[int, ...]
    pulses: tuple[int, ...]


class _Kept(msgspec.Struct, array_like=True):
    rate_hz: float
    resampler: list[bytes]
    denoiser: list[bytes]
    quality: list[bytes]
    beats: bytes
    fibrillation: bytes
    mains: list[bytes]
    pacer: bytes
    pulses: list[bytes]
    averages: list[bytes]


_decoder = msgspec.msgpack.Decoder(_Kept)


class FrontEnd:
    """Resampling, mains, denoising, quality, beats, fibrillation and pulses of many beds, a row a bed, a row a lead."""

    def __init__(self) -> None:
        self._resampler, self._denoiser, self._quality = Resampler(), Denoiser(), Quality()
        self._beats, self._fibrillation = Beats(), Fibrillation()
        self._mains, self._pulses = Mains(), Pulses()
        self._averages = AverageBeats()
        self._pacers: dict[int, Pacer] = {}
        self._layouts: dict[int, _Layout] = {}
        self._streams, self._bed_rows, self._pulse_rows = _Free(), _Free(), _Free()

    def open(self, rate_hz: float, n_leads: int, pulse_gains: Sequence[float] = ()) -> int:
        """Give a bed its rows, as before its first sample, and return its number.

        `pulse_gains` are the counts per unit of each of its pulse leads.
        """
        bed = self._place(rate_hz, n_leads, len(pulse_gains))
        for row, gain in zip(self._layouts[bed].pulses, pulse_gains, strict=True):
            self._pulses.reset(row, rate_hz, gain)
        for stream in self._layouts[bed].streams:
            self._resampler.reset(stream, rate_hz)
            self._denoiser.reset(stream)
            self._quality.reset(stream)
            self._mains.reset(stream)
        self._beats.reset(bed)
        self._fibrillation.reset(bed)
        self._averages.open(bed, self._layouts[bed].streams)
        self._pacers[bed] = Pacer(rate_hz, n_leads)
        return bed

    def close(self, bed: int) -> None:
        """Take a bed's rows back."""
        layout = self._layouts.pop(bed)
        self._streams.give_back(*layout.streams)
        self._pulse_rows.give_back(*layout.pulses)
        self._bed_rows.give_back(bed)
        del self._pacers[bed]

    def raw_after(self, bed: int, n_samples: int) -> int:
        """Return how many samples at 250 Hz there are after `n_samples` of the device since the bed was opened."""
        return self._resampler.outputs(n_samples, self._layouts[bed].rate_hz)

    def clean_after(self, bed: int, n_samples: int, *, last: bool) -> int:
        """Return how many clean samples there are after `n_samples` of the device since the bed was opened."""
        rate_hz = self._layouts[bed].rate_hz
        if last:
            return self._resampler.outputs(n_samples, rate_hz, flushed=True)
        return max(0, self._resampler.outputs(n_samples, rate_hz) - self._denoiser.delay)

    def feed(self, chunks: Sequence[Chunk]) -> list[Analysis]:
        """Take the next samples of some beds, each at most once; return an Analysis for each, in the same order."""
        chunks = [c._replace(mv=self._pacers[c.bed].take_out(c.mv, c.pacer)) for c in chunks]
        raw = self._resample(chunks)
        streams = [self._layouts[chunk.bed].streams for chunk in chunks]
        padded = _padded(list(zip(streams, raw, strict=True)))
        quality = self._judge(chunks, raw, padded)
        rows, x, count = padded
        level = (rows, self._mains.feed(rows, x, count), count)
        clean = self._denoise(chunks, streams, level)
        found = self._per_bed(self._beats, chunks, clean)
        beats = [self._pacers[c.bed].name(each) for c, each in zip(chunks, found, strict=True)]
        fibrillation = self._per_bed(self._fibrillation, chunks, clean)
        shown = [self._pacers[c.bed].put_back(signal) for c, signal in zip(chunks, clean, strict=True)]
        pulses = self._find_pulses(chunks)
        new = [signal.shape[1] for signal in clean]
        measured = self._averages.feed([chunk.bed for chunk in chunks], streams, *level, new, beats)
        parts = zip(clean, beats, fibrillation, quality, shown, pulses, measured, strict=True)
        return [Analysis(*each) for each in parts]

    def snapshot(self, bed: int) -> bytes:
        """Return a bed's rows as bytes."""
        rate_hz, streams = self._layouts[bed].rate_hz, self._layouts[bed].streams
        return msgspec.msgpack.encode(
            _Kept(
                rate_hz,
                [self._resampler.snapshot(s) for s in streams],
                [self._denoiser.snapshot(s) for s in streams],
                [self._quality.snapshot(s) for s in streams],
                self._beats.snapshot(bed, len(streams)),
                self._fibrillation.snapshot(bed),
                [self._mains.snapshot(s) for s in streams],
                self._pacers[bed].snapshot(),
                [self._pulses.snapshot(row) for row in self._layouts[bed].pulses],
                self._averages.snapshot(bed, streams),
            )
        )

    def restore(self, kept: bytes, clean: Signal) -> int:
        """Open a bed with the rows that `snapshot` returned; `clean` are its last clean samples (`Windows.last`)."""
        state = _decoder.decode(kept)
        bed = self._place(state.rate_hz, len(state.resampler), len(state.pulses))
        streams = self._layouts[bed].streams
        for at, stream in enumerate(streams):
            self._resampler.restore(stream, state.resampler[at])
            self._quality.restore(stream, state.quality[at])
            self._mains.restore(stream, state.mains[at])
        self._denoiser.restore_all(streams, state.denoiser)
        self._beats.restore(bed, state.beats)
        self._fibrillation.restore(bed, state.fibrillation, clean)
        self._pacers[bed] = Pacer(state.rate_hz, len(streams))
        self._pacers[bed].restore(state.pacer)
        for row, each in zip(self._layouts[bed].pulses, state.pulses, strict=True):
            self._pulses.restore(row, each)
        self._averages.restore(bed, streams, state.averages)
        return bed

    def _resample(self, chunks: Sequence[Chunk]) -> list[Signal]:
        """Bring every chunk to 250 Hz; beds of one rate go together."""
        raw: list[Signal] = [_NOTHING] * len(chunks)
        rates = [self._layouts[chunk.bed].rate_hz for chunk in chunks]
        for rate_hz in sorted(set(rates)):
            members = [i for i, rate in enumerate(rates) if rate == rate_hz]
            together = [(self._layouts[chunks[i].bed].streams, chunks[i].mv) for i in members]
            for i, signal in zip(members, _per_stream(self._resampler.feed, together), strict=True):
                raw[i] = signal
        return self._with_tails(chunks, raw, self._resampler)

    def _denoise(self, chunks: Sequence[Chunk], streams: Sequence[tuple[int, ...]], padded: _Padded) -> list[Signal]:
        """Take noise out; quality is judged before that and mains, as it is what the electrodes bring."""
        y, m = self._denoiser.feed(*padded)
        signals = self._with_tails(chunks, _apart(streams, whole(y), m), self._denoiser)
        return [whole(signal) if chunk.last else signal for chunk, signal in zip(chunks, signals, strict=True)]

    def _with_tails(self, chunks: Sequence[Chunk], signals: list[Signal], stage: Resampler | Denoiser) -> list[Signal]:
        """Add what a stage still holds where a session ends."""
        out = []
        for chunk, signal in zip(chunks, signals, strict=True):
            if chunk.last:
                tail = np.stack([stage.flush(stream) for stream in self._layouts[chunk.bed].streams])
                signal = np.concatenate([signal, tail], axis=1)
            out.append(signal)
        return out

    def _judge(self, chunks: Sequence[Chunk], raw: list[Signal], padded: _Padded) -> list[list[BedSecond]]:
        """Return what is to be said of the seconds of each bed that ended."""
        rows, x, count = padded
        off = np.zeros(x.shape, np.bool_)
        at = 0
        for chunk, signal in zip(chunks, raw, strict=True):
            for lead, first, end in chunk.off:
                off[at + lead, max(0, first - chunk.first) : max(0, end - chunk.first)] = True
            at += len(signal)
        judged = iter(self._quality.feed(rows, x, count, off))
        return [[_of_bed(leads) for leads in zip(*(next(judged) for _ in signal), strict=True)] for signal in raw]

    def _per_bed(
        self, stage: Beats | Fibrillation, chunks: Sequence[Chunk], clean: list[Signal]
    ) -> list[NDArray[np.void]]:
        leads = np.array([len(signal) for signal in clean], np.int64)
        count = np.array([signal.shape[1] for signal in clean], np.int64)
        x = np.full((len(clean), leads.max(initial=0), count.max(initial=0)), np.nan, np.float32)
        for i, signal in enumerate(clean):
            x[i, : leads[i], : count[i]] = signal
        return stage.feed(np.array([chunk.bed for chunk in chunks], np.int64), x, leads, count)

    def _find_pulses(self, chunks: Sequence[Chunk]) -> list[NDArray[np.void]]:
        """Return the pulses of each bed that became sure; of several leads in that order."""
        found = [_NO_PULSES] * len(chunks)
        members = [(i, self._layouts[chunk.bed].pulses) for i, chunk in enumerate(chunks) if len(chunk.pulse)]
        if not members:
            return found
        each = iter(self._pulses.feed(*_padded([(rows, chunks[i].pulse) for i, rows in members])))
        for i, rows in members:
            leads = [next(each) for _ in rows]
            for lead, pulses in enumerate(leads):
                pulses["lead"] = lead
            found[i] = leads[0] if len(leads) == 1 else _in_order(np.concatenate(leads))
        return found

    def _place(self, rate_hz: float, n_leads: int, n_pulse_leads: int) -> int:
        bed = self._bed_rows.take()
        streams = tuple(self._streams.take() for _ in range(n_leads))
        self._layouts[bed] = _Layout(rate_hz, streams, tuple(self._pulse_rows.take() for _ in range(n_pulse_leads)))
        return bed


class _Free:
    """Numbers of rows that nobody has."""

    def __init__(self) -> None:
        self._back: list[int] = []
        self._next = 0

    def take(self) -> int:
        if self._back:
            return self._back.pop()
        self._next += 1
        return self._next - 1

    def give_back(self, *rows: int) -> None:
        self._back.extend(rows)


def _in_order(pulses: NDArray[np.void]) -> NDArray[np.void]:
    """Return pulses in the order in which they were sure, those of the first lead first."""
    return pulses[np.lexsort((pulses["lead"], pulses["confirmed"]))]


def _of_bed(leads: Sequence[Second]) -> BedSecond:
    verdicts = tuple(int(each.verdict) for each in leads)
    return BedSecond(leads[0].second, verdicts, is_noisy((each.verdict, each.restless) for each in leads))


_Feed = Callable[[NDArray[np.int64], Signal, NDArray[np.int64]], tuple[Signal, NDArray[np.int64]]]


def _padded(signals: Sequence[tuple[tuple[int, ...], Signal]]) -> _Padded:
    """Lay the leads of many beds under each other: rows, samples padded to one width, and how many are valid."""
    rows = np.array([stream for streams, _ in signals for stream in streams], np.int64)
    count = np.repeat([x.shape[1] for _, x in signals], [len(x) for _, x in signals]).astype(np.int64)
    padded = np.zeros((len(rows), count.max(initial=0)), np.float32)
    at = 0
    for _, x in signals:
        padded[at : at + len(x), : x.shape[1]] = x
        at += len(x)
    return rows, padded, count


def _per_stream(feed: _Feed, signals: Sequence[tuple[tuple[int, ...], Signal]]) -> list[Signal]:
    """Run one per-lead stage over many beds; return each bed's new samples, shape (n_leads, m)."""
    return _apart([streams for streams, _ in signals], *feed(*_padded(signals)))


def _apart(streams: Sequence[tuple[int, ...]], y: Signal, m: NDArray[np.int64]) -> list[Signal]:
    """Give each bed what a stage returned of its streams, those of all beds lying under each other."""
    out, at = [], 0
    for own in streams:
        out.append(y[at : at + len(own), : m[at] if own else 0].copy())
        at += len(own)
    return out
