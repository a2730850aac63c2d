"""Reading the wards' alerts: in the order of the alert topic, over wards and pages, and on as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from ecg.alert import Alert, Evidence, Source, encode
from stream.child import Service
from stream.client import PAGE, find_alert, read_alerts
from stream.embedded import start_redis
from stream.store import answer, connect, stream_key

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    service: Service = start_redis(Path(tmp_path_factory.mktemp("redis")))
    yield f"redis://{service.address}/0"
    service.kill()


def alert(nth: int, ward: str) -> Alert:
    return Alert(
        f"id-{nth}", "e", 0, 0, "", "a", "1", ward, "asystole", "MDC 199684", "high", "***", "start", "on", nth, nth,
        None, None, "", None, Evidence(), Source("ecg.input.v1", 0, nth, nth), (), "", "0",
    )  # fmt: skip


async def fill(url: str, first: int, wards: list[str]) -> None:
    """Write alerts, each to its ward, as the publisher does."""
    async with connect(url) as redis:
        await answer(redis.sadd("wards", *wards))
        for nth, ward in enumerate(wards, first):
            item = alert(nth, ward)
            await redis.xadd(stream_key(ward), {"alert": encode(item), "id": item.id}, id=f"{nth}-1")


async def emptied(url: str) -> None:
    async with connect(url) as redis:
        await redis.flushall()


async def read(url: str, ward: str | None = None, since: str = "0") -> list[str]:
    return [entry async for entry, _ in read_alerts(url, ward, since)]


def test_alerts_of_all_wards_come_in_the_order_of_the_alert_topic(url: str) -> None:
    async def story() -> None:
        await emptied(url)
        wards = ["a"] * (PAGE + 20) + ["b", "a", "c"] * 100 + ["b"] * (PAGE + 5)
        await fill(url, 0, wards)
        assert await read(url) == [f"{nth}-1" for nth in range(len(wards))]
        assert await read(url, "c") == [f"{nth}-1" for nth, ward in enumerate(wards) if ward == "c"]
        assert await read(url, since=f"{len(wards) - 3}-1") == [f"{nth}-1" for nth in range(len(wards))[-2:]]

    asyncio.run(story())


def test_a_follower_gets_what_comes_also_of_a_ward_that_is_new(url: str) -> None:
    async def story() -> None:
        await emptied(url)
        async with aclosing(read_alerts(url, follow=True)) as following, asyncio.timeout(15):
            waiting = asyncio.create_task(anext(following))
            await asyncio.sleep(0.1)
            await fill(url, 0, ["a"])
            assert (await waiting)[1] == alert(0, "a")
            await fill(url, 1, ["b"])
            assert (await anext(following))[1] == alert(1, "b")

    asyncio.run(story())


def test_an_alert_is_found_by_its_id_or_entry_wherever_it_is(url: str) -> None:
    async def story() -> None:
        await emptied(url)
        await fill(url, 0, ["a", "b"] * (PAGE // 2 + 10))
        assert await find_alert(url, "id-0") == alert(0, "a")
        assert await find_alert(url, "id-501") == alert(501, "b")
        assert await find_alert(url, "501-1") == alert(501, "b")
        assert await find_alert(url, "id-9999") is None

    asyncio.run(story())


def test_a_redis_without_wards_has_no_alerts(url: str) -> None:
    asyncio.run(emptied(url))
    assert asyncio.run(read(url)) == []
