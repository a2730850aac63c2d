"""The fit of the rule for atrial fibrillation: that it counts what the rule names, and takes the best one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ecg.atrial import Rule, deciding
from ecg.atrial_fit import COUNTED, GRID, ORIGIN, RATE_HZ, SHARES, Tally, beats, collect, fit, merit, take, tally, truth
from ecg.episodes import common, compare, union
from ecg.record import Annotations, annotations

RATE_HZ_MADE = 250.0
RULES = (Rule(), GRID[3], GRID[len(GRID) // 2], GRID[-1])


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


def named(reference: Annotations, rate_hz: float, rule: Rule) -> list[float]:
    """What the rule itself names in a record, as `tally` counts it."""
    at_s, classes = beats(reference, rate_hz)
    theirs, scored = truth(reference, rate_hz, at_s)
    with deciding(rule):
        taken = take(at_s, classes)
    ours, since = [], -1
    for sample, now in zip(taken.samples.tolist(), taken.since.tolist(), strict=True):
        if since >= 0 and now < 0:
            ours.append((since / 250 + at_s[0], sample / 250 + at_s[0]))
        since = now
    if since >= 0:
        ours.append((since / 250 + at_s[0], at_s[-1]))
    found = compare(theirs, union(ours))
    seconds = compare(theirs, common(union(ours), scored))
    return [
        found.episodes,
        found.found,
        found.reference_s,
        found.common_s,
        len(ours),
        sum(common(theirs, union([each])).size > 0 for each in ours),
        seconds.test_s,
    ]


@pytest.mark.parametrize("rule", RULES)
def test_what_is_counted_of_a_rule_is_what_it_names(rule: Rule) -> None:
    rhythms = (("(N", 150, 0.01), ("(AFIB", 200, 0.2), ("(N", 300, 0.03), ("(AFIB", 60, 0.3), ("(N", 30, 0.1))
    for seed in range(3):
        reference = made(*rhythms, seed=seed)
        assert tally(reference, RATE_HZ_MADE, [rule])[0] == pytest.approx(named(reference, RATE_HZ_MADE, rule))


def bigeminal(n: int = 400) -> Annotations:
    """Every other beat late: irregular by every interval, and no fibrillation."""
    at = np.cumsum(np.where(np.arange(n) % 2, 140, 220)) + 100
    symbols = np.array(["+", *["N"] * n], "<U1")
    return Annotations(np.append(at[0], at), symbols, ("(B", *[""] * n), np.zeros(n + 1, np.int64))


def test_bigeminy_is_named_by_neither() -> None:
    assert named(bigeminal(), RATE_HZ_MADE, Rule())[4:] == [0, 0, 0.0]
    assert not tally(bigeminal(), RATE_HZ_MADE, [Rule()])[0, 4:].any()


def test_an_onset_is_not_set_back_into_the_episode_before() -> None:
    rule = Rule(0.08, 0.05, 0.62, 0.62)
    reference = made(("(AFIB", 600, 0.075))
    counts = tally(reference, RATE_HZ_MADE, [rule])[0]
    assert counts[4] > 3
    assert counts[6] == pytest.approx(named(reference, RATE_HZ_MADE, rule)[6])


@pytest.mark.records
@pytest.mark.parametrize(("record_set", "record"), [("mitdb", "201"), ("mitdb", "219"), ("mitdb", "203")])
def test_the_same_holds_of_records(records: Path, record_set: str, record: str) -> None:
    path = records / record_set / record
    if not path.with_suffix(".atr").is_file():
        pytest.skip(f"{record_set}/{record} is not here")
    found = collect(path, record_set)
    for rule in (Rule(), GRID[3]):
        counts = found.counts[GRID.index(rule)]
        assert counts == pytest.approx(named(annotations(path), RATE_HZ[record_set], rule))


def test_gaps_and_flutter_are_not_counted() -> None:
    irregular = ("(AFIB", 300, 0.2)
    whole = tally(made(irregular, irregular), RATE_HZ_MADE, RULES)
    paused = tally(made(irregular, irregular, pause_s=600.0), RATE_HZ_MADE, RULES)
    assert paused[:, 2] == pytest.approx(whole[:, 2], abs=2.0)
    flutter = tally(made(irregular, ("(AFL", 300, 0.2)), RATE_HZ_MADE, RULES)
    assert flutter[:, 6].max() <= 0.55 * whole[:, 2].max()


def test_a_record_without_beats_counts_nothing() -> None:
    none = Annotations(np.empty(0, np.int64), np.empty(0, "<U1"), (), np.empty(0, np.int64))
    assert not tally(none, RATE_HZ_MADE).any()


def of(patient: str, best: int, episodes: float = 10.0) -> Tally:
    """A patient in whom each rule finds the fewer, the further it is from the best one."""
    counts = np.full((len(GRID), COUNTED), episodes)
    off = abs(np.arange(len(GRID)) - best) / len(GRID)
    for part, _ in SHARES:
        counts[:, part] = episodes * (1 - off)
    return Tally(patient, patient, counts)


def test_the_best_rule_for_the_average_patient_is_taken() -> None:
    assert fit([of("a", 70), of("b", 70)]) == GRID[70]
    assert GRID[10] != fit([of("a", 10), of("b", 70, episodes=9000.0), of("c", 70)]) == GRID[70]
    assert fit([of("a", 10, episodes=9000.0), of("b", 70), of("c", 70)]) == GRID[70]


def test_patients_that_are_left_out_change_nothing() -> None:
    others = [of("a", 10), of("b", 12)]
    assert fit([*others, *(of(f"c{k}", 300) for k in range(5))]) == GRID[300]
    assert fit([*others, *(of(f"c{k}", 300) for k in range(5))], without={f"c{k}" for k in range(5)}) == fit(others)


def test_of_equals_the_first_is_taken_whatever_the_order_of_records() -> None:
    first, second = of("a", 10), of("b", 14)
    assert fit([first, second]) == fit([second, first]) == GRID[10]


def test_without_anyone_who_fibrillates_nothing_is_fitted() -> None:
    with pytest.raises(ValueError, match="must hold atrial fibrillation"):
        fit([of("a", 10)], without={"a"})
    with pytest.raises(ValueError, match="must hold atrial fibrillation"):
        fit([of("a", 10, episodes=0.0)])


def test_who_has_no_episode_has_no_sensitivity_and_who_is_named_none_no_predictive_value() -> None:
    healthy = np.zeros((1, 1, COUNTED))
    ill = np.ones((1, 1, COUNTED))
    assert merit(np.concatenate([ill, healthy]))[0] == 1.0
    alarmed = healthy.copy()
    alarmed[..., [4, 6]] = 1.0
    assert merit(np.concatenate([ill, alarmed]))[0] == pytest.approx(0.75)


def test_the_shipped_rule_is_among_those_tried_and_breathing_is_irregular_to_none() -> None:
    assert Rule() in GRID
    assert len(set(GRID)) == len(GRID)
    assert all(rule.irregular_s >= 0.05 and rule.end <= rule.onset for rule in GRID)


def test_it_is_fitted_on_half_of_ltafdb() -> None:
    assert set(ORIGIN) == set(RATE_HZ) == {"mitdb", "ltafdb"}
    assert len(ORIGIN["ltafdb"]) == 25
