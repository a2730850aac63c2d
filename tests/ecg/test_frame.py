"""The codec of the input topic: every limit by its name, and no bytes that do more than a FrameError."""

from __future__ import annotations

import struct
import tracemalloc
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ecg.frame
from ecg.clinical import Limits, Settings
from ecg.frame import (
    COMMAND_NS,
    MAX_BYTES,
    MISSING,
    Acknowledge,
    Admit,
    ChangeLimits,
    Command,
    Discharge,
    Frame,
    FrameError,
    Input,
    Lead,
    LeadKind,
    Pause,
    Setup,
    Standby,
    Tick,
    check_frame,
    decode,
    encode,
)

LEADS = (Lead("II", 200.0), Lead("V1", 200.0, baseline=-12), Lead("PLETH", 50.0, "pleth", 0, "NU"))
FRAME = Frame("monitor-1", "s1", 7, 1_700_000_000_000_000_000, 250.0, LEADS, bytes(2 * 3 * 100))
TICK = Tick("ticker-1", 5, 1_700_000_000_000_000_000)
COMMAND = Command("monitor-1", "nurse-3", "seen at the bed", "n1", 10, 20, Standby())
SETUP = Setup("physicist-1", "night settings", 10, Settings(), {"net": "0" * 64, "beats": None})


def changed(record: Any, **fields: object) -> Any:
    return msgspec.structs.replace(record, **fields)


def with_lead(**fields: object) -> Frame:
    return changed(FRAME, leads=(changed(LEADS[0], **fields), *LEADS[1:]))


def wide(leads: int, kind: str = "pleth") -> Frame:
    named = tuple(Lead(f"L{n}", 1.0, "ecg" if n == 0 else kind) for n in range(leads))  # pyright: ignore[reportArgumentType]
    return changed(FRAME, leads=named, counts=bytes(2 * leads * 20))


def long(samples: int) -> Frame:
    return changed(FRAME, counts=bytes(2 * 3 * samples))


INSIDE = {
    "frame": FRAME,
    "shortest frame": long(10),
    "longest frame": long(500),
    "slowest": changed(FRAME, rate_hz=100.0),
    "fastest": changed(FRAME, rate_hz=1000.0),
    "most leads": wide(16),
    "most ecg leads": changed(wide(12, "ecg"), last=True),
    "smallest gain": with_lead(gain=1e-3),
    "largest gain": with_lead(gain=1e6),
    "lowest baseline": with_lead(baseline=-32768),
    "microvolts": with_lead(unit="uV"),
    "longest lead name": with_lead(name="L" * 16),
    "lead off": changed(FRAME, lead_off=((0, 0, 100), (2, 99, 100))),
    "most lead off": changed(FRAME, lead_off=((1, 0, 1),) * 128),
    "pacer": changed(FRAME, pacer=tuple(range(100))),
    "longest name": changed(FRAME, device="d" * 64),
    "tick": TICK,
    "command": COMMAND,
    "longest expiry": changed(COMMAND, expires_ns=10 + COMMAND_NS),
    "admit": changed(COMMAND, do=Admit("ward-1", "bed-7", 130, "female", True)),
    "discharge": changed(COMMAND, do=Discharge()),
    "limits": changed(COMMAND, do=ChangeLimits(Limits(rate_low_bpm=30, rate_high_bpm=220))),
    "acknowledge": changed(COMMAND, do=Acknowledge("0123456789abcdef01234567")),
    "longest pause": changed(COMMAND, do=Pause(600)),
    "setup": SETUP,
}

