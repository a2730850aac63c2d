"""The weights of the beat detector: fitted ones are those that made the data, and those left out have no part."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ecg import beat_class, beat_fit
from ecg.beat_class import NORMAL, SINCE
from ecg.beat_context import N_CONTEXT
from ecg.beat_fit import NO_BEAT, NOTED_BY, ORIGIN, Complexes, fit, judged, reference_classes
from ecg.beat_judge import encode
from ecg.beat_state import Rules, first_state
from ecg.beat_weights import Weights, in_force, weighing
from ecg.beats import Beats
from ecg.learned import patients
from tests.ecg.test_beats import RATE, complexes, every, feed, noise


def described(n: int, seed: int = 0) -> NDArray[np.float64]:
    """Features that are spread widely, with a normal beat known."""
    rng = np.random.default_rng(seed)
    f = rng.normal(-0.2, 0.5, (n, N_CONTEXT))
    f[:, [beat_class.LIKE, beat_class.APART, beat_class.KNOWN, beat_class.SHARE, beat_class.HABIT]] = rng.random((n, 5))
    f[:, beat_class.UNEVEN] = abs(f[:, beat_class.UNEVEN])
    f[:, SINCE] = rng.integers(50, 300, n) / RATE
    return f


def drawn(n: int, seed: int, patient: str = "mitdb/100") -> Complexes:
    """Complexes whose classes are drawn by the odds that the shipped weights give."""
    f, w, rng = described(n, seed), Weights(), np.random.default_rng(seed + 1)

    def draw(terms: NDArray[np.float64], weights: tuple[float, ...]) -> NDArray[np.bool_]:
        odds = np.clip(weights[0] + terms @ np.array(weights[1:]), -50, 50)
        return rng.random(n) < 1 / (1 + np.exp(-odds))

    beat = draw(beat_fit.evidence_terms(f), w.evidence)
    wide = draw(beat_fit.ventricular_terms(f), w.ventricular)
    early = draw(beat_fit.supraventricular_terms(f), w.supraventricular)
    classes = np.where(beat, np.where(wide, "V", np.where(early, "S", "N")), NO_BEAT)
    return Complexes(patient, patient, f.astype(np.float32), np.ones(n, np.int64), classes)


def test_the_weights_that_made_the_data_are_found_again() -> None:
    found, true = fit([drawn(200_000, 1)]), Weights()
    for ours, theirs in zip(found[:3], true[:3], strict=True):
        assert np.allclose(ours, theirs, rtol=0.1, atol=0.35), (ours, theirs)


def test_the_terms_are_those_that_the_detector_weighs() -> None:
    w, state = Weights(), first_state().reshape(1)
    state["dominant"] = 0
    for f in described(200):
        row, since = f[None], round(f[SINCE] * RATE)
        pairs = (
            (beat_class.evidence(f, since, w.evidence), w.evidence, beat_fit.evidence_terms(row)),
            (beat_class.ventricular(state[0], f, w.ventricular), w.ventricular, beat_fit.ventricular_terms(row)),
            (
                beat_class.supraventricular(state[0], f, w.supraventricular),
                w.supraventricular,
                beat_fit.supraventricular_terms(row),
            ),
        )
        for ours, weights, terms in pairs:
            assert ours == pytest.approx(weights[0] + float(terms[0] @ np.array(weights[1:])), abs=1e-9)


def said(weights: Weights) -> tuple[object, ...]:
    """Return weights as what can be compared."""
    return weights.evidence, weights.ventricular, weights.supraventricular, encode(weights.judges, {})


def test_patients_that_are_left_out_have_no_part_in_the_weights() -> None:
    kept, other = drawn(4000, 2, "mitdb/100"), drawn(4000, 3, "mitdb/201")
    upside_down = other._replace(classes=np.where(other.classes == NO_BEAT, "N", NO_BEAT))
    alone = said(fit([kept]))
    assert said(fit([kept, upside_down], without={"mitdb/201"})) == alone
    assert all(ours != theirs for ours, theirs in zip(said(fit([kept, other])), alone, strict=True))
    with pytest.raises(ValueError, match="left out"):
        fit([kept], without={"mitdb/100"})


def test_a_class_that_nobody_has_cannot_be_fitted() -> None:
    lacking = drawn(4000, 2)
    with pytest.raises(ValueError, match="every class"):
        fit([lacking._replace(classes=np.where(lacking.classes == "S", "N", lacking.classes))])


def test_a_complex_is_the_beat_that_is_nearest_both_ways() -> None:
    at_s = np.array([1.0, 1.1, 2.0, 3.0, 3.0, 5.0])
    found = reference_classes(at_s, np.array([1.02, 2.16, 3.01, 9.0]), np.array(["e", "V", "A", "N"]))
    assert "".join(found) == "NOOSSO"
    assert "".join(reference_classes(at_s, np.array([]), np.array([]))) == "OOOOOO"


def hearts() -> NDArray[np.float32]:
    """Two noisy leads with wide, early, and ordinary beats."""
    at = every(0.8, 90)
    narrow = at[16::9]
    wide = [t for t in at[10::12] if t not in narrow]
    rest = [t for t in at if t not in wide and t not in narrow]
    x = complexes([*rest, *(t - 0.22 for t in narrow)], 90)
    x += complexes([t - 0.25 for t in wide], 90, qrs_mv=-1.1, width_s=0.14)
    return np.stack([x + noise(90, 0.06), 0.6 * x + noise(90, 0.09, 1)]).astype(np.float32)


def test_the_shipped_weights_give_what_they_always_gave() -> None:
    with weighing(NOTED_BY):
        beats = Beats()
    assert beats.rules.weights is NOTED_BY
    assert in_force() == Weights()
    beats.reset(0)
    found = feed(hearts(), beats)
    start = "NNNNNNNNVNNNNNNNNNNNVNNNNNNNNNNNNNNNNNNNNNNNVNNNNNNNNNNN"
    assert found["label"].tobytes().decode().startswith(start)
    assert hashlib.sha256(found["sample"].astype("<i8").tobytes()).hexdigest()[:16] == "96df8192e46b28b6"


def test_all_that_was_taken_as_a_beat_was_judged_before() -> None:
    log, beats = judged(hearts()), Beats(Rules(weights=NOTED_BY))
    beats.reset(0)
    found = feed(hearts(), beats)["sample"]
    taken = log[log[:, 1] > 0]
    assert len(taken) == len(found)
    assert np.all(abs(taken[:, 0] - found) <= 30)
    assert (taken[20:, 2 + NORMAL] != 0).all()
    assert (np.diff(log[:, 0]) >= 0).all()


def test_what_the_weights_have_seen_is_listed() -> None:
    assert len(ORIGIN["mitdb"]) == 22
    assert {"mitdb/201", "svdb/800"} <= patients("beats")


@pytest.mark.records
def test_records_that_taught_are_there_and_give_complexes(records: Path) -> None:
    for record_set, names in ORIGIN.items():
        assert all((records / record_set / f"{name}.atr").is_file() for name in names)
    found = beat_fit.collect(records / "mitdb" / "208", "mitdb")
    assert found.patient == "mitdb/208"
    assert (found.classes == "V").sum() > 800
    assert ((found.classes == NO_BEAT) & (found.taken == 0)).sum() > 100
