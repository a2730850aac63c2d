"""Beats of the pulse in PLETH and arterial pressure: when each came, how large it was, and how like those before.

A pulse is a rise that is followed by a fall, both larger than a share of what the pulses before were: so the dicrotic
wave is none, nor is breathing, whose rises are too slow. Amplitudes are in the lead's own unit, and nothing depends on
it. Everything is decided block by block (20 ms) from the stream alone: the pulses are the same, to the bit, whatever
the chunks and whatever the batch.

Rises and falls as in Aboy et al. 2005 (doi:10.1109/TBME.2005.855725) and Zong et al. 2003
(doi:10.1109/CIC.2003.1291140), whose thresholds follow the last pulses, too; likeness to the pulses before as in Li and
Clifford 2012 (doi:10.1088/0967-3334/33/9/1491). Deviations: one threshold on amplitudes rather than spectra or sums of
slopes; the pulse's place is its steepest rise rather than its foot; the template is of one length and not warped.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ecg.resample import ANALYSIS_HZ
from ecg.rows import Rows

BLOCK_S = 0.02
"""Samples are averaged over this long, about: pulses hold nothing above 20 Hz."""
RISE_SHARE = 0.4
"""A rise and a fall are a pulse from this share of the last pulses' median on; dicrotic waves stay under it."""
SLOWEST_RISE_S = 0.5
"""A pulse's amplitude over its steepest slope is at most this: slower rises are breathing or wander."""
ROUGH = 5.0
"""A pulse is this many times the mean range within its blocks: a beat of 40 blocks that rises and falls by its size
has twenty of these ranges in it, mains hum on a flat line less than one."""
COUNTS = 8.0
"""A pulse has at least this many counts: the last bits of a flat line are none."""
REFRACTORY_S = 0.24
"""The least time between two pulses: 250 a minute."""
FORGETTING_S = 2.0
"""Without a pulse for longer than this, the threshold halves every second: an artefact's size is forgotten."""
MAX_DELAY_S = 1.5
"""No pulse whose crest was passed within a second of its steepest rise is known later than this after that."""

_BLOCK_HZ = round(1 / BLOCK_S)
_RING = 128
_BEFORE, _AFTER = 5, 15
_POINTS = _BEFORE + _AFTER
_RECENT = 5
_LEARN = 100
_TEACH = 0.25
_CALM = 0.02

PULSE = np.dtype([("sample", "i8"), ("confirmed", "i8"), ("amplitude", "f4"), ("similarity", "f4"), ("lead", "u1")])
"""One pulse: `sample` is its steepest rise and `confirmed` the sample at which it was sure, counted at 250 Hz from the
bed's first; `amplitude` from trough to crest in the lead's unit; `similarity` -1 ... 1 of its shape, 0.1 s before to
0.3 s after, to those before; `lead` which of the bed's pulse leads shows it."""

_STREAM = np.dtype(
    [
        ("rate_hz", "f8"),
        ("block", "i8"),  # samples of a block
        ("seen", "i8"),  # samples
        ("blocks", "i8"),
        ("total", "f8"),  # of the block that is not full
        ("present", "i4"),
        ("lowest", "f4"),  # of the block that is not full
        ("highest", "f4"),
        ("rough", "f4"),  # mean range within a block, of the last second or so
        ("step", "f4"),  # one count, in the lead's unit
        ("held", "f4"),
        ("rising", "i1"),
        ("low", "f4"),
        ("low_at", "i8"),
        ("high", "f4"),
        ("high_at", "i8"),
        ("steep", "f4"),
        ("steep_at", "i8"),
        ("found", "i8"),  # pulses so far
        ("last", "i8"),  # block of the last one
        ("waits", "i1"),  # a pulse whose shape is not whole
        ("size", "f4"),  # its amplitude
        ("usual", "f4"),  # median of the last amplitudes
        ("recent", "f4", (_RECENT,)),
        ("template", "f4", (_POINTS,)),
        ("taught", "i4"),
        ("ring", "f4", (_RING,)),
    ]
)


