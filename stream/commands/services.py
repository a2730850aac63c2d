"""The services, one a process; the demo that runs them all; and the devices that it plays."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from ecg.frame import Admit
from stream.commands.common import Json, Records, Ward, kafka, redis, say, served
from stream.commands.ward import order
from stream.settings import read_settings

app = typer.Typer()

STARTED = time.monotonic()
"""When this process began, near enough, so that the demo can say how long its first alert took."""


@app.command()
def demo(
    beds: Annotated[int, typer.Option(min=1, max=64, help="How many beds.")] = 8,
    seconds: Annotated[float, typer.Option(min=0, help="How long; 0 until Ctrl-C.")] = 60.0,
    speed: Annotated[float, typer.Option(min=0.1, max=20, help="Times real time.")] = 1.0,
    records: Records = None,
    json: Json = False,
    picture: Annotated[Path | None, typer.Option(help="Write the board at its busiest here, as SVG.")] = None,
) -> None:
    """Run the main job, end to end: devices, Kafka, workers, Redis, and a board in this terminal."""
    from stream.demo import Wanted, run
    from stream.demo_records import demo_folder

    settings = read_settings()
    wanted = Wanted(beds, seconds, speed, json, picture)
    folder = records or settings.records or demo_folder(settings.cache)
    raise SystemExit(run(settings, folder, wanted, STARTED))


@app.command()
def worker(
    group: Annotated[
        str, typer.Option(help="Its group; a second group over the same input is a hot standby.")
    ] = "vigil",
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Most records that are taken together.")] = 2000,
) -> None:
    """Turn the input topic into alerts: one worker of the group; start more to share the load."""
    from stream.app import run_worker

    raise SystemExit(run_worker(served(), group, batch))


@app.command()
def publisher(
    name: Annotated[str, typer.Option(help="Name of this publisher; each has its own.")] = "publisher",
) -> None:
    """Carry alerts and vitals from Kafka to the wards' Redis."""
    from stream.publish import run_publisher

    raise SystemExit(run_publisher(served(), name))


@app.command()
def ticker(
    speed: Annotated[float, typer.Option(min=0.1, max=1000, help="Times real time.")] = 1.0,
    start_ns: Annotated[int | None, typer.Option(help="Virtual time at the start, in ns since 1970.")] = None,
    since_ns: Annotated[int | None, typer.Option(help="Wall time of that start; else now.")] = None,
    name: Annotated[str, typer.Option(help="Name of this ticker.")] = "ticker",
) -> None:
    """Put the ward's clock into the log, once a second."""
    from stream.ticker import run_ticker

    raise SystemExit(run_ticker(served(), name, start_ns, speed, since_ns))


@app.command()
def ward(ward: Ward = None) -> None:
    """Show the wards' beds on a board in this terminal, until Ctrl-C."""
    from stream.board import run_board

    asyncio.run(run_board(redis(served()), ward))


@app.command()
def simulate(
    records: Records = None,
    rhythm: Annotated[str | None, typer.Option(help="Let generated hearts play this, instead of records.")] = None,
    beds: Annotated[int, typer.Option(min=1, max=5000)] = 8,
    speed: Annotated[float, typer.Option(min=0.1, max=1000, help="Times real time.")] = 1.0,
    seconds: Annotated[float, typer.Option(min=0, help="How long; 0 until Ctrl-C.")] = 0.0,
    fault: Annotated[list[str] | None, typer.Option(help="NAME[@SECOND][:DEVICE], as in stop@20.")] = None,
    frame: Annotated[float, typer.Option(min=0.04, max=2.0, help="Seconds a frame.")] = 0.25,
    device: Annotated[
        Literal["bedside", "wearable"], typer.Option(help="A wearable sends one lead, in bursts.")
    ] = "bedside",
    leads: Annotated[str | None, typer.Option(help="Which leads, as in II,V1; else II and V1, or a record's.")] = None,
    rate: Annotated[float | None, typer.Option(min=100, max=1000, help="Hz of generated hearts; else 250.")] = None,
    admit: Annotated[
        str | None, typer.Option(metavar="WARD", help="Give each device a bed of this ward first.")
    ] = None,
) -> None:
    """Play devices into Kafka."""
    from simulators.clock import Clock
    from simulators.fault import parse
    from simulators.fleet import merged
    from simulators.fleet import simulate as built
    from simulators.send import send
    from stream.client import send_commands
    from stream.kafka import split
    from stream.signing import signer_of
    from stream.topics import INPUT

    settings = served()
    clock = Clock(time.time_ns(), speed)
    faults = [parse(words) for words in fault or []]
    if rhythm and records:
        raise ValueError(f"records and rhythm must not be given together, got {records} and {rhythm!r}")
    folder = None if rhythm else records or settings.records
    if rate and folder:
        raise ValueError(f"rate must not be given with records, whose own they keep, got {rate:g} and {folder}")
    wanted = [lead.strip() for lead in leads.split(",")] if leads else None
    fleet = built(
        beds, clock.start_ns, folder, rhythm or "sinus", frame, wanted, rate or 250.0, faults, kind=device, tell=say
    )
    frames = merged(fleet, seconds * speed if seconds else None)
    if admit:
        places = [(each.device, Admit(admit, each.device)) for each in fleet]
        orders = [order(device, place, "simulate", "a simulated device") for device, place in places]
        asyncio.run(send_commands(kafka(settings), orders, signer_of(settings.key)))
    brokers, security = split(kafka(settings))
    sent = asyncio.run(send(frames, brokers, INPUT, clock=clock, compression="zstd", security=security))
    print(f"{sent.frames} frames, {sent.bytes / 1e6:.1f} MB in {sent.seconds:.1f} s; late p99 {sent.late_p99_s:.3f} s")
