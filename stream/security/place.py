"""All that a place needs to be secured, made in one go into a new folder: `vigil security init`.

What lies where:

| file | what |
| --- | --- |
| `ca.pem`, `ca.key` | the private certificate authority; its key is needed to renew, and best kept elsewhere |
| `keys.json` | public keys and what they may sign: `vigil setup --keys` |
| `kafka.json` | users and rights of Kafka, without a password: `vigil security apply` |
| `broker/`, `redis/` | certificate, key and settings of the servers |
| a folder for each role | `cert.pem`, `key.pem`, `env` for its process, `signing.pem` where it signs |
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ecg.frame import PublicKey
from stream.kafka import MECHANISM
from stream.security.pki import Issued, authority, issue, load, pem
from stream.security.roles import EVERY, SERVERS, Role, roles
from stream.signing import key_id

ITERATIONS = 8192
"""Of SCRAM: passwords of 32 random bytes need no more, and every new connection pays for them."""

_KEYSTORE = ("key.pem", "cert.pem", "../ca.pem")
"""What Java wants in one file: key, certificate, chain."""


class Where(NamedTuple):
    """Names and ports by which the servers are reached; the first name is the one that the roles use."""

    hosts: tuple[str, ...] = ("127.0.0.1", "localhost")
    kafka: int = 9093
    kafka_mtls: int = 9094
    controller: int = 9095
    redis: int = 6380


LOCAL = Where()


class Scram(msgspec.Struct, frozen=True):
    """What the brokers keep of a password: enough to check it, not to know it."""

    user: str
    salt: bytes
    salted: bytes
    iterations: int = ITERATIONS


class Right(msgspec.Struct, frozen=True):
    """One right of a user: an operation on a topic, a group or those whose names start so."""

    user: str
    resource: str
    name: str
    operation: str
    prefix: bool = False


class Kafka(msgspec.Struct, frozen=True):
    """What is to be made in Kafka."""

    users: list[Scram]
    rights: list[Right]


def make(
    folder: Path, wards: Sequence[str] = (), where: Where = LOCAL, renews: Path | None = None
) -> dict[str, list[str]]:
    """Make everything, and return the files by the role or server that they are for.

    Parameters
    ----------
    folder : Path
        Where it goes; must not be there yet.
    wards : sequence of str
        Each gets a role of its own that reads its alerts; none: one role for all of them.
    where : Where
        Names and ports of the servers.
    renews : Path or None
        A folder made before, whose certificate authority signs again: what it signed stays good meanwhile.

    Raises
    ------
    ValueError
        If the folder is there already, a ward's name is not usable, or the old authority is not there.
    """
    everyone = roles(wards)
    ca = authority("Vigil private CA") if renews is None else _authority_of(renews)
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise ValueError(f"{folder} is there already: credentials are not overwritten") from None
    _write(folder / "ca.pem", ca.cert_pem)
    _write(folder / "ca.key", ca.key_pem)
    for name in SERVERS:
        _certificate(folder / name, issue(ca, name, where.hosts))
    _write(folder / "broker" / "keystore.pem", b"".join((folder / "broker" / n).read_bytes() for n in _KEYSTORE))
    _write(folder / "broker" / "server.properties", _broker(folder.absolute(), where))
    _write(folder / "redis" / "redis.conf", _redis(folder.absolute(), where))
    made = [_role(folder, ca, role, where) for role in everyone]
    _write(folder / "keys.json", msgspec.json.format(msgspec.json.encode(dict(each.key for each in made if each.key))))
    kafka = Kafka([each.scram for each in made if each.scram], [right for role in everyone for right in rights(role)])
    _write(folder / "kafka.json", msgspec.json.encode(kafka))
    users = ["user default off", *(each.redis for each in made if each.redis)]
    _write(folder / "redis" / "users.acl", "".join(f"{line}\n" for line in users).encode())
    folders = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    return {path.name: sorted(str(file) for file in path.iterdir()) for path in folders}


def rights(role: Role) -> list[Right]:
    """Return what a role may do in Kafka; whoever may read or write a topic may see that it is there."""
    given = [_right(role.name, "topic", topic, "read") for topic in role.reads]
    given += [_right(role.name, "topic", topic, "write") for topic in role.writes]
    if role.group:
        given.append(Right(role.name, "group", role.group, "read", prefix=True))
    if role.watches:
        given.append(Right(role.name, "group", role.watches, "describe", prefix=True))
    if role.reads:
        given += [_right(role.name, "topic", EVERY, operation) for operation in ("describe", "describe_configs")]
    return given


def _right(user: str, resource: str, name: str, operation: str) -> Right:
    return Right(user, resource, name, operation, prefix=name == EVERY)


class _Made(NamedTuple):
    key: tuple[str, PublicKey] | None
    scram: Scram | None
    redis: str | None


def _role(folder: Path, ca: Issued, role: Role, where: Where) -> _Made:
    """Write the folder of a role, and return what others are told of it."""
    here = folder / role.name
    _certificate(here, issue(ca, role.name))
    environment: dict[str, object] = {"CA": folder / "ca.pem", "CERT": here / "cert.pem", "CERT_KEY": here / "key.pem"}
    key = scram = redis = None
    if role.signs:
        key = _signing_key(here / "signing.pem", role)
        environment["KEY"] = here / "signing.pem"
    if role.all_of_kafka:
        environment |= {"KAFKA": f"{where.hosts[0]}:{where.kafka_mtls}", "KAFKA_SECURITY": "ssl"}
    elif role.kafka:
        password, salt = secrets.token_urlsafe(32), secrets.token_bytes(32)
        scram = Scram(role.name, salt, hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS))
        environment |= {"KAFKA": f"{where.hosts[0]}:{where.kafka}", "KAFKA_SECURITY": "sasl_ssl"}
        environment |= {"KAFKA_USER": role.name, "KAFKA_PASSWORD": password}
    if role.redis:
        password = secrets.token_urlsafe(32)
        redis = f"user {role.name} on #{hashlib.sha256(password.encode()).hexdigest()} resetchannels {role.redis}"
        environment["REDIS"] = f"rediss://{role.name}:{password}@{where.hosts[0]}:{where.redis}/0"
    lines = [f"VIGIL_{name}={_quoted(value)}\n" for name, value in sorted(environment.items())]
    _write(here / "env", "".join(lines).encode())
    return _Made(key, scram, redis)


def _quoted(value: object) -> str:
    return shlex.quote(str(value.absolute() if isinstance(value, Path) else value))


def _signing_key(path: Path, role: Role) -> tuple[str, PublicKey]:
    private = Ed25519PrivateKey.generate()
    _write(path, pem(private))
    public = private.public_key().public_bytes_raw()
    return key_id(public), PublicKey(public.hex(), role.signs)


def _certificate(here: Path, issued: Issued) -> None:
    here.mkdir(mode=0o700)
    _write(here / "cert.pem", issued.cert_pem)
    _write(here / "key.pem", issued.key_pem)


def _authority_of(folder: Path) -> Issued:
    try:
        return load((folder / "ca.pem").read_bytes(), (folder / "ca.key").read_bytes())
    except FileNotFoundError as error:
        raise ValueError(f"the certificate authority to go on with is not there: {error.filename}") from None


def _broker(folder: Path, where: Where) -> bytes:
    """Return what is to be added to the broker's own settings."""
    host = where.hosts[0]
    bound = f"SASL_SSL://{host}:{where.kafka},SSL://{host}:{where.kafka_mtls}"
    return _properties(
        {
            "listeners": f"{bound},CONTROLLER://127.0.0.1:{where.controller}",
            "advertised.listeners": bound,
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:SSL",
            "inter.broker.listener.name": "SSL",
            "controller.listener.names": "CONTROLLER",
            "controller.quorum.voters": f"1@127.0.0.1:{where.controller}",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": folder / "broker" / "keystore.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": folder / "ca.pem",
            "ssl.client.auth": "required",
            "listener.name.sasl_ssl.ssl.client.auth": "none",
            "ssl.principal.mapping.rules": "RULE:^CN=([^,]+).*$/$1/,DEFAULT",
            "sasl.enabled.mechanisms": MECHANISM,
            f"listener.name.sasl_ssl.{MECHANISM.lower()}.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": "User:broker;User:admin",
        }
    )


def _properties(settings: Mapping[str, object]) -> bytes:
    return "".join(f"{name}={value}\n" for name, value in settings.items()).encode()


def _redis(folder: Path, where: Where) -> bytes:
    """Return what is to be added to Redis's own settings: TLS alone, certificates of ours alone, users by the list."""
    here = folder / "redis"
    lines = {
        "bind": where.hosts[0],
        "port": 0,
        "tls-port": where.redis,
        "tls-cert-file": here / "cert.pem",
        "tls-key-file": here / "key.pem",
        "tls-ca-cert-file": folder / "ca.pem",
        "tls-auth-clients": "yes",
        "aclfile": here / "users.acl",
    }
    return "".join(f'{name} "{value}"\n' for name, value in lines.items()).encode()


def _write(path: Path, data: bytes) -> None:
    """Write a new file that its owner alone may read."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
