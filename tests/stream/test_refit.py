"""Weights of folds: nobody is judged by weights that have seen them, and what is not here is said."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from ecg import atrial_weights, beat_weights, wave
from ecg.beat_context import N_CONTEXT
from ecg.beat_fit import ORIGIN, Complexes
from ecg.beat_judge import decode, encode, made
from ecg.beat_weights import Weights
from ecg.wave_fit import patient
from stream.evaluate import refit
from stream.evaluate.refit import (
    Anew,
    Refitted,
    collected,
    judging,
    out_of_fold,
    rhythm_out_of_fold,
    train_beats,
    whose,
)

NAMES = ["100", "101", "201", "202", "213", "800"]


def of(record_set: str, name: str) -> Complexes:
    rng = np.random.default_rng(int(name))
    classes = rng.choice(list("NNNNSVO"), 200)
    features = rng.random((200, N_CONTEXT), np.float32)
    return Complexes(f"{record_set}/{name}", patient(record_set, name), features, classes != "O", classes)


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> list[Complexes]:
    """All records to fit on, with complexes made up."""
    made = [of(record_set, name) for record_set, names in ORIGIN.items() for name in names]
    monkeypatch.setattr(refit, "collected", lambda part, folders: (made if part == "beats" else [], []))
    return made


def test_nobody_is_judged_by_weights_that_have_seen_them(
    taught: list[Complexes], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[set[str]] = []

    def fit(training: list[Complexes], without: set[str]) -> Weights:
        given.append({each.patient for each in training if each.patient not in without})
        return Weights()._replace(evidence=Weights().evidence._replace(base=float(len(given) - 1)))

    monkeypatch.setitem(refit._PARTS, "beats", refit._PARTS["beats"]._replace(fit=fit))
    refitted = out_of_fold(Path("mitdb"), NAMES)
    everyone = {each.patient for each in taught}
    for name in NAMES:
        weights = refitted.anew[whose(Path("mitdb"), name)].beats
        assert weights is not None
        seen = given[int(weights.evidence.base)]
        assert whose(Path("mitdb"), name) not in seen
        assert seen < everyone
    assert refitted.parts == ("beats",)
    assert sorted(who for fold in refitted.folds for who in fold) == sorted(everyone | {"mitdb/100", "mitdb/213"})
    assert all(seen | set(fold) >= everyone for seen, fold in zip(given, refitted.folds, strict=True))


def said(refitted: Refitted, patient: str) -> tuple[object, ...]:
    """Return the weights for a patient as what can be compared."""
    weights = refitted.anew[patient].beats
    assert weights is not None
    return weights.evidence, weights.ventricular, weights.supraventricular, encode(weights.judges, {})


@pytest.mark.usefixtures("taught")
def test_folds_and_weights_are_the_same_every_time() -> None:
    first, second = (out_of_fold(Path("mitdb"), NAMES) for _ in range(2))
    assert first.folds == second.folds
    assert [said(first, who) for who in first.anew] == [said(second, who) for who in first.anew]
    assert len({said(first, who) for who in first.anew}) > 1


def test_sets_that_are_not_here_are_named_and_nothing_is_fitted(tmp_path: Path) -> None:
    (tmp_path / "mitdb").mkdir()
    refitted = out_of_fold(tmp_path / "mitdb", ["100", "101"])
    assert (refitted.parts, set(refitted.anew.values())) == ((), {Anew()})
    assert [note.split(" to fit")[0] for note in refitted.notes[:2]] == [
        "22 of 22 records of mitdb",
        "54 of 54 records of svdb",
    ]
    assert "no beats was fitted anew" in refitted.notes


def test_a_record_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refit.run, "PROCESSES", 1)
    for end in ("hea", "atr"):
        (tmp_path / f"101.{end}").write_text("bad")
    training, notes = collected("beats", {"mitdb": tmp_path, "svdb": tmp_path / "svdb"})
    assert training == []
    assert notes[0] == "21 of 22 records of mitdb to fit on are not here"
    assert notes[1].startswith("101: not fitted on: ")


@pytest.mark.usefixtures("taught")
def test_fitted_weights_are_printed_and_judges_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train_beats(tmp_path, tmp_path / "judge.safetensors", tmp_path / "doubt.safetensors")
    found = json.loads(capsys.readouterr().out)
    assert set(found["weights"]) == set(Weights._fields) - {"judges", "doubt"}
    assert len(found["records"]) == sum(len(names) for names in ORIGIN.values())
    kept = (tmp_path / "judge.safetensors").read_bytes()
    assert made(kept)["records"] == found["records"]
    assert made((tmp_path / "doubt.safetensors").read_bytes())["records"] == found["records"]
    assert decode(kept).ventricular.trees.leaf.shape == Weights().judges.ventricular.trees.leaf.shape


def test_a_number_is_another_patient_in_another_set() -> None:
    assert whose(Path("ltafdb"), "101") == "ltafdb/101"
    assert whose(Path("vfdb"), "418") == "vfdb/418"
    assert whose(Path("a copy"), "202") == "mitdb/201"


class Each(NamedTuple):
    """What one record teaches a part that is fitted by naming whom it has seen."""

    patient: str


TAUGHT = {
    "wave": ["vfdb/418", "cudb/cu01", "mitdb/101", "mitdb/201", "nstdb/em"],
    "beats": ["mitdb/101", "mitdb/201", "svdb/800"],
    "atrial": ["mitdb/100", "mitdb/201", "ltafdb/00", "ltafdb/100"],
    "artefact": ["vfdb/418", "cudb/cu01", "mitdb/100"],
}


@pytest.fixture
def all_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part is fitted by naming the patients that it has seen."""
    monkeypatch.setattr(refit, "collected", lambda part, folders: ([Each(name) for name in TAUGHT[part]], []))
    for name, part in refit._PARTS.items():
        seen = part._replace(fit=lambda used, without: frozenset(e.patient for e in used if e.patient not in without))
        monkeypatch.setitem(refit._PARTS, name, seen)


