"""The files around the code: lock files, make targets, what is packaged, the compose file."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools import find_packages
from typer.core import TyperGroup

from stream.cli import app
from stream.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = ("requirements.lock", "requirements-cpu.lock", "requirements-uv.lock")
TARGETS = {"help", "setup", "demo", "test", "check", "bench", "campaign", "clean"}
CUDA = re.compile(r"torch|triton|nvidia-.*|cuda-.*")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
COMMANDS = [(name, service["command"]) for name, service in COMPOSE["services"].items() if "build" in service]


def _pins(lock: str) -> dict[str, tuple[str, frozenset[str]]]:
    """Give version and hashes of each package of a lock file."""
    blocks = re.findall(
        r"^([a-z0-9][a-z0-9.-]*)==(\S+) \\\n((?: +--hash=\S+(?: \\)?\n)+)", (ROOT / lock).read_text(), re.M
    )
    return {
        name: (version, frozenset(re.findall(r"sha256:([0-9a-f]{64})", hashes))) for name, version, hashes in blocks
    }


def _tracked() -> list[Path]:
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [Path(name) for name in names.splitlines() if (ROOT / name).is_file()]


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_file_holds_pinned_packages_with_hashes_and_nothing_else(lock: str) -> None:
    pins = _pins(lock)
    assert pins
    assert all(hashes for _, hashes in pins.values())
    for line in (ROOT / lock).read_text().splitlines():
        of_a_package = re.fullmatch(r"[a-z0-9][a-z0-9.-]*==\S+ \\", line)
        assert of_a_package or re.fullmatch(r" {4}--hash=sha256:[0-9a-f]{64}(?: \\)?| *#.*", line), line
        assert "://" not in line


def test_the_lock_meets_every_requirement_of_the_project() -> None:
    project, pins = PROJECT["project"], _pins("requirements.lock")
    for line in project["dependencies"] + project["optional-dependencies"]["dev"]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)][0]), line


def test_the_lock_of_small_machines_is_the_other_one_without_cuda_and_torch() -> None:
    full = _pins("requirements.lock")
    assert any(CUDA.fullmatch(name) for name in full)
    assert _pins("requirements-cpu.lock") == {name: pin for name, pin in full.items() if not CUDA.fullmatch(name)}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_no_tracked_file_names_an_index_or_a_folder_of_one_machine() -> None:
    # Written in halves, so that this file does not find itself.
    forbidden = re.compile(
        "|".join(["pypi" + r"\.org", "files.python" + "hosted", "--index" + "-url ", "/ro" + "ot/", "/wo" + "rk/"])
    )
    for path in _tracked():
        if path.suffix not in {".safetensors", ".png", ".npz", ".msgpack"}:
            found = forbidden.search((ROOT / path).read_text())
            assert found is None, f"{path}: {found and found.group()}"


def test_make_help_lists_every_target_and_the_readme_names_none_that_is_missing() -> None:
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = set(re.findall(r"^make ([a-z-]+) +\S", said, re.M))
    declared = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.M)
    assert declared
    assert TARGETS <= listed == set(declared.group(1).split())
    assert set(re.findall(r"`make ([a-z-]+)", (ROOT / "README.md").read_text())) <= listed


def test_make_bench_runs_every_bench_there_is() -> None:
    vigil = typer.main.get_command(app)
    assert isinstance(vigil, TyperGroup)
    bench = vigil.commands["bench"]
    assert isinstance(bench, TyperGroup)
    makefile = (ROOT / "Makefile").read_text()
    assert [name for name in bench.commands if f"vigil bench {name} --json" not in makefile] == []


def test_setup_without_python_3_11_is_one_line(tmp_path: Path) -> None:
    for name in ("sh", "dirname"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    result = _setup({"PATH": str(tmp_path)}, "cuda")
    assert result.returncode == 2
    assert result.stderr == "make setup needs Python 3.11; name it with PYTHON=... if it is not on the PATH\n"


def test_setup_with_a_python_that_has_no_venv_is_one_line(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1 ;; esac\n')
    python.chmod(0o755)
    result = _setup({"PATH": os.environ["PATH"], "PYTHON": str(python)}, "cuda")
    assert result.returncode == 2
    assert (
        result.stderr
        == f"{python} lacks venv and ensurepip: install them (Debian, Ubuntu: apt install python3.11-venv)\n"
    )


def test_setup_for_an_unknown_kind_of_torch_is_one_line() -> None:
    result = _setup({"PATH": os.environ["PATH"]}, "rocm")
    assert (result.returncode, result.stderr) == (2, "TORCH must be cuda or cpu, got rocm\n")


def _setup(environment: dict[str, str], torch: str) -> subprocess.CompletedProcess[str]:
    command = [str(ROOT / ".ci" / "setup"), torch, "requirements.lock"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_ci_runs_make_check_and_make_test_and_nothing_else() -> None:
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    commands = [line for line in lines if not line.startswith(("#", "set ", "cd "))]
    assert commands == ["make check", "make test"]
    assert os.access(ROOT / ".ci" / "run", os.X_OK)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_every_module_and_every_data_file_of_a_package_is_packaged() -> None:
    found, data = PROJECT["tool"]["setuptools"]["packages"]["find"], PROJECT["tool"]["setuptools"]["package-data"]
    packages = find_packages(str(ROOT), include=found["include"])
    for path in _tracked():
        if path.parts[0] not in {"ecg", "model", "simulators", "stream"}:
            continue
        if path.suffix == ".py":
            assert ".".join(path.parent.parts) in packages, path
        else:
            patterns = data.get(path.parts[0], [])
            assert any(path.relative_to(path.parts[0]).match(pattern) for pattern in patterns), path


def _validate(file: Path) -> subprocess.CompletedProcess[str]:
    """Validate against the compose specification's JSON schema, which check-jsonschema carries."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(file)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_compose_file_follows_the_compose_specification() -> None:
    result = _validate(ROOT / "docker-compose.yml")
    assert result.returncode == 0, result.stdout


