"""A stretch of the log of one device in a folder: its input byte for byte, and where the pipeline stood before it.

`<name>.log` holds every record that the pipeline takes for the device, and how many of others lie between; with
`<name>.checkpoint` (where the stretch does not begin at the log's first offset) and the weights, alerts are derived
from it as they were on the ward.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ecg.alert import decode_alert
from ecg.frame import Frame, FrameError, decode
from ecg.frontend import Analysis
from ecg.record import write_annotations
from ecg.resample import ANALYSIS_HZ
from stream.batch import Record
from stream.export_log import CHECKPOINT, WEIGHTS, Header, read_checkpoint, read_header, read_log
from stream.nets import load_net
from stream.pipeline import Pipeline
from stream.recording import Recorder
from stream.snapshot import Kept
from stream.snapshot import decode as decode_row

NOTE = '"'
"""WFDB's symbol of a note, which holds the condition and phase of an alert."""
_SYMBOLS = {"P": "/"}
"""WFDB's symbol where it is not the class's letter: a paced beat."""
BATCH = 1000


@dataclass
class Derived:
    """What comes of an exported log.

    Attributes
    ----------
    header : Header
    alerts, vitals : list of bytes
        As they are published; alerts only those that inputs from `first` on decided.
    beats : list of (event time in ns, label)
    recorder : Recorder
        Where event times lie in the WFDB records.
    """

    header: Header
    recorder: Recorder
    alerts: list[bytes] = field(default_factory=list)
    vitals: list[bytes] = field(default_factory=list)
    beats: list[tuple[int, str]] = field(default_factory=list)

    def write(self, folder: Path) -> None:
        """Write alerts and vitals as NDJSON, and alerts and beats as WFDB annotations at the records' own rates."""
        folder.mkdir(parents=True, exist_ok=True)
        name = self.recorder.name
        for what, lines in (("alerts", self.alerts), ("vitals", self.vitals)):
            (folder / f"{name}.{what}.ndjson").write_bytes(b"".join(line + b"\n" for line in lines))
        first_ns = self.recorder.first_ns
        beats = (
            [] if first_ns is None else [(t_ns, _SYMBOLS.get(b, b), "") for t_ns, b in self.beats if t_ns >= first_ns]
        )
        decided = [decode_alert(value) for value in self.alerts]
        alarms = [(each.onset_ns, NOTE, f"{each.condition} {each.phase}") for each in decided]
        self._annotate(folder, "vigil", beats)
        self._annotate(folder, "alarm", alarms)

    def _annotate(self, folder: Path, extension: str, marks: list[tuple[int, str, str]]) -> None:
        placed = [(self.recorder.place(t_ns), symbol, aux) for t_ns, symbol, aux in marks]
        for record, rate_hz in self.recorder.records.items():
            here = [(place.sample, symbol, aux) for place, symbol, aux in placed if place and place.record == record]
            write_annotations(
                folder / record,
                extension,
                [sample for sample, _, _ in here],
                [symbol for _, symbol, _ in here],
                rate_hz=rate_hz,
                aux=[aux for *_, aux in here],
            )


def derive(path: Path, record_into: Path | None = None) -> Derived:
    """Run the pipeline over an exported log.

    Parameters
    ----------
    path : Path
        Of the log; checkpoint and weights lie beside it.
    record_into : Path, optional
        Write the device's frames as WFDB records into this folder.

    Raises
    ------
    ValueError
        If a file is not what it should be, or is of another version's form.
    """
    header = read_header(path)
    nets = dict(load_net(file.read_bytes()) for file in sorted(path.parent.glob(f"*{WEIGHTS}")))
    kept = read_checkpoint(path.with_suffix(CHECKPOINT))
    own = kept.rows.get(header.device.encode())
    timeline = None if own is None else decode_row(own, Kept).timeline
    derived = Derived(header, Recorder(header.device, record_into, header.first, timeline))
    pipeline = Pipeline(nets, lambda _, origin_ns, analysis: derived.beats.extend(_beats(origin_ns, analysis)))
    pipeline.partitions, pipeline.only = header.partitions, frozenset({header.device.encode()})
    pipeline.restore(header.partition, kept.rows, kept.sealed)
    if lacking := pipeline.missing_weights([]):
        raise ValueError(f"{path}: weights {', '.join(sorted(lacking))} are in force, and not beside it")
    for batch in _batches(read_log(path)):
        out = pipeline.feed(batch)
        for record in batch:
            if isinstance(frame := _frame(record, header.device), Frame):
                derived.recorder.feed(frame, record.offset)
        derived.alerts += [value for _, value in out.alerts if decode_alert(value).source.last_offset >= header.first]
        derived.vitals += [value for _, value in out.vitals]
    derived.recorder.close(header.end)
    return derived


def _beats(origin_ns: int, analysis: Analysis) -> Iterator[tuple[int, str]]:
    for beat in analysis.beats:
        yield origin_ns + round(int(beat["sample"]) * 1e9 / ANALYSIS_HZ), chr(beat["label"])


def _batches(records: Iterator[Record]) -> Iterator[list[Record]]:
    batch: list[Record] = []
    for record in records:
        batch.append(record)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _frame(record: Record, device: str) -> Frame | None:
    """Return the device's own frame, if a record is one that the pipeline takes."""
    if record.key != device.encode():
        return None
    try:
        entry = decode(record.value)
    except FrameError:
        return None
    return entry if isinstance(entry, Frame) and entry.device == device else None


def summary(derived: Derived, log: Path, seconds: float) -> dict[str, Any]:
    """Return what `vigil analyze` prints of an exported log, and whether the alerts are those that were logged.

    Parameters
    ----------
    derived : Derived
    log : Path
        That it came of; the logged alerts lie beside it.
    seconds : float
        That it took.
    """
    logged = log.with_suffix(".alerts.ndjson").read_bytes().splitlines()
    alerts = [decode_alert(value) for value in derived.alerts]
    first_ns = derived.recorder.first_ns or 0
    beats = Counter(label for t_ns, label in derived.beats if t_ns >= first_ns)
    figures = {
        "times_real_time": round(len(derived.vitals) / seconds, 1),
        "alerts": len(alerts),
        "alerts_logged": len(logged),
        "differences": len(set(logged) ^ set(derived.alerts)),
    }
    return {
        "record": derived.recorder.name,
        "seconds": float(len(derived.vitals)),
        "beats": dict(sorted(beats.items())),
        "alarms": dict(sorted(Counter(alert.condition for alert in alerts if alert.phase == "start").items())),
        "alerts": alerts,
        "identical": logged == derived.alerts,
        "figures": figures,
    }
