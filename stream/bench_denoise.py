"""`vigil bench denoise`: how fast and how good the denoiser is, beside what others use, on the same samples in one run.

Speed is time of one processor, medians of turns that each side takes one after the other. Without records the quality
is that on generated hearts with generated noise, which tells less: their noise is what a program takes noise to be.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pywt
from numpy.typing import NDArray

from ecg.mains import Mains
from ecg.scalogram import Scalogram
from ecg.st_path import StPath
from ecg.wavelet import Denoiser, Denoising
from simulators.artefact import noise
from simulators.heart import Heart
from stream import denoise_faith, denoise_scores
from stream.denoise_faith import Marked
from stream.denoise_peers import ENVIRONMENT, LEVELS, RATE_HZ, WAVELET, Cleaner, Signals, highpass, peers
from stream.denoise_scores import LEVELS_DB, STRIP_S, WARM_UP_S, Strip, Strips

BEDS, LEADS, CHUNK_S, TURN_CHUNKS = 500, 2, 1.0, 8
"""A turn is so many chunks for Vigil, and the same 8 s at once for pywt, whose transform wants a multiple of 16."""
ONE_BED_SAMPLES, ONE_BED_CALLS = 63, 400
PYWT_THRESHOLD_MV = 0.05
"""A fixed one, so that pywt's time is not spent on finding the noise level, which Vigil's includes."""
WANDER_MV, WANDER_HZ = 1.0, 0.3
"""The wander in which the path for ST is tried; its phase differs from beat to beat."""
FEW_DB = (24, 12, 0)
DETECTION_DB = (12, 6, 0)
RATES_BPM = (50, 62, 75, 88, 100, 115)
DELAYED = (("db4", 4), ("db2", 5), ("sym8", 3), ("db4", 3), ("db4", 2), ("db2", 3), ("haar", 5))
DELAYED_HZ = (100, 125, 250, 500, 1000)
MADE_LIKE = {"bw": "wander", "em": "motion", "ma": "muscle"}


class Material(NamedTuple):
    """What quality is measured on."""

    said: str
    strips: Strips
    noises: dict[str, Signals]
    marked: Marked


def denoise(records: Path | None, *, json: bool, quick: bool = False) -> int:
    """Measure, and print what came of it; returns the exit status 0.

    Parameters
    ----------
    records : Path or None
        Folder of record sets.
    quick : bool
        Fewer strips, levels, turns and peers: to see that it runs.

    Raises
    ------
    FileNotFoundError
        If a record that is scored is not in the folder.
    """
    material = of_records(records) if records else of_hearts()
    if quick:
        material = _few(material)
    figures = speed(turns=3 if quick else 9)
    with peers() as others:
        cleaners: dict[str, Cleaner] = {"": stage, "path_": path}
        cleaners |= {f"{name}_": own for name, own in others.items() if not quick or "windows" not in name}
        figures |= quality(material, cleaners, FEW_DB if quick else LEVELS_DB)
        figures |= faithfulness(material.marked, cleaners)
    left_out = [] if "neurokit2_" in cleaners else [f"neurokit2: {ENVIRONMENT} is not there, `make peers` makes it"]
    try:
        figures |= detection(material, FEW_DB[1:] if quick else DETECTION_DB)
    except ImportError:
        left_out.append("sleepecg: not installed, it comes with the extra `dev`")
    if json:
        details = {"on": material.said, "left_out": left_out, "delays": delays()}
        print(msgspec.json.encode({"figures": figures, **details}).decode())
    else:
        _print(figures, material, cleaners, left_out)
    return 0


def delays() -> list[dict[str, str | float]]:
    """Return the denoiser's delay by wavelet and levels, in samples, and in s by the rate that it runs at."""
    rows: list[dict[str, str | float]] = []
    for wavelet, levels in DELAYED:
        samples = Denoising(wavelet=wavelet, levels=levels).delay
        by_rate = {f"s_at_{rate_hz}_hz": round(samples / rate_hz, 3) for rate_hz in DELAYED_HZ}
        rows.append({"wavelet": wavelet, "levels": levels, "samples": samples, **by_rate})
    return rows


def stage(signals: Signals) -> Signals:
    """Return what Vigil makes of signals but for wander, which the same zero-phase high-pass takes out as for peers."""
    return highpass(_denoised(signals, Denoising(wander=False)))


def path(signals: Signals) -> Signals:
    """Return signals as Vigil's monitoring path gives them, with its own causal removal of wander."""
    return _denoised(signals, Denoising())


