"""The artefact ladder: how much of a bed's analysis can be trusted, from second to second.

Level 1: only lethal conditions are still decided. Level 2, where 20 of the last 30 seconds were noisy: analysis is
suspended. Both as GE's monitors have them. A second is noisy for a bed only if it is noisy on every lead that has a
signal; a lead that is flat is never noisy, since it may show asystole.

Fibrillation looks like noise, so it is given the benefit of the doubt twice: while the wave itself is judged
fibrillatory (`ecg.fibrillation`), and for some seconds after, the ladder stays at level 1; and so it does as soon as
the last seconds were not noisy, however many were before, so that a tachycardia which begins out of noise is seen.

On the records that this was tried on, what the reference calls noise is mostly no such noise: see `docs/denoising.md`.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from ecg.quality import Verdict

LOOKED_AT = 30
"""Seconds that the ladder looks back on."""
LEVEL_1, LEVEL_2 = 10, 20
"""Noisy seconds among these from which a level holds."""
FIBRILLATORY_S = 4
"""Seconds from one with a fibrillatory judgement on during which nothing is suspended, that one included."""
QUIET_S = 3
"""So many seconds in a row that are not noisy suspend nothing."""

NOISY = frozenset({Verdict.MUSCLE, Verdict.MAINS})
"""Verdicts that make a second noisy on a lead, beside its being restless."""
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
        verdict in NOISY or (restless and verdict != Verdict.FLAT) for verdict, restless in present
    )


class Ladder:
    """The level of one bed.

    Examples
    --------
    >>> ladder = Ladder()
    >>> [int(ladder.step(noisy=True, fibrillatory=False)) for _ in range(22)][8:]
    [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2]
    >>> int(ladder.step(noisy=True, fibrillatory=True))
    1
    """

    def __init__(self) -> None:
        self._noisy = 0
        self._held_s = 0

    def step(self, *, noisy: bool, fibrillatory: bool) -> Level:
        """Take one second more and return the level that holds from its end on.

        Parameters
        ----------
        noisy : bool
            Whether it was noisy (`is_noisy`).
        fibrillatory : bool
            Whether a judgement of `ecg.fibrillation` that came in during it called the wave fibrillatory.
        """
        self._noisy = (self._noisy << 1 | noisy) & ((1 << LOOKED_AT) - 1)
        self._held_s = FIBRILLATORY_S if fibrillatory else max(0, self._held_s - 1)
        return self.level

    @property
    def level(self) -> Level:
        """The level that holds now."""
        seconds = self._noisy.bit_count()
        if seconds < LEVEL_1:
            return Level.WHOLE
        quiet = not self._noisy & ((1 << QUIET_S) - 1)
        return Level.LETHAL_ONLY if seconds < LEVEL_2 or self._held_s or quiet else Level.SUSPENDED

    def snapshot(self) -> tuple[int, int]:
        """Return the state: the last seconds as bits, and how long nothing is suspended yet."""
        return self._noisy, self._held_s

    def restore(self, kept: tuple[int, int]) -> None:
        """Put back what `snapshot` returned.

        Raises
        ------
        ValueError
            If no ladder can be in that state.
        """
        noisy, held_s = kept
        if not (0 <= noisy < 1 << LOOKED_AT and 0 <= held_s <= FIBRILLATORY_S):
            raise ValueError(f"a ladder must hold {LOOKED_AT} seconds and 0 to {FIBRILLATORY_S} s, got {kept}")
        self._noisy, self._held_s = noisy, held_s
