from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.labels import CLASSES
from model.net import WINDOW
from model.weights import BATCH, Classifier, choose_leads, load, load_bytes


def windows(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(WINDOW) / 250
    rate = rng.uniform(0.5, 8, (n, 2, 1))
    x = rng.uniform(0.2, 2, (n, 2, 1)) * np.sin(2 * np.pi * rate * t) ** 3 + 0.1 * rng.normal(size=(n, 2, WINDOW))
    x[rng.random((n, 2)) < 0.2] = np.nan
    x[0, :, 300:900] = np.nan
    return x.astype(np.float32)


def test_answers_are_probabilities_rounded_to_four_decimals(random_classifier: Classifier) -> None:
    p = random_classifier.predict_windows(windows(40))
    assert p.shape == (40, len(CLASSES))
    assert p.dtype == np.float32
    assert np.allclose(p.sum(axis=1), 1, atol=5e-4)
    assert (np.round(p, 4) == p).all()
    assert len(np.unique(p, axis=0)) > 30


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 2 * BATCH + 3))
def test_an_answer_is_the_same_to_the_bit_in_any_batch_and_at_any_place(
    random_classifier: Classifier, seed: int, take: int
) -> None:
    x = windows(70)
    whole = random_classifier.predict_windows(x)
    order = np.random.default_rng(seed).permutation(len(x))[:take]
    assert random_classifier.predict_windows(x[order]).tobytes() == whole[order].tobytes()


def test_an_answer_alone_is_the_one_among_neighbours(random_classifier: Classifier) -> None:
    x = windows(BATCH)
    alone = np.concatenate([random_classifier.predict_windows(one[None]) for one in x])
    assert alone.tobytes() == random_classifier.predict_windows(x).tobytes()


def test_the_order_of_leads_has_no_meaning(random_classifier: Classifier) -> None:
    x = windows(40)
    assert np.array_equal(random_classifier.predict_windows(x), random_classifier.predict_windows(x[:, ::-1]))


def test_a_missing_lead_is_the_same_as_one_lead_alone(random_classifier: Classifier) -> None:
    x = windows(3)[:, :1]
    x[0] = 1.0
    both = np.concatenate([x, np.full_like(x, np.nan)], axis=1)
    assert np.array_equal(random_classifier.predict(x, 250, ["II"]), random_classifier.predict_windows(both))


def test_missing_samples_are_not_taken_for_zeros(random_classifier: Classifier) -> None:
    x = windows(6)[4:]
    x[np.isnan(x)] = 0.3
    gap, zero = x.copy(), x.copy()
    gap[:, :, 500:1500], zero[:, :, 500:1500] = np.nan, 0.0
    assert not np.array_equal(random_classifier.predict_windows(gap), random_classifier.predict_windows(zero))


@pytest.mark.parametrize("fill", [0.0, np.nan, 5.0, -1e6])
def test_flat_missing_and_railed_windows_have_an_answer(random_classifier: Classifier, fill: float) -> None:
    p = random_classifier.predict_windows(np.full((1, 2, WINDOW), fill, np.float32))
    assert np.isfinite(p).all()


def test_no_windows_give_no_answers(random_classifier: Classifier) -> None:
    assert random_classifier.predict_windows(np.empty((0, 2, WINDOW), np.float32)).shape == (0, len(CLASSES))


def test_another_rate_is_resampled_first(random_classifier: Classifier) -> None:
    def tone(rate_hz: int) -> np.ndarray:
        return np.sin(2 * np.pi * 3 * np.arange(10 * rate_hz) / rate_hz)[None].astype(np.float32)

    here, there = random_classifier.predict(tone(250), 250, ["I"]), random_classifier.predict(tone(500), 500, ["I"])
    assert np.abs(here - there).max() < 0.01


def test_missing_samples_stay_missing_at_another_rate(random_classifier: Classifier) -> None:
    x = np.full((1, 5000), np.nan, np.float32)
    assert np.array_equal(
        random_classifier.predict(x, 500, ["I"]),
        random_classifier.predict_windows(np.full((1, 2, WINDOW), np.nan, np.float32)),
    )


def test_windows_of_beds_with_different_leads_are_answered_together_by_name(random_classifier: Classifier) -> None:
    x = windows(2)
    twelve = np.zeros((12, WINDOW), np.float32)
    twelve[1], twelve[6] = x[1]
    names = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]
    found = random_classifier.classify([(x[0, :1], ("ECG1",)), (twelve, names)])
    assert list(found[0]) == list(CLASSES)
    assert [list(one.values()) for one in found] == [
        [round(float(p), 4) for p in row]
        for row in np.concatenate(
            [random_classifier.predict(x[0, :1], 250, ["ECG1"]), random_classifier.predict_windows(x[1:])]
        )
    ]


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"], (1, 6)),
        (["V5", "MLII"], (0, 1)),
        (["ECG"], (0,)),
        (["a", "b", "c"], (0, 1)),
        (["a", "V1", "MDC_ECG_LEAD_II"], (1, 2)),
        ([], ()),
    ],
)
def test_two_leads_are_chosen_by_what_they_show(names: list[str], chosen: tuple[int, ...]) -> None:
    assert choose_leads(names) == chosen


def test_a_signal_of_other_leads_than_named_or_too_long_is_refused(random_classifier: Classifier) -> None:
    with pytest.raises(ValueError, match="must have 2 leads"):
        random_classifier.predict(np.zeros((1, WINDOW), np.float32), 250, ["I", "II"])
    with pytest.raises(ValueError, match="at most 10 s"):
        random_classifier.predict(np.zeros((1, WINDOW + 1), np.float32), 250, ["I"])
    with pytest.raises(ValueError, match="rate_hz"):
        random_classifier.predict(np.zeros((1, WINDOW), np.float32), 0, ["I"])
    with pytest.raises(ValueError, match="x_mv"):
        random_classifier.predict_windows(np.zeros((1, 1, WINDOW), np.float32))


def test_a_file_and_its_bytes_are_the_same_network(random_weights: Path, random_classifier: Classifier) -> None:
    again = load_bytes(random_weights.read_bytes())
    assert again.sha256 == random_classifier.sha256
    assert np.array_equal(again.predict_windows(windows(3)), random_classifier.predict_windows(windows(3)))


@pytest.mark.parametrize(
    "data", [b"", b"nothing of the kind", b"\xff" * 64, b"\2\0\0\0\0\0\0\0{}", b"\2\0\0\0\0\0\0\0[]"]
)
def test_bytes_that_are_no_weights_are_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(ValueError, match="weights must be"):
        load_bytes(data)


def test_a_file_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.safetensors")
