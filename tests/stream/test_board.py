"""What the board says of a bed, in one line and in the table."""

from __future__ import annotations

import io

import msgspec
import pytest
from rich.console import Console

from ecg.alert import Alert, Vitals, decode_alert
from ecg.condition import Finding
from stream.board import Board
from stream.client import Bed
from stream.service_alarm import ServiceAlarms
from stream.watchdog import SUSPENDED_S


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


def ticked(second: int, time_ns: int, *, gone: bool = False) -> Bed:
    """A bed whose ward's time is at some second."""
    vitals = Vitals("a", "7", "icu", time_ns, 61.4, "sinus", {}, None, (), (), tick_ns=second * 10**9, gone=gone)
    return Bed("icu", "7", "a", vitals, {}, None)


def test_a_bed_whose_frames_come_while_the_wards_clock_stands_is_suspended() -> None:
    """Without ticks nobody would notice that a device fell silent."""
    now_s = 0.0
    board = Board(lambda: now_s)
    for step in range(10):
        now_s = float(step)
        board.update([ticked(1, step * 10**9)])
    assert board.line() == "7 61 SUSPENDED"
    board.update([ticked(2, 10 * 10**9)])
    assert board.line() == "7 61 ok"


def printed(board: Board) -> str:
    console = Console(file=io.StringIO(), width=150)
    console.print(board.render())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_suspended_bed_shows_no_rate_and_no_rhythm_but_says_so_aloud_beside_its_alarms() -> None:
    now_s = 0.0
    board = Board(lambda: now_s)
    on = {"asystole": msgspec.structs.replace(service_alarm(), text="*** ASYSTOLE", condition="asystole")}
    board.update([msgspec.structs.replace(bed(61.4, "sinus"), on=on)])
    assert "61" in printed(board)
    now_s = 5.0
    shown = printed(board)
    assert "MONITORING SUSPENDED for 5 s" in shown
    assert "not monitored" in shown
    assert "*** ASYSTOLE" in shown
    assert "61" not in shown
    assert "sinus" not in shown


def test_a_device_that_has_ended_with_an_alarm_is_not_taken_for_one_that_nobody_watches() -> None:
    now_s = 0.0
    board = Board(lambda: now_s)
    board.update([ticked(1, 1, gone=True)])
    now_s = 60.0
    board.update([ticked(1, 1, gone=True)])
    assert "SUSPENDED" not in board.line()


def service_alarm() -> Alert:
    alarms = ServiceAlarms("publisher")
    alarms.start(Finding("store_down", 7, 5.04, 5.0, "s"), 40)
    return decode_alert(alarms.outbox[0])


def test_what_a_service_says_of_itself_stands_above_all_beds_of_every_ward() -> None:
    board = Board(lambda: 0.0)
    board.update([bed(61.4, "sinus")], [service_alarm()])
    assert board.line() == "! ALERTS NOT SHOWN, Redis silent 5 s (vigil:publisher) | 7 61 ok"
    assert "ALERTS NOT SHOWN" in printed(board).splitlines()[0]
