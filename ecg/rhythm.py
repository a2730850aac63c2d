"""The rules of one bed together: which conditions hold now, how fast the heart beats, and its rhythm's name.

One object a bed is stepped every `STEP` samples with the beats that were confirmed and the judgements that were made
since, and answers with all findings. Every decision stands at a sample of the session, so that the cutting of the
stream cannot change it. The definitions are those of `ecg.condition_table`, their numbers those of
`ecg.clinical.Settings`; the rules lie by kind in `ecg.rhythm_lethal`, `_ectopy`, `_intervals`,
`_rate`, `_pacer` and `_leads`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from ecg import rhythm_ectopy, rhythm_intervals, rhythm_leads, rhythm_lethal, rhythm_pacer, rhythm_rate
from ecg.clinical import Settings
from ecg.condition import Finding
from ecg.rhythm_now import Lately, Now, is_clear, of_beats
from ecg.rhythm_state import STEP, Beat, Items, Mark, State, take_beat, take_off
from ecg.rhythm_wave import take_judgement

__all__ = ["STEP", "Rhythm", "Step"]

_RULES = (*rhythm_lethal.RULES, *rhythm_ectopy.RULES, *rhythm_rate.RULES, *rhythm_pacer.RULES, *rhythm_leads.RULES)


class Step(NamedTuple):
    """What holds at the end of a step: the findings, the heart rate (None where none can be said) and its name."""

    findings: list[Finding]
    heart_rate_bpm: float | None
    rhythm: str


class Rhythm:
    """The rules of one bed.

    Parameters
    ----------
    leads : sequence of str
        Names of the ECG leads, in the order of the bits.
    first : int
        Sample from which on this patient is watched; what came before is not held against them.

    Examples
    --------
    >>> import numpy as np
    >>> from ecg.fibrillation import FIBRILLATION
    >>> rhythm = Rhythm(["II"])
    >>> flat = np.array([(STEP, False, -6.0, 0.0, 0.0, 0, True, 1, 0.0)], FIBRILLATION)
    >>> for k in range(1, 23):
    ...     found = rhythm.step(k * STEP, k * 200_000_000, (), flat, 0, Settings())
    >>> [finding.condition for finding in found.findings]
    ['asystole', 'rate_low', 'flat_signal']
    """

    def __init__(self, leads: Sequence[str], first: int = 0) -> None:
        self.leads = tuple(leads)
        self._state = State(off_since=[-1] * len(self.leads), end=first, quiet_since=first)
        self._lately: tuple[list[Beat], Settings, Lately] | None = None

    def step(
        self,
        end: int,
        end_ns: int,
        beats: Items,
        judgements: Items,
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
        beats : ndarray of `ecg.beats.BEAT`
            Beats confirmed up to `end` since the last step.
        judgements : ndarray of `ecg.fibrillation.FIBRILLATION`
            Those up to `end` since the last step.
        off : int
            Leads whose electrode is off, a bit a lead.
        settings : Settings
            The definitions in force, with the patient's limits.
        spikes : sequence of int
            Samples before `end` at which the device flagged a pacer spike, since the last step.
        paced : bool
            Whether the patient is said to have a pacemaker.
        """
        state = self._state
        state.end = end
        if off or max(state.off_since, default=-1) >= 0:
            take_off(state, off)
        if spikes:
            rhythm_pacer.take_spikes(state, spikes)
        for judgement in judgements:
            take_judgement(state, judgement, settings.fibrillation_s)
        for beat in beats:
            take_beat(state, beat)
        if len(beats):
            state.marks = _marks(state, settings)
        now = Now(state, self.leads, end_ns, settings, self._of_beats(settings), paced=paced)
        findings = [finding for rule in _RULES if (finding := rule(now)) is not None]
        if now.beating:
            findings += [now.find(*mark) for mark in state.marks]
        if settings.off:
            findings = [each for each in findings if each.condition not in settings.off]
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
        self._state = msgspec.msgpack.decode(kept, type=State)


def _marks(state: State, settings: Settings) -> list[Mark]:
    """Return what the rules on beats make of the last ones; those of ectopy beside a normal beat that is known."""
    beats, ventricular = state.beats, state.ventricular
    ectopy = beats and ventricular and ventricular[-1] >= beats[0].sample and state.normal_mv
    rules = (*rhythm_ectopy.BEAT_RULES, *rhythm_intervals.BEAT_RULES) if ectopy else rhythm_intervals.BEAT_RULES
    return [mark for rule in rules if (mark := rule(beats, settings)) is not None]
