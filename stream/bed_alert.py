"""What a bed says: the alert of an alarm's change, of an alarm withheld or of the risk level, and the line of a second.

Whatever is announced of a condition, an alert says the same of the condition, the bed's signal, and what decided it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ecg import alert as message
from ecg.alarm import Transition
from ecg.alert import Alert, Evidence, Phase, Presence, Risk, Source
from ecg.clinical import Settings
from ecg.condition import CONDITIONS, Finding, words
from ecg.quality import Verdict
from stream.bed_state import State
from stream.version import VERSION

STRIP_BEFORE_NS, STRIP_AFTER_NS = 6_000_000_000, 4_000_000_000
_VERDICTS = {int(verdict): verdict.name.lower() for verdict in Verdict}


class Announced(NamedTuple):
    """What is announced of a condition, in which phase of which episode, and why."""

    condition: str
    episode: str
    n: int
    text: str
    phase: Phase
    presence: Presence
    onset_ns: int
    value: float | None
    limit: float | None
    unit: str
    evidence: Evidence


class Origin(NamedTuple):
    """Whose alert it is, of which input, under which settings and weights."""

    device: str
    bed: str
    ward: str
    source: Source
    settings: Settings
    weights_sha256: tuple[str, ...]


def changed(state: State, transition: Transition) -> Announced:
    """Return what is announced of an alarm that changed."""
    t = transition
    evidence = _evidence(state, t.onset_ns, t.trace, t.leads)
    return Announced(
        *(t.condition, t.episode, t.n, t.text, t.phase, t.presence, t.onset_ns),
        *(_rounded(t.value), _rounded(t.limit), t.unit, evidence),
    )


def withheld(state: State, device: str, finding: Finding) -> Announced:
    """Return what is put on record of an alarm that was withheld: an episode of its own, neither sounding nor shown."""
    f = finding
    episode = message.episode_id(device, f"{f.condition} withheld {state.withheld}", f.onset_ns)
    evidence = _evidence(state, f.onset_ns, f.trace, f.leads)
    return Announced(
        *(f.condition, episode, 0, words(f), "suppressed", "off", f.onset_ns),
        *(_rounded(f.value), _rounded(f.limit), f.unit, evidence),
    )


def risen_or_fallen(state: State, device: str, risk: Risk) -> Announced:
    """Return what is announced of a bed's risk level that changed."""
    text = CONDITIONS["risk_level"].text.format(level=risk.level)
    phase: Phase = "update" if state.risk_n else "start"
    evidence = Evidence("; ".join(risk.reasons), probabilities=state.probabilities or {}, beats=state.beats)
    return Announced(
        *("risk_level", message.episode_id(device, "risk_level", state.risk_onset_ns), state.risk_n, text),
        *(phase, "on", state.now_ns, risk.probability, None, "probability", evidence),
    )


def alert(announced: Announced, state: State, origin: Origin, risk: Risk | None) -> Alert:
    """Put an alert together from what is announced and what the bed knows."""
    condition, a = CONDITIONS[announced.condition], announced
    return Alert(
        id=message.alert_id(a.episode, a.n),
        episode=a.episode,
        n=a.n,
        ordinal=state.ordinal,
        chain=state.chain,
        device=origin.device,
        bed=origin.bed,
        ward=origin.ward,
        condition=condition.name,
        code=condition.code,
        priority=condition.priority,
        text=a.text,
        phase=a.phase,
        presence=a.presence,
        onset_ns=a.onset_ns,
        decided_ns=state.now_ns,
        value=a.value,
        limit=a.limit,
        unit=a.unit,
        risk=risk,
        evidence=a.evidence,
        source=origin.source,
        weights_sha256=origin.weights_sha256,
        settings_sha256=origin.settings.sha256(),
        version=VERSION,
    )


def quality(state: State) -> dict[str, str]:
    """Return the last verdict on each lead in words."""
    return {name: _VERDICTS[code] for name, code in zip(state.leads, state.quality, strict=False)}


def sparkline(trace: NDArray[np.float32]) -> tuple[float, ...]:
    """Bring one second of a lead to 25 values, each the farthest from zero of its ten."""
    return tuple(_peaks(trace).tolist())


@njit(cache=True, nogil=True)
def _peaks(trace: NDArray[np.float32]) -> NDArray[np.float64]:
    peaks = np.zeros(len(trace) // 10)
    for at in range(10 * len(peaks)):
        value = np.float64(trace[at])
        if abs(value) > abs(peaks[at // 10]):  # never of one that is missing
            peaks[at // 10] = value
    return np.rint(1000.0 * peaks) / 1000.0  # exact: a float32 has 24 bits, and 1000 has 10


def _evidence(state: State, onset_ns: int, trace: str, leads: tuple[str, ...]) -> Evidence:
    return Evidence(
        trace=trace,
        beats=state.beats,
        probabilities=state.probabilities or {},
        quality=quality(state),
        leads=leads,
        strip=(onset_ns - STRIP_BEFORE_NS, state.now_ns + STRIP_AFTER_NS),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)
