"""Rules of ST and of QTc, on what `ecg.average_beat` measures of a bed every ten seconds.

Definitions after manufacturers' manuals, and what was decided where they differ:

* ST is at J + 60 ms at every rate, as Philips lets it be set (GE CARESCAPE changes from J + 80 ms at 120 a minute,
  which moves ST where nothing else does), absolute, in each lead against the same limits; of several leads the
  farthest is named first. It must be over its limit for a minute (Philips). Nothing is said where the QRS is wider than
  `WIDE_MS`, whose ST is not that of ischaemia, nor of a patient with a pacer: the manuals warn of both.
* QTc is the median of the last five minutes, by Fridericia's formula unless Bazett's is set; both conditions then hold
  for two and a half minutes more (Philips: five in all). The baseline is the first five minutes' that could be measured
  (Philips). Nothing is said above `MOST_BPM` (Philips, Mindray); with a wide QRS nothing but the change against the
  baseline.
"""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg.clinical import Settings
from ecg.condition import Finding
from ecg.resample import ANALYSIS_HZ

_NS = 1_000_000_000 // ANALYSIS_HZ

WIDE_MS = 120.0
"""A QRS wider than this has an ST segment of its own."""
MOST_BPM = 150.0
"""Above this rate T and P waves meet, and QT is not measured."""
STANDS = 30 * ANALYSIS_HZ
"""Samples for which ST stands when no new one is measured."""
LEAST_SURE_MV = 0.025
"""ST of a larger standard error is none."""
QT_OVER, LEAST_QTS = 300 * ANALYSIS_HZ, 6
"""QTc is the median of what was measured in so many samples, and how many there must be."""
BASELINE_QTS = 30
"""Measurements that make the baseline: five minutes."""
QT_STANDS = 60 * ANALYSIS_HZ
"""Samples for which QTc stands when no QT could be measured."""
QT_JUMPS_MS = 30.0
"""QTc is none where half of its changes from one measurement to the next are larger: the wave is not always T."""


class Qt(msgspec.Struct, array_like=True, frozen=True):
    """One QT, in ms, with the interval between the beats that it is of, and the sample at which it is known."""

    at: int
    qt_ms: float
    rr_s: float
    wide: bool


class _Said(NamedTuple):
    """What holds up to sample `until`, as a `Finding` whose onset is a sample."""

    condition: str
    onset: int
    value: float
    limit: float
    unit: str
    trace: str
    leads: tuple[str, ...]
    until: int


class State(msgspec.Struct, array_like=True):
    """What is remembered of a bed; samples are of the session.

    `st_mv` are the last levels by lead (None: cannot be said), known since sample `st_at`, and `qrs_ms` is of the same
    beat; `high_since` and `low_since` say by lead since when they were beyond a limit, -1 where they are not. `qts` are
    the last ones, `first_qts` those of which the baseline will be, and `baseline` (QT in ms, interval in s) what it is.
    """

    st_mv: list[float | None] = []
    st_at: int = -1
    qrs_ms: float = 0.0
    beats: int = 0
    high_since: list[int] = []
    low_since: list[int] = []
    qts: list[Qt] = []
    first_qts: list[Qt] = []
    baseline: tuple[float, float] | None = None


