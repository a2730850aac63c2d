"""Leads: one name for each, its code, and millivolts from counts."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ecg.lead
from ecg.frame import MISSING, Frame, Lead
from ecg.lead import MDC_LEAD, MDC_LEAD_UNSPECIFIED, STANDARD, canonical, mdc_code, names, to_mv


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
