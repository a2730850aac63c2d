from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis import Redis

from stream import embedded
from stream.child import Service, ServiceError
from stream.embedded import Services, redis_server, start_kafka, start_redis
from stream.runs import RunFolder
from stream.settings import Settings, read_settings

CACHE = read_settings().cache
OWN = read_settings().model_copy(update={"kafka": None, "redis": None})


def _runs(pid: int) -> bool:
    """Whether a process lives; a zombie that process 1 has not reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _all_gone(pids: list[int], within_s: float = 10) -> bool:
    deadline = time.monotonic() + within_s
    while any(map(_runs, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(_runs, pids))


async def _create(kafka: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()


async def _produce(kafka: str, topic: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, acks="all", request_timeout_ms=3000)
    await producer.start()
    try:
        await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()


async def _first(kafka: str, topic: str) -> bytes | None:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        await consumer.seek_to_beginning()
        return (await asyncio.wait_for(consumer.getone(), 20)).value
    finally:
        await consumer.stop()


async def _topics(kafka: str) -> set[str]:
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
    await consumer.start()
    try:
        return await consumer.topics()
    finally:
        await consumer.stop()


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    service = start_kafka(tmp_path_factory.mktemp("kafka"), CACHE)
    yield service
    service.kill()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Service]:
    service = start_redis(tmp_path)
    yield service
    service.kill()


@pytest.mark.system
def test_what_is_produced_to_kafka_outlives_a_kill_and_a_restart_on_the_same_port(kafka: Service) -> None:
    asyncio.run(_create(kafka.address, "kept"))
    asyncio.run(_produce(kafka.address, "kept", b"before"))
    kafka.kill()
    kafka.restart()
    assert asyncio.run(_first(kafka.address, "kept")) == b"before"
    asyncio.run(_produce(kafka.address, "kept", b"after"))


@pytest.mark.system
def test_what_is_written_to_redis_outlives_a_kill_and_a_restart_on_the_same_port(redis: Service) -> None:
    with Redis(port=redis.port) as client:
        assert client.ping()
        client.set("bed", "7")
    redis.kill()
    redis.restart()
    with Redis(port=redis.port) as client:
        assert client.get("bed") == b"7"
        assert client.config_get("appendonly") == {"appendonly": "yes"}


@pytest.mark.system
def test_both_listen_on_one_loopback_address_alone(kafka: Service, redis: Service) -> None:
    for service in (kafka, redis):
        socket.create_connection(("127.0.0.1", service.port)).close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", service.port))


PARENT = """
import sys, time
from pathlib import Path
from stream.embedded import Services
from stream.runs import RunFolder
from stream.settings import Settings
with Services(Settings(cache=Path(sys.argv[1]), kafka=None, redis=None)) as services:
    print(*(service.pid for service in services.own), flush=True)
    time.sleep(120)
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Give a cache of its own that has the jars."""
    (tmp_path / "cache").mkdir()
    embedded.class_path(CACHE, print)
    (tmp_path / "cache" / "m2").symlink_to(CACHE / "m2")
    return tmp_path / "cache"


def _parent(cache: Path) -> tuple[subprocess.Popen[str], list[int]]:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(cache)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    assert parent.stdout is not None
    with parent.stdout:
        children = list(map(int, parent.stdout.readline().split()))
    assert len(children) == 2
    assert all(map(_runs, children))
    return parent, children


@pytest.mark.system
def test_ctrl_c_ends_both_takes_their_data_away_and_keeps_their_logs(cache: Path) -> None:
    parent, children = _parent(cache)
    os.killpg(parent.pid, signal.SIGINT)
    parent.wait(10)
    assert _all_gone(children)
    (run,) = (path for path in (cache / "services").iterdir() if path.is_dir())
    assert sorted(path.name for path in run.iterdir()) == ["kafka.log", "owner", "redis.log"]


@pytest.mark.system
@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_killed_parent_leaves_no_process_and_the_next_run_takes_its_data_away(cache: Path) -> None:
    parent, children = _parent(cache)
    parent.kill()
    parent.wait()
    assert _all_gone(children)
    (left,) = (path for path in (cache / "services").iterdir() if path.is_dir())
    assert (left / "kafka" / "log").is_dir()
    with RunFolder(cache):
        assert sorted(path.name for path in left.iterdir()) == ["kafka.log", "owner", "redis.log"]


@pytest.mark.system
def test_services_are_ready_within_seconds_and_a_folder_that_is_given_is_kept(tmp_path: Path) -> None:
    began = time.monotonic()
    with Services(OWN, tmp_path) as services:
        assert time.monotonic() - began < 30
        asyncio.run(_create(services.kafka, "kept"))
        asyncio.run(_produce(services.kafka, "kept", b"frame"))
        with Redis.from_url(services.redis) as client:
            client.set("bed", "7")
    with Services(OWN, tmp_path) as services:
        assert asyncio.run(_first(services.kafka, "kept")) == b"frame"
        assert asyncio.run(_topics(services.kafka)) == {"kept"}
        with Redis.from_url(services.redis) as client:
            assert client.get("bed") == b"7"


@pytest.mark.system
def test_no_topic_comes_into_being_by_itself(kafka: Service) -> None:
    with pytest.raises(Exception, match="UnknownTopic"):
        asyncio.run(_produce(kafka.address, "never.created", b""))
    assert "never.created" not in asyncio.run(_topics(kafka.address))


def test_services_that_the_settings_name_are_used_and_none_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as kafka, socket.create_server(("127.0.0.1", 0)) as redis:
        settings = Settings(
            kafka=f"127.0.0.1:1,127.0.0.1:{kafka.getsockname()[1]}",
            redis=f"redis://:secret@127.0.0.1:{redis.getsockname()[1]}/3",
            cache=tmp_path / "cache",
        )
        with Services(settings) as services:
            assert (services.kafka, services.redis, services.own) == (settings.kafka, settings.redis, [])
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("named", [{"kafka": "127.0.0.1:1"}, {"redis": "redis://:secret@127.0.0.1:1/0"}])
def test_a_service_that_the_settings_name_and_that_does_not_answer_is_one_line(
    tmp_path: Path, named: dict[str, str]
) -> None:
    settings = Settings(cache=tmp_path).model_copy(update={"kafka": None, "redis": None} | named)
    (which,) = named
    expected = rf"^{which} at 127\.0\.0\.1:1, which VIGIL_{which.upper()} names, does not answer: [^\n]*refused$"
    with pytest.raises(ServiceError, match=expected), Services(settings):
        pass


def test_redis_without_a_port_is_looked_for_on_its_usual_one(tmp_path: Path) -> None:
    settings = OWN.model_copy(update={"redis": "redis://:secret@127.0.0.1", "cache": tmp_path})
    reached: list[tuple[str, str]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(embedded, "_reach", lambda *named: reached.append(named))
        patch.setattr(Services, "_start", lambda _: None)
        with Services(settings):
            pass
    assert reached == [("redis", "127.0.0.1:6379")]


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    settings = OWN.model_copy(update={"cache": tmp_path / "cache"})
    with (
        pytest.raises(ServiceError, match=r"^kafka and redis have no folder for [^\n]*cache[^\n]*$"),
        Services(settings),
    ):
        pass


def test_an_occupied_port_is_one_line(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as other,
        pytest.raises(
            ServiceError, match=rf"^redis did not start: port {other.getsockname()[1]} is taken \(log: .*\)$"
        ),
    ):
        start_redis(tmp_path, other.getsockname()[1])


def test_a_missing_redis_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(embedded, "_redis_in_wheel", lambda: None)
    with pytest.raises(ServiceError, match=r"^redis did not start: there is no redis-server [^\n]* \(log: .*\)$"):
        start_redis(tmp_path)


@pytest.mark.parametrize(("version", "taken"), [("7.0.15", True), ("6.2.0", True), ("6.0.16", False)])
def test_a_redis_on_the_path_is_taken_unless_it_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, taken: bool
) -> None:
    server = tmp_path / "redis-server"
    server.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=00000000:0 malloc=jemalloc bits=64'\n")
    server.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert (redis_server(tmp_path).command[0] == str(server)) == taken


def test_jars_that_cannot_be_fetched_are_one_line_and_no_process_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    services = Services(OWN.model_copy(update={"cache": tmp_path}), say=lambda _: None)
    expected = r"^kafka did not start: \S+\.jar cannot be fetched: ProxyError: [^\n]* \(log: (.*)\)$"
    with pytest.raises(ServiceError, match=expected) as caught, services:
        pass
    assert [service.process for service in services.own] == [None]
    assert "Traceback" in Path(str(caught.value).rpartition("log: ")[2][:-1]).read_text()


def test_data_that_cannot_be_used_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "redis" / "appendonlydir").mkdir(parents=True)
    (tmp_path / "redis" / "appendonlydir" / "appendonly.aof.manifest").write_text("not a manifest\n")
    with pytest.raises(ServiceError, match=r"^redis did not start: it ended at once: [^\n]+ \(log: .*\)$"):
        start_redis(tmp_path)
