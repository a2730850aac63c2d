"""The conditions that alarm, in one table: priority, code, words, latching and whether they are lethal.

Priorities and definitions after manufacturers' manuals; codes are IEEE 11073 MDC, SNOMED CT, or Vigil's own where those
have none that fits. Lethal conditions cannot be switched off, latch, and are decided by rules alone.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Priority = Literal["high", "medium", "low"]
RANK: dict[str, int] = {"low": 0, "medium": 1, "high": 2}


class Condition(NamedTuple):
    """What a condition is to a ward.

    `text` is formatted with `value` and `limit`; `delay_s` is how long it must hold before it alarms, beyond what its
    definition says; a latching one stays visible after it ended until somebody acknowledges it; it has ended once it
    was absent for `hold_s`, so that a flicker is one episode; one `by_lead` speaks again when a further lead joins.
    """

    name: str
    priority: Priority
    code: str
    text: str
    lethal: bool = False
    latching: bool = False
    technical: bool = False
    delay_s: float = 0.0
    hold_s: float = 3.0
    by_lead: bool = False


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


_ALL = (
    Condition(
        "asystole", "high", "MDC 199684", "*** ASYSTOLE no beat for {value:.1f} s (limit {limit:g} s)", True, True
    ),
    Condition(
        "ventricular_fibrillation",
        "high",
        "SNOMED 71908006",
        "*** VFIB/FLUTTER for {value:.1f} s",
        True,
        True,
        hold_s=6.0,
    ),
    Condition(
        "ventricular_tachycardia",
        "high",
        "SNOMED 25569003",
        "*** VTACH {value:.0f} bpm (limit {limit:g})",
        True,
        True,
        hold_s=6.0,
    ),
    Condition("extreme_bradycardia", "high", "MDC 199692", "*** EXTREME BRADY {value:.0f} < {limit:g} bpm", True, True),
    Condition("extreme_tachycardia", "high", "MDC 199870", "*** EXTREME TACHY {value:.0f} > {limit:g} bpm", True, True),
    Condition("atrial_fibrillation", "medium", "MDC 199736", "** AFIB, rate {value:.0f} bpm", hold_s=30.0),
    Condition("rate_high", "medium", "MDC 199870", "** HR {value:.0f} > {limit:g} bpm", delay_s=5.0, hold_s=5.0),
    Condition("rate_low", "medium", "MDC 199692", "** HR {value:.0f} < {limit:g} bpm", delay_s=5.0, hold_s=5.0),
    Condition("pvcs_per_minute", "medium", "MDC 148066", "** PVCs {value:.0f}/min (limit {limit:g})", hold_s=10.0),
    Condition("no_data", "medium", "VIGIL no_data", "! NO DATA for {value:.0f} s", technical=True, hold_s=0.0),
    Condition(
        "cannot_analyse", "medium", "VIGIL cannot_analyse", "! CANNOT ANALYSE ECG for {value:.0f} s", technical=True
    ),
    Condition("all_leads_off", "medium", "MDC 196876", "! ALL LEADS OFF for {value:.0f} s", technical=True),
    Condition("lead_off", "low", "MDC 196876", "! LEAD OFF {leads}", technical=True, by_lead=True),
    Condition("flat_signal", "low", "MDC 197040", "! FLAT SIGNAL on all leads, lead not reported off", technical=True),
    Condition("data_gap", "low", "VIGIL data_gap", "! GAP in the data, {value:.1f} s", technical=True),
    Condition(
        "data_loss", "medium", "VIGIL data_loss", "! DATA LOST, {value:.0f} records of the log missing", technical=True
    ),
    Condition("clock_skew", "low", "VIGIL clock_skew", "! DEVICE CLOCK stepped {value:.1f} s", technical=True),
    Condition("bad_frames", "low", "VIGIL bad_frames", "! DEVICE sends bad frames ({value:.0f})", technical=True),
    Condition("rules_alone", "low", "VIGIL rules_alone", "! MODEL not running, rules alone", technical=True),
    Condition(
        "store_down", "high", "VIGIL store_down", "! ALERTS NOT SHOWN, Redis silent {value:.0f} s", technical=True
    ),
    Condition(
        "alert_conflict", "high", "VIGIL alert_conflict", "! CONFLICT: an alert came again changed", technical=True
    ),
    Condition("chain_fork", "high", "VIGIL chain_fork", "! FORK: two alerts follow the same one", technical=True),
    Condition("risk_level", "low", "VIGIL risk_level", "risk {level}"),
)

CONDITIONS: dict[str, Condition] = {condition.name: condition for condition in _ALL}
"""Every condition by its name; the order is the order in which chains are read, worst first."""
LETHAL: tuple[str, ...] = tuple(c.name for c in _ALL if c.lethal)
"""The conditions that cannot be switched off."""
CHAINS: tuple[tuple[str, ...], ...] = (
    ("asystole", "extreme_bradycardia", "rate_low"),
    (
        "ventricular_fibrillation",
        "ventricular_tachycardia",
        "extreme_tachycardia",
        "rate_high",
        "pvcs_per_minute",
    ),
    ("all_leads_off", "lead_off"),
)
"""Conditions of which only the worst that holds is announced, worst first."""


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
