"""What the compose file runs, run outside a container: its commands, its health checks, its broker's configuration."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from redis import Redis

from stream.child import Service, free_port
from stream.embedded import CLUSTER, Services, kafka_broker, redis_server
from stream.settings import read_settings

pytestmark = pytest.mark.system

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
READY_S = 150


def _command(name: str) -> list[str]:
    """Give a service's command with the `vigil` of this environment."""
    program, *arguments = COMPOSE[name]["command"]
    return [str(Path(sys.executable).with_name(program)), *arguments]


def _environment(name: str, services: Services, port: int, cache: Path) -> dict[str, str]:
    """Give a service's environment, with the addresses and folders of this machine."""
    here = {"VIGIL_KAFKA": services.kafka, "VIGIL_REDIS": services.redis, "VIGIL_CACHE": str(cache)}
    here["VIGIL_HEALTH_PORT"] = str(port)
    named: dict[str, str] = COMPOSE[name]["environment"]
    return dict(os.environ) | {key: here.get(key, value) for key, value in named.items()}


def _is_healthy(name: str, port: int) -> bool:
    """Run a service's health check on another port."""
    (form, *check), inside = COMPOSE[name]["healthcheck"]["test"], COMPOSE[name]["environment"]["VIGIL_HEALTH_PORT"]
    assert (form, check[0]) == ("CMD", "python")
    assert f":{inside}/" in check[-1]
    command = [sys.executable, *check[1:-1], check[-1].replace(f":{inside}/", f":{port}/")]
    return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


@contextmanager
def _running(name: str, services: Services, folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            _command(name), env=_environment(name, services, port, folder), stdout=log, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            process.terminate()
            assert process.wait(30) is not None


@pytest.fixture(scope="module")
def topics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Give services of this module alone, with the topics that the compose file's command makes."""
    with Services(read_settings().model_copy(update={"kafka": None, "redis": None})) as services:
        environment = _environment("topics", services, 0, tmp_path_factory.mktemp("topics"))
        subprocess.run(_command("topics"), env=environment, check=True, timeout=60)
        yield services


@pytest.mark.parametrize("name", ["worker", "publisher", "ticker"])
def test_a_service_becomes_healthy_by_its_own_check_and_ends_on_sigterm(
    topics: Services, tmp_path: Path, name: str
) -> None:
    port = free_port()
    assert not _is_healthy(name, port)
    with _running(name, topics, tmp_path, port) as process:
        deadline = time.monotonic() + READY_S
        while not _is_healthy(name, port):
            assert process.poll() is None, (tmp_path / f"{name}.log").read_text()
            assert time.monotonic() < deadline, (tmp_path / f"{name}.log").read_text()
            time.sleep(0.2)
    assert process.returncode in (0, -signal.SIGTERM)


def test_the_simulators_play_the_devices(topics: Services, tmp_path: Path) -> None:
    environment = _environment("simulators", topics, 0, tmp_path)
    result = subprocess.run(
        [*_command("simulators"), "--seconds", "2"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert " frames, " in result.stdout


def test_the_first_setup_is_put_into_force_once(topics: Services, tmp_path: Path) -> None:
    environment = _environment("setup", topics, 0, tmp_path)
    said = [
        subprocess.run(
            _command("setup"), env=environment, check=True, capture_output=True, text=True, timeout=60
        ).stdout
        for _ in range(2)
    ]
    assert said[0].startswith("in the log, in force once workers come to it: settings ")
    assert said[1] == "a setup was given before: it stays in force\n"


def test_workers_and_simulators_wait_for_the_setup() -> None:
    for name in ("worker", "simulators"):
        assert COMPOSE[name]["depends_on"]["setup"] == {"condition": "service_completed_successfully"}


def test_the_board_shows_until_it_is_told_to_end(topics: Services, tmp_path: Path) -> None:
    with _running("ward", topics, tmp_path, 0) as process:
        time.sleep(4)
        assert process.poll() is None, (tmp_path / "ward.log").read_text()
    assert "Traceback" not in (tmp_path / "ward.log").read_text()


@contextmanager
def _started(service: Service) -> Iterator[Service]:
    service.start()
    try:
        service.wait_ready()
        yield service
    finally:
        service.kill()


def test_redis_starts_with_the_command_of_the_compose_file_and_keeps_a_log(tmp_path: Path) -> None:
    service = redis_server(tmp_path)
    ours = ["--bind", "127.0.0.1", "--port", str(service.port), "--dir", str(service.folder)]
    service.command = [service.command[0], *COMPOSE["redis"]["command"][1:], *ours]
    with _started(service), Redis(port=service.port) as client:
        assert client.config_get("append*") | client.config_get("save") == {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "appendfilename": "appendonly.aof",
            "appenddirname": "appendonlydir",
            "save": "",
        }


def test_kafka_starts_with_the_settings_of_the_compose_file(tmp_path: Path) -> None:
    controller, ward, host = free_port(), free_port(), free_port()
    here = {":9093": f":{controller}", ":9092": f":{ward}", ":19092": f":{host}", "/var/lib/kafka": str(tmp_path)}
    lines = []
    for name, value in COMPOSE["kafka"]["environment"].items():
        if name.startswith("KAFKA_"):
            for inside, outside in here.items():
                value = value.replace(inside, outside)
            lines.append(
                f"{name.removeprefix('KAFKA_').lower().replace('_', '.')}={value.replace('://:', '://127.0.0.1:')}\n"
            )
    service = kafka_broker(tmp_path, read_settings().cache, ward)
    (service.folder / "server.properties").write_text("".join(lines))
    metadata = (service.folder / "log").rename(tmp_path / "data")
    assert CLUSTER in (metadata / "meta.properties").read_text()
    with _started(service):
        pass
