"""Chains and seals, verified: what was altered, removed, put in, moved or forked up to the last seal, and where.

Each device has a chain of hashes over its alerts and the commands that were carried out; once a minute of the ward's
time a seal names the heads of all chains of a partition, and is signed and chained itself (`stream.seal`). So a seal
fixes every link before it. Behind the last seal alerts still must follow each other, but who drops the last of them is
not found; nor is the order sealed in which alerts of different devices lie in their topic: it is the workers' doing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from ecg.alert import chain_command_of, chain_hash
from ecg.frame import PublicKey
from stream import topics
from stream.audit.compare import Head, head_of
from stream.audit.log import Entry
from stream.audit.sealed import Sealed, moved_of, sealed_in_order
from stream.seal import Head as SealedHead

Kind = Literal["altered", "removed", "inserted", "reordered", "forked"]


class Fault(NamedTuple):
    """What is wrong at one place.

    `place` is the offset in the topic of the alert, command or seal, where there is one; `between` the numbers of the
    seals before and behind, None where there is none.
    """

    kind: Kind
    what: Literal["alert", "command", "seal"]
    partition: int | None
    device: str | None
    place: int | None
    alert: str | None
    between: tuple[int | None, int | None]
    why: str


class _Link(NamedTuple):
    """An alert as a link: where it first lies in its topic, its head, and its hash."""

    place: int
    head: Head
    hash: str

    @property
    def chain(self) -> str:
        return self.head.chain

    @property
    def order(self) -> tuple[int, int]:
        return self.head.source.last_offset, self.head.ordinal


_Path = tuple[_Link | tuple[int, str], ...]
"""Links in order: alerts, and commands as (input offset, sha256 of the record)."""


def audit(
    alerts: Sequence[Entry],
    commands: Sequence[Entry],
    seals: Sequence[Entry],
    keys: Mapping[str, PublicKey],
    kept: Mapping[int, int] | None = None,
    begin: Mapping[int, int] | None = None,
) -> list[Fault]:
    """Verify chains and seals; pure.

    Parameters
    ----------
    alerts, seals : sequence of Entry
        The topics, whole; `partition` and `offset` as there.
    commands : sequence of Entry
        Records of the input that were carried out as commands, as far as the log still has them; those that were
        refused are no links.
    keys : mapping of str to PublicKey
        By their ids, the keys that may have signed; where none of them may seal, seals need no signature.
    kept : mapping of int to int
        First offset of the input that the log still has, by partition; commands before it are taken from the seals.
    begin : mapping of int to int
        Number of the seal to go by, by partition, where what came before it is not kept.

    Returns
    -------
    list of Fault
        Empty where all is well.
    """
    begin = begin or {}
    sealed, faults = sealed_in_order(seals, keys, begin)
    found = [Fault(*fault) for fault in faults]
    links, broken = _links(alerts)
    found += broken
    asked: dict[tuple[int, str], list[tuple[int, str]]] = {}
    for entry in sorted(commands, key=lambda entry: entry.offset):
        sha256 = hashlib.sha256(entry.value or b"").hexdigest()
        asked.setdefault((entry.partition, (entry.key or b"").decode(errors="replace")), []).append(
            (entry.offset, sha256)
        )
    for partition, its in sealed.items():
        start = its[0].seal.offset if partition in begin else -1
        mine = {name: _since(own, start) for (place, name), own in links.items() if place == partition}
        for name in sorted({*mine, *(name for each in its for name in each.seal.heads)}):
            walk = _Walk(partition, name, its, mine.get(name, []), asked.get((partition, name), []))
            found += walk.faults(goes_by_first=partition in begin)
        found += _commands(partition, its, commands, (kept or {}).get(partition, 0))
    return found


def _links(alerts: Sequence[Entry]) -> tuple[dict[tuple[int, str], list[_Link]], list[Fault]]:
    """Return the alerts of each device of a partition, doubles once, and what is no alert."""
    found: dict[tuple[int, str], dict[bytes, _Link]] = {}
    faults: list[Fault] = []
    for entry in alerts:
        head, value = head_of(entry.value), entry.value or b""
        if head is None or entry.key != head.device.encode():
            device = (entry.key or b"").decode(errors="replace")
            why = "unreadable" if head is None else f"it lies under the key of {device!r}"
            faults.append(Fault("altered", "alert", None, device, entry.offset, head and head.id, (None, None), why))
        elif head.source.topic == topics.INPUT:
            its = found.setdefault((head.source.partition, head.device), {})
            known = its.get(value)
            if known is None or entry.offset < known.place:
                its[value] = _Link(entry.offset, head, chain_hash(value))
    return {key: sorted(its.values(), key=lambda link: link.place) for key, its in found.items()}, faults


def _since(links: Sequence[_Link], offset: int) -> list[_Link]:
    return [link for link in links if link.head.source.last_offset >= offset]


class _Walk:
    """One device's chain from seal to seal."""

    def __init__(
        self,
        partition: int,
        device: str,
        sealed: Sequence[Sealed],
        links: Sequence[_Link],
        commands: Sequence[tuple[int, str]],
    ) -> None:
        self._partition, self._device, self._sealed, self._links = partition, device, sealed, links
        self._commands = commands
        self._by_chain: dict[str, list[_Link]] = {}
        self._by_hash = {link.hash: link for link in links}
        for link in links:
            self._by_chain.setdefault(link.chain, []).append(link)
        self._seen: dict[str, _Link] = {}
        self._faults: list[Fault] = []

    def faults(self, *, goes_by_first: bool) -> list[Fault]:
        """Go through all seals, then through what lies behind the last; the first may be where the way begins."""
        head, links, last = "", 0, -1
        before: int | None = None
        in_order: list[_Link] = []
        if goes_by_first:
            seal = self._sealed[0].seal
            last, before = seal.offset, seal.n
            if (known := seal.heads.get(self._device)) is not None and not known.ended:
                head, links = known.hash, known.links
        for each in self._sealed[1:] if goes_by_first else self._sealed:
            known = each.seal.heads.get(self._device)
            between = (before, each.seal.n)
            if known is not None:
                in_order += self._segment(head, links, known, between, last, each.seal.offset)
                head, links = ("", 0) if known.ended else (known.hash, known.links)
            else:
                self._strangers(between, last, each.seal.offset, 0)
            last, before = each.seal.offset, each.seal.n
        in_order += self._tail(head, last, before)
        self._order(in_order)
        return self._faults

    def _segment(
        self, head: str, links: int, known: SealedHead, between: tuple[int | None, int], first: int, end: int
    ) -> list[_Link]:
        """Follow the chain between two seals; where it breaks, follow it from its sealed end as well."""
        wanted, commands = known.links - links, known.commands
        if between[1] != (-1 if between[0] is None else between[0]) + 1:  # those that a lost seal named are in the log
            commands = [command for command in self._commands if first <= command[0] < end]
        forward = self._follow(head, known.hash, wanted, commands)
        done = len(forward) == wanted and _end(forward, head) == known.hash
        backward = () if done else self._back(known.hash, wanted - len(forward), commands, forward, head)
        if not done and len(forward) + len(backward) == wanted:
            forward = forward[:-1]  # nothing follows the last of them as it is now
        alerts = [link for link in (*forward, *backward) if isinstance(link, _Link)]
        self._seen |= {link.hash: link for link in alerts}
        lacking = max(0, wanted - len(forward) - len(backward))
        strange = self._strangers(between, first, end, lacking)
        if not done and (strange < lacking or not lacking):
            after = next((link for link in reversed(forward) if isinstance(link, _Link)), None)
            behind = f"behind alert {after.head.id} (offset {after.place})" if after else "from the seal before on"
            why = f"{max(1, lacking - strange)} links lack, {behind}"
            self._fault("removed", None, between, why)
        return alerts

    def _follow(self, head: str, target: str, wanted: int, commands: Sequence[tuple[int, str]]) -> _Path:
        """Return the links from a head to the sealed one, else the longest way from it."""
        longest: _Path = ()
        ways: list[tuple[str, int, _Path]] = [(head, 0, ())]
        while ways:
            at, used, path = ways.pop()
            if len(path) > len(longest) and isinstance(path[-1], _Link):
                longest = path
            if len(path) == wanted:
                if at == target:
                    return path
                continue
            if used < len(commands):
                ways.append((chain_command_of(at, commands[used][1]), used + 1, (*path, commands[used])))
            ways += [(link.hash, used, (*path, link)) for link in self._by_chain.get(at, []) if link not in path]
        return longest

    def _back(self, target: str, wanted: int, commands: Sequence[tuple[int, str]], forward: _Path, head: str) -> _Path:
        """Return the links that lead to the sealed head, as far back as they can be told."""
        heads = {link.hash for link in self._links} | {_end(forward[:n], head) for n in range(len(forward) + 1)}
        left = [command for command in commands if command not in forward]
        at, path = target, ()
        while len(path) < wanted:
            link = self._by_hash.get(at)
            if link is not None and link not in forward:
                at, path = link.chain, (link, *path)
                continue
            if not left:
                break
            command = left.pop()
            under = next((each for each in heads if chain_command_of(each, command[1]) == at), None)
            path = (command, *path)
            if under is None:
                break
            at = under
        return path

    def _strangers(self, between: tuple[int | None, int], first: int, end: int, lacking: int) -> int:
        """Report the alerts between two seals that no way led to, and return how many took a lacking link's place."""
        strange = [
            link for link in self._links if link.hash not in self._seen and first <= link.head.source.last_offset < end
        ]
        altered = 0
        for link in strange:
            twin = next((each for each in self._seen.values() if each.chain == link.chain), None)
            if twin is not None and (link.chain or twin.order > (first, 0)):
                self._fault(
                    "forked", link, between, f"alert {twin.head.id} (offset {twin.place}) has the same before it"
                )
            elif altered < lacking:
                altered += 1
                self._fault("altered", link, between, "its bytes are not those that the chain names")
            else:
                self._fault("inserted", link, between, "the chain does not lead to it")
            self._seen[link.hash] = link
        return altered

    def _tail(self, head: str, first: int, before: int | None) -> list[_Link]:
        """Follow the chain behind the last seal, where nobody says how it ends."""
        later = [command for command in self._commands if command[0] >= first]
        path = self._follow(head, "", len(self._links) + len(later), later)
        alerts = [link for link in path if isinstance(link, _Link)]
        self._seen |= {link.hash: link for link in alerts}
        for link in self._links:
            if link.hash not in self._seen:
                twin = next((each for each in alerts if each.chain == link.chain), None)
                between = (before, None) if link.head.source.last_offset >= first else (None, before)
                self._fault("inserted" if twin is None else "forked", link, between, "the chain does not lead to it")
        return alerts

    def _order(self, links: Sequence[_Link]) -> None:
        """Report alerts that do not lie in their topic as they follow each other."""
        for at in sorted(moved_of([link.place for link in links])):
            near = [str(link.place) for link in (*links[max(0, at - 1) : at], *links[at + 1 : at + 2])]
            self._fault("reordered", links[at], (None, None), f"its place is by the alerts at {' and '.join(near)}")

    def _fault(self, kind: Kind, link: _Link | None, between: tuple[int | None, int | None], why: str) -> None:
        place, alert = (None, None) if link is None else (link.place, link.head.id)
        self._faults.append(Fault(kind, "alert", self._partition, self._device, place, alert, between, why))


