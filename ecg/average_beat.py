"""The average of the patient's normal beats in each lead, and what it shows: ST of each lead, QRS and QT.

Of each bed the last `MOST` beats are kept that are named normal, have the shape of the patient's usual ones, follow a
beat of that name and are not cut short by another. They are aligned at their QRS in all leads together; the average is
their median, sample by sample, so that up to half of them may be disturbed. Every `EVERY` samples the average is
measured (`ecg.qt_measure`), of the leads in which at least `LEAST` beats of the last `KEPT` samples are whole. ST is
the median over the beats of each one's own level, so that what the baseline does between beats does not count.

A beat is taken `HELD` samples after it happened, when its last sample has its baseline (`ecg.st_path`) and the next one
is known: what comes of it depends on the samples alone, whatever the chunks that they came in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ecg.beat_state import BEAT, MAX_LEADS
from ecg.qt_measure import FLAT, POST, PRE, ST, ST_MEAN, WIDTH, isoelectric_at, mean_of, measure_into
from ecg.resample import ANALYSIS_HZ
from ecg.rows import Rows, Spans
from ecg.st_path import DELAY, StPath

MOST, LEAST = 16, 8
"""Beats that are averaged, and how many there must be."""
KEPT = 30 * ANALYSIS_HZ
"""Samples after which a beat no longer counts."""
EVERY = 10 * ANALYSIS_HZ
"""Samples from one measurement to the next."""
HELD = POST + DELAY + 14
"""Samples after a beat at which it is taken: 2.2 s."""
OTHERS = 8
"""Normal beats of one other shape in a row after which that is the patient's usual one."""
LAGS = 3
"""Samples by which a beat may be moved to lie on the others."""
LEVEL_FIRST, LEVEL_END = PRE - 20, PRE - 12
"""Samples of a window whose mean is taken from it when it is kept, so that the level of the baseline is not."""
LEAST_RR_S, MOST_RR_S = 0.3, 2.0
"""Intervals before beats that are averaged."""

MEASURED = np.dtype(
    [
        ("at", "i8"),
        ("first", "i8"),
        ("beats", "i2"),
        ("rr_s", "f4"),
        ("onset", "f4"),
        ("qrs_ms", "f4"),
        ("qt_ms", "f4"),
        ("t_leads", "u2"),
        ("st_mv", "f4", (MAX_LEADS,)),
        ("st_error_mv", "f4", (MAX_LEADS,)),
    ]
)
"""One measurement: `at` is the sample at which it is known and `first` that of its first beat, at 250 Hz from the bed's
first; `beats` how many were averaged, `rr_s` their mean interval; `onset` is where the QRS begins, in samples from a
beat's own, `qrs_ms` and `qt_ms` are of all leads (NaN: cannot be said) and `t_leads` a bit for each lead that decided
QT; `st_mv` and its standard error are by lead."""

_RING = 352
_WAITING = 24
_NEAR = PRE - 25
_FAR = PRE + 30
_WHOLE = WIDTH + 2 * LAGS
_UV = np.float32(1000)
_MISSING = np.int16(-32768)
_NORMAL = ord("N")
_CALLED = hashlib.sha256(Path(__file__).with_name("qt_measure.py").read_bytes()).hexdigest()[:8]
_STREAM = np.dtype([("ring", "f4", (_RING,)), ("usual", "f4", (_FAR - _NEAR,)), ("beats", "i2", (MOST, WIDTH))])
_BED = np.dtype(
    [
        ("clean", "i8"),  # samples at which beats are known
        ("given", "i8"),  # samples of the path
        ("n_waiting", "i8"),
        ("before", BEAT),  # the last beat that was looked at
        ("waiting", BEAT, (_WAITING,)),
        ("shape", "i2"),  # of the patient's usual beats, -1 where none is known
        ("other", "i2"),
        ("n_other", "i2"),
        ("next", "i2"),  # place of the next beat
        ("at", "i8", (MOST,)),  # -1 where there is no beat
        ("rr_s", "f4", (MOST,)),
        ("of_" + _CALLED, "i1"),  # so that no kernel runs that was compiled with another measurement (`beat_state.BED`)
    ]
)