def st_path(signals: Signals) -> Signals:
    """Return signals as the path for ST and QT gives them, their second half played once more so that it has no end."""
    return _through(StPath(), np.concatenate([signals, signals[:, signals.shape[1] // 2 :]], axis=1))[
        :, : signals.shape[1]
    ]


def st_path_in_wander(signals: Signals) -> Signals:
    """Return the same of signals with a sine of wander upon them."""
    t_s = np.arange(signals.shape[1]) / RATE_HZ
    return st_path(signals + WANDER_MV * np.sin(2 * np.pi * WANDER_HZ * t_s))


def _denoised(signals: Signals, config: Denoising) -> Signals:
    mains, rows = Mains(), np.arange(len(signals))
    for row in rows.tolist():
        mains.reset(row)
    count = np.full(len(signals), signals.shape[1])
    return _through(Denoiser(config), mains.feed(rows, signals.astype(np.float32), count))


def _through(stage: Denoiser | StPath, signals: NDArray[Any]) -> Signals:
    """Run whole signals through a stage that gives its samples late."""
    rows = np.arange(len(signals))
    for row in rows.tolist():
        stage.reset(row)
    y, m = stage.feed(rows, signals.astype(np.float32), np.full(len(signals), signals.shape[1]))
    whole = [np.concatenate([y[row, : m[row]], stage.flush(row)]) for row in rows.tolist()]
    return np.stack(whole).astype(np.float64)


def of_records(records: Path) -> Material:
    """Return strips of `mitdb` and `ludb`, the second halves of `nstdb`'s noises, and all leads of clean records."""
    strips = denoise_scores.strips_of(records)
    made = denoise_scores.made_noise(strips.clean_mv.shape[1], len(strips.clean_mv))
    noises = denoise_scores.noise_of(records, "second") | made
    said = f"{len(strips.names)} leads of mitdb and ludb, second halves of nstdb's noise; white noise, mains: made"
    return Material(said, strips, noises, denoise_faith.marked_of(records))


def of_hearts() -> Material:
    """Return the same of generated hearts and noise."""
    n = round(STRIP_S * RATE_HZ)
    parts, complexes = [], []
    for seed, bpm in enumerate(RATES_BPM):
        heart = Heart([("sinus", STRIP_S, {"rate_bpm": bpm})], ("II", "V1"), RATE_HZ, seed, noise_mv=0.002)
        beats = np.sort(heart.beats["sample"])
        clean = heart.samples(0, n).astype(np.float64)
        parts.append(Strip(f"heart {bpm}/min", clean, beats, WARM_UP_S, STRIP_S - 1.0, True))
        inside = beats[(beats > WARM_UP_S * RATE_HZ) & (beats < n - RATE_HZ)]
        complexes += [[(int(at) - 11, int(at) + 13) for at in inside]] * len(clean)
    strips = denoise_scores.joined(parts)
    leads = len(strips.names)
    noises: dict[str, Signals] = {
        name: np.stack([noise(kind, 4 * n, RATE_HZ, 1.0, seed).astype(np.float64) for seed in range(2)])  # pyright: ignore[reportArgumentType]
        for name, kind in MADE_LIKE.items()
    }
    said = "generated hearts and generated noise: VIGIL_RECORDS names no folder of record sets"
    noises |= denoise_scores.made_noise(n, leads)
    return Material(said, strips, noises, Marked(strips.clean_mv, complexes))


def _few(material: Material) -> Material:
    """Return every fourth lead, and of the leads for faithfulness every tenth."""
    strips, marked = material.strips, material.marked
    leads = list(range(0, len(strips.names), 4))
    beats = {new: strips.beats[old] for new, old in enumerate(leads) if old in strips.beats}
    names = tuple(strips.names[old] for old in leads)
    few = Strips(names, strips.clean_mv[leads], strips.qrs_mv[leads], strips.scored[leads], beats)
    noises = {name: own[leads] if len(own) == len(strips.names) else own for name, own in material.noises.items()}
    return Material(
        f"every fourth of {material.said}", few, noises, Marked(marked.clean_mv[::10], marked.complexes[::10])
    )


def speed(turns: int) -> dict[str, float]:
    """Return the figures of speed: 500 beds of two leads in chunks of 1 s, and one bed in chunks of 0.25 s.

    pywt reckons in the precision that it is given: double, which NumPy and readers of records give, and single.
    """
    signals = _ward()
    double = signals.astype(np.float64)
    chunk = round(CHUNK_S * RATE_HZ)
    chunks = [np.ascontiguousarray(signals[:, at : at + chunk]) for at in range(0, signals.shape[1], chunk)]
    stages = (Denoiser(Denoising(wander=False)), Denoiser(), StPath(), Scalogram(), Mains())
    alone, whole, for_st, bands, mains = (_ready(stage, len(signals)) for stage in stages)
    sides: dict[str, Callable[[], object]] = {
        "ns_per_sample": lambda: [alone(part) for part in chunks],
        "ns_per_sample_with_wander": lambda: [whole(part) for part in chunks],
        "st_path_ns_per_sample": lambda: [for_st(part) for part in chunks],
        "scalogram_ns_per_sample": lambda: [bands(part) for part in chunks],
        "mains_ns_per_sample": lambda: [mains(part) for part in chunks],
        "pywt_swt_ns_per_sample": lambda: _stationary(double),
        "pywt_swt_float32_ns_per_sample": lambda: _stationary(signals),
    }
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(turns + 1):
        for name, side in sides.items():
            took = _cpu_ns(side) / signals.size
            if turn:  # the first one compiles and fills caches
                spent[name].append(took)
    figures = {name: round(statistics.median(each), 2) for name, each in spent.items()}
    for kind in ("swt", "swt_float32"):
        theirs = zip(spent["ns_per_sample"], spent[f"pywt_{kind}_ns_per_sample"], strict=True)
        figures[f"ratio_to_pywt_{kind}"] = round(statistics.median(b / a for a, b in theirs), 2)
    one = _ready(Denoiser(), LEADS)
    calls = [_cpu_ns(lambda: one(signals[:LEADS, :ONE_BED_SAMPLES])) for _ in range(ONE_BED_CALLS)]
    figures["us_per_call_one_bed"] = round(statistics.median(calls) / 1e3, 1)
    return figures


def _ward() -> NDArray[np.float32]:
    """Return 8 s of 500 beds of two leads, all at other places of one heart's noisy minute."""
    lead = Heart([("sinus", 60, {})], ("II", "V1"), RATE_HZ, 1, noise_mv=0.02).samples(0, 15000)
    n = round(TURN_CHUNKS * CHUNK_S * RATE_HZ)
    return np.stack([np.roll(lead[k % LEADS], 29 * k)[:n] for k in range(BEDS * LEADS)]).astype(np.float32)


def _ready(stage: Denoiser | StPath | Scalogram | Mains, streams: int) -> Callable[[NDArray[np.float32]], object]:
    rows = np.arange(streams)
    for row in rows.tolist():
        stage.reset(row)
    return lambda part: stage.feed(rows, part, np.full(streams, part.shape[1]))


def _stationary(signals: NDArray[Any]) -> NDArray[Any]:
    """Run pywt's stationary shrinkage of the same wavelet and levels over all streams at once."""
    parts: list[Any] = pywt.swt(signals, WAVELET, level=LEVELS, trim_approx=True)
    shrunk = [pywt.threshold(detail, PYWT_THRESHOLD_MV, "soft") for detail in parts[1:]]
    return np.asarray(pywt.iswt([parts[0], *shrunk], WAVELET))


def _cpu_ns(run: Callable[[], object]) -> int:
    began = time.process_time_ns()
    run()
    return time.process_time_ns() - began


def quality(material: Material, cleaners: dict[str, Cleaner], levels_db: tuple[int, ...]) -> dict[str, float]:
    """Return the gain of each cleaner at each level of each noise, the power SNR beside it."""
    figures, strips = {}, material.strips
    reference = highpass(strips.clean_mv)
    for name, own in material.noises.items():
        for level in levels_db:
            scored = denoise_scores.gains(strips, reference, denoise_scores.noisy(strips, own, level), cleaners)
            figures[f"power_snr_db_{name}_{level}"] = round(scored.power_snr_db, 2)
            for cleaner, gain in scored.gain_db.items():
                figures[f"{cleaner}snr_gain_db_{name}_{level}"] = round(gain, 2)
            figures[f"snr_gain_db_p10_{name}_{level}"] = round(scored.least_db[""], 2)
    return figures


def faithfulness(marked: Marked, cleaners: dict[str, Cleaner]) -> dict[str, float]:
    """Return how far ST, size and edges of clean complexes move, by Vigil's paths, its stage alone, and peers."""
    named = {"": path, "stage_": stage, "st_path_": st_path, "st_path_in_wander_": st_path_in_wander}
    named |= {name: own for name, own in cleaners.items() if name not in ("", "path_")}
    return {
        f"{name}{figure}": value
        for name, own in named.items()
        for figure, value in denoise_faith.faithfulness(marked, own).items()
    }


def detection(material: Material, levels_db: tuple[int, ...]) -> dict[str, float]:
    """Return sleepecg's mistakes in beats, noisy and after the monitoring path; Vigil's own detector never sees noisy.

    Raises
    ------
    ImportError
        If sleepecg is not installed.
    """
    strips = material.strips
    beats = sum(int(strips.scored[lead][at].sum()) for lead, at in strips.beats.items())
    figures: dict[str, float] = {"qrs_beats": beats}
    for name in ("bw", "em", "ma", "white"):
        for level in levels_db:
            noised = denoise_scores.noisy(strips, material.noises[name], level)
            for when, signals in (("noisy", noised), ("denoised", path(noised))):
                figures[f"qrs_errors_{when}_{name}_{level}"] = denoise_faith.beat_errors(strips, signals)
    return figures


def _print(figures: dict[str, float], material: Material, cleaners: dict[str, Cleaner], left_out: list[str]) -> None:
    print(f"on {material.said}")
    for line in left_out:
        print(f"left out: {line}")
    levels = [level for level in LEVELS_DB if f"snr_gain_db_white_{level}" in figures]
    print("\nSNR gain, dB, at " + ", ".join(f"{level} dB" for level in levels))
    for noised in material.noises:
        for label, prefix in [("power SNR", "power_snr_db_"), *((name, f"{name}snr_gain_db_") for name in cleaners)]:
            values = " ".join(f"{figures[f'{prefix}{noised}_{level}']:7.2f}" for level in levels)
            print(f"{noised:8} {label.rstrip('_') or 'vigil':20} {values}")
    print("\nDelay, known before the start")
    for row in delays():
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    print()
    for name, value in figures.items():
        if "_db_" not in name:
            print(f"{name:52} {value}")
