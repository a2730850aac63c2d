"""Where a device is, from alerts and vitals that come by two ways."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.publish import Places
from stream.store import Place

PLACES = [Place("icu", "1"), Place("icu", "2"), Place("ccu", "1")]


def test_a_device_that_stays_leaves_nothing() -> None:
    places = Places()
    assert [places.move("a", PLACES[0], time_ns) for time_ns in (1, 2, 2, 5)] == [None] * 4


def test_a_device_that_moves_leaves_its_old_bed() -> None:
    places = Places()
    places.move("a", PLACES[0], 1)
    assert places.move("a", PLACES[1], 2) == PLACES[0]


def test_what_comes_late_from_the_old_bed_is_taken_off_that_bed() -> None:
    places = Places()
    places.move("a", PLACES[1], 10)
    assert places.move("a", PLACES[0], 9) == PLACES[0]
    assert places.move("a", PLACES[1], 10) is None


def test_what_redis_shows_at_the_start_is_older_than_anything_new() -> None:
    places = Places()
    places.learn({"a": PLACES[0]})
    assert places.move("a", PLACES[2], 1) == PLACES[0]


@given(st.lists(st.tuples(st.sampled_from(PLACES), st.integers(0, 20)), min_size=1))
def test_a_device_stands_at_its_newest_place_alone(moves: list[tuple[Place, int]]) -> None:
    """Each message puts its device onto a bed before it is asked what to take it off."""
    places, shown = Places(), set()
    newest: tuple[int, Place] | None = None
    for place, time_ns in moves:
        shown.add(place)
        shown.discard(places.move("a", place, time_ns))
        if newest is None or time_ns >= newest[0]:
            newest = (time_ns, place)
        assert shown == {newest[1]}
