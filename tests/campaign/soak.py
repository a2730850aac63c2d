"""`python -m tests.campaign.soak`: a ward at 20 times speed for half an hour, in which nothing must grow.

Memory and open files of each process, the lag of the worker, and the memory of Redis are looked at every few seconds.
What counts is the trend after a warm-up, by least squares: how much it adds up to in the time that was looked at. The
alerts that Redis keeps for wards, up to a number, are told apart from the rest of its memory. Ends with one JSON
object; exit status 1 where something grew by more than its limit.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from simulators.clock import Clock
from stream.client import read_wards
from stream.embedded import Services
from stream.processes import Process, running
from stream.settings import read_settings
from stream.store import connect, stream_key
from tests.campaign import player
from tests.campaign.kills import START_NS
from tests.campaign.ward import playing

BEDS, SPEED = 24, 20.0
EVERY_S = 5.0
WARM_PART, WARM_LEAST_S = 0.2, 60.0
"""So much of the time, and at least so long, is not looked at: caches fill, and each story is told once."""
SETTLE_S = 5.0
PROC = Path("/proc")
MIB = 1024 * 1024
LIMITS = {"rss_mib": 16.0, "files": 2.0, "lag_s": 1.0, "redis_beside_alerts_mib": 4.0}
"""How much the trend of each may add up to."""


class Trend(msgspec.Struct):
    """One thing that was looked at: its mean, what its trend adds up to, and how much that may be."""

    mean: float
    grew: float
    limit: float

    @property
    def is_flat(self) -> bool:
        """Whether it did not grow by more than it may."""
        return self.grew <= self.limit


def main() -> int:
    """Soak a ward for as long as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--beds", type=int, default=BEDS)
    asked = parser.parse_args()
    settings = read_settings()
    bare = settings.model_copy(update={"kafka": None, "redis": None})
    with tempfile.TemporaryDirectory(prefix="vigil-soak-") as folder, Services(bare) as services:
        kafka = {"bootstrap_servers": services.kafka}
        clock = Clock(START_NS, SPEED)
        key = Path(folder) / "key.pem"
        asyncio.run(player.prepare(kafka, clock, 4, player.make_key(key)))
        times = ["--speed", str(SPEED), "--start-ns", str(START_NS), "--since-ns", str(clock.real_start_ns)]
        ours = [("worker", ["worker"]), ("publisher", ["publisher"]), ("ticker", ["ticker", *times])]
        with running(ours, services.kafka, services.redis, Path(folder), {"VIGIL_KEY": str(key)}) as processes:
            played = player.Played(
                services.kafka,
                clock,
                asked.beds,
                asked.minutes * 60 * SPEED,
                0.5,
                seed=1,
                key=str(key),
                records=str(settings.records) if settings.records else None,
            )
            rows = asyncio.run(_watched(played, processes, services.redis, Path(folder), asked.minutes * 60))
    trends = _trends(rows)
    grown = [name for name, trend in trends.items() if not trend.is_flat]
    found = {"minutes": asked.minutes, "speed": SPEED, "beds": asked.beds, "grown": grown, "trends": trends}
    print(msgspec.json.encode(found | {"alerts_in_redis": rows[-1]["alerts_in_redis"]}).decode(), flush=True)
    return 1 if grown else 0


async def _watched(
    played: player.Played, processes: Mapping[str, Process], redis: str, folder: Path, seconds: float
) -> list[dict[str, float]]:
    """Look at everything again and again while the devices play; returns a row each time."""
    rows: list[dict[str, float]] = []
    async with playing(played, folder / "player.log") as ended:
        began = time.monotonic()
        while ended() is None and (at_s := time.monotonic() - began) < seconds - SETTLE_S:
            rows.append({"at_s": at_s, **_of_processes(processes), **await _of_redis(redis)})
            if len(rows) % 12 == 0:
                print({name: round(value, 1) for name, value in rows[-1].items()}, file=sys.stderr, flush=True)
            await asyncio.sleep(EVERY_S)
    return rows


def _of_processes(processes: Mapping[str, Process]) -> dict[str, float]:
    row: dict[str, float] = {}
    for name, process in processes.items():
        if (status := process.ended()) is not None or process.process is None:
            raise RuntimeError(f"{name} ended with {status}")
        pid = str(process.process.pid)
        row[f"{name}_rss_mib"] = _rss_mib(pid)
        row[f"{name}_files"] = len(os.listdir(PROC / pid / "fd"))
    row["worker_records"] = processes["worker"].metric("records_total")
    row["worker_lag_records"] = processes["worker"].total("lag_records")
    return row


def _rss_mib(pid: str) -> float:
    line = next(line for line in (PROC / pid / "status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


async def _of_redis(url: str) -> dict[str, float]:
    async with connect(url) as redis:
        used = (await redis.info("memory"))["used_memory"]
        kept = count = 0
        for ward in await read_wards(redis):
            kept += await redis.memory_usage(stream_key(ward), samples=0) or 0
            count += await redis.xlen(stream_key(ward))
    return {"redis_mib": used / MIB, "redis_beside_alerts_mib": (used - kept) / MIB, "alerts_in_redis": count}


def _trends(rows: list[dict[str, float]]) -> dict[str, Trend]:
    """Fit a line to each thing after the warm-up; lag is given in seconds of input at the mean rate."""
    at_s = np.array([row["at_s"] for row in rows])
    later = at_s >= max(WARM_PART * at_s[-1], min(WARM_LEAST_S, at_s[-1] / 2))
    taken = np.array([row["worker_records"] for row in rows])
    rate = (taken[-1] - taken[0]) / (at_s[-1] - at_s[0])
    columns: dict[str, Any] = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    columns["worker_lag_s"] = columns["worker_lag_records"] / rate
    trends = {}
    for name, values in columns.items():
        limit = next((most for end, most in LIMITS.items() if name.endswith(end)), None)
        if limit is not None:
            slope = float(np.polyfit(at_s[later], values[later], 1)[0])
            grew = slope * float(at_s[later][-1] - at_s[later][0])
            trends[name] = Trend(round(float(values[later].mean()), 3), round(grew, 3), limit)
    return trends


if __name__ == "__main__":
    sys.exit(main())
