"""Seals as they lie in their topic: signatures, their own chain, and what is wrong with them."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from ecg.frame import PublicKey, Signed
from stream import seal
from stream.audit.log import Entry
from stream.signing import SEALED_AS, is_good

Told = tuple[Any, ...]
"""A fault of a seal in the order of `stream.audit.chain.Fault`."""


class Sealed(NamedTuple):
    """A seal that is well signed: where it first lies in its partition, and the hash that the next one carries."""

    place: int
    seal: seal.Seal
    hash: str


def sealed_in_order(
    entries: Sequence[Entry], keys: Mapping[str, PublicKey], begin: Mapping[int, int]
) -> tuple[dict[int, list[Sealed]], list[Told]]:
    """Return the well signed seals of each partition by their number, and the faults of all.

    `begin` has by partition the number of the first seal that is looked at, 0 by default.
    """
    by_number: dict[int, dict[int, list[Sealed]]] = {}
    faults: list[Told] = []
    for entry in entries:
        opened = open_seal(entry, keys)
        if isinstance(opened, str):
            faults.append(_fault("altered", entry.partition, entry.offset, (None, None), opened))
            continue
        if opened.seal.n < begin.get(entry.partition, 0):
            continue
        its = by_number.setdefault(entry.partition, {}).setdefault(opened.seal.n, [])
        same = next((at for at, known in enumerate(its) if known.hash == opened.hash), None)
        if same is None:
            its.append(opened)
        elif opened.place < its[same].place:
            its[same] = opened
    in_order = {partition: [its[n][0] for n in sorted(its)] for partition, its in sorted(by_number.items())}
    for partition, its in by_number.items():
        faults += _forks(partition, its)
        faults += _sequence(partition, in_order[partition], begin.get(partition, 0))
    return in_order, faults


def open_seal(entry: Entry, keys: Mapping[str, PublicKey]) -> Sealed | str:
    """Return a seal out of its envelope, or what is wrong with it; where no key may seal, none need be signed."""
    try:
        signed = msgspec.msgpack.decode(entry.value or b"", type=Signed)
        found = seal.decode(signed.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "unreadable"
    if msgspec.msgpack.encode(signed) != entry.value:
        return "written otherwise than seals are"
    if (found.partition, str(found.partition).encode()) != (entry.partition, entry.key):
        return f"a seal of partition {found.partition} under key {entry.key!r}"
    key = keys.get(signed.key)
    if key is None and (signed.key or any("seal" in each.roles for each in keys.values())):
        return f"signed by {signed.key}, who is not known" if signed.key else "not signed"
    if key is not None and "seal" not in key.roles:
        return f"signed by {signed.key}, who may not seal"
    if key is not None and not is_good(key, SEALED_AS + signed.body, signed.signature):
        return f"not what {signed.key} signed"
    return Sealed(entry.offset, found, seal.seal_hash(signed.body))


class Resealed(NamedTuple):
    """How many seals of a range were logged and derived again, and what is wrong with them, a line each."""

    logged: int
    derived: int
    faults: list[str]


def resealed(logged: Sequence[Entry], derived: Sequence[bytes], keys: Mapping[str, PublicKey]) -> Resealed:
    """Compare the seals of a partition as they were logged with bodies that were derived again."""
    opened = [open_seal(entry, keys) for entry in logged]
    faults = [
        f"seal at {e.partition}:{e.offset}: {o}" for e, o in zip(logged, opened, strict=True) if isinstance(o, str)
    ]
    had = {each.seal.n: each for each in opened if isinstance(each, Sealed)}
    has = {seal.decode(body).n: body for body in derived}
    faults += [f"seal {n} is missing" for n in sorted(has.keys() - had.keys())]
    faults += [f"seal {n} at {had[n].place} is not derived" for n in sorted(had.keys() - has.keys())]
    for n in sorted(had.keys() & has.keys()):
        if had[n].hash != seal.seal_hash(has[n]):
            faults.append(f"seal {n} at {had[n].place} differs: {_differing(had[n].seal, seal.decode(has[n]))}")
    return Resealed(len(had), len(has), faults)


def _differing(had: seal.Seal, has: seal.Seal) -> str:
    """Name what differs, for the heads by device."""
    fields = [name for name in ("time_ns", "offset", "previous", "version") if getattr(had, name) != getattr(has, name)]
    devices = sorted({name for name in had.heads | has.heads if had.heads.get(name) != has.heads.get(name)})
    return ", ".join([*fields, *(f"the head of {name}" for name in devices)])


def _forks(partition: int, by_number: Mapping[int, list[Sealed]]) -> Iterator[Told]:
    for n, its in sorted(by_number.items()):
        for other in its[1:]:
            why = f"seal {n} at offset {its[0].place} and at {other.place} are not the same"
            yield _fault("forked", partition, other.place, (n, n), why)


def _sequence(partition: int, its: Sequence[Sealed], begin: int) -> Iterator[Told]:
    """Yield what is wrong with numbers, hashes and places of seals that follow each other."""
    before: Sealed | None = None
    moved = moved_of([each.place for each in its])
    for at, each in enumerate(its):
        number, last = each.seal.n, begin - 1 if before is None else before.seal.n
        between = (None if before is None else last, number)
        if number != last + 1:
            why = f"seals {last + 1} to {number - 1} lack"
            yield _fault("removed", partition, None, between, why)
        elif (before is not None or not begin) and each.seal.previous != ("" if before is None else before.hash):
            yield _fault("altered", partition, each.place, between, "it names another seal before it")
        if at in moved:
            yield _fault("reordered", partition, each.place, between, "it does not lie between those two")
        if before is not None and each.seal.offset <= before.seal.offset:
            yield _fault("altered", partition, each.place, between, "it seals no later place than the one before it")
        before = each


def moved_of(places: Sequence[int]) -> set[int]:
    """Return which of some places are out of order: all but a longest rising row of them.

    Examples
    --------
    >>> moved_of([1, 9, 2, 3, 4])
    {1}
    """
    tails: list[int] = []
    before: list[int | None] = []
    for at, place in enumerate(places):
        length = bisect.bisect_left(tails, place, key=lambda other: places[other])
        before.append(tails[length - 1] if length else None)
        tails[length : length + 1] = [at]
    rising: set[int] = set()
    last = tails[-1] if tails else None
    while last is not None:
        rising.add(last)
        last = before[last]
    return set(range(len(places))) - rising


def _fault(
    kind: Literal["altered", "removed", "reordered", "forked"],
    partition: int,
    place: int | None,
    between: tuple[int | None, int | None],
    why: str,
) -> Told:
    return kind, "seal", partition, None, place, None, between, why
