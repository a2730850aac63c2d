"""The values of Lua, and the operations on them: what a script that was turned into Python calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

Values = tuple[Any, ...]


class Table:
    """A table; its first n numbered entries are its list."""

    def __init__(self, items: Sequence[Any] = ()) -> None:
        self.held: dict[Any, Any] = {at: item for at, item in enumerate(items, 1) if item is not None}

    def __len__(self) -> int:
        n = len(self.held)
        while n and n not in self.held:
            n -= 1
        return n

    def get(self, key: Any) -> Any:
        return self.held.get(_key(key))

    def set(self, key: Any, value: Any) -> None:
        if value is None:
            self.held.pop(_key(key), None)
        else:
            self.held[_key(key)] = value

    def items(self) -> list[Any]:
        """Return the list."""
        return [self.held[at] for at in range(1, len(self) + 1)]


def _key(key: Any) -> Any:
    return int(key) if isinstance(key, float) and key.is_integer() else key


def _get(of: Any, key: Any) -> Any:
    return of[key.decode()] if isinstance(of, dict) else of.get(key)


def _set(of: Table, key: Any, value: Any) -> None:
    of.set(key, value)


def _call(function: Callable[..., Any], arguments: Values) -> Values:
    given = function(*arguments)
    return given if isinstance(given, tuple) else (given,)


def _fit(count: int, values: Values) -> Values:
    return (*values, *[None] * count)[:count]


def _true(value: Any) -> bool:
    return value is not None and value is not False


def _equal(left: Any, right: Any) -> bool:
    return left == right and isinstance(left, bool) is isinstance(right, bool)


def text_of(value: Any) -> bytes:
    """Return a string or a number as Lua writes it."""
    if isinstance(value, bytes):
        return value
    return (b"%d" % int(value)) if float(value).is_integer() else b"%.14g" % value


def _steps(first: Any, last: Any, step: Any = 1) -> Iterator[Any]:
    while first <= last if step > 0 else first >= last:
        yield first
        first += step


def _table(items: Sequence[Any], named: Sequence[tuple[bytes, Any]]) -> Table:
    made = Table(items)
    for name, value in named:
        made.set(name, value)
    return made


RUNTIME: dict[str, Any] = {
    "get_": _get,
    "set_": _set,
    "call_": _call,
    "fit_": _fit,
    "true_": _true,
    "steps_": _steps,
    "table_": _table,
    "first_": lambda values: values[0] if values else None,
    "and_": lambda left, right: right() if _true(left) else left,
    "or_": lambda left, right: left if _true(left) else right(),
    "not_": lambda value: not _true(value),
    "minus_": lambda value: -value,
    "joined_": lambda left, right: text_of(left) + text_of(right),
    "equal_": _equal,
    "differs_": lambda left, right: not _equal(left, right),
    "less_": lambda left, right: left < right,
    "most_": lambda left, right: left <= right,
    "more_": lambda left, right: left > right,
    "least_": lambda left, right: left >= right,
    "plus_": lambda left, right: left + right,
    "less_by_": lambda left, right: left - right,
    "times_": lambda left, right: left * right,
    "over_": lambda left, right: left / right,
    "modulo_": lambda left, right: left % right,
}
