"""Conditions that hold, and how they stand to each other: which are lethal, which cover which.

What each of them is stands in `ecg.condition_table`. Lethal conditions cannot be switched off, latch, and are decided
by rules alone.
"""

from __future__ import annotations

from typing import NamedTuple

from ecg.condition_table import ALL, Condition, Priority

__all__ = ["CHAINS", "CONDITIONS", "LETHAL", "MAY_BE_OFF", "RANK", "Condition", "Finding", "Priority", "words", "worse"]

RANK: dict[str, int] = {"low": 0, "medium": 1, "high": 2}


class Finding(NamedTuple):
    """A condition that holds now, as a rule found it.

    `onset_ns` is the event time of its first evidence; `value` and `limit` what the rule compared, in `unit`; `trace`
    the rule in one short line, for people and machines; `leads` the names of the leads that show it.
    """

    condition: str
    onset_ns: int
    value: float | None = None
    limit: float | None = None
    unit: str = ""
    trace: str = ""
    leads: tuple[str, ...] = ()


CONDITIONS: dict[str, Condition] = {condition.name: condition for condition in ALL}
"""Every condition by its name; the order is the order in which chains are read, worst first."""
LETHAL: tuple[str, ...] = tuple(c.name for c in ALL if c.lethal)
"""The conditions that cannot be switched off."""
MAY_BE_OFF: tuple[str, ...] = tuple(c.name for c in ALL if c.priority == "medium" and not c.technical)
"""Those that a ward may switch off: rhythms, ST and QTc, of medium priority."""
CHAINS: tuple[tuple[str, ...], ...] = (
    (
        "asystole",
        "extreme_bradycardia",
        "pacer_not_capturing",
        "pacer_not_pacing",
        "pause",
        "rate_low",
        "missed_beat",
    ),
    (
        "ventricular_fibrillation",
        "ventricular_tachycardia",
        "extreme_tachycardia",
        "supraventricular_tachycardia",
        "rate_high",
    ),
    (
        "ventricular_fibrillation",
        "ventricular_tachycardia",
        "extreme_tachycardia",
        "nonsustained_vt",
        "ventricular_rhythm",
        "pvc_run",
        "couplet",
        "r_on_t",
        "bigeminy",
        "trigeminy",
        "pvcs_per_minute",
        "multiform_pvcs",
    ),
    ("atrial_fibrillation", "irregular_rhythm", "missed_beat"),
    ("qtc_high", "qtc_delta"),
    ("artefact_suspended", "artefact"),
    ("all_leads_off", "lead_off"),
)
"""Conditions of which only the worst that holds is announced, worst first; one may stand in several."""


def worse(name: str) -> tuple[str, ...]:
    """Return the conditions that cover one: those before it in any of its chains.

    Examples
    --------
    >>> worse("pause")[:3], worse("rate_high")[-1]
    (('asystole', 'extreme_bradycardia', 'pacer_not_capturing'), 'supraventricular_tachycardia')
    """
    before = {other for chain in CHAINS if name in chain for other in chain[: chain.index(name)]}
    return tuple(other for other in CONDITIONS if other in before)


class _Unknown:
    """Stands for a number that no rule gave, in any format."""

    def __format__(self, spec: str) -> str:
        return "?"


def words(finding: Finding) -> str:
    """Return a finding in the words of its condition's `text`, with '?' for what it does not say.

    Examples
    --------
    >>> words(Finding("rate_low", 0, 38.2, 50.0, "bpm")), words(Finding("lead_off", 0, leads=("II", "V1")))
    ('** HR 38 < 50 bpm', '! LEAD OFF II V1')
    """
    value, limit = (_Unknown() if number is None else number for number in (finding.value, finding.limit))
    leads = " ".join(finding.leads) or "?"
    return CONDITIONS[finding.condition].text.format(value=value, limit=limit, leads=leads, level=finding.trace or "?")
