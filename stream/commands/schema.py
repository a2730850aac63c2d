"""Schemas of what goes in and comes out."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def schema(
    name: Annotated[str, typer.Argument(help="One of them, as `alert`; else the topics as `asyncapi`.")] = "asyncapi",
    to: Annotated[Path | None, typer.Option("--to", help="Write all of them into this folder.")] = None,
) -> None:
    """Print the JSON Schema of frames, commands, alerts, ..., or the topics as an AsyncAPI document."""
    from stream import schema as schemas

    number = version("vigil-ecg")
    if to is not None:
        for path in schemas.write(to, number):
            print(path)
        return
    files = schemas.files(number)
    if f"{name}.json" not in files:
        raise ValueError(f"schema must be one of {', '.join(Path(file).stem for file in files)}, got {name!r}")
    print(files[f"{name}.json"].decode(), end="")
