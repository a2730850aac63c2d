"""Classes at given R peaks: the detector's own where it finds them, and one for each peak whatever the signal."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg.beat_given import classify
from ecg.beats import Beats

T = np.arange(-50, 51) / 250


def heart(n: int = 60) -> tuple[np.ndarray, np.ndarray, str]:
    """Beats at 75 a minute, each tenth one early and wide; two leads."""
    at = np.cumsum(np.where(np.arange(n) % 10 == 9, 120, 200)) + 100
    wave = np.random.default_rng(0).normal(0, 0.005, (2, int(at[-1]) + 500)).astype(np.float32)
    labels = "".join("V" if k % 10 == 9 else "N" for k in range(n))
    for k, label in zip(at, labels, strict=True):
        beat = -1.4 * np.exp(-((T / 0.06) ** 2)) if label == "V" else np.exp(-((T / 0.012) ** 2))
        wave[:, k - 50 : k + 51] += np.array([[1.0], [0.6]], np.float32) * beat.astype(np.float32)
    return wave, at.astype(np.int64), labels


WAVE, AT, LABELS = heart()


def test_classes_at_known_peaks_are_the_true_ones() -> None:
    assert classify(WAVE, AT)[10:] == LABELS[10:]


def test_they_are_the_detectors_where_it_finds_the_same_beats() -> None:
    beats = Beats()
    beats.reset(0)
    found = beats.feed(np.array([0]), WAVE[None], np.array([2]), np.array([WAVE.shape[1]]))[0]
    labels = "".join(chr(label) for label in found["label"])
    assert classify(WAVE, found["sample"])[5:] == labels[5:]


def test_a_peak_may_lie_50_ms_off() -> None:
    off = np.random.default_rng(1).integers(-12, 13, len(AT))
    assert classify(WAVE, AT + off)[10:] == LABELS[10:]


def test_peaks_before_anything_was_learned_are_normal() -> None:
    assert classify(WAVE, np.array([0, 5, 100])) == "NNN"
    assert classify(WAVE[:, :50], np.array([10, 1_000_000])) == "NN"


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(-10, 12_500), max_size=30).map(sorted),
    st.sampled_from([0.0, np.nan, np.inf, 1e6]),
    st.integers(0, 3),
)
def test_any_signal_and_any_peaks_give_a_class_each(peaks: list[int], filled: float, leads: int) -> None:
    signal = np.full((leads, 12_000), filled, np.float32)
    labels = classify(signal, np.array(peaks, np.int64))
    assert len(labels) == len(peaks)
    assert set(labels) <= set("NSV")
