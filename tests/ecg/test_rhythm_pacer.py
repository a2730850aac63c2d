"""Rules of the pacer: a QRS that is missing, with a spike or without one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ecg.beats import BEAT
from ecg.clinical import Settings
from ecg.condition import Finding
from ecg.fibrillation import FIBRILLATION
from ecg.rhythm import STEP, Rhythm

HZ = 250


def found(
    *, spikes_s: list[float], paced: bool = True, settings: Settings | None = None
) -> dict[str, tuple[float, Finding]]:
    """What holds after eight seconds of beats at 75 bpm, the last at 8 s: when each condition came first."""
    rhythm, first = Rhythm(["II"]), {}
    at = np.arange(200, 2001, 200)
    for end in range(STEP, 12 * HZ, STEP):
        now = at[(at + 75 > end - STEP) & (at + 75 <= end)]
        beats = np.zeros(len(now), BEAT)
        beats["sample"], beats["confirmed"], beats["label"], beats["rr_s"] = now, now + 75, ord("N"), 0.8
        beats["similarity"], beats["amplitude_mv"], beats["t_peak"] = 1.0, 1.0, -1
        usable = np.array([(end, False, -6.0, 0.0, 0.0, 0, False, 1, 0.0)], FIBRILLATION)
        spikes = [round(s * HZ) for s in spikes_s if end - STEP <= s * HZ < end]
        rows: tuple[list[Any], list[Any]] = (beats.tolist(), usable.tolist())
        step = rhythm.step(end, end * 4_000_000, *rows, 0, settings or Settings(), spikes=spikes, paced=paced)
        kept = rhythm.snapshot()
        rhythm = Rhythm(["II"])
        rhythm.restore(kept)
        for each in step.findings:
            first.setdefault(each.condition, (end / HZ, each))
    return first


def test_a_spike_that_no_beat_answers_does_not_capture() -> None:
    made = found(spikes_s=[0.75 + 0.8 * k for k in range(14)])
    at_s, finding = made["pacer_not_capturing"]
    assert 8.0 + 1.75 * 0.8 + 0.4 <= at_s <= 8.0 + 1.75 * 0.8 + 0.8
    assert finding.onset_ns == 8_000_000_000
    assert finding.limit == 1.75
    assert "pacer_not_pacing" not in made


@pytest.mark.parametrize("spikes_s", [[], [7.95], [8.05]])
def test_without_a_spike_since_the_last_beat_it_does_not_pace(spikes_s: list[float]) -> None:
    made = found(spikes_s=spikes_s)
    assert "pacer_not_pacing" in made
    assert "pacer_not_capturing" not in made


def test_a_patient_without_a_pacer_has_none_that_fails() -> None:
    assert not {"pacer_not_pacing", "pacer_not_capturing"} & set(found(spikes_s=[8.75], paced=False))


def test_the_ratio_is_a_setting() -> None:
    at_s = [found(spikes_s=[], settings=Settings(pacer_ratio=ratio))["pacer_not_pacing"][0] for ratio in (1.5, 3.0)]
    assert at_s[1] - at_s[0] == pytest.approx(1.5 * 0.8, abs=0.21)
