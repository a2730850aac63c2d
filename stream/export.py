"""`vigil export`: one device's stretch of the log in a folder, to be looked at, kept, and derived from again.

| file | what |
| --- | --- |
| `<name>.hea`, `.dat` | the frames as a WFDB record, counts and gains as sent; `<name>-2`, ... where these change |
| `<name>.alarm`, `<name>.vigil` | alerts and beats as WFDB annotations |
| `<name>.alerts.ndjson` | the alerts of the stretch, each the very bytes that were logged |
| `<name>.vitals.ndjson` | a line a second, derived |
| `<name>.log`, `<name>.checkpoint`, `<sha256>.safetensors` | the input to the byte, where it starts, the weights |
| `<name>.entries.ndjson` | ticks, commands and setups, to be read |
| `<name>.audit.ndjson` | each record of the input with its hash, then each alert with its bytes |
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO, Any

import msgspec

from ecg.frame import Frame, FrameError, Signed, decode
from stream import topics
from stream.audit.compare import head_of
from stream.audit.log import Log, as_record
from stream.audit.places import alerts_since, rows_before, seal_before
from stream.audit.replay import Wanted, stretches_of
from stream.batch import Record
from stream.export_log import CHECKPOINT, LOG, WEIGHTS, Checkpoint, Header, LogWriter
from stream.exported import Derived, derive
from stream.intake import passed_over, tag_of
from stream.pipeline import Pipeline
from stream.recording import record_name
from stream.version import VERSION


class Exported(msgspec.Struct):
    """What an export wrote, and what it found.

    `identical` says that the alerts, derived again from what was written, are the logged ones to the byte.
    """

    folder: str
    log: Header
    records: list[str]
    files: list[str]
    identical: bool
    figures: dict[str, int]
    notes: list[str]


async def export(log: Log, wanted: Wanted, out: Path) -> Exported:
    """Write what the log holds of one device in a range of the ward's time, and derive its alerts from that again.

    Parameters
    ----------
    log : Log
    wanted : Wanted
        Its device, and from when to when.
    out : Path
        Folder that is not there yet, or is empty.

    Raises
    ------
    ValueError
        If the folder holds something, or the log nothing of that device and time.
    """
    if wanted.device is None:
        raise ValueError("device must be named, got none")
    if out.exists() and any(out.iterdir()):
        raise ValueError(f"out must be a new or an empty folder, got {out}")
    stretches, notes = await stretches_of(log, wanted)
    if not stretches:
        raise ValueError(f"the log holds nothing of {wanted.device} in that time")
    (stretch,) = stretches
    rows = await rows_before(log, stretch.partition, stretch.first, wanted.device)
    sealed = await seal_before(log, stretch.partition, stretch.first)
    pipeline = Pipeline({})
    bounds = await log.bounds(topics.INPUT)
    at = pipeline.restore(stretch.partition, rows, sealed) or bounds[stretch.partition][0]
    header = Header(wanted.device, stretch.partition, len(bounds), at, stretch.first, stretch.end, VERSION)
    out.mkdir(parents=True, exist_ok=True)
    name = record_name(wanted.device)
    if rows:
        (out / f"{name}{CHECKPOINT}").write_bytes(msgspec.msgpack.encode(Checkpoint(rows, sealed)))
    with (out / f"{name}.audit.ndjson").open("wb") as audit:
        frames = await _Input(log, header, pipeline).write(out / name, audit)
        alerts = await _logged(log, header, audit)
    if not frames and not alerts:
        for path in out.iterdir():  # all of them ours: the folder was empty
            path.unlink()
        raise ValueError(f"the log holds nothing of {wanted.device} in that time")
    derived = derive(out / f"{name}{LOG}", out)
    return _told(out, header, derived, alerts, frames, notes)


def _told(out: Path, header: Header, derived: Derived, alerts: list[bytes], frames: int, notes: list[str]) -> Exported:
    """Put the logged alerts in the place of those derived, which are the same unless something is wrong."""
    differences = len(set(alerts) ^ set(derived.alerts))
    figures = {
        "frames": frames,
        "alerts_logged": len(alerts),
        "alerts_derived": len(derived.alerts),
        "differences": differences,
        "beats": len(derived.beats),
    }
    derived.alerts = alerts
    derived.write(out)
    files = sorted(path.name for path in out.iterdir())
    return Exported(str(out), header, list(derived.recorder.records), files, not differences, figures, notes)


class _Input:
    """Writes the input of a device: as a log, to be read, and line by line for an audit; and the weights it names."""

    def __init__(self, log: Log, header: Header, pipeline: Pipeline) -> None:
        self._log, self._header, self._pipeline = log, header, pipeline
        self._only = frozenset({header.device.encode()})

    async def write(self, stem: Path, audit: IO[bytes]) -> int:
        """Write all; returns how many frames of the device there are from the first wanted offset on."""
        header, frames, weights = self._header, 0, self._pipeline.missing_weights([])
        writer = LogWriter(Path(f"{stem}{LOG}"), header)
        with Path(f"{stem}.entries.ndjson").open("wb") as entries:
            async for batch in self._log.read(topics.INPUT, header.partition, header.at, header.end):
                for record in map(as_record, batch):
                    if passed_over(record.key, record.value, self._only):
                        writer.pass_over(record.offset)
                        continue
                    writer.write(record)
                    kind = _write_entry(record, entries)
                    frames += kind == "frame" and record.offset >= header.first
                    _line(audit, _audited(record, kind))
                    weights |= self._pipeline.missing_weights([record])
        writer.close()
        await self._write_weights(weights, stem.parent)
        return frames

    async def _write_weights(self, wanted: set[str], folder: Path) -> None:
        for partition, (first, end) in (await self._log.bounds(topics.WEIGHTS)).items():
            async for batch in self._log.read(topics.WEIGHTS, partition, first, end):
                for entry in batch:
                    sha256 = (entry.key or b"").decode(errors="replace")
                    if sha256 in wanted and entry.value and hashlib.sha256(entry.value).hexdigest() == sha256:
                        (folder / f"{sha256}{WEIGHTS}").write_bytes(entry.value)


def _write_entry(record: Record, entries: IO[bytes]) -> str:
    """Write a tick, command or setup to be read, and return of what kind a record is."""
    kind = tag_of(record.value)
    try:
        entry = decode(record.value)
        said: dict[str, Any] = {"offset": record.offset}
        if isinstance(entry, Signed):
            kind = f"signed {tag_of(entry.body)}"
            said["signed_by"], entry = entry.key, decode(entry.body)
    except FrameError:
        return kind or "undecodable"
    if not isinstance(entry, Frame):
        _line(entries, said | {"entry": entry})
    return kind


def _audited(record: Record, kind: str) -> dict[str, Any]:
    return {
        "offset": record.offset,
        "append_ns": record.append_ns,
        "type": kind,
        "key": None if record.key is None else record.key.decode(errors="replace"),
        "bytes": len(record.value),
        "sha256": hashlib.sha256(record.value).hexdigest(),
    }


async def _logged(log: Log, header: Header, audit: IO[bytes]) -> list[bytes]:
    """Return the device's alerts that inputs of the stretch decided, each once, and write each for the audit."""
    appended = 0
    async for batch in log.read(topics.INPUT, header.partition, header.first, header.end):
        appended = batch[0].append_ns
        break
    end = (await log.bounds(topics.ALERTS)).get(0, (0, 0))[1]
    alerts: dict[bytes, None] = {}
    async for batch in log.read(topics.ALERTS, 0, await alerts_since(log, appended), end):
        for entry in batch:
            head = head_of(entry.value)
            if head is None or entry.value is None or entry.value in alerts:
                continue
            mine = (head.device, head.source.topic, head.source.partition)
            inside = header.first <= head.source.last_offset < header.end
            if inside and mine == (header.device, topics.INPUT, header.partition):
                alerts[entry.value] = None
                text, sha256 = entry.value.decode(), hashlib.sha256(entry.value).hexdigest()
                _line(audit, {"alert": head.id, "place": entry.offset, "sha256": sha256, "value": text})
    return list(alerts)


def _line(file: IO[bytes], item: dict[str, Any]) -> None:
    file.write(msgspec.json.encode(item) + b"\n")
