"""The one executable: `vigil`. Each command reads its arguments, calls one function, and prints what it gives.

Exit status: 0 as asked, 1 the answer is no, 2 wrong use or bad input, 3 a needed service is not there.
"""

from __future__ import annotations

from stream import interrupt  # before all that takes time to import

# isort: split
import asyncio
import logging
import re
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from ecg.clinical import Limits
from ecg.clinical import Settings as Clinical
from ecg.frame import (
    Acknowledge,
    Action,
    Admit,
    ChangeLimits,
    Command,
    Discharge,
    Pause,
    Setup,
    Standby,
    check_input,
)
from stream.child import ServiceError
from stream.record_sets import PHYSIONET
from stream.settings import Settings, read_settings

interrupt.catch()
app = typer.Typer(
    name="vigil", no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False
)
topics_app = typer.Typer(no_args_is_help=True, help="The topics: make them, list them, check that they fit together.")
evaluate_app = typer.Typer(no_args_is_help=True, help="Score the pipeline against reference annotations.")
bench_app = typer.Typer(no_args_is_help=True, help="Measure speed, side by side with peers where one exists.")
train_app = typer.Typer(no_args_is_help=True, help="Train what is learned.")
records_app = typer.Typer(no_args_is_help=True, help="Public sets of records: which there are, and bring them.")
app.add_typer(topics_app, name="topics")
app.add_typer(evaluate_app, name="evaluate")
app.add_typer(bench_app, name="bench")
app.add_typer(train_app, name="train")
app.add_typer(records_app, name="records")

STARTED = time.monotonic()
"""When this process began, near enough, so that the demo can say how long its first alert took."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Records = Annotated[Path | None, typer.Option("--records", help="Folder of record sets; else VIGIL_RECORDS.")]


def _there(folder: Path) -> Path:
    """Give a folder of records, or say which command brings it."""
    from stream.records import check_folder

    check_folder(folder)
    return folder


Data = Annotated[Path, typer.Option("--data", help="Folder of the set.", callback=_there)]
Decisions = Annotated[Path | None, typer.Option("--decisions", help="Write a line a record here, as NDJSON.")]
Sets = Annotated[Path, typer.Option("--data", help="Folder that holds the sets.", callback=_there)]
Worst = Annotated[int, typer.Option("--worst", min=0, help="Name this many records that cost most.")]
Plot = Annotated[Path | None, typer.Option("--plot", help="Draw the strips of those into this folder, as SVG.")]
CrossValidate = Annotated[
    bool, typer.Option("--cross-validate", help="Train what is learned without each fold's patients.")
]
By = Annotated[str, typer.Option("--by", help="Who asks: a pseudonym of the staff.")]
Reason = Annotated[str, typer.Option("--reason", help="Why.")]
Ward = Annotated[str | None, typer.Option("--ward", help="One ward; else all of them.")]


def _entry(given: str) -> str:
    """Give the id of an entry of a Redis Stream."""
    if not re.fullmatch(r"\d+(-\d+)?", given):
        raise ValueError(f"since must be the id of an entry, as `vigil alerts` prints them first, got {given!r}")
    return given


Device = Annotated[str, typer.Argument(help="The device's pseudonym.")]


def main() -> None:
    """Run `vigil`, and turn what the environment or the input did wrong into one line and an exit status."""
    logging.basicConfig(handlers=[logging.NullHandler()])  # what libraries log is for services, which set it up
    try:
        app()
    except Exception as error:
        status = _status(error)
        if status is None:
            raise
        _fail(str(error) or type(error).__name__, status)


def _status(error: Exception) -> int | None:
    """Return the exit status that an error stands for; None for a fault of our own."""
    from aiokafka.errors import KafkaError
    from redis.exceptions import RedisError

    if isinstance(error, ServiceError | ConnectionError | KafkaError | RedisError):
        return 3
    return 2 if isinstance(error, FileNotFoundError | ValueError) else None


def _fail(line: str, status: int) -> None:
    print(f"vigil: {line}", file=sys.stderr)
    sys.exit(status)


def _say(line: str) -> None:
    print(f"vigil: {line}", file=sys.stderr)


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
def worker() -> None:
    """Turn the input topic into alerts: one worker of the group; start more to share the load."""
    from stream.app import run_worker

    raise SystemExit(run_worker(_served()))


@app.command()
def publisher() -> None:
    """Carry alerts and vitals from Kafka to the wards' Redis."""
    from stream.publish import run_publisher

    raise SystemExit(run_publisher(_served()))