OUTSIDE: list[tuple[Input, str, str]] = [
    (changed(FRAME, v=2), "v", "v must be 1, got 2"),
    (changed(FRAME, device=""), "device", "device must be 1 to 64 letters, digits, .*, got ''"),
    (changed(FRAME, device="d" * 65), "device", "device must be 1 to 64 .*, got 'd+'"),
    (changed(FRAME, device="Jane Doe"), "device", "got 'Jane Doe'"),
    (changed(FRAME, session="-s"), "session", "session must be .* the first a letter or digit, got '-s'"),
    (changed(FRAME, seq=-1), "seq", "seq must be between 0 and 9007199254740992, got -1"),
    (changed(FRAME, seq=2**53 + 1), "seq", "got 9007199254740993"),
    (changed(FRAME, t0_ns=-1), "t0_ns", "t0_ns must be between 0 and 4611686018427387904, got -1"),
    (changed(FRAME, t0_ns=2**62 + 1), "t0_ns", "got 4611686018427387905"),
    (changed(FRAME, rate_hz=99.9), "rate_hz", r"rate_hz must be between 100\.0 and 1000\.0, got 99\.9"),
    (changed(FRAME, rate_hz=1000.1), "rate_hz", r"got 1000\.1"),
    (changed(FRAME, rate_hz=float("nan")), "rate_hz", "got nan"),
    (changed(FRAME, leads=()), "leads", "leads must be between 1 and 16, got 0"),
    (wide(17), "leads", "leads must be between 1 and 16, got 17"),
    (wide(13, "ecg"), "ecg leads", "ecg leads must be between 1 and 12, got 13"),
    (changed(FRAME, leads=LEADS[2:]), "ecg leads", "ecg leads must be between 1 and 12, got 0"),
    (with_lead(name="V1"), "leads", r"leads must be of different names, got \['V1', 'V1', 'PLETH'\]"),
    (with_lead(name=""), "lead name", "lead name must be 1 to 16 printable characters, got ''"),
    (with_lead(name="L" * 17), "lead name", "got 'L{17}'"),
    (with_lead(name="II\n"), "lead name", r"got 'II\\n'"),
    (with_lead(gain=0.0), "gain", r"gain must be between 0\.001 and 1000000 counts per unit, got 0\.0"),
    (with_lead(gain=1.1e6), "gain", r"got 1100000\.0"),
    (with_lead(gain=float("inf")), "gain", "got inf"),
    (with_lead(gain=float("nan")), "gain", "got nan"),
    (with_lead(baseline=-32769), "baseline", "baseline must be between -32768 and 32767, got -32769"),
    (with_lead(baseline=32768), "baseline", "got 32768"),
    (with_lead(unit="mmHg"), "unit", "unit must be mV, uV or V for an ECG lead, got 'mmHg'"),
    (with_lead(kind="resp", unit="u" * 17), "unit", "unit must be at most 16 printable characters, got 'u{17}'"),
    (with_lead(kind="resp", unit="\x07"), "unit", r"got '\\x07'"),
    (changed(FRAME, counts=b""), "counts", r"counts must be a positive multiple of 6 bytes \(int16 x leads\), got 0"),
    (changed(FRAME, counts=bytes(599)), "counts", "counts must be a positive multiple of 6 bytes .*, got 599"),
    (long(9), "duration_s", r"duration_s must be between 0\.04 and 2\.0, got 0\.036"),
    (long(501), "duration_s", r"got 2\.004"),
    (changed(FRAME, lead_off=((3, 0, 1),)), "lead_off", r"lead_off must be a lead and a range .*, got \(3, 0, 1\)"),
    (changed(FRAME, lead_off=((-1, 0, 1),)), "lead_off", r"got \(-1, 0, 1\)"),
    (changed(FRAME, lead_off=((0, 1, 1),)), "lead_off", r"got \(0, 1, 1\)"),
    (changed(FRAME, lead_off=((0, 0, 101),)), "lead_off", r"got \(0, 0, 101\)"),
    (changed(FRAME, lead_off=((0, -1, 1),)), "lead_off", r"got \(0, -1, 1\)"),
    (changed(FRAME, lead_off=((0, 0, 1),) * 129), "lead_off", "lead_off must be at most 128 ranges, got 129"),
    (changed(FRAME, pacer=(100,)), "pacer", r"pacer must be samples of this frame, each at most once, got \(100,\)"),
    (changed(FRAME, pacer=(-1,)), "pacer", r"got \(-1,\)"),
    (changed(FRAME, pacer=(3, 3)), "pacer", r"got \(3, 3\)"),
    (changed(TICK, ticker="/"), "ticker", "ticker must be .*, got '/'"),
    (changed(TICK, seq=-1), "seq", "seq must be between 0 and .*, got -1"),
    (changed(TICK, time_ns=-1), "time_ns", "time_ns must be between 0 and .*, got -1"),
    (changed(COMMAND, device="a b"), "device", "got 'a b'"),
    (changed(COMMAND, who=""), "who", "who must be .*, got ''"),
    (changed(COMMAND, nonce="?"), "nonce", r"nonce must be .*, got '\?'"),
    (changed(COMMAND, why=""), "why", "why must be 1 to 200 characters, got ''"),
    (changed(COMMAND, why="y" * 201), "why", r"why must be 1 to 200 characters, got 'y+\.\.\.$"),
    (changed(COMMAND, issued_ns=-1), "issued_ns", "issued_ns must be between 0 and .*, got -1"),
    (changed(COMMAND, expires_ns=9), "expires_ns", "expires_ns must be between 10 and 60000000010, got 9"),
    (changed(COMMAND, expires_ns=11 + COMMAND_NS), "expires_ns", "got 60000000011"),
    (changed(COMMAND, do=Admit("", "bed-7")), "ward", "ward must be .*, got ''"),
    (changed(COMMAND, do=Admit("ward-1", "7/8")), "bed", "bed must be .*, got '7/8'"),
    (changed(COMMAND, do=Admit("ward-1", "bed-7", 131)), "age", "age must be between 0 and 130, got 131"),
    (changed(COMMAND, do=Admit("ward-1", "bed-7", -1)), "age", "got -1"),
    (changed(COMMAND, do=Pause(601)), "seconds", "seconds must be between 0 and 600, got 601"),
    (changed(COMMAND, do=Pause(-1)), "seconds", "got -1"),
    (changed(COMMAND, do=Acknowledge("x" * 65)), "alert", "alert must be 1 to 64 .*, got 'x+'"),
    (
        changed(COMMAND, do=ChangeLimits(Limits(rate_low_bpm=29))),
        "settings",
        "rate_low_bpm must be between 30 and 100 bpm, got 29",
    ),
    (changed(SETUP, who=""), "who", "who must be .*, got ''"),
    (changed(SETUP, why=""), "why", "why must be 1 to 200 characters, got ''"),
    (changed(SETUP, issued_ns=-1), "issued_ns", "issued_ns must be between 0 and .*, got -1"),
    (
        changed(SETUP, settings=Settings(asystole_s=9.0)),
        "settings",
        "asystole_s must be between 3 and 8 s, got 9.0",
    ),
    (changed(SETUP, weights={"gross": None}), "weights", "weights must be net, beats, quality or rhythm, got 'gross'"),
    (changed(SETUP, weights={"net": "0" * 63}), "weights.net", "weights.net must be a sha256 in hexadecimal, .*'0+'"),
]


