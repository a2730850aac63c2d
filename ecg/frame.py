"""The records of the input topic: what a device sends, and what else can change an alert.

One tagged union, in MessagePack: a Frame of samples from a device, a Tick of the ward's clock, a Command of the
staff, a Setup of the hospital; the last three may come Signed. Whatever is outside the limits below is a `FrameError`
that names the field, the value and the limit; the limits on size are checked before anything is allocated.
"""

from __future__ import annotations

import hashlib
import math
import re
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg.clinical import Limits, Settings

MAX_BYTES = 262_144
"""Largest encoded record, in bytes."""
MAX_LEADS = 16
"""Most leads of all kinds in one frame."""
MAX_ECG_LEADS = 12
MIN_RATE_HZ, MAX_RATE_HZ = 100.0, 1000.0
MIN_FRAME_S, MAX_FRAME_S = 0.04, 2.0
MAX_LEAD_OFF = 8 * MAX_LEADS
"""Most stretches of lead-off in one frame."""
ECG_UNITS_MV = {"mV": 1.0, "uV": 1e-3, "V": 1e3}
"""Units that an ECG lead may have, in millivolts; a pulse signal may have any."""
MISSING = -32768
"""The count that stands for a sample which the device could not take."""
MAX_PAUSE_S = 600
"""Longest pause of the sound; a pause always ends by itself."""
COMMAND_NS = 60_000_000_000
"""A command may be carried out for this long after it was issued."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
"""What a device, session, ward, bed, ticker or signer may be called: a pseudonym, never a patient's name."""
SERVICE = "vigil:"
"""How the names begin under which Vigil's own services raise alarms; no device may be called so."""

MAX_KEYS = 64
"""Most public keys in one setup."""
KEY_ID = re.compile(r"[0-9a-f]{16}")

LeadKind = Literal["ecg", "pleth", "abp", "resp"]
Role = Literal["tick", "command", "setup", "seal"]
"""What a key may sign."""


class FrameError(ValueError):
    """A record that breaks the contract; the sender did wrong.

    Parameters
    ----------
    field, value, limit : str, object, str
        Which field, what it held, and what is allowed.
    """

    def __init__(self, field: str, value: object, limit: str) -> None:
        shown = repr(value)
        super().__init__(f"{field} must be {limit}, got {shown if len(shown) <= 80 else shown[:77] + '...'}")
        self.field, self.limit = field, limit


class Lead(msgspec.Struct, frozen=True):
    """One signal of a frame; millivolts (or `unit`) = (count - baseline) / gain."""

    name: str
    gain: float
    kind: LeadKind = "ecg"
    baseline: int = 0
    unit: str = "mV"


class Frame(msgspec.Struct, frozen=True, tag="frame", omit_defaults=True):
    """What a device sends: 40 ms to 2 s of all its leads.

    Attributes
    ----------
    v : int
        Version of the contract, 1.
    device, session : str
        Pseudonym of the device; a name that is new at each start of the device.
    seq : int
        Number of the frame within the session: 0, 1, 2, ...
    t0_ns : int
        Device time of the first sample, UTC, nanoseconds since 1970.
    rate_hz : float
        Samples a second and lead.
    leads : tuple of Lead
        In the order of the rows of `counts`.
    counts : bytes
        Little-endian int16, leads x samples, row by row; `MISSING` where there is no sample.
    lead_off : tuple of (lead, first, end)
        Samples first <= i < end of that lead were taken while its electrode was off.
    pacer : tuple of int
        Samples at which the device saw a pacer spike.
    last : bool
        The session ends with this frame: the filters give what they still hold.
    """

    device: str
    session: str
    seq: int
    t0_ns: int
    rate_hz: float
    leads: tuple[Lead, ...]
    counts: bytes
    lead_off: tuple[tuple[int, int, int], ...] = ()
    pacer: tuple[int, ...] = ()
    last: bool = False
    v: int = 1

    @property
    def n_samples(self) -> int:
        """Samples a lead."""
        return len(self.counts) // (2 * len(self.leads))

    def samples(self) -> NDArray[np.int16]:
        """Return the counts as an array of int16, shape (n_leads, n_samples), a view without a copy."""
        return np.frombuffer(self.counts, dtype="<i2").reshape(len(self.leads), -1)


class Tick(msgspec.Struct, frozen=True, tag="tick"):
    """One beat of the ward's clock, once a second to every partition: silence is judged by it, from the log."""

    ticker: str
    seq: int
    time_ns: int


class Admit(msgspec.Struct, frozen=True, tag="admit", tag_field="action", omit_defaults=True):
    """Gives a device its ward and bed, and what is known of the patient."""

    ward: str
    bed: str
    age: int | None = None
    sex: Literal["female", "male"] | None = None
    paced: bool = False


