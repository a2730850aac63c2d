import numpy as np
import pytest

from model import score
from model.rhythm_score import auroc

RNG = np.random.default_rng(5)
N = 400
TRUTH = RNG.random(N) < 0.3
SCORE = np.round(RNG.normal(size=N) + TRUTH, 1)
PATIENT = np.array([f"patient {k // 4}" for k in range(N)])


def test_auroc_is_that_of_ranks_with_ties_counted_half() -> None:
    found = score.aurocs(SCORE, TRUTH, score.draws(PATIENT, 0))
    assert found[0] == pytest.approx(auroc(SCORE, TRUTH), abs=1e-4)


def test_a_draw_counts_a_patients_records_as_often_as_the_patient_was_drawn() -> None:
    drawn = score.draws(PATIENT, 3)
    times = drawn.weight[2].astype(int)
    assert (times.reshape(-1, 4) == times[::4, None]).all()
    repeated = np.repeat(np.arange(N), times)
    assert score.aurocs(SCORE, TRUTH, drawn)[2] == pytest.approx(auroc(SCORE[repeated], TRUTH[repeated]), abs=1e-4)


def test_calibration_error_is_guos() -> None:
    p = RNG.random(N)
    drawn = score.draws(PATIENT, 0)
    assert score.calibration_errors(p, TRUTH, drawn)[0] == pytest.approx(
        sum(abs((TRUTH[b] - p[b]).sum()) for b in (np.floor(p * 10) == k for k in range(10))) / N
    )
    sure, half = np.full(N, 0.75), np.arange(N) % 2 == 0
    assert score.calibration_errors(sure, half, drawn)[0] == pytest.approx(0.25)
    assert score.calibration_errors(np.ones(N), np.ones(N, bool), drawn)[0] == 0


def test_what_is_unknown_does_not_count() -> None:
    truth = np.where(RNG.random((N, 11)) < 0.2, -1, TRUTH[:, None]).astype(np.int8)
    p = np.tile(score.probability(SCORE)[:, None], 11)
    figures = score.Figures()
    figures.add_outputs("", p, truth, score.draws(PATIENT, 20))
    known = truth[:, 0] >= 0
    assert figures.values["records_normal"] == known.sum()
    assert figures.values["auroc_normal"] == pytest.approx(auroc(SCORE[known], TRUTH[known]), abs=1e-3)
    low, high = figures.intervals["auroc_normal"]
    assert low < figures.values["auroc_normal"] < high


def test_calibration_takes_back_overconfidence_and_a_shifted_prevalence() -> None:
    honest = RNG.normal(size=20000) * 2
    so = RNG.random(20000) < score.probability(honest)
    logits = np.stack([3 * honest + 2, honest], axis=1)
    fitted = score.calibrate(logits, np.stack([so, np.full(20000, -1)], axis=1).astype(np.int8))
    assert fitted[0] == pytest.approx([1 / 3, -2 / 3], abs=0.05)
    assert fitted[1].tolist() == [1, 0]
    p = score.calibrated(logits, fitted)[:, 0]
    assert score.calibration_errors(p, so, score.draws(np.arange(20000).astype(str), 0))[0] < 0.015


def test_saying_the_share_of_positives_has_no_skill() -> None:
    truth = np.tile(TRUTH[:, None], 11).astype(np.int8)
    figures = score.Figures()
    figures.add_outputs("", np.full((N, 11), TRUTH.mean()), truth, score.draws(PATIENT, 5))
    assert figures.values["brier_skill_normal"] == pytest.approx(0, abs=1e-6)


def test_rhythms_are_calibrated_by_what_is_allowed_and_overconfidence_is_taken_back() -> None:
    n, classes = 4000, 4
    label = RNG.integers(0, classes, n)
    honest = RNG.normal(size=(n, classes)) + 2 * np.eye(classes)[label]
    allowed = np.eye(classes, dtype=bool)[label]
    plain, sharp = (score.Softmax.fit(honest * k, allowed) for k in (1, 4))
    assert sharp.temperature == pytest.approx(4 * plain.temperature, rel=0.02)
    assert np.allclose(sharp.apply(4 * honest), plain.apply(honest), atol=0.01)
    wide = allowed | np.eye(classes, dtype=bool)[RNG.integers(0, classes, n)]
    assert score.Softmax.fit(honest, wide).temperature == pytest.approx(plain.temperature, rel=0.25)
    unknown = np.concatenate([allowed, np.ones((50, classes), bool)])
    assert score.Softmax.fit(np.concatenate([honest, 9 * honest[:50]]), unknown) == plain
    assert score.Softmax.fit(honest, np.ones_like(allowed)) == (1.0, (0.0,) * classes)


def test_a_shifted_prevalence_of_a_rhythm_is_taken_back() -> None:
    n, bias = 8000, np.array([1.0, 0.0, -1.0])
    honest = RNG.normal(size=(n, 3)) * 1.5
    p = score.Softmax(1.0, tuple(bias)).apply(honest)
    assert p.sum(axis=1) == pytest.approx(1)
    label = (RNG.random((n, 1)) > p.cumsum(axis=1)).sum(axis=1)
    fitted = score.Softmax.fit(honest, np.eye(3, dtype=bool)[label])
    assert fitted.temperature == pytest.approx(1, abs=0.06)
    assert np.subtract(fitted.bias, np.mean(fitted.bias)) == pytest.approx(bias, abs=0.1)
