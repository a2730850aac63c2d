"""The score of the PhysioNet/CinC Challenge 2015: which alarms of an intensive care unit's monitor are to be kept.

Clifford et al. 2015, Computing in Cardiology 42, 273-276 (doi:10.1109/CIC.2015.7408639): of 100 (TP + TN) over
(TP + TN + FP + 5 FN), where a true alarm that is kept is a TP and one that is withheld an FN. The event must lie in the
last ten seconds before the monitor's alarm: at minute five of the set's records, half of which go on for 30 s, or at
the end of an excerpt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.clinical import Settings
from ecg.condition import CHAINS
from ecg.episodes import Span
from ecg.estimate import percent

ALARM_S = 300.0
"""When the monitor cried, in the set's records; an earlier end is that of an excerpt."""
LAST_S = 10.0
"""An event counts if it lies in this many seconds before the monitor's alarm."""
COST = 5.0
"""How many wrong decisions a true alarm that was withheld counts for."""

SETTINGS = Settings(
    asystole_s=4.0,
    fibrillation_s=4.0,
    vt_beats=5,
    vt_rate_bpm=100.0,
    rate_low_bpm=50.0,
    extreme_below_low_bpm=10.0,
    rate_high_bpm=120.0,
    extreme_above_high_bpm=20.0,
)
"""The challenge's definitions, whatever a ward's are: no QRS for 4 s, under 40 bpm, over 140 bpm, five ventricular
beats at over 100 bpm, fibrillatory waves for 4 s."""

KINDS = {
    "asystole": "asystole",
    "bradycardia": "extreme_bradycardia",
    "tachycardia": "extreme_tachycardia",
    "ventricular_flutter_fib": "ventricular_fibrillation",
    "ventricular_tachycardia": "ventricular_tachycardia",
}
"""The challenge's types of alarm, in lower case, and the condition of ours that decides on each."""
SHORT = {"ventricular_flutter_fib": "vf", "ventricular_tachycardia": "vt"}
"""What a figure calls a type, where it is not the type's own name."""


class Alarm(NamedTuple):
    """One line of the set's `ALARMS`: which record, what the monitor cried, and whether it was right."""

    record: str
    kind: str
    true: bool


class Counts(NamedTuple):
    """Alarms by what was decided and what is true: kept or withheld, true or false."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    tn: int = 0

    @property
    def score(self) -> float:
        """The challenge's score in per cent; NaN of nothing."""
        return float(score(np.array([self], np.float64))[0])

    @property
    def tpr(self) -> float:
        """Share of the true alarms that were kept, in per cent; NaN where there are none."""
        return float(percent(self.tp, self.tp + self.fn))

    @property
    def tnr(self) -> float:
        """Share of the false alarms that were withheld, in per cent; NaN where there are none."""
        return float(percent(self.tn, self.tn + self.fp))


def score(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the challenge's score of rows of (tp, fp, fn, tn), in per cent.

    Examples
    --------
    >>> score(np.array([[10.0, 2.0, 1.0, 8.0]]))
    array([72.])
    """
    tp, fp, fn, tn = counts.T
    return percent(tp + tn, tp + tn + fp + COST * fn)


def read_alarms(text: str) -> list[Alarm]:
    """Read the set's `ALARMS`: a line an alarm, with record, type, and 1 where it was true.

    Raises
    ------
    ValueError
        If a line has other fields, an unknown type, or a truth other than 0 and 1.
    """
    alarms = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != 3 or fields[1].lower() not in KINDS or fields[2] not in ("0", "1"):
            raise ValueError(f"line {number} of ALARMS must be a record, a type and 0 or 1, got {line!r}")
        alarms.append(Alarm(fields[0], fields[1].lower(), fields[2] == "1"))
    return alarms


def answering(kind: str) -> tuple[str, ...]:
    """Return the conditions whose alarm keeps one of the challenge's: its own, and those that would cover it.

    Of a chain of conditions only the worst is announced. While asystole is, no bradycardia can be; so the worse alarm
    of a chain speaks for the lesser ones, as it does on the ward.

    Examples
    --------
    >>> answering("bradycardia"), answering("ventricular_tachycardia")
    (('asystole', 'extreme_bradycardia'), ('ventricular_fibrillation', 'ventricular_tachycardia'))
    """
    condition = KINDS[kind]
    chain = next(chain for chain in CHAINS if condition in chain)
    return chain[: chain.index(condition) + 1]


def event(kind: str, spans: Iterable[Span], end_s: float) -> Span | None:
    """Return the first alarm of ours that keeps an alarm at `end_s`: one whose event reaches into the last ten seconds.

    Parameters
    ----------
    kind : str
        Of the alarm, one of `KINDS`.
    spans : iterable of Span
        Our alarms; none may have been decided after `end_s`.
    end_s : float
        When the monitor cried, which is the record's end.
    """
    names = answering(kind)
    return next((s for s in spans if s.condition in names and s.onset_s <= end_s and s.last_s >= end_s - LAST_S), None)


def count(decisions: Sequence[tuple[bool, bool]]) -> Counts:
    """Count decisions, each given as (true, kept)."""
    tally = [sum(each == pair for each in decisions) for pair in ((1, 1), (0, 1), (1, 0), (0, 0))]
    return Counts(*tally)
