"""The ward's time, as the ticks in the log tell it: never from a clock of one's own."""

from __future__ import annotations

import msgspec

from ecg.frame import Tick

JUMP_NS = 5_000_000_000
"""A tick further ahead than this waits until another ticker agrees to within as much."""
ALONE = 3
"""So many ticks in a row of one ticker count for themselves, where no other ticker was heard for `SILENT_NS`."""
SILENT_NS = 5_000_000_000
"""Append time without a tick of another ticker, after which one is alone."""
MOST = 16
"""Tickers that are remembered, the last heard."""


class WardClock(msgspec.Struct):
    """Time is the largest tick so far, but for a ticker that runs away from the others.

    Attributes
    ----------
    now_ns : int
        The ward's time, 0 before the first tick; it never goes back.
    waiting : dict of str to (int, int)
        By ticker, the time of its last tick that was too far ahead, and how many of them came in a row.
    heard_ns : dict of str to int
        By ticker, the append time of its last tick.

    Examples
    --------
    >>> clock = WardClock()
    >>> clock.take(Tick("a", 0, 10**9)), clock.take(Tick("a", 1, 60 * 10**9)), clock.take(Tick("b", 0, 2 * 10**9))
    (1000000000, 1000000000, 2000000000)
    """

    now_ns: int = 0
    waiting: dict[str, tuple[int, int]] = {}
    heard_ns: dict[str, int] = {}

    def take(self, tick: Tick, append_ns: int = 0) -> int:
        """Take a tick that the log has got at `append_ns`, and return the ward's time after it."""
        self.heard_ns = self._hear(tick.ticker, append_ns)
        if not self.now_ns or tick.time_ns <= self.now_ns + JUMP_NS:
            others = {name: kept for name, kept in self.waiting.items() if name != tick.ticker}
            self.now_ns, self.waiting = max(self.now_ns, tick.time_ns), others
            return self.now_ns
        others = [
            name for name in self.heard_ns if name != tick.ticker and append_ns - self.heard_ns[name] <= SILENT_NS
        ]
        agreed = any(abs(self.waiting[name][0] - tick.time_ns) <= JUMP_NS for name in others if name in self.waiting)
        in_a_row = self.waiting.get(tick.ticker, (0, 0))[1] + 1
        if agreed or (in_a_row >= ALONE and not others):
            self.now_ns, self.waiting = tick.time_ns, {}
        else:
            self.waiting = {**self.waiting, tick.ticker: (tick.time_ns, in_a_row)}
        return self.now_ns

    def copy(self) -> WardClock:
        """Return a clock that goes on by itself."""
        return WardClock(self.now_ns, self.waiting, self.heard_ns)

    def _hear(self, ticker: str, append_ns: int) -> dict[str, int]:
        heard = {**self.heard_ns, ticker: append_ns}
        while len(heard) > MOST:
            del heard[min(heard, key=lambda name: (heard[name], name))]
        return heard
