"""The artefact ladder: how much of a bed's analysis can be trusted, from second to second.

Level 1: only lethal conditions are still decided. Level 2, where 20 of the last 30 seconds were noisy: analysis is
suspended. Both as GE's monitors have them. A second is noisy for a bed only if it is noisy on every lead that has a
signal: of muscle noise, or restless (`ecg.quality`).

Fibrillation looks like noise, so it is given the benefit of the doubt twice: while the wave itself is judged
fibrillatory (`ecg.fibrillation`), and for some seconds after, the ladder stays at level 1; and so it does as soon as
the last seconds were not noisy, however many were before, so that a tachycardia which begins out of noise is seen.

On the records that this was tried on, what the reference calls noise is mostly no such noise: see `docs/denoising.md`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import IntEnum

import msgspec

from ecg.condition import CONDITIONS, Condition, Finding
from ecg.quality import Verdict
from ecg.rhythm import Step

LOOKED_AT = 30
"""Seconds that the ladder looks back on."""
LEVEL_1, LEVEL_2 = 10, 20
"""Noisy seconds among these from which a level holds."""
FIBRILLATORY_S = 4
"""Seconds from one with a fibrillatory judgement on during which nothing is suspended, that one included."""
QUIET_S = 3
"""So many seconds in a row that are not noisy suspend nothing."""

NEVER_SUSPENDED = frozenset({"asystole", "ventricular_fibrillation"})
"""Conditions that, once a rule has found them, are announced whatever the level: their rules look for noise
themselves. So are other lethal ones where the last beats are of one shape, as noise never is."""

CALM = frozenset({Verdict.FLAT, Verdict.MAINS})
"""Verdicts of leads that are never noisy: a flat one may show asystole, and mains is taken out (`ecg.mains`)."""
ABSENT = frozenset({Verdict.LEAD_OFF, Verdict.MISSING})
"""Verdicts of leads without a signal: they have no say."""


class Level(IntEnum):
    """Where the ladder stands."""

    WHOLE = 0
    """All conditions are decided."""
    LETHAL_ONLY = 1
    SUSPENDED = 2


def is_noisy(leads: Iterable[tuple[int, bool]]) -> bool:
    """Tell whether a second was noisy for a bed.

    Parameters
    ----------
    leads : iterable of (int, bool)
        For each ECG lead its verdict and whether it was restless (`ecg.quality.Second`).

    Examples
    --------
    >>> is_noisy([(Verdict.GOOD, True), (Verdict.LEAD_OFF, False)])
    True
    >>> is_noisy([(Verdict.MUSCLE, True), (Verdict.FLAT, False)]), is_noisy([(Verdict.LEAD_OFF, False)])
    (False, False)
    """
    present = [(verdict, restless) for verdict, restless in leads if verdict not in ABSENT]
    return bool(present) and all(
        verdict == Verdict.MUSCLE or (restless and verdict not in CALM) for verdict, restless in present
    )


class Ladder(msgspec.Struct, array_like=True):
    """The level of one bed: `noisy` are the last seconds as bits, for `held_s` more seconds nothing is suspended.

    Examples
    --------
    >>> ladder = Ladder()
    >>> [int(ladder.step(noisy=True, fibrillatory=False)) for _ in range(22)][8:]
    [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2]
    >>> int(ladder.step(noisy=True, fibrillatory=True))
    1
    """

    noisy: int = 0
    held_s: int = 0

    def step(self, *, noisy: bool, fibrillatory: bool) -> Level:
        """Take one second more and return the level that holds from its end on.

        Parameters
        ----------
        noisy : bool
            Whether it was noisy (`is_noisy`).
        fibrillatory : bool
            Whether a judgement of `ecg.fibrillation` that ended in it called the wave fibrillatory.
        """
        self.noisy = (self.noisy << 1 | noisy) & ((1 << LOOKED_AT) - 1)
        self.held_s = FIBRILLATORY_S if fibrillatory else max(0, self.held_s - 1)
        return self.level

    @property
    def noisy_s(self) -> int:
        """How many of the seconds that it looks back on were noisy."""
        return self.noisy.bit_count()

    @property
    def level(self) -> Level:
        """The level that holds now."""
        noisy_s = self.noisy.bit_count()
        if noisy_s < LEVEL_1:
            return Level.WHOLE
        quiet = not self.noisy & ((1 << QUIET_S) - 1)
        return Level.LETHAL_ONLY if noisy_s < LEVEL_2 or self.held_s or quiet else Level.SUSPENDED

    def decided(self, step: Step, end_ns: int, holding: Collection[str] = (), *, clear: bool = False) -> Step:
        """Return what of a step is decided at this level: its findings, rate and rhythm, and the noise that says why.

        Parameters
        ----------
        step : Step
            What the rules found.
        end_ns : int
            Event time of its end.
        holding : collection of str
            Conditions whose alarm is on: noise begins nothing that must wait, and ends nothing either.
        clear : bool
            Whether the last beats are of one shape (`Rhythm.clear`).
        """
        level = self.level
        if level == Level.WHOLE:
            return step
        if any(_is_sure(f.condition, clear=clear) for f in step.findings):
            level = Level.LETHAL_ONLY
        said = {True: "analysis suspended", False: "lethal conditions alone are decided"}[level == Level.SUSPENDED]
        trace = f"every lead noisy in {self.noisy_s} of the last {LOOKED_AT} s: {said}"
        kept = [f for f in step.findings if f.condition in holding or _is_kept(CONDITIONS[f.condition], level)]
        if level == Level.LETHAL_ONLY:
            noise = Finding("artefact", end_ns, float(self.noisy_s), LEVEL_1, "s", trace)
            return step._replace(findings=[*kept, noise])
        noise = Finding("artefact_suspended", end_ns, float(self.noisy_s), LEVEL_2, "s", trace)
        return Step([*kept, noise], None, "artefact")


def _is_sure(condition: str, *, clear: bool) -> bool:
    return condition in NEVER_SUSPENDED or (clear and CONDITIONS[condition].lethal)


def _is_kept(condition: Condition, level: Level) -> bool:
    return condition.technical or (condition.lethal and level == Level.LETHAL_ONLY)
