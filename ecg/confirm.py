"""Whether a pulse contradicts a lethal alarm of the ECG: only then may the alarm be withheld, and doubt alarms.

After the bedside studies that suppress false arrhythmia alarms by the pressure's pulse (Aboukhalil et al. 2008,
doi:10.1016/j.jbi.2008.03.003; Clifford et al. 2016, doi:10.1088/0967-3334/37/8/E5). Ours asks for more: pulses go on
through the whole event without a break, each alike to those before, as large and as fast as before the event. A pulse
that is too poor to say so, or that is not there, decides nothing. Nothing waits for the pulse: it is asked at the step
at which the ECG's own rule has decided, and again at every further one, so that an alarm sounds at once when the pulse
is lost. An alarm that has sounded is taken back, to stay latched, only by a pulse that went on for ten seconds.

- Asystole, extreme bradycardia and fibrillation are withheld where such a pulse goes on.
- Extreme tachycardia is withheld where, beside that, the pulse is slower than the limit, even, and as fast and as large
  as before to a tenth and to a quarter: a heart that is too fast does not fill at every beat.
- Ventricular tachycardia is withheld only where, beside that, all ECG leads that show it are judged artefact. A pulse
  goes on through many true ones.

What pumps without the heart (a balloon pump on its own trigger, compressions of the chest) is a pulse, too: large or
fast as before the event it seldom is.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg.condition import CONDITIONS, LETHAL, Finding, worse
from ecg.quality import Verdict
from ecg.resample import ANALYSIS_HZ

ALIKE = 0.7
"""A pulse is one like those before from this similarity on (`ecg.pulse`)."""
ALIKE_SHARE = 0.75
"""At least this share of the pulses in an event must be alike: more that are not is noise."""
WINDOW_S, BEFORE_S = 10.0, 20.0
"""How much of an event is looked at, its last part, and how much before it."""
LEAST, LEAST_BEFORE, LEAST_ALONE = 3, 5, 6
"""Pulses that must be in an event, before it, and in an event before which there were none."""
BREAK_S = {
    "asystole": 3.0,
    "ventricular_fibrillation": 2.0,
    "ventricular_tachycardia": 1.5,
    "extreme_bradycardia": 1.5,
    "extreme_tachycardia": 1.5,
}
"""The longest time without a pulse, by the condition that is withheld: under the least asystole that can be set, for
fibrillation 30 a minute, and for others the interval of 40 a minute."""
SPREAD = 0.25
"""Median deviation of the intervals from their median, over that: more is no steady pulse."""
LEAST_SIZE, MOST_SIZE, MOST_CHANGE = 0.5, 2.0, 1.35
"""The pulse's size is this much of that before, its rate at most this many times higher or lower."""
MARGIN = 1.15
"""A pulse is this much on the other side of a rate's limit."""
EVEN, STEADY, EQUAL = 0.08, 1.1, 1.25
"""`SPREAD`, `MOST_CHANGE` and `MOST_SIZE` of a pulse that denies a tachycardia: in atrial fibrillation beats without a
pulse make it slow, but uneven; where every second beat fills, it is larger than before."""
SURE_S = 0.4
"""A pulse is known at most about this long after its steepest rise: its absence is known only then."""
LATE = 105
"""Pulses are not denoised: up to so many samples behind the ECG's last clean one are known at a step."""
HOLD_S = 6.0
"""Withheld again within this long, an alarm is the same episode."""

_NS = 1_000_000_000 // ANALYSIS_HZ
_KEEP = 64
_LESSER = {
    name: tuple(other for other in CONDITIONS if other not in LETHAL and name in worse(other)) for name in BREAK_S
}
_ARTEFACT = frozenset(code for code in Verdict if code != Verdict.GOOD)


class Pulse(msgspec.Struct, array_like=True, frozen=True):
    """One pulse that is remembered; `alike` to those before."""

    sample: int
    amplitude: float
    alike: bool


class Level(NamedTuple):
    """What the pulses of a stretch are like: their median size and rate."""

    amplitude: float
    bpm: float


class _Event(msgspec.Struct, array_like=True):
    """A condition that holds: since which sample, the pulse of each lead before, and whether it was let through.

    `seen` is the last step at which it held, `told` whether it was announced as withheld.
    """

    onset: int
    before: list[tuple[float, float] | None]
    seen: int
    passed: bool = False
    told: bool = False


