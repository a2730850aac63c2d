"""What wards read: each alert once, with the same id, whatever is delivered again, lost or rolled back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from ecg.alert import Presence, Source
from stream.child import Service
from stream.store import (
    PER_CALL,
    SERVICES,
    BehindError,
    ConflictError,
    Entry,
    Head,
    Place,
    Store,
    Wrote,
    answer,
    connect,
)

pytestmark = pytest.mark.system
Dump = dict[str, Any]


def entry(
    offset: int,
    input_offset: int,
    device: str = "monitor-1",
    *,
    ordinal: int = 0,
    ward: str = "icu",
    bed: str = "1",
    condition: str = "asystole",
    presence: Presence = "on",
    risk: bytes = b"null",
    more: str = "",
) -> Entry:
    """An alert at an offset of the alert topic, decided by an offset of the input."""
    source = Source("ecg.input.v1", 0, input_offset, input_offset)
    head = Head(
        f"{device}-{input_offset}-{ordinal}", device, ward, bed, condition, "high", "start", presence,
        ordinal, source, msgspec.Raw(risk),
    )  # fmt: skip
    return Entry(offset, head, msgspec.json.encode([head, more]))


async def dump(redis: Redis) -> Dump:
    """All that Redis holds, but for the positions, which say how far the log was read and not what is in it."""
    held: Dump = {}
    for key in sorted([key.decode() async for key in redis.scan_iter()]):
        kind = await redis.type(key)
        if kind == b"stream":
            held[key] = await redis.xrange(key)
        elif kind == b"hash":
            held[key] = await answer(redis.hgetall(key))
        elif kind == b"set":
            held[key] = await answer(redis.smembers(key))
    return held


async def saved(redis: Redis) -> dict[bytes, bytes]:
    """A copy of all that Redis holds."""
    return {key: await redis.dump(key) or b"" for key in [k async for k in redis.scan_iter()]}


async def fields_of(redis: Redis, bed: str) -> dict[bytes, bytes]:
    return await answer(redis.hgetall(bed))


async def opened(redis: Redis) -> Store:
    store = Store(redis)
    await store.open()
    return store


def ids(held: Dump, ward: str = "icu") -> list[tuple[str, str]]:
    """The ids of a ward's stream, each with the id of its alert."""
    return [(name.decode(), fields[b"id"].decode()) for name, fields in held.get(f"alerts:{{{ward}}}", [])]


def test_an_alert_stands_at_its_offset_in_the_alert_topic(run) -> None:
    async def story(redis: Redis) -> Dump:
        store = await opened(redis)
        assert await store.put([entry(0, 10), entry(7, 12)], 8) == Wrote((0, 7))
        assert await store.open() == 8
        return await dump(redis)

    assert ids(run(story)) == [("0-1", "monitor-1-10-0"), ("7-1", "monitor-1-12-0")]


def test_delivered_again_and_emitted_again_change_nothing(run) -> None:
    async def story(redis: Redis) -> None:
        store = await opened(redis)
        first = [entry(0, 10), entry(1, 10, ordinal=1), entry(2, 12)]
        await store.put(first, 3)
        before = await dump(redis)
        assert await store.put(first, 3) == Wrote((), (0, 1, 2))
        again = [entry(3, 10), entry(4, 10, ordinal=1), entry(5, 12)]
        assert await store.put(again, 6) == Wrote((), (3, 4, 5))
        assert await dump(redis) == before
        assert await store.put([entry(6, 13)], 7) == Wrote((6,))

    run(story)


def test_the_fence_of_a_device_does_not_hold_up_another(run) -> None:
    async def story(redis: Redis) -> None:
        store = await opened(redis)
        await store.put([entry(0, 100, "a")], 1)
        assert await store.put([entry(1, 5, "b")], 2) == Wrote((1,))

    run(story)


