"""What the environment tells a process: addresses, folders and ports, read once into one frozen object.

Nothing here can change an alert: what can is in the log, as a setup.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "VIGIL_"
SECRET = frozenset({"redis"})  # a URL may hold a password: errors do not repeat it


class SettingsError(ValueError):
    """The environment holds a setting that Vigil does not know, or a value that it cannot use: one line."""


def _host_and_port(address: str) -> str:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("must be host:port, or several of them with commas between")
    return address


def _kafka(value: str) -> str:
    return ",".join(_host_and_port(address.strip()) for address in value.split(","))


def _redis(value: str) -> str:
    try:
        url = urlsplit(value)
        usable = url.scheme in {"redis", "rediss"} and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("must be a URL such as redis://host:6379/0 or rediss://host:6379/0")
    return value


def _folder(value: object) -> object:
    return Path(value).expanduser().absolute() if isinstance(value, str) else value


def _records(value: Path) -> Path:
    if not value.is_dir():
        raise ValueError("must name a folder that exists")
    return value


Folder = Annotated[Path, BeforeValidator(_folder)]


class Settings(BaseSettings):
    """Addresses, folders and ports of one process, each from the environment variable `VIGIL_<NAME>`.

    An empty variable counts as one that is not set.

    Attributes
    ----------
    kafka : str or None
        Brokers as `host:port`, with commas between several. None: a broker of our own is started where one is needed.
    redis : str or None
        URL of Redis, `redis://` or `rediss://`. None: a server of our own is started where one is needed.
    records : Path or None
        Folder of public record sets in WFDB form.
    cache : Path
        Folder for what can be fetched or made again: Kafka's jars, data of servers of our own, their logs.
    health_host : str
        Address on which a process serves `/live`, `/ready` and `/metrics`.
    health_port : int or None
        Port for the same; 0 takes a free one, None serves none.
    log : str
        Form of the log lines: `console` for people, `json` for machines.

    Examples
    --------
    >>> Settings(kafka="10.0.0.7:9092").kafka
    '10.0.0.7:9092'
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    kafka: Annotated[str, AfterValidator(_kafka)] | None = None
    redis: Annotated[str, AfterValidator(_redis)] | None = Field(default=None, repr=False)
    records: Annotated[Folder, AfterValidator(_records)] | None = None
    cache: Folder = Path("~/.cache/vigil").expanduser()
    health_host: str = "127.0.0.1"
    health_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    log: Literal["console", "json"] = "console"


def read_settings() -> Settings:
    """Read the settings of this process from its environment.

    Raises
    ------
    SettingsError
        One line: the variable, what is wrong with it, and for an unknown one its nearest neighbour.
    """
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            raise SettingsError(_unknown(name, known))
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError(_one_line(error)) from None


def _unknown(name: str, known: list[str]) -> str:
    plain = [field.removeprefix(PREFIX) for field in known]
    near = difflib.get_close_matches(name.upper().removeprefix(PREFIX), plain, n=1)
    hint = f"did you mean {PREFIX}{near[0]}?" if near else f"known are {', '.join(known)}"
    return f"{name} is not a setting of Vigil: {hint}"


def _one_line(error: ValidationError) -> str:
    first = error.errors()[0]
    field = str(first["loc"][0])
    reason = first["msg"].removeprefix("Value error, ")
    reason = reason[0].lower() + reason[1:]
    got = "" if field in SECRET else f", got {first['input']!r}"
    return f"{PREFIX}{field.upper()}: {reason}{got}"
