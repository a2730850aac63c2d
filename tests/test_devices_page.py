"""What is written for makers of devices holds what the code holds."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from ecg import frame as f
from ecg import timeline
from ecg.frame import Frame, FrameError, Lead, check_frame, decode
from stream.bed_technical import BAD_FRAMES
from stream.pipeline import PATIENCE_NS, QUARANTINED_EVERY

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "devices.md").read_text()
GOOD = Frame("d", "s", 0, 0, 250.0, (Lead("II", 200.0),), bytes(500))
LIMITS = {
    "seq": f"0 to 2^{53}",
    "t0_ns": f"0 to 2^{62}",
    "rate_hz": f"{f.MIN_RATE_HZ:g} to {f.MAX_RATE_HZ:g}",
    "leads": f"1 to {f.MAX_LEADS}, of them 1 to {f.MAX_ECG_LEADS} of kind `ecg`",
    "lead_off": f"at most {f.MAX_LEAD_OFF}",
    "counts": f"{f.MIN_FRAME_S * 1000:g} ms to {f.MAX_FRAME_S:g} s",
    "v": "1",
}
BROKEN = {
    "v": {"v": 2},
    "device": {"device": "no name"},
    "session": {"session": ""},
    "seq": {"seq": -1},
    "t0_ns": {"t0_ns": -1},
    "rate_hz": {"rate_hz": 50.0},
    "leads": {"leads": ()},
    "ecg leads": {"leads": (Lead("P", 1.0, "pleth"),)},
    "lead name": {"leads": (Lead("", 1.0),)},
    "gain": {"leads": (Lead("II", 0.0),)},
    "baseline": {"leads": (Lead("II", 1.0, "ecg", 40_000),)},
    "unit": {"leads": (Lead("II", 1.0, "ecg", 0, "furlong"),)},
    "counts": {"counts": b"odd"},
    "duration_s": {"counts": bytes(4)},
    "lead_off": {"lead_off": ((0, 0, 9999),)},
    "pacer": {"pacer": (1, 1)},
}


def rows(heading: str) -> dict[str, list[str]]:
    """The cells of the table below a heading, by the first of each row."""
    section = PAGE.split(heading, 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {row[0].strip("` "): row for row in cells}


FIELDS, ERRORS = rows("## The frame, field by field"), rows("## What an error means")


def test_every_field_of_a_frame_and_of_a_lead_stands_in_the_page_and_no_other() -> None:
    leads = {f"leads[].{name}" for name in Lead.__struct_fields__}
    assert set(FIELDS) == {"type", *Frame.__struct_fields__} | leads


@pytest.mark.parametrize("name", LIMITS)
def test_limits_in_the_page_are_those_of_the_code(name: str) -> None:
    assert FIELDS[name][-1].strip("| ").startswith(LIMITS[name])


def test_other_figures_in_the_page_are_those_of_the_code() -> None:
    assert f"A whole record is at most {f.MAX_BYTES} bytes" in PAGE
    assert f"After {BAD_FRAMES} in a row" in PAGE
    assert f"only one in {QUARANTINED_EVERY} goes on" in PAGE
    assert f"{f.MISSING} is a sample" in PAGE
    assert f"at most {timeline.HELD_NS / 1e9:g} s of signal" in PAGE
    assert f"silent for {PATIENCE_NS / 1e9:g} s by the ward's clock" in PAGE
    assert f"for up to {timeline.MAX_GAP_S:g} s" in PAGE
    assert f"more than {timeline.DRIFT_NS / 1e6:g} ms off, by at most {timeline.SLEW:.0%}".replace("%", " %") in PAGE
    assert f"falls back by more than {timeline.STEP_NS / 1e9:g} s" in PAGE


def test_every_error_that_a_frame_can_give_stands_in_the_page() -> None:
    assert set(ERRORS) == {*BROKEN, "record", "partition"}
    source = (ROOT / "ecg" / "frame.py").read_text()
    checks = source.split("def check_frame", 1)[1].split("def _check_tick", 1)[0]
    named = set(re.findall(r'(?:FrameError|_check_range|_check_name)\(\s*"([^"]+)"', checks))
    assert named <= set(ERRORS), "and no other is raised"


@pytest.mark.parametrize("field", BROKEN)
def test_an_error_begins_with_the_field_that_the_page_names(field: str) -> None:
    with pytest.raises(FrameError) as caught:
        check_frame(msgspec.structs.replace(GOOD, **BROKEN[field]))
    assert str(caught.value).startswith(f"{field} must be ")


@pytest.mark.parametrize("value", [b"", b"\x80", b"\xff", bytes(f.MAX_BYTES + 1)])
def test_bytes_that_are_no_frame_are_an_error_of_the_record(value: bytes) -> None:
    with pytest.raises(FrameError, match=r"^record must be "):
        decode(value)


def test_the_producer_is_short_and_imports_nothing_of_vigil() -> None:
    source = (ROOT / "examples" / "producer.py").read_text()
    imported = set(re.findall(r"^(?:import|from) ([a-z_]+)", source, re.M))
    assert imported == {"array", "asyncio", "math", "sys", "time", "uuid", "msgspec", "aiokafka"}
    assert len([line for line in source.splitlines() if line.strip()]) <= 32
