"""One device's stretch of the log in a folder."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from stream.commands.common import Json, kafka, say, served

app = typer.Typer()


@app.command()
def export(
    device: Annotated[str, typer.Option("--device", help="Pseudonym of the device.")],
    out: Annotated[Path, typer.Option("--out", help="A folder that is new, or empty.")],
    begin: Annotated[
        str | None, typer.Option("--from", metavar="T", help="Ward's time, as 2027-01-15T08:00:01Z, or ns since 1970.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", metavar="T", help="The same: to before it.")] = None,
    json: Json = False,
) -> None:
    """Write a device's frames as a WFDB record, with alerts and beats, and all that its alerts came of.

    `vigil analyze` on the folder derives the same alerts, to the byte.
    """
    from stream.audit.log import KafkaLog
    from stream.audit.replay import Wanted, time_ns
    from stream.export import export as run

    first_ns, end_ns = (None if text is None else time_ns(text) for text in (begin, to))
    done = asyncio.run(run(KafkaLog(kafka(served())), Wanted(device, first_ns, end_ns), out))
    for note in done.notes:
        say(note)
    if json:
        print(msgspec.json.encode(done).decode())
    else:
        figures = done.figures
        same = "identical" if done.identical else f"{figures['differences']} differ from the logged ones"
        print(f"{out}: {', '.join(done.records) or 'no frames'}; {figures['frames']} frames, {figures['beats']} beats")
        print(f"{figures['alerts_logged']} alerts; derived again from what was written: {same}")
    raise SystemExit(0 if done.identical else 1)
