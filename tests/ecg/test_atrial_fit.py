"""The fit of the weights for atrial fibrillation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ecg.atrial import EVERY, LEAST
from ecg.atrial_features import N_FEATURES
from ecg.atrial_fit import ORIGIN, RATE_HZ, Places, beats, collect, fit, intervals, places, take, truth
from ecg.atrial_weights import log_odds
from ecg.record import Annotations, annotations

RATE_HZ_MADE = 250.0


def made(*parts: tuple[str, int, float], seed: int = 3, pause_s: float = 0.0) -> Annotations:
    """Rhythms of so many beats, irregular by up to this many seconds; each begins after a pause."""
    rng, at_s, found = np.random.default_rng(seed), 0.5, []
    for aux, n, spread_s in parts:
        at_s += pause_s
        found.append((at_s, "+", aux))
        for k in range(n):
            found.append((at_s, "V" if k % 40 == 20 else "N", ""))
            at_s += 0.7 + rng.uniform(-spread_s, spread_s)
    samples = np.array([round(each * RATE_HZ_MADE) for each, *_ in found], np.int64)
    symbols = np.array([symbol for _, symbol, _ in found], "<U1")
    return Annotations(samples, symbols, tuple(aux for *_, aux in found), np.zeros_like(samples))


def of(patient: str, seed: int) -> Places:
    """A patient whose fibrillation is irregular, and whose other rhythm is not."""
    found = places(made(("(N", 300, 0.01), ("(AFIB", 300, 0.2), ("(N", 300, 0.02), seed=seed), RATE_HZ_MADE)
    return Places(patient, patient, 1.0, *found)


def test_the_intervals_are_those_that_the_pipeline_takes() -> None:
    reference = made(("(N", 150, 0.01), ("(AFIB", 200, 0.3))
    at_s, classes = beats(reference, RATE_HZ_MADE)
    at_s = np.sort(np.append(at_s, [at_s[7] + 0.001, at_s[9] + 0.1, at_s[-1] + 4.0]))
    classes = [*classes, "N", "F", "N"]
    samples, rr_s = intervals(at_s, classes)
    taken = take(at_s, classes)
    assert samples.tolist() == taken.samples.tolist()
    assert rr_s.tolist() == taken.rr_s.tolist()


@pytest.mark.records
@pytest.mark.parametrize("record", ["201", "219", "203"])
def test_the_same_holds_of_records(records: Path, record: str) -> None:
    at_s, classes = beats(annotations(records / "mitdb" / record), RATE_HZ["mitdb"])
    samples, rr_s = intervals(at_s, classes)
    taken = take(at_s, classes)
    assert samples.tolist() == taken.samples.tolist()
    assert rr_s.tolist() == taken.rr_s.tolist()
    found = collect(records / "mitdb" / record, "mitdb")
    assert len(found.features) == len(found.fibrillating) > 300
    assert found.fibrillating.any()


def test_there_is_a_place_at_every_fourth_interval_with_what_the_reference_says_there() -> None:
    features, fibrillating = places(made(("(N", 200, 0.01), ("(AFIB", 200, 0.2)), RATE_HZ_MADE)
    taken = len(intervals(*beats(made(("(N", 200, 0.01), ("(AFIB", 200, 0.2)), RATE_HZ_MADE))[1])
    assert len(features) == taken // EVERY - LEAST // EVERY + 1
    assert fibrillating.mean() == pytest.approx(0.5, abs=0.05)
    assert not np.diff(fibrillating.astype(int)).min() < 0


def test_gaps_flutter_and_what_lies_before_the_first_mark_are_left_out() -> None:
    irregular = ("(AFIB", 300, 0.2)
    whole, _ = places(made(irregular, irregular), RATE_HZ_MADE)
    flutter, _ = places(made(irregular, ("(AFL", 300, 0.2)), RATE_HZ_MADE)
    assert len(flutter) == pytest.approx(0.5 * len(whole), abs=3)
    late = made(irregular, irregular)
    unmarked = late._replace(aux=("", *late.aux[1:]))
    theirs, scored = truth(unmarked, RATE_HZ_MADE, beats(unmarked, RATE_HZ_MADE)[0])
    assert scored.tolist() == theirs.tolist()
    assert scored[0, 0] == pytest.approx(210, rel=0.05)


def test_a_record_without_beats_has_no_places() -> None:
    none = Annotations(np.empty(0, np.int64), np.empty(0, "<U1"), (), np.empty(0, np.int64))
    assert places(none, RATE_HZ_MADE)[0].shape == (0, N_FEATURES)


def test_what_is_fitted_knows_fibrillation_of_a_patient_whom_it_has_not_seen() -> None:
    weights, other = fit([of("a", 1), of("b", 2)]), of("c", 3)
    odds = np.array([log_odds(f.astype(np.float64), weights) for f in other.features])
    assert ((odds > 0) == other.fibrillating).mean() > 0.95


def test_patients_that_are_left_out_change_nothing_nor_does_the_order_of_records() -> None:
    all_of = [of("a", 1), of("b", 2), of("c", 3)]
    without, alone = fit(all_of[::-1], without={"c"}), fit(all_of[:2])
    assert all(np.array_equal(a, b) for a, b in zip(without, alone, strict=True))


def test_without_anyone_who_fibrillates_nothing_is_fitted() -> None:
    with pytest.raises(ValueError, match="must hold atrial fibrillation"):
        fit([of("a", 1)], without={"a"})


def test_it_is_fitted_on_annotations_of_two_sets() -> None:
    assert set(ORIGIN) == set(RATE_HZ) == {"mitdb", "ltafdb"}