class StQt:
    """The rules of one bed.

    Parameters
    ----------
    leads : sequence of str
        Names of the ECG leads.
    first : int
        Sample from which on this patient is watched: no beat before it counts.
    baseline : tuple of float, optional
        QT and the interval it is of, where the patient has them from before.

    Examples
    --------
    >>> from ecg.average_beat import MEASURED
    >>> rules, one = StQt(["II"]), np.zeros(1, MEASURED)
    >>> one["at"], one["qrs_ms"], one["qt_ms"], one["st_mv"] = 2500, 90, np.nan, 0.31
    >>> [(found.condition, found.leads) for found in rules.step(2500, 10**10, one, Settings(), paced=False)]
    [('st_high', ('II',))]
    """

    def __init__(self, leads: Sequence[str], first: int = 0, baseline: tuple[float, float] | None = None) -> None:
        self.leads, self._first = tuple(leads), first
        n = len(self.leads)
        self._state = State([None] * n, high_since=[-1] * n, low_since=[-1] * n, baseline=baseline)
        self._settings: Settings | None = None
        self._said: list[_Said] = []

    @property
    def baseline(self) -> tuple[float, float] | None:
        """QT in ms and the interval in s that the change of QTc is reckoned from, None before it is known."""
        return self._state.baseline

    def step(
        self, end: int, end_ns: int, measured: NDArray[np.void], settings: Settings, *, paced: bool
    ) -> list[Finding]:
        """Take what was measured up to sample `end`, whose event time is `end_ns`, and say what holds."""
        if paced:
            return []
        if len(measured) or (settings is not self._settings and settings != self._settings):
            for each in measured:
                if int(each["first"]) >= self._first:
                    self._take(each)
                    self._mark(settings)
            self._mark(settings)
            self._settings = settings
            self._said = [s for s in (*self._st(settings), *self._qtc(settings)) if s.condition not in settings.off]
        if not self._said:
            return []
        return [
            Finding(s.condition, end_ns - (end - s.onset) * _NS, s.value, s.limit, s.unit, s.trace, s.leads)
            for s in self._said
            if end <= s.until
        ]

    def _take(self, each: np.void) -> None:
        state, at = self._state, int(each["at"])
        qrs_ms, qt_ms, rr_s = float(each["qrs_ms"]), float(each["qt_ms"]), float(each["rr_s"])
        wide = not qrs_ms <= WIDE_MS
        sure = [not wide and bool(error <= LEAST_SURE_MV) for error in each["st_error_mv"]]
        levels = [round(float(mv), 3) if ok else None for mv, ok in zip(each["st_mv"], sure, strict=True)]
        if at - state.st_at > STANDS:
            state.high_since = state.low_since = [-1] * len(self.leads)
        state.st_mv = [*levels, *[None] * len(self.leads)][: len(self.leads)]
        state.st_at, state.qrs_ms, state.beats = at, qrs_ms, int(each["beats"])
        if qt_ms == qt_ms and rr_s * MOST_BPM >= 60.0:
            self._take_qt(Qt(at, round(qt_ms, 1), round(rr_s, 4), wide))

    def _take_qt(self, qt: Qt) -> None:
        state = self._state
        state.qts = [*(each for each in state.qts if each.at > qt.at - QT_OVER), qt]
        if state.baseline is not None:
            return
        state.first_qts = [*state.first_qts, qt]
        if len(state.first_qts) == BASELINE_QTS:
            first = state.first_qts
            state.baseline = statistics.median(q.qt_ms for q in first), statistics.median(q.rr_s for q in first)
            state.first_qts = []

    def _mark(self, settings: Settings) -> None:
        """Note since when each lead is beyond the limits in force."""
        state, (high, low) = self._state, (settings.st_high_mv, settings.st_low_mv)
        state.high_since = _since(state.high_since, [mv is not None and mv > high for mv in state.st_mv], state.st_at)
        state.low_since = _since(state.low_since, [mv is not None and mv < low for mv in state.st_mv], state.st_at)

    def _st(self, settings: Settings) -> list[_Said]:
        """Find ST beyond a limit; of several leads the farthest is named first."""
        state, found = self._state, []
        sides = (
            ("st_high", state.high_since, settings.st_high_mv, 1.0),
            ("st_low", state.low_since, settings.st_low_mv, -1.0),
        )
        for condition, since, limit_mv, sign in sides:
            levels = {lead: state.st_mv[lead] or 0.0 for lead, at in enumerate(since) if at >= 0}
            if not levels:
                continue
            over = sorted(levels, key=lambda lead: (-sign * levels[lead], lead))
            said = ", ".join(f"{self.leads[lead]} {levels[lead]:+.2f}" for lead in over)
            trace = f"ST of {state.beats} beats: {said} mV, limit {limit_mv:+.2f}; QRS {state.qrs_ms:.0f} ms"
            onset, names = min(since[lead] for lead in over), tuple(self.leads[lead] for lead in over)
            until, limit = state.st_at + STANDS, float(limit_mv)
            found.append(_Said(condition, onset, levels[over[0]], limit, "mV", trace, names, until))
        return found

    def _qtc(self, settings: Settings) -> list[_Said]:
        """Find QTc over its limit, and longer than the baseline by more than another."""
        state, found = self._state, []
        if len(state.qts) < LEAST_QTS:
            return []
        values = [corrected_ms(qt.qt_ms, qt.rr_s, settings.qtc_formula) for qt in state.qts]
        if statistics.median(abs(b - a) for a, b in itertools.pairwise(values)) > QT_JUMPS_MS:
            return []
        now_ms, last = statistics.median(values), state.qts[-1]
        said = f"QTc {now_ms:.0f} ms after {settings.qtc_formula.title()}, median of {len(values)}"
        until, limit_ms = last.at + QT_STANDS, float(settings.qtc_high_ms)
        if now_ms > limit_ms and not last.wide:
            trace = f"{said}, limit {limit_ms:g} ms"
            found.append(_Said("qtc_high", last.at, now_ms, limit_ms, "ms", trace, self.leads, until))
        limit_ms = float(settings.qtc_delta_ms)
        before_ms = corrected_ms(*state.baseline, settings.qtc_formula) if state.baseline else now_ms
        if now_ms - before_ms > limit_ms:
            trace = f"{said}, {before_ms:.0f} ms at first, limit {limit_ms:g} ms more"
            found.append(_Said("qtc_delta", last.at, now_ms - before_ms, limit_ms, "ms", trace, self.leads, until))
        return found

    def snapshot(self) -> bytes:
        """Return the state as bytes."""
        return msgspec.msgpack.encode((self.leads, self._first, self._state))

    @classmethod
    def restored(cls, kept: bytes) -> StQt:
        """Return the rules of a snapshot; raises msgspec.ValidationError where it is of another layout."""
        leads, first, state = msgspec.msgpack.decode(kept, type=tuple[tuple[str, ...], int, State])
        rules = cls(leads, first)
        rules._state = state
        return rules


def corrected_ms(qt_ms: float, rr_s: float, formula: str) -> float:
    """Return QT at a rate of 60, by Fridericia (Acta Med. Scand. 53:469, 1920) or Bazett (Heart 7:353, 1920).

    Examples
    --------
    >>> [round(corrected_ms(320, 0.5, formula)) for formula in ("fridericia", "bazett")]
    [403, 453]
    """
    return qt_ms / float(rr_s ** (1 / 3 if formula == "fridericia" else 0.5))


def _since(before: Sequence[int], beyond: Sequence[bool], at: int) -> list[int]:
    """Go on with since when each lead has been beyond a limit."""
    return [-1 if not now else since if since >= 0 else at for since, now in zip(before, beyond, strict=True)]
