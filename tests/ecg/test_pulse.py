"""Pulses of PLETH and pressure: where they are, what is none, and that no cutting of the stream changes them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecg.pulse import MAX_DELAY_S, PULSE, Pulses
from simulators.heart import Heart
from simulators.schedule import Segment

SECONDS = 20


def signals(rate_hz: float = 250.0, script: Sequence[Segment] = (("sinus", SECONDS, {}),)) -> NDArray[np.float32]:
    """PLETH and ABP of a generated heart, in their units, and its ECG above them."""
    source = Heart(script, ("II", "PLETH", "ABP"), rate_hz, seed=3).source()
    gains = np.array([[lead.gain] for lead in source.leads], np.float32)
    return (source.counts[:, : round(SECONDS * rate_hz)] / gains).astype(np.float32)


def found(x: NDArray[np.float32], rate_hz: float = 250.0, gain: float = np.inf) -> NDArray[np.void]:
    pulses = Pulses()
    pulses.reset(0, rate_hz, gain)
    return pulses.feed(np.array([0]), x[None], np.array([len(x)]))[0]


@pytest.mark.parametrize("rate_hz", [100.0, 250.0, 500.0, 1000.0])
@pytest.mark.parametrize("lead", [1, 2])
def test_each_beat_of_a_heart_has_one_pulse_at_any_rate(rate_hz: float, lead: int) -> None:
    mv = signals(rate_hz)
    ecg = mv[0]
    peaks = np.flatnonzero((ecg[1:-1] > 0.6 * ecg.max()) & (ecg[1:-1] >= ecg[:-2]) & (ecg[1:-1] > ecg[2:])) + 1
    beats_s = peaks / rate_hz
    beats_s = beats_s[np.diff(beats_s, prepend=-1) > 0.3]
    pulses_s = found(mv[lead], rate_hz)["sample"] / 250
    inside = beats_s[(beats_s > 3) & (beats_s < SECONDS - 2)]
    delays = [min(p - b for p in pulses_s if p > b) for b in inside]
    assert len(inside) > 10
    assert np.ptp(delays) < 0.12
    assert 0.05 < np.median(delays) < 0.6
    assert abs(np.sum((pulses_s > 3) & (pulses_s < SECONDS - 2)) - len(inside)) <= 1


def test_pulses_are_alike_as_large_as_they_are_and_known_in_time() -> None:
    pulses = found(signals()[2])
    late = pulses[3:]
    assert (late["similarity"] > 0.9).all()
    assert np.ptp(late["amplitude"]) < 0.3 * np.median(late["amplitude"])
    assert (pulses["confirmed"] > pulses["sample"]).all()
    assert (pulses["confirmed"] - pulses["sample"]).max() < MAX_DELAY_S * 250


@pytest.mark.parametrize("what", ["flat", "missing", "hum", "one count", "breathing", "noise"])
def test_what_is_no_pulse_gives_none_that_is_alike(what: str) -> None:
    t = np.arange(SECONDS * 250) / 250
    x = {
        "flat": np.zeros_like(t),
        "missing": np.full_like(t, np.nan),
        "hum": 0.5 + 0.004 * np.sin(2 * np.pi * 49.0 * t),
        "one count": 0.01 * (np.arange(len(t)) % 200 < 60),
        "breathing": 2 * np.sin(2 * np.pi * 0.2 * t),
        "noise": np.random.default_rng(5).normal(0, 1, len(t)),
    }[what]
    pulses = found(x.astype(np.float32), gain=100.0)
    assert (pulses["similarity"] > 0.7).sum() < 0.2 * SECONDS


def test_pulses_stop_with_the_heart() -> None:
    pulses = found(signals(script=[("sinus", 10, {}), ("asystole", 10, {})])[1], gain=10_000.0)
    alike = pulses[pulses["similarity"] >= 0.7]
    assert alike["sample"].max() < 11.5 * 250
    assert len(alike) >= 8


def test_an_artefact_is_forgotten_within_some_seconds() -> None:
    x = signals()[1].copy()
    x[2000:2250] += 30 * np.sin(np.arange(250) / 8).astype(np.float32)
    after = found(x)["sample"]
    assert np.sum((after > 3750) & (after < 4750)) >= 3


@settings(max_examples=25, deadline=None)
@given(
    rate_hz=st.sampled_from([100.0, 250.0, 360.0, 1000.0]),
    cuts=st.lists(st.floats(0, 1), max_size=8),
    hole=st.tuples(st.floats(0, 1), st.integers(1, 900)),
)
def test_pulses_are_the_same_however_the_stream_is_cut_moved_or_batched(
    rate_hz: float, cuts: list[float], hole: tuple[float, int]
) -> None:
    x = signals(rate_hz)[1:].copy()
    first = round(hole[0] * x.shape[1])
    x[0, first : first + hole[1]] = np.nan
    whole = [found(lead, rate_hz) for lead in x]
    pulses, parts = Pulses(), [[np.empty(0, PULSE)], [np.empty(0, PULSE)]]
    for row in (4, 9):
        pulses.reset(row, rate_hz)
    edges = sorted({0, x.shape[1], *(round(cut * x.shape[1]) for cut in cuts)})
    for start, end in itertools.pairwise(edges):
        made = pulses.feed(np.array([9, 4]), np.ascontiguousarray(x[::-1, start:end]), np.full(2, end - start))
        parts[1].append(made[0])
        parts[0].append(made[1])
        kept = pulses.snapshot(4)
        pulses.reset(4, 500.0)
        pulses.restore(4, kept)
        assert pulses.snapshot(4) == kept
    assert [np.concatenate(part).tobytes() for part in parts] == [each.tobytes() for each in whole]


def test_a_row_of_another_layout_is_refused() -> None:
    pulses = Pulses()
    with pytest.raises(ValueError, match="a row must hold"):
        pulses.restore(0, b"other")
