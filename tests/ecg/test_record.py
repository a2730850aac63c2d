"""WFDB records in, annotation files out."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.frame import MISSING
from ecg.record import MV_PER_UNIT, Record, RecordLead, _fitted, _lead, annotations, read, write_annotations

HEADER = "two 2 250 8\ntwo.dat 16 200(0)/mV 16 0 0 0 0 II\ntwo.dat 16 20(0)/mmHg 16 0 0 0 0 ABP\n# True alarm\n"
COUNTS = np.array([[0, 200, MISSING, -200, 1, 2, 3, 4], [1600, 1700, 1800, 1900, 2000, 2100, 2200, 2300]], "<i2")


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A record of an ECG lead and a pressure, 8 samples."""
    (tmp_path / "two.hea").write_text(HEADER)
    (tmp_path / "two.dat").write_bytes(COUNTS.T.tobytes())
    return tmp_path / "two"


def test_counts_and_leads_are_those_of_the_file(two: Path) -> None:
    record = read(two)
    assert np.array_equal(record.counts, COUNTS)
    assert [(lead.name, lead.kind) for lead in record.leads] == [("II", "ecg"), ("ABP", "abp")]
    assert (record.rate_hz, record.n_samples, record.comments) == (250.0, 8, ("True alarm",))


def test_a_missing_sample_is_nan_and_voltages_alone_are_given(two: Path) -> None:
    assert np.array_equal(read(two).mv()[0, :4], np.array([0, 1, np.nan, -1], np.float32), equal_nan=True)
    assert read(two).mv(None)[1, 0] == 80.0


def test_a_stretch_is_the_same_samples(two: Path) -> None:
    stretch = read(two.with_suffix(".hea"), 2 / 250, 5 / 250)
    assert np.array_equal(stretch.counts, COUNTS[:, 2:5])
    assert (stretch.start_s, stretch.duration_s) == (2 / 250, 3 / 250)


def test_the_signal_file_names_the_record_too(two: Path) -> None:
    assert np.array_equal(read(two.with_suffix(".dat")).counts, COUNTS)


def test_a_signal_file_shorter_than_its_header_says_is_told(two: Path) -> None:
    two.with_suffix(".dat").write_bytes(COUNTS.T.tobytes()[:-6])
    with pytest.raises(ValueError, match=r"^two: signal file is shorter than its header says$"):
        read(two)
    assert read(two, 0, 5 / 250).n_samples == 5, "what is there can be read"


@pytest.mark.parametrize("leads", [1, 2, 3])
@pytest.mark.parametrize("stored", ["16", "24", "32", "80", "212", "310", "311"])
@pytest.mark.parametrize("held", [0, 1, 7, 300])
def test_a_short_signal_file_is_told_whatever_its_format(tmp_path: Path, stored: str, leads: int, held: int) -> None:
    lines = [f"s.dat {stored} 200(0)/mV 12 0 0 0 0 V{n}" for n in range(leads)]
    (tmp_path / "s.hea").write_text("\n".join([f"s {leads} 250 1000", *lines]) + "\n")
    (tmp_path / "s.dat").write_bytes(bytes(held))
    with pytest.raises(ValueError, match=r"^s: signal file is shorter than its header says$"):
        read(tmp_path / "s")


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("two 0 250 8\n", "header names no signal"),
        ("two 0\n", "header names no signal"),
        (HEADER.replace("250 8", "0 8"), "header names no sampling rate"),
        (HEADER.replace("250 8", "250"), "header names no number of samples"),
        ("", "no WFDB header"),
        ("hello world\n", "no WFDB header"),
    ],
)
def test_a_header_without_signals_rate_or_length_is_told(two: Path, header: str, fault: str) -> None:
    two.with_suffix(".hea").write_text(header)
    with pytest.raises(ValueError, match=f"^two: {fault}"):
        read(two)


def test_counts_of_32_bits_keep_their_values_in_16_bits(tmp_path: Path) -> None:
    wide = np.array([5_000_000, 5_300_000, -(2**31), 4_700_000], "<i4")
    (tmp_path / "wide.hea").write_text("wide 1 250 4\nwide.dat 32 300000(5000000)/mV 32 0 0 0 0 II\n")
    (tmp_path / "wide.dat").write_bytes(wide.tobytes())
    record = read(tmp_path / "wide")
    np.testing.assert_allclose(record.mv()[0], [0, 1, np.nan, -1], atol=1e-4)
    assert record.counts[0, 2] == MISSING
    assert np.ptp(record.counts[0, [1, 3]].astype(int)) > 2**15, "at the precision that 16 bits allow"


