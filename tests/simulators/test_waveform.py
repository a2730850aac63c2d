"""Exact waveforms: heights, widths and rates as asked for."""

from __future__ import annotations

import numpy as np
import pytest

from simulators.waveform import at_rates, train


@pytest.mark.parametrize("qrs_mv", [0.15, 0.5, 5.0, -1.0])
@pytest.mark.parametrize("qrs_ms", [40.0, 70.0, 120.0])
def test_a_qrs_is_as_high_and_as_wide_as_asked(qrs_mv: float, qrs_ms: float) -> None:
    lead = train([1.0], 2.0, 1000.0, qrs_mv, qrs_ms)
    assert lead[1000] == pytest.approx(qrs_mv)
    assert np.abs(lead).max() == pytest.approx(abs(qrs_mv))
    assert np.count_nonzero(lead) == pytest.approx(qrs_ms, abs=2)


@pytest.mark.parametrize("t_mv", [0.6, 1.2])
def test_60601_2_27_tall_t_waves_have_their_height_width_and_qt(t_mv: float) -> None:
    lead = train([1.0], 2.0, 1000.0, 1.0, 100.0, t_mv, 180.0, 350.0)
    wave = np.flatnonzero(lead[1051:]) + 1051
    assert lead[1051:].max() == pytest.approx(t_mv, rel=1e-3)
    assert wave[-1] - wave[0] == pytest.approx(180, abs=2)
    assert wave[-1] == pytest.approx(1300, abs=2)


def test_60601_2_27_rate_steps_have_exactly_their_rates() -> None:
    rr = np.diff(at_rates([(80, 30), (120, 30), (80, 30), (40, 30)]))
    assert np.unique(np.round(60 / rr)).tolist() == [40, 80, 120]
    assert np.round(60 / rr[:38]).tolist() == [80] * 38


def test_a_wave_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        train([1.0], 2.0, qrs_ms=0)
    with pytest.raises(ValueError, match="bpm must be positive"):
        at_rates([(0, 10)])
