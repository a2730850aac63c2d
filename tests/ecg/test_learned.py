"""What was learned from which patients."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecg.learned import APART, LEARNED, has_seen, patients
from ecg.quality_forest import SHIPPED, made


def test_202_was_seen_because_its_patient_was() -> None:
    assert "202" not in LEARNED["wave"]["mitdb"]
    assert has_seen(["wave"], "mitdb/201")
    assert has_seen(["beats"], "mitdb/201")


def test_the_same_number_in_another_set_is_another_patient() -> None:
    assert has_seen(["atrial"], "ltafdb/100")
    assert has_seen(["atrial"], "mitdb/100")
    assert not has_seen(["wave", "beats"], "mitdb/100")
    assert not has_seen(list(LEARNED), "cudb/100")


def test_alarms_of_the_challenge_chose_how_unlike_the_beats_of_a_run_may_be_and_nothing_else() -> None:
    assert len(patients("run")) == 450
    assert has_seen(["run"], "cinc2015/v102s")
    assert not has_seen([part for part in LEARNED if part != "run"], "cinc2015/v102s")


def test_what_changes_no_alarm_is_listed_apart() -> None:
    assert not LEARNED.keys() & APART.keys()
    assert has_seen(["artefact"], "vfdb/605")
    assert not has_seen(list(LEARNED), "cinc2011/1002867")


def test_the_shipped_forest_names_the_records_that_are_listed() -> None:
    records = made(SHIPPED.read_bytes())["records"]
    assert {name: tuple(each) for name, each in records.items()} == APART["quality"]
    assert len(patients("quality")) == 564


def test_paced_records_taught_no_class_of_beats() -> None:
    assert not {f"mitdb/{name}" for name in ("102", "104", "107", "217")} & patients("beats")


@pytest.mark.records
def test_every_record_that_taught_is_here(records: Path) -> None:
    for part in (*LEARNED.values(), *APART.values()):
        for name, taught in part.items():
            here = {path.stem for path in (records / name).glob("*.hea")}
            assert {*taught} <= here
