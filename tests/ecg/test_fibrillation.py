"""The judge of the wave: what it calls fibrillatory, and that cutting and batching change nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecg.fibrillation import FLAT_MV, GRID, MAX_LEADS, WINDOW, Fibrillation
from ecg.wave import DENIED
from simulators.artefact import noise
from simulators.heart import Heart

Signal = NDArray[np.float32]


def played(rhythm: str, seconds: float, leads: Sequence[str] = ("II", "V1"), **parameters: float) -> Signal:
    heart = Heart([(rhythm, seconds, parameters)], leads=leads, seed=3)
    return heart.samples(0, heart.n_samples)


def judged(signal_mv: Signal, cuts: Sequence[int] = ()) -> NDArray[np.void]:
    fibrillation = Fibrillation()
    fibrillation.reset(0)
    found = []
    for part in np.split(signal_mv, list(cuts), axis=1):
        leads, count = np.array([part.shape[0]]), np.array([part.shape[1]])
        found += fibrillation.feed(np.array([0]), np.ascontiguousarray(part)[None], leads, count)
    return np.concatenate(found)


@pytest.mark.parametrize("rhythm", ["ventricular_fibrillation", "ventricular_flutter"])
@pytest.mark.parametrize("size", [0.5, 1.0, 2.0])
def test_fibrillation_and_flutter_are_fibrillatory_at_any_size(rhythm: str, size: float) -> None:
    found = judged(size * played(rhythm, 30))
    assert found["fibrillatory"][found["end"] > WINDOW].mean() > 0.95


@pytest.mark.parametrize(
    "rhythm", ["sinus", "atrial_fibrillation", "bigeminy", "pvcs", "pauses", "st_shift", "asystole"]
)
def test_rhythms_with_beats_and_standstill_are_not_fibrillatory(rhythm: str) -> None:
    assert not judged(played(rhythm, 60))["fibrillatory"].any()


@pytest.mark.parametrize("rate_bpm", [40.0, 100.0, 150.0])
def test_a_normal_rhythm_at_any_rate_is_not_fibrillatory_under_muscle_noise(rate_bpm: float) -> None:
    signal = played("sinus", 60, rate_bpm=rate_bpm)
    signal = signal + np.stack([noise("muscle", signal.shape[1], 250.0, 0.05, seed) for seed in (1, 2)])
    assert not judged(signal)["fibrillatory"].any()


def test_a_wave_is_found_within_five_seconds_of_its_onset() -> None:
    heart = Heart([("sinus", 20, {}), ("ventricular_fibrillation", 20, {})], seed=5)
    found = judged(heart.samples(0, heart.n_samples))
    first = found["end"][found["fibrillatory"]][0]
    assert 5000 < first <= 5000 + 5 * 250


def test_the_rate_of_a_regular_wave_is_told() -> None:
    wave = np.sin(2 * np.pi * 4 * np.arange(5000) / 250).astype(np.float32)[None]
    last = judged(wave)[-1]
    assert last["fibrillatory"]
    assert last["rate_hz"] == pytest.approx(4.0, abs=0.15)
    assert last["regularity"] > 0.95


def test_the_size_is_that_of_the_largest_lead_also_where_none_is_large_enough_to_vote() -> None:
    wave = np.sin(2 * np.pi * 4 * np.arange(2500) / 250).astype(np.float32)
    assert judged(np.stack([0.02 * wave, 0.05 * wave]))["size_mv"][-1] == pytest.approx(0.1, rel=0.02)
    assert judged(np.stack([2.0 * wave, 0.5 * wave]))["size_mv"][-1] == pytest.approx(4.0, rel=0.02)
    assert judged(np.full((1, 2500), np.nan, np.float32))["size_mv"][-1] == 0


def test_a_wave_that_is_far_from_fibrillation_has_no_rate() -> None:
    found = judged(played("sinus", 20))
    assert (found["score"] < DENIED).any()
    assert not found["rate_hz"][found["score"] <= DENIED].any()


def test_one_failed_lead_does_not_vote() -> None:
    signal = played("ventricular_fibrillation", 20)
    signal[1] = np.nan
    last = judged(signal)[-1]
    assert last["fibrillatory"]
    assert last["usable"] == last["leads"] == 0b01


def test_a_flat_lead_does_not_outvote_a_fibrillating_one() -> None:
    signal = played("ventricular_fibrillation", 20)
    signal[1] = 0.2
    last = judged(signal)[-1]
    assert last["fibrillatory"]
    assert last["usable"] == 0b11
    assert last["leads"] == 0b01


def test_flat_means_flat_on_every_usable_lead() -> None:
    signal = np.full((2, 2500), 0.3, np.float32)
    signal[:, ::2] += np.float32(0.9 * FLAT_MV)
    assert judged(signal)["flat"][-1]
    signal[1] = played("sinus", 10, leads=("II",))[0]
    assert not judged(signal)["flat"][-1]
    signal[1] = np.nan
    assert judged(signal)["flat"][-1]


def test_without_any_lead_nothing_is_flat_or_fibrillatory() -> None:
    found = judged(np.full((2, 3000), np.nan, np.float32))
    assert not found["usable"].any()
    assert not found["flat"].any()
    assert not found["fibrillatory"].any()


@given(
    cuts=st.lists(st.integers(0, 2500), max_size=12).map(sorted),
    missing=st.lists(st.tuples(st.integers(0, 2400), st.integers(1, 400)), max_size=4),
)
@settings(max_examples=40, deadline=None)
def test_any_cutting_gives_the_same_judgements(cuts: list[int], missing: list[tuple[int, int]]) -> None:
    signal = played("ventricular_fibrillation", 10)
    for start, n in missing:
        signal[start % 2, start : start + n] = np.nan
    assert judged(signal, cuts).tobytes() == judged(signal).tobytes()


def test_any_batch_gives_the_same_judgements() -> None:
    signals = [played("sinus", 12, ("II",)), played("ventricular_flutter", 10), played("pvcs", 11, ("I", "II", "V2"))]
    together = Fibrillation()
    x = np.full((3, 3, 3000), np.nan, np.float32)
    for row, signal in enumerate(signals):
        together.reset(row)
        x[row, : signal.shape[0], : signal.shape[1]] = signal
    leads, count = (np.array([signal.shape[axis] for signal in signals]) for axis in (0, 1))
    for found, signal in zip(together.feed(np.arange(3), x, leads, count), signals, strict=True):
        assert found.tobytes() == judged(signal).tobytes()


def test_a_restored_row_goes_on_as_if_never_taken_out() -> None:
    signal = played("ventricular_fibrillation", 12)
    first, second = Fibrillation(), Fibrillation()
    first.reset(0)
    first.feed(np.array([0]), signal[None, :, :1777].copy(), np.array([2]), np.array([1777]))
    second.restore(5, first.snapshot(0), signal[:, 777:1777])
    rest = second.feed(np.array([5]), signal[None, :, 1777:].copy(), np.array([2]), np.array([signal.shape[1] - 1777]))[
        0
    ]
    assert rest.tobytes() == judged(signal)[1777 // GRID :].tobytes()
    with pytest.raises(ValueError, match="must hold"):
        second.restore(0, b"short", signal)


@given(
    value=st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1e30, -32.768]),
    leads=st.integers(1, MAX_LEADS + 2),
    n=st.integers(0, 1500),
)
@settings(max_examples=30, deadline=None)
def test_any_samples_are_accepted(value: float, leads: int, n: int) -> None:
    found = judged(np.full((leads, n), value, np.float32))
    assert len(found) == n // GRID
    assert np.isfinite(found["score"]).all()