@app.command()
def ticker(
    speed: Annotated[float, typer.Option(min=0.1, max=1000, help="Times real time.")] = 1.0,
    start_ns: Annotated[int | None, typer.Option(help="Virtual time at the start, in ns since 1970.")] = None,
    name: Annotated[str, typer.Option(help="Name of this ticker.")] = "ticker",
) -> None:
    """Put the ward's clock into the log, once a second."""
    from stream.ticker import run_ticker

    raise SystemExit(run_ticker(_served(), name=name, start_ns=start_ns, speed=speed))


@app.command()
def ward(ward: Ward = None) -> None:
    """Show the wards' beds on a board in this terminal, until Ctrl-C."""
    from stream.board import run_board

    asyncio.run(run_board(_redis(_served()), ward))


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
    from stream.topics import INPUT

    settings = _served()
    clock = Clock(time.time_ns(), speed)
    faults = [parse(words) for words in fault or []]
    if rhythm and records:
        raise ValueError(f"records and rhythm must not be given together, got {records} and {rhythm!r}")
    folder = None if rhythm else records or settings.records
    if rate and folder:
        raise ValueError(f"rate must not be given with records, whose own they keep, got {rate:g} and {folder}")
    wanted = [lead.strip() for lead in leads.split(",")] if leads else None
    fleet = built(
        beds, clock.start_ns, folder, rhythm or "sinus", frame, wanted, rate or 250.0, faults, kind=device, tell=_say
    )
    frames = merged(fleet, seconds * speed if seconds else None)
    if admit:
        places = [(each.device, Admit(admit, each.device)) for each in fleet]
        orders = [_signed(device, place, "simulate", "a simulated device") for device, place in places]
        asyncio.run(send_commands(_kafka(settings), orders))
    sent = asyncio.run(send(frames, settings.kafka or "", INPUT, clock=clock))
    print(f"{sent.frames} frames, {sent.bytes / 1e6:.1f} MB in {sent.seconds:.1f} s; late p99 {sent.late_p99_s:.3f} s")


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
        async for entry, alert in read_alerts(_redis(_served()), ward, since, follow=follow):
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

    found = asyncio.run(find_alert(_redis(_served()), alert))
    if found is None:
        _fail(f"alert must be the id of an alert in Redis, got {alert!r}", 2)
    else:
        _command(found.device, Acknowledge(found.id), by, reason)


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
    _command(device, Admit(ward, bed, age, sex, paced), by, reason)


@app.command()
def discharge(device: Device, by: By = "cli", reason: Reason = "discharge") -> None:
    """End the monitoring of a device's patient."""
    _command(device, Discharge(), by, reason)


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
    _command(device, ChangeLimits(wanted), by, reason)


@app.command()
def pause(device: Device, by: By, reason: Reason, seconds: Annotated[int, typer.Option(min=0, max=600)] = 120) -> None:
    """Pause the sound of a bed's alarms for a while; 0 ends a pause."""
    _command(device, Pause(seconds), by, reason)


@app.command()
def standby(
    device: Device, by: By, reason: Reason, off: Annotated[bool, typer.Option("--off", help="Resume.")] = False
) -> None:
    """Stop the monitoring of a bed whose patient is away, or resume it."""
    _command(device, Standby(not off), by, reason)


@app.command()
def setup(
    by: By,
    reason: Reason,
    settings_file: Annotated[
        Path | None, typer.Option("--settings", help="JSON of clinical settings; what is left out keeps its default.")
    ] = None,
    net: Annotated[str, typer.Option(help="Weights file of the network, `shipped`, or `none`.")] = "shipped",
    signed_only: Annotated[bool, typer.Option("--signed-only", help="Refuse unsigned inputs.")] = False,
    first: Annotated[bool, typer.Option("--first", help="Do nothing where weights are in the log already.")] = False,
) -> None:
    """Put clinical settings and the network's weights into force, on every partition."""
    from stream.client import has_weights, put_weights, send_setup
    from stream.nets import load_net, read_weights

    async def send() -> str | None:
        sha = None if weights is None else await put_weights(_kafka(settings), weights)
        entry = Setup(by, reason, time.time_ns(), clinical, {"net": sha}, unsigned=not signed_only)
        check_input(entry)
        await send_setup(_kafka(settings), entry)
        return sha

    settings = _served()
    try:
        clinical = msgspec.json.decode(settings_file.read_bytes(), type=Clinical) if settings_file else Clinical()
    except msgspec.DecodeError as error:
        raise ValueError(f"{settings_file}: {error}") from error
    weights = None if net == "none" else read_weights(net)
    if weights is not None:
        load_net(weights)  # what no worker could load must not come into force
    if first and asyncio.run(has_weights(_kafka(settings))):
        print("a setup was given before: it stays in force")
        return
    sha = asyncio.run(send())
    print(f"in force: settings {clinical.sha256()[:12]}, net {sha[:12] if sha else 'none, rules alone'}")