def test_more_alerts_than_one_call_takes_keep_their_order(run) -> None:
    async def story(redis: Redis) -> Dump:
        store = await opened(redis)
        many = [entry(at, at) for at in range(3 * PER_CALL + 5)]
        assert await store.put(many, len(many)) == Wrote(tuple(range(len(many))))
        return await dump(redis)

    assert [name for name, _ in ids(run(story))] == [f"{at}-1" for at in range(3 * PER_CALL + 5)]


def test_a_device_that_changes_its_ward_is_fenced_in_both(run) -> None:
    moved = [entry(0, 10), entry(1, 20, ward="ccu", bed="9"), entry(2, 30)]

    async def story(redis: Redis) -> Dump:
        store = await opened(redis)
        await store.put(moved, 3)
        again = [item._replace(offset=item.offset + 3) for item in moved]
        assert await store.put(again, 6) == Wrote((), (3, 4, 5))
        return await dump(redis)

    held = run(story)
    assert [name for name, _ in ids(held)] == ["0-1", "2-1"]
    assert [name for name, _ in ids(held, "ccu")] == ["1-1"]
    assert held["wards"] == {b"icu", b"ccu"}


def test_an_alarm_stands_on_its_bed_until_it_is_off(run) -> None:
    async def story(redis: Redis) -> None:
        store = await opened(redis)
        shown: list[Presence] = ["on", "latched", "acknowledged", "off"]
        for at, presence in enumerate(shown):
            await store.put([entry(at, at, presence=presence)], at + 1)
            assert (b"on:asystole:monitor-1" in await fields_of(redis, "bed:{icu}:1")) is (presence != "off")
        await store.put([entry(4, 4, condition="risk_level", risk=b'{"level":"high"}')], 5)
        fields = await fields_of(redis, "bed:{icu}:1")
        assert fields[b"risk:monitor-1"] == b'{"level":"high"}'
        assert not [name for name in fields if name.startswith(b"on:")]

    run(story)


def test_two_devices_at_one_bed_never_hide_each_other(run) -> None:
    async def story(redis: Redis) -> None:
        store = await opened(redis)
        await store.put([entry(0, 1, "a"), entry(1, 1, "b"), entry(2, 2, "a", presence="off")], 3)
        fields = await fields_of(redis, "bed:{icu}:1")
        assert b"on:asystole:b" in fields
        assert b"on:asystole:a" not in fields

    run(story)


def test_redis_that_was_lost_whole_is_rebuilt_with_the_same_ids(run) -> None:
    log = [entry(0, 1), entry(1, 1, "b"), entry(2, 2), entry(3, 2), entry(4, 1, "b"), entry(5, 3, ward="ccu")]

    async def story(redis: Redis) -> None:
        store = await opened(redis)
        for item in log:
            await store.put([item], item.offset + 1)
        before = await dump(redis)
        await redis.flushall()
        with pytest.raises(BehindError) as lost:
            await store.put([], len(log))
        assert dict(lost.value.positions) == {"icu": 0, "ccu": 0}
        await store.put(log, len(log))
        assert await dump(redis) == before

    run(story)


def test_redis_that_was_rolled_back_is_noticed_before_anything_is_written(run) -> None:
    async def story(redis: Redis) -> None:
        store = await opened(redis)
        await store.put([entry(0, 1), entry(1, 2)], 2)
        kept = await saved(redis)
        await store.put([entry(2, 3)], 3)
        await redis.flushall()
        for key, value in kept.items():
            await redis.restore(key, 0, value)
        before = await dump(redis)
        with pytest.raises(BehindError) as back:
            await store.put([entry(3, 4)], 4)
        assert dict(back.value.positions) == {"icu": 2}
        assert await dump(redis) == before
        await store.put([entry(2, 3), entry(3, 4)], 4)
        assert [name for name, _ in ids(await dump(redis))] == ["0-1", "1-1", "2-1", "3-1"]

    run(story)


