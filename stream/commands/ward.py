"""What a ward does: read alerts, acknowledge, and give its orders, each a command in the log."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from contextlib import suppress
from typing import Annotated, Literal

import msgspec
import typer

from ecg.clinical import Limits
from ecg.frame import Acknowledge, Action, Admit, ChangeLimits, Command, Discharge, Pause, Standby, check_input
from stream.commands.common import By, Device, Json, Reason, Ward, fail, kafka, redis, say, served

app = typer.Typer()


def _entry(given: str) -> str:
    """Give the id of an entry of a Redis Stream."""
    if not re.fullmatch(r"\d+(-\d+)?", given):
        raise ValueError(f"since must be the id of an entry, as `vigil alerts` prints them first, got {given!r}")
    return given


@app.command()
def alerts(
    ward: Ward = None,
    since: Annotated[str, typer.Option(help="Entry to start behind; 0 from the first.", callback=_entry)] = "0",
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more.")] = False,
    json: Json = False,
) -> None:
    """Print the wards' alerts, oldest first: entry in Redis, id, onset, bed, what happened."""
    from stream.client import read_alerts

    async def show() -> None:
        async for entry, alert in read_alerts(redis(served()), ward, since, follow=follow):
            if json:
                print(msgspec.json.encode({"entry": entry, "alert": alert}).decode(), flush=True)
            else:
                when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(alert.onset_ns // 10**9))
                what = f"{alert.phase:8} {alert.presence:12} {alert.text}"
                print(f"{entry:>8}  {alert.id}  {when}  {alert.ward + '/' + alert.bed:20} {what}", flush=True)

    asyncio.run(show())


@app.command()
def ack(
    alert: Annotated[str, typer.Argument(help="Id of an alert, or its entry in Redis.")], by: By, reason: Reason
) -> None:
    """Acknowledge an alarm: it falls silent; a new or higher one sounds again."""
    from stream.client import find_alert

    found = asyncio.run(find_alert(redis(served()), alert))
    if found is None:
        fail(f"alert must be the id of an alert in Redis, got {alert!r}", 2)
    _give(found.device, Acknowledge(found.id), by, reason)


@app.command()
def admit(
    device: Device,
    ward: Annotated[str, typer.Option("--ward")],
    bed: Annotated[str, typer.Option("--bed")],
    by: By = "cli",
    reason: Reason = "admission",
    age: Annotated[int | None, typer.Option(min=0, max=130, help="Years.")] = None,
    sex: Annotated[Literal["female", "male"] | None, typer.Option()] = None,
    paced: Annotated[bool, typer.Option("--paced", help="The patient has a pacemaker.")] = False,
) -> None:
    """Give a device its ward and bed."""
    _give(device, Admit(ward, bed, age, sex, paced), by, reason)


@app.command()
def discharge(device: Device, by: By = "cli", reason: Reason = "discharge") -> None:
    """End the monitoring of a device's patient."""
    _give(device, Discharge(), by, reason)


@app.command()
def limits(
    device: Device,
    by: By,
    reason: Reason,
    rate_low: Annotated[float | None, typer.Option(help="bpm")] = None,
    rate_high: Annotated[float | None, typer.Option(help="bpm")] = None,
    pvcs_per_minute: Annotated[float | None, typer.Option()] = None,
    no_data: Annotated[float | None, typer.Option(help="s")] = None,
) -> None:
    """Set the limits of one patient."""
    wanted = Limits(rate_low, rate_high, pvcs_per_minute, no_data)
    if wanted == Limits():
        raise ValueError("limits must name at least one limit, such as --rate-high 120, got none")
    _give(device, ChangeLimits(wanted), by, reason)


@app.command()
def pause(device: Device, by: By, reason: Reason, seconds: Annotated[int, typer.Option(min=0, max=600)] = 120) -> None:
    """Pause the sound of a bed's alarms for a while; 0 ends a pause."""
    _give(device, Pause(seconds), by, reason)


@app.command()
def standby(
    device: Device, by: By, reason: Reason, off: Annotated[bool, typer.Option("--off", help="Resume.")] = False
) -> None:
    """Stop the monitoring of a bed whose patient is away, or resume it."""
    _give(device, Standby(not off), by, reason)


def _give(device: str, action: Action, who: str, why: str) -> None:
    """Put one command into the log, wait for a worker, and say what became of it; ends with 1 where it was refused."""
    from stream.client import ask, is_shown

    settings = served()
    entry = order(device, action, who, why)
    outcome = asyncio.run(ask(kafka(settings), entry))
    with suppress(ConnectionError):  # the board's Redis is no part of the way of a command
        if not asyncio.run(is_shown(redis(settings), device)):
            say(f"nothing was heard of {device} yet")
    what = f"{type(action).__name__.lower()} of {device} (offset {outcome.offset})"
    if outcome.refused is not None:
        fail(f"refused: {what}: {outcome.refused}", 1)
    print(f"done: {what}" if outcome.taken else f"in the log, not yet carried out: no worker has come to it: {what}")


def order(device: str, action: Action, who: str, why: str) -> Command:
    """Make a command of now, good for a minute; raises FrameError where the pipeline would not take it."""
    now = time.time_ns()
    entry = Command(device, who, why, uuid.uuid4().hex, now, now + 60_000_000_000, action)
    check_input(entry)
    return entry
