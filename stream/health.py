"""What a process says of itself: `/live`, `/ready` and `/metrics` in OpenMetrics, over plain HTTP, on loopback.

A few lines of asyncio in the process's own loop: a loop that stands still answers nothing, which is the truth.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST, generate_latest

SILENT_S = 10.0
"""A process that has not said for this long that it is ready is not."""
SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)

log = structlog.get_logger("health")


class Health:
    """Readiness and metrics of one process.

    Parameters
    ----------
    name : str
        Of the service; it stands before the name of each metric, after `vigil`.
    clock : callable
        Seconds, monotonic.

    Examples
    --------
    >>> health = Health("ticker", clock=lambda: 5.0)
    >>> health.why_not_ready()
    'starting'
    >>> health.ready(); health.why_not_ready()
    ''
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._prefix = f"vigil_{name}_"
        self._registry = CollectorRegistry()
        self._checks: list[Callable[[], str]] = []
        self._reason = "starting"
        self._at = clock()

    def ready(self) -> None:
        """Say that the service does its work; to be repeated, since silence counts as no."""
        self._reason, self._at = "", self._clock()

    def not_ready(self, reason: str) -> None:
        """Say that the service does not do its work, and what it lacks."""
        self._reason = reason

    def why_not_ready(self) -> str:
        """Return what the service lacks, the empty string if nothing."""
        if self._reason:
            return self._reason
        if self._clock() - self._at > SILENT_S:
            return "silent"
        return next((why for check in self._checks if (why := check())), "")

    def also(self, check: Callable[[], str]) -> None:
        """Ask this as well before the service counts as ready: the empty string if nothing is lacking."""
        self._checks.append(check)

    def counter(self, name: str, what: str) -> Counter:
        """Return a new counter."""
        return Counter(self._prefix + name, what, registry=self._registry)

    def gauge(self, name: str, what: str, labels: Sequence[str] = ()) -> Gauge:
        """Return a new gauge, one for each value of its labels where it has some."""
        return Gauge(self._prefix + name, what, labels, registry=self._registry)

    def seconds(self, name: str, what: str) -> Histogram:
        """Return a new histogram of durations."""
        return Histogram(self._prefix + name + "_seconds", what, buckets=SECONDS, registry=self._registry)

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Return status, content type and body for a path."""
        match path:
            case "/live":
                return 200, "text/plain", b"alive\n"
            case "/ready":
                why = self.why_not_ready()
                return (503, "text/plain", f"not ready: {why}\n".encode()) if why else (200, "text/plain", b"ready\n")
            case "/metrics":
                return 200, CONTENT_TYPE_LATEST, generate_latest(self._registry)
            case _:
                return 404, "text/plain", b"/live, /ready or /metrics\n"

    @asynccontextmanager
    async def served(self, host: str, port: int | None) -> AsyncGenerator[int | None]:
        """Serve while the block runs, and yield the port; 0 takes a free one, None serves nothing."""
        if port is None:
            yield None
            return
        server = await asyncio.start_server(self._serve, host, port, limit=8192)
        bound = int(server.sockets[0].getsockname()[1])
        log.info("health_served", host=host, port=bound)
        async with server:
            yield bound

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(5):
                request = await reader.readuntil(b"\r\n\r\n")
                method, path, *_ = request.split(None, 2)
                status, kind, body = self.answer(path.decode("latin-1").partition("?")[0])
                if method not in (b"GET", b"HEAD"):
                    status, kind, body = 405, "text/plain", b"GET or HEAD\n"
                head = f"HTTP/1.1 {status} {_WORDS[status]}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                writer.write(head.encode() + b"Connection: close\r\n\r\n" + (b"" if method == b"HEAD" else body))
                await writer.drain()
        except (TimeoutError, OSError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asked has gone, or spoke no HTTP
        finally:
            writer.close()


_WORDS = {200: "OK", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}
