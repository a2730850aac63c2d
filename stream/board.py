"""The board in the terminal: each bed with its trace, rate, rhythm, quality, risk and its alarms with their age.

It reads Redis alone, as any ward display would. A bed whose ward's time stands still is shown as suspended, never as
normal; what Vigil's services say of themselves stands above all beds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ecg.alert import Alert, Vitals
from ecg.condition import CONDITIONS, RANK
from stream.client import Bed, Sight, look
from stream.store import reached
from stream.watchdog import Watchdog

REFRESH_S = 0.5
ANSWER_S = 1.0
"""How long Redis may take for an answer, before the board goes on without it."""
TRACE_S, TRACE_COLUMNS = 4, 40
BARS = "▁▂▃▄▅▆▇█"
SUSPENDED = "bold white on magenta"
COLOURS = {"high": "bold white on red", "medium": "black on yellow", "low": "cyan"}
RISK_COLOURS = {"low": "green", "guarded": "cyan", "elevated": "yellow", "high": "bold yellow", "critical": "bold red"}
NS = 1_000_000_000


class Board:
    """What the board remembers between two looks: the last seconds of each trace, and when each bed last moved.

    Parameters
    ----------
    clock : callable
        Seconds, monotonic; a board must tell a bed that stands still from one that is well.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._beds: list[Bed] = []
        self._services: list[Alert] = []
        self._traces: dict[str, list[float]] = {}
        self._shown_ns: dict[str, int] = {}
        self._watchdog: Watchdog[tuple[str, str, str]] = Watchdog()

    def update(self, beds: Sequence[Bed], services: Sequence[Alert] = ()) -> None:
        """Take the newest state of all beds, and the alarms that services raised of themselves."""
        self._beds, self._services = list(beds), list(services)
        self._watchdog.keep(bed.name for bed in beds if bed.missed)
        for bed in beds:
            if bed.missed:
                self._watchdog.feed(bed.name, bed.mark, self._clock())
            if bed.vitals is not None and self._shown_ns.get(bed.device) != bed.vitals.time_ns:
                self._shown_ns[bed.device] = bed.vitals.time_ns
                trace = [*self._traces.get(bed.device, []), *bed.vitals.trace_mv]
                self._traces[bed.device] = trace[-25 * TRACE_S :] if bed.vitals.trace_mv else []

    def suspended_s(self, bed: Bed) -> float:
        """Return for how long nobody has watched a bed, 0 while it is watched."""
        return self._watchdog.still_s(bed.name, self._clock())

    def render(self) -> RenderableType:
        """Return the board as a table, the beds in order of their names, under what services say of themselves."""
        banner = [Text(f" {alert.text} ({alert.device}) ", COLOURS[alert.priority]) for alert in self._services]
        return Group(*banner, self._table()) if banner else self._table()

    def _table(self) -> Table:
        table = Table(expand=True, header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("bed", no_wrap=True)
        table.add_column("trace", width=TRACE_COLUMNS, no_wrap=True)
        table.add_column("HR", justify="right", width=4)
        table.add_column("rhythm", min_width=12, max_width=24)
        table.add_column("quality", min_width=7, max_width=24)
        table.add_column("risk", min_width=8, max_width=12)
        table.add_column("alarms", ratio=1)
        for bed in self._beds:
            table.add_row(*self._row(bed))
        return table

    def line(self) -> str:
        """Return the board in one line, for where there is no terminal: alarms of each bed, or its rhythm.

        `ok` stands where a rate is known and no alarm is on; a bed without a rate is not said to be well.
        """
        said = [f"{alert.text} ({alert.device})" for alert in self._services]
        if not self._beds:
            return " | ".join([*said, "no bed yet"])
        for bed in self._beds:
            bpm = bed.vitals.heart_rate_bpm if bed.vitals is not None else None
            rate = "X" if bpm is None else f"{bpm:.0f}"
            calm = "ok" if bpm is not None else bed.vitals.rhythm if bed.vitals is not None else "starting"
            on = ",".join(alert.condition for alert in _worst_first(bed.on.values()))
            state = "SUSPENDED" if self.suspended_s(bed) else on or calm
            said.append(f"{bed.bed} {rate} {state}")
        return " | ".join(said)

    def _row(self, bed: Bed) -> list[Text]:
        name = Text(f"{bed.ward}/{bed.bed}", style=_colour(bed))
        if still_s := self.suspended_s(bed):
            loud = Text(f"! MONITORING SUSPENDED for {still_s:.0f} s", SUSPENDED)
            return [name, loud, Text("X", SUSPENDED), Text("not monitored", SUSPENDED), Text(), Text("?"), _alarms(bed)]
        if bed.vitals is None:
            why = Text("! WAITING for the first second", COLOURS["medium"])
            return [name, Text(), Text("X"), Text("not monitored"), Text(), Text("?"), why]
        vitals = bed.vitals
        rate = "X" if vitals.heart_rate_bpm is None else f"{vitals.heart_rate_bpm:.0f}"
        return [
            name,
            Text(sparkline(self._traces.get(bed.device, []), TRACE_COLUMNS), "green"),
            Text(rate, "bold"),
            Text(vitals.rhythm),
            Text(_quality(vitals)),
            _risk(bed),
            _alarms(bed),
        ]


def sparkline(values: Sequence[float], columns: int) -> str:
    """Return values as a line of bars, the farthest from the middle of each column's values.

    >>> sparkline([0.0, 0.0, 1.0, 0.0], 4)
    '▁▁█▁'
    """
    if not values:
        return ""
    per = max(1, -(-len(values) // columns))
    middle = sorted(values)[len(values) // 2]
    picked = [max(values[i : i + per], key=lambda v: abs(v - middle)) for i in range(0, len(values), per)]
    low, high = min(picked), max(picked)
    if high - low < 0.05:  # a flat line looks flat
        return BARS[0] * len(picked)
    return "".join(BARS[round((value - low) / (high - low) * (len(BARS) - 1))] for value in picked)


def _worst_first(alerts: Iterable[Alert]) -> list[Alert]:
    order = list(CONDITIONS)
    return sorted(alerts, key=lambda a: (-RANK[a.priority], order.index(a.condition)))


def _colour(bed: Bed) -> str:
    on = _worst_first(bed.on.values())
    return COLOURS[on[0].priority] if on else "bold"


def _quality(vitals: Vitals) -> str:
    """Return leads by verdict, bad ones first; twelve good leads are two words."""
    by: dict[str, list[str]] = {}
    for lead, verdict in vitals.quality.items():
        by.setdefault(verdict, []).append(lead)
    if set(by) == {"good"}:
        return "good"
    return "; ".join(f"{verdict} {' '.join(leads)}" for verdict, leads in sorted(by.items()) if verdict != "good")


def _risk(bed: Bed) -> Text:
    risk = bed.vitals.risk if bed.vitals is not None else bed.risk
    if risk is None:
        return Text("?")
    return Text(risk.level + (" (bad signal)" if risk.bad_signal else ""), RISK_COLOURS[risk.level])


def _alarms(bed: Bed) -> Text:
    """Return the alarms of a bed, worst first, with their age by the bed's own time where that is known."""
    now_ns = 0 if bed.vitals is None else bed.vitals.time_ns
    text = Text(f"sound paused for {bed.vitals.paused_s} s" if bed.vitals and bed.vitals.paused_s else "")
    for alert in _worst_first(bed.on.values()):
        if text:
            text.append("\n")
        age = max(0, now_ns - alert.onset_ns) // NS
        mark = "" if alert.presence == "on" else f" ({alert.presence})"
        text.append(f"{alert.text}{mark}", COLOURS[alert.priority])
        text.append(f"  {age // 60}:{age % 60:02d}")
    return text


async def run_board(url: str, ward: str | None) -> None:
    """Show the beds of one ward or of all until cancelled; without a terminal, a line a second.

    Raises
    ------
    ConnectionError
        If Redis does not answer at the start; later, the beds are shown as suspended.
    """
    board, console = Board(), Console()
    async with reached(url, ANSWER_S) as redis:
        await _look(board, redis, ward)
        if console.is_terminal:
            with Live(board.render(), console=console, auto_refresh=False, screen=True) as live:
                while True:
                    await asyncio.sleep(REFRESH_S)
                    await _look(board, redis, ward)
                    live.update(board.render(), refresh=True)
        while True:
            print(board.line(), flush=True)
            await asyncio.sleep(1.0)
            await _look(board, redis, ward)


async def _look(board: Board, redis: Redis, ward: str | None) -> None:
    """Look again; a Redis that does not answer, or has just lost all, leaves the beds to stand still, and to say so."""
    try:
        sight: Sight | None = await look(redis, ward)
    except RedisError:
        return
    if sight is not None:
        board.update(sight.beds, sight.services)
