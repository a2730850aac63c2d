"""A real Kafka and a real Redis with TLS, users and rights: what is right works, what is wrong is said in one line."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import pytest
from redis.exceptions import NoPermissionError

from simulators.clock import Clock
from simulators.fleet import bedsides, merged
from simulators.heart import Heart
from simulators.send import send
from stream import cli, topics
from stream.child import free_port
from stream.client import read_alerts
from stream.embedded import Services
from stream.kafka import Kafka, NotAllowedError, Send, durable, kafka_of, producing, read_to_end, reading, split
from stream.process import new_event_loop
from stream.processes import Process
from stream.security.apply import apply
from stream.security.place import make
from stream.settings import PREFIX, Settings
from stream.store import connect, reached, stream_key
from stream.tls import redis_of
from tests.system.secured import Place, secured

# aiokafka and redis-py leave a connection that failed before its TLS has said goodbye.
pytestmark = [pytest.mark.system, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]

Vigil = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with secured(tmp_path_factory.mktemp("secured"), ("icu", "east")) as made:
        yield made


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Let no later test stumble over such a connection."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a place of somebody else, with an authority of its own."""
    folder = tmp_path_factory.mktemp("stranger") / "place"
    make(folder)
    return folder


@pytest.fixture
def vigil(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Vigil:
    """Run `vigil` as a role, with some of its settings changed; gives its status and what it printed."""

    def run(role: str, command: str, **changed: object) -> tuple[int, str, list[str]]:
        for name, value in place.environment(role, **changed).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["vigil", *command.split()])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        monkeypatch.undo()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err.splitlines()

    return run


def of(folder: Path, role: str) -> dict[str, object]:
    return {"CERT": folder / role / "cert.pem", "CERT_KEY": folder / role / "key.pem"}


def test_each_role_gets_in_by_its_password_and_by_its_certificate(place: Place) -> None:
    async def found(settings: Settings) -> int:
        return len(await topics.listed(kafka_of(settings)))

    for role in ("worker", "auditor"):
        assert asyncio.run(found(place.settings(role))) == len(topics.TOPICS)
        assert asyncio.run(found(place.settings(role, **place.certificate(role)))) == len(topics.TOPICS)


WRONG_FOR_KAFKA = {
    "another CA": (lambda p, s: {"CA": s / "ca.pem"}, "shows a certificate that VIGIL_CA does not vouch for"),
    "another host name": (
        lambda p, s: {"KAFKA": f"localhost:{p.where.kafka}"},
        "shows a certificate for another host name",
    ),
    "another password": (lambda p, s: {"KAFKA_PASSWORD": "guess"}, "refuses the user worker: unknown, or another pass"),
    "an unknown user": (lambda p, s: {"KAFKA_USER": "nobody"}, "refuses the user nobody: unknown, or another password"),
    "no certificate": (
        lambda p, s: p.certificate("worker") | {"CERT": None, "CERT_KEY": None},
        "asks for a certificate of ours: VIGIL_CERT",
    ),
    "a stranger's certificate": (
        lambda p, s: p.certificate("worker") | of(s, "worker"),
        "does not take our certificate (VIGIL_CERT)",
    ),
    "no TLS": (
        lambda p, s: {"KAFKA_SECURITY": "plaintext", "KAFKA_USER": None, "KAFKA_PASSWORD": None},
        "ends the connection: perhaps it wants TLS (VIGIL_KAFKA_SECURITY)",
    ),
    "a password where certificates count": (
        lambda p, s: {"KAFKA": f"127.0.0.1:{p.where.kafka_mtls}"},
        "takes no user and password there",
    ),
    "a certificate where passwords count": (
        lambda p, s: p.certificate("worker") | {"KAFKA": f"127.0.0.1:{p.where.kafka}"},
        "perhaps it wants another VIGIL_KAFKA_SECURITY",
    ),
}


@pytest.mark.parametrize("wrong", WRONG_FOR_KAFKA)
def test_what_kafka_does_not_like_is_one_line_and_status_3(
    place: Place, stranger: Path, vigil: Vigil, wrong: str
) -> None:
    change, words = WRONG_FOR_KAFKA[wrong]
    started = time.monotonic()
    status, printed, said = vigil("worker", "topics check", **change(place, stranger))
    assert (status, printed, len(said)) == (3, "", 1), said
    assert said[0].startswith("vigil: kafka at ")
    assert words in said[0]
    assert place.environment("worker")["VIGIL_KAFKA_PASSWORD"] not in said[0]
    assert time.monotonic() - started < 10


def test_tls_to_a_kafka_without_it_is_one_line(place: Place, services: Services, vigil: Vigil) -> None:
    status, _, said = vigil("worker", "topics check", KAFKA=services.kafka)
    assert (status, len(said)) == (3, 1)
    assert "perhaps it does not speak TLS there" in said[0]


