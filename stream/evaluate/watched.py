"""One record of a rhythm set through the pipeline, and all that is counted in it.

What each count means stands in `stream.evaluate.rhythm`; here it is taken from the alarms of one record and its
reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg.clinical import Settings
from ecg.condition import LETHAL
from ecg.ec57.label import BEATS
from ecg.episodes import (
    NOTHING,
    Overlap,
    Span,
    Stretches,
    common,
    compare,
    outside,
    spans,
    total,
    touched,
    union,
    widened,
)
from ecg.record import Annotations, Record, annotations, read
from ecg.resample import ANALYSIS_HZ
from ecg.segments import RAPID_BPM, Segment, called, label_all, rate_bpm, ventricular
from ecg.wave_fit import patient
from ecg.wavelet import Denoiser
from stream.analyze import EPOCH_NS, analyze
from stream.evaluate.networks import Networks
from stream.evaluate.refit import Anew, judging

LONG_S = 10.0
"""Episodes from this length on have a delay."""
ROUGH_S = 5.0
"""An alarm this near to an event is not false: marks of a rhythm's begin and end are rough."""
BEFORE_END_S = Denoiser().delay / ANALYSIS_HZ
"""How far the clean signal is behind the samples that come in: this much later than its event time a decision falls."""
NEAR = 0.05
"""An extreme rate is true if the reference's is within this share of the limit."""
BRADY_BEATS, TACHY_BEATS = 4, 12
"""Intervals of the reference whose mean is an extreme rate: as many as the rules take."""

CALLED = ("ventricular_fibrillation", "ventricular_tachycardia")
ALSO = ("extreme_tachycardia",)
LEAST_AF_S = 30.0
"""Episodes of atrial fibrillation shorter than this, and flutter, count neither for nor against."""
EPISODES = {"af": "atrial_fibrillation", "vt": "ventricular_tachycardia", "vf": "ventricular_fibrillation"}
FALSE = (*LETHAL, "atrial_fibrillation")
"""Conditions whose false alarms are counted."""


class Delay(msgspec.Struct, frozen=True):
    """One episode of a rhythm to be shocked: when an alarm came, or until when none did (not `seen`)."""

    onset_s: float
    end_s: float
    waited_s: float
    seen: bool


class Watched(msgspec.Struct, frozen=True):
    """What one record counts.

    `also` is, for each segment, whether extreme tachycardia or those would have called it; `judged_s` the seconds
    without an event of each condition whose false alarms can be told, and `false` these alarms.
    """

    record_set: str
    record: str
    patient: str
    seconds: float
    segments: list[Segment]
    also: list[bool]
    overlaps: dict[str, Overlap]
    delays: list[Delay]
    judged_s: dict[str, float]
    false: dict[str, list[Span]]

    @property
    def wrong(self) -> list[Segment]:
        """The segments that were decided wrongly."""
        return [each for each in self.segments if each.label in SHOCKED and each.called != SHOCKED[each.label]]

    @property
    def cost(self) -> int:
        """Segments decided wrongly, and false alarms."""
        return len(self.wrong) + sum(map(len, self.false.values()))


SHOCKED = {"shockable": True, "other": False}
"""Labels that sensitivity and specificity are made of; asystole has a specificity of its own."""


def watch(path: Path, record_set: str, anew: Mapping[str, Anew], networks: Networks) -> Watched:
    """Run one record through the pipeline, by what was fitted without its patient where that is given, and count."""
    recording, reference, whose = read(path), annotations(path), patient(record_set, path.name)
    with judging(anew.get(whose, Anew())):
        alarms = spans(analyze(recording, networks.judging(whose)).alerts, EPOCH_NS, recording.duration_s)
    return count(recording, reference, alarms, record_set)


def count(recording: Record, reference: Annotations, alarms: list[Span], record_set: str) -> Watched:
    """Count a record's segments, episodes, delays and false alarms."""
    end_s = recording.duration_s
    rhythms = ventricular(reference, recording.rate_hz, end_s)
    segments = label_all(recording, reference, beats_only=record_set == "cudb") if record_set != "mitdb" else []
    events = _events(recording, reference, rhythms, record_set)
    return Watched(
        record_set,
        recording.name,
        patient(record_set, recording.name),
        end_s,
        [Segment(first, label, called(alarms, first)) for first, label in segments],
        [called(alarms, first, ALSO) for first, _ in segments],
        {} if record_set == "cudb" else {kind: _overlap(kind, rhythms, alarms, end_s) for kind in EPISODES},
        _delays(recording, rhythms, alarms),
        {name: total(outside(union(at, rhythms["ectopy"]), 0.0, end_s)) for name, at in events.items()},
        {name: _false(name, at, rhythms["ectopy"], alarms) for name, at in events.items()},
    )


