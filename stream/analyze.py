"""One recording through the same pipeline as the ward's, without a server: `vigil analyze`.

The recording becomes the log that a device would have written: a setup, frames of one second, a tick a second; so the
alerts are those that the record gives when it is sent through Kafka, but for `source`, `decided_ns` and the chain.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg import record as wfdb
from ecg.alert import Alert, Vitals, decode_alert, decode_vitals
from ecg.alert import encode as encode_item
from ecg.clinical import Settings
from ecg.frame import Frame, Setup, Tick, encode
from ecg.frontend import Analysis
from ecg.lead import of_record
from ecg.record import Record as Recording
from ecg.resample import ANALYSIS_HZ
from stream.batch import Out, Record
from stream.look import Net
from stream.pipeline import Pipeline

EPOCH_NS = 946_684_800_000_000_000
"""Device time of a recording's first sample where nobody says otherwise: 2000-01-01, since most have no date."""
FRAME_S = 1.0
BATCH_S = 60
"""Seconds of a recording that are taken together; any other number gives the same alerts."""

RHYTHM_MARKS = {
    "atrial fibrillation": "(AFIB",
    "ventricular tachycardia": "(VT",
    "ventricular fibrillation": "(VFIB",
    "asystole": "(ASYS",
}
"""Rhythm names of the pipeline and their WFDB marks; every other rhythm is written as `(N`."""


class Analyzed(NamedTuple):
    """What the pipeline made of a recording; samples of beats are at the recording's own rate."""

    alerts: list[Alert]
    vitals: list[Vitals]
    beat_samples: NDArray[np.int64]
    beat_labels: str
    clean_mv: NDArray[np.float32]


def frames(recording: Recording, device: str, t0_ns: int = EPOCH_NS, frame_s: float = FRAME_S) -> Iterator[Frame]:
    """Cut a recording into the frames that a device would send; the last one says that the session ends."""
    leads, counts, _ = of_record(recording)
    n = recording.counts.shape[1]
    least = int(np.ceil(0.04 * recording.rate_hz))
    per_frame = max(least, round(frame_s * recording.rate_hz))
    starts = list(range(0, max(1, n - least + 1), per_frame))
    for seq, first in enumerate(starts):
        end = n if seq + 1 == len(starts) else first + per_frame
        yield Frame(
            device=device,
            session="analyze",
            seq=seq,
            t0_ns=t0_ns + round(first * 1e9 / recording.rate_hz),
            rate_hz=recording.rate_hz,
            leads=leads,
            counts=np.ascontiguousarray(counts[:, first:end]).astype("<i2").tobytes(),
            last=end == n,
        )


def pseudonym(name: str) -> str:
    """Return a record's name as a device may have it: letters, digits and `._:-`, the first a letter or digit."""
    return re.sub(r"[^A-Za-z0-9._:-]", "-", name).lstrip("._:-")[:64] or "record"


def log(recording: Recording, device: str, setup: Setup, t0_ns: int = EPOCH_NS) -> Iterator[list[Record]]:
    """Write a recording as the log of one partition, in batches of `BATCH_S`."""
    entries: list[Setup | Tick | Frame] = [setup]
    offset = 0
    for frame in frames(recording, device, t0_ns):
        entries += [frame, Tick("analyze", frame.seq, frame.t0_ns + round(1e9 * frame.n_samples / frame.rate_hz))]
        if len(entries) >= 2 * BATCH_S or frame.last:
            yield [Record(0, offset + i, device.encode(), encode(entry)) for i, entry in enumerate(entries)]
            offset += len(entries)
            entries = []


def fed(
    recording: Recording, pipeline: Pipeline, device: str, setup: Setup, t0_ns: int = EPOCH_NS
) -> Iterator[tuple[int, Out]]:
    """Feed a recording's log to a pipeline; give the last offset of each batch with what came of it.

    Raises
    ------
    ValueError
        If a part of it could not be accepted.
    """
    for batch in log(recording, device, setup, t0_ns):
        out = pipeline.feed(batch)
        for record, reason in out.dead:
            raise ValueError(f"{recording.name}: {reason} (input offset {record.offset})")
        yield batch[-1].offset, out


class _Watch:
    """Collects what the array stages found, on the recording's own clock."""

    def __init__(self, recording: Recording, t0_ns: int) -> None:
        self._t0_ns, self._rate_hz = t0_ns, recording.rate_hz
        self.samples: list[int] = []
        self.labels: list[str] = []
        self.clean: list[NDArray[np.float32]] = []

    def __call__(self, device: str, origin_ns: int, analysis: Analysis) -> None:
        first = (origin_ns - self._t0_ns) / 1e9
        self.clean.append(analysis.shown)
        for beat in analysis.beats:
            self.samples.append(round((first + int(beat["sample"]) / ANALYSIS_HZ) * self._rate_hz))
            self.labels.append(chr(beat["label"]))


