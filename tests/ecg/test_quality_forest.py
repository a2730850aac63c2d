"""The forest that calls recordings acceptable or not: walked right, kept exactly, shipped whole."""

from __future__ import annotations

import numpy as np
import pytest

from ecg.quality_features import NAMES
from ecg.quality_forest import SHIPPED, Forest, decode, encode, judge, made, shipped, unacceptable


def forest() -> Forest:
    """Two trees of depth 2 over the first two features, whose steps end at 0 and 1."""
    edges = np.zeros((len(NAMES), 2)) + np.array([0.0, 1.0])
    feature = np.array([[0, 1, 1], [1, 0, 0]])
    step = np.array([[0, 0, 1], [1, 1, 1]])
    votes = np.array([[0.0, 0.1, 0.2, 0.3], [0.4, 0.5, 0.6, 0.7]])
    return Forest(edges, feature, step, votes)


def walked(first: float, second: float) -> float:
    row = np.zeros((1, len(NAMES)))
    row[0, :2] = first, second
    return float(unacceptable(forest(), row)[0])


def test_each_tree_is_walked_to_its_leaf_and_the_mean_of_their_votes_counts() -> None:
    assert walked(-1.0, -1.0) == pytest.approx((0.0 + 0.4) / 2)
    assert walked(-1.0, 0.5) == pytest.approx((0.1 + 0.4) / 2)
    assert walked(0.5, 0.5) == pytest.approx((0.2 + 0.4) / 2)
    assert walked(2.0, 2.0) == pytest.approx((0.3 + 0.7) / 2)


def test_what_stands_on_an_edge_is_on_the_step_below_it() -> None:
    assert walked(0.0, 0.0) == walked(-1.0, -1.0)


def test_a_forest_is_read_as_it_was_written() -> None:
    written = encode(forest(), {"seed": 1})
    kept = decode(written)
    assert written == encode(forest(), {"seed": 1})
    assert made(written)["seed"] == 1
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(kept, forest(), strict=True))


def test_a_forest_of_other_features_or_with_a_broken_tree_is_refused() -> None:
    with pytest.raises(ValueError, match="features"):
        decode(encode(forest(), {"features": ["height"]}))
    with pytest.raises(ValueError, match="say how they were made"):
        decode(b"{}")
    with pytest.raises(ValueError, match="nodes of shape"):
        decode(encode(forest()._replace(step=forest().step[:, :2]), {}))


def test_the_shipped_forest_divides_by_features_that_there_are_and_votes_between_0_and_1() -> None:
    found = shipped()
    assert found.feature.max() < len(NAMES) == len(found.edges)
    assert 0 <= found.votes.min() < 0.5 < found.votes.max() <= 1
    assert {"command", "seed", "split", "commit", "records"} <= made(SHIPPED.read_bytes()).keys()


def test_twelve_flat_leads_are_unacceptable_and_twelve_of_a_quiet_heart_are_not() -> None:
    t_s = np.arange(2500) / 250 % 0.8
    bumps = ((0.12, 0.25, 0.025), (-0.1, 0.38, 0.010), (1.0, 0.40, 0.011), (-0.2, 0.43, 0.010), (0.3, 0.62, 0.045))
    beat = sum((a * np.exp(-0.5 * ((t_s - c) / w) ** 2) for a, c, w in bumps), np.zeros(2500))
    shares = np.array([0.5, 0.9, 0.4, -0.7, 0.1, 0.6, -0.5, -0.7, 0.6, 1.1, 1.0, 0.8])
    heart = shares[:, None] * beat + np.random.default_rng(1).normal(0, 0.004, (12, 2500))
    assert judge(np.zeros((12, 2500), np.float32)) > 0.5 > judge(heart.astype(np.float32))
