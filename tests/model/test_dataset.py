from pathlib import Path

import numpy as np
import pytest

from ecg.microvolts import MISSING, counts
from ecg.record import read
from model import dataset
from model.labels import NORMAL, VF, Allowed
from model.net import WINDOW


def test_fine_windows_are_cut_for_vf_alone() -> None:
    signal = np.ones((1, 60 * 250), np.int16)

    def label(first_s: float, end_s: float) -> Allowed:
        return VF if first_s >= 30 else NORMAL

    cuts = list(dataset._windows(signal, "vfdb/1", label))
    assert [cut.extra for cut in cuts if cut.allowed == NORMAL] == [False] * 6
    assert sum(cut.extra for cut in cuts if cut.allowed == VF) == 4
    assert all(cut.leads.shape == (1, WINDOW) for cut in cuts)


def test_a_lead_without_samples_is_left_out_of_the_window() -> None:
    signal = np.ones((2, 2500), np.int16)
    signal[0] = MISSING
    (cut,) = dataset._windows(signal, "a/b", lambda first_s, end_s: NORMAL)
    assert cut.leads.shape == (1, WINDOW)


def test_counts_are_microvolts_with_a_mark_for_missing() -> None:
    clean = np.array([[0.001, -40.0, np.nan]], np.float32)
    assert counts(clean).tolist() == [[1, -32767, MISSING]]


def test_a_folder_without_sets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="data must hold"):
        dataset.read_sets(tmp_path)


@pytest.mark.records
def test_a_cleaned_record_has_the_length_of_the_recording_at_250_hz(records: Path) -> None:
    record = read(records / "mitdb" / "100", 0, 60)
    cleaned = dataset.clean(record.mv(), record.rate_hz)
    assert cleaned.shape == (2, 60 * 250)
    assert np.isfinite(cleaned).all()


@pytest.mark.records
def test_windows_of_real_records_have_the_labels_of_their_annotations(records: Path) -> None:
    cuts = list(dataset._mitdb(records / "mitdb" / "207"))
    assert sum(cut.allowed == VF for cut in cuts) >= 15
    cuts = list(dataset._cudb(records / "cudb" / "cu01"))
    assert sum(cut.allowed == VF for cut in cuts) > 50
    assert sum(VF.isdisjoint(cut.allowed) for cut in cuts) > 30
    (cut, *_) = dataset._cinc2017(records / "cinc2017" / "A00004", "A")
    assert cut.allowed == {"atrial_fibrillation"}


@pytest.mark.records
def test_only_ds1_of_mitdb_is_trained_on(records: Path) -> None:
    held_back = {"100", "103", "105", "111", "113", "117", "121", "123", "200", "202", "210", "212", "213", "214"}
    held_back |= {"219", "221", "222", "228", "231", "232", "233", "234", "102", "104", "107", "217"}
    assert not held_back & set(dataset.DS1)
    assert len(dict(dataset._sources(records))["mitdb"]) == sum(
        (records / "mitdb" / f"{name}.hea").is_file() for name in dataset.DS1
    )
