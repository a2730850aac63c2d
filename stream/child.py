"""A server as a child process: started on its port and data, watched until ready, gone with whoever started it."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

START_S = 60.0
STOP_S = 10.0

# Outside the range from which Linux takes the ports of outgoing connections: a port that is free now is then still free
# when the service comes back to it after a restart.
PORTS = range(20_000, 32_000)
_given: set[int] = set()  # a port that was given may not be in use yet

# Runs in the child before the service takes its place. The check closes the gap in which the parent may have died.
CHILD = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != int(sys.argv[1]):
        os._exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


class ServiceError(RuntimeError):
    """Kafka or Redis cannot be had: one line with which, why, and where its log is. `vigil` ends with status 3."""


@dataclass
class Service:
    """One service as a child process, with its port, its data and its log, which outlive a restart.

    Attributes
    ----------
    name : str
        `kafka` or `redis`.
    port : int
        Port on 127.0.0.1.
    command : list of str
        What is run; the first entry is an absolute path.
    folder : Path
        Folder of the data.
    log : Path
        File that takes what the service prints, appended to at each start.
    ready : str
        What the log holds once the service takes connections.
    """

    name: str
    port: int
    command: list[str]
    folder: Path
    log: Path
    ready: str
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _log_start: int = field(default=0, repr=False)

    @property
    def address(self) -> str:
        """`host:port` of the service."""
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Process id of the running service."""
        if self.process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self.process.pid

    def start(self) -> None:
        """Start the service, on the same port and data as before if it ran before; don't wait until it is ready."""
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                "services must be started from the main thread: they end with the thread that started them"
            )
        if not _is_free(self.port):
            raise self.error(f"port {self.port} is taken")
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            self.process = child(self.command, log)

    def wait_ready(self, timeout_s: float = START_S) -> None:
        """Wait until the service takes connections.

        Raises
        ------
        ServiceError
            It ended, or was not ready in time.
        """
        deadline = time.monotonic() + timeout_s
        while self.ready not in self._printed():
            if self.process is None or self.process.poll() is not None:
                raise self.error(f"it ended at once: {reason(self._printed())}")
            if time.monotonic() > deadline:
                self.kill()
                raise self.error(f"it was not ready within {timeout_s:.0f} s")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the service in order, and by force if it takes longer than 10 s."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the service at once, as a crash would (SIGKILL)."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start the service again on the same port and data, and wait until it is ready."""
        self.stop()
        self.start()
        self.wait_ready()

    def error(self, why: str) -> ServiceError:
        """Give the one line about this service."""
        return ServiceError(f"{self.name} did not start: {why} (log: {self.log})")

    def _end(self, how: signal.Signals) -> None:
        process, self.process = self.process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _printed(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")


def child(
    command: list[str], output: IO[bytes], environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a command that ends when this thread ends, in a session of its own so that Ctrl-C does not reach it.

    `environment` is added to that of this process.
    """
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", CHILD, str(os.getpid()), *command],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, **(environment or {})},
    )


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Give a port on 127.0.0.1 that nobody uses now and that no outgoing connection will take."""
    for port in random.sample(PORTS, 100):
        if port not in _given and _is_free(port):
            _given.add(port)
            return port
    raise ServiceError(f"no free port between {PORTS.start} and {PORTS.stop} on 127.0.0.1")


def reason(printed: str) -> str:
    """Find the line of a log that says best why its service ended."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    marked = [
        line for line in lines if any(word in line for word in ("ERROR", "Exception", "rror:", "FATAL", "in use"))
    ]
    return (marked or lines or ["its log is empty"])[0 if marked else -1][:300]
