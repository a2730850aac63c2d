"""The forest that doubts beats: what it says is none is none, when it is asked, and its file."""

import numpy as np
import pytest

from ecg import beat_context as names
from ecg.beat_class import APART, SINCE
from ecg.beat_doubt import NEVER, SHIPPED, decode, encode, made
from ecg.beat_fit import ORIGIN
from ecg.beat_state import Rules, first_state
from ecg.beat_weights import Weights
from ecg.beats import Beats
from ecg.forest import Trees
from tests.ecg.test_beats import RATE, complexes, every, feed, noise


def says(odds: float) -> Trees:
    """A forest that says the same of everything."""
    return NEVER._replace(base=np.array([odds]))


@pytest.mark.parametrize(("odds", "found"), [(-5.0, False), (-0.5, True), (5.0, True)])
def test_what_is_unlike_the_normal_beat_is_one_unless_it_is_most_unlikely_to_be(odds: float, found: bool) -> None:
    at = every(0.9, 60)
    wide = [t + 0.45 for t in at[25::4]]
    x = complexes(at, 60) + complexes(wide, 60, qrs_mv=-1.2, width_s=0.16) + noise(60, 0.005)
    beats = Beats(Rules(weights=Weights(doubt=says(odds))))
    beats.reset(0)
    at_s = feed(x, beats)["sample"] / RATE
    near = [bool((abs(at_s - t) < 0.1).any()) for t in wide]
    assert all(near) if found else not any(near)
    assert all((abs(at_s - t) < 0.1).any() for t in at[3:-1])


def test_nothing_is_doubted_without_a_normal_beat_or_in_a_fast_run_of_one_shape() -> None:
    bed, f = first_state().reshape(1), np.zeros(names.N_CONTEXT)
    for dominant, apart, last, like, asked in (
        (0, 0.5, "N", 0.95, True),
        (-1, 0.5, "N", 0.95, False),
        (0, 0.95, "N", 0.95, False),
        (0, 0.5, "V", 0.95, False),
        (0, 0.5, "V", 0.5, True),
    ):
        bed["dominant"], bed["found"]["label"] = dominant, ord(last)
        f[APART], f[SINCE], f[names.LAST_LIKE] = apart, 0.4, like
        assert names.beat_odds(bed[0], f, says(-3.0)) == (-3.0 if asked else names.CERTAIN)


def test_where_the_last_were_doubtful_less_doubt_is_enough() -> None:
    bed = first_state().reshape(1)
    assert not names.is_none(bed[0], -2.0)
    assert names.is_none(bed[0], -2.0)
    for _ in range(60):
        assert not names.is_none(bed[0], 1.0)
    assert not names.is_none(bed[0], -2.0)


def test_the_forest_is_kept_to_the_byte_and_says_how_it_was_made() -> None:
    kept = SHIPPED.read_bytes()
    assert encode(decode(kept), made(kept)) == kept
    assert made(kept)["records"] == [f"{name}/{record}" for name, records in ORIGIN.items() for record in records]
    assert "-dirty" not in made(kept)["commit"]
    assert decode(kept).feature.max() < names.N_CONTEXT
    with pytest.raises(ValueError, match="must be of"):
        decode(encode(NEVER, {}).replace(b"beat.leaf", b"beat.lead"))
