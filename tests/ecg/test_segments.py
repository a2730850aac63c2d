"""The protocol of segments to be shocked: each rule on a case that fails without it."""

from __future__ import annotations

import numpy as np
import pytest

from ecg.episodes import Span
from ecg.frame import MISSING
from ecg.record import Annotations, Record, RecordLead
from ecg.segments import JUDGED, Label, called, label_all, rate_bpm, unreadable

RATE_HZ = 250.0
SECONDS = 60


def wave(hz: float, seconds: int = SECONDS) -> np.ndarray:
    return np.round(200 * np.sin(2 * np.pi * hz * np.arange(seconds * 250) / RATE_HZ)).astype(np.int16)


def record(*counts: np.ndarray, kind: str = "ecg") -> Record:
    leads = tuple(RecordLead(f"L{k}", kind, 200.0, 0, "mV") for k in range(len(counts)))  # pyright: ignore
    return Record("made", RATE_HZ, leads, np.stack(counts))


def marks(*found: tuple[float, str, str]) -> Annotations:
    ordered = sorted(found)
    samples = np.array([round(at_s * RATE_HZ) for at_s, *_ in ordered], np.int64)
    symbols = np.array([symbol for _, symbol, _ in ordered], "<U1")
    return Annotations(samples, symbols, tuple(aux for *_, aux in ordered), np.zeros_like(samples))


def rhythm(*found: tuple[float, str]) -> Annotations:
    return marks(*((at_s, "+", aux) for at_s, aux in found))


def labels(found: list[tuple[float, Label]]) -> list[Label]:
    return [label for _, label in found]


@pytest.mark.parametrize("mark", ["(VF", "(VFIB", "(VFL"])
def test_fibrillation_in_both_spellings_and_flutter_are_to_be_shocked(mark: str) -> None:
    assert labels(label_all(record(wave(5)), rhythm((0, mark)))) == ["shockable"] * 12


def test_segments_lie_on_a_grid_and_one_that_is_cut_is_left_out() -> None:
    found = label_all(record(wave(5, 63)), rhythm((0, "(VF")))
    assert [first for first, _ in found] == list(np.arange(0, 60, 5.0))


@pytest.mark.parametrize(("hz", "label"), [(2.4, "slow_vt"), (2.6, "shockable")])
def test_tachycardia_is_to_be_shocked_from_150_bpm_of_its_spectral_peak(hz: float, label: Label) -> None:
    assert set(labels(label_all(record(wave(hz)), rhythm((0, "(VT"))))) == {label}


def test_the_rate_of_a_tachycardia_is_not_that_of_beats() -> None:
    slow_beats = [(at_s, "V", "") for at_s in np.arange(0.5, SECONDS, 1.0)]
    found = label_all(record(wave(3.0)), marks((0, "+", "(VT"), *slow_beats))
    assert set(labels(found)) == {"shockable"}


def test_slow_tachycardia_is_neither_to_be_shocked_nor_not() -> None:
    assert "slow_vt" not in JUDGED


@pytest.mark.parametrize(("mark", "label"), [("(NOISE", "noise"), ("(HGEA", "ectopy"), ("(ASYS", "asystole")])
def test_noise_and_ectopy_of_a_high_grade_are_left_out_and_asystole_is_not(mark: str, label: Label) -> None:
    assert set(labels(label_all(record(wave(5)), rhythm((0, mark))))) == {label}
    assert (label in JUDGED) == (label == "asystole")


def test_a_segment_on_a_boundary_is_left_out() -> None:
    found = labels(label_all(record(wave(5)), rhythm((0, "(N"), (12.0, "(VFIB"), (20.0, "(N"))))
    assert found[:6] == ["other", "other", "boundary", "shockable", "other", "other"]


def test_between_fibrillation_and_tachycardia_there_is_a_boundary_but_not_between_fibrillation_and_flutter() -> None:
    found = labels(label_all(record(wave(5)), rhythm((0, "(VFIB"), (12.0, "(VFL"), (22.0, "(VT"), (30, "(N"))))
    assert found[:6] == ["shockable", "shockable", "shockable", "shockable", "boundary", "shockable"]


def test_a_boundary_between_rhythms_not_to_be_shocked_is_none() -> None:
    assert set(labels(label_all(record(wave(1)), rhythm((0, "(N"), (12, "(AFIB"), (22, "(SVTA"))))) == {"other"}


def test_brackets_are_fibrillation() -> None:
    found = labels(label_all(record(wave(5)), marks((10, "[", ""), (20, "]", "")), beats_only=True))
    assert found[:5] == ["other", "other", "shockable", "shockable", "other"]


def beats(bpm: float) -> list[tuple[float, str, str]]:
    return [(at_s, "N", "") for at_s in np.arange(0.1, SECONDS, 60 / bpm)]


