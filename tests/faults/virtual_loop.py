"""An event loop whose time is virtual: it never waits, runs everything in one thread, and is the same each time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from typing import Any


class DeadlockError(Exception):
    """Everything waits, and nothing ever will happen."""


class _NoSockets(selectors.SelectSelector):
    """Waits for nothing: time jumps to the next thing that is due."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise DeadlockError("every task waits for another")
        self.now_s += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs coroutines against virtual seconds.

    Examples
    --------
    >>> loop = VirtualLoop()
    >>> loop.run_until_complete(asyncio.sleep(3600, "an hour later")), loop.time()
    ('an hour later', 3600.0)
    >>> loop.close()
    """

    def __init__(self) -> None:
        self._clock = _NoSockets()
        super().__init__(self._clock)

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._clock.now_s

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Call at once, in this thread."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done