@pytest.mark.parametrize("record", INSIDE.values(), ids=INSIDE)
def test_what_is_inside_the_limits_comes_back_as_it_was(record: Input) -> None:
    assert decode(encode(record)) == record


@pytest.mark.parametrize(
    ("record", "field", "message"), OUTSIDE, ids=[f"{f}-{n}" for n, (_, f, _) in enumerate(OUTSIDE)]
)
def test_what_is_outside_a_limit_is_refused_by_field_limit_and_value(record: Input, field: str, message: str) -> None:
    with pytest.raises(FrameError, match=message) as caught:
        decode(encode(record))
    assert caught.value.field == field
    assert caught.value.limit in str(caught.value)


def test_a_frame_can_be_checked_before_it_is_sent() -> None:
    check_frame(FRAME)
    with pytest.raises(FrameError, match="v must be 1, got 3"):
        check_frame(changed(FRAME, v=3))


def test_a_record_of_the_largest_size_is_decoded_and_one_byte_more_is_not_even_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    value = encode(FRAME)
    monkeypatch.setattr(ecg.frame, "MAX_BYTES", len(value))
    assert decode(value) == FRAME
    monkeypatch.setattr(ecg.frame, "MAX_BYTES", len(value) - 1)
    monkeypatch.setattr(ecg.frame, "_decoder", None)
    with pytest.raises(FrameError, match=f"record must be at most {len(value) - 1} bytes, got {len(value)}"):
        decode(value)


def test_the_largest_frame_fits_into_a_record() -> None:
    leads = tuple(Lead(f"L{n}", 1.0, "ecg" if n < 12 else "abp") for n in range(16))
    frame = changed(FRAME, rate_hz=1000.0, leads=leads, counts=bytes(2 * 16 * 2000), pacer=tuple(range(2000)))
    assert len(encode(frame)) < MAX_BYTES
    assert decode(encode(frame)) == frame


CLAIMS = {
    "bytes": b"\xc6\xff\xff\xff\xff",
    "text": b"\xdb\xff\xff\xff\xff",
    "array": b"\xdd\xff\xff\xff\xff",
    "map": b"\xdf\xff\xff\xff\xff",
}


@pytest.mark.parametrize("field", ["counts", "leads", "device", "lead_off", "pacer"])
@pytest.mark.parametrize("claim", CLAIMS.values(), ids=CLAIMS)
def test_a_size_that_is_only_claimed_allocates_nothing(field: str, claim: bytes) -> None:
    text = [bytes([0xA0 | len(word)]) + word for word in (b"type", b"frame", field.encode())]
    value = b"\x8a" + b"".join(text) + claim
    tracemalloc.start()
    with pytest.raises(
        FrameError, match="record must be a MessagePack map of type frame, tick, command, setup or signed"
    ):
        decode(value)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 200_000


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\x80",
        b"\x81\xa4type\xa6poison",
        b'{"type":"frame"}',
        encode(FRAME)[:-1],
        encode(FRAME) + b"\0",
        b"\x91" * 9999,
    ],
    ids=["nothing", "empty map", "unknown type", "json", "cut", "trailing", "nested"],
)
def test_what_is_no_record_is_refused(value: bytes) -> None:
    with pytest.raises(FrameError, match="record must be a MessagePack map"):
        decode(value)


