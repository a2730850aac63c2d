"""Which beds are watched, as far as a consumer can tell: a bed whose ward's time stands still, or is behind, is not.

Each second the vitals of a bed bring the newest tick that came to it through the log. Whatever stops on that way, the
ticker, the brokers, the worker of its partition, the publisher or Redis, stops the tick of exactly the beds behind it,
and a consumer sees it by its own clock, whoever else is alive. A worker that cannot keep up shows what was, not what
is: its beds come to a tick that others came to long before. A device that fell silent, or a bed in standby, still
brings its ticks, and is watched.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

SUSPENDED_S = 3.0
"""A bed whose tick has not moved for longer than this is not watched.

Vitals with the last tick may come a second after it, and a consumer looks twice a second: within 5 s it is seen. Ticks
of a bed that is watched are at most 2 s apart, where its device just fell silent.
"""
BEHIND_S = 10.0
"""Nor is a bed whose tick another bed came to longer ago than this."""
REMEMBERED = 600
"""Ticks of which it is known when the first bed came to them."""

BedName = TypeVar("BedName", bound=Hashable)


class Watchdog(Generic[BedName]):
    """Notes when each bed's tick last moved, and when the first bed came to it, by the consumer's own clock.

    Examples
    --------
    >>> watchdog = Watchdog()
    >>> watchdog.feed("1", 100, 0.0), watchdog.feed("2", 100, 0.0), watchdog.feed("1", 101, 1.0)
    (None, None, None)
    >>> watchdog.suspended(3.5)
    {'2': 3.5}
    """

    def __init__(self) -> None:
        self._moved: dict[BedName, tuple[int, float]] = {}
        self._marks: list[int] = []
        self._first_s: list[float] = []

    def feed(self, bed: BedName, mark: int, arrival_s: float) -> None:
        """Take what was read of a bed: the newest tick that came to it, and when that was read.

        The first sight of a bed counts as a move, so that a consumer that starts waits as long as any other.
        """
        last = self._moved.get(bed)
        if last is not None and last[0] == mark:
            return
        self._moved[bed] = (mark, arrival_s)
        if last is not None and (not self._marks or mark > self._marks[-1]):  # what was there before us proves nothing
            self._marks.append(mark)
            self._first_s.append(arrival_s)
            del self._marks[:-REMEMBERED], self._first_s[:-REMEMBERED]

    def keep(self, beds: Iterable[BedName]) -> None:
        """Forget all beds but these: the others have left, and nobody is to miss them."""
        kept = set(beds)
        self._moved = {bed: moved for bed, moved in self._moved.items() if bed in kept}

    def still_s(self, bed: BedName, now_s: float) -> float:
        """Return for how long a bed has not been watched, in seconds; 0 while it is, or is not known."""
        if bed not in self._moved:
            return 0.0
        mark, at_s = self._moved[bed]
        nth = bisect_left(self._marks, mark)
        behind_s = now_s - self._first_s[nth] if nth < len(self._marks) else 0.0
        if behind_s > BEHIND_S:
            return behind_s
        return now_s - at_s if now_s - at_s > SUSPENDED_S else 0.0

    def suspended(self, now_s: float) -> dict[BedName, float]:
        """Return the beds that are not watched, each with the seconds for which it has not been."""
        return {bed: still_s for bed in self._moved if (still_s := self.still_s(bed, now_s))}
