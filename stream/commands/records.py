"""Public sets of records."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from stream.record_sets import PHYSIONET
from stream.settings import read_settings

app = typer.Typer(no_args_is_help=True, help="Public sets of records: which there are, and bring them.")


@app.command("list")
def records_list() -> None:
    """Print the sets: size, licence, citation, and how many records of each are in VIGIL_RECORDS."""
    from stream.records import table

    print(table(read_settings().records))


@app.command("get")
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
