"""The records checked in for makers of devices are those that today's codec writes and reads, bit for bit."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from ecg.frame import Frame, check_input, decode, encode
from tests.golden.frames import as_json, made, of_json, written

GOLDEN = written()


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_record_is_read_and_written_again_bit_for_bit(name: str) -> None:
    value, said = GOLDEN[name]
    record = decode(value)
    assert encode(record) == value
    assert msgspec.json.decode(msgspec.json.encode(as_json(record))) == said


@pytest.mark.parametrize("name", GOLDEN)
def test_todays_encoder_gives_the_golden_bytes_of_what_the_json_says(name: str) -> None:
    value, said = GOLDEN[name]
    record = of_json(said)
    check_input(record)
    assert encode(record) == value


def test_there_is_a_golden_record_of_every_kind_and_of_every_action() -> None:
    assert set(GOLDEN) == set(made())
    assert {said["type"] for _, said in GOLDEN.values()} == {"frame", "tick", "command", "setup", "signed"}
    assert {type(decode(value)) for value, _ in GOLDEN.values()} == {type(record) for record in made().values()}
    actions = {said["do"]["action"] for _, said in GOLDEN.values() if said["type"] == "command"}
    assert actions == {"admit", "discharge", "limits", "acknowledge", "pause", "standby"}


def test_the_hearts_in_golden_frames_are_generated_ones() -> None:
    for name, record in made().items():
        if isinstance(record, Frame):
            golden: Any = decode(GOLDEN[name][0])
            assert np.abs(golden.samples().astype(int) - record.samples()).max() <= 1, "but for the last bit of a sine"
