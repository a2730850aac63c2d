"""Classes of short strips: what describes them, the forests, and how these are grown."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ecg.forest import log_odds as odds_of
from ecg.forest_grow import grow
from ecg.strip_class import (
    CLASSES,
    SAID,
    SHIPPED,
    Class,
    Forests,
    classify,
    decode,
    encode,
    log_odds,
    made,
    said_out_of_fold,
    shipped,
)
from ecg.strip_features import NAMES, Strip, features, prepare
from ecg.strip_fit import GROWN, SEED, Described, beside, collect, fit, read_reference

RATE_HZ = 300.0


def signal(at_s: NDArray[np.float64], seconds: float = 30.0, p_mv: float = 0.15, noise_mv: float = 0.01) -> NDArray:
    """A lead with a QRS, a T and, unless it is 0, a P wave at each time."""
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    x = noise_mv * np.random.default_rng(1).normal(size=len(t))
    for at in at_s:
        for centre, size, width in ((-0.16, p_mv, 0.02), (0.0, 1.0, 0.012), (0.25, 0.25, 0.04)):
            x += size * np.exp(-(((t - at - centre) / width) ** 2))
    return x.astype(np.float32)


def regular(seconds: float = 30.0) -> NDArray[np.float64]:
    return np.arange(0.5, seconds, 0.8)


def irregular(seconds: float = 30.0) -> NDArray[np.float64]:
    return np.cumsum(np.random.default_rng(3).uniform(0.4, 1.2, 60))[:40]


def said(x: NDArray) -> dict[str, float]:
    return dict(zip(NAMES, features(prepare(x, RATE_HZ)).tolist(), strict=True))


@pytest.mark.parametrize("n", [1, 60, 400, 9000])
def test_any_strip_is_described_in_finite_numbers(n: int) -> None:
    for x in (np.zeros(n, np.float32), np.full(n, np.nan, np.float32), signal(regular())[:n]):
        found = features(prepare(x, RATE_HZ))
        assert found.shape == (len(NAMES),)
        assert np.isfinite(found).all()


def test_features_are_what_their_names_say() -> None:
    calm, wild = said(signal(regular())), said(signal(irregular(), p_mv=0.0))
    assert calm["median_s"] == pytest.approx(0.8, abs=0.01)
    assert calm["early_share"] == calm["late_share"] == 0.0
    assert wild["early_share"] > 0.2
    assert calm["share_N"] == pytest.approx(1.0, abs=0.1)
    assert calm["p_size"] > 2 * wild["p_size"]
    assert calm["p_likeness"] > 0.9
    assert calm["qrs_mv"] == pytest.approx(1.0, abs=0.2)
    assert said(signal(regular(), noise_mv=0.1))["calm_mv"] > 3 * calm["calm_mv"]


def test_a_strip_of_few_beats_has_no_waves() -> None:
    found = said(signal(np.array([10.0, 20.0])))
    assert found["p_size"] == found["mean_likeness"] == 0.0


def test_the_class_with_the_best_odds_is_taken() -> None:
    trees = shipped().normal
    level = Forests(*(trees._replace(base=np.array([base]), leaf=0 * trees.leaf) for base in (0.1, 0.4, 0.3, 0.2)))
    described = np.zeros(len(NAMES) + SAID, np.float32)
    assert log_odds(level, described).tolist() == pytest.approx([0.1, 0.4, 0.3, 0.2])
    assert classify(level, described) == "A"


def test_forests_come_back_from_bytes_and_say_how_they_were_made() -> None:
    how = made(SHIPPED.read_bytes())
    assert how["command"].startswith("vigil train strips")
    assert {*how} >= {"seed", "split", "commit", "records"}
    said = said_out_of_fold(SHIPPED.read_bytes())
    assert list(said) == how["records"]["cinc2017"]
    kept = encode(shipped(), dict(reversed(said.items())), how)
    assert all(np.array_equal(each, said[name]) for name, each in said_out_of_fold(kept).items())
    assert {each.shape for each in said.values()} == {(SAID,)}
    again = decode(kept)
    assert all(np.array_equal(a, b) for x, y in zip(again, shipped(), strict=True) for a, b in zip(x, y, strict=True))
    with pytest.raises(ValueError, match="forests must be of"):
        decode(kept.replace(b"noise.base", b"noise.bass"))


def test_what_a_network_says_stands_behind_what_describes_a_strip() -> None:
    found = beside(Described("A00001", np.arange(3, dtype=np.float32)), np.array([7, 8], np.float16))
    assert found.record == "A00001"
    assert found.features.dtype == np.float32
    assert found.features.tolist() == [0, 1, 2, 7, 8]


def test_the_shipped_forests_weigh_what_the_network_says_as_well_as_what_describes_a_strip() -> None:
    used = np.concatenate([trees.feature[np.isfinite(trees.cut)] for trees in shipped()])
    assert used.max() < len(NAMES) + SAID
    assert (used < len(NAMES)).any()
    assert (used >= len(NAMES)).any()


def table(n: int = 80) -> tuple[list[Described], dict[str, Class]]:
    rng = np.random.default_rng(4)
    found, truth = [], {}
    for k in range(n):
        described = rng.normal(size=len(NAMES)).astype(np.float32)
        described[3] += 4 * (k % 4)
        found.append(Described(f"A{k:05}", described))
        truth[f"A{k:05}"] = CLASSES[k % 4]
    return found, truth


def test_what_is_grown_knows_strips_that_it_was_not_shown_and_the_order_of_records_changes_nothing() -> None:
    found, truth = table(400)
    shown, others = found[:320], found[320:]
    forests = fit(shown[::-1], truth)
    again = fit(found, truth, without={each.record for each in others})
    assert all(np.array_equal(a, b) for x, y in zip(forests, again, strict=True) for a, b in zip(x, y, strict=True))
    right = [classify(forests, each.features) == truth[each.record] for each in others]
    assert np.mean(right) > 0.8


def test_a_forest_says_the_mean_of_what_several_growths_of_it_say() -> None:
    found, truth = table(120)
    x = np.array([each.features for each in found])
    so = np.array([truth[each.record] == "A" for each in found])
    each = [grow(x, so, np.ones(len(x)), SEED + k) for k in range(GROWN)]
    assert not np.array_equal(each[0].leaf, each[1].leaf)
    said = log_odds(fit(found, truth), x[0])[CLASSES.index("A")]
    assert said == pytest.approx(np.mean([odds_of(trees, x[0]) for trees in each]), abs=1e-5)


def test_without_strips_of_every_class_nothing_is_grown() -> None:
    found, truth = table()
    with pytest.raises(ValueError, match="of every class"):
        fit(found, truth, without={name for name, each in truth.items() if each == "A"})


def test_the_list_of_classes_is_read_and_another_class_refused() -> None:
    assert read_reference("A1,N\nA2,~\n") == {"A1": "N", "A2": "~"}
    with pytest.raises(ValueError, match="one of N, A, O, ~"):
        read_reference("A1,X\n")


@pytest.mark.records
def test_a_record_is_described_by_its_first_lead(records: Path) -> None:
    found = collect(records / "cinc2017" / "A00001")
    assert found.record == "A00001"
    assert 8.0 < dict(zip(NAMES, found.features.tolist(), strict=True))["seconds"] < 62.0


def test_a_strip_is_a_bundle_of_what_the_front_end_says() -> None:
    strip = prepare(signal(regular()), RATE_HZ)
    assert isinstance(strip, Strip)
    assert len(strip.raw_mv) == len(strip.clean_mv) == 7500
    assert len(strip.beats) > 30
    assert len(strip.verdicts) == 30