def _overlap(kind: str, rhythms: dict[str, Stretches], alarms: list[Span], end_s: float) -> Overlap:
    """Compare episodes; what is marked as ectopy of a high grade may be a tachycardia or not, and is left out."""
    ours = _stretches(alarms, EPISODES[kind])
    if kind != "af":
        return compare(rhythms[kind], common(ours, outside(rhythms["ectopy"], 0.0, end_s)))
    short = rhythms["af"][:, 1] - rhythms["af"][:, 0] < LEAST_AF_S
    scored = outside(union(rhythms["afl"], rhythms["af"][short]), 0.0, end_s)
    return compare(rhythms["af"][~short], common(ours, scored))


def _stretches(alarms: list[Span], *conditions: str) -> Stretches:
    return union([(s.onset_s, s.last_s) for s in alarms if s.condition in conditions])


def _delays(recording: Record, rhythms: dict[str, Stretches], alarms: list[Span]) -> list[Delay]:
    """Return the delays of the long episodes to be shocked, of whichever of those rhythms they are."""
    rate_hz, mv = recording.rate_hz, recording.mv()
    rapid = [
        (first, end)
        for first, end in rhythms["vt"]
        if rate_bpm(mv[:, round(first * rate_hz) : round(end * rate_hz)], rate_hz) >= RAPID_BPM
    ]
    found = []
    for onset_s, end_s in union(rhythms["vf"], rapid).tolist():
        if end_s - onset_s < LONG_S:
            continue
        heard = [s.decided_s for s in alarms if s.condition in CALLED and s.decided_s <= end_s and s.last_s >= onset_s]
        waited_s = min(heard, default=end_s) - onset_s + BEFORE_END_S
        found.append(Delay(onset_s, end_s, max(0.0, waited_s), bool(heard)))
    return found


def _events(
    recording: Record, reference: Annotations, rhythms: dict[str, Stretches], record_set: str
) -> dict[str, Stretches]:
    """Return when each condition is true, for those of which the set tells it; `cudb` names too few rhythms."""
    if record_set == "cudb":
        return {}
    ventricles = union(rhythms["vt"], rhythms["vf"])
    events = {
        "asystole": rhythms["asystole"],
        "ventricular_fibrillation": ventricles,
        "ventricular_tachycardia": ventricles,
        "atrial_fibrillation": union(rhythms["af"], rhythms["afl"]),
    }
    beats_s = reference.samples[np.isin(reference.symbols, list(BEATS))] / recording.rate_hz
    if len(beats_s) < 2:
        return events
    limits = Settings()
    pauses = union(_rows(beats_s, 1, lambda s: s >= limits.asystole_s))
    slow = _rows(beats_s, BRADY_BEATS, lambda s: 60 * BRADY_BEATS / s < (1 + NEAR) * limits.extreme_low_bpm)
    fast = _rows(beats_s, TACHY_BEATS, lambda s: 60 * TACHY_BEATS / s > (1 - NEAR) * limits.extreme_high_bpm)
    return {
        **events,
        "asystole": union(rhythms["asystole"], pauses),
        "extreme_bradycardia": union(slow, pauses, rhythms["asystole"]),
        "extreme_tachycardia": union(fast, ventricles),
    }


def _rows(beats_s: NDArray[np.float64], n: int, holds: Callable[[NDArray[np.float64]], NDArray[np.bool_]]) -> Stretches:
    """Return the stretches of n intervals whose length in seconds is as asked."""
    if len(beats_s) <= n:
        return NOTHING
    first, end = beats_s[:-n], beats_s[n:]
    chosen = holds(end - first)
    return union(np.column_stack([first[chosen], end[chosen]]))


def _false(name: str, events: Stretches, ectopy: Stretches, alarms: list[Span]) -> list[Span]:
    """Return the alarms of a condition that are near no event of it, nor in what nobody can judge."""
    ours = [span for span in alarms if span.condition == name]
    if not ours:
        return []
    rows = np.array([(span.onset_s, max(span.last_s, span.onset_s + 0.2)) for span in ours])
    near = touched(rows, union(widened(events, ROUGH_S), ectopy))
    return [span for span, is_near in zip(ours, near, strict=True) if not is_near]
