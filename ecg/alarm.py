"""The alarm state machine of one device's bed: from conditions that hold to alarms that start, change and end.

After IEC 60601-1-8 (its public descriptions): each condition has its own state, delay and latching; acknowledging
silences one condition; a pause silences the sound for a finite time and no lethal alarm; of a chain of conditions the
worst is announced, and for a while after it ended neither it nor a milder one, if of medium priority, sounds again:
that is logged. What may follow what is in one table (`ecg.alarm_table`); nothing here reads a clock.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from ecg.alarm_table import TABLE, Event, Stage
from ecg.alert import Phase, Presence, alert_id, episode_id
from ecg.clinical import Limits
from ecg.condition import CONDITIONS, RANK, Finding, words, worse
from ecg.frame import MAX_PAUSE_S, Acknowledge, Action, Admit, ChangeLimits, Discharge, Pause, Standby

UNASSIGNED = "unassigned"
"""The ward of a device that nobody admitted; its bed is the device."""
REMIND_NS = 150_000_000_000
"""An acknowledged alarm whose condition still holds sounds again after this long."""
CLOCK_NS = 10_000_000_000
"""Time that runs back by more than this is a clock that was set, and not waited out."""

_VISIBLE, _HOLDING, _HEARD = ("on", "acknowledged", "latched"), ("on", "covered", "acknowledged"), ("on", "latched")
_WAITING = ("pending", "inhibited")
_ORDER = sorted(CONDITIONS, key=lambda name: -RANK[CONDITIONS[name].priority])
_PLACE = {name: place for place, name in enumerate(_ORDER)}
_WORSE = {name: frozenset(worse(name)) for name in CONDITIONS}


class Transition(NamedTuple):
    """One change of an alarm that is to be announced, with the ward and bed that it belongs to."""

    condition: str
    phase: Phase
    presence: Presence
    onset_ns: int
    n: int
    episode: str
    value: float | None
    limit: float | None
    unit: str
    text: str
    trace: str
    leads: tuple[str, ...]
    ward: str
    bed: str


class Episode(msgspec.Struct):
    """One alarm of one condition: its stage, its next `n`, and what was found last.

    `since` is when it began to hold, `seen` when it held last, `acknowledged` when somebody acknowledged it, `leads`
    when each lead showed it last; all in the machine's own time, which never runs back. `held_ns` is the event time at
    which it held last.
    """

    finding: Finding
    onset_ns: int
    id: str
    since: int
    seen: int
    stage: Stage = "pending"
    n: int = 0
    acknowledged: int = 0
    leads: dict[str, int] = {}
    held_ns: int = 0


class State(msgspec.Struct):
    """All that the machine knows of a bed.

    `now` is its own time and `clock_ns` the latest it was told; `used_ns` holds, by condition, the onset that the last
    announced finding had and the one that its episode was given, `ended` when its last alarm ended in the own time.
    """

    device: str
    patient: Admit | None = None
    limits: Limits = Limits()
    standby: bool = False
    paused_until: int | None = None
    now: int = 0
    clock_ns: int = 0
    episodes: dict[str, Episode] = {}
    used_ns: dict[str, tuple[int, int]] = {}
    ended: dict[str, int] = {}


_decoder = msgspec.msgpack.Decoder(State)


class Alarm:
    """The alarms of one device's bed.

    Examples
    --------
    >>> alarm = Alarm("monitor-1")
    >>> [(step.phase, step.text) for step in alarm.feed(9, [Finding("asystole", 5, 4.0, 4.0, "s")])]
    [('start', '*** ASYSTOLE no beat for 4.0 s (limit 4 s)')]
    >>> [(step.phase, step.presence) for step in alarm.feed(10 * 10**9, [])]
    [('update', 'latched')]
    """

    def __init__(self, device: str) -> None:
        self.state = State(device)

    @property
    def admitted(self) -> bool:
        """Whether the device has a patient."""
        return self.state.patient is not None

    @property
    def paced(self) -> bool:
        """Whether the device's patient is said to have a pacemaker."""
        return self.state.patient is not None and self.state.patient.paced

    @property
    def ward(self) -> str:
        """The ward that hears the alarms."""
        return self.state.patient.ward if self.state.patient else UNASSIGNED

    @property
    def bed(self) -> str:
        """The bed, or the device itself where nobody admitted it."""
        return self.state.patient.bed if self.state.patient else self.state.device

    @property
    def limits(self) -> Limits:
        """The limits of this patient."""
        return self.state.limits

    @property
    def standby(self) -> bool:
        """Whether monitoring is stopped because the patient is away."""
        return self.state.standby

    @property
    def paused_s(self) -> float:
        """How long the sound stays paused, in seconds; 0 where it is not."""
        until = self.state.paused_until
        return 0.0 if until is None else (until - self.state.now) / 1e9

    def active(self) -> tuple[str, ...]:
        """Return the conditions that a board shows, on, acknowledged or latched, worst first."""
        return self._in(_VISIBLE)

    def holding(self) -> tuple[str, ...]:
        """Return the conditions that hold now and were due, announced or covered, worst first."""
        return self._in(_HOLDING)

    def sounding(self) -> tuple[str, ...]:
        """Return the conditions that sound, worst first: not acknowledged, and in a pause the lethal ones alone."""
        heard = self._in(_HEARD)
        return tuple(name for name in heard if CONDITIONS[name].lethal or self.state.paused_until is None)

    def feed(self, now_ns: int, findings: Sequence[Finding]) -> list[Transition]:
        """Take all conditions that hold now and return what changes, worst first.

        Raises
        ------
        ValueError
            If a condition is not in the table; nothing has changed then.
        """
        for finding in findings:
            if finding.condition not in CONDITIONS:
                raise ValueError(f"condition must be one of {', '.join(CONDITIONS)}, got {finding.condition!r}")
        state = self.state
        self._pass_time(now_ns)
        if state.standby or not (findings or self._goes_on()):
            return []
        found = {finding.condition: _plain(finding) for finding in reversed(findings)}
        changes: list[Transition] = []
        for name in _in_order({*found, *state.episodes}):
            changes += self._hold(name, found[name], now_ns) if name in found else self._miss(name)
        return changes

    def command(self, now_ns: int, action: Action) -> list[Transition]:
        """Carry out what staff asked for and return what changes; nothing where there is nothing to do.

        Raises
        ------
        ValueError
            If a pause is too long, or limits contradict those in force; nothing has changed then.
        """
        self._pass_time(now_ns)
        match action:
            case Admit() | Discharge():
                return self._change_patient(action if isinstance(action, Admit) else None)
            case Standby(on=on):
                self.state.standby = on
                return self._reset() if on else []
            case Acknowledge(alert=alert):
                return self._acknowledge(alert)
            case Pause(seconds=seconds):
                self._pause(seconds)
            case ChangeLimits(limits=limits):
                self._change_limits(limits)
        return []

    def snapshot(self) -> bytes:
        """Return the state as bytes."""
        return msgspec.msgpack.encode(self.state)

    def restore(self, kept: bytes) -> None:
        """Put back a state that `snapshot` returned; raises msgspec.DecodeError on other bytes."""
        self.state = _decoder.decode(kept)

    def _in(self, stages: Sequence[str]) -> tuple[str, ...]:
        """Return the conditions whose alarm is at one of some stages, worst first."""
        there = [name for name, episode in self.state.episodes.items() if episode.stage in stages]
        return tuple(_in_order(there)) if there else ()

    def _goes_on(self) -> bool:
        """Say whether there is an alarm that may change by itself: one that is latched waits for staff."""
        return any(episode.stage != "latched" for episode in self.state.episodes.values())

    def _pass_time(self, now_ns: int) -> None:
        state = self.state
        passed = now_ns - state.clock_ns
        if passed > 0 or passed < -CLOCK_NS:
            state.now += max(passed, 0)
            state.clock_ns = now_ns
        if state.paused_until is not None and state.now >= state.paused_until:
            state.paused_until = None

    def _hold(self, name: str, finding: Finding, now_ns: int) -> list[Transition]:
        """Let a condition hold: begin, become due, be covered or not by a worse one, spread, be reminded of."""
        changes: list[Transition] = []
        covered, episodes = self._is_covered(name), self.state.episodes
        if name in episodes and episodes[name].stage == "latched" and not covered:
            changes += self._step(name, "holds")
        if name not in episodes:
            self._begin(name, finding, now_ns)
        episode, condition, now = episodes[name], CONDITIONS[name], self.state.now
        if episode.stage != "latched":
            episode.finding, episode.seen, episode.held_ns = finding, now, now_ns
        spreads = condition.by_lead and self._spreads(episode, condition.hold_s)
        changes += self._step(name, "covered" if covered else "uncovered")
        if episode.stage in _WAITING and not covered and now - episode.since >= condition.delay_s * 1e9:
            return changes + self._step(name, "inhibited" if self._inhibited_s(name) > 0 else "due")
        if spreads:
            changes += self._step(name, "spreads")
        if episode.stage == "acknowledged" and not condition.technical and now - episode.acknowledged >= REMIND_NS:
            changes += self._step(name, "remind")
        return changes

    def _spreads(self, episode: Episode, hold_s: float) -> bool:
        """Note the leads that show a condition, and say whether one did not before."""
        now, before = self.state.now, episode.leads
        joined = any(now - before.get(lead, -math.inf) > hold_s * 1e9 for lead in episode.finding.leads)
        episode.leads = before | dict.fromkeys(episode.finding.leads, now)
        return joined

    def _miss(self, name: str) -> list[Transition]:
        """Let a condition be absent: what waited is forgotten, what was announced ends after its hold-off."""
        episode, condition = self.state.episodes[name], CONDITIONS[name]
        if episode.stage != "pending" and self.state.now - episode.seen < condition.hold_s * 1e9:
            return self._step(name, "covered" if self._is_covered(name) else "uncovered")
        latches = condition.latching and episode.stage in ("on", "covered")
        return self._step(name, "latches" if latches else "gone") if episode.stage != "latched" else []

    def _is_covered(self, name: str) -> bool:
        """Whether a worse condition of the chain is announced; a lethal one yields to none that was acknowledged."""
        covering, episodes = ("on",) if CONDITIONS[name].lethal else ("on", "acknowledged"), self.state.episodes
        worse_ones = _WORSE[name]
        return any(other in worse_ones and each.stage in covering for other, each in episodes.items())

    def _inhibited_s(self, name: str) -> float:
        """Return for how long a condition does not sound yet because one of it, or a worse one, ended not long ago."""
        inhibit_s, ended = CONDITIONS[name].inhibit_s, self.state.ended
        if not inhibit_s:
            return 0.0
        last = max((ended[other] for other in (name, *_WORSE[name]) if other in ended), default=None)
        return 0.0 if last is None else inhibit_s - (self.state.now - last) / 1e9

    def _begin(self, name: str, finding: Finding, now_ns: int) -> None:
        # an episode's id comes from its onset: one that goes on after its episode was ended is given another
        used_ns = self.state.used_ns.get(name, (-1, -1))
        onset_ns = finding.onset_ns if finding.onset_ns not in used_ns else max(now_ns, used_ns[1] + 1)
        now, episode = self.state.now, episode_id(self.state.device, name, onset_ns)
        self.state.episodes[name] = Episode(finding, onset_ns, episode, since=now, seen=now)

    def _step(self, name: str, event: Event) -> list[Transition]:
        episode = self.state.episodes[name]
        step = TABLE.get((episode.stage, event))
        if step is None:
            return []
        if step.stage == "inactive":
            del self.state.episodes[name]
            if event == "gone" and episode.stage not in _WAITING and CONDITIONS[name].inhibit_s:
                self.state.ended[name] = self.state.now
        episode.stage = step.stage
        if step.phase is None:
            return []
        n, episode.n, found = episode.n, episode.n + 1, episode.finding
        found = found._replace(trace=found.trace + self._aside(name, episode, step.phase))
        self.state.used_ns[name] = (found.onset_ns, episode.onset_ns)
        return [
            Transition(
                *(name, step.phase, step.presence, episode.onset_ns, n, episode.id),
                *(found.value, found.limit, found.unit, words(found), found.trace, found.leads, self.ward, self.bed),
            )
        ]

    def _aside(self, name: str, episode: Episode, phase: Phase) -> str:
        """Return what the machine itself has to say of an alarm: how long it held, or for how long it is inhibited."""
        if phase == "end":
            return f"; held for {max(0, episode.held_ns - episode.onset_ns) / 1e9:.1f} s"
        if phase == "suppressed":
            return f"; inhibited for {self._inhibited_s(name):.1f} s more, after one that ended"
        return ""

    def _reset(self) -> list[Transition]:
        self.state.ended = {}
        return [change for name in _in_order(self.state.episodes) for change in self._step(name, "reset")]

    def _change_patient(self, patient: Admit | None) -> list[Transition]:
        """Begin or end a patient; the same bed again only corrects what is known of its patient."""
        state, place = self.state, (self.ward, self.bed)
        if patient and state.patient and (patient.ward, patient.bed) == place:
            state.patient = patient
            return []
        changes = self._reset()
        state.patient, state.limits, state.standby, state.paused_until = patient, Limits(), False, None
        return changes

    def _acknowledge(self, alert: str) -> list[Transition]:
        for name, episode in self.state.episodes.items():
            if alert == episode.id or alert in (alert_id(episode.id, n) for n in range(episode.n)):
                episode.acknowledged = self.state.now
                return self._step(name, "acknowledge")
        return []

    def _pause(self, seconds: int) -> None:
        if not 0 <= seconds <= MAX_PAUSE_S:
            raise ValueError(f"pause must be between 0 and {MAX_PAUSE_S} s, got {seconds}")
        self.state.paused_until = self.state.now + seconds * 1_000_000_000 if seconds else None

    def _change_limits(self, limits: Limits) -> None:
        given = {name: value for name, value in msgspec.structs.asdict(limits).items() if value is not None}
        merged = msgspec.structs.replace(self.state.limits, **given)
        merged.check()
        self.state.limits = merged


def _in_order(names: Iterable[str]) -> list[str]:
    """Return those names that are conditions, worst first."""
    return sorted({name for name in names if name in _PLACE}, key=_PLACE.__getitem__)


def _plain(finding: Finding) -> Finding:
    """Return a finding in Python's own numbers, none where a number is not finite: they are kept, and sent as JSON."""
    name, onset_ns, value, limit, unit, trace, leads = finding
    return Finding(name, int(onset_ns), _number(value), _number(limit), unit, trace, tuple(leads))


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
