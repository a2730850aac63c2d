"""What describes a short recording of several leads: total, blind to order, and each quantity where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecg.quality_features import NAMES, describe


def leads(n: int = 12) -> NDArray[np.float32]:
    t_s = np.arange(2500) / 250 % 0.8
    beat = np.exp(-0.5 * ((t_s - 0.4) / 0.011) ** 2) + 0.2 * np.exp(-0.5 * ((t_s - 0.6) / 0.045) ** 2)
    noise = np.random.default_rng(3).normal(0, 0.005, (n, 2500))
    return (np.linspace(0.5, 1.5, n)[:, None] * beat + noise).astype(np.float32)


def of(x: NDArray[np.float32]) -> dict[str, float]:
    return dict(zip(NAMES, describe(x).tolist(), strict=True))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 13),
    st.integers(0, 2600),
    st.sampled_from([0.0, np.nan, np.inf, -np.inf, 1e30, -16.0]),
    st.floats(0.0, 1.0),
)
def test_any_recording_can_be_described(n: int, length: int, value: float, share: float) -> None:
    x = np.random.default_rng(1).normal(size=(n, length)).astype(np.float32)
    x[np.random.default_rng(2).random(x.shape) < share] = value
    assert np.isfinite(describe(x)).all()
    assert len(describe(x)) == len(NAMES)


def test_without_a_lead_nothing_can_be_described() -> None:
    with pytest.raises(ValueError, match="must have a lead"):
        describe(np.empty((0, 2500), np.float32))


def test_beyond_ten_seconds_nothing_is_looked_at() -> None:
    x = leads()
    longer = np.concatenate([x, np.full((12, 300), 9.0, np.float32)], axis=1)
    assert np.array_equal(describe(longer), describe(x))


def test_the_order_of_chest_leads_does_not_matter() -> None:
    x = leads()
    turned = np.concatenate([x[:6], x[:5:-1]])
    assert np.allclose(describe(turned), describe(x), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("flat_near", lambda x: np.zeros_like(x)),
        ("flat_far", lambda x: np.full_like(x, -16.0)),
        ("far", lambda x: x + 8.0),
        ("noisy", lambda x: x + np.random.default_rng(1).normal(0, 0.1, 2500)),
        ("strange", lambda x: x + np.where(np.arange(2500) // 50 == 20, 2.0, 0.0)),
        ("restless", lambda x: x + 0.5 * np.sin(2 * np.pi * 7 * np.arange(2500) / 250)),
    ],
)
def test_one_bad_lead_is_counted_as_what_it_is(name: str, spoil) -> None:  # pyright: ignore[reportMissingParameterType]
    x = leads()
    assert of(x)[name] == 0
    x[8] = spoil(x[8])
    assert of(x)[name] >= 1
    assert of(x)["noisy"] == (name == "noisy")


def test_leads_of_one_heart_agree_and_leads_of_noise_do_not() -> None:
    noise = np.random.default_rng(4).normal(0, 0.3, (12, 2500)).astype(np.float32)
    assert of(leads())["envelope"] > 0.9 > 0.5 > of(noise)["envelope"]
    assert of(leads())["one"] > 0.9 > 0.5 > of(noise)["one"]
