"""How good a denoiser is: noise that goes and heart that goes with it, in one number, and what clean leads lose.

The signal-to-noise ratio is that of `nst` (see `ecg.ec57.noise`), of each strip's own noise. The reference is the clean
strip through a zero-phase high-pass of 0.5 Hz. A gain is 20 log10 of the root mean square error of the noisy strip
through that same high-pass over that of the output, both against the reference, delay put right: doing nothing else
gives 0 dB, and a flattened complex counts as much as noise that stayed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.ec57.label import BEATS
from ecg.ec57.noise import noise_amplitude, qrs_amplitude
from ecg.record import annotations, read
from ecg.resample import Resampler
from stream.denoise_peers import RATE_HZ, Cleaner, Signals, highpass

MITDB: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("112", "113", "115", "116", "205", "220"), (0,)),
    **dict.fromkeys(("103", "118", "119", "123", "124", "219", "223", "230", "231"), (0, 1)),
}
"""Every lead here, without a pacer, whose own noise over 40 Hz, beyond the QRS, is under 0.5 % of the QRS all along."""
LUDB = ("3", "14", "21", "22", "23", "30", "33", "40", "44", "46", "49", "62")
LUDB_LEADS = ("ii", "v2", "v5")
FIRST_S = 300.0
"""Where in a record of `mitdb` its strip begins."""
STRIP_S, WARM_UP_S, MARGIN_S = 40.0, 10.0, 1.0
PLAY_S = 10.0
"""Length of a `ludb` record; it is played over and over, its ends made to meet, and the last time is scored."""
NOISES = ("bw", "em", "ma")
MADE = ("white", "mains50", "mains60")
LEVELS_DB = (24, 18, 12, 6, 0)

Half = Literal["first", "second"]


class Strip(NamedTuple):
    """Leads of one record, scored from `first_s` to `end_s`; `detect`: detection is scored, in the first of them."""

    name: str
    clean_mv: Signals
    beats: NDArray[np.int64]
    first_s: float
    end_s: float
    detect: bool


class Strips(NamedTuple):
    """Clean leads to put noise on.

    Attributes
    ----------
    names : tuple of str
        One for each lead.
    clean_mv : ndarray of float64, shape (n_leads, n_samples)
    qrs_mv : ndarray of float64, shape (n_leads,)
        Amplitude of the complexes, peak to peak.
    scored : ndarray of bool, shape (n_leads, n_samples)
    beats : dict of int to ndarray of int64
        Reference beats of the leads in which detection is scored.
    """

    names: tuple[str, ...]
    clean_mv: Signals
    qrs_mv: NDArray[np.float64]
    scored: NDArray[np.bool_]
    beats: dict[int, NDArray[np.int64]]


def at_250_hz(signals: NDArray[np.float32], rate_hz: float) -> Signals:
    """Return signals of shape (n_leads, n_samples) at Vigil's rate."""
    resampler, rows = Resampler(), np.arange(len(signals))
    for row in rows.tolist():
        resampler.reset(row, rate_hz)
    y, m = resampler.feed(rows, signals, np.full(len(signals), signals.shape[1]))
    return np.stack([np.concatenate([y[k, : m[k]], resampler.flush(k)]) for k in rows.tolist()]).astype(np.float64)


def strips_of(records: Path) -> Strips:
    """Return the strips of `mitdb` (both leads) and `ludb` (II, V2, V5).

    Raises
    ------
    FileNotFoundError
        If a record is not there.
    """
    return joined(
        [
            *(_mitdb(records / "mitdb" / name, leads) for name, leads in MITDB.items()),
            *(_ludb(records, name) for name in LUDB),
        ]
    )


def joined(parts: list[Strip]) -> Strips:
    """Return strips of one length as one."""
    names, scored, beats = [], [], {}
    for part in parts:
        if part.detect:
            beats[len(names)] = part.beats
        names += [f"{part.name} {k}" for k in range(len(part.clean_mv))]
        at_s = np.arange(part.clean_mv.shape[1]) / RATE_HZ
        scored += [(at_s >= part.first_s) & (at_s < part.end_s)] * len(part.clean_mv)
    qrs = [qrs_amplitude(lead, part.beats, RATE_HZ) for part in parts for lead in part.clean_mv]
    clean = np.concatenate([part.clean_mv for part in parts])
    return Strips(tuple(names), clean, np.array(qrs), np.array(scored), beats)


def _mitdb(path: Path, leads: tuple[int, ...]) -> Strip:
    record, marks = read(path, FIRST_S, FIRST_S + STRIP_S), annotations(path)
    at = marks.samples[np.isin(marks.symbols, list(BEATS))] / record.rate_hz - FIRST_S
    beats = np.round(at[(at > 0) & (at < STRIP_S)] * RATE_HZ).astype(np.int64)
    clean = at_250_hz(record.mv()[list(leads)], record.rate_hz)
    return Strip(f"mitdb {path.name}", clean, beats, WARM_UP_S, STRIP_S - MARGIN_S, True)


