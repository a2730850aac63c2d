"""Vigil's own services as child processes of this one: started together, watched until ready, ended together."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from prometheus_client.parser import text_string_to_metric_families

from stream.child import ServiceError, child, free_port, reason

READY_S = 90.0
STOP_S = 10.0


@dataclass
class Process:
    """One service: `vigil <arguments>`, its health port, its log, and what else its environment says."""

    name: str
    arguments: Sequence[str]
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    def start(self, kafka: str, redis: str) -> None:
        """Start it, to end when this process does; don't wait until it is ready."""
        environment = {"VIGIL_KAFKA": kafka, "VIGIL_REDIS": redis, "VIGIL_HEALTH_PORT": str(self.port), **self.settings}
        with self.log.open("ab") as log:
            self.process = child([sys.executable, "-m", "stream", *self.arguments], log, environment)

    def wait_ready(self) -> None:
        """Wait until it says that it is ready; raises ServiceError where it ended or does not come."""
        deadline = time.monotonic() + READY_S
        while not self._answers("/ready"):
            if self.process is None or self.process.poll() is not None:
                printed = self.log.read_text(errors="replace")
                raise ServiceError(f"{self.name} ended at once: {reason(printed)} (log: {self.log})")
            if time.monotonic() > deadline:
                raise ServiceError(f"{self.name} was not ready within {READY_S:.0f} s (log: {self.log})")
            time.sleep(0.05)

    def metric(self, name: str) -> float:
        """Return the value of one of its counters or gauges, `vigil_<service>_<name>`; 0 where there is none."""
        return next(iter(self._samples(name)), 0.0)

    def total(self, name: str) -> float:
        """Return the sum of a gauge over its labels."""
        return sum(self._samples(name))

    def _samples(self, name: str) -> list[float]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        samples = (s for family in text_string_to_metric_families(text) for s in family.samples)
        return [s.value for s in samples if s.name.endswith(name)]

    def ended(self) -> int | None:
        """Return how it ended, None while it runs."""
        return None if self.process is None else self.process.poll()

    def send(self, which: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self.process is not None:
            self.process.send_signal(which)

    def stop(self) -> None:
        """End it in order, and by force if it takes longer than 10 s."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _answers(self, path: str) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=1) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


@contextlib.contextmanager
def running(
    services: Sequence[tuple[str, Sequence[str]]],
    kafka: str,
    redis: str,
    folder: Path,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[dict[str, Process]]:
    """Run services, (name, arguments of `vigil`), for as long as the block lasts, all of them ready in it.

    `settings` are added to the environment of each.

    Raises
    ------
    ServiceError
        If one of them does not come up.
    """
    processes = {
        name: Process(name, arguments, free_port(), folder / f"{name}.log", settings=settings)
        for name, arguments in services
    }
    try:
        for process in processes.values():
            process.start(kafka, redis)
        for process in processes.values():
            process.wait_ready()
        yield processes
    finally:
        for process in processes.values():
            process.stop()
