"""Where a device is, from alerts and vitals that come by two ways."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ecg.alert import Vitals, encode
from stream.publish_vitals import Places, Seen
from stream.store import Place

PLACES = [Place("icu", "1"), Place("icu", "2"), Place("ccu", "1")]


def test_a_device_that_stays_leaves_nothing() -> None:
    places = Places()
    assert [places.move("a", PLACES[0], offset) for offset in (1, 2, 2, 5)] == [None] * 4


def test_a_device_that_moves_leaves_its_old_bed() -> None:
    places = Places()
    places.move("a", PLACES[0], 1)
    assert places.move("a", PLACES[1], 2) == PLACES[0]


def test_what_comes_late_from_the_old_bed_is_taken_off_that_bed() -> None:
    places = Places()
    places.move("a", PLACES[1], 10)
    assert places.move("a", PLACES[0], 9) == PLACES[0]
    assert places.move("a", PLACES[1], 10) is None


def test_a_device_whose_clock_was_set_back_stays_on_its_bed() -> None:
    """What comes later is newer, whatever the device believes the time to be: vitals name no time here at all."""
    places = Places()
    for offset, seconds in enumerate((100, 101, 40, 41)):
        vitals = Vitals("a", "1", "icu", seconds * 10**9, 61.0, "sinus", {}, None, (), (), offset=offset)
        seen = msgspec.json.decode(encode(vitals), type=Seen)
        assert places.move(seen.device, Place(seen.ward, seen.bed), seen.offset) is None
    assert places.move("a", PLACES[1], 4) == PLACES[0]


def test_what_redis_shows_at_the_start_is_older_than_anything_new() -> None:
    places = Places()
    places.learn({"a": PLACES[0]})
    assert places.move("a", PLACES[2], 0) == PLACES[0]


@given(st.lists(st.tuples(st.sampled_from(PLACES), st.integers(0, 20)), min_size=1))
def test_a_device_stands_at_its_newest_place_alone(moves: list[tuple[Place, int]]) -> None:
    """Each message puts its device onto a bed before it is asked what to take it off."""
    places, shown = Places(), set()
    newest: tuple[int, Place] | None = None
    for place, offset in moves:
        shown.add(place)
        shown.discard(places.move("a", place, offset))
        if newest is None or offset >= newest[0]:
            newest = (offset, place)
        assert shown == {newest[1]}
