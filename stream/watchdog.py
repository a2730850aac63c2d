"""Which beds are watched, as far as a consumer can tell: a bed whose ward's time stands still is not.

Each second the vitals of a bed bring the newest tick that came to it through the log. Whatever stops on that way, the
ticker, the brokers, the worker of its partition, the publisher or Redis, stops the tick of exactly the beds behind it,
and a consumer sees it by its own clock, whoever else is alive. A device that fell silent, or a bed in standby, still
brings its ticks, and is watched.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

SUSPENDED_S = 3.0
"""A bed whose tick has not moved for longer than this is not watched.

Vitals with the last tick may come a second after it, and a consumer looks twice a second: within 5 s it is seen. Ticks
of a bed that is watched are at most 2 s apart, where its device just fell silent.
"""

BedName = TypeVar("BedName", bound=Hashable)


class Watchdog(Generic[BedName]):
    """Notes when each bed's tick last moved, by the consumer's own clock.

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

    def feed(self, bed: BedName, mark: int, arrival_s: float) -> None:
        """Take what was read of a bed: its newest tick, whatever its unit, and when it was read.

        The first sight of a bed counts as a move, so that a consumer that starts waits as long as any other.
        """
        last = self._moved.get(bed)
        if last is None or last[0] != mark:
            self._moved[bed] = (mark, arrival_s)

    def keep(self, beds: Iterable[BedName]) -> None:
        """Forget all beds but these: the others have left, and nobody is to miss them."""
        kept = set(beds)
        self._moved = {bed: moved for bed, moved in self._moved.items() if bed in kept}

    def still_s(self, bed: BedName, now_s: float) -> float:
        """Return for how long a bed has not been watched, in seconds; 0 while it is, or is not known."""
        _, at_s = self._moved.get(bed, (0, now_s))
        return now_s - at_s if now_s - at_s > SUSPENDED_S else 0.0

    def suspended(self, now_s: float) -> dict[BedName, float]:
        """Return the beds that are not watched, each with the seconds since its tick last moved."""
        return {bed: still_s for bed in self._moved if (still_s := self.still_s(bed, now_s))}
