"""Enough of Lua 5.1 to run a script of Redis in memory, in this process: the script is turned into a Python function.

There are no coroutines, metatables, `goto`, generic `for` or assignments to what an enclosing function holds, and of
the library only what a script of this size needs; whatever else turns up is a `SyntaxError`. That scripts do here what
they do in a real Redis is tested in `tests/system/test_keyspace.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from tests.faults.lua_values import RUNTIME, Values

_TOKEN = re.compile(
    r"(?P<space>\s+|--[^\n]*)|(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<string>'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\")|(?P<sign>\.\.\.|\.\.|==|~=|<=|>=|[-+*/%#<>=(){}\[\],;.:])"
)
_KEYWORD = re.compile(
    "and|break|do|else|elseif|end|false|for|function|if|in|local|nil|not|or|repeat|return|then|true|until|while"
)
_BINARY = ({"or"}, {"and"}, {"<", ">", "<=", ">=", "==", "~="}, {".."}, {"+", "-"}, {"*", "/", "%"})


class _Token(NamedTuple):
    kind: str
    text: str


def compile_script(source: str) -> Callable[..., Values]:
    """Return the script as a function of its globals, given by name; raises SyntaxError for what is not known here."""
    written = "\n".join(_Writer(source).script())
    made: dict[str, Any] = dict(RUNTIME)
    exec(compile(written, "<script>", "exec"), made)
    return made["script"]


def _tokens(source: str) -> Iterator[_Token]:
    at = 0
    while at < len(source):
        found = _TOKEN.match(source, at)
        if found is None:
            raise SyntaxError(f"unknown in a script: {source[at : at + 20]!r}")
        at = found.end()
        if (kind := str(found.lastgroup)) != "space":
            word = kind == "name" and _KEYWORD.fullmatch(found[0])
            yield _Token("keyword" if word else kind, found[0])


class _Writer:
    """Reads Lua and writes Python; an expression is written as Python text, a statement as indented lines."""

    def __init__(self, source: str) -> None:
        self._tokens = [*_tokens(source), _Token("end", "")]
        self._at = 0
        self._scopes: list[dict[str, str]] = [{}]
        self._count = 0

    def script(self) -> list[str]:
        body = self._block(1, ())
        if self._next.kind != "end":
            raise SyntaxError(f"{self._next.text!r} ends nothing")
        return ["def script(**globals_):", *body, "    return ()"]

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, text: str | None = None) -> str:
        token = self._next
        if text is not None and token.text != text:
            raise SyntaxError(f"expected {text!r}, got {token.text!r}")
        self._at += 1
        return token.text

    def _has(self, *texts: str) -> bool:
        return self._next.kind in ("keyword", "sign") and self._next.text in texts

    def _skips(self, text: str) -> bool:
        if self._has(text):
            self._at += 1
            return True
        return False

    def _local(self, name: str) -> str:
        self._count += 1
        made = self._scopes[-1][name] = f"{name}_{self._count}"
        return made

    def _block(self, depth: int, ends: tuple[str, ...], scope: bool = True) -> list[str]:
        """Write statements up to one of the words that end it, which is left."""
        if scope:
            self._scopes.append({})
        lines = ["    " * depth + "pass"]
        while self._next.kind != "end" and not self._has(*ends):
            lines += self._statement(depth)
        if scope:
            self._scopes.pop()
        return lines

    def _statement(self, depth: int) -> list[str]:
        pad = "    " * depth
        if self._skips(";"):
            return []
        if self._skips("local"):
            return self._function(depth) if self._has("function") else self._declare(pad)
        if self._skips("if"):
            return self._if(depth)
        if self._skips("while"):
            head = f"{pad}while true_({self._one()}):"
            self._take("do")
            return [head, *self._closed(depth)]
        if self._skips("for"):
            return self._for(depth)
        if self._skips("do"):
            return [f"{pad}if True:", *self._closed(depth)]
        if self._skips("break"):
            return [f"{pad}break"]
        if self._skips("return"):
            ends = self._next.kind == "end" or self._has("end", "else", "elseif", ";")
            return [f"{pad}return ({'' if ends else self._list()})"]
        return self._assign(pad)

    def _closed(self, depth: int) -> list[str]:
        lines = self._block(depth + 1, ("end",))
        self._take("end")
        return lines

    def _declare(self, pad: str) -> list[str]:
        names = [self._take()]
        while self._skips(","):
            names.append(self._take())
        values = self._list() if self._skips("=") else ""
        made = ", ".join(self._local(name) for name in names)
        return [f"{pad}{made}, = fit_({len(names)}, ({values}))"]

    def _function(self, depth: int) -> list[str]:
        self._take("function")
        name = self._local(self._take())
        self._scopes.append({})
        self._take("(")
        parameters = []
        while not self._has(")"):
            parameters.append(self._local(self._take()))
            self._skips(",")
        self._take(")")
        body = self._block(depth + 1, ("end",), scope=False)
        self._take("end")
        self._scopes.pop()
        pad = "    " * depth
        given = "".join(f"{parameter}=None, " for parameter in parameters)
        return [f"{pad}def {name}({given}*_):", *body, f"{pad}    return ()"]

    def _if(self, depth: int) -> list[str]:
        pad = "    " * depth
        lines = [f"{pad}if true_({self._one()}):"]
        self._take("then")
        while True:
            lines += self._block(depth + 1, ("elseif", "else", "end"))
            if self._skips("elseif"):
                lines.append(f"{pad}elif true_({self._one()}):")
                self._take("then")
            elif self._skips("else"):
                return [*lines, f"{pad}else:", *self._closed(depth)]
            else:
                self._take("end")
                return lines

    def _for(self, depth: int) -> list[str]:
        name = self._take()
        self._take("=")
        bounds = [self._one()]
        while self._skips(","):
            bounds.append(self._one())
        self._take("do")
        self._scopes.append({})
        made = self._local(name)
        body = self._block(depth + 1, ("end",), scope=False)
        self._scopes.pop()
        self._take("end")
        return [f"{'    ' * depth}for {made} in steps_({', '.join(bounds)}):", *body]

    def _assign(self, pad: str) -> list[str]:
        targets = [self._suffixed()]
        if not self._has("=", ","):
            return [f"{pad}{targets[0]}"]
        while self._skips(","):
            targets.append(self._suffixed())
        self._take("=")
        lines = [f"{pad}values_ = fit_({len(targets)}, ({self._list()}))"]
        for nth, target in enumerate(targets):
            if indexed := re.fullmatch(r"get_\((.*)\)", target, re.DOTALL):
                lines.append(f"{pad}set_({indexed[1]}, values_[{nth}])")
            elif target.startswith("globals_"):
                raise SyntaxError(f"a script must not set a global: {target}")
            else:
                lines.append(f"{pad}{target} = values_[{nth}]")
        return lines

    def _list(self) -> str:
        """Write expressions as the inside of a tuple; a call at its end gives all its values."""
        items = [self._expression()]
        while self._skips(","):
            items.append(self._expression())
        return ", ".join(_last_open(items)) + ","

    def _one(self) -> str:
        """Write an expression that has one value."""
        return _single(self._expression())

    def _expression(self, level: int = 0) -> str:
        """Write an expression; one that is a call, and nothing else, still has all its values."""
        if level == len(_BINARY):
            return self._unary()
        left = self._expression(level + 1)
        while self._has(*_BINARY[level]):
            sign = self._take()
            right = _single(self._expression(level + (sign != "..")))  # concatenation goes from the right
            left = f"{_WRITTEN[sign]}({_single(left)}, {'lambda: ' if sign in ('and', 'or') else ''}{right})"
        return left

    def _unary(self) -> str:
        for sign, name in (("not", "not_"), ("#", "len"), ("-", "minus_")):
            if self._skips(sign):
                return f"{name}({_single(self._unary())})"
        return self._simple()

    def _simple(self) -> str:
        kind, text = self._next
        if kind == "number":
            return self._take()
        if kind == "string":
            return repr(_unquoted(self._take()))
        if kind == "keyword" and text in _CONSTANTS:
            return _CONSTANTS[self._take()]
        return self._table() if self._skips("{") else self._suffixed()

    def _table(self) -> str:
        items, named = [], []
        while not self._skips("}"):
            if self._next.kind == "name" and self._tokens[self._at + 1].text == "=":
                name = self._take()
                self._take("=")
                named.append(f"({name.encode()!r}, {self._one()})")
            else:
                items.append(self._expression())
            if not self._has("}"):
                self._take(",")
        return f"table_([{', '.join(_last_open(items))}], [{', '.join(named)}])"

    def _suffixed(self) -> str:
        """Write a name or an expression in brackets, with the indices and calls that follow it."""
        if self._skips("("):
            found = self._one()
            self._take(")")
        else:
            if self._next.kind != "name":
                raise SyntaxError(f"unexpected {self._next.text!r}")
            name = self._take()
            found = next((scope[name] for scope in reversed(self._scopes) if name in scope), f"globals_[{name!r}]")
        while True:
            plain = _single(found)
            if self._skips("."):
                found = f"get_({plain}, {self._take().encode()!r})"
            elif self._skips("["):
                found = f"get_({plain}, {self._one()})"
                self._take("]")
            elif self._skips("("):
                arguments = "" if self._has(")") else self._list()
                self._take(")")
                found = f"call_({plain}, ({arguments}))"
            else:
                return found


_WRITTEN = {
    "and": "and_", "or": "or_", "..": "joined_", "==": "equal_", "~=": "differs_", "<": "less_", "<=": "most_",
    ">": "more_", ">=": "least_", "+": "plus_", "-": "less_by_", "*": "times_", "/": "over_", "%": "modulo_",
}  # fmt: skip


_CONSTANTS = {"nil": "None", "true": "True", "false": "False"}


def _single(written: str) -> str:
    return f"first_({written})" if written.startswith("call_(") else written


def _last_open(items: Sequence[str]) -> list[str]:
    return [*map(_single, items[:-1]), *(f"*{item}" if item.startswith("call_(") else item for item in items[-1:])]


def _unquoted(text: str) -> bytes:
    escapes = {"n": "\n", "t": "\t", "r": "\r", "0": "\0"}
    return re.sub(r"\\(.)", lambda found: escapes.get(found[1], found[1]), text[1:-1]).encode("latin-1")
