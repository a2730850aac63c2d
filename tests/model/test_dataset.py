from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ecg.lead import STANDARD
from ecg.record import write_signals
from model import dataset
from model.labels import CONDITIONS, SUPERCLASSES, UNKNOWN, may_be


def test_rows_without_codes_are_known_by_their_superclass_alone(generated: dataset.Records) -> None:
    n = len(generated.name)
    assert generated.leads.wave.shape == (n, 12, 5, 585)
    assert not generated.amplitude.any()
    coded = np.arange(n) % 3 == 0
    arrhythmia = generated.condition[:, CONDITIONS.index("arrhythmia")]
    assert (arrhythmia[~coded] == UNKNOWN).all()
    assert (arrhythmia[coded] == 0).all()
    assert (generated.rhythm[coded] == may_be(["sinus"])).all()
    assert generated.rhythm[~coded].all()
    assert (generated.normal == (generated.superclass[:, 0] == 1)).all()
    assert set(np.unique(generated.superclass)) == {0, 1}
    assert (generated.superclass[:, SUPERCLASSES.index("CD")] == np.arange(n) % 2).all()


def test_a_row_whose_record_is_listed_has_its_patient(rows: Path, tmp_path: Path) -> None:
    (tmp_path / "ptbxl").mkdir()
    (tmp_path / "ptbxl" / "ptbxl_database.csv").write_text(
        "ecg_id,patient_id,age,sex,scp_codes,filename_lr,filename_hr\n1001,77.0,300,1,{},a,b\n"
    )
    (tmp_path / "ptbxl_zscored").symlink_to(rows / "ptbxl_zscored")
    patients = [each.patient for each in dataset.listed(tmp_path)]
    assert patients[:3] == ["unknown 1000", "patient 77", "unknown 1002"]


def test_a_folder_without_either_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="data must hold"):
        dataset.listed(tmp_path)


def test_a_patients_records_are_in_one_fold_and_each_fold_has_its_share(generated: dataset.Records) -> None:
    shared = generated._replace(patient=np.array([f"patient {k // 2}" for k in range(len(generated.name))]))
    fold = dataset.folds(shared, 5, 1)
    assert (fold[::2] == fold[1::2]).all()
    assert np.bincount(dataset.folds(generated, 5, 1)[generated.normal == 1]).max() == 2


def test_a_changed_record_has_noise_as_strong_as_drawn_and_another_rate() -> None:
    rng, t = np.random.default_rng(2), np.arange(2000) / 200
    x = np.tile(np.sin(9 * t), (2, 1)).astype(np.float32)
    noise = {name: (rng.normal(size=(2, 9000)).astype(np.float32), 360.0) for name in dataset.NOISES}
    seen = [dataset.change(x, 200.0, noise, np.random.default_rng(k)) for k in range(20)]
    ratios = [10 * np.log10(x.var() / (y - x).var()) for y, _ in seen if not np.array_equal(y, x)]
    assert 8 < len(ratios) < 20
    assert all(dataset.SNR_DB[0] - 1 < ratio < dataset.SNR_DB[1] + 1 for ratio in ratios)
    rates = [rate for _, rate in seen]
    assert 180 <= min(rates) < 190 < 210 < max(rates) <= 220
    assert dataset.change(x, 100.0, None, rng)[0].shape == (2, 4000)


def test_records_are_kept_and_read_again(rows: Path, generated: dataset.Records, tmp_path: Path) -> None:
    (first,) = dataset.cached(rows, tmp_path, 0)
    (again,) = dataset.cached(tmp_path / "nothing here", tmp_path, 0)
    assert all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(first[1:], again[1:], strict=True))
    assert np.array_equal(again.leads.wave, generated.leads.wave)


@pytest.mark.records
def test_published_records_have_twelve_leads_a_patient_and_their_codes(records: Path) -> None:
    found = [each for each in dataset.listed(records) if each.amplitude]
    signal_mv, rate_hz = found[0].read()
    assert (signal_mv.shape, rate_hz) == ((12, 5000), 500.0)
    assert np.allclose(signal_mv[0] + signal_mv[2], signal_mv[1], atol=0.01)
    whose = {each.name: each.patient for each in found}
    assert whose["ptbxl/463"] == whose["ptbxl/145"]


def _own(folder: Path, *lines: str, header: str = "record,patient,codes,age,sex") -> Path:
    """Write two records of one's own, of three leads, and their labels."""
    for n in range(2):
        mv = np.random.default_rng(n).normal(0, 0.2, (3, 2500)).astype(np.float32)
        write_signals(folder / f"r{n}", ["V1", "I", "II"], mv, 250)
    (folder / "labels.csv").write_text("\n".join([header, *lines]) + "\n")
    return folder


def test_records_of_ones_own_have_their_statements_patient_and_leads(tmp_path: Path) -> None:
    found = dataset.read_sets(_own(tmp_path, "r0,7,NORM|SR,61,1", "r1,7,IMI:35|AFIB,,"))
    assert found.name.tolist() == ["own/r0", "own/r1"]
    assert found.patient.tolist() == ["own 7"] * 2
    assert found.normal.tolist() == [1, 0]
    assert found.condition[1, CONDITIONS.index("myocardial_infarction")] == UNKNOWN
    assert found.age[0] == 61
    assert np.isnan(found.sex[1])
    there: NDArray[np.bool_] = np.logical_or.reduce(found.leads.mask > 0, axis=(2, 3))
    assert [STANDARD[k] for k in np.flatnonzero(there[0])] == ["I", "II", "V1"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("r0,7,WRONG", "line 2: codes must be SCP statements of PTB-XL, got 'WRONG'"),
        ("r9,7,NORM", "line 2: record must be a WFDB record beside it, got 'r9'"),
        ("r0,7,IMI:many", "line 2: could not convert"),
        ("r0,7", "line 2: must have the columns record, patient, codes, lacks codes"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_with_its_field(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        dataset.listed(_own(tmp_path, line, header="record,patient,codes"))
