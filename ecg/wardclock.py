"""The ward's time, as the ticks in the log tell it: never from a clock of one's own."""

from __future__ import annotations

import msgspec

from ecg.frame import Tick

JUMP_NS = 5_000_000_000
"""A tick further ahead than this waits until another ticker agrees to within as much."""
ALONE = 3
"""So many ticks in a row of one ticker count for themselves where no other ticker was heard between them."""


class WardClock(msgspec.Struct):
    """Time is the largest tick so far, but for a ticker that runs away from the others.

    Attributes
    ----------
    now_ns : int
        The ward's time, 0 before the first tick; it never goes back.
    waiting : dict of str to (int, int)
        By ticker, the time of its last tick that was too far ahead, and how many of them came in a row.

    Examples
    --------
    >>> clock = WardClock()
    >>> clock.take(Tick("a", 0, 10**9)), clock.take(Tick("a", 1, 60 * 10**9)), clock.take(Tick("b", 0, 2 * 10**9))
    (1000000000, 1000000000, 2000000000)
    """

    now_ns: int = 0
    waiting: dict[str, tuple[int, int]] = {}

    def take(self, tick: Tick) -> int:
        """Take a tick and return the ward's time after it."""
        if not self.now_ns or tick.time_ns <= self.now_ns + JUMP_NS:
            self.now_ns, self.waiting = max(self.now_ns, tick.time_ns), {}
            return self.now_ns
        others = [time_ns for name, (time_ns, _) in self.waiting.items() if name != tick.ticker]
        agreed = any(abs(time_ns - tick.time_ns) <= JUMP_NS for time_ns in others)
        in_a_row = self.waiting.get(tick.ticker, (0, 0))[1] + 1
        if agreed or (in_a_row >= ALONE and not others):
            self.now_ns, self.waiting = tick.time_ns, {}
        else:
            self.waiting = {**self.waiting, tick.ticker: (tick.time_ns, in_a_row)}
        return self.now_ns
