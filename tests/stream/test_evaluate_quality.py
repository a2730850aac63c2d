"""`vigil evaluate quality`: what is counted, what is in a headline, and who judges whom; records made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from ecg import quality_fit, quality_forest
from ecg.artefact_fit import KINDS
from ecg.quality import RESTLESS
from ecg.quality_features import NAMES
from ecg.quality_fit import Described
from ecg.record import write_annotations, write_signals
from stream.evaluate import run
from stream.evaluate.quality import evaluate, out_of_fold, strip, train
from stream.evaluate.quality_figures import Judged, Ladder, Strip, auroc, report, text

RATE = 250.0


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PROCESSES", 1)
    monkeypatch.setattr(quality_fit, "TREES", 10)


def judged(record: str, bad: bool, vote: float, *, twin: str = "", seen: bool = False) -> Judged:
    return Judged(record, twin or record, bad, vote, seen)


def ladder(record: str, *, seen: bool = False, **counts: tuple[float, float]) -> Ladder:
    """Seconds of a kind, and how many of them are suspended."""
    seconds, given = [0.0] * len(KINDS), [0.0] * len(KINDS)
    for kind, (n, part) in counts.items():
        seconds[KINDS.index(kind)], given[KINDS.index(kind)] = n, part
    return Ladder(record, record, RESTLESS, seconds, given, given, seen)


def figures(recordings: list[Judged], strips: list[Strip], ladders: list[Ladder]) -> dict[str, Any]:
    return report(recordings, strips, ladders, {})["figures"]


# figures


def test_accuracy_counts_every_recording_and_sensitivity_the_unacceptable_ones() -> None:
    found = figures(
        [judged("a", True, 0.9), judged("b", True, 0.2), judged("c", False, 0.4), judged("d", False, 0.49)], [], []
    )
    assert found["cinc2011_accuracy"] == 0.75
    assert found["cinc2011_unacceptable_se"] == 0.5
    assert found["cinc2011_unacceptable_sp"] == 1.0
    assert found["cinc2011_auroc"] == 0.5


def test_what_the_judge_has_seen_is_in_no_headline() -> None:
    found = figures(
        [judged("a", True, 0.1, seen=True), judged("b", False, 0.1)],
        [],
        [ladder("vfdb/1", seen=True, noise=(9.0, 3.0))],
    )
    assert (found["cinc2011_accuracy"], found["cinc2011_accuracy_in_sample"]) == (1.0, 0.0)
    assert found["vfdb_noise_suspended"] is None
    assert found["vfdb_noise_suspended_in_sample"] == pytest.approx(1 / 3, abs=1e-4)


def test_the_ladders_shares_are_of_seconds_and_lethal_ones_are_counted() -> None:
    found = report(
        [],
        [],
        [
            ladder("vfdb/1", noise=(100.0, 60.0), rest=(50.0, 1.0), lethal=(30.0, 2.0), unreadable=(9.0, 4.0)),
            ladder("cudb/2", lethal=(70.0, 0.0)),
            ladder("mitdb/3", clean=(1000.0, 5.0), em_12=(500.0, 20.0), em_6=(500.0, 50.0), tuned_6=(500.0, 9.0)),
        ],
        {},
    )
    values = found["figures"]
    assert (values["vfdb_noise_suspended"], values["vfdb_rest_suspended"]) == (0.6, 0.02)
    assert (values["mitdb_clean_suspended"], values["mitdb_em_12_suspended"]) == (0.005, 0.04)
    assert values["mitdb_em_6_suspended"] == 0.1
    assert (values["lethal_suspended_s"], values["lethal_s"]) == (2.0, 100.0)
    assert (values["unreadable_suspended_s"], values["unreadable_s"]) == (4.0, 9.0)
    assert found["lethal_suspended"] == {"vfdb/1": 2.0}
    assert "VF, flutter or VT suspended in vfdb/1: 2.0 s" in text(found)


def test_nothing_to_score_gives_no_figures() -> None:
    found = report([], [], [], {"cinc2011/1": "cut"})
    assert {value for name, value in found["figures"].items() if not name.endswith(("records", "failed"))} == {None}
    assert "cinc2011/1: not scored: cut" in text(found)


def test_a_curve_of_one_kind_alone_has_no_area() -> None:
    assert auroc(np.array([1.0, 2.0]), np.array([True, True])) is None
    assert auroc(np.array([1.0, 2.0, 3.0]), np.array([False, True, True])) == 1.0


# who judges whom


def test_no_recording_is_judged_by_a_forest_that_saw_it_or_its_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    found = [Described(f"r{k:02}", random.random(len(NAMES)), np.zeros(1, np.float32)) for k in range(30)]
    whose = {each.record: each.record for each in found} | {"r07": "r02"}
    bad = {each.record: k % 2 == 0 for k, each in enumerate(found)}
    left_out: list[set[str]] = []

    def fit(used: list[Described], truth: dict[str, bool], without: set[str]) -> quality_forest.Forest:
        left_out.append(without)
        return quality_forest.shipped()

    monkeypatch.setattr(quality_fit, "fit", fit)
    votes = out_of_fold(found, bad, whose)
    assert list(votes) == [each.record for each in found]
    assert sorted(name for without in left_out for name in without) == list(votes)
    assert [without for without in left_out if "r02" in without] == [
        without for without in left_out if "r07" in without
    ]


# records


def heart(seconds: int, noise_mv: float, seed: int = 0) -> np.ndarray:
    t_s = np.arange(round(seconds * RATE)) / RATE
    beat = np.exp(-0.5 * ((t_s % (0.6 + seed % 120 / 300) - 0.4) / 0.011) ** 2)
    return (beat + np.random.default_rng(seed).normal(0, noise_mv, len(t_s))).astype(np.float32)


def recordings(folder: Path) -> None:
    """Twelve recordings: every third is of noise alone, and so unacceptable; the last is the first one's twin."""
    folder.mkdir()
    lines = []
    for k in range(12):
        bad = k % 3 == 0
        seed = 0 if k == 11 else k
        lead = [heart(10, 0.4 if bad or k == 11 else 0.01, 120 * each + 9 * seed) for each in range(12)]
        write_signals(folder / f"{k:02}", [f"L{each}" for each in range(12)], np.array(lead), RATE)
        lines.append(f"{k:02},{'unacceptable' if bad or k == 11 else 'acceptable'}\n")
    (folder / "REFERENCE.csv").write_text("".join(lines))


