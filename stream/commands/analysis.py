"""Without a server: one record through the pipeline, and a look at the settings."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from stream.commands.common import Json, kafka, redis, say, served
from stream.settings import read_settings

app = typer.Typer()


@app.command()
def analyze(
    record: Annotated[Path, typer.Argument(help="A WFDB record, with or without .hea; or a folder of `vigil export`.")],
    out: Annotated[Path | None, typer.Option(help="Write annotations, alerts and vitals here.")] = None,
    signals: Annotated[bool, typer.Option("--signals", help="Write the denoised leads, too.")] = False,
    net: Annotated[str, typer.Option(help="Weights file of the network, `shipped`, or `none`.")] = "shipped",
    device: Annotated[str | None, typer.Option(help="Name of the device; else the record's.")] = None,
    t0_ns: Annotated[int | None, typer.Option(help="Device time of the first sample; else 2000-01-01.")] = None,
    json: Json = False,
) -> None:
    """Run one record, or what `vigil export` wrote, through the pipeline, without a server.

    Of an export the alerts are those of the ward, to the byte: 1 where they are not.
    """
    if record.is_dir():
        if signals or net != "shipped" or device is not None or t0_ns is not None:
            raise ValueError("an export is analyzed as it is: only --out and --json go with a folder")
        _analyze_export(record, out, json=json)
        return
    from ecg.lead import of_record
    from ecg.record import read
    from stream import analyze as runner
    from stream.nets import load_nets

    recording = read(record)
    for note in of_record(recording).notes:
        say(note)
    t0_ns = runner.EPOCH_NS if t0_ns is None else t0_ns
    started = time.perf_counter()
    analyzed = runner.analyze(recording, load_nets(net), device=device, t0_ns=t0_ns)
    times = recording.duration_s / (time.perf_counter() - started)
    if out is not None:
        runner.write(analyzed, recording, out, signals=signals, t0_ns=t0_ns)
    summary = runner.summary(analyzed, recording, times)
    if json:
        print(msgspec.json.encode(summary).decode())
        return
    for alert in analyzed.alerts:
        at_s = (alert.onset_ns - t0_ns) / 1e9
        print(f"{at_s:9.1f} s  {alert.phase:8} {alert.presence:12} {alert.text}")
    counts = ", ".join(f"{n} {label}" for label, n in summary["beats"].items())
    print(f"{recording.name}: {recording.duration_s:.0f} s, {counts or 'no beats'}, {times:.0f} times real time")


@app.command()
def explain(
    record: Annotated[Path, typer.Argument(help="A WFDB record, with or without .hea.")],
    prototypes: Annotated[Path | None, typer.Option("--prototypes", help="Instead of the shipped ones.")] = None,
    json: Json = False,
) -> None:
    """Say each alarm of a record in words, with what was measured and what the network's answer rests on."""
    from ecg.record import read
    from model.explain import prototypes as near
    from model.weights import load, shipped
    from stream import explain as runner

    network = load(shipped())
    recording = read(record)
    found = runner.explain(recording, network, near.load(prototypes or near.shipped(), network.sha256))
    if json:
        alarms = [runner.as_object(explained) for explained in found]
        print(msgspec.json.encode({"record": recording.name, "alarms": alarms}).decode())
        return
    for explained in found:
        print("\n".join(runner.lines(explained)))


def _analyze_export(folder: Path, out: Path | None, *, json: bool) -> None:
    """Derive the alerts of an exported log, and compare them with those that were logged."""
    from stream.export_log import find
    from stream.exported import derive, summary
    from stream.version import VERSION

    started = time.perf_counter()
    log = find(folder)
    derived = derive(log)
    if derived.header.version != VERSION:
        say(f"exported by version {derived.header.version}, derived by {VERSION}: alerts may differ")
    if out is not None:
        derived.write(out)
    said = summary(derived, log, time.perf_counter() - started)
    if json:
        print(msgspec.json.encode(said).decode())
    else:
        for alert in said["alerts"]:
            at_s = (alert.onset_ns - (derived.recorder.first_ns or 0)) / 1e9
            print(f"{at_s:9.1f} s  {alert.phase:8} {alert.presence:12} {alert.text}")
        same = "identical to those of the ward" if said["identical"] else "NOT those of the ward"
        times = said["figures"]["times_real_time"]
        print(f"{said['record']}: {len(derived.alerts)} alerts, {same}; {times:.0f} times real time")
    raise SystemExit(0 if said["identical"] else 1)


@app.command()
def check(
    services: Annotated[bool, typer.Option("--services", help="Connect to Kafka and Redis, too.")] = False,
) -> None:
    """Check the settings of the environment, the shipped weights and, if asked, the connections."""
    from stream.nets import load_nets
    from stream.version import MACHINE, VERSION
    from stream.warm import MADE_UP_BEATS, warm_up

    settings = read_settings()
    print(f"kafka {settings.kafka or 'embedded'}; redis {'named' if settings.redis else 'embedded'}")
    print(f"records {settings.records or 'none: generated hearts'}; cache {settings.cache}")
    nets = load_nets("shipped")
    beats = warm_up(nets).beat_labels
    print(f"code {VERSION} on {MACHINE}")
    print(f"net {next(iter(nets))}; pipeline {'well' if len(beats) > MADE_UP_BEATS else 'NOT well'}: {beats}")
    if services:
        from stream.client import check_services

        print(asyncio.run(check_services(kafka(served()), redis(served()))))
