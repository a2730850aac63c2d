"""Forests that name beats: kept to the byte, gone through as they were grown, and refused where they are none."""

import numpy as np
import pytest

from ecg import beat_grow
from ecg.beat_context import N_CONTEXT
from ecg.beat_fit import ORIGIN
from ecg.beat_forest import SHIPPED, Forests, Trees, decode, encode, log_odds, made, shipped
from ecg.beat_grow import grow

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(4000, 6)).astype(np.float32)
TRUTH = (TABLE[:, 0] > 0.3) ^ (TABLE[:, 1] > 0)
EVEN = np.ones(len(TABLE))


def stump(cut: float) -> Trees:
    """A tree of depth 1 that says 2 above the cut of the second feature, and -1 below, with 0.5 to begin with."""
    leaf = np.array([[-1.0, 2.0]], np.float32)
    return Trees(np.array([0.5]), np.array([[1]], np.int16), np.array([[cut]], np.float32), leaf)


def test_a_tree_sends_to_the_right_what_is_above_its_cut() -> None:
    assert log_odds(stump(0.25), np.array([9.0, 0.25])) == -0.5
    assert log_odds(stump(0.25), np.array([9.0, 0.2501])) == 2.5
    assert log_odds(stump(np.inf), np.array([9.0, 1e30])) == -0.5


def test_what_made_the_beats_so_is_learned_though_neither_feature_tells_alone() -> None:
    trees = grow(TABLE, TRUTH, EVEN)
    fresh = np.random.default_rng(1).normal(size=(1000, 6))
    truth = (fresh[:, 0] > 0.3) ^ (fresh[:, 1] > 0)
    right = [(log_odds(trees, f) > 0) == so for f, so in zip(fresh, truth, strict=True)]
    assert np.mean(right) > 0.95


def test_the_same_beats_give_the_same_trees_and_weights_count() -> None:
    first, second = (encode(Forests(grow(TABLE, TRUTH, EVEN), stump(0)), {}) for _ in range(2))
    assert first == second
    assert encode(Forests(grow(TABLE, TRUTH, np.where(TRUTH, 2.0, 1.0)), stump(0)), {}) != first


def test_log_odds_are_those_of_the_growing() -> None:
    rare = RNG.random(len(TABLE)) < 0.2
    trees = grow(TABLE, rare, EVEN)
    odds = np.array([log_odds(trees, f.astype(np.float64)) for f in TABLE])
    assert np.mean(1 / (1 + np.exp(-odds))) == pytest.approx(rare.mean(), abs=0.01)


def test_beats_of_one_kind_cannot_be_told_apart() -> None:
    for truth in (np.zeros(10, bool), np.ones(10, bool), np.zeros(0, bool)):
        with pytest.raises(ValueError, match="every class"):
            grow(TABLE[: len(truth)], truth, np.ones(len(truth)))


def test_forests_are_kept_to_the_byte_and_say_how_they_were_made() -> None:
    kept = SHIPPED.read_bytes()
    assert encode(decode(kept), made(kept)) == kept
    said = made(kept)
    assert said["seed"] == beat_grow.SEED
    assert said["records"] == [f"{record_set}/{name}" for record_set, names in ORIGIN.items() for name in names]


def test_shipped_forests_ask_for_features_that_there_are() -> None:
    for trees in shipped():
        assert trees.feature.min() >= 0
        assert trees.feature.max() < N_CONTEXT
        assert not np.isnan(trees.cut).any()
        assert np.isfinite(trees.leaf).all()


def test_what_are_no_forests_is_refused() -> None:
    good = Forests(stump(0), stump(1))
    with pytest.raises(ValueError, match="safetensors"):
        decode(b"not at all")
    bad = good._replace(ventricular=stump(0)._replace(cut=np.zeros((1, 3), np.float32)))
    with pytest.raises(ValueError, match=r"ventricular: 1 trees of 2 leaves must have nodes of shape \(1, 1\)"):
        decode(encode(bad, {}))
