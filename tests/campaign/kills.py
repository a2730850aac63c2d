"""Real kills: a ward on a real Kafka and a real Redis is ended, stopped and restarted piece by piece under load.

Afterwards its alerts must be those of an undisturbed replay of the log that it wrote, each once.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from simulators.clock import Clock
from stream.embedded import Services
from stream.settings import read_settings
from tests.campaign import player
from tests.campaign.plan import Plan
from tests.campaign.verdict import Verdict, verdict
from tests.campaign.ward import Ward, playing, running

SPEED = 10.0
START_NS = 1_800_000_000_000_000_000
SILENCE_S = 3.0
"""After the devices have ended, tickers go on for this long: what is missing now is missing in the log."""


class Round(msgspec.Struct):
    """What one round came to; `ends` are processes that ended although nobody did anything to them."""

    plan: Plan
    verdict: Verdict
    ends: list[str]
    seconds: float


def run(plan: Plan, records: Path | None, say: Callable[[str], None] = print) -> Round:
    """Play one round; to be called from the main thread, since services end with the thread that started them.

    Raises
    ------
    stream.child.ServiceError
        If a service does not come up.
    RuntimeError
        If the devices end before their time.
    """
    began = time.monotonic()
    settings = read_settings().model_copy(update={"kafka": None, "redis": None})
    with tempfile.TemporaryDirectory(prefix="vigil-kills-") as folder, Services(settings, say=say) as services:
        logs = services.folder or Path(folder)
        found, ends = asyncio.run(_round(services, plan, records, logs, say))
        if found.lost or found.doubled or found.differences:
            say(f"logs kept in {_keep(logs, settings.cache / 'campaign' / f'kills-{plan.seed}')}")
    return Round(plan, found, ends, round(time.monotonic() - began, 1))


def _keep(logs: Path, into: Path) -> Path:
    """Put what each process said where it can be looked at, in place of what is there."""
    shutil.rmtree(into, ignore_errors=True)
    into.mkdir(parents=True)
    for log in logs.glob("*.log"):
        shutil.copy(log, into)
    return into


async def _round(
    services: Services, plan: Plan, records: Path | None, folder: Path, say: Callable[[str], None]
) -> tuple[Verdict, list[str]]:
    kafka = {"bootstrap_servers": services.kafka}
    clock = Clock(START_NS, SPEED)
    key = folder / "key.pem"
    await player.prepare(kafka, clock, plan.partitions, player.make_key(key))
    ward = Ward(services, plan, clock, folder, key, say)
    async with running(ward):
        played = player.Played(
            services.kafka,
            clock,
            plan.beds,
            plan.seconds * SPEED,
            plan.frame_s,
            plan.seed,
            str(key),
            str(records) if records else None,
        )
        async with playing(played, folder / "player.log") as ended:
            await ward.suffer(plan.faults)
            while (status := ended()) is None:
                await asyncio.sleep(0.2)
        if status:
            raise RuntimeError(f"the devices ended with {status}: {folder / 'player.log'}")
        await ward.recover()
        await asyncio.sleep(SILENCE_S)
        ward.stop("ticker")
        return await verdict(kafka, services.redis), ward.ends
