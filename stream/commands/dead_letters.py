"""Inputs that could not be accepted: show them, and put them into the input again."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from stream.commands.common import Json, fail, kafka, served

if TYPE_CHECKING:
    from stream.dead_letters import Letter

app = typer.Typer(no_args_is_help=True, help="Inputs that could not be accepted: which, why, and once more.")

Device = Annotated[str | None, typer.Option("--device", help="Those of one device.")]
Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Those whose reason holds this text.")]


@app.command("list")
def list_letters(device: Device = None, reason: Reason = None, json: Json = False) -> None:
    """Print the dead letters, oldest first, and how many there are of each reason."""
    from stream import dead_letters

    found = dead_letters.chosen(asyncio.run(dead_letters.letters(kafka(served()))), None, device, reason)
    counts = dead_letters.counted(found)
    if json:
        print(msgspec.json.encode({"letters": found, "reasons": counts}).decode())
        return
    for letter in found:
        print(_line(letter))
    for text, count in counts.items():
        print(f"{count} x {text}")


@app.command()
def retry(
    offset: Annotated[int | None, typer.Option("--offset", min=0, help="The one at this offset.")] = None,
    device: Device = None,
    reason: Reason = None,
    json: Json = False,
) -> None:
    """Put letters back into the input, once each: 0 if all were, 1 if one was not, or there is none."""
    from stream import dead_letters

    if offset is None and device is None and reason is None:
        fail("retry must be told which: --offset, --device or --reason", 2)

    def wanted(letter: Letter) -> bool:
        return bool(dead_letters.chosen([letter], offset, device, reason))

    done = asyncio.run(dead_letters.retry(kafka(served()), wanted, again=offset is not None))
    if json:
        print(msgspec.json.encode(done).decode())
    else:
        for letter, (partition, at) in done.put.items():
            print(f"letter {letter} is in the input again: partition {partition}, offset {at}")
        for letter, why in done.left.items():
            print(f"letter {letter} {why}")
        if not done.put and not done.left:
            print("there is no such letter")
    raise SystemExit(0 if done.put and not done.left else 1)


def _line(letter: Letter) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(letter.time_ns // 10**9))
    place = f"{letter.partition}/{letter.input_offset}"
    more = ""
    if letter.retried_as is not None:
        more = f" (put back: {letter.retried_as[0]}/{letter.retried_as[1]})"
    elif letter.of_letter is not None:
        more = f" (was letter {letter.of_letter})"
    return (
        f"{letter.offset:>8}  {when}  {letter.device or '-':20} {place:>12}  {letter.size} bytes  {letter.reason}{more}"
    )
