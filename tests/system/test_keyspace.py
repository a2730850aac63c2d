"""The Redis in memory, on which the simulator of faults stands, does what a real one does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from ecg.alert import Presence, Source
from stream.child import Service
from stream.embedded import start_redis
from stream.store import BehindError, ConflictError, Entry, Head, Place, Store, answer, connect
from tests.faults.brokers import Brokers, Host
from tests.faults.keyspace import Keyspace
from tests.faults.redis_client import Client, Server

pytestmark = pytest.mark.system
PRESENCES: tuple[Presence, ...] = ("on", "latched", "acknowledged", "off")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = start_redis(Path(tmp_path_factory.mktemp("redis")))
    yield service
    service.kill()


def entry(draw: random.Random, offset: int) -> Entry:
    """Any alert; those of one device follow each other, come again, come again with other bytes, or go back."""
    device, input_offset = draw.choice(("a", "b")), draw.randint(0, 12)
    id = f"{device}-{input_offset}-{draw.randint(0, 3)}"
    head = Head(
        id, device, draw.choice(("icu", "ccu")), draw.choice(("1", "2")), draw.choice(("asystole", "risk_level")),
        "high", "start", draw.choice(PRESENCES), draw.randint(0, 1),
        Source("ecg.input.v1", 0, input_offset, input_offset), msgspec.Raw(draw.choice((b"null", b'{"level":"low"}'))),
    )  # fmt: skip
    if hasattr(head, "chain"):
        head = msgspec.structs.replace(head, chain=draw.choice(("", f"{device}-{draw.randint(0, 6)}")))
    return Entry(offset, head, msgspec.json.encode([id, draw.randint(0, 9) // 9, head.source]))


async def told(store: Store, what: str, how: Any) -> Any:
    """Do one thing, and return what came of it."""
    try:
        result = await getattr(store, what)(*how)
    except BehindError as error:
        return dict(error.positions)
    except ConflictError as error:
        return str(error).partition(":")[0]
    return result


async def held(redis: Redis) -> dict[bytes, Any]:
    """All that a real Redis holds, as a `Keyspace` has it."""
    found: dict[bytes, Any] = {}
    for key in [key async for key in redis.scan_iter()]:
        match await redis.type(key):
            case b"stream":
                found[key] = [(name, dict(fields)) for name, fields in await answer(redis.xrange(key))]
            case b"hash":
                found[key] = await answer(redis.hgetall(key))
            case b"set":
                found[key] = set(await answer(redis.smembers(key)))
            case _:
                found[key] = await redis.get(key)
    return found


def deeds(draw: random.Random) -> Iterator[tuple[str, Any]]:
    """What a publisher does, now and then from further back, or as another publisher that starts anew."""
    log: list[Entry] = []
    at = 0
    for _ in range(draw.randint(5, 25)):
        log += [entry(draw, len(log) + nth) for nth in range(draw.randint(0, 4))]
        match draw.randrange(8):
            case 0:
                yield "open", ()
            case 1:
                vitals = b'{"offset":%d}' % draw.randint(0, 12)
                yield "show", ({"a": (Place("icu", draw.choice("12")), vitals)},)
            case 2:
                yield "leave", (draw.choice("ab"), Place("icu", draw.choice("12")), draw.randint(0, 14))
            case 3:
                at = draw.randint(0, at)
            case 4:
                yield "places", ()
            case _:
                yield "put", (log[at:], len(log))
                at = len(log)


def test_a_store_finds_and_leaves_the_same_in_memory_as_in_a_real_redis(server: Service) -> None:
    async def story(seed: int) -> None:
        loop = asyncio.get_running_loop()
        host = Host("test", Brokers(1, lambda: round(loop.time() * 1e9)), random.Random(seed))
        memory = Server(random.Random(seed))
        async with connect(f"redis://{server.address}/0") as redis:
            await redis.flushall()
            real, ours = Store(redis), Store(Client(host, memory))  # pyright: ignore[reportArgumentType]
            for what, how in deeds(random.Random(seed)):
                assert await told(ours, what, how) == await told(real, what, how), what
                assert memory.held.keys == await held(redis), what

    for seed in range(40):
        asyncio.run(story(seed))


SCRIPTS = (
    "return {1, 'two', 3.7, true, false, 5}",
    "return #ARGV .. '/' .. #KEYS",
    "local a, b, c = string.match(ARGV[1], '^(%w+) (%d+)') return {a or 'none', b or 'none', c or 'none'}",
    "local t = {} for i = 1, #ARGV do t[#t + 1] = i .. ':' .. ARGV[i] end return t",
    "local n = 10 while n > 3 do n = n - 2 if n == 6 then break end end return n",
    "return {string.sub(ARGV[1], 2, -2), string.sub(ARGV[1], -3), string.find(ARGV[1], 'b 1', 1, true) or 0}",
    "local got = redis.call('GET', 'nothing') return {got and 1 or 0, type(got)}",
    "local e = redis.pcall('XADD', KEYS[1], '1-1', 'a', 'b') e = redis.pcall('XADD', KEYS[1], '1-1', 'a', 'b') "
    "return type(e) == 'table' and e.err and 'refused' or 'taken'",
    "local function twice(x) return x .. x, 'unused' end local y = twice('ab') return {y, (twice('c')), twice('d')}",
    "return {tonumber('12') + 1, tonumber('x') or 'nil', 7 / 2, 6 / 2 .. '', 7 % 4, not nil and 1 or 0, -2 + 3 * 4}",
    "local x = 'a' do local x = 'b' end if x == 'a' and 1 ~= 2 or nil then return x elseif x then return 'no' end",
    "return {string.match('k: a-b, c\\n', '^.-(%a)%-(%a).*\\n$'), string.match('x', '[%d%s]+') or 'none'}",
    "return redis.sha1hex(ARGV[1])",
)


@pytest.mark.parametrize("source", SCRIPTS)
def test_a_script_gives_the_same_in_memory_as_in_a_real_redis(server: Service, source: str) -> None:
    async def story() -> Any:
        async with connect(f"redis://{server.address}/0") as redis:
            await redis.flushall()
            return await answer(redis.eval(source, 1, "key", "ab 12", "last"))

    assert Keyspace().script(source, [b"key"], [b"ab 12", b"last"]) == asyncio.run(story())