class State(msgspec.Struct, array_like=True):
    """All that is remembered of a bed: the last pulses of each lead, verdicts by second, and events that hold."""

    pulses: list[list[Pulse]]
    verdicts: list[tuple[int, tuple[int, ...]]] = []
    events: dict[str, _Event] = {}


class Confirmed(NamedTuple):
    """What is left of a step's findings, those that were withheld, and which of these are to be said (once each)."""

    findings: list[Finding]
    withheld: list[Finding]
    told: list[Finding]


class Confirm:
    """The rule for one bed.

    Parameters
    ----------
    pulse_leads, ecg_leads : sequence of str
        Their names; those of the pulse in the order of `ecg.pulse.PULSE`'s `lead`.

    Examples
    --------
    >>> from ecg.pulse import PULSE
    >>> confirm = Confirm(["PLETH"], ["II"])
    >>> beats = np.array([(at, at + 90, 1.0, 0.95, 0) for at in range(0, 5000, 200)], PULSE)
    >>> asystole = Finding("asystole", 16_000_000_000, 4.4, 4.0, "s", "no QRS on II for 4.4 s")
    >>> found = confirm.step(5000, 20_000_000_000, beats, [asystole])
    >>> found.findings, found.told[0].trace
    ([], 'no QRS on II for 4.4 s; withheld: pulse of PLETH goes on, 75 bpm, 1.00 of its size before')
    """

    def __init__(self, pulse_leads: Sequence[str], ecg_leads: Sequence[str]) -> None:
        self.pulse_leads, self.ecg_leads = tuple(pulse_leads), tuple(ecg_leads)
        self._state = State([[] for _ in self.pulse_leads])

    def judged(self, second: int, verdicts: tuple[int, ...]) -> None:
        """Take the verdicts of a second, one for each ECG lead."""
        if self.pulse_leads:
            self._state.verdicts = [*self._state.verdicts[1 - round(WINDOW_S) :], (second, verdicts)]

    def step(self, end: int, end_ns: int, pulses: NDArray[np.void], findings: Sequence[Finding]) -> Confirmed:
        """Take the pulses that came to be known and say which findings stand.

        Parameters
        ----------
        end, end_ns : int
            Sample after the last one of the step at 250 Hz, and its event time.
        pulses : ndarray of `ecg.pulse.PULSE`
            Those confirmed up to `end + LATE` since the last step.
        findings : sequence of Finding
            What the rules of the ECG found.
        """
        if not self.pulse_leads:
            return Confirmed(list(findings), [], [])
        state = self._state
        for lead, *row in zip(pulses["lead"], pulses["sample"], pulses["amplitude"], pulses["similarity"], strict=True):
            taken = Pulse(int(row[0]), float(row[1]), bool(row[2] >= ALIKE))
            state.pulses[int(lead)] = [*state.pulses[int(lead)][1 - _KEEP :], taken]
        state.events = {name: each for name, each in state.events.items() if end - each.seen <= HOLD_S * ANALYSIS_HZ}
        withheld, told = [], []
        for finding in findings:
            reason = self._reason(finding, end, end_ns) if finding.condition in BREAK_S else ""
            if reason:
                withheld.append(finding._replace(trace=f"{finding.trace}; withheld: {reason}"))
                event = state.events[finding.condition]
                told += [] if event.told else withheld[-1:]
                event.told = True
        hidden = {name for each in withheld for name in (each.condition, *_LESSER[each.condition])}
        return Confirmed([each for each in findings if each.condition not in hidden], withheld, told)

    def snapshot(self) -> bytes:
        """Return the state as bytes."""
        return msgspec.msgpack.encode((self.pulse_leads, self.ecg_leads, self._state))

    @classmethod
    def restored(cls, kept: bytes) -> Confirm:
        """Return what `snapshot` was taken of; raises msgspec.DecodeError on other bytes."""
        pulse_leads, ecg_leads, state = _decoder.decode(kept)
        confirm = cls(pulse_leads, ecg_leads)
        confirm._state = state
        return confirm

    def _reason(self, finding: Finding, end: int, end_ns: int) -> str:
        """Return why a finding is withheld, '' where it is not; what was let through stays so for ten seconds."""
        state, name = self._state, finding.condition
        onset = end - (end_ns - finding.onset_ns) // _NS
        event = state.events.get(name)
        if event is None or (event.onset != onset and not event.passed):
            told = event is not None and event.told
            event = state.events[name] = _Event(onset, [_before(each, onset) for each in state.pulses], end, told=told)
        event.seen = end
        waits = event.passed and end - onset < WINDOW_S * ANALYSIS_HZ
        reason = "" if waits else self._contradiction(finding, event, end)
        event.passed = not reason
        return reason

    def _contradiction(self, finding: Finding, event: _Event, end: int) -> str:
        if finding.condition == "ventricular_tachycardia" and not self._is_artefact(finding, event.onset, end):
            return ""
        for name, pulses, before in zip(self.pulse_leads, self._state.pulses, event.before, strict=True):
            level = _going_on(pulses, event.onset, end, finding.condition, before is None)
            if level is None or (before is not None and not _is_as(level, Level(*before), finding.condition)):
                continue
            if _denies(level, finding):
                size = f", {level.amplitude / before[0]:.2f} of its size before" if before else ""
                return f"pulse of {name} goes on, {level.bpm:.0f} bpm{size}"
        return ""

    def _is_artefact(self, finding: Finding, onset: int, end: int) -> bool:
        """Whether every lead that shows a finding was judged artefact in at least half of its seconds."""
        first = max(onset, end - round(WINDOW_S * ANALYSIS_HZ)) // ANALYSIS_HZ
        seconds = [verdicts for second, verdicts in self._state.verdicts if second >= first]
        shown = [k for k, name in enumerate(self.ecg_leads) if name in finding.leads]
        return bool(seconds and shown) and all(
            2 * sum(verdicts[k] in _ARTEFACT for verdicts in seconds) >= len(seconds) for k in shown
        )