def test_a_second_publisher_that_is_behind_does_not_disturb_the_first(run) -> None:
    async def story(redis: Redis) -> None:
        ahead, behind = await opened(redis), await opened(redis)
        log = [entry(at, at) for at in range(4)]
        await ahead.put(log, 4)
        assert await behind.put(log[:2], 2) == Wrote((), (0, 1))
        assert await ahead.put([entry(4, 4)], 5) == Wrote((4,))
        assert await behind.put([*log[2:], entry(4, 4)], 5) == Wrote((), (2, 3, 4))

    run(story)


def test_an_alert_that_comes_again_with_other_bytes_is_a_conflict(run) -> None:
    async def story(redis: Redis) -> None:
        store = await opened(redis)
        await store.put([entry(0, 1), entry(1, 2)], 2)
        before = await dump(redis)
        assert await store.put([entry(2, 1, more="altered")], 3) == Wrote((), (2,), (2,))
        later = entry(3, 9, more="derived from a later input")
        same = later._replace(head=msgspec.structs.replace(later.head, id="monitor-1-2-0"))
        assert await store.put([same], 4) == Wrote((), (3,), (3,))
        assert await dump(redis) == before, "the stored alert stays as it was"

    run(story)


def test_an_alert_that_another_derivation_puts_among_those_that_are_there_is_a_conflict(run) -> None:
    async def story(redis: Redis) -> None:
        store = await opened(redis)
        await store.put([entry(0, 1), entry(1, 5)], 2)
        assert await store.put([entry(2, 3)], 3) == Wrote((), (2,), (2,))

    run(story)


def test_what_is_older_than_the_fence_remembers_is_dropped_without_a_word(run) -> None:
    async def story(redis: Redis) -> None:
        store = await opened(redis)
        await store.put([entry(at, at) for at in range(200)], 200)
        assert len((await fields_of(redis, "fence:{icu}"))[b"monitor-1"]) <= 2400
        assert await store.put([entry(200, 0), entry(201, 199)], 202) == Wrote((), (200, 201))
        assert await store.put([entry(202, 0, more="altered")], 203) == Wrote((), (202,))

    run(story)


def behind(item: Entry, chain: str) -> Entry:
    return item._replace(head=msgspec.structs.replace(item.head, chain=chain))


def test_two_alerts_behind_the_same_one_are_a_fork_and_the_newer_one_still_reaches_the_ward(run) -> None:
    async def story(redis: Redis) -> Dump:
        store = await opened(redis)
        await store.put([behind(entry(0, 1), ""), behind(entry(1, 2), "a"), behind(entry(2, 3), "b")], 3)
        assert await store.put([behind(entry(3, 4), "a")], 4) == Wrote((3,), forks=(3,))
        assert await store.put([behind(entry(4, 2, ordinal=1), "a")], 5) == Wrote((), (4,), forks=(4,))
        assert await store.put([behind(entry(5, 3), "b")], 6) == Wrote((), (5,))
        return await dump(redis)

    assert [name for name, _ in ids(run(story))] == ["0-1", "1-1", "2-1", "3-1"]


def test_a_chain_that_begins_anew_is_no_fork(run) -> None:
    async def story(redis: Redis) -> None:
        store = await opened(redis)
        assert await store.put([behind(entry(0, 1), ""), behind(entry(1, 2), "")], 2) == Wrote((0, 1))

    run(story)


def test_alerts_that_a_service_raised_of_itself_are_found_again(run) -> None:
    def own(item: Entry) -> Entry:
        source = msgspec.structs.replace(item.head.source, topic="ecg.alerts.v1")
        return item._replace(head=msgspec.structs.replace(item.head, source=source))

    async def story(redis: Redis) -> None:
        store = await opened(redis)
        items = [
            own(entry(at, at, "vigil:publisher", ward="unassigned", bed="publisher", condition=c, presence=p))
            for at, c, p in SHOWN
        ]
        await store.put(items, 3)
        assert set(await store.raised("publisher")) == {items[0].value, items[2].value}
        assert await store.raised("another") == []
        assert await answer(redis.smembers(SERVICES)) == {b"publisher"}

    run(story)


