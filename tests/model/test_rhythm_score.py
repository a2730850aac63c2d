import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.labels import RHYTHMS
from model.rhythm_score import auroc, by_set, figures


def truth(*names: str) -> np.ndarray:
    return np.array([[c in name.split("|") for c in RHYTHMS] for name in names])


def sure(*names: str) -> np.ndarray:
    return np.array([[0.95 if c == name else 0.01 for c in RHYTHMS] for name in names])


VT, VF = "ventricular_tachycardia", "ventricular_fibrillation"


def test_right_answers_score_one() -> None:
    found = figures(sure("sinus", VT, VF, "noise"), truth("sinus", VT, VF, "noise"), np.array(["a", "b", "c", "d"]))
    assert found["f1_sinus"] == found["f1_lethal"] == found["accuracy"] == found["auroc_noise"] == 1
    assert found["windows_lethal"] == 2
    assert found["patients_lethal"] == 2


def test_vt_taken_for_vf_costs_both_but_not_lethal() -> None:
    found = figures(sure(VF, VF, "sinus"), truth(VT, VF, "sinus"), np.array(["a", "b", "c"]))
    assert found["f1_ventricular_tachycardia"] == 0
    assert found["f1_ventricular_fibrillation"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["f1_lethal"] == 1


def test_a_window_of_several_allowed_classes_counts_only_against_the_others() -> None:
    allowed = truth("sinus|paced", "sinus")
    assert figures(sure("paced", "sinus"), allowed, np.array(["a", "b"]))["windows_sinus"] == 1
    assert figures(sure("paced", "sinus"), allowed, np.array(["a", "b"]))["f1_sinus"] == 1
    assert figures(sure(VT, "sinus"), allowed, np.array(["a", "b"]))["specificity_lethal"] == 0.5


def test_sets_are_scored_apart() -> None:
    n = 25
    patient = np.array(["mitdb/1"] * n + ["vfdb/2"] * n)
    found = by_set(sure(*["sinus"] * 2 * n), truth(*["sinus"] * 2 * n), patient)
    assert found["windows_sinus_mitdb"] == n
    assert found["f1_sinus_vfdb"] == 1
    assert "f1_noise_mitdb" not in found


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_auroc_is_the_share_of_pairs_in_order(pairs: list[tuple[int, bool]]) -> None:
    score, positive = np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])
    found = auroc(score, positive)
    if positive.all() or not positive.any():
        assert math.isnan(found)
        return
    gap = score[positive][:, None] - score[~positive][None]
    assert found == pytest.approx(float(((gap > 0) + 0.5 * (gap == 0)).mean()), abs=1e-4)


def test_a_rhythm_of_one_patient_is_not_in_the_mean_that_counts() -> None:
    patient = np.array(["a", "b", "c", "d", "d", "e"])
    names = ["sinus", "sinus", "sinus", VT, VT, VT]
    found = figures(sure("sinus", "sinus", "sinus", VF, VF, VT), truth(*names), patient)
    assert found["f1_macro_counted"] == found["f1_sinus"] == 1
    assert found["f1_macro"] < 1


def test_a_window_of_which_nothing_is_known_counts_nowhere() -> None:
    known = figures(sure("sinus", VF), truth("sinus", VF), np.array(["a", "b"]))
    more = figures(sure("sinus", VF, "noise"), truth("sinus", VF, "|".join(RHYTHMS)), np.array(["a", "b", "c"]))
    np.testing.assert_equal(more, known)
