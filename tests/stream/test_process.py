"""How a service logs, ends, and says how it ended."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest

from stream.health import Health
from stream.process import run_service
from stream.settings import Settings

FAILING = """
import logging, structlog
from stream.process import configure_logs
configure_logs({form!r})
try:
    patients_signal = "millivolts of somebody"
    raise ValueError("offset must be 3, got 4")
except ValueError:
    structlog.get_logger("worker").exception("failed", partition=2)
logging.getLogger("aiokafka").info("chatter")
logging.getLogger("aiokafka").warning("beneath")
"""


@pytest.mark.parametrize("form", ["console", "json"])
def test_a_log_line_tells_the_error_and_nothing_of_what_the_variables_held(form: str) -> None:
    said = subprocess.run([sys.executable, "-c", FAILING.format(form=form)], capture_output=True, text=True, check=True)
    assert "offset must be 3, got 4" in said.stderr
    assert "millivolts of somebody" not in said.stderr
    assert "beneath" in said.stderr
    assert "chatter" not in said.stderr
    assert said.stdout == ""


def test_json_lines_are_json() -> None:
    script = FAILING.format(form="json")
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    first, second = (json.loads(line) for line in said.stderr.splitlines())
    assert (first["event"], first["level"], first["partition"]) == ("failed", "error", 2)
    assert (second["event"], second["logger"]) == ("beneath", "aiokafka")


def test_a_service_that_is_asked_to_end_ends_with_0() -> None:
    async def serve() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(30)

    assert run_service(Settings(), Health("ticker"), serve) == 0


def test_a_service_that_fails_ends_with_1() -> None:
    async def serve() -> None:
        raise ValueError("position must not be ahead")

    assert run_service(Settings(), Health("publisher"), serve) == 1


@pytest.mark.parametrize("inner", [ConnectionError("kafka at a:1 does not answer"), ValueError("offset")])
def test_a_service_without_what_it_needs_ends_with_3_and_no_traceback(
    inner: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    async def serve() -> None:
        raise ExceptionGroup("tasks", [ConnectionError("kafka at a:1 does not answer"), inner])

    alone = isinstance(inner, ConnectionError)
    assert run_service(Settings(), Health("publisher"), serve) == (3 if alone else 1)
    assert ("Traceback" not in capsys.readouterr().err) == alone