class AverageBeats:
    """Averages the normal beats of many beds and measures them, a row a bed and a row a lead.

    Examples
    --------
    >>> averages = AverageBeats()
    >>> averages.open(0, [0])
    >>> nothing = np.zeros((1, 250), np.float32)
    >>> found = averages.feed([0], [(0,)], np.array([0]), nothing, np.array([250]), [250], [np.zeros(0, BEAT)])
    >>> [len(each) for each in found]
    [0]
    """

    def __init__(self) -> None:
        self._path = StPath()
        stream, bed = np.zeros((), _STREAM), np.zeros((), _BED)
        stream["ring"] = np.nan
        stream["beats"] = _MISSING
        bed["shape"] = bed["other"] = bed["at"] = -1
        self._streams, self._beds = Rows(stream), Rows(bed)

    def open(self, bed: int, streams: Sequence[int]) -> None:
        """Start a bed and its leads in their rows."""
        self._beds.reset(bed)
        for stream in streams:
            self._path.reset(stream)
            self._streams.reset(stream)

    def feed(
        self,
        beds: Sequence[int],
        streams: Sequence[Sequence[int]],
        rows: NDArray[np.int64],
        x: NDArray[np.float32],
        count: NDArray[np.int64],
        clean: Sequence[int],
        beats: Sequence[NDArray[np.void]],
    ) -> list[NDArray[np.void]]:
        """Take samples and beats of some beds.

        Parameters
        ----------
        beds : sequence of int
            Rows of the beds, each at most once.
        streams : sequence of sequence of int
            Rows of the leads of each bed.
        rows, x, count : ndarray
            All leads in that order, one after another: their rows, samples in mV at 250 Hz before any baseline was
            taken off, float32 (n, width), and how many are valid.
        clean : sequence of int
            Samples by which the clock of the beats went on.
        beats : sequence of ndarray of `ecg.beats.BEAT`
            Beats that were confirmed by then.

        Returns
        -------
        list of ndarray of `MEASURED`
            Of each bed, in order of time.
        """
        y, m = self._path.feed(rows, x, count)
        n_leads = np.array([len(each) for each in streams], np.int64)
        n_beats = np.array([len(each) for each in beats], np.int64)
        together = np.frombuffer(bytearray().join([each.tobytes() for each in beats]), BEAT)
        new = np.array(clean, np.int64)
        out = np.zeros((len(beds), int(new.max(initial=0)) // EVERY + 1), MEASURED)
        n_out = np.zeros(len(beds), np.int64)
        if len(beds):
            _feed(
                self._beds.state, self._streams.state, np.array(beds, np.int64), n_leads, rows, y, m, new, together,
                n_beats, out, n_out,
            )  # fmt: skip
        return [out[bed, :n].copy() if n else out[0, :0] for bed, n in enumerate(n_out.tolist())]

    def snapshot(self, bed: int, streams: Sequence[int]) -> list[bytes]:
        """Return the state of a bed and of its leads, without the room for beats that there are not."""
        used = self._used(bed)
        leads = [self._path.snapshot(stream) + self._streams.snapshot(stream, used) for stream in streams]
        self._beds.state["waiting"][bed, self._beds.state["n_waiting"][bed] :] = 0  # what was there is over
        return [self._beds.snapshot(bed), *leads]

    def restore(self, bed: int, streams: Sequence[int], kept: Sequence[bytes]) -> None:
        """Put back what `snapshot` returned; raises ValueError where it is of another layout."""
        self._beds.restore(bed, kept[0])
        used = self._used(bed)
        size = sum(end - first for first, end in used)
        for stream, each in zip(streams, kept[1:], strict=True):
            self._path.restore(stream, each[:-size])
            self._streams.restore(stream, each[-size:], used)

    def _used(self, bed: int) -> Spans:
        """Return what of a lead's row is not as at first, or never looked at."""
        first, size = _STREAM.itemsize - 2 * MOST * WIDTH, 2 * WIDTH
        slots = np.flatnonzero(self._beds.state["at"][bed] >= 0).tolist()
        return ((0, first), *((first + slot * size, first + (slot + 1) * size) for slot in slots))


@njit(cache=True, error_model="numpy")
def _feed(bed_rows, stream_rows, beds, n_leads, rows, y, m, new, beats, n_beats, out, n_out):  # pyright: ignore
    """Go through the beats and the places of measurement of each bed in the order of time."""
    lead0, beat0 = 0, 0
    for b in range(len(beds)):
        bed, leads = bed_rows[beds[b]], rows[lead0 : lead0 + n_leads[b]]
        n_given = m[lead0] if len(leads) else 0
        line = np.empty((len(leads), _RING + n_given), np.float32)
        for i in range(len(leads)):
            line[i, :_RING] = stream_rows[leads[i]]["ring"]
            line[i, _RING:] = y[lead0 + i, :n_given]
            stream_rows[leads[i]]["ring"][:] = line[i, n_given:]
        origin = bed["given"] - _RING
        bed["given"] += n_given
        until = bed["clean"] + new[b]
        place = (bed["clean"] // EVERY + 1) * EVERY
        bed["clean"] = until
        held, known = bed["n_waiting"], n_beats[b]
        k = 0
        while True:
            beat = (
                bed["waiting"][k] if k < held else beats[beat0 + min(k - held, known - 1)] if known else bed["before"]
            )
            due = beat["sample"] + HELD if k < held + known else until + 1
            if min(due, place) > until:
                break
            if due <= place:
                after = k + 1
                following = np.int64(-1)
                if after < held + known:
                    following = (bed["waiting"][after] if after < held else beats[beat0 + after - held])["sample"]
                if _is_usual(bed, stream_rows, leads, beat, following):
                    _take(bed, stream_rows, leads, line, origin, beat)
                bed["before"] = beat
                k += 1
            else:
                if _measured(bed, stream_rows, leads, place, out[b, n_out[b]]):
                    n_out[b] += 1
                place += EVERY
        left = min(held + known - k, _WAITING)
        for j in range(left):
            at = k + j
            bed["waiting"][j] = bed["waiting"][at] if at < held else beats[beat0 + at - held]
        bed["n_waiting"] = left
        lead0 += n_leads[b]
        beat0 += known


@njit(cache=True, error_model="numpy")
def _is_usual(bed, stream_rows, leads, beat, following):  # pyright: ignore
    """Say whether a beat is to be averaged; one other shape that goes on becomes the usual one."""
    if beat["label"] != _NORMAL or beat["shape"] < 0:
        return False
    shape = np.int16(beat["shape"])
    if shape != bed["shape"]:
        bed["n_other"] = bed["n_other"] + 1 if shape == bed["other"] else 1
        bed["other"] = shape
        if bed["shape"] >= 0 and bed["n_other"] < OTHERS:
            return False
        bed["shape"], bed["next"] = shape, 0
        bed["at"][:] = -1
        for i in range(len(leads)):
            stream_rows[leads[i]]["usual"][:] = 0
    bed["n_other"] = 0
    rr_s = beat["rr_s"]
    if not LEAST_RR_S <= rr_s <= MOST_RR_S or bed["before"]["label"] != _NORMAL:
        return False
    return following < 0 or following - beat["sample"] >= 0.7 * rr_s * ANALYSIS_HZ


@njit(cache=True, error_model="numpy")
def _take(bed, stream_rows, leads, line, origin, beat):  # pyright: ignore
    """Keep a beat's samples in each lead, at the place of the oldest one."""
    start = beat["sample"] - PRE - LAGS - origin
    if start < 0 or start + _WHOLE > line.shape[1]:
        return
    n = 0
    for j in range(MOST):
        n += bed["at"][j] >= 0
    lag = LAGS if n == 0 else _aligned(stream_rows, leads, line, start)
    slot = bed["next"]
    for i in range(len(leads)):
        kept, window = stream_rows[leads[i]]["beats"][slot], line[i, start + lag : start + lag + WIDTH]
        level = mean_of(window, LEVEL_FIRST, LEVEL_END)
        usual, share = stream_rows[leads[i]]["usual"], np.float32(1.0 / min(n + 1, 8))
        whole = True
        for k in range(WIDTH):
            above = (window[k] - level) * _UV
            if not abs(above) < 32767:
                whole = False
                break
            kept[k] = np.int16(np.rint(above))
        if not whole:
            kept[0] = _MISSING
            continue
        for k in range(_NEAR, _FAR):
            usual[k - _NEAR] += share * (window[k] - level - usual[k - _NEAR])
    bed["at"][slot], bed["rr_s"][slot] = beat["sample"], beat["rr_s"]
    bed["next"] = (slot + 1) % MOST


@njit(cache=True, error_model="numpy")
def _aligned(stream_rows, leads, line, start):  # pyright: ignore
    """Return by how much later a window must begin so that its QRS is likest the usual one, in all leads together."""
    best, found = np.float32(np.inf), LAGS
    for step in range(2 * LAGS + 1):
        lag = LAGS + (step + 1) // 2 * (1 - 2 * (step % 2))
        unlike = np.float32(0)
        for i in range(len(leads)):
            usual, first = stream_rows[leads[i]]["usual"], start + lag
            if not line[i, start : start + _WHOLE].sum() < np.inf:
                continue
            level = mean_of(line[i], first + LEVEL_FIRST, first + LEVEL_END)
            for k in range(_NEAR, _FAR):
                unlike += (line[i, first + k] - level - usual[k - _NEAR]) ** 2
        if unlike < best:
            best, found = unlike, lag
    return found


@njit(cache=True, error_model="numpy")
def _measured(bed, stream_rows, leads, place, found):  # pyright: ignore
    """Average the beats that count at a place and measure the average; False where there are too few of them."""
    slots = np.empty(MOST, np.int64)
    n, first, total_s = 0, place, np.float32(0)
    for j in range(MOST):
        if bed["at"][j] >= 0 and bed["at"][j] > place - KEPT:
            slots[n] = j
            n += 1
            first = min(first, bed["at"][j])
            total_s += bed["rr_s"][j]
    if n < LEAST:
        return False
    slots = slots[:n]
    beat = np.full((len(leads), WIDTH), np.nan, np.float32)
    error = np.full(len(leads), np.nan, np.float32)
    for i in range(len(leads)):
        _average(stream_rows[leads[i]]["beats"], slots, beat[i], error[i : i + 1])
    st, ends = np.full(len(leads), np.nan, np.float32), np.full(len(leads), np.nan, np.float32)
    qrs_first, qrs_last, qt_ms, t_leads = measure_into(beat, error, total_s / n, st, ends)
    found["at"], found["first"], found["beats"], found["rr_s"] = place, first, n, total_s / n
    found["onset"] = qrs_first - PRE
    found["qrs_ms"] = (qrs_last - qrs_first) * 1000.0 / ANALYSIS_HZ
    found["qt_ms"], found["t_leads"] = qt_ms, t_leads
    found["st_mv"][:] = np.nan
    found["st_error_mv"][:] = np.nan
    if qrs_first == qrs_first:
        flat = isoelectric_at(beat, int(qrs_first))
        for i in range(min(len(leads), MAX_LEADS)):
            if beat[i, 0] == beat[i, 0]:
                _levels(stream_rows[leads[i]]["beats"], slots, flat, int(qrs_last) + ST, found, i)
    return True


@njit(cache=True, error_model="numpy")
def _average(beats, slots, beat, error):  # pyright: ignore
    """Give the median of the whole beats, and its standard error from their quartiles, the median one of T's."""
    values = np.empty(len(slots), np.float32)
    spread = np.empty(WIDTH - PRE - ST, np.float32)
    n = 0
    for j in slots:
        n += beats[j, 0] != _MISSING
    if n < LEAST:
        return
    for k in range(WIDTH):
        m = 0
        for j in slots:
            if beats[j, 0] != _MISSING:
                values[m] = beats[j, k] / _UV
                m += 1
        _sort(values, n)
        beat[k] = _middle(values, n)
        if k >= PRE + ST:
            spread[k - PRE - ST] = values[(3 * n) // 4] - values[n // 4]
    error[0] = np.median(spread) / np.float32(1.35) * np.float32(1.25) / np.sqrt(np.float32(n))


@njit(cache=True, error_model="numpy")
def _levels(beats, slots, flat, at, found, lead):  # pyright: ignore
    """Give ST of a lead: the median of that of each beat, and its standard error from their quartiles."""
    values = np.empty(len(slots), np.float32)
    n = 0
    for j in slots:
        if beats[j, 0] != _MISSING:
            high = mean_of(beats[j], at - ST_MEAN, at + ST_MEAN + 1)
            values[n] = (high - mean_of(beats[j], flat, flat + FLAT)) / _UV
            n += 1
    _sort(values, n)
    found["st_mv"][lead] = _middle(values, n)
    spread = (values[(3 * n) // 4] - values[n // 4]) / np.float32(1.35)
    found["st_error_mv"][lead] = spread * np.float32(1.25) / np.sqrt(np.float32(n))


@njit(cache=True, error_model="numpy")
def _sort(values, n):  # pyright: ignore
    """Sort a few values in place."""
    for i in range(1, n):
        value = values[i]
        k = i
        while k > 0 and values[k - 1] > value:
            values[k] = values[k - 1]
            k -= 1
        values[k] = value


@njit(cache=True, error_model="numpy")
def _middle(values, n):  # pyright: ignore
    return values[n // 2] if n % 2 else (values[n // 2 - 1] + values[n // 2]) / np.float32(2)
