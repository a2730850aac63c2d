"""Snapshots: the rows of the state topic and of the checkpoints, one a device and one of what a partition shares.

A row begins with what any version can read of any other (`Head`); the rest is for those alone that have its schema.
What a bed was shown but can have again from other samples is not in it: see the stages of `ecg` for what each keeps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

import msgspec

from ecg.frontend import BedSecond
from stream.bed_state import State
from stream.version import MACHINE, VERSION

SCHEMA = 9
"""Layout of rows; another number for whatever reads them differently."""
PARTITION_KEY = b"*"
"""Key of the row of what a whole partition shares; no device may be called so."""

Body = TypeVar("Body", bound=msgspec.Struct)


class Head(msgspec.Struct, array_like=True, frozen=True):
    """How every row begins, whatever its schema.

    Attributes
    ----------
    schema : int
    version, machine : str
        The code that wrote it and the kind of machine that it ran on.
    covers : int
        The last offset of the input that is in it; all that came of inputs up to there is published.
    chain, links : str, int
        Of a device, the head of its chain and how many links that has.
    devices : tuple of str
        Of a partition, the devices that there were, each of which has a row, in the order in which they were heard.
    """

    schema: int
    version: str
    machine: str
    covers: int
    chain: str = ""
    links: int = 0
    devices: tuple[str, ...] = ()


class Kept(msgspec.Struct, array_like=True):
    """A bed as it lies in a row, behind the head; of `trace` its length, as it is the end of what `windows` holds."""

    device: str
    state: State
    timeline: bytes
    windows: bytes
    rhythm: bytes
    alarm: bytes
    risk: bytes
    front: bytes | None
    beats: bytes
    fibrillation: bytes
    quality: list[BedSecond]
    probabilities: list[tuple[int, dict[str, float]]]
    trace: int
    confirm: bytes
    pulses: bytes
    st_qt: bytes
    measured: bytes


class RowsError(ValueError):
    """The rows of a partition cannot be taken up, which is why it is derived again from the log."""


class MissingRowError(RowsError):
    """The row of a partition names devices that have no row."""

    def __init__(self, devices: Sequence[str]) -> None:
        super().__init__(f"each device of a partition must have a row, got none of {', '.join(devices)}")


class SchemaError(RowsError):
    """A row is not of this version's schema."""

    def __init__(self, found: Head | None) -> None:
        got = "none that can be read" if found is None else f"{found.schema}, by version {found.version}"
        super().__init__(
            f"snapshots must have schema {SCHEMA}, got {got}: run that version, or derive the state from the log again"
        )


def encode(body: msgspec.Struct, covers: int, chain: str = "", links: int = 0, devices: Sequence[str] = ()) -> bytes:
    """Return a row."""
    return _encoder.encode((SCHEMA, VERSION, MACHINE, covers, chain, links, devices, body))


def head(value: bytes) -> Head:
    """Return how a row begins; raises SchemaError where that cannot be read."""
    try:
        return _heads.decode(value)
    except msgspec.DecodeError as error:
        raise SchemaError(None) from error


def decode(value: bytes, body: type[Body]) -> Body:
    """Return what a row holds; raises SchemaError where it is of another schema."""
    found = head(value)
    if found.schema != SCHEMA:
        raise SchemaError(found)
    try:
        return _rows(body).decode(value)[-1]
    except msgspec.DecodeError as error:
        raise SchemaError(found) from error


def check_rows(rows: Mapping[bytes, bytes]) -> None:
    """Raise MissingRowError where a device that the row of a partition names has none among its rows.

    A worker that was stopped for long, and thought that it still held the partition, may have removed a newer one.
    """
    if PARTITION_KEY in rows:
        missing = [device for device in head(rows[PARTITION_KEY]).devices if device.encode() not in rows]
        if missing:
            raise MissingRowError(missing)


def head_or_none(value: bytes) -> Head | None:
    """Return how a row begins, None where that cannot be read."""
    try:
        return head(value)
    except SchemaError:
        return None


_encoder = msgspec.msgpack.Encoder()
_heads = msgspec.msgpack.Decoder(Head)


@cache
def _rows(body: type[msgspec.Struct]) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(tuple[int, str, str, int, str, int, tuple[str, ...], body])
