"""Mutants through the codec: each is a good record or a `FrameError`, and a good frame is taken by a timeline."""

from __future__ import annotations

from typing import Any

from ecg.frame import Frame, FrameError, decode
from ecg.timeline import Timeline
from tests.fuzz.mutants import good, mutated

EVERY = 16
"""One in so many frames that were accepted goes through a timeline."""


def codec(n: int, seed: int = 0) -> dict[str, Any]:
    """Decode n mutants; anything but a record or a `FrameError` is raised.

    Returns
    -------
    dict
        `mutants`, `accepted`, `frames`, and `timelined`, those that a timeline took.
    """
    accepted = frames = timelined = 0
    timeline = Timeline()
    for value in mutated(good(), n, seed):
        try:
            record = decode(value)
        except FrameError:
            continue
        accepted += 1
        if type(record) is Frame:
            frames += 1
            if frames % EVERY == 0:
                timelined += 1
                for piece in timeline.feed(record, frames):
                    assert piece.mv.shape[1] <= 2000
    return {"mutants": n, "accepted": accepted, "frames": frames, "timelined": timelined}