WRONG_FOR_REDIS = {
    "another CA": (lambda p, s, url: {"CA": s / "ca.pem"}, "shows a certificate that VIGIL_CA does not vouch for"),
    "another host name": (
        lambda p, s, url: {"REDIS": url.replace("127.0.0.1", "localhost")},
        "shows a certificate for another host name",
    ),
    "another password": (
        lambda p, s, url: {"REDIS": url.replace("@", "x@")},
        "refuses the user ward-icu: unknown, or another password",
    ),
    "no user": (lambda p, s, url: {"REDIS": f"rediss://{url.rpartition('@')[2]}"}, "wants another user or password"),
    "no certificate": (
        lambda p, s, url: {"CERT": None, "CERT_KEY": None},
        "asks for a certificate of ours: VIGIL_CERT and VIGIL_CERT_KEY",
    ),
    "a stranger's certificate": (lambda p, s, url: of(s, "worker"), "does not take our certificate (VIGIL_CERT)"),
    "no TLS": (lambda p, s, url: {"REDIS": url.replace("rediss", "redis")}, "perhaps it wants TLS (rediss://)"),
}


@pytest.mark.parametrize("wrong", WRONG_FOR_REDIS)
def test_what_redis_does_not_like_is_one_line_and_status_3(
    place: Place, stranger: Path, vigil: Vigil, wrong: str
) -> None:
    change, words = WRONG_FOR_REDIS[wrong]
    url = place.environment("ward-icu")["VIGIL_REDIS"]
    status, printed, said = vigil("ward-icu", "alerts --ward icu", **change(place, stranger, url))
    assert (status, printed, len(said)) == (3, "", 1), said
    assert said[0].startswith("vigil: redis at ")
    assert words in said[0]
    assert url.split(":")[2].split("@")[0] not in said[0]


@pytest.mark.parametrize(
    ("role", "does", "topic"),
    [
        ("device", "reads", topics.ALERTS),
        ("device", "writes", topics.ALERTS),
        ("device", "reads", topics.INPUT),
        ("ticker", "writes", topics.STATE),
        ("worker", "writes", topics.INPUT),
        ("publisher", "reads", topics.STATE),
        ("staff", "writes", topics.ALERTS),
        ("auditor", "writes", topics.SEALS),
        ("ward-icu", "reads", topics.ALERTS),
        ("ward-icu", "writes", topics.ALERTS),
    ],
)
def test_a_topic_that_is_not_allowed_is_named_at_once(place: Place, role: str, does: str, topic: str) -> None:
    settings = place.settings(role, **({} if role != "ward-icu" else place.certificate(role)))

    async def reads() -> None:
        async with reading(kafka_of(settings)) as reader:
            async for _ in read_to_end(reader, topic, range(topics.INPUT_PARTITIONS if topic == topics.INPUT else 1)):
                pass

    async def writes() -> None:
        async with producing(kafka_of(settings)) as producer:
            await durable(producer, [Send(topic, b"device", b"forged", 0)])

    async def fill() -> None:
        """Else there is nothing to be kept from."""
        for writer, filled in (("device", topics.INPUT), ("worker", topics.STATE)):
            async with producing(kafka_of(place.settings(writer))) as producer:
                await durable(producer, [Send(filled, b"device", b"\xc1", 0)])

    asyncio.run(fill())
    with pytest.raises(NotAllowedError, match=f"not allow this process the topic {topic}|to write to no topic"):
        asyncio.run(asyncio.wait_for(reads() if does == "reads" else writes(), 10))


def test_a_command_that_a_role_may_not_give_is_one_line_and_status_3(vigil: Vigil) -> None:
    status, _, said = vigil("device", "discharge bed-1")
    assert (status, said) == (3, [f"vigil: kafka does not allow this process the topic {topics.DEAD_LETTERS}"])
    status, _, said = vigil("ward-east", "alerts --ward icu")
    assert (status, len(said)) == (3, 1)
    assert "does not allow this to the user ward-east" in said[0]


def test_a_consumers_role_reads_its_wards_alerts_in_a_group_and_cannot_write_any(place: Place) -> None:
    async def story() -> None:
        key = stream_key("icu")
        async with reached(redis_of(place.settings("publisher"))) as publisher:
            entry = await publisher.xadd(key, {"alert": b"{}"})
        async with connect(redis_of(place.settings("ward-icu"))) as ward:
            await ward.xgroup_create(key, "board", "0")
            assert await ward.xreadgroup("board", "1", {key: ">"})
            await ward.xautoclaim(key, "board", "2", 0)
            assert await ward.xack(key, "board", entry) == 1
            for forbidden in (
                ward.xadd(key, {"alert": b"forged"}),
                ward.xdel(key, entry),
                ward.xtrim(key, maxlen=0),
                ward.delete(key),
                ward.hset("bed:{icu}:1", "on:asystole:a", b"forged"),
                ward.eval("return redis.call('XADD', KEYS[1], '*', 'alert', 'forged')", 1, key),
                ward.xrange(stream_key("east")),
                ward.execute_command("KEYS", "*"),
                ward.execute_command("ACL", "LIST"),
                ward.flushall(),
            ):
                with pytest.raises(NoPermissionError):
                    await forbidden
        async with connect(redis_of(place.settings("publisher"))) as publisher:
            await publisher.delete(key)
            for command in (("FLUSHALL",), ("CONFIG", "GET", "*"), ("ACL", "LIST"), ("SET", "other", "1")):
                with pytest.raises(NoPermissionError):
                    await publisher.execute_command(*command)

    asyncio.run(story())