@given(
    st.floats(1e-9, 1e12).flatmap(lambda gain: st.sampled_from((gain, -gain))),
    st.integers(-(2**31), 2**31 - 1),
    st.lists(st.integers(-(2**31) + 1, 2**31 - 1), min_size=2, max_size=20),
    st.sampled_from(("mV", "uV", "nV", "mmHg")),
)
def test_whatever_is_fitted_is_within_the_limits_of_a_frame(
    gain: float, baseline: int, counts: list[int], unit: str
) -> None:
    said = _lead("x", gain, baseline, unit)
    lead, fitted = _fitted(said, np.array(counts), -(2**31))
    per_mv = lead.gain / (MV_PER_UNIT[unit.lower()] if lead.kind == "ecg" else 1)
    assert 1e-3 <= per_mv <= 1e6
    assert abs(lead.baseline) <= 32767
    assert (fitted != MISSING).all()
    assert fitted.dtype == np.int16


def test_an_inverted_lead_is_turned() -> None:
    lead, counts = _fitted(_lead("II", -200.0, 10, "mV"), np.array([-190, 10, MISSING]), MISSING)
    assert (lead.gain, lead.baseline, counts.tolist()) == (200.0, -10, [190, -10, MISSING])


@pytest.mark.parametrize("gain", [0.0, float("nan"), float("inf")])
def test_a_gain_that_is_none_is_refused(gain: float) -> None:
    with pytest.raises(ValueError, match="gain of 'II'"):
        _fitted(_lead("II", gain, 0, "mV"), np.array([1, 2]), MISSING)


def test_a_stretch_outside_the_record_is_refused(two: Path) -> None:
    with pytest.raises(ValueError, match="first_s"):
        read(two, 1.0)


def test_a_record_that_is_not_there_is_a_file_not_found(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        annotations(tmp_path / "none")


def test_microvolts_become_millivolts() -> None:
    record = Record("x", 250.0, (RecordLead("I", "ecg", 2.0, 10, "uV"),), np.array([[2010]], np.int16))
    assert record.mv()[0, 0] == 1.0


@pytest.mark.parametrize(
    ("name", "unit", "kind"),
    [
        ("V", "mV", "ecg"),
        ("MLII", "mV", "ecg"),
        ("PLETH", "NU", "pleth"),
        ("RESP", "NU", "resp"),
        ("P1", "mmHg", "abp"),
    ],
)
def test_kind_follows_name_and_unit(name: str, unit: str, kind: str) -> None:
    assert _lead(name, 1.0, 0, unit).kind == kind


@given(
    st.lists(
        st.tuples(st.integers(1, 2**24), st.sampled_from("NVSFQ/+~"), st.sampled_from(["", "(AFIB", "(N"])), max_size=20
    )
)
def test_annotations_written_are_read_back_in_order_of_time(
    tmp_path_factory: pytest.TempPathFactory, marks: list[tuple[int, str, str]]
) -> None:
    path = tmp_path_factory.mktemp("marks") / "r1"
    samples = [sample for sample, _, _ in marks]
    subtypes = [-1 if symbol == "~" else 0 for _, symbol, _ in marks]
    write_annotations(
        path, "vigil", samples, [s for _, s, _ in marks], rate_hz=360, aux=[a for _, _, a in marks], subtypes=subtypes
    )
    found = annotations(path, "vigil")
    wanted = sorted(zip(marks, subtypes, strict=True), key=lambda mark: mark[0][0])
    assert found.samples.tolist() == [mark[0] for mark, _ in wanted]
    assert found.symbols.tolist() == [mark[1] for mark, _ in wanted]
    assert list(found.aux) == [mark[2] for mark, _ in wanted]
    assert found.subtypes.tolist() == [subtype for _, subtype in wanted]


@pytest.mark.records
def test_record_207_holds_its_flutter_brackets(records: Path) -> None:
    found = annotations(records / "mitdb" / "207")
    assert {"[", "]"} <= set(found.symbols.tolist())
    assert read(records / "mitdb" / "207", 60, 70).mv().shape == (2, 3600)
