"""`vigil evaluate risk`: which records are stable by their annotations, and which changes are counted."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from ecg.record import Annotations, write_annotations, write_signals
from simulators.heart import Heart
from stream.commands.evaluate import app
from stream.evaluate.risk import Change, Watched, figures, group, reasons, whose

RATE_HZ = 250.0
BEATS = 400


def marked(rhythms: tuple[str, ...] = (), every_s: float = 0.8, **odd: int) -> Annotations:
    """Return normal beats at one rate, of which so many are of other symbols, and marks of rhythm at the start."""
    unusual = [symbol for symbol, count in odd.items() for _ in range(count)]
    symbols = ["+"] * len(rhythms) + unusual + ["N"] * (BEATS - len(unusual))
    samples = np.r_[np.zeros(len(rhythms)), np.arange(BEATS) * every_s * RATE_HZ].astype(np.int64)
    aux = (*rhythms, *("",) * BEATS)
    return Annotations(samples, np.array(symbols), aux, np.zeros(len(symbols), np.int64))


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (marked(), "stable"),
        (marked(("(N", "(SBR")), "stable"),
        (marked(R=BEATS - 20), "stable"),
        (marked(V=4), "stable"),
        (marked(V=5), "other"),
        (marked(A=3, F=3), "other"),
        (marked(f=1), "other"),
        (marked(("(N", "(AFIB")), "other"),
        (marked(every_s=1.25), "sinus"),
        (marked(every_s=0.5), "sinus"),
    ],
)
def test_stable_is_sinus_at_a_usual_rate_with_few_ectopic_beats(reference: Annotations, expected: str) -> None:
    assert group(reference, RATE_HZ) == expected


def test_changes_an_hour_are_of_all_beds_together_and_patients_with_two_records_count_once() -> None:
    rise, fall = Change(5.0, "low", "high", ("heart rate 144 bpm",)), Change(9.0, "high", "low", ("well",))
    found = {
        "mitdb/103": Watched("stable", 1800.0, (rise, fall)),
        "qtdb/sel103": Watched("stable", 900.0, ()),
        "qtdb/sele0104": Watched("stable", 900.0, (rise,)),
        "mitdb/200": Watched("other", 3600.0, (rise,) * 9),
    }
    report = figures(found)
    assert report["figures"]["changes_per_bed_hour_stable"] == 3
    assert report["figures"]["changes_per_bed_hour_other"] == 9
    assert report["figures"]["changes_per_bed_hour_stable_qtdb"] == 2
    assert (report["figures"]["records_stable"], report["figures"]["bed_hours_stable"]) == (3, 1)
    assert "records_sinus" not in report["figures"]
    assert report["reasons"]["stable"] == {"rise: heart rate # bpm": 2, "fall to low": 1}
    assert len({whose(name) for name in found}) == 3
    assert reasons([]) == {}


def test_a_bed_whose_rate_goes_up_changes_once_and_says_why(tmp_path: Path) -> None:
    heart = Heart([("sinus", 60.0, {"rate_bpm": 70.0}), ("sinus", 60.0, {"rate_bpm": 130.0})], ("II",), seed=3)
    folder = tmp_path / "mitdb"
    folder.mkdir()
    write_signals(folder / "1", ["II"], heart.samples(0, 120 * 250).astype(np.float32), 250)
    write_annotations(folder / "1", "atr", [round(k * 0.8 * 250) for k in range(150)], ["N"] * 150, rate_hz=250)
    (folder / "RECORDS").write_text("1\n2\n")
    arguments = ["risk", "--data", str(tmp_path), "--json", "--net", "none", "--decisions", str(tmp_path / "d")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    said = msgspec.json.decode(result.stdout)
    assert said["figures"]["changes_per_bed_hour_stable"] == 30
    assert list(said["reasons"]["stable"]) == ["rise: alarm rate high"]
    assert list(said["failed"]) == ["mitdb/2"]
    (line,) = [msgspec.json.decode(each) for each in (tmp_path / "d").read_bytes().splitlines()]
    (change,) = line["changes"]
    assert (change[1], change[2]) == ("low", "elevated")
    assert 60 < change[0] < 75
