"""Frames into Kafka, each at its moment of the virtual clock."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import RecordMetadata
from numpy.typing import NDArray

from ecg.frame import MAX_BYTES, Frame, encode
from simulators.clock import Clock

OnSent = Callable[[str, int, int, int, int], None]
"""Called when the log has a frame: device, seq, partition, offset, and the wall time in ns at which it was sent."""


@dataclasses.dataclass(frozen=True)
class Sent:
    """What a run of the sender came to; lateness is behind the virtual clock, in real seconds."""

    frames: int
    bytes: int
    seconds: float
    late_p50_s: float
    late_p99_s: float
    late_max_s: float


@dataclasses.dataclass
class _Tally:
    """Counts what was sent, and keeps the first failure; lateness in bins of 1 ms up to a minute."""

    on_sent: OnSent | None
    frames: int = 0
    bytes: int = 0
    late_max_s: float = 0.0
    late_ms: NDArray[np.int64] = dataclasses.field(default_factory=lambda: np.zeros(60_001, dtype=np.int64))
    failure: BaseException | None = None

    def sent(self, size: int, late_s: float) -> None:
        """Take note of one frame."""
        self.frames += 1
        self.bytes += size
        self.late_max_s = max(self.late_max_s, late_s)
        self.late_ms[min(60_000, round(late_s * 1000))] += 1

    def acknowledged(self, device: str, seq: int, wall_ns: int, future: asyncio.Future[RecordMetadata]) -> None:
        """Take note of the log's answer to one frame."""
        if future.cancelled():
            return
        if (failure := future.exception()) is not None:
            self.failure = self.failure or failure
        elif self.on_sent:
            where = future.result()
            self.on_sent(device, seq, where.partition, where.offset, wall_ns)

    def total(self, seconds: float) -> Sent:
        """Return the sums."""
        below = np.cumsum(self.late_ms)
        p50, p99 = (float(np.searchsorted(below, part * self.frames)) / 1000 for part in (0.5, 0.99))
        return Sent(self.frames, self.bytes, seconds, p50, p99, self.late_max_s)


async def send(
    frames: Iterable[tuple[float, str, Frame]],
    bootstrap: str,
    topic: str,
    speed: float = 1.0,
    on_sent: OnSent | None = None,
    clock: Clock | None = None,
    compression: str | None = None,
    security: Mapping[str, Any] = {},
) -> Sent:
    """Send frames, keyed by device, when they are due; return when the log has all of them.

    Parameters
    ----------
    frames : iterable of (second, device, frame)
        In order of their seconds since the clock's start, as `simulators.fleet.merged` gives them.
    bootstrap, topic : str
    speed : float
        Virtual seconds in a real one; 0: as fast as the log takes them.
    on_sent : callable
        Called with device, seq, partition, offset and the wall time of sending, in ns.
    clock : Clock or None
        The clock that the frames follow, whose speed then counts; one that starts now unless given.
    compression : str or None
        None, or as aiokafka names it: zstd makes two leads less than half as large.
    security : mapping
        Keyword arguments of aiokafka's clients for TLS and credentials; none for a broker in plain text.

    Raises
    ------
    ConnectionError
        If no broker answers.
    aiokafka.errors.KafkaError
        If the log refuses a frame.
    """
    clock = clock or (Clock(time.time_ns(), speed) if speed else None)
    tally = _Tally(on_sent)
    started = time.monotonic()
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,
        acks="all",
        linger_ms=20,
        max_batch_size=MAX_BYTES,
        compression_type=compression,
        **security,
    )
    try:
        async with producer:
            for due_s, device, frame in frames:
                if clock:
                    await clock.until(due_s)
                late_s = max(0.0, (clock.now_s() - due_s) / clock.speed) if clock else 0.0
                tally.sent(await _send(producer, topic, device, frame, tally), late_s)
                if tally.failure:
                    break
            await producer.flush()
    except KafkaConnectionError as error:
        await producer.stop()  # one that did not start is not closed either
        raise ConnectionError(f"kafka at {bootstrap} does not answer") from error
    if tally.failure:
        raise tally.failure
    return tally.total(time.monotonic() - started)


async def _send(producer: AIOKafkaProducer, topic: str, device: str, frame: Frame, tally: _Tally) -> int:
    value, wall_ns = encode(frame), time.time_ns()
    future = await producer.send(topic, value, key=device.encode())
    future.add_done_callback(lambda done: tally.acknowledged(device, frame.seq, wall_ns, done))
    return len(value)
