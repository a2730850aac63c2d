"""The rules of one bed together: which conditions hold now, how fast the heart beats, and its rhythm's name.

One object a bed is stepped every `STEP` samples with the beats that were confirmed and the judgements that were made
since, and answers with all findings. Every decision stands at a sample of the session, so that the cutting of the
stream cannot change it. The definitions are those of `ecg.condition_table`, their numbers those of
`ecg.clinical.Settings`; the rules lie by kind in `ecg.rhythm_lethal`, `_ectopy`, `_intervals`,
`_rate`, `_pacer` and `_leads`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from ecg import rhythm_ectopy, rhythm_intervals, rhythm_leads, rhythm_lethal, rhythm_pacer, rhythm_rate
from ecg.clinical import Settings
from ecg.condition import Finding
from ecg.resample import ANALYSIS_HZ
from ecg.rhythm_calm import calm
from ecg.rhythm_now import UNSURE_S, Lately, Now, is_clear, of_beats
from ecg.rhythm_state import STEP, Beat, Mark, State, take_beats, take_off
from ecg.rhythm_wave import take_judgements

__all__ = ["STEP", "Rhythm", "Step"]

_NS = 1_000_000_000 // ANALYSIS_HZ
_RULES = (*rhythm_lethal.RULES, *rhythm_ectopy.RULES, *rhythm_rate.RULES, *rhythm_pacer.RULES, *rhythm_leads.RULES)


class Step(NamedTuple):
    """What holds at the end of a step: the findings, the heart rate (None where none can be said) and its name."""

    findings: list[Finding]
    heart_rate_bpm: float | None
    rhythm: str


class _Given(NamedTuple):
    """What the rules are given beside what came to be known: the event time of sample 0, settings, a pacer."""

    zero_ns: int
    settings: Settings
    paced: bool

    def is_same(self, zero_ns: int, settings: Settings, *, paced: bool) -> bool:
        """Say whether nothing of it is another: settings count as other ones unless they are the same object."""
        return zero_ns == self.zero_ns and settings is self.settings and paced == self.paced


class _Standing(NamedTuple):
    """An answer that stands up to sample `until`, if nothing comes; `asked` where longer was asked for in vain."""

    step: Step
    until: int
    given: _Given
    asked: bool = False


class Rhythm:
    """The rules of one bed.

    Where nothing new came to be known they are not asked anew at every step. Each of them turns at most once in such a
    time, from silence to what it says or back, or says something else at each step; but for a beat that is overdue,
    which may turn the mean of intervals twice. So what they say now and would say at a later sample, with no beat
    overdue until then, they say between these. A calm heart (`ecg.rhythm_calm`) is told without asking them.

    Parameters
    ----------
    leads : sequence of str
        Names of the ECG leads, in the order of the bits.
    first : int
        Sample from which on this patient is watched; what came before is not held against them.

    Examples
    --------
    >>> rhythm, flat = Rhythm(["II"]), (STEP, False, -6.0, 0.0, 0.0, 0, True, 1, 0.0)
    >>> for k in range(1, 23):
    ...     found = rhythm.step(k * STEP, k * 200_000_000, [], [flat], 0, Settings())
    >>> [finding.condition for finding in found.findings]
    ['asystole', 'rate_low', 'flat_signal']
    """

    def __init__(self, leads: Sequence[str], first: int = 0) -> None:
        self.leads = tuple(leads)
        self._state = State(off_since=[-1] * len(self.leads), end=first, quiet_since=first)
        self._lately: tuple[list[Beat], Settings, Lately] | None = None
        self._standing: _Standing | None = None

    def step(
        self,
        end: int,
        end_ns: int,
        beats: Sequence[tuple[Any, ...]],
        judgements: Sequence[tuple[Any, ...]],
        off: int,
        settings: Settings,
        *,
        spikes: Sequence[int] = (),
        paced: bool = False,
    ) -> Step:
        """Take what came to be known up to sample `end` and say what holds.

        Parameters
        ----------
        end : int
            Sample after the last one of the step, a multiple of `STEP`.
        end_ns : int
            Event time of `end`.
        beats : sequence of tuple
            Beats confirmed up to `end` since the last step, `ecg.beats.BEAT` as rows of Python's own numbers.
        judgements : sequence of tuple
            Those up to `end` since the last step, `ecg.fibrillation.FIBRILLATION` likewise.
        off : int
            Leads whose electrode is off, a bit a lead.
        settings : Settings
            The definitions in force, with the patient's limits.
        spikes : sequence of int
            Samples before `end` at which the device flagged a pacer spike, since the last step.
        paced : bool
            Whether the patient is said to have a pacemaker.
        """
        self._state.end = end
        zero_ns, standing = end_ns - end * _NS, self._standing
        news = self._take(beats, judgements, off, settings, spikes)
        if news or standing is None or not standing.given.is_same(zero_ns, settings, paced=paced):
            standing = self._anew(end, _Given(zero_ns, settings, paced))
        elif end > standing.until:
            standing = self._further(standing, end)
        self._standing = standing
        return standing.step

    def _take(
        self,
        beats: Sequence[tuple[Any, ...]],
        judgements: Sequence[tuple[Any, ...]],
        off: int,
        settings: Settings,
        spikes: Sequence[int],
    ) -> bool:
        """Take what came to be known, and say whether the rules may look at any of it."""
        state, news = self._state, False
        if off or max(state.off_since, default=-1) >= 0:
            take_off(state, off)
            news = True
        if spikes:
            rhythm_pacer.take_spikes(state, spikes)
            news = True
        if judgements:
            news |= take_judgements(state, judgements, settings.fibrillation_s)
        if beats:
            take_beats(state, beats)
            state.marks = _marks(state, settings)
            news = True
        return news

    def _anew(self, end: int, given: _Given) -> _Standing:
        """Return what stands now that something came, or what is given is another."""
        if not given.paced:
            state, settings = self._state, given.settings
            lately = self._of_beats(settings)
            if (found := calm(state, end, lately, settings)) is not None:
                marks = (*found.marks, *state.marks)
                findings = [self._marked(mark, given.zero_ns) for mark in marks if mark.condition not in settings.off]
                return _Standing(Step(findings, lately.bpm, lately.name), found.until, given, asked=True)
        return _Standing(self._say(self._now(end, given)), end, given)

    def _marked(self, mark: Mark, zero_ns: int) -> Finding:
        condition, onset, value, limit, unit, trace = mark
        return Finding(condition, zero_ns + onset * _NS, value, limit, unit, trace, self.leads)

    def _further(self, standing: _Standing, end: int) -> _Standing:
        """Return what stands at a later step, nothing having come since: where no beat is overdue until then, the same.

        For how long is asked once after it was known.
        """
        given = standing.given
        if not standing.asked:
            ahead = self._now(self._next_beat(end), given)
            if ahead.end >= end and not ahead.overdue and self._say(ahead) == standing.step:
                return _Standing(standing.step, ahead.end, given)
        return _Standing(self._say(self._now(end, given)), end, given, asked=True)

    def _next_beat(self, end: int) -> int:
        """Return by when the next beat would be known, or a second from now without beats to go by."""
        state = self._state
        if not state.intervals:
            return end + ANALYSIS_HZ
        return state.beats[-1].sample + state.intervals[-1] + round(UNSURE_S * ANALYSIS_HZ)

    def _now(self, end: int, given: _Given) -> Now:
        lately, end_ns = self._of_beats(given.settings), given.zero_ns + end * _NS
        return Now(self._state, self.leads, end, end_ns, given.settings, lately, paced=given.paced)

    def _say(self, now: Now) -> Step:
        """Ask every rule."""
        findings = [finding for rule in _RULES if (finding := rule(now)) is not None]
        if now.beating:
            findings += [now.find(*mark) for mark in now.state.marks]
        if off := now.settings.off:
            findings = [each for each in findings if each.condition not in off]
        return Step(findings, now.rate_bpm, now.name)

    @property
    def clear(self) -> bool:
        """Whether the last beats are of one shape (`ecg.rhythm_now.is_clear`), as noise never is."""
        return is_clear(self._state)

    def _of_beats(self, settings: Settings) -> Lately:
        """Return what the last beats say, worked out anew where these or the settings are others."""
        beats = self._state.beats
        if self._lately is None or self._lately[0] is not beats or self._lately[1] is not settings:
            self._lately = (beats, settings, of_beats(self._state, settings))
        return self._lately[2]

    def snapshot(self) -> bytes:
        """Return the state as bytes."""
        return msgspec.msgpack.encode(self._state)

    def restore(self, kept: bytes) -> None:
        """Put back what `snapshot` returned; raises msgspec.ValidationError where it is of another layout."""
        self._state, self._standing = msgspec.msgpack.decode(kept, type=State), None


def _marks(state: State, settings: Settings) -> list[Mark]:
    """Return what the rules on beats make of the last ones; those of ectopy beside a normal beat that is known."""
    beats, ventricular = state.beats, state.ventricular
    ectopy = beats and ventricular and ventricular[-1] >= beats[0].sample and state.normal_mv
    asked = ectopy and rhythm_ectopy.may_speak(beats, settings)
    rules = (*rhythm_ectopy.BEAT_RULES, *rhythm_intervals.BEAT_RULES) if asked else rhythm_intervals.BEAT_RULES
    return [mark for rule in rules if (mark := rule(beats, settings)) is not None]
