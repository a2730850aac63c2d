"""Leads: one name for each, its code, and millivolts from counts."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ecg.lead
from ecg.frame import MISSING, Frame, Lead, check_frame
from ecg.lead import MDC_LEAD, MDC_LEAD_UNSPECIFIED, STANDARD, canonical, mdc_code, names, of_record, to_mv
from ecg.record import Record, RecordLead


def frame(leads: tuple[Lead, ...], counts: list[list[int]], off: tuple[tuple[int, int, int], ...] = ()) -> Frame:
    return Frame("d", "s", 0, 0, 250.0, leads, np.array(counts, dtype="<i2").tobytes(), off)


@pytest.mark.parametrize(
    ("name", "usual"),
    [
        *((lead, lead) for lead in STANDARD),
        ("ii", "II"), ("AVR", "aVR"), ("avl", "aVL"), ("Lead III", "III"), ("lead_v5", "V5"), ("C3", "V3"),
        ("DII", "II"), ("mlii", "MLII"), ("v", "V"), ("mcl1", "MCL1"), ("MCL", "MCL"),
        ("ECG", "ECG1"), ("ecg 2", "ECG2"), ("CM5", "CM5"),
    ],
)  # fmt: skip
def test_every_spelling_of_a_lead_has_one_name(name: str, usual: str) -> None:
    assert canonical(name) == usual


@given(st.text(max_size=16))
def test_a_usual_name_is_its_own(name: str) -> None:
    assert canonical(canonical(name)) == canonical(name)


def test_leads_that_would_get_one_name_keep_their_own() -> None:
    assert names((Lead("ii", 1.0), Lead("pleth", 1.0, "pleth"))) == ("II", "pleth")
    assert names((Lead("ECG", 1.0), Lead("ECG1", 1.0))) == ("ECG", "ECG1")


def test_a_pulse_lead_is_not_taken_for_an_ecg_lead_of_its_name() -> None:
    assert names((Lead("I", 1.0), Lead("1", 1.0, "abp"))) == ("I", "1")


def test_codes_are_those_of_11073_10101() -> None:
    assert [mdc_code(name) for name in ("I", "II", "V1", "V6")] == [131329, 131330, 131331, 131336]
    assert [mdc_code(name) for name in ("III", "aVR", "aVL", "aVF")] == [131389, 131390, 131391, 131392]
    assert mdc_code("avf") == mdc_code("aVF")
    assert mdc_code("CM5") == MDC_LEAD_UNSPECIFIED
    assert len(set(MDC_LEAD.values())) == len(MDC_LEAD)


def test_millivolts_are_counts_less_baseline_over_gain() -> None:
    leads = (Lead("II", 200.0), Lead("V1", 2.0, baseline=-100, unit="uV"), Lead("ABP", 10.0, "abp", 50, "mmHg"))
    mv = to_mv(frame(leads, [[0, 200, -300], [-100, -98, 1900], [50, 1250, 60]]))
    assert mv.dtype == np.float32
    np.testing.assert_allclose(mv, [[0, 1, -1.5], [0, 0.001, 1.0], [0, 120, 1]], rtol=1e-6)


def test_missing_samples_and_those_of_an_electrode_that_is_off_are_nan_and_no_others() -> None:
    mv = to_mv(frame((Lead("I", 1.0), Lead("II", 1.0)), [[1, MISSING, 3, 4], [1, 2, 3, 4]], ((1, 1, 3),)))
    assert np.isnan(mv).tolist() == [[False, True, False, False], [False, True, True, False]]


def test_a_baseline_at_the_end_of_the_range_does_not_overflow() -> None:
    mv = to_mv(frame((Lead("I", 1.0, baseline=32767),), [[-32767, 32767]]))
    assert mv.tolist() == [[-65534.0, 0.0]]


@given(st.integers(1, 7), st.integers(0, 2**32))
def test_millivolts_of_a_part_are_the_part_of_the_millivolts(at: int, seed: int) -> None:
    counts = np.random.default_rng(seed).integers(-32768, 32767, (2, 8)).tolist()
    leads = (Lead("I", 203.7, baseline=11), Lead("II", 1009.3))
    whole = to_mv(frame(leads, counts))
    parts = [to_mv(frame(leads, [row[a:b] for row in counts])) for a, b in ((0, at), (at, 8))]
    assert np.concatenate(parts, axis=1).tobytes() == whole.tobytes()


def test_the_example_runs() -> None:
    assert doctest.testmod(ecg.lead).failed == 0


def recorded(*leads: RecordLead) -> Record:
    counts = np.arange(20 * len(leads), dtype=np.int16).reshape(len(leads), 20)
    return Record("r", 250.0, leads, counts)


def test_leads_alike_are_numbered_and_long_names_cut() -> None:
    many = [
        RecordLead(name, "ecg", 200.0, 0, "mV")
        for name in ("ECG", "ECG", "", "a lead of a long name", "a\tb", "lead number one of", " x ")
    ]
    sent = of_record(recorded(*many))
    assert [lead.name for lead in sent.leads] == [
        "ECG",
        "ECG 2",
        "ECG 3",
        "a lead of a long",
        "a_b",
        "lead number one",
        "x",
    ]
    check_frame(Frame("d", "s", 0, 0, 250.0, sent.leads, sent.counts.tobytes()))


@pytest.mark.parametrize(("unit", "gain", "told"), [
    ("mV", 200.0, 0), ("MV", 200.0, 0), ("uV", 0.2, 0), ("nV", 0.0002, 0), ("V", 200_000.0, 0),
    ("NU", 200.0, 1), ("adu", 200.0, 1), ("", 200.0, 1),
])  # fmt: skip
def test_ecg_leads_are_in_millivolts_and_other_units_are_told(unit: str, gain: float, told: int) -> None:
    sent = of_record(recorded(RecordLead("II", "ecg", gain, 3, unit), RecordLead("PLETH", "pleth", 7.0, 0, "NU")))
    assert sent.leads[0].gain == pytest.approx(200.0)
    assert (sent.leads[0].baseline, sent.leads[0].unit) == (3, "mV")
    assert sent.leads[1] == Lead("PLETH", 7.0, "pleth", 0, "NU")
    assert [note.split(":")[0] for note in sent.notes] == ["r"] * told


def test_the_first_twelve_ecg_leads_are_taken_and_the_others_told() -> None:
    many = [RecordLead(f"V{n}", "ecg", 200.0, 0, "mV") for n in range(15)]
    sent = of_record(recorded(*many, RecordLead("ABP", "abp", 1.0, 0, "mmHg")))
    assert [lead.name for lead in sent.leads] == [*(f"V{n}" for n in range(12)), "ABP"]
    assert sent.counts[-1, 0] == 300, "counts are those of the leads that are left"
    assert "left out V12, V13, V14:" in sent.notes[0]


def test_a_record_without_an_ecg_lead_is_refused() -> None:
    with pytest.raises(ValueError, match="r: leads must hold one of an ECG, got PLETH"):
        of_record(recorded(RecordLead("PLETH", "pleth", 7.0, 0, "NU")))
