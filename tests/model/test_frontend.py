import numpy as np
import pytest

from ecg.window import HALO, SPAN
from model import frontend
from model.frontend import CHUNK, FIRST, STEP, STEPS, TOKENS, WAVE, Chunks, clean, cut, last_span


def heart(samples: int) -> np.ndarray:
    """Return one lead at 250 Hz with beats whose size changes slowly."""
    t = np.arange(samples) / 250
    beat = np.exp(-0.5 * (((t % 0.83) - 0.4) / 0.02) ** 2) * (1 + 0.3 * np.sin(t))
    return (beat + 0.01 * np.sin(97 * t)).astype(np.float32)[None]


def windowed(span_mv: np.ndarray) -> Chunks:
    """Return the five chunks of each lead's window."""
    return frontend.chunks(cut(span_mv))


def test_overlapping_windows_have_the_same_chunks_to_the_bit() -> None:
    x = heart(SPAN + 2 * CHUNK)
    early, late = windowed(x[:, :SPAN]), windowed(x[:, 2 * CHUNK :])
    assert np.array_equal(early.wave[:, 2:], late.wave[:, :-2])
    assert np.array_equal(early.morlet[:, 2:], late.morlet[:, :-2])
    assert np.array_equal(early.level[:, 2:], late.level[:, :-2])


def test_a_step_is_in_the_middle_of_what_convolution_and_morlet_read() -> None:
    middle = FIRST + (WAVE - (STEPS - 1) * STEP) // 2
    assert middle == HALO // 2
    x = np.zeros((1, SPAN), np.float32)
    x[0, 2 * CHUNK + middle + 20 * STEP] = 1.0
    answer = windowed(x).morlet[0, 2, -1].astype(np.float32)
    assert answer.argmax() == 20


def test_amplitude_is_in_the_level_alone() -> None:
    one, three = windowed(heart(SPAN)), windowed(3 * heart(SPAN))
    assert np.allclose(one.wave, three.wave, atol=2e-3)
    assert np.allclose(one.morlet, three.morlet, atol=4e-3)
    assert np.allclose(three.level.astype(float) - one.level, np.log(3), atol=2e-3)


def test_what_is_missing_is_zero_and_masked() -> None:
    x = np.concatenate([heart(SPAN)] * 2)
    x[0, HALO // 2 : HALO // 2 + CHUNK] = np.nan
    x[1] = np.nan
    found = windowed(x)
    assert found.mask[0, 0].sum() == 0
    assert found.mask[0, 1:].all()
    assert found.mask[0].size == TOKENS
    assert not found.wave[0, 0].any()
    assert not any(part[1].any() for part in found)
    assert all(np.isfinite(part).all() for part in found)


def test_a_flat_lead_is_nothing_but_there() -> None:
    found = windowed(np.zeros((1, SPAN), np.float32))
    assert found.mask.all()
    assert not found.wave.any()
    assert np.isfinite(found.morlet).all()


def test_a_short_recording_ends_the_span() -> None:
    span = last_span(np.ones((2, 700), np.float32))
    assert np.isnan(span[:, : SPAN - 700]).all()
    assert (span[:, SPAN - 700 :] == 1).all()
    with pytest.raises(ValueError, match="2700"):
        cut(span[:, 1:])


def test_a_record_keeps_its_length_and_shape_through_the_streams_own_filters() -> None:
    x = heart(2500)
    y = clean(x, 250.0)
    assert abs(y.shape[1] - 2500) <= 2
    n = y.shape[1]
    assert np.corrcoef(x[0, 100 : n - 100], y[0, 100 : n - 100])[0, 1] > 0.98
    assert frontend.BANK.delay <= HALO // 2