SHOWN: list[tuple[int, str, Presence]] = [(0, "chain_fork", "on"), (1, "store_down", "on"), (2, "store_down", "off")]


def test_a_stream_ahead_of_its_fence_is_not_written_to(run) -> None:
    async def story(redis: Redis) -> None:
        store = await opened(redis)
        await redis.xadd("alerts:{icu}", {"alert": "from elsewhere"}, id="100-1")
        before = await dump(redis)
        with pytest.raises(ConflictError, match="ward icu"):
            await store.put([entry(5, 1)], 6)
        held = await dump(redis)
        del held["wards"]
        assert held == before

    run(story)


def test_redis_that_began_anew_is_gone_back_to_though_its_positions_are_the_same(run) -> None:
    async def story(redis: Redis) -> None:
        store = await opened(redis)
        await store.put([entry(0, 1)], 1)
        await redis.script_flush()
        with pytest.raises(BehindError) as anew:
            await store.put([entry(1, 2)], 2)
        assert dict(anew.value.positions) == {"icu": 1}
        assert await store.put([entry(1, 2)], 2) == Wrote((1,))

    run(story)


def test_a_ward_and_a_bed_without_alerts_are_listed_again_after_redis_lost_them(run) -> None:
    async def story(redis: Redis) -> None:
        store = await opened(redis)
        here = {"b": (Place("ccu", "2"), b'{"rate":1}')}
        await store.show(here)
        await redis.flushall()
        await store.put([entry(0, 1)], 1)
        assert await redis.smembers("wards") == {b"icu", b"ccu"}
        await store.show(here)
        assert await redis.smembers("beds:{ccu}") == {b"2"}

    run(story)


def test_vitals_stand_on_the_bed_and_go_with_their_device(run) -> None:
    async def story(redis: Redis) -> None:
        store = await opened(redis)
        await store.put([entry(0, 1), entry(1, 1, "b", presence="off")], 2)
        here = Place("icu", "1")
        await store.show({"monitor-1": (here, b"{1}"), "b": (here, b"{2}")})
        assert await store.places() == {"monitor-1": here, "b": here}
        await store.leave("monitor-1", here)
        fields = await fields_of(redis, "bed:{icu}:1")
        assert fields[b"vitals:b"] == b"{2}"
        assert not [name for name in fields if name.endswith(b"monitor-1")]
        await store.leave("b", here)
        held = await dump(redis)
        assert "bed:{icu}:1" not in held
        assert "beds:{icu}" not in held

    run(story)


def alarm(offset: int, input_offset: int, bed: str, condition: str = "asystole") -> Entry:
    """An alarm that stands on a bed, with the bytes that tell since which input."""
    made = entry(offset, input_offset, bed=bed, condition=condition)
    return made._replace(value=msgspec.json.encode(made.head))


def test_a_device_that_has_come_back_keeps_what_is_newer_than_its_leaving(run) -> None:
    """A publisher that lags behind another, or goes through a batch, takes off no more than what had been left."""

    async def story(redis: Redis) -> None:
        store = await opened(redis)
        await store.put([alarm(0, 10, "1"), alarm(1, 20, "2"), alarm(2, 30, "1", "lead_off")], 3)
        await store.leave("monitor-1", Place("icu", "1"), 20)
        fields = await fields_of(redis, "bed:{icu}:1")
        assert [name for name in fields if name.startswith(b"on:")] == [b"on:lead_off:monitor-1"]
        await store.leave("monitor-1", Place("icu", "2"), 30)
        assert await answer(redis.smembers("beds:{icu}")) == {b"1"}

    run(story)


def test_a_device_that_its_publisher_had_no_time_to_take_off_a_bed_is_taken_off_at_the_next_start(run) -> None:
    async def story(redis: Redis) -> None:
        store = await opened(redis)
        await store.put([alarm(0, 10, "1"), alarm(1, 20, "2")], 2)
        await store.show({"monitor-1": (Place("icu", "1"), b'{"offset":11}')})
        assert await store.places() == {"monitor-1": Place("icu", "2")}
        assert await fields_of(redis, "bed:{icu}:1") == {}
        assert b"on:asystole:monitor-1" in await fields_of(redis, "bed:{icu}:2")

    run(story)


