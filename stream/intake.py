"""What is admitted of a decoded record: signed where the setup in force asks for it, no older than that, and wanted."""

from __future__ import annotations

from collections.abc import Container
from contextlib import suppress
from typing import NamedTuple

import msgspec

from ecg.clinical import Settings
from ecg.frame import MAX_BYTES, Command, Frame, FrameError, Setup, Signed, Tick, decode
from stream.signing import opened

UNCONFIGURED = Setup(who="vigil", why="no setup in the log yet", issued_ns=0, settings=Settings(), unsigned=True)


class Refused(NamedTuple):
    """An input that could not be accepted: whose it was by its key, and whether the device itself sent it."""

    device: str
    frame: bool


class _Tag(msgspec.Struct):
    type: str


_tag = msgspec.msgpack.Decoder(_Tag)


def tag_of(value: bytes) -> str:
    """Return a record's tag, without a look at the rest of it; "" where it has none."""
    try:
        return _tag.decode(value).type if len(value) <= MAX_BYTES else ""
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def content(value: bytes) -> bytes:
    """Return a record's own bytes, out of its envelope where it has one, unchecked; b"" where that is none."""
    if tag_of(value) != "signed":
        return value
    with suppress(FrameError):
        entry = decode(value)
        return entry.body if isinstance(entry, Signed) else b""
    return b""


def passed_over(key: bytes | None, value: bytes, only: frozenset[bytes]) -> bool:
    """Say whether a record is of one device alone, and not of those that are wanted; without any, all are."""
    if not only or key is None or key in only:
        return False
    return tag_of(content(value)) not in ("tick", "setup")


def admissible(
    entry: Frame | Tick | Command | Setup | Signed, setup: Setup, nets: Container[str]
) -> Frame | Tick | Command | Setup:
    """Return an entry, out of its envelope, where the setup in force admits it.

    Parameters
    ----------
    entry : Frame, Tick, Command, Setup or Signed
        As it was decoded.
    setup : Setup
        In force at its place; `UNCONFIGURED` where none was given yet.
    nets : container of str
        The networks that a setup may name.

    Raises
    ------
    FrameError
        If it is not signed as the setup in force demands, or is a setup no later than that, or names other weights.
    """
    if isinstance(entry, Frame):
        return entry
    first = setup == UNCONFIGURED
    if isinstance(entry, Signed):
        entry = opened(entry, setup, first=first)
    elif not setup.unsigned:
        raise FrameError("signature", None, "there: the setup in force takes nothing unsigned")
    if isinstance(entry, Setup):
        if not first and entry.issued_ns <= setup.issued_ns:
            raise FrameError("issued_ns", entry.issued_ns, f"later than {setup.issued_ns}, of the setup in force")
        if (net := entry.weights.get("net")) is not None and net not in nets:
            raise FrameError("weights.net", net, "the sha256 of weights that are in the log")
    return entry