class Discharge(msgspec.Struct, frozen=True, tag="discharge", tag_field="action"):
    """Ends the monitoring of a device's patient and forgets their limits and alarms."""


class ChangeLimits(msgspec.Struct, frozen=True, tag="limits", tag_field="action", omit_defaults=True):
    """Sets the limits of this patient; what is left out stays as it is."""

    limits: Limits


class Acknowledge(msgspec.Struct, frozen=True, tag="acknowledge", tag_field="action"):
    """Silences one alarm, by the id of any alert of its episode."""

    alert: str


class Pause(msgspec.Struct, frozen=True, tag="pause", tag_field="action"):
    """Pauses the sound of all alarms of a bed for a while; 0 ends a pause."""

    seconds: int


class Standby(msgspec.Struct, frozen=True, tag="standby", tag_field="action"):
    """Stops (or resumes, with `on` false) the monitoring of a bed whose patient is away."""

    on: bool = True


Action = Admit | Discharge | ChangeLimits | Acknowledge | Pause | Standby


class Command(msgspec.Struct, frozen=True, tag="command"):
    """What staff asked for: who, why, and until when it may be carried out (60 s after it was issued)."""

    device: str
    who: str
    why: str
    nonce: str
    issued_ns: int
    expires_ns: int
    do: Action


class PublicKey(msgspec.Struct, frozen=True):
    """An Ed25519 key of somebody who signs: its 32 bytes in hexadecimal, and what it may sign."""

    public: str
    roles: tuple[Role, ...]


class Setup(msgspec.Struct, frozen=True, tag="setup", omit_defaults=True):
    """Clinical settings, weights and keys in force from its offset on, for every device of the partition.

    `weights` names files by their sha256, `keys` public keys by their id; `unsigned` says whether ticks, commands and
    setups are taken without a signature.
    """

    who: str
    why: str
    issued_ns: int
    settings: Settings
    weights: dict[str, str | None] = {}
    keys: dict[str, PublicKey] = {}
    unsigned: bool = False


class Signed(msgspec.Struct, frozen=True, tag="signed"):
    """A tick, command or setup with the signature of who sent it.

    Attributes
    ----------
    key : str
        Id of the public key: the first 16 hexadecimal digits of the sha256 of its 32 bytes.
    body : bytes
        The encoded record that was signed.
    signature : bytes
        Ed25519, 64 bytes, over `SIGNED_AS` and the body.
    """

    key: str
    body: bytes
    signature: bytes


SIGNED_AS = b"vigil.input.v1\0"
"""Stands before the body in what is signed, so that a signature made for one purpose holds for no other."""

Input = Frame | Tick | Command | Setup | Signed

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Input)


def encode(record: Input) -> bytes:
    """Encode one record of the input topic."""
    return _encoder.encode(record)


def decode(value: bytes) -> Input:
    """Decode and check one record of the input topic.

    Raises
    ------
    FrameError
        If the bytes are no record, or a field is outside its limits.
    """
    if len(value) > MAX_BYTES:
        raise FrameError("record", len(value), f"at most {MAX_BYTES} bytes")
    try:
        record = _decoder.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(
            "record", str(error), "a MessagePack map of type frame, tick, command, setup or signed"
        ) from error
    check_input(record)
    return record


def check_input(record: Input) -> None:
    """Raise `FrameError` where a record of the input topic is outside its limits."""
    _CHECKS[type(record)](record)


def check_frame(frame: Frame) -> None:
    """Raise `FrameError` where a frame is outside the limits."""
    if frame.v != 1:
        raise FrameError("v", frame.v, "1")
    _check_device(frame.device)
    _check_name("session", frame.session)
    _check_range("seq", frame.seq, 0, 2**53)
    _check_range("t0_ns", frame.t0_ns, 0, 2**62)
    _check_range("rate_hz", frame.rate_hz, MIN_RATE_HZ, MAX_RATE_HZ)
    _check_leads(frame.leads)
    row_bytes = 2 * len(frame.leads)
    if not frame.counts or len(frame.counts) % row_bytes:
        raise FrameError("counts", len(frame.counts), f"a positive multiple of {row_bytes} bytes (int16 x leads)")
    _check_range("duration_s", round(frame.n_samples / frame.rate_hz, 6), MIN_FRAME_S, MAX_FRAME_S)
    if len(frame.lead_off) > MAX_LEAD_OFF:
        raise FrameError("lead_off", len(frame.lead_off), f"at most {MAX_LEAD_OFF} ranges")
    for lead, first, end in frame.lead_off:
        if not (0 <= lead < len(frame.leads) and 0 <= first < end <= frame.n_samples):
            raise FrameError("lead_off", (lead, first, end), "a lead and a range of samples of this frame")
    if not all(0 <= spike < frame.n_samples for spike in frame.pacer) or len(set(frame.pacer)) < len(frame.pacer):
        raise FrameError("pacer", frame.pacer, "samples of this frame, each at most once")


