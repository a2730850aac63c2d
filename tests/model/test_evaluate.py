import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.evaluate import auroc, by_set, calibration_error, figures
from model.labels import CLASSES


def truth(*names: str) -> np.ndarray:
    return np.array([[c in name.split("|") for c in CLASSES] for name in names])


def sure(*names: str) -> np.ndarray:
    return np.array([[0.95 if c == name else 0.01 for c in CLASSES] for name in names])


VT, VF = "ventricular_tachycardia", "ventricular_fibrillation"


def test_right_answers_score_one() -> None:
    found = figures(sure("normal", VT, VF, "noise"), truth("normal", VT, VF, "noise"), np.array(["a", "b", "c", "d"]))
    assert found["f1_normal"] == found["f1_lethal"] == found["accuracy"] == found["auroc_noise"] == 1
    assert found["windows_lethal"] == 2
    assert found["patients_lethal"] == 2


def test_vt_taken_for_vf_costs_both_but_not_lethal() -> None:
    found = figures(sure(VF, VF, "normal"), truth(VT, VF, "normal"), np.array(["a", "b", "c"]))
    assert found["f1_ventricular_tachycardia"] == 0
    assert found["f1_ventricular_fibrillation"] == pytest.approx(2 / 3, abs=1e-4)
    assert found["f1_lethal"] == 1


def test_a_window_of_several_allowed_classes_counts_only_against_the_others() -> None:
    allowed = truth("normal|other", "normal")
    assert figures(sure("other", "normal"), allowed, np.array(["a", "b"]))["windows_normal"] == 1
    assert figures(sure("other", "normal"), allowed, np.array(["a", "b"]))["f1_normal"] == 1
    assert figures(sure(VT, "normal"), allowed, np.array(["a", "b"]))["specificity_lethal"] == 0.5


def test_sets_are_scored_apart() -> None:
    n = 25
    patient = np.array(["mitdb/1"] * n + ["vfdb/2"] * n)
    found = by_set(sure(*["normal"] * 2 * n), truth(*["normal"] * 2 * n), patient)
    assert found["windows_normal_mitdb"] == n
    assert found["f1_normal_vfdb"] == 1
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


def test_calibration_error_is_the_gap_between_confidence_and_hits() -> None:
    confidence = np.full(100, 0.75)
    assert calibration_error(confidence, np.arange(100) < 75) == pytest.approx(0)
    assert calibration_error(confidence, np.arange(100) < 25) == pytest.approx(0.5)
    assert calibration_error(np.ones(4), np.ones(4, bool)) == 0
