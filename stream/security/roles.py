"""Who may do what: one table, from which Kafka's rights, Redis's users and the roles of signing keys are made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

from ecg.alarm import UNASSIGNED
from stream import topics
from stream.keys import SERVICES, WARDS, bed_key, beds_key, stream_key, trimmed_key

Signs = Literal["tick", "command", "setup", "seal"]
EVERY = "ecg."
"""Stands before the name of every topic."""

_READER = (
    "+@connection -@dangerous +info +multi +exec +smembers +hgetall +hget +hmget +hkeys +hexists +exists +get "
    "+xlen +xrange +xrevrange +xread +xinfo"
)
_CONSUMER = (
    f"{_READER} +xreadgroup +xack +xautoclaim +xclaim +xpending "
    "+xgroup|create +xgroup|createconsumer +xgroup|delconsumer +xgroup|setid"
)
_PUBLISHER = "+@connection +@read +@write +@stream +@transaction +eval +evalsha +script -@dangerous +info"
_SHOWN = f"~alerts:* ~beds:* ~bed:* ~trimmed:* ~{WARDS} ~{SERVICES}"
_OF_ALL = f"~{WARDS} ~{SERVICES} ~{bed_key(UNASSIGNED, '*')}"
"""What every ward sees: the wards' names, Vigil's own alarms, the beds that nobody admitted."""
_WARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Role(NamedTuple):
    """One kind of process or person, and what it may do.

    Attributes
    ----------
    name : str
        Of its folder, its Kafka user, its Redis user and its certificates.
    what : str
        What it is, in words.
    reads, writes : tuple of str
        Topics of Kafka; `EVERY` for all of them.
    group : str or None
        Consumer groups of Kafka, by the start of their names, that it belongs to.
    watches : str or None
        Consumer groups whose position it may read.
    redis : str or None
        Keys and commands, as Redis writes them; None for who has no user there.
    signs : tuple of str
        What its signing key may sign; none has no key.
    all_of_kafka : bool
        Whether it administers Kafka, by its certificate alone.
    """

    name: str
    what: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    group: str | None = None
    watches: str | None = None
    redis: str | None = None
    signs: tuple[Signs, ...] = ()
    all_of_kafka: bool = False

    @property
    def kafka(self) -> bool:
        """Whether it has rights on topics of Kafka."""
        return bool(self.reads or self.writes)


FIXED = (
    Role("device", "bedside monitors and wearables", writes=(topics.INPUT,)),
    Role("ticker", "the ward's clock", writes=(topics.INPUT,), signs=("tick",)),
    Role(
        "worker",
        "turns input into alerts",
        reads=(EVERY,),
        writes=(
            topics.STATE,
            topics.ALERTS,
            topics.VITALS,
            topics.CHECKPOINTS,
            topics.SEALS,
            topics.DEAD_LETTERS,
        ),
        group=topics.GROUP,
        signs=("seal",),
    ),
    Role(
        "publisher",
        "carries alerts to Redis",
        reads=(topics.ALERTS, topics.VITALS),
        writes=(topics.ALERTS,),
        redis=f"{_SHOWN} ~fence:* ~position:* {_PUBLISHER}",
    ),
    Role(
        "staff",
        "people who acknowledge, admit, discharge, pause",
        reads=(topics.DEAD_LETTERS,),
        writes=(topics.INPUT,),
        watches=topics.GROUP,
        redis=f"{_SHOWN} {_READER}",
        signs=("command",),
    ),
    Role("auditor", "replays and verifies", reads=(EVERY,), watches=topics.GROUP, redis=f"{_SHOWN} {_READER}"),
    Role(
        "admin",
        "makes topics, setups and rights",
        redis="~* &* +@all",
        signs=("setup", "command"),
        all_of_kafka=True,
    ),
)
SERVERS = ("broker", "redis")
"""The names of the servers' own certificates; the broker's is an administrator of its own cluster."""


def roles(wards: Sequence[str] = ()) -> list[Role]:
    """Return the roles of a place: the fixed ones, and one that consumes alerts for each ward, or one for all of them.

    Raises
    ------
    ValueError
        If a ward's name could mean something else in a list of rights.
    """
    for ward in wards:
        if not _WARD.fullmatch(ward):
            raise ValueError(f"ward must be of letters, digits, - and _, up to 64 of them, got {ward!r}")
    if len(set(wards)) != len(wards):
        raise ValueError(f"wards must differ, got {', '.join(wards)}")
    named = [
        Role(
            f"ward-{ward}",
            f"shows the alerts of {ward}",
            redis=f"{_keys_of(ward)} {_OF_ALL} {_CONSUMER}",
        )
        for ward in wards
    ]
    return [*FIXED, *(named or [Role("ward", "shows the alerts of every ward", redis=f"{_SHOWN} {_CONSUMER}")])]


def _keys_of(ward: str) -> str:
    keys = (stream_key(ward), beds_key(ward), bed_key(ward, "*"), trimmed_key(ward))
    return " ".join(f"~{key}" for key in keys)
