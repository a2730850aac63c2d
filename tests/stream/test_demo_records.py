from __future__ import annotations

from pathlib import Path

from simulators.story import PLOTS
from stream.demo_records import demo_folder, demo_records
from stream.record_sets import SETS


def test_every_story_has_a_record_of_a_set_that_can_be_brought() -> None:
    sets = demo_records()
    assert set(sets) <= set(SETS)
    for plot in PLOTS:
        assert any(record in sets[one] for one, _, record in (cut.record.partition("/") for cut in plot.cuts))


def test_the_demo_finds_what_was_brought_to_the_cache(tmp_path: Path) -> None:
    assert demo_folder(tmp_path) is None
    (tmp_path / "records/.part/mitdb").mkdir(parents=True)
    (tmp_path / "records/.part/mitdb/100.hea").touch()
    assert demo_folder(tmp_path) is None
    (tmp_path / "records/mitdb").mkdir()
    (tmp_path / "records/mitdb/100.hea").touch()
    assert demo_folder(tmp_path) == tmp_path / "records"
