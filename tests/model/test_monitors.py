"""Windows of monitors: what is cut of a record, and what it is called."""

from pathlib import Path

import numpy as np
import pytest

from ecg.record import write_annotations, write_signals
from ecg.window import HALO, SPAN, WINDOW
from model import dataset, monitors, rhythms
from model.frontend import chunks, cut
from model.labels import CONDITIONS, UNKNOWN, may_be
from model.monitors import EXTRA, _Read
from model.net import ANY_LEAD, place
from model.rhythms import SINUS, VF, Label

ARRHYTHMIA = CONDITIONS.index("arrhythmia")


def read_of(signal_mv: np.ndarray, *names: str) -> _Read:
    padded = np.pad(signal_mv, ((0, 0), (HALO // 2, HALO // 2)), constant_values=np.nan)
    return _Read(padded.astype(np.float32), tuple(place(name) for name in names), 250.0)


def test_fine_windows_are_cut_for_vt_and_vf_alone() -> None:
    def label(first_s: float, end_s: float) -> Label:
        return VF if first_s >= 30 else SINUS

    cuts = list(monitors._windows(read_of(np.ones((1, 60 * 250)), "II"), "vfdb/1", label))
    assert [cut.extra for cut in cuts if cut.label == SINUS] == [False] * 6
    assert sum(cut.extra for cut in cuts if cut.label == VF) == 4
    assert all(cut.span_mv.shape == (1, SPAN) for cut in cuts)


def test_a_window_lies_behind_half_its_halo_and_what_is_beyond_the_record_is_missing() -> None:
    ramp = np.arange(20 * 250)[None] / 1000
    first, *_, last = monitors._windows(read_of(ramp, "II"), "a/b", lambda a, b: SINUS)
    assert np.isnan(first.span_mv[0, : HALO // 2]).all()
    assert np.allclose(first.span_mv[0, HALO // 2 :], ramp[0, : SPAN - HALO // 2])
    assert np.isnan(last.span_mv[0, -HALO // 2 :]).all()
    assert np.allclose(last.span_mv[0, : -HALO // 2], ramp[0, -(WINDOW + HALO // 2) :])


def test_a_lead_without_samples_is_left_out_of_the_window_and_its_name_with_it() -> None:
    signal = np.ones((2, WINDOW))
    signal[0] = np.nan
    (found,) = monitors._windows(read_of(signal, "II", "V1"), "a/b", lambda a, b: SINUS)
    assert found.lead == (place("V1"),)
    assert found.span_mv.shape == (1, SPAN)
    assert not list(monitors._windows(read_of(np.full((1, WINDOW), np.nan), "II"), "a/b", lambda a, b: SINUS))


def test_strips_are_of_two_slots_and_know_their_rhythm_alone(strips: dataset.Records) -> None:
    n = len(strips.name)
    assert strips.leads.wave.shape == (n, monitors.SLOTS, 5, 585)
    assert n == 24
    assert (strips.lead == ANY_LEAD).all()
    assert not strips.leads.mask[:, 1].any()
    assert (strips.leads.mask[:, 0].mean(axis=(1, 2)) > 0.9).all()
    assert (strips.superclass == UNKNOWN).all()
    assert (strips.normal == UNKNOWN).all()
    kind = np.repeat(np.arange(12) % 3, 2)
    assert (strips.condition[:, ARRHYTHMIA] == np.array([0, 1, UNKNOWN])[kind]).all()
    for k, name in enumerate(["sinus", "atrial_fibrillation", "noise"]):
        assert (strips.rhythm[kind == k] == may_be([name])).all()
    assert len(np.unique(strips.patient)) == 12
    assert monitors.counted(strips).all()


def test_a_strip_that_is_shorter_than_a_window_is_one_that_misses_its_end(tmp_path: Path) -> None:
    write_signals(tmp_path / "A1", ["ECG"], np.sin(np.arange(9 * 300) / 20)[None].astype(np.float32), 300)
    (found,) = monitors._cinc2017(tmp_path / "A1", "A")
    assert found.label == rhythms.AF
    mask = chunks(cut(found.span_mv)).mask[0]
    assert mask[:4].min() > 0.99
    assert mask[4, :2].min() > 0.99
    assert not mask[4, 3:].any()


def test_a_records_marks_become_the_labels_of_its_windows_and_fine_ones_are_marked(tmp_path: Path) -> None:
    (tmp_path / "vfdb").mkdir()
    t = np.arange(60 * 250) / 250
    write_signals(tmp_path / "vfdb" / "418", ["ECG"], np.sin(7 * t)[None].astype(np.float32), 250)
    at = [0, 30 * 250]
    write_annotations(tmp_path / "vfdb" / "418", "atr", at, ["+", "+"], rate_hz=250, aux=["(N", "(VF"])
    found = monitors.cached(tmp_path, tmp_path / "kept")
    assert found is not None
    fine = ~monitors.counted(found)
    fibrillates = (found.rhythm == may_be(["ventricular_fibrillation"])).all(axis=1)
    assert fine.sum() == np.char.endswith(found.name, EXTRA).sum() == 5
    assert fibrillates[fine].all()
    assert (found.rhythm[~fibrillates] == may_be(["sinus"])).all()
    assert (found.condition[fibrillates, ARRHYTHMIA] == 1).all()
    assert (found.condition[~fibrillates, ARRHYTHMIA] == UNKNOWN).all()
    assert set(found.patient) == {"vfdb/418"}
    (tmp_path / "vfdb" / "418.dat").unlink()
    again = monitors.cached(tmp_path, tmp_path / "kept")
    assert again is not None
    assert np.array_equal(again.leads.wave, found.leads.wave)
    assert (again.name == found.name).all()


def test_fibrillation_that_is_marked_roughly_has_an_unsure_stretch_before_it(tmp_path: Path) -> None:
    write_signals(tmp_path / "cu01", ["ECG"], np.sin(np.arange(60 * 250) / 30)[None].astype(np.float32), 250)
    write_annotations(tmp_path / "cu01", "atr", [30 * 250], ["["], rate_hz=250)
    labels = [cut.label for cut in monitors._cudb(tmp_path / "cu01") if not cut.extra]
    assert labels == [rhythms.NOT_VF] * 3 + [VF] * 6


def test_a_folder_without_monitors_has_no_windows(tmp_path: Path) -> None:
    assert monitors.cached(tmp_path, None) is None


@pytest.mark.records
def test_windows_of_real_records_have_the_labels_of_their_annotations(records: Path) -> None:
    cuts = list(monitors._mitdb(records / "mitdb" / "207"))
    assert sum(cut.label == VF for cut in cuts) >= 15
    assert {cut.lead for cut in cuts} == {(place("II"), place("V1"))}
    cuts = list(monitors._cudb(records / "cudb" / "cu01"))
    assert sum(cut.label == VF for cut in cuts) > 50
    assert sum(VF.rhythm.isdisjoint(cut.label.rhythm) for cut in cuts) > 30
    (cut, *_) = monitors._cinc2017(records / "cinc2017" / "A00004", "A")
    assert cut.label == rhythms.AF


@pytest.mark.records
def test_only_ds1_of_mitdb_is_trained_on(records: Path) -> None:
    held_back = {"100", "103", "105", "111", "113", "117", "121", "123", "200", "202", "210", "212", "213", "214"}
    held_back |= {"219", "221", "222", "228", "231", "232", "233", "234", "102", "104", "107", "217"}
    assert not held_back & set(monitors.DS1)
    assert len(dict(monitors._sources(records))["mitdb"]) == sum(
        (records / "mitdb" / f"{name}.hea").is_file() for name in monitors.DS1
    )