def test_a_long_value_is_shown_in_part() -> None:
    assert len(str(FrameError("why", "x" * 10_000, "short"))) < 120


def _only_frame_errors(value: bytes) -> bool:
    try:
        record = decode(value)
    except FrameError:
        return False
    if isinstance(record, Frame):
        assert record.samples().shape == (len(record.leads), record.n_samples)
    return True


def test_ten_thousand_random_bytes_raise_nothing_but_frame_errors() -> None:
    random = Random(1)
    for _ in range(10_000):
        assert not _only_frame_errors(random.randbytes(random.randint(0, 200)))


def test_ten_thousand_mutated_records_raise_nothing_but_frame_errors() -> None:
    random, taken = Random(2), 0
    originals = [encode(record) for record in INSIDE.values()]
    for _ in range(10_000):
        value = bytearray(random.choice(originals))
        for _ in range(random.randint(1, 4)):
            place = random.randrange(min(len(value), random.choice((64, 10_000))))
            match random.randrange(4):
                case 0:
                    value[place] = random.randrange(256)
                case 1:
                    del value[place : place + random.randint(1, 8)]
                    value = value or bytearray(b"\0")
                case 2:
                    value[place:place] = random.randbytes(random.randint(1, 8))
                case _:
                    value[place : place + 9] = b"\xcb" + struct.pack(">d", random.choice((1e300, -1.0, float("nan"))))
        taken += _only_frame_errors(bytes(value))
    assert 0 < taken < 10_000, "some mutations must be harmless, and most must not"


NAMES = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:-]{0,63}\Z")


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    rate_hz = draw(st.floats(100, 1000))
    kinds: list[LeadKind] = draw(st.lists(st.sampled_from(("ecg", "ecg", "pleth", "abp", "resp")), max_size=10))
    leads = tuple(
        Lead(
            f"{draw(st.sampled_from(('II', 'V', 'L')))}{n}",
            draw(st.floats(1e-3, 1e6)),
            kind,
            draw(st.integers(-32768, 32767)),
        )
        for n, kind in enumerate(("ecg", *kinds))
    )
    n = draw(st.integers(int(0.04 * rate_hz) + 1, int(2 * rate_hz)))
    seed, first = draw(st.integers(0, 2**32)), draw(st.integers(0, n - 1))
    counts = np.random.default_rng(seed).integers(-32768, 32768, (len(leads), n)).astype("<i2").tobytes()
    off = tuple(
        (lead, first, draw(st.integers(first + 1, n))) for lead in draw(st.sets(st.integers(0, len(leads) - 1)))
    )
    pacer = tuple(draw(st.sets(st.integers(0, n - 1), max_size=9)))
    seq, t0_ns = draw(st.integers(0, 2**53)), draw(st.integers(0, 2**62))
    return Frame(draw(NAMES), draw(NAMES), seq, t0_ns, rate_hz, leads, counts, off, pacer, draw(st.booleans()))


@settings(max_examples=150, deadline=None)
@given(frames())
def test_any_frame_comes_back_as_it_was_and_encodes_to_the_same_bytes(frame: Frame) -> None:
    value = encode(frame)
    again = decode(value)
    assert again == frame
    assert encode(again) == value


@settings(max_examples=100, deadline=None)
@given(NAMES, NAMES, st.integers(0, 2**61), st.integers(0, COMMAND_NS), st.text(min_size=1, max_size=200), st.data())
def test_any_command_comes_back_as_it_was(
    device: str, nonce: str, issued_ns: int, lasts_ns: int, why: str, data: st.DataObject
) -> None:
    actions = st.one_of(
        st.builds(Pause, st.integers(0, 600)),
        st.builds(Standby, st.booleans()),
        st.builds(Acknowledge, NAMES),
        st.builds(Admit, NAMES, NAMES, st.none() | st.integers(0, 130), st.sampled_from((None, "male")), st.booleans()),
        st.builds(ChangeLimits, st.builds(Limits, st.none() | st.floats(30, 60), st.none() | st.floats(61, 220))),
    )
    command = Command(device, "nurse", why, nonce, issued_ns, issued_ns + lasts_ns, data.draw(actions))
    assert decode(encode(command)) == command


def test_samples_are_rows_of_leads_without_a_copy() -> None:
    counts = np.array([[1, 2, MISSING], [-1, 32767, 0]], dtype="<i2")
    frame = changed(FRAME, leads=LEADS[:2], counts=counts.tobytes())
    assert frame.n_samples == 3
    assert (frame.samples() == counts).all()
    assert frame.samples().base is not None