def analyze(
    recording: Recording,
    nets: Mapping[str, Net],
    *,
    device: str | None = None,
    t0_ns: int = EPOCH_NS,
    settings: Settings | None = None,
    progress: Callable[[float], None] | None = None,
) -> Analyzed:
    """Run one recording through the pipeline.

    Parameters
    ----------
    recording : ecg.record.Record
        At 100 to 1000 Hz, with at least one ECG lead.
    nets : mapping of str to Net
        None or one network by the sha256 of its weights; without one the rules stand alone.
    device, t0_ns : str, int
        Under which name (the record's, made a legal one) and from which time on the device would have sent it; alert
        ids depend on both.
    settings : Settings
        Clinical settings, the defaults without them.
    progress : callable
        Is told the seconds of signal that are done.

    Raises
    ------
    ecg.frame.FrameError
        If the recording's rate is outside the limits of a frame.
    ValueError
        If it has no ECG lead.
    """
    device = device or pseudonym(recording.name)
    net = next(iter(nets), None)
    setup = Setup("analyze", "one recording", t0_ns, settings or Settings(), {"net": net}, unsigned=True)
    watch = _Watch(recording, t0_ns)
    pipeline = Pipeline(nets, watch)
    alerts: list[Alert] = []
    vitals: list[Vitals] = []
    for offset, out in fed(recording, pipeline, device, setup, t0_ns):
        alerts += [decode_alert(value) for _, value in out.alerts]
        vitals += [decode_vitals(value) for _, value in out.vitals]
        if progress is not None:
            progress(offset / 2 * FRAME_S)
    clean = np.concatenate(watch.clean, axis=1) if watch.clean else np.empty((0, 0), np.float32)
    return Analyzed(alerts, vitals, np.array(watch.samples, np.int64), "".join(watch.labels), clean)


def write(analyzed: Analyzed, recording: Recording, out: Path, *, signals: bool = False, t0_ns: int = EPOCH_NS) -> None:
    """Write beats and rhythm changes as WFDB annotations, alerts and vitals as NDJSON, and the clean leads if asked."""
    out.mkdir(parents=True, exist_ok=True)
    marks = [(int(s), symbol, "") for s, symbol in zip(analyzed.beat_samples, analyzed.beat_labels, strict=True)]
    marks = sorted([*marks, *_rhythm_changes(analyzed.vitals, recording, t0_ns)])
    wfdb.write_annotations(
        out / recording.name,
        "vigil",
        [sample for sample, _, _ in marks],
        [_SYMBOLS.get(symbol, symbol) for _, symbol, _ in marks],
        rate_hz=recording.rate_hz,
        aux=[aux for *_, aux in marks],
    )
    (out / f"{recording.name}.alerts.ndjson").write_bytes(b"".join(encode_item(a) + b"\n" for a in analyzed.alerts))
    (out / f"{recording.name}.vitals.ndjson").write_bytes(b"".join(encode_item(v) + b"\n" for v in analyzed.vitals))
    if signals:
        names = [lead.name for lead in of_record(recording).leads if lead.kind == "ecg"]
        wfdb.write_signals(out / f"{recording.name}_clean", names, analyzed.clean_mv, float(ANALYSIS_HZ))


_SYMBOLS = {"P": "/"}
"""WFDB's symbol where it is not the class's letter: a paced beat."""


def _rhythm_changes(vitals: list[Vitals], recording: Recording, t0_ns: int) -> Iterator[tuple[int, str, str]]:
    mark = ""
    for second in vitals:
        now = RHYTHM_MARKS.get(second.rhythm, "(N")
        if now != mark:
            mark = now
            yield max(0, round((second.time_ns - t0_ns) / 1e9 * recording.rate_hz)), "+", mark


def summary(analyzed: Analyzed, recording: Recording, times_real_time: float) -> dict[str, Any]:
    """Return what `vigil analyze` prints: beats by class, alarms by condition, seconds, speed."""
    starts = [alert.condition for alert in analyzed.alerts if alert.phase == "start"]
    return {
        "record": recording.name,
        "seconds": round(recording.duration_s, 3),
        "beats": dict(sorted(Counter(analyzed.beat_labels).items())),
        "alarms": dict(sorted(Counter(starts).items())),
        "alerts": analyzed.alerts,
        "figures": {"times_real_time": round(times_real_time, 1), "alerts": len(analyzed.alerts)},
    }
