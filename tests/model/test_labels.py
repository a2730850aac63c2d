import csv
from pathlib import Path

import pytest

from model import labels
from model.labels import CONDITIONS, RHYTHMS, SUPERCLASSES, of_codes, of_superclasses


def condition(codes: dict[str, float], name: str, *, amplitude: bool = True) -> int:
    return int(of_codes(codes, amplitude=amplitude).condition[CONDITIONS.index(name)])


def rhythms(truth: labels.Truth) -> list[str]:
    """Return the rhythms that are allowed."""
    return [name for name, so in zip(RHYTHMS, truth.rhythm, strict=True) if so]


@pytest.mark.parametrize("code", ["SR", "SBRAD", "STACH", "SARRH"])
def test_a_sinus_rate_or_arrhythmia_alone_is_no_disease(code: str) -> None:
    beside_norm, alone = of_codes({"NORM": 100.0, code: 0.0}), of_codes({code: 0.0})
    assert beside_norm.normal == 1
    assert not beside_norm.condition.any()
    assert (alone.normal, alone.superclass.tolist()) == (labels.UNKNOWN, [labels.UNKNOWN] * 5)
    assert rhythms(alone) == ["sinus"]


@pytest.mark.parametrize("code", ["AFIB", "AFLT"])
def test_fibrillation_and_flutter_are_an_arrhythmia_without_a_superclass(code: str) -> None:
    truth = of_codes({code: 0.0})
    assert (truth.superclass == labels.UNKNOWN).all()
    assert (condition({code: 0.0}, "arrhythmia"), truth.normal) == (1, 0)
    assert of_codes({"NORM": 100.0, code: 0.0}).normal == 0
    assert rhythms(truth) == ["atrial_fibrillation"]


def test_pacing_hides_what_is_not_stated_and_goes_before_the_rhythm_beneath() -> None:
    truth = of_codes({"PACE": 100.0, "IMI": 100.0, "SR": 0.0})
    assert truth.condition.tolist() == [0, 1, 1, labels.UNKNOWN, labels.UNKNOWN]
    assert (rhythms(truth), truth.normal) == (["paced"], 0)


def test_hypertrophy_by_voltage_counts_only_where_amplitude_was_kept() -> None:
    assert condition({"VCLVH": 0.0}, "hypertrophy") == 1
    assert condition({"VCLVH": 0.0}, "hypertrophy", amplitude=False) == labels.UNKNOWN
    assert condition({"VCLVH": 0.0, "LVH": 0.0}, "hypertrophy", amplitude=False) == 1


@pytest.mark.parametrize(("likelihood", "so"), [(100.0, 1), (50.0, 1), (35.0, -1), (15.0, -1), (0.0, 1)])
def test_a_doubted_diagnosis_is_unknown_but_counts_for_the_benchmark(likelihood: float, so: int) -> None:
    assert condition({"IMI": likelihood}, "myocardial_infarction") == so
    assert of_codes({"IMI": likelihood}).superclass[SUPERCLASSES.index("MI")] == 1
    assert of_codes({"NORM": 80.0, "IMI": likelihood}).normal == 0


def test_a_shape_makes_a_condition_unknown_and_a_diagnosis_beside_it_makes_it_known() -> None:
    assert condition({"QWAVE": 0.0}, "myocardial_infarction") == labels.UNKNOWN
    for codes in ({"QWAVE": 0.0, "IMI": 80.0}, {"IMI": 80.0, "QWAVE": 0.0}):
        assert condition(codes, "myocardial_infarction") == 1
    assert of_codes({"NORM": 100.0, "NT_": 0.0}).normal == 1


def test_superclasses_alone_say_nothing_of_arrhythmia_and_rhythm() -> None:
    truth = of_superclasses(dict.fromkeys(SUPERCLASSES, False) | {"CD": True})
    assert truth.condition.tolist() == [labels.UNKNOWN, 1, 0, 0, 0]
    assert truth.normal == 0
    assert truth.rhythm.all()


def test_two_rhythms_at_odds_and_none_leave_all_that_there_are() -> None:
    assert of_codes({"SVTAC": 0.0, "PSVT": 0.0}).rhythm.sum() == 1
    assert of_codes({"AFIB": 0.0, "SR": 0.0}).rhythm.all()
    assert of_codes({"NORM": 100.0}).rhythm.all()


def test_a_statement_that_is_not_in_the_table_is_refused() -> None:
    with pytest.raises(ValueError, match="'XYZ'"):
        of_codes({"XYZ": 100.0})


def test_every_statement_has_one_cell_of_the_printed_table() -> None:
    lines = labels.markdown().splitlines()[2:]
    printed = [code for line in lines for code in line.split(" | ")[0].removeprefix("| ").split(", ")]
    assert sorted(printed) == sorted(f"`{code}`" for code in labels.TABLE)


@pytest.mark.records
def test_the_table_has_every_statement_of_ptb_xl_with_its_own_superclass(records: Path) -> None:
    with (records / "ptbxl" / "scp_statements.csv").open() as file:
        published = {row[""]: row["diagnostic_class"] for row in csv.DictReader(file)}
    assert {code: row.superclass for code, row in labels.TABLE.items()} == published
