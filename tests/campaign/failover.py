"""How long a bed is blind when its worker ends: killed, or told to end, with one group of workers or two.

Each bed gives vitals once a second. The blind time of a bed is the longest time between two of them in the log while
its device sends, less that second. `python -m tests.campaign.failover` measures 24 and 500 beds and prints JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
from aiokafka.structs import ConsumerRecord

from ecg.alert import decode_alert, decode_vitals
from ecg.clinical import Settings as Clinical
from ecg.condition import LETHAL
from ecg.frame import Setup
from simulators.clock import Clock
from simulators.fleet import bedsides, merged
from simulators.send import send
from stream import topics
from stream.bench import hearts
from stream.client import put_weights, send_setup
from stream.embedded import Services
from stream.kafka import Kafka
from stream.nets import read_weights
from stream.processes import Process, running
from stream.settings import read_settings
from tests.campaign.verdict import blind, derived, log

WARM_S, AFTER_S = 10.0, 12.0
"""Before the end of the worker, and after it; beds begin with up to a second of silence."""
SETTLE_S = 5.0
DEADLINE_S = 90.0
FRAME_S = 0.5


class Failover(msgspec.Struct):
    """What the end of one worker came to.

    `moved` beds were the worker's; `blind_s` is the longest blind time of a bed, `taken_over_s` the time from the
    signal until all of them had new vitals; `missed` counts alerts of lethal conditions that the log gives and
    `ecg.alerts.v1` has not got.
    """

    beds: int
    groups: int
    how: str
    moved: int
    blind_s: float
    blind_p50_s: float
    taken_over_s: float
    lethal: int
    missed: int


def measure(beds: int, groups: int, how: signal.Signals) -> Failover:
    """Play so many beds in real time to two workers, in one group or in two, end one of them, and look at the beds."""
    settings = read_settings().model_copy(update={"kafka": None, "redis": None})
    names = ["vigil", "vigil" if groups == 1 else "standby"]
    ours = [(f"worker-{k}", ["worker", "--group", name]) for k, name in enumerate(names)]
    with tempfile.TemporaryDirectory(prefix="vigil-failover-") as folder, Services(settings) as services:
        asyncio.run(_prepare({"bootstrap_servers": services.kafka}))
        every = [*ours, ("ticker", ["ticker"])]
        with running(every, services.kafka, services.redis, Path(folder)) as processes:
            return asyncio.run(_measured(services.kafka, processes, beds, groups, how))


async def _prepare(kafka: Kafka) -> None:
    await topics.create(kafka)
    sha256 = await put_weights(kafka, read_weights("shipped"))
    await send_setup(kafka, Setup("campaign", "failover", time.time_ns(), Clinical(), {"net": sha256}, unsigned=True))


async def _measured(
    address: str, processes: Mapping[str, Process], beds: int, groups: int, how: signal.Signals
) -> Failover:
    kafka = {"bootstrap_servers": address}
    clock = Clock(time.time_ns(), 1.0)
    devices = bedsides(hearts(("II", "V1"), 250.0), beds, clock.start_ns, FRAME_S)
    sending = asyncio.create_task(send(merged(devices, WARM_S + AFTER_S), address, topics.INPUT, clock=clock))
    await asyncio.sleep(WARM_S)
    at_ms = time.time_ns() // 1_000_000
    processes["worker-0"].send(how)
    await sending
    until_ms = time.time_ns() // 1_000_000
    vitals, first = await _taken_over(kafka, beds, at_ms)
    since_ms, until_ms = at_ms - 1000 * SETTLE_S, max(until_ms, *first.values())
    gaps = blind([record for record in vitals if since_ms < record.timestamp <= until_ms], least=2)
    moved = [device for device, at in first.items() if at > at_ms + 1100]
    expected = await asyncio.to_thread(derived, await log(kafka, topics.INPUT))
    lethal = {id_ for id_, value in expected.items() if decode_alert(value).condition in LETHAL}
    logged = {decode_alert(record.value or b"").id for record in await log(kafka, topics.ALERTS)}
    lost_s = np.array([max(0.0, gap_s - 1.0) for gap_s in gaps.values()])
    return Failover(
        beds=len(gaps),
        groups=groups,
        how=how.name,
        moved=len(moved),
        blind_s=round(float(lost_s.max()), 3),
        blind_p50_s=round(float(np.median(lost_s)), 3),
        taken_over_s=round((max(first.values()) - at_ms) / 1000, 3),
        lethal=len(lethal),
        missed=len(lethal - logged),
    )


async def _taken_over(kafka: Kafka, beds: int, at_ms: int) -> tuple[list[ConsumerRecord], dict[str, int]]:
    """Wait until every bed has new vitals, and return all of them, and when the first new ones of each bed came.

    Raises
    ------
    RuntimeError
        If some bed has none within a minute and a half.
    """
    deadline, first = time.monotonic() + DEADLINE_S, dict[str, int]()
    while time.monotonic() < deadline:
        await asyncio.sleep(SETTLE_S)
        vitals = await log(kafka, topics.VITALS)
        first = _first_fresh_ms(vitals, at_ms)
        if len(first) == beds:
            return vitals, first
    raise RuntimeError(f"only {len(first)} of {beds} beds had new vitals {DEADLINE_S:.0f} s after their devices ended")


def _first_fresh_ms(vitals: list[ConsumerRecord], at_ms: int) -> dict[str, int]:
    """Return by device when its first vitals after a moment came that tell of a later second than all before it."""
    newest: dict[str, int] = {}
    first: dict[str, int] = {}
    for record in sorted(vitals, key=lambda record: record.timestamp):
        given = decode_vitals(record.value or b"")
        fresh = given.time_ns > newest.get(given.device, 0)
        if fresh:
            newest[given.device] = given.time_ns
        if fresh and record.timestamp > at_ms:
            first.setdefault(given.device, record.timestamp)
    return first


def main() -> None:
    """Measure each way a worker ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beds", type=int, nargs="+", default=[24, 500])
    parser.add_argument("--groups", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--signals", nargs="+", default=["SIGKILL", "SIGTERM"])
    wanted = parser.parse_args()
    found = []
    for beds in wanted.beds:
        for groups in wanted.groups:
            for how in wanted.signals:
                found.append(measure(beds, groups, signal.Signals[how]))
                print(found[-1], file=sys.stderr, flush=True)
    print(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
