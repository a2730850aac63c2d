"""The ward's clock in the log: once a second, to every partition of the input, so that silence is decided from the log.

All tickers always run: doubles do no harm, since time is the largest tick so far.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import structlog
from aiokafka.errors import KafkaError

from ecg.frame import Tick
from stream import topics
from stream.health import Health
from stream.kafka import Kafka, Send, durable, kafka_of, producing
from stream.process import run_service
from stream.settings import Settings
from stream.signing import Signer, encode_as, signer_of

SECOND_NS = 1_000_000_000

log = structlog.get_logger("ticker")


def virtual_clock(start_ns: int | None, speed: float, since_ns: int | None = None) -> Callable[[], int]:
    """Return a clock in ns since 1970 that runs `speed` times as fast as the wall's, from `start_ns` or from now.

    It starts when the wall's clock shows, or showed, `since_ns`: so do those of other processes. None: it starts now.
    """
    if speed <= 0:
        raise ValueError(f"speed must be positive, got {speed}")
    real_ns = time.time_ns() if since_ns is None else since_ns
    first_ns = real_ns if start_ns is None else start_ns
    return lambda: first_ns + round((time.time_ns() - real_ns) * speed)


async def tick(
    kafka: Kafka,
    name: str,
    now_ns: Callable[[], int],
    speed: float,
    health: Health,
    signer: Signer | None = None,
) -> None:
    """Send a tick at each whole second of a clock, for ever.

    After a stall it goes on with the second that it is, without the ones between: frames were held up as well.

    Parameters
    ----------
    kafka : Kafka
        How to reach the brokers.
    name : str
        Which ticker this is.
    now_ns : callable
        The ward's time, in ns since 1970.
    speed : float
        How many of its seconds pass in a real one.
    health : Health
        What the process says of itself.
    signer : Signer or None
        Signs the ticks; None where the setup in force takes unsigned ones.
    """
    sent = health.counter("ticks", "Ticks sent to each partition")
    late = health.gauge("late_seconds", "How long after its second the last tick was in the log")
    seq = 0
    partitions = await topics.partitions(kafka, topics.INPUT)
    async with producing(kafka) as producer:
        while True:
            due_ns = (now_ns() // SECOND_NS + 1) * SECOND_NS
            while (left_ns := due_ns - now_ns()) > 0:
                await asyncio.sleep(left_ns / speed / SECOND_NS)
            value = encode_as(Tick(name, seq, due_ns), signer)
            try:
                await durable(producer, [Send(topics.INPUT, None, value, partition) for partition in partitions])
            except KafkaError as error:
                health.not_ready("kafka")
                log.warning("tick_not_sent", seq=seq, error=type(error).__name__)
            else:
                health.ready()
                sent.inc()
                late.set((now_ns() - due_ns) / speed / SECOND_NS)
            seq += 1


def run_ticker(
    settings: Settings,
    name: str = "ticker",
    start_ns: int | None = None,
    speed: float = 1.0,
    since_ns: int | None = None,
) -> int:
    """Run `vigil ticker` until it is asked to end, and return its exit status."""
    health = Health("ticker")
    clock = virtual_clock(start_ns, speed, since_ns)
    kafka = kafka_of(settings)
    signer = signer_of(settings.key)
    return run_service(settings, health, lambda: tick(kafka, name, clock, speed, health, signer))
