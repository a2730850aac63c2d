from __future__ import annotations

from pathlib import Path

from stream.runs import RunFolder


def test_a_run_leaves_its_logs_and_takes_its_data_with_it(tmp_path: Path) -> None:
    with RunFolder(tmp_path) as folder:
        (folder / "kafka").mkdir()
        (folder / "kafka" / "data").write_text("data")
        (folder / "kafka.log").write_text("log")
    assert sorted(path.name for path in folder.iterdir()) == ["kafka.log", "owner"]


def test_runs_at_the_same_second_have_folders_of_their_own(tmp_path: Path) -> None:
    with RunFolder(tmp_path) as first, RunFolder(tmp_path) as second:
        assert first != second


def test_the_logs_of_the_last_five_runs_are_kept_and_a_run_that_goes_on_is_not_touched(tmp_path: Path) -> None:
    runs = tmp_path / "services"
    for hour in range(8):
        (runs / f"20260101-0{hour}0000-1" / "kafka").mkdir(parents=True)
    with RunFolder(tmp_path) as running:
        (running / "redis").mkdir()
        with RunFolder(tmp_path) as second:
            assert (running / "redis").is_dir()
    left = {path.name for path in runs.iterdir() if path.is_dir()}
    assert left == {*(f"20260101-0{hour}0000-1" for hour in range(4, 8)), running.name, second.name}
    assert not list(runs.glob("*/kafka"))
