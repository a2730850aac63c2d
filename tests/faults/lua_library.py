"""What a script of Redis may call: strings with Lua's patterns, numbers, and Redis itself."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.faults.lua_values import Table, text_of

_CLASSES = {"a": "A-Za-z", "d": "0-9", "l": "a-z", "s": r"\s", "u": "A-Z", "w": "A-Za-z0-9", "x": "0-9A-Fa-f"}


class ScriptError(Exception):
    """What Redis answers as an error, within a script or of one."""


@functools.cache
def pattern(lua: bytes) -> re.Pattern[bytes]:
    """Return a pattern of Lua as a regular expression; raises SyntaxError for what is not known here."""
    text, out, at = lua.decode("latin-1"), "", 0
    while at < len(text):
        mark = text[at]
        at += 1
        if mark == "%":
            out += _class(text[at])
            at += 1
        elif mark == "[":
            end = text.index("]", at + 1)
            out += "[" + re.sub(r"%(.)", lambda found: _class(found[1], inside=True), text[at:end]) + "]"
            at = end + 1
        elif mark == "-":
            out += "*?"
        elif mark == "$" and at < len(text):
            out += r"\$"
        elif mark in "^$.()*+?":
            out += r"\Z" if mark == "$" else mark
        else:
            out += re.escape(mark)
    return re.compile(out.encode("latin-1"), re.DOTALL)


def _class(letter: str, *, inside: bool = False) -> str:
    if letter.lower() in _CLASSES:
        held = _CLASSES[letter.lower()]
        if letter.isupper() and inside:
            raise SyntaxError(f"%{letter} within a set")
        return held if inside else f"[{'^' if letter.isupper() else ''}{held}]"
    if letter.isalnum():
        raise SyntaxError(f"%{letter} in a pattern")
    return re.escape(letter)


def _match(text: Any, lua: bytes, first: int = 1) -> Any:
    found = pattern(lua).search(text_of(text), int(first) - 1)
    if found is None:
        return None
    return found.groups() if found.re.groups else found[0]


def _find(text: bytes, sought: bytes, first: int = 1, plain: bool = False) -> Any:
    if plain:
        at = text.find(sought, int(first) - 1)
        return None if at < 0 else (at + 1, at + len(sought))
    found = pattern(sought).search(text, int(first) - 1)
    return None if found is None else (found.start() + 1, found.end(), *found.groups())


def _sub(text: Any, first: Any, last: Any = -1) -> bytes:
    of = text_of(text)
    start = max(1, int(first) if first >= 0 else len(of) + int(first) + 1)
    end = min(len(of), int(last) if last >= 0 else len(of) + int(last) + 1)
    return of[start - 1 : end]


def _tonumber(value: Any = None, *_: Any) -> Any:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    if isinstance(value, bytes) and re.fullmatch(rb"\s*-?\d+\s*", value):
        return int(value)
    try:
        return float(value) if isinstance(value, bytes) else None
    except ValueError:
        return None


def _type(value: Any) -> bytes:
    if value is None:
        return b"nil"
    kinds = ((bool, b"boolean"), (int | float, b"number"), (bytes, b"string"), (Table, b"table"))
    return next((name for kind, name in kinds if isinstance(value, kind)), b"function")


def _insert(table: Table, *given: Any) -> None:
    if len(given) != 1:
        raise SyntaxError("table.insert at a place")
    table.set(len(table) + 1, given[0])


def library(run: Callable[..., Any]) -> dict[str, Any]:
    """Return the globals of a script that calls Redis by `run(command, *arguments)`, which may raise ScriptError."""

    def call(command: bytes, *arguments: Any) -> Any:
        return to_lua(run(command.decode().lower(), *map(text_of, arguments)))

    def pcall(command: bytes, *arguments: Any) -> Any:
        try:
            return call(command, *arguments)
        except ScriptError as error:
            failed = Table()
            failed.set(b"err", str(error).encode())
            return failed

    return {
        "redis": {
            "call": call,
            "pcall": pcall,
            "sha1hex": lambda text: hashlib.sha1(text_of(text)).hexdigest().encode(),
        },
        "string": {"match": _match, "find": _find, "sub": _sub, "len": len},
        "table": {
            "insert": _insert,
            "concat": lambda table, between=b"": between.join(map(text_of, table.items())),
        },
        "math": {"floor": lambda number: int(number // 1), "max": max, "min": min},
        "tonumber": _tonumber,
        "tostring": text_of,
        "type": _type,
    }


def to_lua(answer: Any) -> Any:
    """Return an answer of Redis as a script sees it."""
    if answer is None:
        return False
    if isinstance(answer, bool):
        return answer
    if isinstance(answer, Mapping):
        return Table([to_lua(item) for pair in answer.items() for item in pair])
    if isinstance(answer, Sequence) and not isinstance(answer, bytes):
        return Table([to_lua(item) for item in answer])
    return answer


def from_lua(value: Any) -> Any:
    """Return what a script gives as Redis answers it; raises ScriptError where the script gives an error."""
    if isinstance(value, Table):
        if (error := value.get(b"err")) is not None:
            raise ScriptError(error.decode())
        ok = value.get(b"ok")
        return ok if ok is not None else [from_lua(item) for item in value.items()]
    if value is None or value is False:
        return None
    if value is True:
        return 1
    return int(value) if isinstance(value, int | float) else value
