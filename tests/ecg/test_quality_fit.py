"""Growing the forest: deterministic, without what is left out, and twins on one side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ecg import quality_fit
from ecg.quality_features import NAMES
from ecg.quality_fit import Described, collect, fit, read_reference, twins
from ecg.quality_forest import unacceptable
from ecg.record import write_signals


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality_fit, "TREES", 30)
    monkeypatch.setattr(quality_fit, "DRAWN", 0.5)


def described(n: int = 60, seed: int = 0) -> tuple[list[Described], dict[str, bool]]:
    """Recordings that are bad where the third feature is over 0.5, whatever the others."""
    random = np.random.default_rng(seed)
    features = random.random((n, len(NAMES)))
    found = [Described(f"r{k:03}", row, random.normal(size=40).astype(np.float32)) for k, row in enumerate(features)]
    return found, {each.record: bool(each.features[2] > 0.5) for each in found}


def test_what_divides_is_found() -> None:
    found, bad = described()
    others, truth = described(seed=1)
    votes = unacceptable(fit(found, bad), np.array([each.features for each in others]))
    assert np.mean((votes >= 0.5) == list(truth.values())) > 0.9


def test_the_same_recordings_in_any_order_give_the_same_forest() -> None:
    found, bad = described()
    assert all(np.array_equal(a, b) for a, b in zip(fit(found, bad), fit(found[::-1], bad), strict=True))


def test_what_is_left_out_has_no_part_in_the_forest() -> None:
    found, bad = described()
    without = {each.record for each in found[:20]}
    lies = bad | {name: not bad[name] for name in without}
    ours, theirs = fit(found, bad, without), fit(found[20:], lies)
    assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(ours, fit(found, bad), strict=True))


def test_recordings_of_one_kind_grow_nothing() -> None:
    found, bad = described()
    for without in (set(bad), {name for name, is_bad in bad.items() if is_bad}):
        with pytest.raises(ValueError, match="both kinds"):
            fit(found, bad, without)


def test_one_recording_under_two_names_is_known() -> None:
    wave = np.random.default_rng(5).normal(size=50).astype(np.float32)
    wave /= np.linalg.norm(wave)
    other = np.roll(wave, 7)
    found = [Described(name, np.zeros(1), x) for name, x in (("a", wave), ("b", other), ("c", wave * 0.99))]
    assert twins(found) == {"a": "a", "b": "b", "c": "a"}


def test_a_record_is_described_at_250_hz_whatever_its_rate(tmp_path: Path) -> None:
    t_s = np.arange(5000) / 500
    mv = np.sin(2 * np.pi * 2 * t_s)[None] * np.linspace(0.5, 1, 12)[:, None]
    write_signals(tmp_path / "one", [f"L{k}" for k in range(12)], mv.astype(np.float32), 500.0)
    write_signals(tmp_path / "two", [f"L{k}" for k in range(12)], mv[:, ::2].astype(np.float32), 250.0)
    one, two = collect(tmp_path / "one"), collect(tmp_path / "two")
    assert len(one.features) == len(NAMES)
    assert float(one.thinned @ two.thinned) > 0.99


def test_a_reference_that_says_neither_is_refused() -> None:
    with pytest.raises(ValueError, match="got '1,perhaps'"):
        read_reference("1,perhaps\n")
