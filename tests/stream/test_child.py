from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream.child import PORTS, Service, ServiceError, free_port

SERVER = (
    "import socket, sys, time\ns = socket.create_server(('127.0.0.1', int(sys.argv[1])))\nprint('up', flush=True)\n"
)


Make = Callable[[str], Service]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Give a function that makes a service of a program, ready once it prints `up`; each is ended after the test."""
    made: list[Service] = []

    def service(program: str) -> Service:
        port = free_port()
        command = [sys.executable, "-c", program, str(port)]
        made.append(Service("fake", port, command, tmp_path, tmp_path / "fake.log", "up"))
        return made[-1]

    yield service
    for one in made:
        one.kill()


def _runs(pid: int) -> bool:
    """Whether a process lives; a zombie that process 1 has not reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_service_is_ready_once_its_log_says_so_and_gone_after_stop(make: Make) -> None:
    service = make(SERVER + "time.sleep(60)")
    service.start()
    service.wait_ready()
    pid = service.pid
    socket.create_connection(("127.0.0.1", service.port)).close()
    assert service.address == f"127.0.0.1:{service.port}"
    service.stop()
    assert not _runs(pid)
    with pytest.raises(RuntimeError, match="fake is not running"):
        _ = service.pid


def test_a_restart_keeps_port_and_log_and_waits_for_the_new_process(make: Make) -> None:
    service = make(SERVER + "time.sleep(60)")
    service.start()
    service.wait_ready()
    port, first = service.port, service.pid
    service.kill()
    service.restart()
    socket.create_connection(("127.0.0.1", port)).close()
    assert service.pid != first
    service.kill()
    assert service.log.read_text() == "up\nup\n"


def test_stop_and_kill_of_what_does_not_run_do_nothing(make: Make) -> None:
    service = make(SERVER)
    service.stop()
    service.kill()
    assert service.process is None


def test_a_service_that_ends_at_once_gives_its_reason_and_its_log_in_one_line(make: Make) -> None:
    service = make("print('starting')\nprint('ERROR no licence')\nprint('bye')")
    service.start()
    with pytest.raises(ServiceError) as caught:
        service.wait_ready()
    assert str(caught.value) == (f"fake did not start: it ended at once: ERROR no licence (log: {service.log})")
    service.kill()


def test_a_service_that_is_never_ready_is_ended_and_said(make: Make) -> None:
    service = make("import time; time.sleep(60)")
    service.start()
    pid = service.pid
    with pytest.raises(ServiceError, match="fake did not start: it was not ready within 0 s"):
        service.wait_ready(0.1)
    assert not _runs(pid)


def test_an_occupied_port_is_said_and_nothing_is_started(make: Make) -> None:
    service = make(SERVER)
    with (
        socket.create_server(("127.0.0.1", service.port)),
        pytest.raises(ServiceError, match=f"^fake did not start: port {service.port} is taken "),
    ):
        service.start()
    assert service.process is None


def test_a_service_that_ignores_sigterm_is_killed(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.child.STOP_S", 0.2)
    service = make("import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\ntime.sleep(60)")
    service.start()
    service.wait_ready()
    pid = service.pid
    service.stop()
    assert not _runs(pid)


def test_a_service_is_refused_outside_the_main_thread_with_which_alone_it_would_live_on(make: Make) -> None:
    caught: list[BaseException] = []

    def start() -> None:
        try:
            make(SERVER).start()
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])


def test_free_ports_differ_and_lie_below_the_ports_of_outgoing_connections() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert all(port in PORTS for port in ports)


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG is Linux's")
def test_a_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from stream.child import Service, free_port\n"
        "port = free_port(); folder = Path(sys.argv[1])\n"
        "s = Service('fake', port, [sys.executable, '-c', 'import time; print(1, flush=True); time.sleep(60)'],"
        " folder, folder / 'fake.log', '1')\n"
        "s.start(); s.wait_ready(); print(s.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
    assert _runs(child)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 5
    while _runs(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _runs(child)
