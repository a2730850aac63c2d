"""What a ward does: read alerts, acknowledge, and give its orders, each a command in the log."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from contextlib import aclosing, suppress
from typing import Annotated, Literal

import msgspec
import typer

from ecg.alert import Alert
from ecg.clinical import Limits
from ecg.frame import Acknowledge, Action, Admit, ChangeLimits, Command, Discharge, Pause, Standby, check_input
from stream.commands.common import By, Device, Json, Reason, Ward, fail, kafka, redis, say, served

app = typer.Typer()
FOLLOW_MS = 1000
"""How often a follower looks for wards that are new."""


def _entry(given: str) -> str:
    """Give the id of an entry of a Redis Stream."""
    if not re.fullmatch(r"\d+(-\d+)?", given):
        raise ValueError(f"since must be the id of an entry, as `vigil alerts` prints them first, got {given!r}")
    return given


Group = Annotated[str | None, typer.Option("--group", help="Read as this group, which remembers where it was.")]
Named = Annotated[str, typer.Option("--consumer", help="Name of this consumer in its group.")]


@app.command()
def alerts(
    ward: Ward = None,
    since: Annotated[str, typer.Option(help="Entry to start behind; 0 from the first.", callback=_entry)] = "0",
    follow: Annotated[bool, typer.Option("--follow", help="Wait for more; say which beds are not watched.")] = False,
    group: Group = None,
    consumer: Named = "1",
    json: Json = False,
) -> None:
    """Print the wards' alerts, oldest first: entry in Redis, id, onset, bed, what happened.

    With --group each alert comes at least once, over crashes and restarts: it is acknowledged once it is printed.
    """

    async def show() -> None:
        url = redis(served())
        watching = asyncio.create_task(_watch(url, ward, json=json)) if follow else None
        try:
            if group is None:
                await _read(url, ward, since, follow=follow, json=json)
            else:
                await _consume(url, ward, since, group, consumer, follow=follow, json=json)
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.wait([watching])

    asyncio.run(show())


async def _read(url: str, ward: str | None, since: str, *, follow: bool, json: bool) -> None:
    from stream.client import read_alerts

    async for entry, alert in read_alerts(url, ward, since, follow=follow):
        _print(entry, alert, json=json)


async def _consume(url: str, ward: str | None, since: str, group: str, name: str, *, follow: bool, json: bool) -> None:
    """Print what a group gets, and acknowledge it then; a Redis that goes away is waited for."""
    from redis.exceptions import RedisError

    from stream.consumer import Consumer
    from stream.store import reached

    async with reached(url) as connected:
        reader = Consumer(connected, group, name, ward, since)
        while True:
            try:
                page = await reader.read(FOLLOW_MS if follow else None)
                for lost in reader.lost:
                    say(str(lost))
                for each in page:
                    _print(each.entry, each.alert, json=json)
                await reader.acknowledge(page)
            except RedisError as error:
                if not follow:
                    raise
                say(f"redis does not answer ({type(error).__name__}): trying again")
                await asyncio.sleep(1.0)
                continue
            if not page and not follow:
                return


async def _watch(url: str, ward: str | None, *, json: bool) -> None:
    """Say which beds cease to be watched, and which are again."""
    from stream.consumer import suspensions

    async with aclosing(suspensions(url, ward)) as changes:
        async for bed, suspended in changes:
            if json:
                place = {"ward": bed.ward, "bed": bed.bed, "device": bed.device}
                print(msgspec.json.encode({"suspended" if suspended else "watched": place}).decode(), flush=True)
            else:
                what = "! MONITORING SUSPENDED" if suspended else "  watched again"
                print(f"{'':>8}  {'':24}  {'':23}  {bed.ward + '/' + bed.bed:20} {what}", flush=True)


def _print(entry: str, alert: Alert, *, json: bool) -> None:
    if json:
        print(msgspec.json.encode({"entry": entry, "alert": alert}).decode(), flush=True)
    else:
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(alert.onset_ns // 10**9))
        what = f"{alert.phase:8} {alert.presence:12} {alert.text}"
        print(f"{entry:>8}  {alert.id}  {when}  {alert.ward + '/' + alert.bed:20} {what}", flush=True)


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
    st_high: Annotated[float | None, typer.Option(help="mV")] = None,
    st_low: Annotated[float | None, typer.Option(help="mV")] = None,
    qtc_high: Annotated[float | None, typer.Option(help="ms")] = None,
    qtc_delta: Annotated[float | None, typer.Option(help="ms")] = None,
) -> None:
    """Set the limits of one patient."""
    wanted = Limits(rate_low, rate_high, pvcs_per_minute, no_data, st_high, st_low, qtc_high, qtc_delta)
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
    from stream.signing import signer_of

    settings = served()
    entry = order(device, action, who, why)
    outcome = asyncio.run(ask(kafka(settings), entry, signer=signer_of(settings.key)))
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
