"""Artefacts: each noise of its own band and size, and nothing spoiled outside its stretch."""

from __future__ import annotations

import numpy as np
import pytest

from ecg.frame import MISSING
from simulators.artefact import NOISES, Artefact, Kind, Noise, disturb, noise
from simulators.heart import Heart
from simulators.source import Source


def source() -> Source:
    return Heart([("sinus", 20, {})], leads=("II", "V1", "PLETH")).source()


def share(x: np.ndarray, low_hz: float, high_hz: float, rate_hz: float = 500.0) -> float:
    power, frequency = np.abs(np.fft.rfft(x)) ** 2, np.fft.rfftfreq(len(x), 1 / rate_hz)
    return float(power[(frequency >= low_hz) & (frequency <= high_hz)].sum() / power.sum())


@pytest.mark.parametrize(
    ("kind", "low_hz", "high_hz"),
    [("mains", 49, 51), ("wander", 0, 0.6), ("muscle", 15, 140), ("motion", 0, 12)],
)
def test_noise_lies_in_its_band(kind: Noise, low_hz: float, high_hz: float) -> None:
    assert share(noise(kind, 10_000, 500.0, 0.1, seed=1), low_hz, high_hz) > 0.9


@pytest.mark.parametrize("kind", NOISES)
def test_noise_has_its_size_and_its_seed(kind: Noise) -> None:
    made = noise(kind, 5000, 250.0, 0.3, seed=7)
    assert np.sqrt(np.mean(made.astype(float) ** 2)) == pytest.approx(0.3, rel=1e-3)
    assert (
        made.tobytes() == noise(kind, 5000, 250.0, 0.3, seed=7).tobytes() != noise(kind, 5000, 250.0, 0.3, 8).tobytes()
    )


@pytest.mark.parametrize("kind", [*NOISES, "clip", "flat", "lead_off", "dropout"])
def test_only_the_stretch_of_the_lead_is_spoiled(kind: Kind) -> None:
    clean = source()
    spoiled = disturb(clean, [Artefact(kind, 5.0, 10.0, 0.1, ("V1",))])
    same = spoiled.counts == clean.counts
    assert same[[0, 2]].all()
    assert same[1, :1250].all()
    assert same[1, 2500:].all()
    assert not same[1, 1250:2500].all()


def test_a_flat_stretch_is_flagged_only_where_the_device_knows() -> None:
    spoiled = disturb(source(), [Artefact("flat", 2, 4), Artefact("lead_off", 6, 8, leads=("II",))])
    assert np.ptp(spoiled.counts[:2, 500:1000], axis=1).tolist() == [0, 0]
    assert spoiled.off is not None
    assert np.flatnonzero(spoiled.off[0])[[0, -1]].tolist() == [1500, 1999]
    assert spoiled.off.sum() == 500


def test_dropped_samples_are_missing_and_noise_leaves_them_so() -> None:
    spoiled = disturb(source(), [Artefact("dropout", 2, 4), Artefact("white", 0, 20)])
    assert (spoiled.counts[:2] == MISSING).sum() == 2 * 500
    assert (spoiled.counts[:2, 500:1000] == MISSING).all()


def test_a_clipped_signal_stays_within_its_rails() -> None:
    spoiled = disturb(source(), [Artefact("clip", 0, 20, 0.25)])
    assert np.nanmax(np.abs(spoiled.mv(0, 5000)[:2])) <= 0.2501


def test_a_stretch_outside_or_an_unknown_lead_is_refused() -> None:
    with pytest.raises(ValueError, match="first_s and end_s"):
        disturb(source(), [Artefact("white", 15, 25)])
    with pytest.raises(ValueError, match="leads must be of II, V1"):
        disturb(source(), [Artefact("white", 1, 2, leads=("PLETH",))])
    with pytest.raises(ValueError, match="kind must be one of"):
        noise("pink", 10, 250.0, 0.1, 0)  # pyright: ignore[reportArgumentType]