class Pulses:
    """Finds the pulses of many leads at their devices' rates, a row a lead.

    Missing samples are bridged by the last one that was there: a gap holds no pulse.

    Examples
    --------
    >>> t = np.arange(2500) % 200 / 250
    >>> wave = (80 + 40 * np.exp(-(((t - 0.3) / 0.1) ** 2))).astype("f4")
    >>> pulses = Pulses()
    >>> pulses.reset(0, 250.0)
    >>> found = pulses.feed(np.array([0]), wave[None], np.array([2500]))[0]
    >>> np.diff(found["sample"]).tolist()[-3:], [round(float(v)) for v in found["amplitude"][-2:]]
    ([200, 200, 200], [40, 40])
    """

    def __init__(self) -> None:
        self.rows = Rows(np.zeros((), _STREAM))

    def reset(self, row: int, rate_hz: float, gain: float = np.inf) -> None:
        """Start a lead of a device's rate, and of so many counts per unit, in a row."""
        self.rows.reset(row)
        stream = self.rows.state[row]
        stream["rate_hz"], stream["block"] = rate_hz, max(1, round(rate_hz * BLOCK_S))
        stream["step"], stream["lowest"], stream["highest"] = 1.0 / abs(gain), np.inf, -np.inf

    def feed(self, rows: NDArray[np.int64], x: NDArray[np.float32], count: NDArray[np.int64]) -> list[NDArray[np.void]]:
        """Take the next samples of some leads and return the pulses that they make sure, for each in order.

        Parameters
        ----------
        rows : ndarray of int64, shape (n,)
            Rows of the leads, each at most once.
        x : ndarray of float32, shape (n, width)
            Samples at the device's rate, NaN where missing. Only `x[i, :count[i]]` is read.
        count : ndarray of int64, shape (n,)
            Samples given of each lead.

        Returns
        -------
        list of ndarray of `PULSE`
            With `lead` 0.
        """
        most = int(count.max(initial=0)) // 20 + 2
        found, made = np.zeros((len(rows), most), PULSE), np.zeros(len(rows), np.int64)
        if len(rows):
            _feed(self.rows.state, rows, x, count, found, made)
        return [found[i, :n].copy() for i, n in enumerate(made)]

    def snapshot(self, row: int) -> bytes:
        """Return a lead's state as bytes."""
        return self.rows.snapshot(row)

    def restore(self, row: int, kept: bytes) -> None:
        """Put back a state that `snapshot` returned; raises ValueError where it is of another layout."""
        self.rows.restore(row, kept)


@njit(cache=True)
def _feed(state, rows, x, count, found, made):  # pyright: ignore
    """Take each lead's samples block by block."""
    recent, shape = np.empty(_RECENT, np.float32), np.empty(_POINTS, np.float32)
    for i in range(rows.shape[0]):
        lead = state[rows[i]]
        block, total, present = lead.block, lead.total, lead.present
        lowest, highest = lead.lowest, lead.highest
        left = block - lead.seen % block
        for k in range(count[i]):
            value = x[i, k]
            if np.isfinite(value):
                total += value
                present += 1
                if value < lowest:
                    lowest = value
                if value > highest:
                    highest = value
            left -= 1
            if left == 0:
                if present:
                    lead.held = total / present
                    lead.rough += _CALM * (highest - lowest - lead.rough)
                if _take(lead, recent):
                    _say(lead, shape, found[i, made[i]])
                    made[i] += 1
                total, present, left = 0.0, 0, block
                lowest, highest = np.float32(np.inf), np.float32(-np.inf)
        lead.total, lead.present, lead.lowest, lead.highest = total, present, lowest, highest
        lead.seen += count[i]


