"""What a published network sees of a record: leads, rate, windows, filters and scale."""

from __future__ import annotations

import numpy as np
import pytest

from ecg.lead import STANDARD
from model.backbones import prepare

T = np.arange(5000) / 500


def _wave(hz: float) -> np.ndarray:
    return np.sin(2 * np.pi * hz * T).astype(np.float32)[None]


def _middle_rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(x[:, 1000:4000] ** 2)))


def test_limb_leads_that_a_record_lacks_come_from_i_and_ii() -> None:
    limb = np.array([[1.0, 0.5], [1.5, 1.0]])
    found = prepare.arranged(limb, ["DI", "lead II"], STANDARD[:6])
    assert np.array_equal(found[2], limb[1] - limb[0])
    assert np.allclose(found[3:].sum(0), 0)  # Goldberger's leads
    assert np.allclose(found[5], (found[1] + found[2]) / 2)


def test_a_lead_of_the_record_is_not_computed_again() -> None:
    found = prepare.arranged(np.arange(6.0).reshape(3, 2), ["II", "aVF", "I"], ["I", "aVF"])
    assert found.tolist() == [[4, 5], [2, 3]]


def test_a_lead_that_is_lacking_is_named_with_those_that_are_there() -> None:
    with pytest.raises(ValueError, match="no lead V1, which the network takes; it has I, II"):
        prepare.arranged(np.zeros((2, 9)), ["I", "II"], ["II", "V1"])
    with pytest.raises(ValueError, match=r"of 3 leads, got \(2, 9\)"):
        prepare.arranged(np.zeros((2, 9)), ["I", "II", "V1"], ["II"])


@pytest.mark.parametrize("rate_hz", [128, 250, 257, 360, 1000])
def test_a_record_at_another_rate_is_the_same_wave_at_500_hz(rate_hz: int) -> None:
    x = 2 + np.sin(2 * np.pi * 5 * np.arange(10 * rate_hz) / rate_hz).astype(np.float32)[None]
    (found,) = prepare.windows(x, rate_hz, 5000)
    assert found.shape == (1, 5000)
    assert np.abs(found - 2 - _wave(5))[:, 100:-100].max() < 0.01
    assert np.abs(found - 2).max() < 1.2  # no edge at a baseline that is not zero


def test_windows_follow_each_other_and_a_rest_is_left_out_unless_it_is_all() -> None:
    x = np.arange(12_400, dtype=np.float32)[None]
    found = prepare.windows(x, 500, 5000)
    assert [window[0, 0] for window in found] == [0, 5000]
    (short,) = prepare.windows(x[:, :1200], 500, 5000)
    assert short.shape == (1, 1200)


def test_a_record_that_is_too_short_or_has_no_rate_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 1 s, got 0\.8 s"):
        prepare.windows(np.zeros((1, 400), np.float32), 500, 5000)
    with pytest.raises(ValueError, match="rate_hz must be positive, got 0"):
        prepare.windows(np.zeros((1, 400), np.float32), 0, 5000)


def test_missing_samples_lie_on_a_line_and_a_missing_lead_is_flat() -> None:
    x = np.stack([np.arange(1000.0), np.full(1000, np.nan)]).astype(np.float32)
    x[0, 100:300] = np.nan
    (found,) = prepare.windows(x, 500, 5000)
    assert np.allclose(found[0], np.arange(1000))
    assert not found[1].any()
    assert np.isfinite(prepare.founder(found)).all()
    assert not prepare.fm(found)[1].any()


def test_the_founders_filters_keep_10_hz_and_take_mains_wander_and_60_hz_away() -> None:
    assert _middle_rms(prepare.filtered(_wave(10))) == pytest.approx(np.sqrt(0.5), rel=0.05)
    for hz in (0.2, 50, 60):
        assert _middle_rms(prepare.filtered(_wave(hz))) < 0.02


def test_ecgfounder_is_scaled_over_all_leads_and_ecg_fm_lead_by_lead() -> None:
    x = np.concatenate([_wave(8), 3 * _wave(9)])
    founder, fm = prepare.founder(x), prepare.fm(x + 5)
    assert founder.std() == pytest.approx(1, abs=1e-4)
    assert founder[1].std() / founder[0].std() == pytest.approx(3, rel=0.05)
    assert np.allclose(fm.std(1), 1, atol=1e-4)
    assert np.allclose(fm.mean(1), 0, atol=1e-4)
