"""What is in force: clinical settings and the weights of the network, as a setup in the log."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ecg.clinical import Settings as Clinical
from ecg.frame import Setup, check_input
from stream.commands.common import By, Reason, kafka, served

app = typer.Typer()


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
        sha = None if weights is None else await put_weights(kafka(settings), weights)
        entry = Setup(by, reason, time.time_ns(), clinical, {"net": sha}, unsigned=not signed_only)
        check_input(entry)
        await send_setup(kafka(settings), entry)
        return sha

    settings = served()
    try:
        clinical = msgspec.json.decode(settings_file.read_bytes(), type=Clinical) if settings_file else Clinical()
    except msgspec.DecodeError as error:
        raise ValueError(f"{settings_file}: {error}") from error
    weights = None if net == "none" else read_weights(net)
    if weights is not None:
        load_net(weights)  # what no worker could load must not come into force
    if first and asyncio.run(has_weights(kafka(settings))):
        print("a setup was given before: it stays in force")
        return
    sha = asyncio.run(send())
    print(f"in force: settings {clinical.sha256()[:12]}, net {sha[:12] if sha else 'none, rules alone'}")