@njit(cache=True)
def _take(lead, recent):  # pyright: ignore
    """Take one block; return whether a pulse is sure with it."""
    at, value = lead.blocks, lead.held
    lead.ring[at % _RING] = value
    lead.blocks += 1
    if at == 0:
        lead.low, lead.high, lead.last = value, value, 0
    if lead.found == 0 and at < _LEARN:
        lead.low, lead.high = min(lead.low, value), max(lead.high, value)
        if at == _LEARN - 1:
            lead.usual = 0.7 * (lead.high - lead.low)
            lead.recent[:] = lead.usual
            lead.low, lead.low_at, lead.last = value, at, at
        return False
    least = RISE_SHARE * lead.usual
    if at - lead.last > FORGETTING_S * _BLOCK_HZ:
        least *= 0.5 ** ((at - lead.last) / _BLOCK_HZ - FORGETTING_S)
    if lead.rising:
        if value > lead.high:
            lead.high, lead.high_at = value, at
            _steepen(lead, at)
        elif lead.high - value > least:
            lead.rising = 0
            _crest(lead, recent)
            lead.low, lead.low_at = value, at
    elif value <= lead.low:
        lead.low, lead.low_at = value, at
    elif value - lead.low > least:
        lead.rising, lead.high, lead.high_at, lead.steep = 1, value, at, 0.0
        for k in range(max(lead.low_at + 1, at - _RING + 2), at + 1):
            _steepen(lead, k)
    if lead.waits and at - lead.last >= _AFTER:
        lead.waits = 0
        return True
    return False


@njit(cache=True)
def _steepen(lead, at):  # pyright: ignore
    """Note the steepest step of a rise."""
    step = lead.ring[at % _RING] - lead.ring[(at - 1) % _RING]
    if step > lead.steep:
        lead.steep, lead.steep_at = step, at


@njit(cache=True)
def _crest(lead, recent):  # pyright: ignore
    """Take a rise that is over for a pulse, unless it was too slow or too soon after the last."""
    size = lead.high - lead.low
    if size > SLOWEST_RISE_S * _BLOCK_HZ * lead.steep or lead.waits:
        return
    if size < max(ROUGH * lead.rough, COUNTS * lead.step):
        return
    if lead.found and lead.steep_at - lead.last < REFRACTORY_S * _BLOCK_HZ:
        return
    forgotten = lead.steep_at - lead.last > FORGETTING_S * _BLOCK_HZ
    for k in range(_RECENT - 1):
        lead.recent[k] = size if forgotten else lead.recent[k + 1]
    lead.recent[_RECENT - 1] = size
    recent[:] = lead.recent
    recent.sort()
    lead.usual = recent[_RECENT // 2]
    lead.size, lead.last, lead.waits = size, lead.steep_at, 1
    lead.found += 1


@njit(cache=True)
def _say(lead, shape, pulse):  # pyright: ignore
    """Describe the pulse whose shape is whole, and let it teach the template."""
    mean = 0.0
    for k in range(_POINTS):
        shape[k] = lead.ring[(lead.last - _BEFORE + k) % _RING]
        mean += shape[k]
    mean /= _POINTS
    norm = 0.0
    for k in range(_POINTS):
        shape[k] -= mean
        norm += shape[k] * shape[k]
    norm = np.sqrt(norm) + 1e-12
    product, own = 0.0, 1e-12
    for k in range(_POINTS):
        shape[k] /= norm
        product += shape[k] * lead.template[k]
        own += lead.template[k] * lead.template[k]
    share = _TEACH if lead.taught else 1.0
    for k in range(_POINTS):
        lead.template[k] += share * (shape[k] - lead.template[k])
    pulse.similarity = product / np.sqrt(own) if lead.taught else 0.0
    lead.taught = 1
    pulse.amplitude = lead.size
    scale = lead.block * ANALYSIS_HZ / lead.rate_hz
    pulse.sample = int((lead.last + 0.5) * scale)
    pulse.confirmed = int(lead.blocks * scale) + 1
