"""What the service itself must say of a bed: gaps, clocks, records that are missing, and that nothing can be told."""

from __future__ import annotations

from ecg.condition import Finding
from ecg.frame import Setup
from ecg.resample import ANALYSIS_HZ
from ecg.rhythm import STEP
from stream.bed_state import SAMPLE_NS, State

NOTE_HOLDS_NS = 10_000_000_000
"""How long a gap in the data or a step of the device's clock stays on the board."""
BLIND_S = 10.0
"""Seconds of signal of which nothing could be told, after which that is said aloud."""
BLIND_STEPS = round(BLIND_S * ANALYSIS_HZ / STEP)
BAD_FRAMES = 10
"""Frames in a row that could not be accepted, after which the device itself is alarmed on."""


def technical(state: State, setup: Setup) -> list[Finding]:
    """Return what the service must say of a bed at its present time, under the setup in force."""
    found: list[Finding] = []
    if 0 <= state.now_ns - state.gap_ns < NOTE_HOLDS_NS:
        found.append(Finding("data_gap", state.gap_ns, state.gap_s, 0.0, "s", f"{state.gap_s:.2f} s missing"))
    if 0 <= state.now_ns - state.skew_ns < NOTE_HOLDS_NS:
        found.append(Finding("clock_skew", state.skew_ns, state.skew_s, 0.0, "s", "the device's clock was set"))
    if state.lost and 0 <= state.now_ns - state.lost_ns < NOTE_HOLDS_NS:
        trace = "records of this device's partition are missing from the log"
        found.append(Finding("data_loss", state.lost_ns, state.lost, 0.0, "records", trace))
    if state.blind_steps >= BLIND_STEPS:
        blind_ns = state.blind_steps * STEP * SAMPLE_NS
        trace = f"neither rate nor rhythm could be told: {state.rhythm}"
        found.append(Finding("cannot_analyse", state.now_ns - blind_ns, blind_ns / 1e9, BLIND_S, "s", trace))
    if setup.weights.get("net") is None:
        found.append(Finding("rules_alone", state.now_ns, None, None, "", "the setup names no network"))
    if state.bad_frames >= BAD_FRAMES:
        trace = "frames in a row that could not be accepted"
        found.append(Finding("bad_frames", state.now_ns, state.bad_frames, BAD_FRAMES, "frames", trace))
    return found