def _end(path: _Path, head: str) -> str:
    """Return the head that a way leads to."""
    for link in path:
        head = link.hash if isinstance(link, _Link) else chain_command_of(head, link[1])
    return head


def _commands(partition: int, sealed: Sequence[Sealed], commands: Iterable[Entry], kept: int) -> list[Fault]:
    """Compare the commands in the log with those that the seals name."""
    has: dict[tuple[bytes, int], set[str]] = {}
    for entry in commands:
        if entry.partition == partition:
            sha256 = hashlib.sha256(entry.value or b"").hexdigest()
            has.setdefault((entry.key or b"", entry.offset), set()).add(sha256)
    found: list[Fault] = []
    named: set[tuple[bytes, int]] = set()
    before: int | None = None
    for each in sealed:
        for device, head in each.seal.heads.items():
            for offset, sha256 in head.commands:
                named.add((device.encode(), offset))
                logged = has.get((device.encode(), offset), set())
                where = partition, device, offset, None, (before, each.seal.n)
                if not logged and offset >= kept:
                    found.append(Fault("removed", "command", *where, "a seal names it"))
                elif logged - {sha256}:
                    found.append(Fault("altered", "command", *where, "its bytes are not those that a seal names"))
        before = each.seal.n
    for key, offset in sorted(has.keys() - named):
        before, behind = _around(sealed, offset)
        if behind is not None and behind == (-1 if before is None else before) + 1:  # no seal lacks between
            where = partition, key.decode(errors="replace"), offset, None, (before, behind)
            found.append(Fault("inserted", "command", *where, "no seal names it"))
    return found


def _around(sealed: Sequence[Sealed], offset: int) -> tuple[int | None, int | None]:
    """Return the numbers of the seals before and behind an offset of the input."""
    before = [each.seal.n for each in sealed if each.seal.offset <= offset]
    behind = [each.seal.n for each in sealed if each.seal.offset > offset]
    return before[-1] if before else None, behind[0] if behind else None
