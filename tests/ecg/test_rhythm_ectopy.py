"""Rules of ventricular ectopy: what the last beats are called, each held against what is nearly so."""

from __future__ import annotations

import doctest
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg import rhythm_ectopy
from ecg.clinical import Settings
from ecg.rhythm_ectopy import (
    BEAT_RULES,
    couplet,
    may_speak,
    multiform_pvcs,
    nonsustained_vt,
    pvc_run,
    r_on_t,
    ventricular_rhythm,
)
from ecg.rhythm_state import Beat

HZ = 250


def beats(labels: str, rr_s: float | Sequence[float] = 0.8, shapes: Sequence[int] = ()) -> list[Beat]:
    """Beats by their letters, V ventricular; `rr_s` is the interval before each, 0 after a break."""
    intervals = [rr_s] * len(labels) if isinstance(rr_s, int | float) else list(rr_s)
    made, at = [], 1000
    for k, (label, each_s) in enumerate(zip(labels, intervals, strict=True)):
        at += round((each_s or 1.0) * HZ)
        shape = shapes[k] if shapes else 1
        made.append(Beat(at, round(each_s * HZ), label == "V", label == "V", 90.0, 1.0, shape, -1))
    return made


def found(given: list[Beat], settings: Settings | None = None) -> set[str]:
    marks = (rule(given, settings or Settings()) for rule in BEAT_RULES)
    return {mark.condition for mark in marks if mark is not None}


@pytest.mark.parametrize(
    ("labels", "rr_s", "expected"),
    [
        ("NNNN", 0.8, set()),
        ("NNVN", 0.5, set()),
        ("NNVVN", 0.5, {"couplet"}),
        ("NNVV", 0.5, set()),
        ("NNVVVN", 0.5, {"nonsustained_vt", "pvc_run"}),
        ("NNVVVVN", 0.5, {"nonsustained_vt", "pvc_run"}),
        ("NNVVVVVN", 0.5, {"pvc_run"}),
        ("NNVVVN", 0.8, {"pvc_run"}),
        ("NNVVV", 0.8, {"ventricular_rhythm"}),
        ("NNVVVVVVV", 0.8, {"ventricular_rhythm"}),
        ("NNVVV", 0.5, set()),
        ("NVNVNV", 0.8, {"bigeminy"}),
        ("VNVNVN", 0.8, {"bigeminy"}),
        ("NNNVNV", 0.8, set()),
        ("NNVNNVNNV", 0.8, {"trigeminy"}),
        ("NVNNVNNVN", 0.8, {"trigeminy"}),
        ("VVNVVNVVN", 0.8, {"couplet"}),
        ("NVNNVNVNN", 0.8, set()),
    ],
)
def test_a_pattern_has_its_name(labels: str, rr_s: float, expected: set[str]) -> None:
    assert found(beats(labels, rr_s)) == expected


def test_a_run_is_said_with_its_first_beat_its_length_and_its_rate() -> None:
    given = beats("NNVVVVN", 0.5)
    short, run = nonsustained_vt(given, Settings()), pvc_run(given, Settings())
    assert short is not None
    assert run is not None
    assert (short.onset, short.value, short.limit) == (given[2].sample, 120.0, 100.0)
    assert (run.onset, run.value) == (given[2].sample, 4.0)


def test_a_run_that_goes_on_is_a_ventricular_rhythm_and_no_run_that_ended() -> None:
    given = beats("NVVVV", 0.75)
    mark = ventricular_rhythm(given, Settings())
    assert mark is not None
    assert mark.value == pytest.approx(80, abs=0.5)
    assert nonsustained_vt(given, Settings()) is pvc_run(given, Settings()) is couplet(given, Settings()) is None


def test_beats_on_both_sides_of_a_break_make_no_pattern() -> None:
    assert found(beats("NVNVNV", [0.8, 0.8, 0.8, 0.0, 0.8, 0.8])) == set()
    assert found(beats("NVVN", [0.8, 0.0, 0.5, 0.5])) == set()


@pytest.mark.parametrize(("apart_ms", "expected"), [(0, True), (100, True), (-100, True), (104, False), (-300, False)])
def test_a_ventricular_beat_within_100_ms_of_the_t_peak_is_r_on_t(apart_ms: int, expected: bool) -> None:
    *before, last = beats("NNV", 0.4)
    given = [*before, msgspec.structs.replace(last, t_peak=last.sample - apart_ms * HZ // 1000)]
    mark = r_on_t(given, Settings())
    assert (mark is not None) == expected
    if mark is not None:
        assert mark.value == abs(apart_ms)


def test_an_unknown_t_wave_or_one_of_a_ventricular_beat_is_no_r_on_t() -> None:
    assert r_on_t(beats("NNV", 0.4), Settings()) is None
    *before, last = beats("NVV", 0.4)
    assert r_on_t([*before, msgspec.structs.replace(last, t_peak=last.sample)], Settings()) is None


def test_ventricular_beats_of_two_shapes_are_multiform_and_of_one_or_unknown_are_not() -> None:
    assert multiform_pvcs(beats("NVNNVN", shapes=[1, 2, 1, 1, 3, 1]), Settings()) is not None
    for shapes in ([1, 2, 1, 1, 2, 1], [1, 2, 1, 1, -1, 1], [1, 2, 3, 4, 2, 1]):
        assert multiform_pvcs(beats("NVNNVN", shapes=shapes), Settings()) is None


def test_shapes_further_apart_than_the_setting_are_not_multiform() -> None:
    given = beats("V" + "N" * 14 + "V", shapes=[2] + [1] * 14 + [3])
    assert multiform_pvcs(given, Settings()) is None
    assert multiform_pvcs(given, Settings(multiform_beats=16)) is not None


def test_the_settings_decide() -> None:
    assert found(beats("NNVVVN", 0.5), Settings(run_beats=4)) == set()
    assert found(beats("NNVVVN", 0.5), Settings(vt_rate_bpm=130.0)) == {"pvc_run"}
    assert found(beats("NVNV"), Settings(bigeminy_cycles=2)) == {"bigeminy"}


@given(st.lists(st.sampled_from("NV"), max_size=24).map("".join), st.floats(0.2, 2.0))
def test_any_beats_have_at_most_one_run_and_one_of_the_patterns(labels: str, rr_s: float) -> None:
    names = found(beats(labels, rr_s))
    assert len(names & {"bigeminy", "trigeminy"}) <= 1
    assert len(names & {"couplet", "pvc_run", "ventricular_rhythm"}) <= 1
    assert "V" in labels or not names


@given(st.text("NNV", max_size=24), st.integers(2, 8), st.integers(5, 20))
def test_where_the_rules_speak_they_may(labels: str, cycles: int, multiform: int) -> None:
    settings = Settings(bigeminy_cycles=cycles, multiform_beats=multiform)
    given_beats = beats(labels, 0.6, [k % 2 for k in range(len(labels))])
    assert may_speak(given_beats, settings) or not found(given_beats, settings)


def test_lone_ventricular_beats_far_apart_are_not_asked_about() -> None:
    assert not may_speak(beats("V" + 20 * "N" + "VNN"), Settings())


def test_the_example_runs() -> None:
    assert doctest.testmod(rhythm_ectopy).failed == 0
