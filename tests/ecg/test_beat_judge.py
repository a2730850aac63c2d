"""Judges that name beats: kept to the byte, the mean of trees and networks as they were fitted, refused if none."""

import numpy as np
import pytest

from ecg import beat_layers, forest_grow
from ecg.beat_context import N_CONTEXT
from ecg.beat_fit import ORIGIN
from ecg.beat_judge import (
    SHIPPED,
    Judge,
    Judges,
    Nets,
    Trees,
    decode,
    encode,
    log_odds,
    made,
    of_nets,
    of_trees,
    shipped,
)
from ecg.beat_layers import fit_nets
from ecg.forest_grow import grow

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(4000, 6)).astype(np.float32)
TRUTH = (TABLE[:, 0] > 0.3) ^ (TABLE[:, 1] > 0)
EVEN = np.ones(len(TABLE))


def stump(cut: float) -> Trees:
    """A tree of depth 1 that says 2 above the cut of the second feature, and -1 below, with 0.5 to begin with."""
    leaf = np.array([[-1.0, 2.0]], np.float32)
    return Trees(np.array([0.5]), np.array([[1]], np.int16), np.array([[cut]], np.float32), leaf)


def line(slope: float) -> Nets:
    """Two networks that say the first feature times the slope where that is above 0, and 1 and 3 beside."""
    first = np.zeros((2, 6, 1), np.float32)
    first[:, 0] = slope
    one, none = np.ones((2, 1), np.float32), np.zeros((2, 1), np.float32)
    return Nets(first, none, one[:, :, None], none, one, np.array([1.0, 3.0], np.float32))


def judge(lean: float = 0.0) -> Judge:
    return Judge(np.array([lean]), stump(0.25), line(2.0))


def test_a_tree_sends_to_the_right_what_is_above_its_cut() -> None:
    assert of_trees(stump(0.25), np.array([9.0, 0.25])) == -0.5
    assert of_trees(stump(0.25), np.array([9.0, 0.2501])) == 2.5
    assert of_trees(stump(np.inf), np.array([9.0, 1e30])) == -0.5


def test_networks_pass_on_what_is_above_nothing_and_no_feature_beyond_its_bound() -> None:
    assert of_nets(line(2.0), np.array([1.5, 0, 0, 0, 0, 0])) == 5.0
    assert of_nets(line(2.0), np.array([-1.5, 0, 0, 0, 0, 0])) == 2.0
    assert of_nets(line(2.0), np.array([1e9, 0, 0, 0, 0, 0])) == 26.0


def test_all_trees_count_as_much_as_each_network() -> None:
    assert log_odds(judge(0.5), np.array([1.5, 9.0, 0, 0, 0, 0])) == pytest.approx(0.5 + (2.5 + 4.0 + 6.0) / 3)


@pytest.mark.parametrize("kind", ["trees", "nets"])
def test_what_made_the_beats_so_is_learned_though_neither_feature_tells_alone(kind: str) -> None:
    fresh = np.random.default_rng(1).normal(size=(1000, 6))
    truth = (fresh[:, 0] > 0.3) ^ (fresh[:, 1] > 0)
    if kind == "trees":
        trees = grow(TABLE, TRUTH, EVEN)
        odds = [of_trees(trees, f) for f in fresh]
    else:
        nets = fit_nets(np.tile(TABLE, (20, 1)), np.tile(TRUTH, 20), np.tile(EVEN, 20))
        odds = [of_nets(nets, f) for f in fresh]
    assert np.mean((np.array(odds) > 0) == truth) > 0.93


def test_the_same_beats_give_the_same_judge_and_weights_count() -> None:
    def fitted(weight: np.ndarray) -> bytes:
        own = Judge(np.zeros(1), grow(TABLE, TRUTH, weight), fit_nets(TABLE, TRUTH, weight))
        return encode(Judges(own, judge()), {})

    first = fitted(EVEN)
    assert fitted(EVEN) == first
    assert fitted(np.where(TRUTH, 2.0, 1.0)) != first


def test_log_odds_are_those_of_the_growing() -> None:
    rare = RNG.random(len(TABLE)) < 0.2
    trees = grow(TABLE, rare, EVEN)
    odds = np.array([of_trees(trees, f.astype(np.float64)) for f in TABLE])
    assert np.mean(1 / (1 + np.exp(-odds))) == pytest.approx(rare.mean(), abs=0.01)


def test_beats_of_one_kind_cannot_be_told_apart() -> None:
    for truth in (np.zeros(10, bool), np.ones(10, bool), np.zeros(0, bool)):
        with pytest.raises(ValueError, match="every class"):
            grow(TABLE[: len(truth)], truth, np.ones(len(truth)))


def test_judges_are_kept_to_the_byte_and_say_how_they_were_made() -> None:
    kept = SHIPPED.read_bytes()
    assert encode(decode(kept), made(kept)) == kept
    said = made(kept)
    assert said["seeds"] == [forest_grow.SEED, *beat_layers.SEEDS]
    assert said["records"] == [f"{record_set}/{name}" for record_set, names in ORIGIN.items() for name in names]


def test_shipped_judges_ask_for_features_that_there_are() -> None:
    for each in shipped():
        assert each.trees.feature.min() >= 0
        assert each.trees.feature.max() < N_CONTEXT
        assert each.nets.into.shape[1] == N_CONTEXT
        assert not np.isnan(each.trees.cut).any()
        assert all(np.isfinite(part).all() for part in (each.trees.leaf, *each.nets))


def test_what_are_no_judges_is_refused() -> None:
    good = Judges(judge(), judge())
    with pytest.raises(ValueError, match="safetensors"):
        decode(b"not at all")
    cut = good.ventricular._replace(trees=stump(0)._replace(cut=np.zeros((1, 3), np.float32)))
    with pytest.raises(ValueError, match=r"ventricular.trees: 1 trees of 2 leaves must have nodes of shape \(1, 1\)"):
        decode(encode(good._replace(ventricular=cut), {}))
    thin = good.ventricular._replace(nets=line(1.0)._replace(begin=np.zeros((2, 4), np.float32)))
    with pytest.raises(ValueError, match="layers that fit"):
        decode(encode(good._replace(ventricular=thin), {}))