def holding(folder: Path, names: str) -> Path:
    for name in names.split():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    return folder


@pytest.mark.usefixtures("all_taught")
def test_no_part_that_judges_the_rhythms_of_a_patient_has_seen_them(tmp_path: Path) -> None:
    holding(tmp_path, "vfdb/418.hea vfdb/427.hea cudb/cu01.hea mitdb/100.hea mitdb/202.hea ltafdb/00.atr ltafdb/01.atr")
    refitted = rhythm_out_of_fold(tmp_path, ("vfdb", "cudb", "mitdb"))
    here = {"vfdb/418", "vfdb/427", "cudb/cu01", "mitdb/100", "mitdb/201", "ltafdb/00", "ltafdb/01"}
    assert refitted.parts == ("wave", "beats", "atrial", "artefact")
    assert here < set(refitted.anew)
    for who, anew in refitted.anew.items():
        assert all(who not in seen and seen for seen in anew)  # pyright: ignore
    for name, taught in TAUGHT.items():
        seen = {whom for anew in refitted.anew.values() for whom in getattr(anew, name)}
        assert seen == set(taught)
    assert sorted(who for fold in refitted.folds for who in fold) == sorted(refitted.anew)
    assert all(len({refitted.anew[who] for who in fold}) == 1 for fold in refitted.folds)
    assert rhythm_out_of_fold(tmp_path, ("vfdb", "cudb", "mitdb")) == refitted


@pytest.mark.usefixtures("all_taught")
def test_a_noise_is_nobody_and_teaches_in_every_fold(tmp_path: Path) -> None:
    refitted = rhythm_out_of_fold(tmp_path, ())
    assert "nstdb/em" not in refitted.anew
    assert all("nstdb/em" in anew.wave for anew in refitted.anew.values())  # pyright: ignore


@pytest.mark.usefixtures("all_taught")
def test_a_part_that_cannot_be_fitted_is_named_and_the_others_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(used: object, without: object) -> None:
        raise ValueError("windows must hold fibrillation")

    monkeypatch.setitem(refit._PARTS, "wave", refit._PARTS["wave"]._replace(fit=fit))
    refitted = rhythm_out_of_fold(tmp_path, ())
    assert refitted.parts == ("beats", "atrial", "artefact")
    assert {anew.wave for anew in refitted.anew.values()} == {None}
    assert refitted.notes == ["wave: windows must hold fibrillation", "no wave was fitted anew"]


def test_all_parts_judge_for_a_while_and_the_shipped_ones_again() -> None:
    weights = Weights()._replace(evidence=Weights().evidence._replace(base=9.0))
    deaf = atrial_weights.shipped()._replace(last_bias=np.array([-99.0]))
    with judging(Anew((np.zeros(len(wave.FEATURES)), 3.0), weights, deaf)):
        assert wave.in_force()[-1] == 3.0
        assert beat_weights.in_force() == weights
        assert atrial_weights.in_force() is deaf
    assert (wave.in_force()[-1], beat_weights.in_force()) == (wave.BIAS, Weights())
    assert atrial_weights.in_force() is atrial_weights.shipped()
    with judging(Anew()):
        assert (wave.in_force()[-1], beat_weights.in_force()) == (wave.BIAS, Weights())
        assert atrial_weights.in_force() is atrial_weights.shipped()


@pytest.mark.records
def test_what_each_part_is_fitted_on_comes_from_its_sets(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refit.run, "PROCESSES", 1)
    chosen = {"wave": {"cudb": ("cu01",), "nstdb": ()}, "beats": {"mitdb": ("100",)}, "atrial": {"mitdb": ("201",)}}
    for name, origin in chosen.items():
        monkeypatch.setitem(refit._PARTS, name, refit._PARTS[name]._replace(origin=origin))
    found = {name: collected(name, {each: records / each for each in origin}) for name, origin in chosen.items()}
    patients = {name: {each.patient for each in training} for name, (training, _) in found.items()}
    assert patients == {"wave": {"cudb/cu01"}, "beats": {"mitdb/100"}, "atrial": {"mitdb/201"}}
    assert all(notes == [] for _, notes in found.values())