Emitted = list[tuple[str, int]]


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[dict[str, int], list[tuple[str, Any]]]:
    """Alerts of some devices, and what happens: emissions, deliveries, restarts, rollbacks."""
    devices = {f"d{at}": draw(st.integers(1, 6)) for at in range(draw(st.integers(1, 3)))}
    steps = st.one_of(
        st.tuples(st.just("emit"), st.tuples(st.sampled_from(sorted(devices)), st.integers(0, 6), st.integers(1, 6))),
        st.tuples(st.just("deliver"), st.integers(1, 8)),
        st.tuples(st.just("save"), st.none()),
        st.tuples(st.just("roll back"), st.none()),
        st.tuples(st.just("restart"), st.none()),
    )
    return devices, draw(st.lists(steps, max_size=25))


class _Publishing:
    """An alert topic, a publisher reading it, and a Redis that can go back to what it was saved as."""

    def __init__(self, redis: Redis, devices: dict[str, int]) -> None:
        self.redis, self.devices = redis, devices
        self.log: list[Entry] = []
        self.emitted = dict.fromkeys(devices, 0)
        self.at = 0
        self.saved: dict[bytes, bytes] = {}
        self.store = Store(redis)

    def emit(self, device: str, start: int, count: int) -> None:
        """Emit as a worker does: from no later than the first alert that was not emitted yet, without holes."""
        start = min(start, self.emitted[device])
        end = min(start + count, self.devices[device])
        for nth in range(start, end):
            self.log.append(entry(len(self.log), nth // 2, device, ordinal=nth % 2, ward=f"w{nth // 4}"))
        self.emitted[device] = max(self.emitted[device], end)

    async def deliver(self, count: int) -> None:
        batch = self.log[self.at : self.at + count]
        try:
            await self.store.put(batch, self.at + len(batch))
            self.at += len(batch)
        except BehindError as behind:
            self.at = min(behind.positions.values())

    async def save(self) -> None:
        self.saved = await saved(self.redis)

    async def roll_back(self) -> None:
        await self.redis.flushdb()
        for key, value in self.saved.items():
            await self.redis.restore(key, 0, value)

    async def restart(self) -> None:
        self.store = Store(self.redis)
        self.at = await self.store.open()

    async def step(self, what: str, how: Any) -> None:
        match what:
            case "emit":
                self.emit(*how)
            case "deliver":
                await self.deliver(how)
            case "save":
                await self.save()
            case "roll back":
                await self.roll_back()
            case "restart":
                await self.restart()

    async def settle(self) -> None:
        while self.at < len(self.log):
            await self.deliver(8)
        await self.deliver(1)
        while self.at < len(self.log):
            await self.deliver(8)


def first_emissions(log: Sequence[Entry]) -> dict[str, list[str]]:
    """What each ward must hold: each alert at the offset of its first emission."""
    seen: set[str] = set()
    held: dict[str, list[str]] = {}
    for item in log:
        if item.head.id not in seen:
            seen.add(item.head.id)
            held.setdefault(item.head.ward, []).append(f"{item.offset}-1")
    return held


@settings(max_examples=60, deadline=None)
@given(deliveries())
def test_whatever_happens_each_alert_is_there_once_at_its_first_offset(
    server: Service, case: tuple[dict[str, int], list[tuple[str, Any]]]
) -> None:
    devices, steps = case

    async def story() -> None:
        async with connect(f"redis://{server.address}/0") as redis:
            await redis.flushall()
            publishing = _Publishing(redis, devices)
            await publishing.restart()
            for what, how in steps:
                await publishing.step(what, how)
            await publishing.settle()
            held = await dump(redis)
            for ward, expected in first_emissions(publishing.log).items():
                assert [name for name, _ in ids(held, ward)] == expected

    asyncio.run(story())
