"""Redis in memory, as far as Vigil writes to it; `stream/store.lua` runs in it as it is.

That it does what a real Redis does is tested in `tests/system/test_keyspace.py`.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from tests.faults.lua import compile_script
from tests.faults.lua_library import ScriptError, from_lua, library
from tests.faults.lua_values import Table


class Keyspace:
    """The keys of one Redis: strings, hashes, sets, and streams as lists of (id, fields)."""

    def __init__(self) -> None:
        self.keys: dict[bytes, Any] = {}

    def copy(self) -> Keyspace:
        """Return what a snapshot of the server would hold."""
        kept = Keyspace()
        kept.keys = copy.deepcopy(self.keys)
        return kept

    def run(self, command: str, *arguments: Any) -> Any:
        """Carry out one command."""
        return getattr(self, {"del": "delete"}.get(command, command))(*(_bytes(argument) for argument in arguments))

    def ping(self) -> bool:
        return True

    def get(self, key: bytes) -> bytes | None:
        return self.keys.get(key)

    def set(self, key: bytes, value: bytes) -> bool:
        self.keys[key] = value
        return True

    def delete(self, *names: bytes) -> int:
        return sum(self.keys.pop(name, None) is not None for name in names)

    def smembers(self, key: bytes) -> list[bytes]:
        return sorted(self.keys.get(key, ()))  # in the same order each time, which a set is not

    def sadd(self, key: bytes, *members: bytes) -> int:
        held = self.keys.setdefault(key, set())
        new = set(members) - held
        held |= new
        return len(new)

    def srem(self, key: bytes, *members: bytes) -> int:
        gone = self.keys.get(key, set()) & set(members)
        self._keep(key, self.keys.get(key, set()) - gone)
        return len(gone)

    def hget(self, key: bytes, field: bytes) -> bytes | None:
        return self.keys.get(key, {}).get(field)

    def hkeys(self, key: bytes) -> list[bytes]:
        return list(self.keys.get(key, {}))

    def hgetall(self, key: bytes) -> dict[bytes, bytes]:
        return dict(self.keys.get(key, {}))

    def hset(self, key: bytes, *pairs: bytes) -> int:
        held = self.keys.setdefault(key, {})
        before = len(held)
        held.update(zip(pairs[::2], pairs[1::2], strict=True))
        return len(held) - before

    def hdel(self, key: bytes, *fields: bytes) -> int:
        held = self.keys.get(key, {})
        gone = sum(held.pop(field, None) is not None for field in fields)
        self._keep(key, held)
        return gone

    def xadd(self, key: bytes, name: bytes, *pairs: bytes) -> bytes:
        """Add an entry; MAXLEN is taken for as large as it likes."""
        if name.upper() == b"MAXLEN":
            name, pairs = pairs[2], pairs[3:]
        held = self.keys.setdefault(key, [])
        if held and _place(name) <= _place(held[-1][0]):
            raise ScriptError("ERR The ID specified in XADD is equal or smaller than the target stream top item")
        held.append((name, dict(zip(pairs[::2], pairs[1::2], strict=True))))
        return name

    def xrange(self, key: bytes, low: bytes = b"-", high: bytes = b"+") -> list[tuple[bytes, dict[bytes, bytes]]]:
        first = (-1, -1) if low == b"-" else _place(low)
        last = (2**63, 0) if high == b"+" else _place(high)
        return [(name, fields) for name, fields in self.keys.get(key, []) if first <= _place(name) <= last]

    def xlen(self, key: bytes) -> int:
        return len(self.keys.get(key, []))

    def _keep(self, key: bytes, held: Any) -> None:
        if held:
            self.keys[key] = held
        else:
            self.keys.pop(key, None)

    def eval(self, source: bytes, count: bytes, *given: bytes) -> Any:
        return self.script(source.decode(), given[: int(count)], given[int(count) :])

    def script(self, source: str, keys: Sequence[bytes], arguments: Sequence[bytes]) -> Any:
        """Run a script, as EVAL does; raises ScriptError where it fails, with what it had done until then done."""
        known = {"KEYS": Table(keys), "ARGV": Table(arguments)}
        values = _compiled(source)(**known, **library(self.run))
        return from_lua(values[0] if values else None)


_compiled = functools.cache(compile_script)


def _place(name: bytes) -> tuple[int, int]:
    first, _, second = name.partition(b"-")
    return int(first), int(second)


def _bytes(argument: Any) -> Any:
    if isinstance(argument, bytes | Mapping | list | tuple):
        return argument
    return str(argument).encode()