@app.command()
def analyze(
    record: Annotated[Path, typer.Argument(help="A WFDB record, with or without .hea.")],
    out: Annotated[Path | None, typer.Option(help="Write annotations, alerts and vitals here.")] = None,
    signals: Annotated[bool, typer.Option("--signals", help="Write the denoised leads, too.")] = False,
    net: Annotated[str, typer.Option(help="Weights file of the network, `shipped`, or `none`.")] = "shipped",
    device: Annotated[str | None, typer.Option(help="Name of the device; else the record's.")] = None,
    t0_ns: Annotated[int | None, typer.Option(help="Device time of the first sample; else 2000-01-01.")] = None,
    json: Json = False,
) -> None:
    """Run one record through the pipeline, without a server."""
    from ecg.lead import of_record
    from ecg.record import read
    from stream import analyze as runner
    from stream.nets import load_nets

    recording = read(record)
    for note in of_record(recording).notes:
        _say(note)
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
def check(
    services: Annotated[bool, typer.Option("--services", help="Connect to Kafka and Redis, too.")] = False,
) -> None:
    """Check the settings of the environment, the shipped weights and, if asked, the connections."""
    from stream.nets import load_nets
    from stream.warm import MADE_UP_BEATS, warm_up

    settings = read_settings()
    print(f"kafka {settings.kafka or 'embedded'}; redis {'named' if settings.redis else 'embedded'}")
    print(f"records {settings.records or 'none: generated hearts'}; cache {settings.cache}")
    nets = load_nets("shipped")
    beats = warm_up(nets).beat_labels
    print(f"net {next(iter(nets))}; pipeline {'well' if len(beats) > MADE_UP_BEATS else 'NOT well'}: {beats}")
    if services:
        from stream.client import check_services

        print(asyncio.run(check_services(_kafka(_served()), _redis(_served()))))


@evaluate_app.command("ec57")
def evaluate_ec57(
    data: Data,
    json: Json = False,
    test: Annotated[
        str | None, typer.Option("--test", help="Score these annotation files instead: ANNOTATOR or FOLDER/ANNOTATOR.")
    ] = None,
    noise: Annotated[Literal["em", "ma", "bw"] | None, typer.Option("--noise", help="Mix this noise in.")] = None,
    snr_db: Annotated[float, typer.Option("--snr-db", help="Signal-to-noise ratio while it is noisy.")] = 6.0,
    decisions: Decisions = None,
    worst: Worst = 0,
    plot: Plot = None,
    peer: Annotated[list[str] | None, typer.Option("--peer", help="sleepecg or neurokit2, scored beside.")] = None,
    cross_validate: CrossValidate = False,
) -> None:
    """Beats, runs and episodes against the reference annotations of a set, after ANSI/AAMI EC57."""
    from stream.evaluate.ec57 import Wanted, evaluate

    wanted = Wanted(data, json, test, noise, snr_db, decisions, worst, plot, tuple(peer or ()), cross_validate)
    raise SystemExit(evaluate(wanted))


@evaluate_app.command("challenge2015")
def evaluate_challenge2015(
    data: Data,
    json: Json = False,
    decisions: Decisions = None,
    worst: Worst = 0,
    plot: Plot = None,
    cross_validate: CrossValidate = False,
) -> None:
    """Score which alarms of an intensive care unit our own would have kept, as the 2015 challenge does."""
    from stream.evaluate.challenge2015 import evaluate

    raise SystemExit(
        evaluate(data, json=json, decisions=decisions, worst=worst, plot=plot, cross_validate=cross_validate)
    )


@evaluate_app.command("rhythm")
def evaluate_rhythm(
    data: Sets,
    json: Json = False,
    decisions: Decisions = None,
    worst: Worst = 0,
    plot: Plot = None,
    cross_validate: CrossValidate = False,
) -> None:
    """Score what the alarms say of rhythms: segments to be shocked, episodes, delays, false alarms."""
    from stream.evaluate.rhythm import evaluate

    raise SystemExit(
        evaluate(data, json=json, decisions=decisions, worst=worst, plot=plot, cross_validate=cross_validate)
    )


