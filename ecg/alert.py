"""What leaves the pipeline: alerts for the ward, vitals once a second, with their codecs.

Field names follow FHIR R6 DeviceAlert where it has them. An alert carries its proof: where in the log it came from,
what decided it, and what was seen.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

Phase = Literal["start", "update", "escalate", "end", "suppressed"]
Presence = Literal["on", "latched", "acknowledged", "off"]
RiskLevel = Literal["low", "guarded", "elevated", "high", "critical"]


class Risk(msgspec.Struct, frozen=True):
    """Risk level of a bed, the probability behind it, and the reasons in order of weight."""

    level: RiskLevel
    probability: float
    reasons: tuple[str, ...] = ()
    bad_signal: bool = False


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why: the rule's trace, the beats, what the network saw, the signal, and the strip to look at.

    `strip` is the event time (first_ns, end_ns) to look at: at least 6 s before the onset and 4 s after it.
    """

    trace: str = ""
    beats: str = ""
    probabilities: dict[str, float] = {}
    quality: dict[str, str] = {}
    leads: tuple[str, ...] = ()
    strip: tuple[int, int] = (0, 0)


class Source(msgspec.Struct, frozen=True):
    """Where in the log the alert came from: first offset of the evidence and the offset that decided it."""

    topic: str
    partition: int
    first_offset: int
    last_offset: int


class Alert(msgspec.Struct, frozen=True):
    """One phase of one alarm, or one change of a bed's risk level.

    `id` is the hash of device, condition, onset and n; `episode` the same without n, which counts the phases;
    `ordinal` numbers the alerts that one input record gave this device, so that (source.last_offset, ordinal) orders
    all alerts of a device. `onset_ns` is the event time of the first evidence and `decided_ns` of the decision.
    An alarm that was withheld is on record with phase `suppressed`, presence `off` and the reason in the trace; it
    neither sounds nor shows.
    """

    id: str
    episode: str
    n: int
    ordinal: int
    chain: str
    device: str
    bed: str
    ward: str
    condition: str
    code: str
    priority: Literal["high", "medium", "low"]
    text: str
    phase: Phase
    presence: Presence
    onset_ns: int
    decided_ns: int
    value: float | None
    limit: float | None
    unit: str
    risk: Risk | None
    evidence: Evidence
    source: Source
    weights_sha256: tuple[str, ...]
    settings_sha256: str
    version: str


class Vitals(msgspec.Struct, frozen=True):
    """One second of a bed: what the board shows.

    `heart_rate_bpm` is None where no rate can be said (shown as X, never as a number); `trace_mv` is one lead at
    25 Hz for a sparkline; `alarms` the conditions that are on, worst first; `paused_s` how long their sound is paused;
    `offset` the input offset that this was known at, the one order of a device's vitals and alerts; `tick_ns` the
    ward's time then, whose standing still says that the bed is not watched; `gone` that the device is silent and
    nobody misses it, so that no more vitals will come.
    """

    device: str
    bed: str
    ward: str
    time_ns: int
    heart_rate_bpm: float | None
    rhythm: str
    quality: dict[str, str]
    risk: Risk | None
    alarms: tuple[str, ...]
    trace_mv: tuple[float, ...]
    paused_s: int = 0
    offset: int = -1
    tick_ns: int = 0
    gone: bool = False


_encoder = msgspec.json.Encoder()
_alert = msgspec.json.Decoder(Alert)
_vitals = msgspec.json.Decoder(Vitals)


def encode(item: Alert | Vitals) -> bytes:
    """Encode as JSON, always to the same bytes."""
    return _encoder.encode(item)


def decode_alert(value: bytes) -> Alert:
    """Decode an alert; raises msgspec.DecodeError or ValidationError."""
    return _alert.decode(value)


def decode_vitals(value: bytes) -> Vitals:
    """Decode vitals; raises msgspec.DecodeError or ValidationError."""
    return _vitals.decode(value)


def episode_id(device: str, condition: str, onset_ns: int) -> str:
    """Return the id that ties the phases of one alarm."""
    return hashlib.sha256(f"{device}|{condition}|{onset_ns}".encode()).hexdigest()[:24]


def alert_id(episode: str, n: int) -> str:
    """Return the id of the n-th phase of an episode."""
    return hashlib.sha256(f"{episode}|{n}".encode()).hexdigest()[:24]


def chain_hash(alert: bytes) -> str:
    """Return what the next alert of the device carries as `chain`."""
    return hashlib.sha256(alert).hexdigest()


def chain_command(head: str, record: bytes) -> str:
    """Return the head of a device's chain after it carried out a command, given the record as it lies in the log."""
    return chain_command_of(head, hashlib.sha256(record).hexdigest())


def chain_command_of(head: str, record_sha256: str) -> str:
    """Return the same given the record's sha256, which seals keep longer than the log keeps commands."""
    return hashlib.sha256(f"{head}|{record_sha256}".encode()).hexdigest()
