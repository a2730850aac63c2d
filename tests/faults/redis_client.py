"""The part of redis-py's asyncio client that Vigil's store uses, over a `Keyspace`, with time-outs and losses."""

from __future__ import annotations

import hashlib
import random
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tests.faults.brokers import Host
from tests.faults.keyspace import Keyspace
from tests.faults.lua_library import ScriptError


class Server:
    """A Redis that can be down, slow, rolled back or lost: by a restart, which no script outlives, or by a command.

    Attributes
    ----------
    timeouts : int
        So many of the next calls time out, each carried out before, or not, or in part.
    down : bool
    """

    def __init__(self, draw: random.Random, make: type[Keyspace] = Keyspace) -> None:
        self._draw = draw
        self.held = make()
        self.saved = self.held.copy()
        self.scripts: dict[str, str] = {}
        self.down, self.timeouts = False, 0

    def save(self) -> None:
        """Write the append-only file, so to say: what a rollback comes back to."""
        self.saved = self.held.copy()

    def roll_back(self) -> None:
        """Hold again what was saved last."""
        self.held.keys = self.saved.copy().keys
        self._forget()

    def lose(self) -> None:
        """Hold nothing."""
        self.held.keys = {}
        self.saved = self.held.copy()
        self._forget()

    def _forget(self) -> None:
        if self._draw.random() < 0.5:
            self.scripts.clear()

    def call(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        """Carry out what came in one write, or a first part of it, and answer or not."""
        if self.down:
            raise RedisConnectionError("Connection refused")
        timed_out, self.timeouts = self.timeouts > 0, max(0, self.timeouts - 1)
        done = self._draw.randint(0, len(commands)) if timed_out else len(commands)
        answers = [self._one(*command) for command in commands[:done]]
        if timed_out:
            raise RedisTimeoutError("Timeout reading from socket")
        return answers

    def _one(self, command: str, *arguments: Any) -> Any:
        try:
            if command == "script_load":
                sha = hashlib.sha1(arguments[0].encode()).hexdigest()
                self.scripts[sha] = arguments[0]
                return sha
            if command == "evalsha":
                sha, count, *rest = arguments
                if sha not in self.scripts:
                    return NoScriptError("No matching script")
                given = [item if isinstance(item, bytes) else str(item).encode() for item in rest]
                return self.held.script(self.scripts[sha], given[:count], given[count:])
            return self.held.run(command, *arguments)
        except ScriptError as error:
            return ResponseError(str(error))


class Client:
    """Stands for `redis.asyncio.Redis`."""

    def __init__(self, host: Host, server: Server) -> None:
        self._host, self._server = host, server

    def pipeline(self, transaction: bool = True) -> Pipe:
        return Pipe(self)

    async def call(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        await self._host.io(0.002)
        answers = self._server.call(commands)
        self._host.about("wrote redis")
        await self._host.io(0.002)
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def hset(self, name: Any, key: Any = None, value: Any = None, mapping: Any = None) -> int:
        return (await self.call([_hset(name, key, value, mapping)]))[0]

    def __getattr__(self, command: str) -> Any:
        async def run(*arguments: Any) -> Any:
            return (await self.call([(command, *arguments)]))[0]

        return run


class Pipe:
    """Commands that are sent at once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._commands: list[tuple[Any, ...]] = []

    def hset(self, name: Any, key: Any = None, value: Any = None, mapping: Any = None) -> None:
        self._commands.append(_hset(name, key, value, mapping))

    async def execute(self) -> list[Any]:
        commands, self._commands = self._commands, []
        return await self._client.call(commands)

    def __getattr__(self, command: str) -> Any:
        return lambda *arguments: self._commands.append((command, *arguments))


def _hset(name: Any, key: Any, value: Any, mapping: Any) -> tuple[Any, ...]:
    pairs = [] if key is None else [key, value]
    return ("hset", name, *pairs, *(item for pair in (mapping or {}).items() for item in pair))
