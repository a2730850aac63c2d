"""Seals: once a minute of the ward's time, the heads of all chains of a partition, signed and themselves a chain.

Each device has a chain of hashes over its alerts and the commands that it carried out, in the order of the log. What
was altered, left out or put in before a seal no longer leads to the head that it names.
"""

from __future__ import annotations

import hashlib

import msgspec

SEAL_EVERY_NS = 60_000_000_000


def is_due(before_ns: int, now_ns: int) -> bool:
    """Say whether a tick that moved the ward's time on began a new minute; the first tick of all begins none."""
    return 0 < before_ns // SEAL_EVERY_NS != now_ns // SEAL_EVERY_NS


class Head(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a device's chain stood: how many links it had, and the hash that its next alert carries.

    `ended` says that the device is forgotten with this seal: if it comes back, its chain begins anew. `commands` are
    the links since the last seal that are commands: input offset, and sha256 of the record, since commands are not kept
    as long as alerts.
    """

    links: int
    hash: str
    ended: bool = False
    commands: tuple[tuple[int, str], ...] = ()


class Seal(msgspec.Struct, frozen=True):
    """The chains of a partition just before the tick at `offset`, which was the first of a minute of the ward's time.

    `n` counts the seals of the partition, and `previous` is the sha256 of the body of the one before it.
    """

    partition: int
    n: int
    time_ns: int
    offset: int
    previous: str
    version: str
    heads: dict[str, Head]


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Seal)


def encode(seal: Seal) -> bytes:
    """Encode a seal as JSON, always to the same bytes."""
    return _encoder.encode(seal)


def decode(body: bytes) -> Seal:
    """Decode a seal; raises msgspec.DecodeError or ValidationError."""
    return _decoder.decode(body)


def seal_hash(body: bytes) -> str:
    """Return what the next seal of the partition carries as `previous`."""
    return hashlib.sha256(body).hexdigest()
