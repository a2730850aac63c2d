"""`vigil evaluate intervals`: what experts marked is read as they meant it, and errors are summed over records."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from ecg.record import Annotations
from stream.evaluate import intervals
from stream.evaluate.intervals import Errors, _summed, evaluate, marked  # pyright: ignore[reportPrivateUsage]
from stream.evaluate.run import Outcome


def marks(said: str, every: int = 10) -> Annotations:
    """Return annotations of these symbols, ten samples apart."""
    symbols = np.array(list(said))
    return Annotations(np.arange(len(said)) * every, symbols, ("",) * len(said), np.zeros(len(said), np.int64))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("(p)(N)t)(p)", (40, 30, 50, 70)),
        ("(N)(t)(p)", (10, 0, 20, 50)),
        ("(N)t)t)(p)", (10, 0, 20, 60)),
        ("(N)t)u)(p)", (10, 0, 20, 40)),
        ("(N)(p)", (10, 0, 20, np.nan)),
        ("N", (0, np.nan, np.nan, np.nan)),
    ],
)
def test_a_beat_ends_with_its_last_t_wave_before_u_and_before_the_next_p(
    said: str, expected: tuple[float, ...]
) -> None:
    assert marked(marks(said), 1.0)[0] == pytest.approx(expected, nan_ok=True)
    assert marked(marks(said), 0.5)[0] == pytest.approx(np.array(expected) / 2, nan_ok=True)


def test_each_record_counts_once_and_what_is_not_said_is_counted_apart() -> None:
    one = Errors(np.array([[0, 0, 10, 10], [0, 0, 30, 30], [np.nan] * 4], np.float64), 3)
    two = Errors(np.array([[0, 4, -20, -20]], np.float64), 1)
    found = _summed([one, two])
    assert (found["qt_error_ms"], found["qt_error_sd_of_records_ms"], found["qt_error_sd_within_ms"]) == (0, 20, 5)
    assert (found["beats"], found["beats_without_qt_percent"], found["qt_records"]) == (4, 25, 2)


def test_alarms_a_bed_a_day_are_of_all_beds_together_with_an_interval_over_patients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mitdb").mkdir()
    (tmp_path / "mitdb" / "RECORDS").write_text("100\n101\n")
    none = dict.fromkeys(intervals.CONDITIONS, 0.0)
    counted = {"100": {"seconds": 21600.0, **none, "st_high": 2.0}, "101": {"seconds": 64800.0, **none}}
    monkeypatch.setattr(intervals.run, "over", lambda paths, function: Outcome(counted, {}))
    assert evaluate(tmp_path, json=True, decisions=None) == 0
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found["figures"]["mitdb_alarms_per_bed_day_st_high"] == 2
    assert found["intervals"]["mitdb_alarms_per_bed_day_st_high"] == [0, 8]
    assert found["figures"]["mitdb_alarms_per_bed_day_qtc_high"] == 0
    assert "cinc2015_alarms_per_bed_day_st_high" not in found["figures"]