def _ludb(records: Path, name: str) -> Strip:
    lead = lead_of_ludb(records, name)
    marks = annotations(records / "ludb" / "data" / name, LUDB_LEADS[0])
    plays = round(STRIP_S / PLAY_S)
    rows = [lead[each] for each in LUDB_LEADS]
    clean = over_and_over(np.stack(rows), plays)
    at = marks.samples[marks.symbols == "N"] // 2
    length = rows[0].size
    beats = np.concatenate([at + k * length for k in range(plays)])
    return Strip(f"ludb {name}", clean, beats, STRIP_S - PLAY_S + MARGIN_S, STRIP_S - MARGIN_S, False)


def lead_of_ludb(records: Path, name: str) -> dict[str, NDArray[np.float64]]:
    """Return the leads of a record by the extensions of their annotations."""
    record = read(records / "ludb" / "data" / name)
    signals = at_250_hz(record.mv(), record.rate_hz)
    return {lead.name.lower(): signal for lead, signal in zip(record.leads, signals, strict=True)}


def over_and_over(signals: Signals, plays: int) -> Signals:
    """Return signals played so many times, a straight line taken out so that their ends meet."""
    n = signals.shape[1]
    slope = (signals[:, -10:].mean(axis=1) - signals[:, :10].mean(axis=1)) / n
    return np.tile(signals - slope[:, None] * np.arange(n), (1, plays))


def noise_of(records: Path, half: Half) -> dict[str, Signals]:
    """Return one half of each noise record of `nstdb` at 250 Hz, shape (2, n_samples)."""
    found = {}
    for name in NOISES:
        record = read(records / "nstdb" / name)
        middle = record.n_samples // 2
        part = record.mv()[:, :middle] if half == "first" else record.mv()[:, middle:]
        found[name] = at_250_hz(part, record.rate_hz)
    return found


def made_noise(n: int, leads: int) -> dict[str, Signals]:
    """Return white noise and mains of 50 and 60 Hz for each lead, shape (leads, n) each."""
    random = np.random.default_rng(7)
    turn = 2 * np.pi * np.arange(n) / RATE_HZ
    phase = random.uniform(0, 2 * np.pi, size=(leads, 1))
    return {
        "white": random.standard_normal((leads, n)),
        "mains50": np.sin(50 * turn + phase),
        "mains60": np.sin(60 * turn + phase),
    }


def noisy(strips: Strips, noise: Signals, snr_db: float) -> Signals:
    """Return the strips with noise at a ratio as `nst` has it; other leads have other stretches of it.

    Parameters
    ----------
    noise : ndarray of float64, shape (n_rows, n_samples)
        At least as long as a strip. Leads take its rows in turn, at places spread over all of it.
    """
    leads, n = strips.clean_mv.shape
    ratio = 10.0 ** (-snr_db / 20.0) * np.sqrt(2.0) / 4.0
    out = strips.clean_mv.copy()
    for k in range(leads):
        first = (noise.shape[1] - n) * (k // 2) // max(1, (leads - 1) // 2)
        stretch = noise[k % len(noise), first : first + n]
        out[k] += ratio * strips.qrs_mv[k] / noise_amplitude(stretch, RATE_HZ) * (stretch - stretch[0])
    return out


class Gains(NamedTuple):
    """What cleaners make of one noise at one level, in dB, means over leads.

    Attributes
    ----------
    power_snr_db : float
        Power of the reference over that of the noise, after the high-pass; a gain is what a cleaner adds to it.
    gain_db : dict of str to float
        By cleaner.
    least_db : dict of str to float
        The tenth percentile of the leads.
    """

    power_snr_db: float
    gain_db: dict[str, float]
    least_db: dict[str, float]


def gains(strips: Strips, reference: Signals, noised: Signals, cleaners: dict[str, Cleaner]) -> Gains:
    """Score cleaners on noisy strips; the reference is the clean strips through the high-pass."""
    before = error_mv(strips, highpass(noised), reference)
    power = 20 * np.log10(error_mv(strips, np.zeros_like(reference), reference) / before)
    by_lead = {name: 20 * np.log10(before / error_mv(strips, own(noised), reference)) for name, own in cleaners.items()}
    return Gains(
        float(power.mean()),
        {name: float(gain.mean()) for name, gain in by_lead.items()},
        {name: float(np.percentile(gain, 10)) for name, gain in by_lead.items()},
    )


def error_mv(strips: Strips, estimate: Signals, reference: Signals) -> NDArray[np.float64]:
    """Return the root mean square error of each lead where it is scored."""
    power = np.where(strips.scored, (estimate - reference) ** 2, 0.0).sum(axis=1)
    return np.sqrt(power / strips.scored.sum(axis=1))
