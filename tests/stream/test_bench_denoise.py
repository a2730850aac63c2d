"""Rules of the denoiser's bench: its measures reward what cleans and spares the heart, and punish all else."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import pywt
from scipy import signal

from ecg.ec57.noise import noise_amplitude
from ecg.record import read
from stream import bench_denoise, denoise_peers
from stream.bench_denoise import MADE_LIKE, delays, denoise, of_hearts
from stream.bench_denoise_picture import draw
from stream.denoise_faith import beat_errors, edges, faithfulness, marked_of
from stream.denoise_peers import RATE_HZ, Signals, bandpass, highpass, neurokit2, per_window, stationary, universal
from stream.denoise_scores import gains, noise_of, noisy, strips_of

MADE = of_hearts()
STRIPS = MADE.strips
REFERENCE = highpass(STRIPS.clean_mv)


def gain(clean: denoise_peers.Cleaner, noise: str = "white", snr_db: float = 12) -> float:
    return gains(STRIPS, REFERENCE, noisy(STRIPS, MADE.noises[noise], snr_db), {"": clean}).gain_db[""]


def test_the_ratio_of_the_noise_is_that_of_nst() -> None:
    for snr_db in (24, 6):
        added = noisy(STRIPS, MADE.noises["white"], snr_db) - STRIPS.clean_mv
        rms = np.array([noise_amplitude(lead, RATE_HZ) for lead in added])
        assert np.allclose(10 * np.log10(STRIPS.qrs_mv**2 / 8 / rms**2), snr_db, atol=1e-6)


def test_doing_nothing_but_the_high_pass_gains_nothing() -> None:
    for noise in MADE.noises:
        assert gain(highpass, noise, 6) == 0.0


def test_flattening_everything_loses_where_there_is_little_noise() -> None:
    assert gain(np.zeros_like, snr_db=24) < -10


def test_giving_the_reference_itself_gains_more_than_any_other() -> None:
    def nearly(_: Signals) -> Signals:
        return REFERENCE + 1e-6

    assert gain(nearly) > 60


def test_an_output_that_comes_late_loses() -> None:
    assert gain(lambda noised: np.roll(highpass(noised), 3, axis=1), snr_db=24) < -5


def test_only_the_scored_stretch_counts() -> None:
    def wrong_outside(noised: Signals) -> Signals:
        return np.where(STRIPS.scored, highpass(noised), 99.0)

    assert gain(wrong_outside) == 0.0
    assert 0.4 < STRIPS.scored.mean() < 0.9


def test_the_universal_threshold_is_that_of_donoho_and_johnstone() -> None:
    white = np.random.default_rng(0).normal(scale=0.2, size=(3, 5000))
    assert np.allclose(universal(white)[:, 0], 0.2 * np.sqrt(2 * np.log(5000)), rtol=0.05)


def test_the_stationary_peer_is_pywts_own_in_the_same_order_of_levels() -> None:
    x = np.random.default_rng(1).normal(size=1600)
    parts = pywt.swt(x, "db4", level=4)
    threshold = universal(parts[-1][1][None])[0, 0]
    expected = pywt.iswt([(a, pywt.threshold(d, threshold, "soft")) for a, d in parts], "db4")
    assert np.allclose(stationary(x[None])[0], expected)


def test_windows_give_every_sample_once_and_in_its_place() -> None:
    x = np.arange(2 * 7300, dtype=np.float64).reshape(2, 7300)
    assert np.array_equal(per_window(lambda windows: windows, x), x)


def test_a_band_pass_keeps_the_band_and_nothing_else() -> None:
    t_s = np.arange(10000) / RATE_HZ
    for hz, kept in ((0.05, 0.0), (10.0, 1.0), (100.0, 0.0)):
        y = bandpass(np.sin(2 * np.pi * hz * t_s)[None])[0, 3000:-3000]
        assert np.std(y) * np.sqrt(2) == pytest.approx(kept, abs=0.06)


def test_edges_lie_where_a_complex_begins_and_ends() -> None:
    lead = np.zeros(300)
    lead[100:120] = np.hanning(20)
    first, last = edges(lead, 100, 119)
    assert abs(first - 98) <= 3
    assert abs(last - 117) <= 3


def test_a_cleaner_that_lifts_st_and_halves_the_complex_is_found_out() -> None:
    honest = faithfulness(MADE.marked, lambda signals: signals)
    assert set(honest.values()) == {0.0}
    cheated = faithfulness(MADE.marked, lambda signals: signals / 2)
    assert cheated["r_amplitude_change_p95_percent"] == 50.0
    assert cheated["st_moved_p95_uv"] > 5
    assert cheated["qrs_onset_shift_p95_ms"] == 0.0
    smeared = faithfulness(MADE.marked, lambda signals: (signals + np.roll(signals, 6, axis=1)) / 2)
    assert smeared["qrs_offset_shift_p95_ms"] >= 12


def test_beats_are_found_in_clean_strips_and_missed_in_flat_ones() -> None:
    pytest.importorskip("sleepecg")
    beats = sum(int(STRIPS.scored[lead][at].sum()) for lead, at in STRIPS.beats.items())
    assert beat_errors(STRIPS, STRIPS.clean_mv) == 0
    assert beat_errors(STRIPS, np.zeros_like(STRIPS.clean_mv)) == beats > 100


def test_neurokit2_that_does_not_run_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    python = tmp_path / "bin" / "python"
    python.write_text("#!/bin/sh\nexit 3\n")
    python.chmod(0o755)
    with neurokit2(tmp_path) as clean, pytest.raises(ValueError, match="neurokit2 ended with 3"):
        clean(np.zeros((1, 100)))


def test_neurokit2_is_asked_in_an_environment_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "neurokit2.py").write_text("def ecg_clean(lead, sampling_rate):\n    return lead * sampling_rate\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(np.__file__).parents[1]}")
    with neurokit2(tmp_path) as clean:
        for size in (1.0, 2.0):
            assert np.array_equal(clean(np.full((3, 50), size)), np.full((3, 50), 250 * size))


def test_without_records_the_bench_runs_on_generated_hearts_and_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_denoise, "BEDS", 20)
    monkeypatch.setattr(bench_denoise, "ONE_BED_CALLS", 20)
    monkeypatch.setattr(denoise_peers, "ENVIRONMENT", Path("nowhere"))
    assert denoise(None, json=True, quick=True) == 0
    said = msgspec.json.decode(capsys.readouterr().out)
    assert "generated hearts" in said["on"]
    assert any("neurokit2" in line for line in said["left_out"])
    figures = said["figures"]
    for name in ("ns_per_sample", "pywt_swt_ns_per_sample", "ratio_to_pywt_swt", "us_per_call_one_bed"):
        assert figures[name] > 0
    for noise in ("white", "mains50", *MADE_LIKE):
        assert {f"{who}snr_gain_db_{noise}_12" for who in ("", "path_", "pywt_swt_", "highpass_")} <= set(figures)
    assert figures["snr_gain_db_white_12"] > 3
    assert figures["st_moved_p95_uv"] < 50


@pytest.mark.records
def test_of_real_noise_the_second_half_is_another_than_the_first(records: Path) -> None:
    whole = read(records / "nstdb" / "em").mv()
    first, second = (noise_of(records, half)["em"] for half in ("first", "second"))
    for part, begin in ((first, 0), (second, whole.shape[1] // 2)):
        raw = signal.resample_poly(whole[0, begin : begin + 36_000].astype(np.float64), 25, 36)
        assert np.corrcoef(raw[500:-500], part[0, 500 : len(raw) - 500])[0, 1] > 0.999
        assert part.shape[1] == pytest.approx(0.5 * whole.shape[1] * 25 / 36, abs=2)


@pytest.mark.records
def test_strips_of_records_are_whole_and_have_beats_and_complexes(records: Path) -> None:
    strips = strips_of(records)
    assert strips.clean_mv.shape == strips.scored.shape == (len(strips.names), 10_000)
    assert np.isfinite(strips.clean_mv).all()
    assert strips.qrs_mv.min() > 0.3
    assert sum(map(len, strips.beats.values())) > 500
    marked = marked_of(records, ("1", "23"))
    assert len(marked.complexes) == len(marked.clean_mv) == 2 * 12
    assert sum(map(len, marked.complexes)) > 100


def test_delays_are_those_of_the_filters_and_a_monitor_may_have_one_within_150_ms() -> None:
    found = {(row["wavelet"], row["levels"]): row for row in delays()}
    assert found["db4", 4] == {
        "wavelet": "db4", "levels": 4, "samples": 105,
        "s_at_100_hz": 1.05, "s_at_125_hz": 0.84, "s_at_250_hz": 0.42, "s_at_500_hz": 0.21, "s_at_1000_hz": 0.105,
    }  # fmt: skip
    assert [found[key]["s_at_250_hz"] for key in (("db2", 5), ("sym8", 3))] == [0.372, 0.42]
    assert all(float(found[key]["s_at_250_hz"]) <= 0.15 for key in (("db4", 2), ("db2", 3), ("haar", 5)))


def test_the_picture_shows_a_noisy_strip_above_what_the_path_makes_of_it_and_is_the_same_each_time(
    tmp_path: Path,
) -> None:
    drawn = []
    for name in ("a.svg", "b.svg"):
        draw(tmp_path / name)
        drawn.append((tmp_path / name).read_text())
    assert drawn[0] == drawn[1]
    lines = [line.split('"')[1] for line in drawn[0].splitlines() if line.startswith("<polyline")]
    noisy, clean, heart = (np.array([float(at.split(",")[1]) for at in line.split()]) for line in lines)
    rough = [np.abs(np.diff(y)).sum() for y in (noisy, clean, heart)]
    assert rough[0] > 2 * rough[1]
    assert rough[1] < 1.6 * rough[2]
