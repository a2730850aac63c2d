"""A place as `vigil security init` makes it, its Kafka and its Redis running: real ones, with TLS, users and rights."""

from __future__ import annotations

import asyncio
import select
import shlex
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from stream import topics
from stream.child import Service, ServiceError, free_port
from stream.embedded import kafka_broker, redis_server
from stream.kafka import kafka_of
from stream.security.apply import apply
from stream.security.place import Kafka, Where, make
from stream.settings import PREFIX, Settings, read_settings


@dataclass(frozen=True)
class Place:
    """A secured place: its folder, its ports, and whether Redis itself speaks TLS."""

    folder: Path
    where: Where
    redis_has_tls: bool

    def environment(self, role: str, **changed: object) -> dict[str, str]:
        """Give what a role's `env` says, with some variables changed or, by None, left out."""
        words = shlex.split((self.folder / role / "env").read_text())
        said = dict(word.split("=", 1) for word in words)
        said |= {PREFIX + name: str(value) for name, value in changed.items()}
        return {name: value for name, value in said.items() if value != "None"}

    def settings(self, role: str, **changed: object) -> Settings:
        """Give the settings that a process of a role reads."""
        said = self.environment(role, **changed)
        return Settings.model_validate({name.removeprefix(PREFIX).lower(): value for name, value in said.items()})

    @property
    def wanted(self) -> Kafka:
        """Users and rights that Kafka is to have."""
        return msgspec.json.decode((self.folder / "kafka.json").read_bytes(), type=Kafka)

    def certificate(self, role: str) -> dict[str, object]:
        """Give the changes by which somebody comes to Kafka with a role's certificate instead of a password."""
        address = f"{self.where.hosts[0]}:{self.where.kafka_mtls}"
        files = {"CERT": self.folder / role / "cert.pem", "CERT_KEY": self.folder / role / "key.pem"}
        return {"KAFKA": address, "KAFKA_SECURITY": "ssl", "KAFKA_USER": None, "KAFKA_PASSWORD": None, **files}


@contextmanager
def secured(folder: Path, wards: tuple[str, ...]) -> Iterator[Place]:
    """Make a place for 127.0.0.1 alone, start its servers, and give its roles their rights."""
    where = Where(("127.0.0.1",), free_port(), free_port(), free_port(), free_port())
    make(folder / "place", wards, where)
    lines = (folder / "place" / "broker" / "server.properties").read_text().splitlines()
    more = dict(line.split("=", 1) for line in lines)
    with ExitStack() as until_done:
        kafka = kafka_broker(folder, read_settings().cache, where.kafka, more=more)
        until_done.callback(kafka.kill)
        kafka.start()
        tls = until_done.enter_context(_redis(folder, where))
        kafka.wait_ready()
        place = Place(folder / "place", where, tls)
        asyncio.run(apply(kafka_of(place.settings("admin")), place.wanted))
        asyncio.run(topics.create(kafka_of(place.settings("admin"))))
        yield place


@contextmanager
def _redis(folder: Path, where: Where) -> Iterator[bool]:
    """Run Redis by the settings of the place; one without TLS, behind a proxy that has it and asks for certificates."""
    lines = (folder / "place" / "redis" / "redis.conf").read_text().splitlines()
    more = {name: value.strip('"') for name, value in (line.split(" ", 1) for line in lines)}
    server = redis_server(folder, where.redis, more)
    try:
        _up(server)
    except ServiceError:
        server = redis_server(folder, free_port(), {"aclfile": more["aclfile"]})
        try:
            _up(server)
            with tls_proxy(folder / "place", where.redis, server.port):
                yield False
        finally:
            server.kill()
    else:
        try:
            yield True
        finally:
            server.kill()


def _up(server: Service) -> None:
    try:
        server.start()
        server.wait_ready()
    except BaseException:
        server.kill()
        raise


@contextmanager
def tls_proxy(place: Path, port: int, target: int) -> Iterator[None]:
    """Speak TLS on a port as Redis would, with its certificate and only to certificates of the place's authority.

    In threads: asyncio's server ends a handshake that fails without telling why.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=place / "ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(place / "redis" / "cert.pem", place / "redis" / "key.pem")

    class Proxied(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with (
                suppress(OSError),
                context.wrap_socket(self.request, server_side=True) as client,
                socket.create_connection(("127.0.0.1", target)) as there,
            ):
                _pump(client, there)

    class Proxy(socketserver.ThreadingTCPServer):
        daemon_threads = True
        allow_reuse_address = True

    with Proxy(("127.0.0.1", port), Proxied) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()


def _pump(client: ssl.SSLSocket, there: socket.socket) -> None:
    """Carry bytes both ways until one side ends."""
    while True:
        ready = [client] if client.pending() else select.select([client, there], [], [])[0]
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            (there if source is client else client).sendall(data)
