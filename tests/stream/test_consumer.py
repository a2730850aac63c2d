"""Reading a ward's alerts in a group: each at least once, from where the group was, whatever happened meanwhile."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from ecg.alert import Alert, Evidence, Source, Vitals, encode
from stream.child import Service
from stream.consumer import Consumer, Delivered, Lost, suspensions
from stream.keys import stream_key
from stream.store import Place, Store, answer, connect
from stream.trim import trim

pytestmark = pytest.mark.system


def alert(nth: int, ward: str) -> Alert:
    return Alert(
        f"id-{nth}", "e", 0, 0, "", "a", "1", ward, "asystole", "MDC 199684", "high", "***", "start", "on", nth, nth,
        None, None, "", None, Evidence(), Source("ecg.input.v1", 0, nth, nth), (), "", "0",
    )  # fmt: skip


def printed(url: str, *words: str) -> list[dict[str, Any]]:
    """What `vigil alerts` prints, a line of JSON each."""
    command = [sys.executable, "-m", "stream", "alerts", "--json", *words]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "VIGIL_REDIS": url}, timeout=60, check=True)
    return [msgspec.json.decode(line) for line in done.stdout.splitlines()]


async def fill(redis: Redis, nths: range, ward: str = "icu") -> None:
    """Write alerts as the publisher does."""
    await answer(redis.sadd("wards", ward))
    pipe = redis.pipeline(transaction=False)
    for nth in nths:
        pipe.xadd(stream_key(ward), {"alert": encode(alert(nth, ward)), "id": f"id-{nth}"}, id=f"{nth}-1")
    await pipe.execute()


async def drained(consumer: Consumer, *, acknowledge: bool = True) -> list[Delivered]:
    """Read until there is nothing."""
    got: list[Delivered] = []
    while page := await consumer.read():
        got += page
        if acknowledge:
            await consumer.acknowledge(page)
    return got


def run_more(server: Service, nths: range) -> None:
    """Write more alerts to what is there."""

    async def story() -> None:
        async with connect(f"redis://{server.address}/0") as redis:
            await fill(redis, nths)

    asyncio.run(story())


def numbers(delivered: list[Delivered]) -> list[int]:
    return [int(each.alert.id.removeprefix("id-")) for each in delivered]


def test_a_group_goes_on_where_it_was(run) -> None:
    async def story(redis: Redis) -> None:
        await fill(redis, range(250))
        assert numbers(await drained(Consumer(redis, "pagers", "a"))) == list(range(250))
        await fill(redis, range(250, 260))
        got = await drained(Consumer(redis, "pagers", "a"))
        assert numbers(got) == list(range(250, 260))
        assert not any(each.again for each in got)

    run(story)


def test_a_group_starts_behind_the_entry_that_it_is_given(run) -> None:
    async def story(redis: Redis) -> None:
        await fill(redis, range(20))
        assert numbers(await drained(Consumer(redis, "late", "a", since="14-1"))) == [15, 16, 17, 18, 19]

    run(story)


def test_what_a_consumer_had_not_acknowledged_when_it_died_it_gets_again(run) -> None:
    async def story(redis: Redis) -> None:
        await fill(redis, range(30))
        dying = Consumer(redis, "pagers", "a")
        page = await dying.read()
        await dying.acknowledge(page[:20])
        got = await drained(Consumer(redis, "pagers", "a"))
        assert numbers(got) == list(range(20, 30))
        assert all(each.again for each in got)

    run(story)


def test_what_a_consumer_left_lying_goes_to_another_one_of_its_group(run) -> None:
    async def story(redis: Redis) -> None:
        await fill(redis, range(10))
        assert len(await Consumer(redis, "pagers", "dead").read()) == 10
        other = Consumer(redis, "pagers", "alive", idle_ms=100)
        assert await other.read() == []
        await asyncio.sleep(0.15)
        got = await drained(other)
        assert numbers(got) == list(range(10))
        assert all(each.again for each in got)

    run(story)


def test_two_consumers_of_a_group_share_and_two_groups_do_not(run) -> None:
    async def story(redis: Redis) -> None:
        await fill(redis, range(150))
        first, second = Consumer(redis, "pagers", "a"), Consumer(redis, "pagers", "b")
        assert (len(await first.read()), len(await second.read())) == (100, 50)
        assert len(await drained(Consumer(redis, "archive", "a"))) == 150

    run(story)


def test_a_ward_that_is_new_is_read_from_its_first_alert(run) -> None:
    async def story(redis: Redis) -> None:
        await answer(redis.sadd("wards", "icu", "ccu"))
        await fill(redis, range(3))
        consumer = Consumer(redis, "pagers", "a")
        assert numbers(await drained(consumer)) == [0, 1, 2]
        await fill(redis, range(3, 5), "ccu")
        assert [(each.ward, each.entry) for each in await drained(consumer)] == [("ccu", "3-1"), ("ccu", "4-1")]

    run(story)


def test_a_group_that_redis_lost_with_its_data_gets_the_rebuilt_alerts(run) -> None:
    async def story(redis: Redis) -> None:
        await fill(redis, range(8))
        consumer = Consumer(redis, "pagers", "a")
        await drained(consumer)
        await redis.flushall()
        assert await consumer.read() == []
        await fill(redis, range(10))
        got = await drained(consumer)
        assert numbers(got) == list(range(10)), "at least once: the ids tell the consumer which it had"

    run(story)


def test_vigil_alerts_goes_on_as_a_group_where_it_was(server: Service, run) -> None:
    run(lambda redis: fill(redis, range(120)))
    url = f"redis://{server.address}/0"
    assert [line["entry"] for line in printed(url, "--group", "pagers")] == [f"{nth}-1" for nth in range(120)]
    run_more(server, range(120, 122))
    assert [line["alert"]["id"] for line in printed(url, "--group", "pagers")] == ["id-120", "id-121"]


def test_alerts_that_were_trimmed_unread_are_counted_and_said_to_be_in_kafka(run) -> None:
    async def story(redis: Redis) -> None:
        await fill(redis, range(300))
        consumer = Consumer(redis, "pagers", "a", ward="icu")
        page = await consumer.read()
        await consumer.acknowledge(page)
        await trim(redis, "icu", kept=50, most=80)
        got = await consumer.read()
        assert consumer.lost == [Lost("icu", 120, 100, 220)]
        assert "120 alerts of ward icu" in str(consumer.lost[0])
        assert "offsets 100 to 219 of ecg.alerts.v1" in str(consumer.lost[0])
        assert numbers(got) == list(range(220, 300))
        await consumer.acknowledge(got)
        assert await consumer.read() == []
        assert consumer.lost == [], "it is said once"

    run(story)


def test_trimming_what_was_read_is_no_loss(run) -> None:
    async def story(redis: Redis) -> None:
        await fill(redis, range(300))
        consumer = Consumer(redis, "pagers", "a")
        await drained(consumer)
        await trim(redis, "icu", kept=50, most=80)
        await fill(redis, range(300, 310))
        assert numbers(await consumer.read()) == list(range(300, 310))
        assert consumer.lost == []

    run(story)


def test_what_was_trimmed_while_it_lay_unacknowledged_is_said_to_be_lost(run) -> None:
    async def story(redis: Redis) -> None:
        await fill(redis, range(20))
        await Consumer(redis, "pagers", "a").read()
        await redis.xtrim(stream_key("icu"), minid="15-0", approximate=False)
        again = Consumer(redis, "pagers", "a")
        assert numbers(await again.read()) == [15, 16, 17, 18, 19]
        assert again.lost == [Lost("icu", 15, 0, 15)]

    run(story)


STEP = st.one_of(
    st.tuples(st.just("write"), st.integers(1, 5)),
    st.tuples(st.just("read"), st.sampled_from("ab")),
    st.tuples(st.just("acknowledge"), st.sampled_from("ab")),
    st.tuples(st.just("crash"), st.sampled_from("ab")),
    st.tuples(st.just("lose"), st.none()),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEP, max_size=25))
def test_whoever_crashes_and_whatever_redis_loses_each_alert_is_delivered(
    run: Callable[..., Any], steps: list[tuple[str, Any]]
) -> None:
    async def story(redis: Redis) -> None:
        await answer(redis.sadd("wards", "icu"))
        made = {name: Consumer(redis, "pagers", name, idle_ms=1) for name in "ab"}
        held: dict[str, list[Delivered]] = {"a": [], "b": []}
        written, acted = 0, set[int]()
        for what, which in [*steps, ("write", 1)]:
            match what:
                case "write":
                    await fill(redis, range(written, written + which))
                    written += which
                case "read":
                    held[which] += await made[which].read()
                case "acknowledge":
                    acted.update(numbers(held[which]))
                    await made[which].acknowledge(held[which])
                    held[which] = []
                case "crash":
                    made[which], held[which] = Consumer(redis, "pagers", which, idle_ms=1), []
                case _:
                    await redis.flushall()
                    await fill(redis, range(written))
        for _ in range(3):
            await asyncio.sleep(0.003)
            for consumer in made.values():
                acted.update(numbers(await drained(consumer)))
        assert acted == set(range(written))

    run(story)


def test_beds_whose_tick_stands_still_are_named_within_5_s_and_when_they_come_back(server: Service) -> None:
    """Two beds of one ward; one stops, and comes back. A third one leaves, and is not missed."""
    url = f"redis://{server.address}/0"

    def vitals(device: str, second: int, *, gone: bool = False) -> bytes:
        given = Vitals(device, device, "icu", 1, 60.0, "sinus", {}, None, (), (), 0, second, second, gone)
        return encode(given)

    async def story() -> list[tuple[str, bool, float]]:
        loop, seen = asyncio.get_running_loop(), list[tuple[str, bool, float]]()
        async with connect(url) as redis:
            await redis.flushall()
            store, start_s = Store(redis), loop.time()

            async def devices() -> None:
                for second in range(1, 9):
                    stopped = 2 <= second < 7
                    shown = {"goes on": second, "stops": 1 if stopped else second, "leaves": min(second, 2)}
                    place = {name: Place("icu", name) for name in shown}
                    here = {n: (place[n], vitals(n, t, gone=n == "leaves" and second > 1)) for n, t in shown.items()}
                    await store.show(here)
                    await asyncio.sleep(1.0)

            async def watch() -> None:
                async with aclosing(suspensions(url, "icu")) as changes:
                    async for change in changes:
                        seen.append((change.bed.device, change.suspended, loop.time() - start_s))

            watching = asyncio.create_task(watch())
            await devices()
            watching.cancel()
            await asyncio.wait([watching])
        return seen

    (stopped, was, at_s), (back, again, back_s) = asyncio.run(story())
    assert (stopped, was, back, again) == ("stops", True, "stops", False)
    assert 3.0 < at_s < 4.5, "its last tick came with the first second"
    assert 6.0 < back_s < 7.5
