"""How the rule of a restless second is chosen, and what is counted for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ecg.artefact_fit import CANDIDATES, KINDS, Seconds, Tally, collect, covered, fit, noisy, suspended
from ecg.quality import RESTLESS, Verdict
from ecg.record import write_annotations, write_signals


def tally(patient: str, **suspended_s: tuple[int, float]) -> Tally:
    """A record of 1000 s of each kind; `noise=(3, 500)`: the fourth candidate suspends 500 s of what is noise."""
    given = np.zeros((len(CANDIDATES), len(KINDS)))
    for kind, (rule, seconds) in suspended_s.items():
        given[rule, KINDS.index(kind)] = seconds
    return Tally(patient, patient, np.full(len(KINDS), 1000.0), given, np.zeros(len(KINDS)))


def test_the_shipped_rule_is_among_those_that_are_tried() -> None:
    assert RESTLESS in CANDIDATES


def test_most_noise_is_suspended_unless_a_second_of_fibrillation_is() -> None:
    quiet, loud = tally("a", noise=(3, 100.0)), tally("b", noise=(5, 300.0))
    assert fit([quiet, loud]) == 5
    assert fit([quiet, loud, tally("c", lethal=(5, 2.0))]) == 3


@pytest.mark.parametrize(("kind", "seconds"), [("clean", 20.0), ("tuned_6", 600.0)])
def test_a_rule_that_suspends_too_much_of_a_seen_heart_is_not_chosen(kind: str, seconds: float) -> None:
    assert fit([tally("a", noise=(3, 100.0)), tally("b", noise=(5, 300.0), **{kind: (5, seconds)})]) == 3


def test_who_is_left_out_chooses_nothing() -> None:
    tallies = [tally("a", noise=(3, 100.0)), tally("b", noise=(5, 300.0))]
    assert fit(tallies, {"b"}) == 3
    with pytest.raises(ValueError, match="records must be left"):
        fit(tallies, {"a", "b"})


def test_the_ladders_word_holds_for_the_second_after() -> None:
    out = suspended(np.ones(25, np.bool_), np.zeros(25, np.bool_))
    assert out.tolist() == [False] * 20 + [True] * 5


def test_a_second_is_noisy_where_all_leads_are_restless_or_of_muscle() -> None:
    verdicts = np.array([[Verdict.GOOD, Verdict.GOOD], [Verdict.GOOD, Verdict.MUSCLE], [Verdict.GOOD, Verdict.FLAT]])
    unrest = np.array([[RESTLESS] * 3, [[0, 0, 0]] * 3], np.float64)
    assert noisy(Seconds(verdicts, unrest, np.zeros(3, np.bool_))).tolist() == [False, True, False]


def test_no_stretch_covers_nothing() -> None:
    assert covered(np.empty((0, 2)), 3).tolist() == [0.0, 0.0, 0.0]


def test_a_record_is_counted_by_its_marks(tmp_path: Path) -> None:
    folder = tmp_path / "vfdb"
    folder.mkdir()
    t_s = np.arange(90 * 250) / 250
    wave = np.where(t_s < 40, 0.6 * np.sin(2 * np.pi * 5 * t_s), np.exp(-0.5 * ((t_s % 0.8 - 0.4) / 0.011) ** 2))
    wave += np.random.default_rng(1).normal(0, np.where(t_s < 50, 0.002, 0.15))
    write_signals(folder / "1", ["II"], wave[None].astype(np.float32), 250.0)
    at = np.array([0, 40, 50]) * 250
    write_annotations(folder / "1", "atr", at, ["+"] * 3, rate_hz=250.0, aux=["(VFIB", "(N", "(NOISE"])
    found = collect(folder / "1", "vfdb")
    assert dict(zip(KINDS, found.seconds.tolist(), strict=True)) == dict.fromkeys(KINDS, 0.0) | {
        "lethal": 40.0, "noise": 40.0, "rest": 10.0,
    }  # fmt: skip
    by_rule = dict(zip(KINDS, found.suspended[CANDIDATES.index(RESTLESS)].tolist(), strict=True))
    assert by_rule["lethal"] == by_rule["rest"] == 0.0
    assert 15.0 <= by_rule["noise"] <= 20.0
