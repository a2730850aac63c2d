"""Risk level of a bed, from what the rules found and what the network saw, with hysteresis in both.

The network raises no alarm. By itself it lifts a bed to `high` at most; `critical` is for a lethal condition that the
rules found. A level rises soon and falls slowly, and never falls for want of a signal. The running mean of what the
network says also tells where it doubts a rule: of atrial fibrillation alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from ecg import alert
from ecg.condition import CONDITIONS

LEVELS: tuple[alert.RiskLevel, ...] = ("low", "guarded", "elevated", "high", "critical")
LOW, GUARDED, ELEVATED, HIGH, CRITICAL = range(len(LEVELS))

RISE_S: tuple[int, ...] = (0, 30, 3, 3, 0)
"""For how long a level must be asked for before a bed rises to it, by level: a lethal condition not at all. The mildest
waits longest: a rate that touches its limit is then no change, and one that becomes an alarm is one change, not two."""
FALL_S, FIRST_S = 300, 30
"""A lower level must hold for `FALL_S` of good signal: within it most alarms would not be given again, so that it is
one episode. The first level is said after `FIRST_S`, or when what asks for more than `low` has held."""
SMOOTHING_S, SLOW_SMOOTHING_S = 6.0, 30.0
"""Time constants of the running mean of the probabilities: of VT, VF and noise, and of what is less urgent."""
BACK = 0.75
"""A probability that lifted a level holds it until it is below this part of its threshold."""
BACK_BPM = 5.0
"""A heart rate that lifted a level holds it until it is back inside by this much."""
NOISE = 0.7
"""From this smoothed probability of `noise` on, the signal counts as bad."""
LETHAL_CLASSES = ("ventricular_tachycardia", "ventricular_fibrillation")
URGENT_CLASSES = (*LETHAL_CLASSES, "noise")


class Threshold(NamedTuple):
    """From this smoothed probability of its classes together, the network lifts a bed to a level."""

    classes: tuple[str, ...]
    probability: float
    level: int
    words: str


THRESHOLDS: tuple[Threshold, ...] = (
    Threshold(LETHAL_CLASSES, 0.85, HIGH, "VT or VF"),
    Threshold(LETHAL_CLASSES, 0.5, ELEVATED, "VT or VF"),
    Threshold(("atrial_fibrillation",), 0.7, GUARDED, "atrial fibrillation"),
    Threshold(("arrhythmia",), 0.8, GUARDED, "an arrhythmia"),
)
"""What the network may ask for; of the thresholds of the same classes the first one that is met counts."""
DOUBTED: dict[str, tuple[float, float]] = {"atrial_fibrillation": (0.1, 0.05)}
"""Conditions of medium priority that are not announced below the first smoothed probability, and are taken back below
the second once they were."""
PART: tuple[tuple[str, str, str, str, str], ...] = (
    ("VT, VF", "no", "risk to `high` at most", "no", "no"),
    (
        *("atrial fibrillation", "no", "risk to `guarded`"),
        f"below {100 * DOUBTED['atrial_fibrillation'][0]:g} % it is withheld, on record; "
        "that intervals are irregular still alarms",
        "no",
    ),
    ("arrhythmia", "no", "risk to `guarded`", "no", "no"),
    ("sinus, SVT, asystole, paced", "no", "told in the evidence", "no", "no"),
    ("noise", "no", "the signal counts as bad for the risk", "no", "no"),
    ("normal, conduction disorder, infarction, hypertrophy, ST-T", "no", "told in the evidence", "no", "no"),
)
"""What an answer of the network may do: raise an alarm by itself, confirm one, down-rank a medium or a lethal one."""
RATES_BPM: tuple[tuple[float, float, int], ...] = (
    (40.0, 140.0, HIGH),
    (45.0, 125.0, ELEVATED),
    (50.0, 110.0, GUARDED),
)
"""A heart rate below the first or above the second asks for the level."""
BY_PRIORITY: dict[str, int] = {"high": CRITICAL, "medium": ELEVATED, "low": GUARDED}
BY_CONDITION: dict[str, int] = {"atrial_fibrillation": GUARDED, "pvcs_per_minute": GUARDED}
"""Alarms that ask for another level than their priority; technical alarms ask for none."""


class Reason(NamedTuple):
    """One piece of evidence: the level that it asks for, the words for it, and its name among those that hold."""

    level: int
    words: str
    name: str = ""


class State(msgspec.Struct):
    """What is kept of a bed between steps; `level` is -1 and times are None until there is one."""

    level: int = -1
    first_ns: int | None = None
    last_ns: int | None = None
    blind_ns: int | None = None
    asked_ns: tuple[int | None, ...] = (None,) * len(LEVELS)
    falling_ns: int | None = None
    falling_to: int = 0
    smoothed: dict[str, float] = {}
    holding: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    bad_signal: bool = False


class RiskLevel:
    """The risk level of one bed, stepped once a second of event time.

    Examples
    --------
    >>> risk = RiskLevel()
    >>> changed = risk.step(0, None, 72.0, ["ventricular_tachycardia"], False, True)
    >>> changed.level, changed.reasons[0]
    ('critical', 'alarm ventricular tachycardia')
    """

    def __init__(self) -> None:
        self._state = State()

    @property
    def current(self) -> alert.Risk | None:
        """The level as of the last step, with its reasons of now; None before the first.

        `probability` is the smoothed, calibrated probability of VT or VF, zero before the network's first answer.
        """
        state = self._state
        if state.level < 0:
            return None
        return alert.Risk(
            LEVELS[state.level], round(_together(state, LETHAL_CLASSES), 4), state.reasons, state.bad_signal
        )

    def step(
        self,
        now_ns: int,
        probabilities: Mapping[str, float] | None,
        heart_rate_bpm: float | None,
        conditions: Sequence[str],
        quality_bad: bool,
        net_running: bool,
    ) -> alert.Risk | None:
        """Take one second's evidence, and return the new risk where its level changed.

        Parameters
        ----------
        now_ns : int
            Event time.
        probabilities : mapping of float by class, or None
            The network's newest answer.
        heart_rate_bpm : float or None
            From the rules; None where no rate can be said.
        conditions : sequence of str
            Names of the alarm conditions that are on.
        quality_bad : bool
            No lead can be trusted now.
        net_running : bool
            False where the rules stand alone.
        """
        state = self._state
        if state.first_ns is None:
            state.first_ns = now_ns
        _smooth(state, now_ns, None if quality_bad else probabilities)
        blind = quality_bad or (probabilities is None and heart_rate_bpm is None)
        blind = blind or _together(state, ("noise",)) >= NOISE
        asked = [*_conditions(conditions), *_rate(state, heart_rate_bpm), *([] if blind else _network(state))]
        state.holding = tuple(reason.name for reason in asked if reason.name)
        asked += _unseen(state, now_ns, blind)
        before = state.level
        _move(state, now_ns, max((reason.level for reason in asked), default=LOW), blind)
        state.last_ns, state.bad_signal = now_ns, blind
        state.reasons = _words(state, asked, heart_rate_bpm, net_running)
        return self.current if state.level != before else None

    def doubt(self, condition: str, *, announced: bool) -> float | None:
        """Return the smoothed probability of a condition where it is so low that an alarm is to be withheld, else None.

        Before the network's first answer nothing is doubted.

        Parameters
        ----------
        condition : str
            Of `DOUBTED`; any other is never doubted.
        announced : bool
            Its alarm is on.

        Examples
        --------
        >>> risk = RiskLevel()
        >>> risk.doubt("atrial_fibrillation", announced=False)
        >>> _ = risk.step(0, {"atrial_fibrillation": 0.07}, 72.0, [], False, True)
        >>> risk.doubt("atrial_fibrillation", announced=False), risk.doubt("atrial_fibrillation", announced=True)
        (0.07, None)
        """
        probability = self._state.smoothed.get(condition)
        if condition not in DOUBTED or probability is None:
            return None
        return probability if probability < DOUBTED[condition][announced] else None

    def snapshot(self) -> bytes:
        """Return the state as bytes."""
        return msgspec.msgpack.encode(self._state)

    def restore(self, kept: bytes) -> None:
        """Put back what `snapshot` returned."""
        self._state = msgspec.msgpack.decode(kept, type=State)


def _together(state: State, classes: Sequence[str]) -> float:
    return sum(state.smoothed.get(name, 0.0) for name in classes)


def _smooth(state: State, now_ns: int, probabilities: Mapping[str, float] | None) -> None:
    """Take an answer into the running mean; without one it stays as it is."""
    if probabilities is None:
        return
    if not state.smoothed or state.last_ns is None:
        state.smoothed = {name: round(float(p), 6) for name, p in probabilities.items()}
        return
    past_s = max(0.0, (now_ns - state.last_ns) / 1e9)
    for name, p in probabilities.items():
        constant_s = SMOOTHING_S if name in URGENT_CLASSES else SLOW_SMOOTHING_S
        old = state.smoothed.get(name, 0.0)
        state.smoothed[name] = round(old + past_s / (constant_s + past_s) * (float(p) - old), 6)


def _conditions(names: Sequence[str]) -> list[Reason]:
    found = [CONDITIONS[name] for name in names if name in CONDITIONS]
    return [
        Reason(BY_CONDITION.get(c.name, BY_PRIORITY[c.priority]), f"alarm {c.name.replace('_', ' ')}")
        for c in found
        if not c.technical and c.name != "risk_level"
    ]


def _rate(state: State, bpm: float | None) -> list[Reason]:
    if bpm is None:
        return []
    for low, high, level in RATES_BPM:
        name = f"rate {level}"
        back = BACK_BPM if name in state.holding else 0.0
        if bpm < low + back:
            return [Reason(level, f"heart rate {bpm:.0f} bpm, low (under {low:g})", name)]
        if bpm > high - back:
            return [Reason(level, f"heart rate {bpm:.0f} bpm, high (over {high:g})", name)]
    return []


def _network(state: State) -> list[Reason]:
    found: dict[tuple[str, ...], Reason] = {}
    for threshold in THRESHOLDS:
        name = f"{threshold.words} {threshold.level}"
        probability = _together(state, threshold.classes)
        if probability >= threshold.probability * (BACK if name in state.holding else 1.0):
            words = f"network sees {threshold.words}, {100 * probability:.0f} %"
            found.setdefault(threshold.classes, Reason(threshold.level, words, name))
    return list(found.values())


def _unseen(state: State, now_ns: int, blind: bool) -> list[Reason]:
    """Return the reason that a bed without a usable signal has: not known to be well."""
    if not blind:
        state.blind_ns = None
        return []
    if state.blind_ns is None:
        state.blind_ns = now_ns
    return [Reason(GUARDED, f"no usable signal for {(now_ns - state.blind_ns) / 1e9:.0f} s")]


def _move(state: State, now_ns: int, asked: int, blind: bool) -> None:
    """Let the level follow what is asked for, after a hold."""
    state.asked_ns = tuple(
        min(now_ns if since is None else since, now_ns) if level <= asked else None
        for level, since in enumerate(state.asked_ns)
    )
    held = max(k for k, since in enumerate(state.asked_ns) if since is not None and now_ns - since >= RISE_S[k] * 1e9)
    if state.level < 0:
        _begin(state, now_ns, asked, held, blind)
        return
    if asked >= state.level or blind:
        state.falling_ns = None
    else:
        _fall(state, now_ns, asked)
    state.level = max(state.level, held)


def _begin(state: State, now_ns: int, asked: int, held: int, blind: bool) -> None:
    """Give a bed its first level, once it was looked at for long enough; earlier where more is known."""
    if state.first_ns is not None and now_ns - state.first_ns >= FIRST_S * 1e9:
        state.level = asked
    elif held == CRITICAL or (held > LOW and not blind):
        state.level = held


def _fall(state: State, now_ns: int, asked: int) -> None:
    if state.falling_ns is None:
        state.falling_ns, state.falling_to = now_ns, asked
    state.falling_to = max(state.falling_to, asked)
    if now_ns - state.falling_ns >= FALL_S * 1e9:
        state.level, state.falling_ns = state.falling_to, None


def _words(state: State, asked: list[Reason], bpm: float | None, net_running: bool) -> tuple[str, ...]:
    """Return reasons in order of weight: what asks for most first, then what the level rests on."""
    words = [reason.words for reason in sorted(asked, key=lambda reason: -reason.level)]
    if max((reason.level for reason in asked), default=LOW) < state.level:
        words.append(f"still {LEVELS[state.level]} from before")
    if state.bad_signal:
        words.append("rests on a bad signal")
    if not words:
        words.append("nothing abnormal found" if bpm is None else f"heart rate {bpm:.0f} bpm, nothing abnormal found")
    if not net_running:
        words.append("model not running, rules alone")
    return tuple(words)


def markdown() -> str:
    """Return the network's part in alarms for the documentation."""
    head = ("answer", "raises an alarm by itself", "lifts or confirms", "down-ranks a medium alarm", "... a lethal one")
    rows = [head, ("---",) * len(head), *PART]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
