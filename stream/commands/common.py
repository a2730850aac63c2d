"""What several commands share: options of one meaning, the services at hand, a line for whoever sits there."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from stream.settings import Settings, read_settings

if TYPE_CHECKING:
    from stream.kafka import Kafka

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Records = Annotated[Path | None, typer.Option("--records", help="Folder of record sets; else VIGIL_RECORDS.")]


def there(folder: Path) -> Path:
    """Give a folder of records, or say which command brings it."""
    from stream.records import check_folder

    check_folder(folder)
    return folder


Data = Annotated[Path, typer.Option("--data", help="Folder of the set.", callback=there)]
Sets = Annotated[Path, typer.Option("--data", help="Folder that holds the sets.", callback=there)]
Work = Annotated[
    Path | None, typer.Option("--work", help="Keep what is done in this folder, and go on from what is there.")
]
By = Annotated[str, typer.Option("--by", help="Who asks: a pseudonym of the staff.")]
Reason = Annotated[str, typer.Option("--reason", help="Why.")]
Ward = Annotated[str | None, typer.Option("--ward", help="One ward; else all of them.")]
Device = Annotated[str, typer.Argument(help="The device's pseudonym.")]


def say(line: str) -> None:
    """Print a line for whoever sits there, apart from what was asked for."""
    print(f"vigil: {line}", file=sys.stderr)


def fail(line: str, status: int) -> NoReturn:
    """Say what is wrong, and end with an exit status."""
    print(f"vigil: {line}", file=sys.stderr)
    sys.exit(status)


def served() -> Settings:
    """Return the settings of a process that needs Kafka and Redis: named ones, else those on this machine."""
    settings = read_settings()
    return settings.model_copy(
        update={
            "kafka": settings.kafka or "127.0.0.1:9092",
            "redis": settings.redis or "redis://127.0.0.1:6379/0",
        }
    )


def kafka(settings: Settings) -> Kafka:
    """Return what every client of Kafka is made from."""
    from stream.kafka import kafka_of

    return kafka_of(settings)


def redis(settings: Settings) -> str:
    """Return the URL of Redis."""
    from stream.tls import redis_of

    return redis_of(settings)
