"""Lethal events that a monitor must alarm on: a normal rhythm, then the event, with noise or with a lead that fails."""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulators.artefact import Artefact, disturb, noise
from simulators.heart import Heart
from simulators.source import Source, to_counts

Failing = Literal["flat", "lead_off", "dropout"]
BEFORE_S, EVENT_S, FAILS_S = 30.0, 20.0, 20.0
"""Seconds of the normal rhythm and of the event, and the second at which a lead fails."""
LEADS = ("II", "V1")


class Event(NamedTuple):
    """One event: its condition, the second at which it begins, and what the device measures."""

    condition: str
    onset_s: float
    source: Source


def _script(kind: str, rng: np.random.Generator) -> tuple[str, dict[str, float]]:
    if kind == "asystole":
        return "asystole", {}
    if kind == "ventricular_fibrillation":
        return kind, {"wave_hz": rng.uniform(3.5, 6.5), "wave_mv": rng.uniform(0.4, 1.2)}
    if kind == "ventricular_tachycardia":
        return kind, {"rate_bpm": rng.uniform(125.0, 220.0)}
    if kind == "extreme_bradycardia":
        return "sinus", {"rate_bpm": rng.uniform(25.0, 37.0)}
    return "sinus", {"rate_bpm": rng.uniform(148.0, 200.0)}


KINDS = (
    "asystole",
    "ventricular_fibrillation",
    "ventricular_tachycardia",
    "extreme_bradycardia",
    "extreme_tachycardia",
)


def event(kind: str, seed: int) -> Event:
    """Return one event of a kind; rates, wave and size follow from the seed.

    Raises
    ------
    ValueError
        If the kind is none of `KINDS`.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    rng = np.random.default_rng([KINDS.index(kind), seed])
    rhythm, parameters = _script(kind, rng)
    before = ("sinus", BEFORE_S, {"rate_bpm": rng.uniform(60.0, 95.0)})
    heart = Heart([before, (rhythm, EVENT_S, parameters)], LEADS, seed=seed)
    beats_s = np.sort(heart.beats["sample"]) / heart.rate_hz
    onset_s = float(beats_s[beats_s < BEFORE_S][-1]) if kind == "asystole" else BEFORE_S
    return Event(kind, onset_s, dataclasses.replace(heart.source(f"{kind}-{seed}"), loop_to=None))


def noisy(given: Event, made: NDArray[np.float32], snr_db: float) -> Event:
    """Return an event in noise, from its start on.

    Parameters
    ----------
    given : Event
    made : ndarray of float32, shape (n_leads, at least n_samples)
        Noise at the source's rate, of any size.
    snr_db : float
        10 log10((a^2 / 8) / r^2) of each lead, where a is the QRS's size from peak to peak and r the noise's RMS.
    """
    source = given.source
    mv = source.mv(0, source.n_samples)
    quiet = mv[:, : round(BEFORE_S * source.rate_hz)]
    size = np.percentile(quiet, 99.8, axis=1) - np.percentile(quiet, 0.2, axis=1)
    rms_mv = size / np.sqrt(8) / 10 ** (snr_db / 20)
    part = made[: len(mv), : source.n_samples]
    scaled = part * (rms_mv / np.maximum(np.sqrt(np.mean(part**2, axis=1)), 1e-12))[:, None]
    return given._replace(source=dataclasses.replace(source, counts=to_counts(mv + scaled, source.leads)))


def generated_noise(kind: Literal["motion", "muscle"], given: Event, seed: int) -> NDArray[np.float32]:
    """Return noise for an event, each lead its own, shape (n_leads, n_samples)."""
    source = given.source
    return np.stack(
        [noise(kind, source.n_samples, source.rate_hz, 1.0, 97 * seed + lead) for lead in range(len(source.leads))]
    )


def failing(given: Event, lead: int, how: Failing) -> Event:
    """Return an event of which one lead fails before it: flat, with nobody saying so, off as it says, or missing."""
    end_s = given.source.n_samples / given.source.rate_hz
    name = given.source.leads[lead].name
    return given._replace(source=disturb(given.source, [Artefact(how, FAILS_S, end_s, leads=(name,))]))
