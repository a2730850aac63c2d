"""Whether this process stood still: stopped or starved for longer than its group waits, it may have been replaced.

Alerts that it then gives are the same as its successor's, but a tombstone or a snapshot of before may not come late.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

STILL_S = 5.0
"""Less than the session of the group, after which others take over."""
BEAT_S = 0.5


class StoodStillError(RuntimeError):
    """The process stood still for so long that its partitions may be another's; what it holds is void."""


class Standstill:
    """Notices when the event loop, and with it the process, stood still.

    Parameters
    ----------
    clock : callable
        Seconds, monotonic; it goes on while the process is stopped.

    Examples
    --------
    >>> times = iter([0.0, 1.0, 9.0])
    >>> standstill = Standstill(clock=lambda: next(times))
    >>> standstill.note(); standstill.note()
    >>> standstill.longest_s
    8.0
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._at = clock()
        self._beating: asyncio.Task[None] | None = None
        self.longest_s = 0.0

    def note(self) -> None:
        """Take note that the process goes on."""
        now = self._clock()
        self.longest_s, self._at = max(self.longest_s, now - self._at), now

    def begin(self) -> None:
        """Check, and count from now on; the first call begins to watch, in the event loop that runs."""
        if self._beating is None:
            self._beating = asyncio.create_task(self._beat())
        else:
            self.check()
        self._at, self.longest_s = self._clock(), 0.0

    def check(self) -> None:
        """Raise StoodStillError where the process stood still since `begin`."""
        self.note()
        if self.longest_s > STILL_S:
            raise StoodStillError(f"stood still for {self.longest_s:.1f} s: another worker may have taken over")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            self.note()
