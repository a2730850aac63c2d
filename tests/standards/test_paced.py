"""Rules of paced hearts, through the ward's pipeline, on generated ones whose device flags its pacer's spikes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from ecg.frontend import Chunk, FrontEnd
from simulators.heart import Heart
from simulators.schedule import Segment
from simulators.source import Source
from stream.evaluate.standards import VENTRICULAR, Seen, watch

SINUS: Segment = ("sinus", 20, {"rate_bpm": 90})
PACED: Segment = ("paced", 20, {"rate_bpm": 75})


def device(*script: Segment, flagged: bool = True, also_bpm: float | None = None, every_beat: bool = False) -> Source:
    """A heart's device; it may flag no spike, or also those of a pacer that goes on whatever the heart does."""
    heart = Heart(script, seed=3)
    flags = np.zeros(heart.n_samples, np.bool_)
    flags[heart.pacer] = flagged
    if also_bpm is not None:
        flags[:: round(60 * heart.rate_hz / also_bpm)] = True
    if every_beat:
        flags[heart.beats["sample"] - 3] = True
    return replace(heart.source(), pacer=flags, loop_to=None)


INPUTS = {
    "paced": device(SINUS, PACED),
    "fast": device(SINUS, ("paced", 20, {"rate_bpm": 120})),
    "unflagged": device(SINUS, PACED, flagged=False),
    "outrun": device(PACED, ("ventricular_tachycardia", 12, {"rate_bpm": 125}), also_bpm=70),
    "every beat flagged": device(PACED, ("ventricular_tachycardia", 12, {"rate_bpm": 180}), every_beat=True),
    "fibrillating": device(PACED, ("ventricular_fibrillation", 12, {}), also_bpm=70),
}


@pytest.fixture(scope="module")
def seen() -> dict[str, Seen]:
    return dict(zip(INPUTS, watch(list(INPUTS.values())), strict=True))


def alarms(seen: Seen) -> set[str]:
    return {alert.condition for alert in seen.alerts if alert.phase == "start" and alert.priority != "low"}


@pytest.mark.parametrize("name", ["paced", "fast"])
def test_wide_beats_that_follow_flagged_spikes_are_no_ventricular_rhythm(seen: dict[str, Seen], name: str) -> None:
    assert not alarms(seen[name]) - {"rate_high"}


def test_without_flags_they_are_one(seen: dict[str, Seen]) -> None:
    assert "ventricular_rhythm" in alarms(seen["unflagged"])


@pytest.mark.parametrize("name", ["outrun", "every beat flagged", "fibrillating"])
def test_no_pacer_hides_a_lethal_arrhythmia(seen: dict[str, Seen], name: str) -> None:
    assert alarms(seen[name]) & set(VENTRICULAR)


@pytest.mark.parametrize("width", [97, 250, 10_000])
def test_paced_beats_are_named_and_others_are_not_whatever_the_cuts(width: int) -> None:
    heart = Heart([SINUS, PACED], seed=3)
    front, labels = FrontEnd(), ""
    bed, clean = front.open(heart.rate_hz, len(heart.leads)), np.zeros((2, 0), np.float32)
    for first in range(0, heart.n_samples, width):
        n = min(width, heart.n_samples - first)
        spikes = (heart.pacer[(heart.pacer >= first) & (heart.pacer < first + n)] - first).tolist()
        chunk = Chunk(bed, heart.samples(first, n), 0, (), first + n == heart.n_samples, spikes)
        found = front.feed([chunk])[0]
        labels, clean = labels + found.beats["label"].tobytes().decode(), np.hstack([clean, found.clean])
        if first == 5 * width:
            kept = front.snapshot(bed)
            front = FrontEnd()
            bed = front.restore(kept, clean)
    counted = Counter(labels)
    assert set(counted) == {"N", "P"}
    assert counted["P"] == len(heart.pacer)
    assert labels == "N" * counted["N"] + "P" * counted["P"]
