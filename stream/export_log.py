"""The files of an exported log: what it is of, its records, where the pipeline stood before them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from stream.batch import Record

MAGIC = b"vigil log 1\n"
LOG, CHECKPOINT, WEIGHTS = ".log", ".checkpoint", ".safetensors"
OTHERS = b"-"
"""Key of what stands for the record of another device; none may be called so."""
_length = struct.Struct(">I")


class Header(msgspec.Struct, frozen=True):
    """What a log is of.

    Attributes
    ----------
    device : str
    partition, partitions : int
        Of the input: which, and of how many.
    at, first, end : int
        The log holds offsets from `at` to before `end`; wanted is what comes of those from `first` on.
    version : str
        The code that exported it.
    """

    device: str
    partition: int
    partitions: int
    at: int
    first: int
    end: int
    version: str


class Checkpoint(msgspec.Struct, frozen=True):
    """Where the pipeline stood before a log: rows by their keys, and the last seal before it."""

    rows: dict[bytes, bytes]
    sealed: bytes | None = None


class Run(NamedTuple):
    """So many records of other devices in a row, from an offset on."""

    offset: int
    n: int


class _Entry(msgspec.Struct, array_like=True):
    """A record of the device or of all, or with `others` so many of others in a row."""

    offset: int
    key: bytes | None = None
    value: bytes = b""
    append_ns: int = 0
    others: int = 0


class LogWriter:
    """Writes a log: its header, then each entry, each behind its length.

    Parameters
    ----------
    path : Path
    header : Header
    """

    def __init__(self, path: Path, header: Header) -> None:
        self._file = path.open("wb")
        self._file.write(MAGIC)
        self._put(header)
        self._others: Run | None = None

    def write(self, record: Record) -> None:
        """Add a record that the pipeline takes for the device."""
        self._end_run()
        self._put(_Entry(record.offset, record.key, record.value, record.append_ns))

    def pass_over(self, offset: int) -> None:
        """Add that a record of another device is at an offset."""
        if self._others is not None and self._others.offset + self._others.n == offset:
            self._others = self._others._replace(n=self._others.n + 1)
        else:
            self._end_run()
            self._others = Run(offset, 1)

    def close(self) -> None:
        """End the log."""
        self._end_run()
        self._file.close()

    def _end_run(self) -> None:
        if self._others is not None:
            self._put(_Entry(self._others.offset, others=self._others.n))
            self._others = None

    def _put(self, item: msgspec.Struct) -> None:
        body = msgspec.msgpack.encode(item)
        self._file.write(_length.pack(len(body)) + body)


def find(folder: Path) -> Path:
    """Return the log in a folder; raises ValueError where there is not one."""
    logs = [path for path in sorted(folder.glob(f"*{LOG}")) if _is_log(path)]
    if len(logs) != 1:
        raise ValueError(f"{folder}: a folder to analyze must hold one log of `vigil export`, got {len(logs)}")
    return logs[0]


def _is_log(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_header(path: Path) -> Header:
    """Return what a log is of; raises ValueError where it is none."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError(f"{path}: no log of `vigil export`")
        return _decoded(path, _body(path, file), Header)


def read_log(path: Path) -> Iterator[Record]:
    """Yield the records of a log as the pipeline takes them; those of others without what is in them.

    Raises
    ------
    ValueError
        If the file is no log, or ends in the middle of a record.
    """
    partition = read_header(path).partition
    with path.open("rb") as file:
        file.seek(len(MAGIC))
        _body(path, file)
        while body := _body(path, file):
            entry = _decoded(path, body, _Entry)
            for at in range(entry.others):
                yield Record(partition, entry.offset + at, OTHERS, b"")
            if not entry.others:
                yield Record(partition, entry.offset, entry.key, entry.value, entry.append_ns)


def _body(path: Path, file: Any) -> bytes:
    head = file.read(_length.size)
    if not head:
        return b""
    size = _length.unpack(head)[0] if len(head) == _length.size else -1
    body = file.read(max(size, 0))
    if size != len(body):
        raise ValueError(f"{path}: ends in the middle of a record")
    return body


def _decoded(path: Path, body: bytes, kind: Any) -> Any:
    try:
        return msgspec.msgpack.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from error


def read_checkpoint(path: Path) -> Checkpoint:
    """Return where the pipeline stood before a log; nowhere without the file. Raises ValueError where it is none."""
    return _decoded(path, path.read_bytes(), Checkpoint) if path.exists() else Checkpoint({})
