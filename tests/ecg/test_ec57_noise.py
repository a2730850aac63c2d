"""Noise mixed in: where, how loud, and what stays as it was."""

import numpy as np
import pytest

from ecg.ec57.noise import Stretch, mix, noise_amplitude, noisy_stretches, qrs_amplitude, second_half

RATE = 100.0
RNG = np.random.default_rng(1)
MINUTES = 12
N = int(MINUTES * 60 * RATE)
BEATS = np.arange(50, N - 50, 80)


def record(amplitude: float = 2.0) -> np.ndarray:
    """Two leads of triangles, the second one upside down and half as large."""
    wave = np.zeros(N)
    for at in BEATS:
        wave[at - 3 : at + 4] = amplitude * (1 - np.abs(np.arange(-3, 4)) / 4)
    return np.stack([wave, -0.5 * wave])


NOISE = RNG.normal(0, 1, (2, 30_000)) + 7.0


def test_noise_comes_from_minute_five_on_every_other_two_minutes() -> None:
    assert noisy_stretches(N, RATE) == [Stretch(30_000, 42_000), Stretch(54_000, 66_000)]
    assert noisy_stretches(60_000, RATE) == [Stretch(30_000, 42_000), Stretch(54_000, 60_000)]
    assert noisy_stretches(29_000, RATE) == []


def test_only_the_second_half_of_the_noise_is_for_scoring() -> None:
    assert second_half(np.arange(10.0).reshape(1, 10)).tolist() == [[5, 6, 7, 8, 9]]


@pytest.mark.parametrize("snr_db", [24.0, 6.0, -6.0])
def test_the_ratio_is_of_the_squared_amplitude_over_eight_to_the_noise_power(snr_db: float) -> None:
    added = mix(record(), NOISE, BEATS, RATE, snr_db) - record()
    for row, amplitude in zip(added, (2.0, 1.0), strict=True):
        power = row[30_000:42_000].var()
        assert 10 * np.log10(amplitude**2 / 8 / power) == pytest.approx(snr_db, abs=0.2)


def test_clean_stretches_keep_their_form_and_there_is_no_step() -> None:
    added = mix(record(), NOISE, BEATS, RATE, 6.0) - record()
    assert (added[:, :30_000] == 0).all()
    for first, last in ((42_000, 54_000), (66_000, N)):
        assert np.ptp(added[:, first:last], axis=1).max() < 1e-9
        assert np.abs(added[:, first] - added[:, first - 1]).max() < 1e-9


def test_the_gain_of_a_stretch_follows_the_complexes_before_it() -> None:
    signal = record()
    signal[:, 42_000:] *= 3.0
    added = mix(signal, NOISE, BEATS, RATE, 6.0) - signal
    first, second = added[0, 30_000:42_000].std(), added[0, 54_000:66_000].std()
    assert second / first == pytest.approx(3.0, rel=0.02)


def test_complexes_in_noise_are_not_measured() -> None:
    signal = record()
    signal[:, 30_000:42_000] *= 50.0
    added = mix(signal, NOISE, BEATS, RATE, 6.0) - signal
    assert added[0, 54_000:66_000].std() == pytest.approx(added[0, 30_000:42_000].std(), rel=0.02)


def test_short_noise_begins_anew() -> None:
    short = NOISE[:, :1000]
    added = mix(record(), short, BEATS, RATE, 6.0) - record()
    assert np.allclose(added[0, 31_000:32_000], added[0, 32_000:33_000])


def test_a_lead_more_than_the_noise_has_takes_its_first_again() -> None:
    three = np.concatenate([record(), record()[:1]])
    added = mix(three, NOISE, BEATS, RATE, 6.0) - three
    assert np.allclose(added[0], added[2])
    assert not np.allclose(added[0], 2 * added[1])


def test_missing_samples_stay_missing_and_a_record_without_beats_stays_clean() -> None:
    signal = record()
    signal[0, 35_000:35_100] = np.nan
    mixed = mix(signal, NOISE, BEATS, RATE, 6.0)
    assert (np.isnan(mixed) == np.isnan(signal)).all()
    assert (mix(record(), NOISE, np.zeros(0, np.int64), RATE, 6.0) == record()).all()


def test_amplitudes_are_means_without_the_outermost_twentieths() -> None:
    signal = record()[0]
    signal[BEATS[:2]] = 1000.0
    assert qrs_amplitude(signal, BEATS[:60], RATE) == pytest.approx(2.0)
    assert qrs_amplitude(signal, BEATS[:0], RATE) == 0.0
    noise = np.tile([1.0, -1.0], 3000) + 5.0
    noise[:200] *= 100
    assert noise_amplitude(noise, RATE) == pytest.approx(1.0)
