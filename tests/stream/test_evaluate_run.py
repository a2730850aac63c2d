"""The records of a set: found, run on two processes, and named where they fail."""

import os
from pathlib import Path

import pytest

from stream.evaluate import run


def test_records_have_a_header_or_are_listed(tmp_path: Path) -> None:
    for name in ("b.hea", "a.hea", "a.atr", "c.dat"):
        (tmp_path / name).touch()
    assert [path.name for path in run.records(tmp_path)] == ["a", "b"]
    (tmp_path / "RECORDS").write_text("b\nmissing\n\n")
    assert [path.name for path in run.records(tmp_path)] == ["a", "b", "missing"]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_record_that_fails_is_named_and_the_others_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], processes: int
) -> None:
    for name, size in (("a", 1), ("c", 3)):
        (tmp_path / name).write_bytes(b"x" * size)
    outcome = run.over([tmp_path / name for name in "abc"], os.path.getsize, processes)
    assert outcome.results == {"a": 1, "c": 3}
    assert list(outcome.failed) == ["b"]
    assert "No such file" in outcome.failed["b"]
    assert "3 of 3 records, 1 not scored" in capsys.readouterr().err


def test_nothing_to_run_gives_nothing(tmp_path: Path) -> None:
    assert run.over([], os.path.getsize) == run.Outcome({}, {})


@pytest.mark.parametrize(("record", "patient"), [("201", "201"), ("202", "201"), ("118e06", "118"), ("cu01", "cu01")])
def test_records_of_a_patient_are_one(record: str, patient: str) -> None:
    assert run.patient(record) == patient
