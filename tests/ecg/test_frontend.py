"""The stages put together: what one of them takes out, none behind it sees, and what was flagged is shown."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecg.frontend import Analysis, Chunk, FrontEnd

RATE_HZ = 500.0
Signal = NDArray[np.float32]


def heart(seconds: int) -> Signal:
    """Two leads with a complex each 0.8 s, and a little noise."""
    t_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    qrs = np.exp(-0.5 * ((t_s % 0.8 - 0.4) / 0.012) ** 2)
    noise = np.random.default_rng(5).normal(scale=0.005, size=(2, len(t_s)))
    return (np.stack([qrs, -0.6 * qrs]) + noise).astype(np.float32)


def analysed(mv: Signal, spikes: tuple[int, ...] = (), cuts: int = 400) -> Analysis:
    """Run a record through a front end of its own, some samples at a time."""
    front, parts = FrontEnd(), []
    bed = front.open(RATE_HZ, len(mv))
    for first in range(0, mv.shape[1], cuts):
        flagged = [spike - first for spike in spikes if first <= spike < first + cuts]
        mine = mv[:, first : first + cuts]
        chunk = Chunk(bed, mine, front.raw_after(bed, first), last=first + cuts >= mv.shape[1], pacer=flagged)
        parts += front.feed([chunk])
    return Analysis(
        np.concatenate([part.clean for part in parts], axis=1),
        np.concatenate([part.beats for part in parts]),
        np.concatenate([part.fibrillation for part in parts]),
        [second for part in parts for second in part.quality],
        np.concatenate([part.shown for part in parts], axis=1),
    )


def test_flagged_pacer_spikes_are_shown_and_change_nothing_else() -> None:
    calm, spikes = heart(20), tuple(range(150, 9800, 400))
    paced = calm.copy()
    paced[:, spikes] += 3.0
    held = calm.copy()
    held[:, spikes] = calm[:, [spike - 1 for spike in spikes]]  # what lies under a spike nobody knows
    found, plain = analysed(paced, spikes), analysed(held)
    places = [round(spike * 250 / RATE_HZ) for spike in spikes]
    assert np.abs((found.shown - found.clean)[:, places] - 3.0).max() < 0.05
    assert np.abs(found.clean - plain.clean).max() < 0.02
    assert found.beats["sample"].tolist() == plain.beats["sample"].tolist()
    labels = zip(found.beats["label"].tolist(), plain.beats["label"].tolist(), strict=True)
    assert all(label in (other, ord("P")) for label, other in labels)
    unflagged = analysed(paced)
    assert np.abs(unflagged.clean - plain.clean).max() > 0.3


def test_mains_is_gone_from_the_clean_signal_and_named_by_the_verdicts() -> None:
    calm = heart(20)
    t_s = np.arange(calm.shape[1]) / RATE_HZ
    loud = calm + (0.5 * np.sin(2 * np.pi * 50 * t_s)).astype(np.float32)
    found, plain = analysed(loud), analysed(calm)
    error = (found.clean - plain.clean)[:, 1500:]
    assert np.sqrt((error**2).mean()) < 0.02 * 0.5 / np.sqrt(2)
    assert found.beats["sample"][-10:].tolist() == plain.beats["sample"][-10:].tolist()
    assert {each.verdicts for each in found.quality if 5 <= each.second < 18} != {(0, 0)}
    assert not any(each.noisy for each in found.quality)
