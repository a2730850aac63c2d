"""How a service of Vigil runs as a process: its log lines, its loop, its end, its exit status."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import structlog
from structlog.dev import plain_traceback
from structlog.tracebacks import ExceptionDictTransformer

from stream.health import Health
from stream.settings import Settings

END_S = 2.0
"""How long a task that was told to end may take before it is told again."""

GOODBYE_S = 0.1
"""How long a connection over TLS that is closed may take to hear the same of its server."""

log = structlog.get_logger("process")

try:
    from uvloop import Loop as _Fastest
except ImportError:  # uvloop does not exist everywhere
    from asyncio import SelectorEventLoop as _Fastest


class _Loop(_Fastest):  # pyright: ignore[reportGeneralTypeIssues]
    """Waits for no server's goodbye: a consumer's connection over TLS that is still being written to took 30 s."""

    async def create_connection(self, *arguments: Any, **options: Any) -> Any:
        if options.get("ssl"):
            options.setdefault("ssl_shutdown_timeout", GOODBYE_S)
        return await super().create_connection(*arguments, **options)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a loop for a service: uvloop's where there is one."""
    return _Loop()


def configure_logs(form: str) -> None:
    """Write log lines to stderr, for people or as JSON; of the libraries beneath, warnings alone."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    shown: list[Any] = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain_traceback)]
    if form == "json":
        without_locals = ExceptionDictTransformer(show_locals=False)  # what a frame holds is a patient's
        shown = [structlog.processors.ExceptionRenderer(without_locals), structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove, *shown]))
    logging.root.handlers = [handler]
    logging.root.setLevel(logging.WARNING)
    for ours in ("process", "health", "worker", "publisher", "ticker"):
        logging.getLogger(ours).setLevel(logging.INFO)


def run_service(settings: Settings, health: Health, main: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run a service until SIGTERM or SIGINT, and return its exit status.

    0 when asked to end, 1 when it failed, 3 where a service that it needs is not there: it says so in one line.
    """
    configure_logs(settings.log)

    async def serve() -> None:
        async with health.served(settings.health_host, settings.health_port):
            await main()

    async def until_asked() -> None:
        task, asked = asyncio.create_task(serve()), asyncio.Event()
        for sign in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(sign, asked.set)
        asking = asyncio.create_task(asked.wait())
        await asyncio.wait({task, asking}, return_when=asyncio.FIRST_COMPLETED)
        asking.cancel()
        if asked.is_set():
            await end(task)
        with suppress(asyncio.CancelledError):
            await task

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        try:
            runner.run(until_asked())
        except Exception as error:
            if (absent := _not_there(error)) is not None:
                log.error("service_not_there", reason=str(absent))
                return 3
            log.exception("service_failed")
            return 1
    return 0


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended: a client that is just closing may take one cancellation for its own."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=END_S)


def told_to_end() -> bool:
    """Say whether this task was cancelled: Kafka's client may take the one cancellation for its own wait's end."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _not_there(error: BaseException) -> ConnectionError | None:
    """Return the first connection that failed, where an error, or a group of them, is of that kind alone."""
    while isinstance(error, BaseExceptionGroup):
        if error.split(ConnectionError)[1] is not None:
            return None
        error = error.exceptions[0]
    return error if isinstance(error, ConnectionError) else None
