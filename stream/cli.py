"""The one executable: `vigil`. Each command reads its arguments, calls one function, and prints what it gives.

Exit status: 0 as asked, 1 the answer is no, 2 wrong use or bad input, 3 a needed service is not there.
"""

from __future__ import annotations

from stream import interrupt  # before all that takes time to import

# isort: split
import logging

import typer

from stream.child import ServiceError
from stream.commands import (
    analysis,
    audit,
    bench,
    dead_letters,
    evaluate,
    export,
    records,
    schema,
    security,
    services,
    setup,
    topics,
    train,
    ward,
)
from stream.commands.common import fail

interrupt.catch()
app = typer.Typer(
    name="vigil", no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False
)
for group in (services, ward, setup, analysis, export, audit, schema):
    app.add_typer(group.app)
app.add_typer(topics.app, name="topics")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(bench.app, name="bench")
app.add_typer(train.app, name="train")
app.add_typer(records.app, name="records")
app.add_typer(security.app, name="security")


def main() -> None:
    """Run `vigil`, and turn what the environment or the input did wrong into one line and an exit status."""
    logging.basicConfig(handlers=[logging.NullHandler()])  # what libraries log is for services, which set it up
    try:
        app()
    except Exception as error:
        status = _status(error)
        if status is None:
            raise
        fail(str(error) or type(error).__name__, status)


def _status(error: Exception) -> int | None:
    """Return the exit status that an error stands for; None for a fault of our own."""
    from aiokafka.errors import KafkaError
    from redis.exceptions import RedisError

    if isinstance(error, ServiceError | ConnectionError | KafkaError | RedisError):
        return 3
    return 2 if isinstance(error, FileNotFoundError | ValueError) else None
