"""What the board says of a bed in one line."""

from __future__ import annotations

import pytest

from ecg.alert import Vitals
from stream.board import SUSPENDED_S, Board
from stream.client import Bed


def bed(rate_bpm: float | None, rhythm: str) -> Bed:
    return Bed("icu", "7", "a", Vitals("a", "7", "icu", 1, rate_bpm, rhythm, {}, None, (), ()), {}, None)


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        (bed(61.4, "sinus"), "7 61 ok"),
        (bed(None, "no data"), "7 X no data"),
        (bed(None, "starting"), "7 X starting"),
        (Bed("icu", "7", "a", None, {}, None), "7 X starting"),
    ],
)
def test_a_bed_is_ok_only_where_its_rate_is_known(shown: Bed, line: str) -> None:
    board = Board()
    board.update([shown])
    assert board.line() == line


def test_a_bed_that_stands_still_is_suspended() -> None:
    now_s = 0.0
    board = Board(lambda: now_s)
    board.update([bed(61.4, "sinus")])
    now_s = SUSPENDED_S + 0.1
    board.update([bed(61.4, "sinus")])
    assert board.line() == "7 61 SUSPENDED"
