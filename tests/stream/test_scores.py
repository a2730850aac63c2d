from __future__ import annotations

import re
from pathlib import Path

import pytest

from stream import scores
from stream.scores import SCORES, Asked, Row, merged, rows, table

ASKED = Asked("`rhythm`", ("rhythm",), ("vfdb",), {"se": "Se", "delay_s": "delay, s", "n": "episodes"})
REPORT = {
    "figures": {"se": 91.256, "se_in_sample": 97.0, "delay_s": None, "n": 7, "sleepecg_se": 88.0, "records": 3},
    "intervals": {"se": [0.5, 99.0], "se_in_sample": None},
}


def test_a_figure_stands_with_its_interval_beside_the_in_sample_one_and_the_peer() -> None:
    assert rows(ASKED, REPORT) == [
        Row("`rhythm`", "Se", "91.26 (0.500 to 99.00)", "97.00", "88.00"),
        Row("`rhythm`", "episodes", "7"),
    ]


def test_what_folds_judged_takes_the_place_of_what_was_left_without_a_judge() -> None:
    whole = [Row("`rhythm`", "Se", "", "97.00"), Row("`rhythm`", "gone", "", "1")]
    folds = [Row("`rhythm`", "Se", "91.00", "98.00"), Row("`rhythm`", "AF", "80.00", "82.00")]
    assert merged(whole, folds) == [Row("`rhythm`", "Se", "91.00", "97.00"), Row("`rhythm`", "AF", "80.00", "82.00")]


def test_the_table_is_markdown_and_names_each_protocol_once() -> None:
    lines = table(rows(ASKED, REPORT)).splitlines()
    assert [line.count("|") for line in lines] == [6] * 4
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["`rhythm`", ""]


def test_each_set_that_is_absent_is_named_with_the_command_that_brings_it_and_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "evaluated", lambda *_: pytest.fail("nothing is there to be scored"))
    said = scores.scores(tmp_path, print)
    for name in {name for asked in SCORES for name in asked.sets}:
        assert said.count(f"`vigil records get {name} --to DIR`") == 1


def test_a_command_that_can_score_nothing_is_named_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluated(asked: Asked, records: Path) -> scores.Report:
        if asked.command == ("broken",):
            raise ValueError("`vigil evaluate broken` ended with status 2")
        return REPORT

    monkeypatch.setattr(scores, "evaluated", evaluated)
    (tmp_path / "vfdb").mkdir()
    said = scores.scores(tmp_path, lambda _: None, [ASKED._replace(command=("broken",)), ASKED])
    assert "| `rhythm` | Se | 91.26" in said
    assert "- `vigil evaluate broken` ended with status 2\n" in said
    assert said.endswith("- `vigil evaluate rhythm` on vfdb: 3 records")


@pytest.mark.timeout(120)
def test_a_command_is_run_on_the_folder_of_its_set_and_its_answer_is_read(tmp_path: Path) -> None:
    (tmp_path / "mitdb").mkdir()
    (tmp_path / "mitdb/100.hea").write_text("broken\n")
    with pytest.raises(ValueError, match=r"`vigil evaluate ec57` ended with status 2"):
        scores.evaluated(Asked("`ec57`", ("ec57",), ("mitdb",), {}), tmp_path)


def test_the_page_on_evaluation_has_a_row_of_every_protocol_and_no_row_of_another_figure() -> None:
    page = (Path(__file__).parents[2] / "docs/evaluation.md").read_text()
    head = table([]).splitlines()[0]
    assert head in page
    printed = page[page.index(head) :].splitlines()[2:]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed if line.startswith("|")]
    assert {row[0] for row in cells} - {""} == {asked.title for asked in SCORES}
    assert {row[1] for row in cells} <= {text for asked in SCORES for text in asked.figures.values()}
    assert all(re.fullmatch(r"|-?[\d.]+( \(-?[\d.]+ to -?[\d.]+\))?", cell) for row in cells for cell in row[2:])
