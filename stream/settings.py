"""What the environment tells a process: addresses, folders and ports, read once into one frozen object.

Nothing here can change an alert: what can is in the log, as a setup.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "VIGIL_"
SECRET = frozenset({"redis", "kafka_password"})  # a URL may hold a password: errors do not repeat it


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


def _file(value: Path) -> Path:
    if not value.is_file():
        raise ValueError("must name a file that exists")
    try:
        value.open("rb").close()
    except OSError as error:
        raise ValueError(f"must name a file that this process may read ({error.strerror})") from None
    return value


Folder = Annotated[Path, BeforeValidator(_folder)]
File = Annotated[Folder, AfterValidator(_file)]


class Settings(BaseSettings):
    """Addresses, folders and ports of one process, each from the environment variable `VIGIL_<NAME>`.

    An empty variable counts as one that is not set.

    Attributes
    ----------
    kafka : str or None
        Brokers as `host:port`, with commas between several. None: a broker of our own is started where one is needed.
    kafka_security : str
        How Kafka is spoken to: `plaintext`, `ssl` (by a certificate of our own) or `sasl_ssl` (by user and password,
        SCRAM-SHA-512).
    kafka_user, kafka_password, kafka_password_file : str, SecretStr, Path, or None
        For `sasl_ssl`; the password itself, or the file that holds it.
    redis : str or None
        URL of Redis, `redis://` or `rediss://`. None: a server of our own is started where one is needed.
    ca : Path or None
        The certificates (PEM) that servers must be signed by, of Kafka and of Redis; None for those of the system.
    cert, cert_key : Path or None
        Certificate and private key (PEM) of this process, shown to servers that ask for one.
    key : Path or None
        The process's own signing key (PEM, Ed25519): ticks, commands, setups and seals are signed with it.
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
    kafka_security: Literal["plaintext", "ssl", "sasl_ssl"] = "plaintext"
    kafka_user: str | None = None
    kafka_password: SecretStr | None = None
    kafka_password_file: File | None = None
    redis: Annotated[str, AfterValidator(_redis)] | None = Field(default=None, repr=False)
    ca: File | None = None
    cert: File | None = None
    cert_key: File | None = None
    key: File | None = None
    records: Annotated[Folder, AfterValidator(_records)] | None = None
    cache: Folder = Path("~/.cache/vigil").expanduser()
    health_host: str = "127.0.0.1"
    health_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    log: Literal["console", "json"] = "console"

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        """Refuse credentials that would be left unused without a word, and ways that lack theirs."""
        secured, named = self.kafka_security != "plaintext", self.kafka_user is not None
        passwords = sum(each is not None for each in (self.kafka_password, self.kafka_password_file))
        if secured and self.kafka is None:
            raise ValueError("VIGIL_KAFKA_SECURITY: needs VIGIL_KAFKA, the address of the brokers")
        if self.kafka_security == "sasl_ssl" and not (named and passwords == 1):
            raise ValueError(
                "VIGIL_KAFKA_SECURITY: sasl_ssl needs VIGIL_KAFKA_USER, and one of VIGIL_KAFKA_PASSWORD and "
                "VIGIL_KAFKA_PASSWORD_FILE"
            )
        if self.kafka_security != "sasl_ssl" and (named or passwords):
            raise ValueError("VIGIL_KAFKA_USER: user and password need VIGIL_KAFKA_SECURITY=sasl_ssl")
        if (self.cert is None) != (self.cert_key is None):
            raise ValueError("VIGIL_CERT: a certificate and its VIGIL_CERT_KEY go together")
        return self


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
    reason = first["msg"].removeprefix("Value error, ")
    if not first["loc"]:  # of settings that do not fit together: it names them itself
        return reason
    field = str(first["loc"][0])
    reason = reason[0].lower() + reason[1:]
    got = "" if field in SECRET else f", got {first['input']!r}"
    return f"{PREFIX}{field.upper()}: {reason}{got}"