def test_a_compose_file_with_an_unknown_key_does_not_pass(tmp_path: Path) -> None:
    broken = tmp_path / "docker-compose.yml"
    broken.write_text((ROOT / "docker-compose.yml").read_text().replace("healthcheck:", "healthchek:"))
    assert _validate(broken).returncode != 0


def test_the_services_of_a_ward_are_all_there_and_devices_come_with_the_demo_alone() -> None:
    services = COMPOSE["services"]
    assert set(services) == {"kafka", "redis", "topics", "setup", "worker", "publisher", "ticker", "ward", "simulators"}
    assert services["simulators"]["profiles"] == ["demo"]
    assert services["kafka"]["image"] == "apache/kafka:4.3.1"
    assert services["redis"]["command"][:3] == ["redis-server", "--appendonly", "yes"]


@pytest.mark.parametrize("name", ["worker", "publisher"])
def test_worker_and_publisher_are_healthy_when_ready_and_wait_for_what_they_need(name: str) -> None:
    service = COMPOSE["services"][name]
    assert f":{service['environment']['VIGIL_HEALTH_PORT']}/ready" in service["healthcheck"]["test"][-1]
    conditions = {needed: how["condition"] for needed, how in service["depends_on"].items()}
    ends = ["topics", "setup"] if name == "worker" else ["topics"]
    healthy = dict.fromkeys(["kafka", "redis"], "service_healthy")
    assert conditions == healthy | dict.fromkeys(ends, "service_completed_successfully")


def test_a_service_that_is_waited_for_has_a_health_check_or_ends() -> None:
    services = COMPOSE["services"]
    for service in services.values():
        for needed, how in service.get("depends_on", {}).items():
            assert "healthcheck" in services[needed] or how["condition"] == "service_completed_successfully"


def test_the_cluster_id_of_kafka_is_sixteen_bytes() -> None:
    cluster = COMPOSE["services"]["kafka"]["environment"]["CLUSTER_ID"]
    assert len(base64.urlsafe_b64decode(cluster + "==")) == 16


def test_the_worker_can_be_scaled() -> None:
    assert not {"container_name", "ports", "hostname"} & set(COMPOSE["services"]["worker"])


def test_ports_are_published_on_loopback_alone_and_volumes_are_named() -> None:
    for name, service in COMPOSE["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert all(volume.split(":")[0] in COMPOSE["volumes"] for volume in service.get("volumes", [])), name


def test_no_service_runs_as_root_or_can_become_it() -> None:
    assert re.search(r"^USER vigil$", (ROOT / "Dockerfile").read_text(), re.M)
    for name, service in COMPOSE["services"].items():
        assert "build" in service or service["user"] not in {"root", "0"}, name
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize(("name", "command"), COMMANDS, ids=[name for name, _ in COMMANDS])
def test_every_command_of_the_compose_file_is_one_of_vigil_with_its_arguments(name: str, command: list[str]) -> None:
    program, *arguments = command
    assert program == "vigil", name
    found = typer.main.get_command(app)
    while isinstance(found, TyperGroup):
        found, arguments = found.commands[arguments[0]], arguments[1:]
    found.make_context(name, arguments)  # takes apart and checks the arguments, and runs nothing


def test_the_compose_file_sets_only_what_vigil_reads() -> None:
    known = {PREFIX + field.upper() for field in Settings.model_fields}
    for service in COMPOSE["services"].values():
        if "build" in service:
            assert set(service["environment"]) <= known


def test_the_image_holds_every_file_that_the_dockerfile_copies() -> None:
    sent = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("COPY "):
            for source in line.split()[1:-1]:
                assert (ROOT / source).exists(), source
                assert any(Path(source).match(pattern) for pattern in sent), source
