"""The sender: keyed by device, each frame at its moment, every answer of the log reported."""

from __future__ import annotations

import asyncio
import time
from typing import Any, NamedTuple

import pytest

from ecg.frame import decode
from simulators import send as sender
from simulators.clock import Clock
from simulators.fleet import merged, simulate

T0 = 1_700_000_000_000_000_000


class Where(NamedTuple):
    partition: int
    offset: int


class Log:
    """Stands in for the producer and the log behind it."""

    records: list[tuple[float, str, bytes, bytes]]
    fails_at = -1

    def __init__(self, **settings: Any) -> None:
        assert settings["enable_idempotence"]
        assert settings["acks"] == "all"
        Log.records = []

    async def __aenter__(self) -> Log:
        return self

    async def __aexit__(self, *failure: object) -> None:
        return None

    async def flush(self) -> None:
        await asyncio.sleep(0)

    async def send(self, topic: str, value: bytes, key: bytes) -> asyncio.Future[Where]:
        answer = asyncio.get_running_loop().create_future()
        if len(self.records) == self.fails_at:
            answer.set_exception(ConnectionError("the log is gone"))
        else:
            answer.set_result(Where(0, len(self.records)))
        self.records.append((time.monotonic(), topic, key, value))
        await asyncio.sleep(0)
        return answer


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> type[Log]:
    monkeypatch.setattr(sender, "AIOKafkaProducer", Log)
    monkeypatch.setattr(Log, "fails_at", -1)
    return Log


def test_frames_are_keyed_by_their_device_and_each_answer_is_reported(log: type[Log]) -> None:
    answers: list[tuple[str, int, int, int, int]] = []
    frames = list(merged(simulate(3, T0), 5.0))
    sent = asyncio.run(sender.send(iter(frames), "nowhere:1", "ecg.input.v1", 0, lambda *a: answers.append(a)))
    assert sent.frames == len(frames) == len(log.records) == len(answers)
    assert sent.bytes == sum(len(value) for *_, value in log.records)
    for (_, name, frame), (_, topic, key, value), answer in zip(frames, log.records, answers, strict=True):
        assert (topic, key, decode(value)) == ("ecg.input.v1", name.encode(), frame)
        assert answer[:3] == (name, frame.seq, 0)


def test_no_frame_leaves_before_it_is_due(log: type[Log]) -> None:
    frames = list(merged(simulate(2, T0), 10.0))
    started = time.monotonic()
    sent = asyncio.run(sender.send(frames, "nowhere:1", "t", clock=Clock(T0, speed=40.0)))
    for (due_s, _, _), (at, *_) in zip(frames, log.records, strict=True):
        assert (at - started) * 40.0 >= due_s - 0.5
    assert 0 <= sent.late_p50_s <= sent.late_p99_s <= sent.late_max_s + 0.001
    assert sent.seconds >= 0.2


def test_a_failure_of_the_log_ends_the_sending_and_is_raised(log: type[Log], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Log, "fails_at", 4)
    with pytest.raises(ConnectionError, match="the log is gone"):
        asyncio.run(sender.send(merged(simulate(2, T0), 60.0), "nowhere:1", "t", 0))
    assert len(log.records) <= 7
