"""Compiles what is compiled at its first use, and keeps it: by a few made-up heartbeats through the whole pipeline.

Without it the first frames of a ward would wait for half a minute. Compiled code is cached beside its source, so that
`make setup` does it once, and each worker, before it takes a partition, only loads it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ecg.record import Record, RecordLead
from stream.analyze import Analyzed, analyze
from stream.look import Net

SECONDS, RATE_BPM = 13.0, 75.0
RATES_HZ = (250.0, 360.0)
MADE_UP_BEATS = 12
"""So many of them must be found, at least, for the pipeline to be well."""


def warm_up(nets: Mapping[str, Net]) -> Analyzed:
    """Run made-up heartbeats through the pipeline, at a rate that is resampled and at one that is not."""
    analyzed = [analyze(_heartbeats(rate_hz), nets) for rate_hz in RATES_HZ]
    return analyzed[0]


def _heartbeats(rate_hz: float) -> Record:
    """Return two leads of QRS complexes and T waves."""
    t = np.arange(round(SECONDS * rate_hz)) / rate_hz
    since = (t + 0.3) % (60.0 / RATE_BPM)
    wave = np.exp(-(((since - 0.3) / 0.012) ** 2)) + 0.25 * np.exp(-(((since - 0.58) / 0.05) ** 2))
    counts = np.stack([1000 * wave, -600 * wave]).astype(np.int16)
    return Record("warm-up", rate_hz, tuple(RecordLead(name, "ecg", 1000.0, 0, "mV") for name in ("II", "V1")), counts)
