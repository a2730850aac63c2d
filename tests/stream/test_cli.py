"""What `vigil` says, and with which status it ends, where something is missing or wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from ecg.alert import Alert, Evidence, Source, encode
from stream.embedded import start_redis
from stream.store import stream_key

NOWHERE = {"VIGIL_KAFKA": "127.0.0.1:1", "VIGIL_REDIS": "redis://127.0.0.1:1/0"}


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    named = os.environ | NOWHERE | environment
    return subprocess.run(
        [sys.executable, *command], env=named, capture_output=True, text=True, check=False, timeout=60
    )


def vigil(*arguments: str) -> tuple[int, list[str]]:
    """Run `vigil` where there is neither Kafka nor Redis; gives its status and the lines that it wrote to stderr."""
    done = run("-m", "stream", *arguments)
    return done.returncode, done.stderr.splitlines()


@pytest.mark.parametrize(
    ("command", "absent"),
    [
        ("simulate --rhythm sinus --seconds 1", "kafka"),
        ("admit a --ward icu --bed 1", "kafka"),
        ("setup --net none --by a --reason b", "kafka"),
        ("topics check", "kafka"),
        ("ack x --by a --reason b", "redis"),
        ("alerts", "redis"),
        ("ward", "redis"),
    ],
)
def test_a_command_without_its_service_says_so_in_one_line_and_ends_with_3(command: str, absent: str) -> None:
    status, said = vigil(*command.split())
    assert (status, len(said)) == (3, 1)
    assert said[0].startswith(f"vigil: {absent} at ")
    assert said[0].endswith(" does not answer")


@pytest.mark.parametrize(("service", "absent"), [("publisher", "redis"), ("ticker", "kafka")])
def test_a_service_without_its_service_logs_so_and_ends_with_3(service: str, absent: str) -> None:
    status, said = vigil(service)
    assert status == 3
    assert f"{absent} at 127.0.0.1:1 does not answer" in said[-1]
    assert not [line for line in said if "Traceback" in line or "Unclosed" in line]


def test_a_file_that_is_no_network_is_not_put_into_force(tmp_path: Path) -> None:
    (tmp_path / "net").write_text("root:x:0:0")
    status, said = vigil("setup", "--net", str(tmp_path / "net"), "--by", "a", "--reason", "b")
    assert (status, len(said)) == (2, 1)
    assert said[0].startswith("vigil: weights must be ")


@pytest.mark.parametrize("since", ["x", "1-", "-1", "$"])
def test_alerts_start_behind_an_entry(since: str) -> None:
    status, said = vigil("alerts", f"--since={since}")
    assert (status, len(said)) == (2, 1)
    assert "since must be the id of an entry" in said[0]


def test_a_record_that_cannot_be_read_is_one_line_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "cut.hea").write_text("cut 1 250 5000\ncut.dat 16 200/mV 16 0 0 0 0 II\n")
    (tmp_path / "cut.dat").write_bytes(bytes(400))
    (tmp_path / "bare.hea").write_text("bare 0\n")
    for name, why in (("cut", "signal file is shorter than its header says"), ("bare", "header names no signal")):
        status, said = vigil("analyze", str(tmp_path / name), "--net", "none")
        assert (status, said) == (2, [f"vigil: {name}: {why}"])
    status, said = vigil("simulate", "--records", str(tmp_path))
    assert status == 2
    assert [line.split(":")[1].split()[0] for line in said] == ["left", "left", "records"]


def test_a_rate_is_for_generated_hearts_alone(tmp_path: Path) -> None:
    status, said = vigil("simulate", "--records", str(tmp_path), "--rate", "500")
    assert (status, len(said)) == (2, 1)
    assert said[0].startswith("vigil: rate must not be given with records")


def test_a_ward_of_wearables_is_built_before_kafka_is_asked() -> None:
    status, said = vigil("simulate", "--rhythm", "sinus", "--device", "wearable", "--leads", "V5", "--rate", "500")
    assert (status, len(said)) == (3, 1)
    assert said[0].startswith("vigil: kafka at ")


def test_a_retry_must_be_told_which_letters() -> None:
    status, said = vigil("dead-letters", "retry")
    assert (status, said) == (2, ["vigil: retry must be told which: --offset, --device or --reason"])


def test_limits_name_a_limit() -> None:
    status, said = vigil("limits", "a", "--by", "a", "--reason", "b")
    assert (status, len(said)) == (2, 1)
    assert "at least one limit" in said[0]


@pytest.mark.parametrize(("then", "traced"), [("", False), ("stream.interrupt.catch();", True)])
def test_an_interrupted_import_leaves_no_traceback(then: str, traced: bool) -> None:
    done = run("-c", f"import os, signal, stream.interrupt; {then} os.kill(os.getpid(), signal.SIGINT)")
    assert done.returncode == -signal.SIGINT
    assert ("KeyboardInterrupt" in done.stderr) == traced


@pytest.mark.system
def test_alerts_are_printed_with_the_id_that_ack_takes_and_the_day(tmp_path: Path) -> None:
    item = Alert(
        "c0ffee", "e", 0, 0, "", "a", "7", "icu", "asystole", "MDC 199684", "high", "***", "start", "on",
        1_800_000_000 * 10**9, 0, None, None, "", None, Evidence(), Source("ecg.input.v1", 0, 1, 1), (), "", "0",
    )  # fmt: skip
    redis = start_redis(tmp_path)
    url = f"redis://{redis.address}/0"
    try:
        with Redis.from_url(url) as client:
            client.sadd("wards", "icu")
            client.xadd(stream_key("icu"), {"alert": encode(item), "id": item.id}, id="4-1")
        printed = run("-m", "stream", "alerts", VIGIL_REDIS=url).stdout
        acknowledged = run("-m", "stream", "ack", "4-1", "--by", "a", "--reason", "b", VIGIL_REDIS=url)
    finally:
        redis.kill()
    assert printed.split()[:6] == ["4-1", "c0ffee", "2027-01-15", "08:00:00", "UTC", "icu/7"]
    assert acknowledged.stderr == "vigil: kafka at 127.0.0.1:1 does not answer\n", "the alert was found"
