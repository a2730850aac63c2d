"""Weights of folds: nobody is judged by weights that have seen them, and what is not here is said."""

import json
from pathlib import Path

import numpy as np
import pytest

from ecg import beat_fit
from ecg.beat_class import N_FEATURES
from ecg.beat_fit import ORIGIN, Complexes
from ecg.beat_weights import Weights
from ecg.wave_fit import patient
from stream.evaluate import refit
from stream.evaluate.refit import complexes, out_of_fold, train, whose

NAMES = ["100", "101", "201", "202", "213", "800"]


def of(record_set: str, name: str) -> Complexes:
    rng = np.random.default_rng(int(name))
    classes = rng.choice(list("NNNNSVO"), 200)
    return Complexes(
        f"{record_set}/{name}", patient(record_set, name), rng.random((200, N_FEATURES)), classes != "O", classes
    )


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> list[Complexes]:
    """All records to fit on, with complexes made up."""
    made = [of(record_set, name) for record_set, names in ORIGIN.items() for name in names]
    monkeypatch.setattr(refit, "complexes", lambda folders: (made, []))
    return made


def test_nobody_is_judged_by_weights_that_have_seen_them(
    taught: list[Complexes], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[set[str]] = []

    def fit(training: list[Complexes], without: set[str]) -> Weights:
        given.append({each.patient for each in training if each.patient not in without})
        return Weights()._replace(evidence=Weights().evidence._replace(base=float(len(given) - 1)))

    monkeypatch.setattr(beat_fit, "fit", fit)
    refitted = out_of_fold(Path("mitdb"), NAMES)
    everyone = {each.patient for each in taught}
    for name in NAMES:
        seen = given[int(refitted.weights[name].evidence.base)]
        assert whose(Path("mitdb"), name) not in seen
        assert seen < everyone
    assert refitted.weights["201"] == refitted.weights["202"]
    assert sorted(who for fold in refitted.folds for who in fold) == sorted(everyone | {"mitdb/100", "mitdb/213"})
    assert all(seen | set(fold) >= everyone for seen, fold in zip(given, refitted.folds, strict=True))


@pytest.mark.usefixtures("taught")
def test_folds_and_weights_are_the_same_every_time() -> None:
    first, second = (out_of_fold(Path("mitdb"), NAMES) for _ in range(2))
    assert first == second
    assert len(set(first.weights.values())) > 1


def test_sets_that_are_not_here_are_named_and_nothing_is_fitted(tmp_path: Path) -> None:
    (tmp_path / "mitdb").mkdir()
    refitted = out_of_fold(tmp_path / "mitdb", ["100", "101"])
    assert refitted.weights == {}
    assert [note.split(" to fit")[0] for note in refitted.notes[:2]] == [
        "22 of 22 records of mitdb",
        "54 of 54 records of svdb",
    ]
    assert "no weights were fitted anew" in refitted.notes


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refit.run, "PROCESSES", 1)
    for end in ("hea", "atr"):
        (tmp_path / f"101.{end}").write_text("bad")
    training, notes = complexes({"mitdb": tmp_path})
    assert training == []
    assert notes[0] == "21 of 22 records of mitdb to fit on are not here"
    assert notes[1].startswith("101: not fitted on: ")


@pytest.mark.usefixtures("taught")
def test_fitted_weights_are_printed_or_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path, None)
    printed = capsys.readouterr().out
    train(tmp_path, tmp_path / "weights.json")
    assert (tmp_path / "weights.json").read_text() == printed
    found = json.loads(printed)
    assert set(found["weights"]) == set(Weights._fields)
    assert len(found["records"]) == sum(len(names) for names in ORIGIN.values())


def test_a_number_is_another_patient_in_another_set() -> None:
    assert whose(Path("ltafdb"), "101") == "ltafdb/101"
    assert whose(Path("vfdb"), "418") == "vfdb/418"
    assert whose(Path("a copy"), "202") == "mitdb/201"
