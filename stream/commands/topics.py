"""Administration of the topics."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
import typer

from stream.commands.common import Json, kafka, served

app = typer.Typer(no_args_is_help=True, help="The topics: make them, list them, check that they fit together.")


def _hours(name: str, what: str) -> object:
    return typer.Option(f"--{name}", metavar="HOURS", help=f"Keep {what} for so long, or `forever`.")


Input = Annotated[str | None, _hours("keep-input", "the input (and checkpoints an hour more)")]
Vitals = Annotated[str | None, _hours("keep-vitals", "vitals")]
Alerts = Annotated[str | None, _hours("keep-alerts", "alerts, at least as long as the input,")]
Seals = Annotated[str | None, _hours("keep-seals", "seals, at least as long as the input,")]
Letters = Annotated[str | None, _hours("keep-dead-letters", "dead letters")]


@app.command()
def create(
    replication: Annotated[int, typer.Option(min=1, help="Copies of each partition.")] = 1,
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of the input.")] = 4,
    keep_input: Input = None,
    keep_vitals: Vitals = None,
    keep_alerts: Alerts = None,
    keep_seals: Seals = None,
    keep_dead_letters: Letters = None,
) -> None:
    """Create what is missing; leave what is there."""
    from stream import topics

    keep = _keep(keep_input, keep_vitals, keep_alerts, keep_seals, keep_dead_letters)
    for name in asyncio.run(topics.create(kafka(served()), partitions, replication, keep)):
        print(f"created {name}")


@app.command()
def retain(
    keep_input: Input = None,
    keep_vitals: Vitals = None,
    keep_alerts: Alerts = None,
    keep_seals: Seals = None,
    keep_dead_letters: Letters = None,
    json: Json = False,
) -> None:
    """Change for how long topics that are there are kept; without an option, say how long they are."""
    from stream import topics
    from stream.retention import FOREVER, HOUR_MS, shown

    keep = _keep(keep_input, keep_vitals, keep_alerts, keep_seals, keep_dead_letters)
    kept = asyncio.run(topics.retain(kafka(served()), keep))
    if json:
        hours = {name: None if ms == FOREVER else ms / HOUR_MS for name, ms in kept.items()}
        print(msgspec.json.encode({"kept_hours": hours}).decode())
        return
    for name, ms in kept.items():
        print(f"{name}: {shown(ms)}")


@app.command("list")
def list_topics() -> None:
    """Print the table of topics."""
    from stream import topics

    print(topics.table())


@app.command()
def check(
    keep_input: Input = None,
    keep_vitals: Vitals = None,
    keep_alerts: Alerts = None,
    keep_seals: Seals = None,
    keep_dead_letters: Letters = None,
    json: Json = False,
) -> None:
    """Check that the topics are there, fit together and are kept as long as said: 0 if so, 1 with what does not."""
    from stream import topics

    keep = _keep(keep_input, keep_vitals, keep_alerts, keep_seals, keep_dead_letters)
    wrong = asyncio.run(topics.check(kafka(served()), keep))
    if json:
        print(msgspec.json.encode({"faults": wrong}).decode())
    else:
        for line in wrong:
            print(line)
    raise SystemExit(1 if wrong else 0)


def _keep(*hours: str | None) -> dict[str, int]:
    """Return what was chosen by name, in ms; raises ValueError where it is no number of hours."""
    from stream.retention import hours_ms

    names = ("input", "vitals", "alerts", "seals", "dead-letters")
    return {name: hours_ms(given) for name, given in zip(names, hours, strict=True) if given is not None}
