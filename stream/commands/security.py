"""What a place needs to be secured: made in one go, and put into Kafka."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from stream.commands.common import Json, kafka, served

app = typer.Typer(no_args_is_help=True, help="Certificates, users, rights and signing keys of a place.")


@app.command("init")
def security_init(
    to: Annotated[Path, typer.Option("--to", help="A folder that is not there yet; its owner alone may read it.")],
    ward: Annotated[list[str] | None, typer.Option("--ward", help="A ward with a consumer of its own.")] = None,
    host: Annotated[list[str] | None, typer.Option("--host", help="Name or address of the servers.")] = None,
    kafka_port: Annotated[int, typer.Option(min=1, max=65533, help="Kafka by password; by certificate 1 more.")] = 9093,
    redis_port: Annotated[int, typer.Option(min=1, max=65535, help="Redis.")] = 6380,
    renews: Annotated[Path | None, typer.Option(help="A folder made before, whose authority signs again.")] = None,
    json: Json = False,
) -> None:
    """Make a private CA, certificates, users, rights and signing keys for a place, in one go."""
    import msgspec

    from stream.security.place import LOCAL, Where, make

    where = Where(tuple(host) if host else LOCAL.hosts, kafka_port, kafka_port + 1, kafka_port + 2, redis_port)
    made = make(to, ward or (), where, renews)
    if json:
        print(msgspec.json.encode({"folder": str(to), "files": made}).decode())
        return
    for name, files in made.items():
        print(f"{name}: {', '.join(Path(file).name for file in files)}")
    print(f"{to}: keep ca.key elsewhere; then `vigil security apply`, and `vigil setup --keys {to / 'keys.json'}`")


@app.command("apply")
def security_apply(
    folder: Annotated[Path, typer.Option("--from", help="Folder that `security init` made.")], json: Json = False
) -> None:
    """Put users and rights into Kafka; run it with the administrator's `env`."""
    import msgspec

    from stream.security.apply import apply
    from stream.security.place import Kafka

    wanted = msgspec.json.decode((folder / "kafka.json").read_bytes(), type=Kafka)
    asyncio.run(apply(kafka(served()), wanted))
    counts = {"users": len(wanted.users), "rights": len(wanted.rights)}
    print(msgspec.json.encode(counts).decode() if json else f"{counts['users']} users, {counts['rights']} rights")
