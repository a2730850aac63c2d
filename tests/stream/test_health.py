"""What a process says of itself over HTTP."""

from __future__ import annotations

import asyncio

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from stream.health import SILENT_S, Health


async def ask(port: int, request: bytes) -> tuple[bytes, bytes]:
    """The status line and the body of an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.split(b"\r\n")[0], body


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def test_a_process_is_ready_only_after_it_said_so_and_not_when_it_fell_silent() -> None:
    now = [0.0]
    health = Health("worker", clock=lambda: now[0])
    assert health.answer("/ready")[0] == 503
    health.ready()
    assert health.answer("/ready")[0] == 200
    now[0] = SILENT_S + 1
    assert health.answer("/ready")[0] == 503
    assert health.answer("/live")[0] == 200


def test_what_is_lacking_is_named_until_it_is_there_again() -> None:
    health = Health("publisher", clock=lambda: 0.0)
    health.not_ready("redis")
    assert health.answer("/ready")[2] == b"not ready: redis\n"
    health.ready()
    assert health.why_not_ready() == ""


def test_metrics_are_openmetrics() -> None:
    health = Health("worker")
    health.counter("alerts", "Alerts published").inc(3)
    health.seconds("durable", "Time until a batch was durable").observe(0.2)
    kind, body = health.answer("/metrics")[1:]
    assert kind.startswith("application/openmetrics-text")
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert next(s.value for s in families["vigil_worker_alerts"].samples if s.name.endswith("_total")) == 3
    assert "vigil_worker_durable_seconds" in families


def test_only_three_paths_and_reading_are_served() -> None:
    async def story() -> None:
        health = Health("ticker")
        async with health.served("127.0.0.1", 0) as port:
            assert port is not None
            assert (await ask(port, get("/live"))) == (b"HTTP/1.1 200 OK", b"alive\n")
            assert (await ask(port, get("/secrets")))[0] == b"HTTP/1.1 404 Not Found"
            assert (await ask(port, b"POST /live HTTP/1.1\r\n\r\n"))[0] == b"HTTP/1.1 405 Method Not Allowed"
            assert (await ask(port, b"HEAD /live HTTP/1.1\r\n\r\n"))[1] == b""

    asyncio.run(story())


def test_what_is_no_http_neither_answers_nor_harms() -> None:
    async def story() -> None:
        health = Health("ticker")
        async with health.served("127.0.0.1", 0) as port:
            assert port is not None
            assert await ask(port, b"\x00\xff\r\n\r\n") == (b"", b"")
            assert await ask(port, b"x" * 20_000) == (b"", b"")
            assert (await ask(port, get("/live")))[0] == b"HTTP/1.1 200 OK"

    asyncio.run(story())


def test_without_a_port_nothing_is_served() -> None:
    async def story() -> None:
        async with Health("ticker").served("127.0.0.1", None) as port:
            assert port is None

    asyncio.run(story())