def test_a_noisy_strip_is_more_restless_than_a_clean_one_and_one_under_a_second_is_not(tmp_path: Path) -> None:
    for name, mv in (("clean", heart(10, 0.005)), ("noisy", heart(10, 0.3)), ("short", heart(1, 0.3)[:200])):
        write_signals(tmp_path / name, ["I"], mv[None], RATE)
    assert strip(tmp_path / "clean")[0] < strip(tmp_path / "noisy")[0]
    assert strip(tmp_path / "clean")[1] == 0.0
    assert strip(tmp_path / "noisy")[1] > 0.5
    assert strip(tmp_path / "short") == (0.0, 0.0)


@pytest.mark.parametrize("cross_validate", [False, True])
def test_the_sets_that_are_here_are_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cross_validate: bool
) -> None:
    recordings(tmp_path / "cinc2011")
    (tmp_path / "vfdb").mkdir()
    write_signals(tmp_path / "vfdb" / "9", ["II"], heart(60, 0.2)[None], RATE)
    write_annotations(tmp_path / "vfdb" / "9", "atr", [0], ["+"], rate_hz=RATE, aux=["(NOISE"])
    lines = tmp_path / "lines"
    assert evaluate(tmp_path, json=True, decisions=lines, cross_validate=cross_validate) == 0
    found = msgspec.json.decode(capsys.readouterr().out)
    assert found["figures"]["cinc2011_records"] == 12
    assert found["twins"] == [["00", "11"]]
    assert found["figures"]["vfdb_noise_suspended"] > 0.5
    assert found["figures"]["cinc2017_records"] == 0
    assert len(lines.read_bytes().splitlines()) == 13


def test_an_empty_folder_cannot_be_scored(tmp_path: Path) -> None:
    assert evaluate(tmp_path, json=False, decisions=None, cross_validate=False) == 2


def test_training_writes_a_forest_that_can_be_read_and_names_its_records(tmp_path: Path) -> None:
    recordings(tmp_path / "cinc2011")
    train(tmp_path, tmp_path / "forest.safetensors")
    kept = (tmp_path / "forest.safetensors").read_bytes()
    assert len(quality_forest.decode(kept).votes) == 10
    assert quality_forest.made(kept)["records"] == {"cinc2011": [f"{k:02}" for k in range(12)]}


def test_nothing_to_train_on_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="both kinds"):
        train(tmp_path, tmp_path / "forest.safetensors")