_decoder = msgspec.msgpack.Decoder(tuple[tuple[str, ...], tuple[str, ...], State])


def _before(pulses: Sequence[Pulse], onset: int) -> tuple[float, float] | None:
    """Return size and rate of the pulses before an event, None where they are too few to say."""
    first = onset - BEFORE_S * ANALYSIS_HZ
    alike = [each for each in pulses if each.alike and first <= each.sample < onset]
    if len(alike) < LEAST_BEFORE:
        return None
    amplitude, bpm = _level(alike)
    return amplitude, bpm


def _going_on(pulses: Sequence[Pulse], onset: int, end: int, condition: str, alone: bool) -> Level | None:
    """Return what a pulse is like that goes on through an event, None where it does not."""
    first = max(onset, end - round(WINDOW_S * ANALYSIS_HZ))
    inside = [each for each in pulses if each.sample >= first]
    alike = [each for each in inside if each.alike]
    if len(alike) < (LEAST_ALONE if alone else LEAST) or len(alike) < ALIKE_SHARE * len(inside):
        return None
    last = max((each.sample for each in pulses if each.alike and each.sample < first), default=first)
    known = end + LATE - round(SURE_S * ANALYSIS_HZ)
    places = [max(last, first - 2 * ANALYSIS_HZ), *(each.sample for each in alike), known]
    if max(b - a for a, b in itertools.pairwise(places)) > BREAK_S[condition] * ANALYSIS_HZ:
        return None
    intervals = [b.sample - a.sample for a, b in itertools.pairwise(alike)]
    usual = _median(intervals)
    spread = EVEN if condition == "extreme_tachycardia" else SPREAD
    if _median([abs(each - usual) for each in intervals]) > spread * usual:
        return None
    return _level(alike)


def _is_as(level: Level, before: Level, condition: str) -> bool:
    """Whether a pulse is as large and as fast as before."""
    size, change = level.amplitude / before.amplitude, level.bpm / before.bpm
    if condition == "extreme_tachycardia":
        return 1 / EQUAL <= size <= EQUAL and 1 / STEADY <= change <= STEADY
    return LEAST_SIZE <= size <= MOST_SIZE and 1 / MOST_CHANGE <= change <= MOST_CHANGE


def _denies(level: Level, finding: Finding) -> bool:
    """Whether the pulse's rate lies on the other side of the limit that a finding names."""
    limit = finding.limit or 0.0
    if finding.condition == "extreme_bradycardia":
        return level.bpm >= MARGIN * limit
    if finding.condition == "extreme_tachycardia":
        return MARGIN * level.bpm <= limit
    return True


def _level(pulses: Sequence[Pulse]) -> Level:
    intervals = [b.sample - a.sample for a, b in itertools.pairwise(pulses)]
    return Level(_median([each.amplitude for each in pulses]), 60.0 * ANALYSIS_HZ / _median(intervals))


def _median(values: Sequence[float]) -> float:
    """Return the lower median."""
    return sorted(values)[(len(values) - 1) // 2]
