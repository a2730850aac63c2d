"""What is in force: clinical settings and the weights of the network, as a setup in the log."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from ecg.clinical import Settings as Clinical
from ecg.frame import PublicKey, Setup, check_input
from stream.commands.common import By, Reason, fail, kafka, served

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
    keys: Annotated[
        list[Path] | None, typer.Option("--keys", help="JSON of public keys by id, and what each may sign; several.")
    ] = None,
    first: Annotated[bool, typer.Option("--first", help="Do nothing where weights are in the log already.")] = False,
) -> None:
    """Put clinical settings and the network's weights into force, on every partition: 1 where they are refused."""
    from stream.client import Outcome, has_weights, put_setup, put_weights
    from stream.nets import load_net, read_weights
    from stream.signing import signer_of

    async def send() -> tuple[str | None, Outcome]:
        sha = None if weights is None else await put_weights(kafka(settings), weights)
        entry = Setup(by, reason, time.time_ns(), clinical, {"net": sha}, public, unsigned=not signed_only)
        check_input(entry)
        return sha, await put_setup(kafka(settings), entry, signer_of(settings.key))

    settings = served()
    clinical = _read(settings_file, Clinical) if settings_file else Clinical()
    public = {name: key for path in keys or () for name, key in _read(path, dict[str, PublicKey]).items()}
    if signed_only and not public:
        raise ValueError("--signed-only needs --keys: nobody could tick, order or set up any more")
    weights = None if net == "none" else read_weights(net)
    if weights is not None:
        load_net(weights)  # what no worker could load must not come into force
    if first and asyncio.run(has_weights(kafka(settings))):
        print("a setup was given before: it stays in force")
        return
    sha, outcome = asyncio.run(send())
    what = f"settings {clinical.sha256()[:12]}, net {sha[:12] if sha else 'none, rules alone'}"
    if outcome.refused is not None:
        fail(f"refused: {what}: {outcome.refused}", 1)
    print(f"in force: {what}" if outcome.taken else f"in the log, in force once workers come to it: {what}")


def _read(path: Path, kind: Any) -> Any:
    """Read a file of JSON; raises ValueError, with the file's name, where it holds something else."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except msgspec.DecodeError as error:
        raise ValueError(f"{path}: {error}") from error
