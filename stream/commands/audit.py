"""What an auditor does: derive alerts again and compare, verify one alert, verify chains and seals."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from ecg.clinical import Settings as Clinical
from ecg.frame import PublicKey
from stream.commands.common import Json, fail, kafka, served

if TYPE_CHECKING:
    from stream.audit.log import KafkaLog
    from stream.audit.nets import Nets
    from stream.audit.replay import Wanted
    from stream.audit.whatif import Under

app = typer.Typer()

Offset = Annotated[list[str] | None, typer.Option(metavar="P:O", help="Offset of the input by partition; repeatable.")]


@app.command()
def replay(
    device: Annotated[str | None, typer.Option(help="One device; else all of them.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="The ward's time, as 2027-01-15T08:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="The ward's time, not included.")] = None,
    from_offset: Offset = None,
    to_offset: Offset = None,
    start: Annotated[
        Literal["checkpoint", "first"], typer.Option(help="Begin at the nearest checkpoints, or at the first offset.")
    ] = "checkpoint",
    weights: Annotated[
        str | None, typer.Option(help="What if: a weights file of the network, `shipped`, or `none`.")
    ] = None,
    settings: Annotated[Path | None, typer.Option(help="What if: JSON of clinical settings.")] = None,
    chain: Annotated[bool, typer.Option("--chain", help="Verify chains and seals instead.")] = False,
    trust: Annotated[
        Path | None, typer.Option(help="With --chain: public keys to trust, JSON as `security init` writes it.")
    ] = None,
    json: Json = False,
) -> None:
    """Derive alerts again from the log and compare: 0 identical, 1 with each difference and its likely cause."""
    from stream.audit.replay import Wanted, offsets, time_ns

    ranges = [since, until, from_offset, to_offset, weights, settings]
    if chain and any(each is not None for each in ranges):
        raise ValueError(
            "--chain goes over all that is kept, of one device or of all: it takes no range and no what-if"
        )
    if trust is not None and not chain:
        raise ValueError("--trust goes with --chain")
    if chain:
        _chain(device, trust, json)
        return
    wanted = Wanted(
        device,
        None if since is None else time_ns(since),
        None if until is None else time_ns(until),
        offsets(from_offset or []),
        offsets(to_offset or []),
        start,
    )
    if weights is None and settings is None:
        _compare(wanted, json)
    else:
        _what_if(wanted, weights, settings, json)


@app.command()
def verify(
    alert: Annotated[str, typer.Argument(help="Id of an alert, its entry in Redis, or its offset in the alert topic.")],
    json: Json = False,
) -> None:
    """Derive one alert again, alone: what decided it, and whether it is the same to the byte: 0 if so, 1 if not."""
    from stream.audit.verify import find, told
    from stream.audit.verify import verify as derive

    async def run() -> int:
        entry = await find(_log(), alert)
        if entry is None:
            fail(f"alert must be in the alert topic, got {alert!r}", 2)
        found = await derive(_log(), entry)
        print(msgspec.json.encode(found).decode() if json else "\n".join(told(found)))
        return 0 if found.identical else 1

    raise SystemExit(asyncio.run(run()))


def _compare(wanted: Wanted, json: bool) -> None:
    from stream.audit.replay import replay as derive
    from stream.audit.replay import told

    report = asyncio.run(derive(_log(), wanted))
    print(msgspec.json.encode(report).decode() if json else "\n".join(told(report)))
    raise SystemExit(0 if report.identical else 1)


def _what_if(wanted: Wanted, weights: str | None, settings: Path | None, json: bool) -> None:
    from stream.audit.whatif import told, what_if

    under, nets = _under(weights, settings)
    found = asyncio.run(what_if(_log(), wanted, under, nets))
    print(msgspec.json.encode(found).decode() if json else "\n".join(told(found)))


def _under(weights: str | None, settings: Path | None) -> tuple[Under, Nets]:
    from stream.audit.nets import Nets
    from stream.audit.whatif import Under
    from stream.nets import load_nets

    try:
        clinical = None if settings is None else msgspec.json.decode(settings.read_bytes(), type=Clinical)
    except msgspec.DecodeError as error:
        raise ValueError(f"{settings}: {error}") from error
    if clinical is not None:
        clinical.check()
    given = {} if weights is None else load_nets(weights)
    return Under(clinical, next(iter(given), None), weights is not None), Nets(_log(), *given.items())


def _chain(device: str | None, trust: Path | None, json: bool) -> None:
    from stream.audit.chains import audit_log, told

    try:
        keys = None if trust is None else msgspec.json.decode(trust.read_bytes(), type=dict[str, PublicKey])
    except msgspec.DecodeError as error:
        raise ValueError(f"{trust}: {error}") from error
    found = asyncio.run(audit_log(_log(), device, keys))
    print(msgspec.json.encode(found).decode() if json else "\n".join(told(found)))
    raise SystemExit(0 if found.intact else 1)


def _log() -> KafkaLog:
    from stream.audit.log import KafkaLog

    return KafkaLog(kafka(served()))