def _check_leads(leads: tuple[Lead, ...]) -> None:
    _check_range("leads", len(leads), 1, MAX_LEADS)
    _check_range("ecg leads", sum(lead.kind == "ecg" for lead in leads), 1, MAX_ECG_LEADS)
    if len({lead.name for lead in leads}) < len(leads):
        raise FrameError("leads", [lead.name for lead in leads], "of different names")
    for lead in leads:
        if not 1 <= len(lead.name) <= 16 or not lead.name.isprintable():
            raise FrameError("lead name", lead.name, "1 to 16 printable characters")
        if not (math.isfinite(lead.gain) and 1e-3 <= lead.gain <= 1e6):
            raise FrameError("gain", lead.gain, "between 0.001 and 1000000 counts per unit")
        _check_range("baseline", lead.baseline, -32768, 32767)
        if lead.kind == "ecg" and lead.unit not in ECG_UNITS_MV:
            raise FrameError("unit", lead.unit, "mV, uV or V for an ECG lead")
        if len(lead.unit) > 16 or not lead.unit.isprintable():
            raise FrameError("unit", lead.unit, "at most 16 printable characters")


def _check_tick(tick: Tick) -> None:
    _check_name("ticker", tick.ticker)
    _check_range("seq", tick.seq, 0, 2**53)
    _check_range("time_ns", tick.time_ns, 0, 2**62)


def _check_command(command: Command) -> None:
    _check_device(command.device)
    for field in ("who", "nonce"):
        _check_name(field, getattr(command, field))
    _check_why(command.why)
    _check_range("issued_ns", command.issued_ns, 0, 2**62)
    _check_range("expires_ns", command.expires_ns, command.issued_ns, command.issued_ns + COMMAND_NS)
    match command.do:
        case Admit(ward=ward, bed=bed, age=age):
            _check_name("ward", ward)
            _check_name("bed", bed)
            if age is not None:
                _check_range("age", age, 0, 130)
        case Pause(seconds=seconds):
            _check_range("seconds", seconds, 0, MAX_PAUSE_S)
        case Acknowledge(alert=alert):
            _check_name("alert", alert)
        case ChangeLimits(limits=limits):
            _clinical(limits.check)
        case _:
            pass


def _check_setup(setup: Setup) -> None:
    _check_name("who", setup.who)
    _check_why(setup.why)
    _check_range("issued_ns", setup.issued_ns, 0, 2**62)
    _clinical(setup.settings.check)
    for part, sha256 in setup.weights.items():
        if part not in ("net", "beats", "quality", "rhythm"):
            raise FrameError("weights", part, "net, beats, quality or rhythm")
        if sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", sha256):
            raise FrameError(f"weights.{part}", sha256, "a sha256 in hexadecimal, or none")
    _check_range("keys", len(setup.keys), 0, MAX_KEYS)
    for name, key in setup.keys.items():
        if not re.fullmatch(r"[0-9a-f]{64}", key.public):
            raise FrameError("public", key.public, "the 32 bytes of an Ed25519 key in hexadecimal")
        if name != hashlib.sha256(bytes.fromhex(key.public)).hexdigest()[:16]:
            raise FrameError("keys", name, "the id of its key, the first 16 digits of its sha256")


def _check_signed(signed: Signed) -> None:
    if not KEY_ID.fullmatch(signed.key):
        raise FrameError("key", signed.key, "16 hexadecimal digits")
    _check_range("signature", len(signed.signature), 64, 64)


def _clinical(check: Any) -> None:
    try:
        check()
    except ValueError as error:
        raise FrameError("settings", str(error), "inside their ranges") from error


def _check_device(device: str) -> None:
    _check_name("device", device)
    if device.startswith(SERVICE):
        raise FrameError("device", device, f"a name that does not begin with {SERVICE!r}, as those of services do")


def _check_name(field: str, value: str) -> None:
    if not NAME.fullmatch(value):
        raise FrameError(field, value, "1 to 64 letters, digits, '.', '_', ':' or '-', the first a letter or digit")


def _check_why(why: str) -> None:
    if not 1 <= len(why) <= 200:
        raise FrameError("why", why, "1 to 200 characters")


def _check_range(field: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # a NaN is outside every range
        raise FrameError(field, value, f"between {low} and {high}")


_CHECKS: dict[type, Any] = {
    Frame: check_frame,
    Tick: _check_tick,
    Command: _check_command,
    Setup: _check_setup,
    Signed: _check_signed,
}
