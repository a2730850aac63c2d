"""The virtual clock that simulated devices live by."""

from __future__ import annotations

import asyncio
import dataclasses
import time


@dataclasses.dataclass(frozen=True)
class Clock:
    """Time that runs `speed` times as fast as the wall's, from a start that several processes can share.

    Parameters
    ----------
    start_ns : int
        Virtual time at the start, UTC, nanoseconds since 1970.
    speed : float
        Virtual seconds in a real second, above 0.
    real_start_ns : int
        Wall time at the start.
    """

    start_ns: int
    speed: float = 1.0
    real_start_ns: int = dataclasses.field(default_factory=time.time_ns)

    def __post_init__(self) -> None:
        if not 0 < self.speed <= 10_000:
            raise ValueError(f"speed must be above 0 and at most 10000, got {self.speed!r}")

    def now_ns(self) -> int:
        """Return the virtual time, UTC, nanoseconds since 1970."""
        return self.start_ns + round((time.time_ns() - self.real_start_ns) * self.speed)

    def now_s(self) -> float:
        """Return virtual seconds since the start."""
        return (time.time_ns() - self.real_start_ns) * self.speed / 1e9

    async def until(self, due_s: float) -> None:
        """Sleep until `due_s` virtual seconds have passed since the start."""
        while (left_s := (due_s - self.now_s()) / self.speed) > 0:
            await asyncio.sleep(left_s)
