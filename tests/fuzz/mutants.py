"""Records that are almost right: made in bulk from good ones, from a seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from ecg.clinical import Limits, Settings
from ecg.frame import (
    Acknowledge,
    Admit,
    ChangeLimits,
    Command,
    Discharge,
    Frame,
    Lead,
    Pause,
    PublicKey,
    Setup,
    Signed,
    Standby,
    Tick,
    encode,
)

T0_NS = 1_800_000_000_000_000_000
BULK = 4096
WILD = (
    b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff", b"\x91" * 64,
    b"\x81\xa1a" * 32, b"\xcb\x7f\xf8\0\0\0\0\0\0", b"\xcb\x7f\xf0\0\0\0\0\0\0", b"\xcf" + b"\xff" * 8,
    b"\xd3\x80" + b"\0" * 7, b"\xc0", b"\xc1", b"\xd8" + bytes(17), b"\xa4\xff\xfe\xfd\xfc", b"\xcb" + bytes(8),
)  # fmt: skip
"""Bytes that say: an array, a map, a string, a blob of 4 GB; deep nests; NaN, infinity, 2^64 - 1, -2^63, nil, ..."""


def frame(device: str = "mutant-0", seq: int = 0, leads: int = 1, n: int = 4, rate_hz: float = 100.0) -> Frame:
    """Return a good frame, with a run of lead-off and a pacer's spike."""
    names = ("II", "V1", "I", "III", "aVR", "aVL", "aVF", "V2", "V3", "V4", "V5", "V6")[:leads]
    counts = (300 * np.sin(np.arange(leads * n) / 3 + seq)).astype("<i2").tobytes()
    t0_ns = T0_NS + round(seq * n / rate_hz * 1e9)
    made = tuple(Lead(name, 200.0) for name in names)
    return Frame(device, "s", seq, t0_ns, rate_hz, made, counts, ((0, 0, 2),), (1,))


def good() -> list[bytes]:
    """Return one encoded record of each kind, small ones first."""
    actions = (
        Admit("icu", "7", 64, "female", True), Discharge(), ChangeLimits(Limits(rate_high_bpm=150.0)),
        Acknowledge("ab" * 12), Pause(30), Standby(False),
    )  # fmt: skip
    keys = {"ab" * 8: PublicKey("cd" * 32, ("tick", "command"))}
    setup = Setup("vigil", "a test", T0_NS, Settings(), {"net": None}, keys)
    tick = Tick("ticker", 5, T0_NS)
    commands = [Command("mutant-0", "nurse", "why", f"n{n}", T0_NS, T0_NS + 10**9, do) for n, do in enumerate(actions)]
    frames = [frame(), frame(seq=7, leads=2, n=10), frame(leads=12, n=20, rate_hz=500.0)]
    return [*map(encode, (*frames, tick, *commands, setup)), encode(Signed("ab" * 8, encode(tick), bytes(64)))]


def mutated(bases: Sequence[bytes], n: int, seed: int) -> Iterator[bytes]:
    """Yield n mutants: bytes changed, mostly few; of every eighth a part is cut out, doubled, or made wild.

    Where the change falls is drawn for many at once; half of all mutants come of the first record.
    """
    draw = np.random.default_rng(seed)
    while n > 0:
        base = bases[0] if draw.random() < 0.5 else bases[int(draw.integers(len(bases)))]
        count = min(n, BULK)
        rows = np.tile(np.frombuffer(base, np.uint8), (count, 1))
        for _ in range(int(draw.choice((1, 1, 2, 4, 16)))):
            rows[np.arange(count), draw.integers(len(base), size=count)] = draw.integers(
                256, size=count, dtype=np.uint8
            )
        width, flat = len(base), rows.tobytes()
        cuts = draw.integers(1, width, size=(count, 3)).tolist()
        for row in range(count):
            value = flat[row * width : (row + 1) * width]
            if row % 8 == 0:
                first, second, kind = cuts[row]
                value = _broken(value, first, second, kind)
            yield value
        n -= count


def _broken(value: bytes, first: int, second: int, kind: int) -> bytes:
    match kind % 4:
        case 0:
            return value[:first]
        case 1:
            return value[:first] + value[min(first, second) :]
        case 2:
            return value[:first] + value[first + 4 :]
        case _:
            return value[:first] + WILD[second % len(WILD)] + value[first + 1 :]