def test_a_reader_over_tls_is_closed_at_once_on_the_loop_of_the_services(place: Place) -> None:
    async def longest_s() -> float:
        took = []
        for _ in range(4):
            async with reading(kafka_of(place.settings("worker"))) as reader:
                async for _ in read_to_end(reader, topics.STATE, [0]):
                    pass
                closing = time.monotonic()
            took.append(time.monotonic() - closing)
        return max(took)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        assert runner.run(longest_s()) < 5.0, "30 s, where the server's goodbye is waited for"


def test_new_credentials_of_the_same_authority_replace_the_old_ones_without_a_restart(
    place: Place, tmp_path: Path
) -> None:
    make(tmp_path / "new", ("icu", "east"), place.where, renews=place.folder)
    new = Place(tmp_path / "new", place.where, place.redis_has_tls)
    users = place.folder / "redis" / "users.acl"
    old_users = users.read_text()

    async def rights(these: Place, acl: str, admin: Place) -> None:
        await apply(kafka_of(admin.settings("admin")), these.wanted)
        users.write_text(acl)
        async with reached(redis_of(admin.settings("admin"))) as redis:
            await redis.execute_command("ACL", "LOAD")

    async def gets_in(these: Place) -> bool:
        try:
            await topics.partitions(kafka_of(these.settings("device")), topics.INPUT)
            async with reached(redis_of(these.settings("ward-icu"))):
                return True
        except ConnectionError as error:
            if "refuses the user" not in str(error):
                raise
            return False

    async def story() -> tuple[bool, bool]:
        await rights(new, (new.folder / "redis" / "users.acl").read_text(), place)
        while not await gets_in(new):
            await asyncio.sleep(0.1)
        then = await gets_in(new), await gets_in(place)
        await rights(place, old_users, new)
        while not await gets_in(place):
            await asyncio.sleep(0.1)
        return then

    assert asyncio.run(asyncio.wait_for(story(), 30)) == (True, False)


def test_a_service_with_another_password_says_so_in_one_line_and_ends_with_3(place: Place, tmp_path: Path) -> None:
    changed = {"KAFKA_PASSWORD": "guess", "LOG": "json"}
    services = [_process(place, name, tmp_path, **changed) for name in ("worker", "ticker")]
    for service in services:
        service.start("", "")
    for service in services:
        assert service.process is not None
        assert service.process.wait(60) == 3
        said = service.log.read_text()
        assert f"refuses the user {service.name}" in said
        assert "Traceback" not in said
        assert "guess" not in said


def _process(place: Place, name: str, folder: Path, **changed: object) -> Process:
    said = place.environment(name, **changed)
    return Process(name, [name], free_port(), folder / f"{name}.log", settings=said)


def test_a_flat_line_reaches_its_ward_through_tls_users_and_signatures(
    place: Place, vigil: Vigil, tmp_path: Path
) -> None:
    keys = place.folder / "keys.json"
    status, _, said = vigil("admin", f"setup --by a --reason b --net none --keys {keys} --signed-only")
    assert (status, said) == (0, [])
    processes = [_process(place, name, tmp_path) for name in ("worker", "publisher", "ticker")]
    try:
        for process in processes:
            process.start("", "")
        for process in processes:
            process.wait_ready()
        assert vigil("staff", "admit bed-1 --ward icu --bed 1")[0] == 0
        asyncio.run(_play(kafka_of(place.settings("device"))))
        assert asyncio.run(_raised(place.settings("ward-icu"), "asystole")) == "icu"
        status, _, said = vigil("staff", "discharge bed-1", KEY=None)
        assert status == 1, "unsigned"
        assert "refused" in said[0]
    finally:
        for process in processes:
            process.stop()
    for process in processes:
        for role in ("worker", "publisher", "ticker"):
            assert place.environment(role)[f"{PREFIX}KAFKA_PASSWORD"] not in process.log.read_text()


async def _play(kafka: Kafka) -> None:
    """Send 5 s of beats and 9 s of a flat line, as they come."""
    heart = Heart([("sinus", 5.0, {}), ("asystole", 60.0, {})], ("II", "V1"), 250.0, 1)
    clock = Clock(time.time_ns(), 1.0)
    frames = merged(bedsides([heart.source("a flat line")], 1, clock.start_ns, 0.25), 14.0)
    brokers, security = split(kafka)
    await send(frames, brokers, topics.INPUT, clock=clock, security=security)


async def _raised(settings: Settings, condition: str) -> str:
    """Give the ward of the first alert of a condition, as a ward's own user sees it."""
    async with asyncio.timeout(20), aclosing(read_alerts(redis_of(settings), "icu", follow=True)) as alerts:
        async for _, alert in alerts:
            if alert.condition == condition and alert.phase == "start":
                return alert.ward
    raise AssertionError
