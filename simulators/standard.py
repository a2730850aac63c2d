"""Inputs for the tests of a heart rate meter and of its alarms, after what IEC 60601-2-27 and EC13 describe.

The standards' own texts were not read. Rate steps, standstill, tall T waves, small and wide complexes, mains and pacer
spikes are exact; waveforms 3 and 4 are drawings in the standard, and are made to their rates, widths and sizes. All are
one lead at 500 Hz, of a device with 1000 counts a millivolt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.frame import Lead
from simulators.source import Source, to_counts
from simulators.waveform import at_rates, train

RATE_HZ = 500.0
LEAD = Lead("II", 1000.0)
WIDE_MS = 160.0
"""Width of the complexes that stand for ventricular beats."""
ALTERNATING: dict[str, tuple[tuple[float, float, float], ...]] = {
    "3a": ((0.5, 1.0, 90.0), (1.0, 1.3, WIDE_MS)),
    "3b": ((0.6, 1.0, 90.0), (1.4, 1.3, WIDE_MS)),
    "3c": ((0.4, 1.0, 90.0), (0.6, 1.3, WIDE_MS)),
    "3d": ((2 / 3, 1.3, WIDE_MS), (2 / 3, -1.3, WIDE_MS)),
}
"""Waveforms 3a-3d: seconds to the next complex, its height in mV and width in ms, over and over: ventricular bigeminy,
slow and rapid alternating bigeminy, bidirectional systoles."""
TACHYCARDIA: dict[str, tuple[float, float]] = {"4a": (206.0, 1.0), "4b": (195.0, 2.0)}
"""Waveforms 4a and 4b: rate in bpm and size from peak to peak in mV."""


class Given(NamedTuple):
    """An input: what the device measures, and the second at which what is to be found begins."""

    source: Source
    onset_s: float = 0.0


def steady(seconds: float = 30.0, bpm: float = 80.0, **shape: float) -> Given:
    """Return complexes at one rate; `shape` as in `simulators.waveform.train`."""
    return Given(_source(train(at_rates([(bpm, seconds)]), seconds, RATE_HZ, **shape)))


def rate_step(first_bpm: float, then_bpm: float, at_s: float = 30.0, seconds: float = 60.0) -> Given:
    """Return a step of the rate; it begins with the last beat of the old one."""
    beats = at_rates([(first_bpm, at_s), (then_bpm, seconds - at_s)])
    return Given(_source(train(beats, seconds, RATE_HZ)), float(beats[beats < at_s][-1]))


def alternating(name: str, seconds: float = 40.0) -> Given:
    """Return waveform 3a, 3b, 3c or 3d."""
    made, at, k = np.zeros(round(seconds * RATE_HZ), np.float32), 0.5, 0
    while at < seconds:
        until_s, mv, ms = ALTERNATING[name][k % 2]
        wide = {"t_mv": -0.3 * mv, "qt_ms": 380.0} if ms == WIDE_MS else {"t_mv": 0.2}
        made += train([at], seconds, RATE_HZ, qrs_mv=mv, qrs_ms=ms, **wide)
        at, k = at + until_s, k + 1
    return Given(_source(made))


def tachycardia(name: str, gain: float = 1.0, at_s: float = 20.0, seconds: float = 40.0) -> Given:
    """Return waveform 4a or 4b after a normal rhythm of 80 bpm and 1 mV."""
    bpm, size_mv = TACHYCARDIA[name]
    made = train(at_rates([(80.0, at_s)]), seconds, RATE_HZ, t_mv=0.2)
    t = np.arange(round((seconds - at_s) * RATE_HZ)) / RATE_HZ
    turn = (t * bpm / 60) % 1.0
    wave = np.where(turn < 0.45, np.sin(np.pi * turn / 0.45), -0.6 * np.sin(np.pi * (turn - 0.45) / 0.55))
    made[len(made) - len(t) :] = gain * size_mv * wave / (wave.max() - wave.min())
    return Given(_source(made), at_s)


def standstill(at_s: float = 20.0, seconds: float = 40.0, first_bpm: float = 80.0) -> Given:
    """Return a heart that stands still from its last beat before `at_s` on."""
    beats = at_rates([(first_bpm, at_s)])
    return Given(_source(train(beats, seconds, RATE_HZ, t_mv=0.2)), float(beats[-1]))


def mains(mv: float = 0.1, hz: float = 50.0, seconds: float = 30.0) -> Given:
    """Return mains of so many millivolts from peak to peak, upon a line at zero."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return Given(_source((0.5 * mv * np.cos(2 * np.pi * hz * t)).astype(np.float32)))


def lead_off(at_s: float = 20.0, seconds: float = 40.0) -> Given:
    """Return a rhythm of 80 bpm whose electrode comes off, as the device says."""
    given = steady(seconds, t_mv=0.2)
    off = np.zeros(given.source.counts.shape, np.bool_)
    off[:, round(at_s * RATE_HZ) :] = True
    counts = np.where(off, 0, given.source.counts).astype(np.int16)
    return Given(Source("lead off", RATE_HZ, (LEAD,), counts, loop_to=None, off=off), at_s)


def paced(spike_mv: float, spike_ms: float, *, beats: bool, at_s: float = 20.0, seconds: float = 40.0) -> Given:
    """Return a pacer at 80 bpm whose spikes the device flags; from `at_s` on they evoke no beat, unless `beats`.

    A spike is shorter than a sample: what the converter sees of it is its mean over one, up to its own rails.
    """
    spikes_s = at_rates([(80.0, seconds)])
    evoked_s = spikes_s[spikes_s < at_s] if not beats else spikes_s
    made = train(evoked_s + 0.16, seconds, RATE_HZ, t_mv=0.2)
    at = np.round(spikes_s * RATE_HZ).astype(np.int64)
    made[at] += min(32.0, spike_mv * min(1.0, spike_ms * RATE_HZ / 1000))
    flags = np.zeros(len(made), np.bool_)
    flags[at] = True
    last_s = float(evoked_s[-1] + 0.16)
    return Given(_source(made, flags), last_s)


def _source(mv: NDArray[np.float32] | Sequence[float], pacer: NDArray[np.bool_] | None = None) -> Source:
    counts = to_counts(np.atleast_2d(np.asarray(mv, np.float32)), (LEAD,))
    return Source("standard", RATE_HZ, (LEAD,), counts, loop_to=None, pacer=pacer)