@bench_app.command("pipeline")
def bench_pipeline(
    beds: Annotated[int, typer.Option(min=1, help="Beds to begin with.")] = 500,
    seconds: Annotated[float, typer.Option(min=10, help="How long lag must stay flat.")] = 60.0,
    json: Json = False,
) -> None:
    """Beds in real time of one worker, with broker and Redis on this machine."""
    from stream.bench import pipeline

    raise SystemExit(pipeline(read_settings(), beds, seconds, json))


@train_app.command("net")
def train_net(
    data: Data,
    out: Annotated[Path, typer.Option(help="Where the weights go (safetensors).")],
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """Train the network that classifies rhythm on sliding windows."""
    from model.train import train

    train(data, out, seed)


@train_app.command("beats")
def train_beats(
    data: Sets,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the weights here, as JSON, instead of print.")
    ] = None,
) -> None:
    """Fit the weights by which beats are found and named, on the records that the shipped ones were fitted on."""
    from stream.evaluate.refit import train

    train(data, out)


@records_app.command("list")
def records_list() -> None:
    """Print the sets: size, licence, citation, and how many records of each are in VIGIL_RECORDS."""
    from stream.records import table

    print(table(read_settings().records))


@records_app.command("get")
def records_get(
    name: Annotated[str, typer.Argument(metavar="SET", help="A set of `records list`, or `demo`: the demo's records.")],
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder of sets; else VIGIL_RECORDS; else VIGIL_CACHE/records.")
    ] = None,
    base: Annotated[str, typer.Option("--from", help="Address of PhysioNet's files, or of a mirror.")] = PHYSIONET,
) -> None:
    """Bring a set from PhysioNet: what is here already and whole is not fetched again."""
    from stream.demo_records import demo_records
    from stream.records import get

    settings = read_settings()
    folder = to or settings.records or settings.cache / "records"
    sets = demo_records() if name == "demo" else {name: None}
    for got in get(sets, folder, lambda line: print(line, file=sys.stderr, flush=True), base):
        print(f"{got.folder}: {got.files} files, each with the sha256 of the server's list; {got.fetched} came now")


@topics_app.command("create")
def topics_create(
    replication: Annotated[int, typer.Option(min=1, help="Copies of each partition.")] = 1,
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of the input.")] = 4,
) -> None:
    """Create what is missing; leave what is there."""
    from stream import topics

    for name in asyncio.run(topics.create(_kafka(_served()), partitions, replication)):
        print(f"created {name}")


@topics_app.command("list")
def topics_list() -> None:
    """Print the table of topics."""
    from stream import topics

    print(topics.table())


@topics_app.command("check")
def topics_check() -> None:
    """Check that the topics are there and fit together: 0 if so, 1 with what does not."""
    from stream import topics

    wrong = asyncio.run(topics.check(_kafka(_served())))
    for line in wrong:
        print(line)
    raise SystemExit(1 if wrong else 0)


def _served() -> Settings:
    """Return the settings of a process that needs Kafka and Redis: named ones, else those on this machine."""
    settings = read_settings()
    return settings.model_copy(
        update={
            "kafka": settings.kafka or "127.0.0.1:9092",
            "redis": settings.redis or "redis://127.0.0.1:6379/0",
        }
    )


def _kafka(settings: Settings) -> dict[str, str]:
    return {"bootstrap_servers": settings.kafka or ""}


def _redis(settings: Settings) -> str:
    return settings.redis or ""


def _command(device: str, action: Action, who: str, why: str) -> None:
    """Put one command into the log, wait for a worker, and say what became of it; ends with 1 where it was refused."""
    from stream.client import ask, is_shown

    settings = _served()
    entry = _signed(device, action, who, why)
    outcome = asyncio.run(ask(_kafka(settings), entry))
    with suppress(ConnectionError):  # the board's Redis is no part of the way of a command
        if not asyncio.run(is_shown(_redis(settings), device)):
            print(f"vigil: nothing was heard of {device} yet", file=sys.stderr)
    what = f"{type(action).__name__.lower()} of {device} (offset {outcome.offset})"
    if outcome.refused is not None:
        _fail(f"refused: {what}: {outcome.refused}", 1)
    print(f"done: {what}" if outcome.taken else f"in the log, not yet carried out: no worker has come to it: {what}")


def _signed(device: str, action: Action, who: str, why: str) -> Command:
    """Make a command of now, good for a minute; raises FrameError where the pipeline would not take it."""
    now = time.time_ns()
    entry = Command(device, who, why, uuid.uuid4().hex, now, now + 60_000_000_000, action)
    check_input(entry)
    return entry