@pytest.mark.parametrize(("bpm", "label"), [(140.0, "other"), (160.0, "fast_unlabelled")])
def test_unlabelled_segments_over_150_bpm_are_apart_where_tachycardia_is_not_named(bpm: float, label: Label) -> None:
    assert set(labels(label_all(record(wave(5)), marks(*beats(bpm)), beats_only=True))) == {label}
    assert set(labels(label_all(record(wave(5)), marks(*beats(bpm))))) == {"other"}


def test_fast_beats_in_fibrillation_do_not_take_it_out() -> None:
    found = label_all(record(wave(5)), marks((0, "[", ""), *beats(160.0)), beats_only=True)
    assert set(labels(found)) == {"shockable"}


def test_one_short_interval_is_not_a_fast_segment() -> None:
    couplets = [(at_s + late, "N", "") for at_s in np.arange(0.1, SECONDS, 1.0) for late in (0.0, 0.3)]
    slow = [each for each in couplets if each[0] % 5 < 2.5 or each[0] % 1 < 0.3]
    assert "fast_unlabelled" not in labels(label_all(record(wave(5)), marks(*slow), beats_only=True))


def test_segments_mostly_of_unreadable_seconds_are_apart() -> None:
    counts = wave(5)
    counts[250 * 5 : 250 * 8] = 0
    counts[250 * 10 : 250 * 12] = 0
    found = labels(label_all(record(counts), marks((0, "[", "")), beats_only=True))
    assert found[:4] == ["shockable", "unreadable", "shockable", "shockable"]


def test_a_second_is_unreadable_only_if_every_ecg_lead_is() -> None:
    lost = wave(5)
    lost[250:500] = MISSING
    assert unreadable(record(lost))[:3].tolist() == [False, True, False]
    assert not unreadable(record(lost, wave(4))).any()
    pulse = Record("made", RATE_HZ, (*record(lost).leads, RecordLead("P", "pleth", 1.0, 0, "NU")), np.stack([lost] * 2))
    assert unreadable(pulse)[1]


def test_a_second_is_unreadable_if_over_half_of_it_is() -> None:
    counts = wave(5)
    counts[250 : 250 + 90] = MISSING
    counts[1000 : 1000 + 126] = MISSING
    assert np.flatnonzero(unreadable(record(counts))).tolist() == [4]


def test_a_railed_lead_is_unreadable_also_where_it_flickers() -> None:
    counts = wave(5)
    counts[500:750] = np.where(np.arange(250) % 2, 2047, -2048)
    assert np.flatnonzero(unreadable(record(counts))).tolist() == [2]


def test_a_large_wave_that_reaches_its_own_extremes_is_not_railed() -> None:
    assert not unreadable(record(wave(4.3))).any()


def test_the_rate_is_the_common_peak_of_all_leads_whatever_their_size() -> None:
    slow, fast = np.sin(2 * np.pi * 2 * np.arange(1250) / RATE_HZ), np.sin(2 * np.pi * 3 * np.arange(1250) / RATE_HZ)
    loud_but_one = np.stack([100 * slow, fast, fast]).astype(np.float32)
    assert rate_bpm(loud_but_one, RATE_HZ) == pytest.approx(180, abs=3)


def test_a_flat_or_missing_wave_has_no_rate() -> None:
    assert np.isnan(rate_bpm(np.zeros((2, 1250), np.float32), RATE_HZ))
    assert np.isnan(rate_bpm(np.full((1, 1250), np.nan, np.float32), RATE_HZ))


def span(condition: str, decided_s: float, last_s: float, value: float = 180.0) -> Span:
    return Span(condition, decided_s - 4.0, decided_s, last_s, value)


FIBRILLATION = "ventricular_fibrillation"


@pytest.mark.parametrize(
    ("decided_s", "last_s", "is_called"),
    [
        (12.0, 13.0, True),
        (2.0, 15.0, True),
        (2.0, 14.9, False),
        (15.0, 30.0, False),
        (9.9, 9.9, False),
        (10.0, 30.0, True),
    ],
)
def test_a_segment_is_called_by_what_is_announced_in_it_or_holds_at_its_end(
    decided_s: float, last_s: float, is_called: bool
) -> None:
    assert called([span(FIBRILLATION, decided_s, last_s)], 10.0) == is_called


def test_evidence_before_the_announcement_calls_nothing() -> None:
    assert not called([Span(FIBRILLATION, 10.0, 16.0, 30.0, 5.0)], 10.0)


@pytest.mark.parametrize(("value", "is_called"), [(149.0, False), (150.0, True), (np.nan, False)])
def test_an_alarm_of_tachycardia_calls_from_150_bpm(value: float, is_called: bool) -> None:
    assert called([span("ventricular_tachycardia", 12.0, 13.0, value)], 10.0) == is_called


def test_other_alarms_call_only_where_they_are_asked_for() -> None:
    alarms = [span("extreme_tachycardia", 12.0, 13.0), span("asystole", 12.0, 13.0)]
    assert not called(alarms, 10.0)
    assert called(alarms, 10.0, ["extreme_tachycardia"])
