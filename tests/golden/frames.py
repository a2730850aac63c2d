"""Records of the input, checked in as bytes and as JSON, for makers of devices; generated hearts alone.

`python -m tests.golden.frames` writes them anew, which is wanted only where the contract itself has another version.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ecg.clinical import Limits, Settings
from ecg.frame import (
    MISSING,
    Acknowledge,
    Admit,
    ChangeLimits,
    Command,
    Discharge,
    Frame,
    Input,
    Lead,
    Pause,
    PublicKey,
    Setup,
    Signed,
    Standby,
    Tick,
    decode,
    encode,
)
from simulators.bedside import Framer
from simulators.heart import Heart

FOLDER = Path(__file__).parent
T0_NS = 1_800_000_000_000_000_000
SECOND_NS = 1_000_000_000
KEY_ID = "66687aadf862bd77"
"""Of the key that is 32 zeros."""
TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def made() -> dict[str, Input]:
    """Make the records by their names."""
    hearts = {
        "bedside-2-leads-250-hz": (Heart([("sinus", 10, {})]), 0.25),
        "bedside-12-leads-500-hz": (Heart([("sinus", 10, {})], TWELVE, 500.0), 0.25),
        "bedside-with-pulse": (Heart([("sinus", 10, {})], ("II", "PLETH", "ABP", "RESP")), 0.5),
        "wearable-1-lead-125-hz": (Heart([("atrial_fibrillation", 10, {})], ("I",), 125.0), 2.0),
    }
    records: dict[str, Input] = {}
    for name, (heart, frame_s) in hearts.items():
        framer = Framer(heart.source(), name.partition("-")[0], T0_NS, frame_s, "session-1")
        records[name] = framer.frame(7, 7 * framer.n, framer.n)
    records["everything"] = everything()
    return records | orders()


def everything() -> Frame:
    """A frame in which nothing has its default."""
    leads = (
        Lead("II", 204.8, "ecg", -12, "mV"),
        Lead("V1", 0.4, "ecg", 100, "uV"),
        Lead("ABP", 80.0, "abp", 0, "mmHg"),
    )
    counts = np.arange(30, dtype=np.int16).reshape(3, 10) * 50 - 700
    counts[1, 3:5] = MISSING
    off, spikes = ((0, 0, 4), (1, 8, 10)), (2, 9)
    return Frame(
        "monitor-7", "a:b.c", 2**40, T0_NS + 1, 100.5, leads, counts.astype("<i2").tobytes(), off, spikes, True
    )


def orders() -> dict[str, Input]:
    """Make the records that devices do not send."""
    actions = (
        Admit("icu", "3", 71, "female", paced=True), Discharge(), ChangeLimits(Limits(rate_high_bpm=150.0)),
        Acknowledge("c0ffee"), Pause(120), Standby(),
    )  # fmt: skip
    made = {
        f"command-{type(do).__name__.lower()}": Command(
            "monitor-7", "anna", "a reason", f"n{n}", T0_NS, T0_NS + 60 * SECOND_NS, do
        )
        for n, do in enumerate(actions)
    }
    tick, public = Tick("ticker-a", 5, T0_NS), "00" * 32
    setup = Setup(
        "anna", "first", T0_NS, Settings(), {"net": "ab" * 32}, {"66687aadf862bd77": PublicKey(public, ("tick",))}
    )
    return {
        **made,
        "tick": tick,
        "setup": setup,
        "signed-tick": Signed("66687aadf862bd77", encode(tick), bytes(range(64))),
    }


def as_json(record: Input) -> dict[str, Any]:
    """Return a record as JSON may show it: counts as numbers, lead by lead, what is signed as what it is."""
    said: dict[str, Any] = msgspec.to_builtins(record, builtin_types=(bytes,))
    if isinstance(record, Frame):
        said["counts"] = record.samples().tolist()
    if isinstance(record, Signed):
        said |= {"body": as_json(decode(record.body)), "signature": record.signature.hex()}
    return said


def of_json(said: dict[str, Any]) -> Input:
    """Return the record that some JSON shows."""
    said = dict(said)
    if said["type"] == "frame":
        said["counts"] = np.array(said["counts"], "<i2").tobytes()
    if said["type"] == "signed":
        said |= {"body": encode(of_json(said["body"])), "signature": bytes.fromhex(said["signature"])}
    return msgspec.convert(said, Input)


def written() -> dict[str, tuple[bytes, dict[str, Any]]]:
    """Return what is checked in: bytes and JSON by name."""
    names = sorted(path.stem for path in FOLDER.glob("*.msgpack"))
    return {
        name: ((FOLDER / f"{name}.msgpack").read_bytes(), msgspec.json.decode((FOLDER / f"{name}.json").read_bytes()))
        for name in names
    }


if __name__ == "__main__":
    for name, record in made().items():
        (FOLDER / f"{name}.msgpack").write_bytes(encode(record))
        (FOLDER / f"{name}.json").write_bytes(msgspec.json.encode(as_json(record)) + b"\n")
