"""Administration of the topics."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from stream.commands.common import kafka, served

app = typer.Typer(no_args_is_help=True, help="The topics: make them, list them, check that they fit together.")


@app.command("create")
def topics_create(
    replication: Annotated[int, typer.Option(min=1, help="Copies of each partition.")] = 1,
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of the input.")] = 4,
) -> None:
    """Create what is missing; leave what is there."""
    from stream import topics

    for name in asyncio.run(topics.create(kafka(served()), partitions, replication)):
        print(f"created {name}")


@app.command("list")
def topics_list() -> None:
    """Print the table of topics."""
    from stream import topics

    print(topics.table())


@app.command("check")
def topics_check() -> None:
    """Check that the topics are there and fit together: 0 if so, 1 with what does not."""
    from stream import topics

    wrong = asyncio.run(topics.check(kafka(served())))
    for line in wrong:
        print(line)
    raise SystemExit(1 if wrong else 0)
