"""A heart that does not exist: rhythms by script, in one to twelve leads, with the pulse that they make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecg.frame import Lead
from simulators import dipole, pulse_wave, schedule
from simulators.schedule import Segment, Span
from simulators.source import Source, to_counts

BEAT = np.dtype([("sample", "<i8"), ("label", "u1")])
"""A true beat: the sample of its R peak, and the letter of its label (N, V or P) as a number."""
_PULSES = {"PLETH": ("pleth", 10_000.0, "NU"), "ABP": ("abp", 100.0, "mmHg"), "RESP": ("resp", 10_000.0, "NU")}
_ECG_GAIN = 1000.0
_FADE_S = 0.12


class Heart:
    """A generated heart; the whole script is made at once, and ends where it begins.

    The same script, leads, rate and seed give the same samples, however they are read. Time is a circle: the last beat
    is followed by the first, and no wave breaks off, so the samples can be read on for as long as one likes.

    Parameters
    ----------
    script : sequence of (rhythm, seconds, parameters)
        Rhythms and parameters as in `simulators.schedule.RHYTHMS`.
    leads : sequence of str
        ECG leads of the usual twelve, and PLETH (NU), ABP (mmHg), RESP (NU).
    rate_hz : float
    seed : int
    noise_mv : float
        RMS of the white noise of the electronics in each ECG lead.

    Attributes
    ----------
    beats : ndarray of BEAT
        True beats of one turn of the script.
    conditions : tuple of Span
        Which conditions hold from which sample to which, of one turn.
    pacer : ndarray of int64
        Samples of the pacer's spikes.
    n_samples : int
        Length of one turn.

    Examples
    --------
    >>> heart = Heart([("sinus", 10, {"rate_bpm": 60}), ("asystole", 6, {})], leads=("I", "II", "III"))
    >>> heart.samples(0, 500).shape
    (3, 500)
    >>> heart.conditions
    (Span(condition='asystole', first=2500, end=4000),)
    """

    def __init__(
        self,
        script: Sequence[Segment],
        leads: Sequence[str] = ("II", "V1"),
        rate_hz: float = 250.0,
        seed: int = 0,
        noise_mv: float = 0.005,
    ) -> None:
        if not 50 <= rate_hz <= 2000:
            raise ValueError(f"rate_hz must be between 50 and 2000, got {rate_hz!r}")
        self.leads, self.rate_hz = tuple(leads), float(rate_hz)
        self._script = schedule.complete(script)
        total_s = sum(seconds for _, seconds, _ in self._script)
        self.n_samples = n = round(total_s * rate_hz)
        rng = np.random.default_rng(seed)
        self._breath_hz = max(1, round(0.25 * total_s)) / total_s
        self._beats = schedule.beats(self._script, self._breath_hz, rng)
        self.conditions: tuple[Span, ...] = schedule.conditions(self._script, rate_hz)
        at = np.round([beat.at_s * rate_hz for beat in self._beats]).astype(np.int64) % n
        self.beats = np.zeros(len(at), dtype=BEAT)
        self.beats["sample"], self.beats["label"] = at, [ord(beat.label) for beat in self._beats]
        self.pacer = at[self.beats["label"] == ord("P")] - round(0.05 * rate_hz)
        self._values = self._render(rng, noise_mv)

    def samples(self, first: int, n: int) -> NDArray[np.float32]:
        """Return samples first <= i < first + n in mV (mmHg for ABP, NU for PLETH and RESP), shape (n_leads, n)."""
        return self._values[:, np.arange(first, first + n) % self.n_samples]

    def source(self, name: str = "heart") -> Source:
        """Return the heart as a device measures it, in counts, without end."""
        leads = tuple(_lead(lead) for lead in self.leads)
        pacer = np.zeros(self.n_samples, dtype=bool)
        pacer[self.pacer % self.n_samples] = True
        counts = to_counts(self._values, leads)
        return Source(name, self.rate_hz, leads, counts, pacer=pacer if len(self.pacer) else None)

    def _render(self, rng: np.random.Generator, noise_mv: float) -> NDArray[np.float32]:
        n = self.n_samples
        breath = np.sin(2 * np.pi * self._breath_hz * np.arange(n) / self.rate_hz)
        electrical = self._dipole(rng) + np.array([[0.03], [0.04], [-0.02]]) * breath
        seen = [lead for lead in self.leads if lead not in _PULSES]
        ecg = dict(zip(seen, dipole.projection(tuple(seen)) @ electrical, strict=True))
        noise = self._noise(rng, noise_mv)
        made = {
            "ABP": lambda: pulse_wave.arterial_mmhg(self._beats, n, self.rate_hz) + 2 * breath,
            "PLETH": lambda: pulse_wave.pleth(self._beats, n, self.rate_hz) + 0.08 * breath,
            "RESP": lambda: breath,
        }
        rows = [ecg[lead] + noise[lead] if lead in ecg else made[lead]() for lead in self.leads]
        return np.ascontiguousarray(rows, dtype=np.float32)

    def _noise(self, rng: np.random.Generator, noise_mv: float) -> dict[str, NDArray[np.float64]]:
        """White noise of the electrodes' leads; that of the derived limb leads follows from I and II."""
        white = {lead: noise_mv * rng.standard_normal(self.n_samples) for lead in ("I", "II", *dipole.ECG_LEADS[6:])}
        one, two = white["I"], white["II"]
        return white | {"III": two - one, "aVR": -(one + two) / 2, "aVL": one - two / 2, "aVF": two - one / 2}

    def _dipole(self, rng: np.random.Generator) -> NDArray[np.float64]:
        made = np.zeros((3, self.n_samples))
        for beat in self._beats:
            gain = 1 + 0.04 * np.sin(2 * np.pi * self._breath_hz * beat.at_s)
            params = self._script[beat.segment][2]
            waves = _shape(beat, params)
            dipole.add_wave_train(made, self.rate_hz, beat.at_s, waves, gain * params["qrs_gain"])
        start = 0
        for rhythm, seconds, params in self._script:
            end = min(self.n_samples, start + round(seconds * self.rate_hz))
            made[:, start:end] += self._waves(rng, rhythm, params, end - start)
            start = end
        return made

    def _waves(
        self, rng: np.random.Generator, rhythm: str, params: dict[str, float], n: int
    ) -> NDArray[np.float64] | float:
        if rhythm == "ventricular_fibrillation":
            waves = dipole.fibrillation(rng, n, self.rate_hz, params["wave_hz"], params["wave_mv"])
        elif rhythm == "ventricular_flutter":
            waves = dipole.flutter(rng, n, self.rate_hz, params["wave_hz"], params["wave_mv"])
        elif rhythm == "atrial_fibrillation":
            waves = dipole.f_waves(rng, n, self.rate_hz, params["f_mv"])
        else:
            return 0.0
        return waves if n == self.n_samples else waves * self._fade(n)

    def _fade(self, n: int) -> NDArray[np.float64]:
        edge = np.minimum(np.arange(n), np.arange(n)[::-1]) / (_FADE_S * self.rate_hz)
        return np.sin(np.pi / 2 * np.minimum(edge, 1.0)) ** 2


def _shape(beat: schedule.Beat, params: dict[str, float]) -> list[dipole.Wave]:
    if beat.label == "V":
        return dipole.ventricular_beat(beat.rr_s)
    if beat.label == "P":
        spike = dipole.Wave(-0.05, 0.0015, 0.0015, (0.1, -0.6, 0.2))
        return [spike, *dipole.paced_beat(beat.rr_s)]
    return dipole.normal_beat(beat.rr_s, params["st_mv"], beat.atria)


def _lead(name: str) -> Lead:
    if name in _PULSES:
        kind, gain, unit = _PULSES[name]
        return Lead(name, gain, kind, 0, unit)  # pyright: ignore[reportArgumentType]
    return Lead(name, _ECG_GAIN)
