"""`vigil bench`: how much one worker carries, measured with broker and Redis on the same machine.

A number of beds is in real time when, for a minute, the worker's lag stays flat and alerts reach Redis in under a
second (p99), counted from the sending of the frame with the last sample that an alert used.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from aiokafka.admin import AIOKafkaAdminClient
from numpy.typing import NDArray

from ecg.clinical import Settings as Clinical
from ecg.frame import Setup
from simulators.clock import Clock
from simulators.fleet import bedsides, merged
from simulators.heart import Heart
from simulators.send import send
from simulators.source import Source
from stream import topics
from stream.client import put_weights, read_alerts, send_setup
from stream.demo import Seen
from stream.embedded import Services
from stream.kafka import Kafka, reading, split
from stream.nets import read_weights
from stream.processes import Process, running
from stream.settings import Settings

FRAME_S = 1.0
LEADS = ("II", "V1", "I", "III", "aVR", "aVL", "aVF", "V2", "V3", "V4", "V5", "V6")
"""A bed with fewer has the first of these."""
STORIES = 16
"""Different hearts that the beds share; each has a run of ventricular tachycardia in every minute, at its own time."""
WARM_UP_S = 15.0
LAG_S = 1.0
"""Lag counts as flat while its trend over the measured time adds up to less than this many seconds of input."""
P99_S = 1.0
STEP = 1.25
PROC = Path("/proc")


@dataclass(frozen=True)
class Load:
    """What a number of beds came to."""

    beds: int
    leads: int
    frames_per_s: float
    lag_end_s: float
    lag_trend_s: float
    alerts: int
    alert_delay_p50_s: float
    alert_delay_p99_s: float
    worker_cpu: float
    sender_late_p99_s: float

    @property
    def real_time(self) -> bool:
        """Whether the worker kept up."""
        return self.alerts > 0 and self.lag_trend_s < LAG_S and self.alert_delay_p99_s < P99_S


def pipeline(settings: Settings, beds: int, seconds: float, leads: int, json: bool) -> int:
    """Raise the number of beds until the worker no longer keeps up, and print what it carried.

    Parameters
    ----------
    settings : Settings
    beds : int
        To begin with.
    seconds : float
        How long each number is watched.
    leads : int
        Of each bed: the first of `LEADS`.
    json : bool

    Returns
    -------
    int
        Exit status: 1 where it did not keep up with the number that it began with.
    """
    loads = _most(settings, beds, seconds, LEADS[:leads], 250.0)
    best = next((load for load in reversed(loads) if load.real_time), None)
    figures = {
        "beds_real_time": best.beds if best else 0,
        "frames_per_s": round(max(load.frames_per_s for load in loads), 1),
        "alert_delay_p50_s": best.alert_delay_p50_s if best else None,
        "alert_delay_p99_s": best.alert_delay_p99_s if best else None,
        "cpu_us_per_bed_second": round(best.worker_cpu * 1e6 / best.beds, 1) if best else None,
    }
    if json:
        print(msgspec.json.encode({"figures": figures, "loads": loads}).decode())
    else:
        for name, value in figures.items():
            print(f"{name:24} {value}")
    return 0 if best else 1


def _most(settings: Settings, beds: int, seconds: float, leads: tuple[str, ...], rate_hz: float) -> list[Load]:
    loads: list[Load] = []
    while True:
        load = _measured(settings, beds, seconds, leads, rate_hz)
        loads.append(load)
        verdict = "in real time" if load.real_time else "not in real time"
        print(
            f"{load.beds} beds of {len(leads)} leads: {verdict}; {load.frames_per_s:.0f} frames/s, lag "
            f"{load.lag_end_s:.2f} s (trend {load.lag_trend_s:+.2f} s), delay p50 {load.alert_delay_p50_s:.3f} s "
            f"p99 {load.alert_delay_p99_s:.3f} s over {load.alerts} alerts, worker {load.worker_cpu:.2f} cores",
            file=sys.stderr,
            flush=True,
        )
        if not load.real_time:
            return loads
        beds = round(beds * STEP)


def _measured(settings: Settings, beds: int, seconds: float, leads: tuple[str, ...], rate_hz: float) -> Load:
    with tempfile.TemporaryDirectory(prefix="vigil-bench-") as folder, Services(settings) as services:
        asyncio.run(topics.create(services.clients))
        ours = [("worker", ["worker"]), ("publisher", ["publisher"]), ("ticker", ["ticker"])]
        with running(ours, services.kafka, services.redis, Path(folder)) as processes:
            return asyncio.run(
                _loaded(services.clients, services.redis, processes["worker"], beds, seconds, hearts(leads, rate_hz))
            )


def hearts(leads: tuple[str, ...], rate_hz: float) -> list[Source]:
    """Return the sources that the beds share."""
    sources = []
    for index in range(STORIES):
        before_s = 10.0 + index * 30.0 / STORIES
        script = [("sinus", before_s, {}), ("ventricular_tachycardia", 8.0, {}), ("sinus", 52.0 - before_s, {})]
        sources.append(Heart(script, leads, rate_hz, index).source(f"heart {index}"))
    return sources


async def _loaded(client: Kafka, redis: str, worker: Process, beds: int, seconds: float, sources: list[Source]) -> Load:
    """Send so many beds for a while, and watch lag, delay and the worker's time on the processor."""
    sha256 = await put_weights(client, read_weights("shipped"))
    await send_setup(client, Setup("bench", "load", time.time_ns(), Clinical(), {"net": sha256}, unsigned=True))
    seen = Seen(time.monotonic())
    clock = Clock(time.time_ns(), 1.0)
    frames = merged(bedsides(sources, beds, clock.start_ns, FRAME_S), WARM_UP_S + seconds)
    watching = asyncio.create_task(_watch(redis, seen))
    brokers, security = split(client)
    sending = asyncio.create_task(
        send(frames, brokers, topics.INPUT, on_sent=seen.sent, clock=clock, security=security)
    )
    await asyncio.sleep(WARM_UP_S)
    seen.delays_s.clear()
    cpu, started = _cpu_s(worker), time.monotonic()
    lags: list[tuple[float, float]] = []
    while not sending.done():
        lags.append((time.monotonic() - started, await _lag(client) / beds * FRAME_S))
        await asyncio.wait([sending], timeout=1.0)
    took_s = time.monotonic() - started
    used = (_cpu_s(worker) - cpu) / took_s
    total = await sending
    await asyncio.sleep(2 * P99_S)
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    times, values = np.array(lags).T
    delays: NDArray[Any] = np.array(seen.delays_s or [np.inf])
    return Load(
        beds=beds,
        leads=len(sources[0].leads),
        frames_per_s=round(total.frames / total.seconds, 1),
        lag_end_s=round(float(values[-5:].mean()), 3),
        lag_trend_s=round(float(np.polyfit(times, values, 1)[0] * took_s), 3),
        alerts=len(seen.delays_s),
        alert_delay_p50_s=round(float(np.percentile(delays, 50)), 3),
        alert_delay_p99_s=round(float(np.percentile(delays, 99)), 3),
        worker_cpu=round(used, 3),
        sender_late_p99_s=total.late_p99_s,
    )


async def _watch(redis: str, seen: Seen) -> None:
    async for _, alert in read_alerts(redis, follow=True):
        seen.came(alert, time.time_ns())


async def _lag(client: Kafka) -> int:
    """Return how many records of the input the worker has not acknowledged."""
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        group = await admin.list_consumer_group_offsets(topics.GROUP)
    finally:
        await admin.close()
    async with reading(client) as consumer:
        ends = await consumer.end_offsets([part for part in group if part.topic == topics.INPUT])
    return sum(max(0, end - max(0, group[part].offset)) for part, end in ends.items())


def _cpu_s(process: Process) -> float:
    """Return the seconds of processor time that a process has used."""
    assert process.process is not None
    fields = (PROC / str(process.process.pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
