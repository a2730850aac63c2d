"""One device and its patient: what was heard in order, the rules, the alarms, and the alerts that come of them.

Everything here is sequential and pure: entries in the order of the log go in, alerts and vitals come out. The array
stages have run before, for many beds together; what they found waits here until its sample's time has come.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence

from ecg import alert as message
from ecg.alarm import CLOCK_NS, Alarm, Transition
from ecg.alert import Risk, Source, Vitals
from ecg.artefact import Ladder, Level
from ecg.clinical import Limits, Settings
from ecg.condition import LETHAL, Finding
from ecg.confirm import LATE, Confirm
from ecg.frame import ChangeLimits, Discharge, Setup
from ecg.frontend import Analysis
from ecg.lead import PULSE_KINDS
from ecg.quality import Verdict
from ecg.resample import ANALYSIS_HZ
from ecg.rhythm import STEP, Rhythm, Step
from ecg.rhythm_st import StQt
from ecg.timeline import Piece, Timeline
from ecg.wardclock import WardClock
from ecg.window import Windows
from model.risk import RiskLevel
from stream import bed_alert, snapshot
from stream.bed_alert import Announced, Origin
from stream.bed_state import (
    FIBRILLATORY,
    LABEL,
    RR_S,
    SAMPLE_NS,
    Arrival,
    Given,
    Heard,
    Lost,
    Order,
    Pending,
    Row,
    State,
    Time,
)
from stream.bed_technical import BAD_FRAMES, technical
from stream.seal import Head
from stream.snapshot import Kept

SNAPSHOT_EVERY_NS = 5_000_000_000
CHECKPOINT_EVERY_NS = 600_000_000_000
REMEMBERED_S = 60
"""Seconds of input offsets that are kept, so that an alert can name the first offset of its evidence."""
SILENT_NS = 2_000_000_000
"""A device silent for this long is shown without a rate, also where its limit allows longer silences."""
LEAVING_NS = 10_000_000_000
"""A device that nobody misses is shown as ended until it was silent for this long."""
TELLING = frozenset({*LETHAL, "all_leads_off", "artefact_suspended"})
"""Findings that say what becomes of a heart, or why none is seen, where there is no rate."""
DOUBTED, FIBRILLATING, IRREGULAR = "atrial_fibrillation", "atrial fibrillation", "irregular"
"""The condition that the network may doubt, what its rhythm is called, and what instead where it does."""
MOST_SPIKES = 64
"""Most pacer spikes that are taken from one piece: what a device that flags every sample takes is bounded."""
FORGET_NS = 60_000_000_000
"""A device without a patient and without any alarm is forgotten once it was silent for so long."""


class Bed:
    """One device and its patient.

    Parameters
    ----------
    device, topic, partition : str, str, int
        Whose log this is, and where it lies.
    setup : Setup
        In force when the device was first heard of.
    clock : WardClock
        The ward's time then.

    Attributes
    ----------
    mark : Head or None
        Where the chain stood at a minute's first tick, until it is sealed.
    handed_on : Head of a snapshot, or None
        Of one that could not be read further: its chain goes on behind the offset that it covers.
    """

    def __init__(self, device: str, topic: str, partition: int, setup: Setup, clock: WardClock) -> None:
        self.device, self.topic, self.partition = device, topic, partition
        now_ns = clock.now_ns
        self.state = State(setup=setup, tick_ns=now_ns, frame_tick_ns=now_ns, arrived_ns=now_ns, clock=clock.copy())
        self.timeline, self.rhythm, self.alarm, self.risk = Timeline(), Rhythm(()), Alarm(device), RiskLevel()
        self.windows, self.confirm, self.st_qt = Windows(0), Confirm((), ()), StQt(())
        self.front: int | None = None
        self.handed_on: snapshot.Head | None = None
        self.mark: Head | None = None
        self._stagger = zlib.crc32(device.encode()) % 1000
        self._pending = Pending()
        self._given = Given([], [], [])
        self._in_force: tuple[Settings, Limits, Settings] | None = None

    @property
    def setup(self) -> Setup:
        """The setup in force for this device."""
        assert self.state.setup is not None
        return self.state.setup

    @property
    def fails(self) -> bool:
        """Whether what the device sends has not been accepted for some time."""
        return self.state.bad_frames >= BAD_FRAMES

    @property
    def sends(self) -> bool:
        """Whether a frame of the device was accepted lately, by the ward's clock."""
        return self.state.n_in > 0 and self.state.tick_ns - self.state.frame_tick_ns < FORGET_NS

    def restart(self, piece: Piece, leads: tuple[str, ...]) -> None:
        """Begin a new stretch of samples: a new session, other leads, or the far side of a long gap."""
        state = self.state
        state.leads, state.rate_hz = leads, piece.rate_hz
        state.n_in = state.clean_end = state.step_end = 0
        state.off, state.offsets, state.quality, state.probabilities = [], [], (), None
        state.ladder, state.fibrillatory, state.spikes = Ladder(), False, []
        self.windows, self._pending = Windows(len(leads)), Pending()
        self.rhythm, self.st_qt = Rhythm(leads), StQt(leads, baseline=self.st_qt.baseline)
        self.confirm = Confirm([each.name for each in piece.leads if each.kind in PULSE_KINDS], leads)

    def consume(
        self,
        heard: list[Heard],
        ends: Mapping[int, int],
        analysis: Analysis | None,
        probabilities: list[tuple[int, dict[str, float]]],
    ) -> Given:
        """Go through entries in order; `ends` gives, by a piece's index, the clean samples there are after it."""
        self._given = Given([], [], [])
        if analysis is not None:
            self._pending.add(analysis, probabilities)
        for at, (offset, what) in enumerate(heard):
            if self.handed_on is not None and offset > self.handed_on.covers:
                self.state.chain, self.state.links = self.handed_on.chain, self.handed_on.links
                self.handed_on = None
            if offset != self.state.offset:
                self.state.offset, self.state.ordinal = offset, 0
            match what:
                case Piece():
                    self._piece(what, ends[at])
                case Time(now_ns, sealing):
                    if sealing:
                        self._mark(now_ns)
                    self._time(now_ns)
                case Order():
                    self._command(what)
                case Lost(records):
                    self.state.lost, self.state.lost_ns = records, self.state.now_ns
                case Setup():
                    self.set_up(what)
                case Arrival.GOOD:
                    self.state.frame_tick_ns, self.state.bad_frames = self.state.tick_ns, 0
                case Arrival.BAD:
                    self.state.bad_frames += 1
        return self._given

    def set_up(self, setup: Setup) -> None:
        """Put a setup into force."""
        self.state.setup = setup
        if setup.weights.get("net") is None:
            self.state.probabilities = None

    def _piece(self, piece: Piece, clean_end: int) -> None:
        state = self.state
        state.ended = piece.last
        state.anchor_ns = piece.t_ns - round(piece.first * 1e9 / piece.rate_hz)
        state.clean_end = clean_end
        for kind, seconds in piece.notes:
            if kind == "gap":
                state.gap_s, state.gap_ns = seconds, piece.t_ns
            else:
                state.skew_s, state.skew_ns = seconds, piece.t_ns
        ratio = ANALYSIS_HZ / piece.rate_hz
        state.spikes += [round((piece.first + spike) * ratio) for spike in piece.pacer][:MOST_SPIKES]
        settings, paced = self._settings(), self.alarm.paced
        while state.step_end + STEP <= clean_end:
            state.step_end += STEP
            self._step(state.step_end, settings, paced=paced)
        state.heard_ns = state.now_ns

    def _step(self, end: int, settings: Settings, *, paced: bool) -> None:
        """Decide at one place of the step grid, from all that was known by then and nothing later."""
        state, pending = self.state, self._pending
        end_ns = state.anchor_ns + end * SAMPLE_NS
        self._advance(end_ns)
        if end % ANALYSIS_HZ < STEP:
            state.offsets = [*state.offsets[-REMEMBERED_S:], state.offset]
        beats, fibrillation = pending.beats.before(end), pending.fibrillation.before(end + 1)
        if fibrillation:
            state.fibrillatory |= any(row[FIBRILLATORY] for row in fibrillation)
        while pending.quality and (pending.quality[0].second + 1) * ANALYSIS_HZ <= end:
            second, state.quality, noisy = pending.quality.pop(0)
            self.confirm.judged(second, state.quality)
            state.ladder.step(noisy=noisy, fibrillatory=state.fibrillatory)
            state.fibrillatory = False
        while pending.probabilities and pending.probabilities[0][0] <= end:
            state.probabilities = pending.probabilities.pop(0)[1]
        off = self._off(end) if state.off else 0
        spikes = self._spikes(end) if state.spikes else ()
        step = self.rhythm.step(end, end_ns, beats, fibrillation, off, settings, spikes=spikes, paced=paced)
        if of_st_qt := self.st_qt.step(end, end_ns, pending.measured.array_before(end + 1), settings, paced=paced):
            step = step._replace(findings=[*step.findings, *of_st_qt])
        if state.ladder.level != Level.WHOLE:
            step = state.ladder.decided(step, end_ns, self.alarm.holding(), clear=self.rhythm.clear)
        if self.confirm.pulse_leads:
            step = self._confirmed(end, end_ns, step)
        step = self._doubted(step)
        self._remember(step, beats)
        self._announce([*step.findings, *technical(self.state, self.setup)])
        if end % ANALYSIS_HZ == 0:
            self._second(end)

    def _confirmed(self, end: int, end_ns: int, step: Step) -> Step:
        """Withhold what a pulse contradicts, and say so once; the ECG then has neither a rate nor a rhythm."""
        pulses = self._pending.pulses.array_before(end + LATE + 1)
        confirmed = self.confirm.step(end, end_ns, pulses, step.findings)
        for finding in () if self.alarm.standby else confirmed.told:
            self._withhold(finding)
        return Step(confirmed.findings, None, "unknown") if confirmed.withheld else step

    def _doubted(self, step: Step) -> Step:
        """Withhold atrial fibrillation where the network sees none, and say so once; its intervals stay irregular."""
        found = next((finding for finding in step.findings if finding.condition == DOUBTED), None)
        if (found is None and step.rhythm != FIBRILLATING) or self.setup.weights.get("net") is None:
            return step
        probability = self.risk.doubt(DOUBTED, announced=DOUBTED in self.alarm.holding())
        if probability is None:
            return step
        if found is not None and not self.alarm.standby and found.onset_ns != self.state.doubted_ns:
            self.state.doubted_ns = found.onset_ns
            why = f"{found.trace}; withheld: the network sees it at {100 * probability:.1f} % (mean of 30 s)"
            self._withhold(found._replace(trace=why))
        left = [finding for finding in step.findings if finding is not found]
        return step._replace(findings=left, rhythm=IRREGULAR if step.rhythm == FIBRILLATING else step.rhythm)

    def _advance(self, now_ns: int) -> None:
        """Go on in time; a little behind is waited out, far behind is a device's clock that was set back."""
        if now_ns >= self.state.now_ns or now_ns < self.state.now_ns - CLOCK_NS:
            self.state.now_ns = now_ns

    def _spikes(self, end: int) -> list[int]:
        """Take out the pacer spikes before the end of a step."""
        waiting = self.state.spikes
        self.state.spikes = [spike for spike in waiting if spike >= end]
        return [spike for spike in waiting if spike < end]

    def _off(self, end: int) -> int:
        """Return a bit for each lead whose electrode is off at the end of a step."""
        self.state.off = [run for run in self.state.off if run[2] > end - STEP]
        bits = 0
        for lead, first, last in self.state.off:
            if first < end <= last:
                bits |= 1 << lead
        return bits

    def _settings(self) -> Settings:
        """Return the settings in force with the patient's limits: the same object while neither changes."""
        ward, limits = self.setup.settings, self.alarm.limits
        if self._in_force is None or self._in_force[0] is not ward or self._in_force[1] is not limits:
            self._in_force = (ward, limits, ward.with_limits(limits))
        return self._in_force[2]

    def _remember(self, step: Step, beats: Sequence[Row]) -> None:
        state = self.state
        state.rhythm, state.heart_rate_bpm = step.rhythm, step.heart_rate_bpm
        told = step.heart_rate_bpm is not None or any(finding.condition in TELLING for finding in step.findings)
        state.blind_steps = 0 if told else state.blind_steps + 1
        if beats:
            said = [f"{chr(row[LABEL])}{row[RR_S]:.2f}" for row in beats]
            state.beats = " ".join([*state.beats.split(), *said][-12:])

    def _second(self, end: int) -> None:
        """Once a second: the risk level, and what the board shows."""
        state = self.state
        trace, self._pending.trace = self._pending.trace[:ANALYSIS_HZ], self._pending.trace[ANALYSIS_HZ:]
        bad = state.ladder.level == Level.SUSPENDED or not any(code == Verdict.GOOD for code in state.quality)
        self._weigh_risk(state.probabilities, state.heart_rate_bpm, bad)
        quality = bed_alert.quality(state)
        rate = None if state.heart_rate_bpm is None else round(state.heart_rate_bpm, 1)
        line, risk = bed_alert.sparkline(trace), self.risk.current
        self._show(state.now_ns, state.rhythm, rate, quality, risk, line)

    def _weigh_risk(self, probabilities: dict[str, float] | None, rate_bpm: float | None, bad_signal: bool) -> None:
        """Let the risk level follow, but for a patient who is away."""
        running = self.setup.weights.get("net") is not None
        holding = self.alarm.holding()
        if self.alarm.standby:
            return
        risk = self.risk.step(self.state.now_ns, probabilities, rate_bpm, holding, bad_signal, running)
        if risk is not None:
            self._risk_changed(risk)

    def _time(self, now_ns: int) -> None:
        """Judge silence by the ward's clock, from the last frame's place in the log."""
        state = self.state
        if not state.tick_ns:
            state.frame_tick_ns = now_ns
        state.tick_ns = now_ns
        state.nonces = {nonce: until for nonce, until in state.nonces.items() if until >= now_ns}
        silent_ns, limit_s = now_ns - state.frame_tick_ns, self._settings().no_data_s
        missed = self._expected()
        if silent_ns < SILENT_NS or not (missed or silent_ns < LEAVING_NS):
            return
        event_ns = state.heard_ns + silent_ns if state.n_in else now_ns
        if missed and silent_ns > limit_s * 1e9:
            self._advance(event_ns)
            trace = f"no frame for {silent_ns / 1e9:.0f} s of the ward's clock"
            silence = Finding("no_data", state.now_ns - silent_ns, silent_ns / 1e9, limit_s, "s", trace)
            self._announce([silence, *technical(self.state, self.setup)])
            self._weigh_risk(None, None, True)
        self._show(event_ns, "no data" if missed else "ended")

    def _expected(self) -> bool:
        """Say whether frames of this device would be missed: it has a patient, or sends without having been ended."""
        state = self.state
        return self.alarm.admitted or (state.n_in > 0 and not state.discharged and not state.ended)

    def _mark(self, now_ns: int) -> None:
        """Note the head of the chain for a seal, and whether this device can be forgotten."""
        state = self.state
        silent = now_ns - state.frame_tick_ns >= FORGET_NS
        known = self.alarm.admitted or self.alarm.state.episodes or self._expected()
        ended = silent and not known and all(until < now_ns for until in state.nonces.values())
        self.mark = Head(state.links, state.chain, ended, tuple(state.commands))
        state.commands = []

    def _command(self, order: Order) -> None:
        state, command = self.state, order.command
        if state.tick_ns > command.expires_ns:
            self._given.refused.append((state.offset, "expires_ns must not lie before the ward's time"))
        elif command.nonce in state.nonces:
            self._given.refused.append((state.offset, f"nonce must be new, got {command.nonce!r} again"))
        else:
            state.nonces = {**state.nonces, command.nonce: command.expires_ns}
            state.now_ns = state.now_ns or state.tick_ns
            self._carry_out(order)

    def _carry_out(self, order: Order) -> None:
        command = order.command
        try:
            if isinstance(command.do, ChangeLimits):
                self.setup.settings.with_limits(command.do.limits).check()
            place = (self.alarm.ward, self.alarm.bed)
            transitions = self.alarm.command(self.state.now_ns, command.do)
        except ValueError as error:
            self._given.refused.append((self.state.offset, str(error)))
            return
        self._link(message.chain_command(self.state.chain, order.record))
        self.state.commands.append((self.state.offset, hashlib.sha256(order.record).hexdigest()))
        for transition in transitions:
            self._alert(transition)
        if (self.alarm.ward, self.alarm.bed) != place:
            self._forget_patient()
            self.state.discharged = isinstance(command.do, Discharge)
            rhythm = "ended" if self._gone() else "starting"
            self._show(self.state.now_ns, rhythm)

    def _forget_patient(self) -> None:
        """Begin anew with rhythm and risk: the next patient does not inherit the last one's heart."""
        state = self.state
        self.rhythm, self.st_qt = Rhythm(state.leads, state.step_end), StQt(state.leads, state.step_end)
        self.confirm = Confirm(self.confirm.pulse_leads, state.leads)
        self.risk, state.risk_onset_ns, state.risk_n = RiskLevel(), 0, 0
        state.beats, state.probabilities, state.blind_steps = "", None, 0

    def _announce(self, findings: list[Finding]) -> None:
        for transition in self.alarm.feed(self.state.now_ns, findings):
            self._alert(transition)

    def _alert(self, transition: Transition) -> None:
        self._publish(bed_alert.changed(self.state, transition), transition.ward, transition.bed)

    def _withhold(self, finding: Finding) -> None:
        """Put on record that an alarm was withheld, and why."""
        self.state.withheld += 1
        self._publish(bed_alert.withheld(self.state, self.device, finding), self.alarm.ward, self.alarm.bed)

    def _risk_changed(self, risk: Risk) -> None:
        """Each change of the bed's risk level is an entry of the alert topic."""
        state = self.state
        state.risk_onset_ns = state.risk_onset_ns or state.now_ns
        self._publish(bed_alert.risen_or_fallen(state, self.device, risk), self.alarm.ward, self.alarm.bed)
        state.risk_n += 1

    def _publish(self, announced: Announced, ward: str, bed: str) -> None:
        state, net = self.state, self.setup.weights.get("net")
        source = Source(self.topic, self.partition, self._first_offset(announced.onset_ns), state.offset)
        origin = Origin(self.device, bed, ward, source, self._settings(), () if net is None else (net,))
        value = message.encode(bed_alert.alert(announced, state, origin, self.risk.current))
        self._given.alerts.append((state.offset, state.ordinal, value))
        self._link(message.chain_hash(value))
        state.ordinal += 1

    def _link(self, head: str) -> None:
        self.state.chain, self.state.links = head, self.state.links + 1

    def _first_offset(self, onset_ns: int) -> int:
        """Return the first input offset of the evidence, as far back as offsets are remembered."""
        state = self.state
        seconds_ago = max(0, (state.now_ns - onset_ns) // 1_000_000_000 + 1)
        return state.offsets[-min(seconds_ago, len(state.offsets)) :][0] if state.offsets else state.offset

    def _show(
        self,
        time_ns: int,
        rhythm: str,
        rate_bpm: float | None = None,
        quality: dict[str, str] | None = None,
        risk: Risk | None = None,
        line: tuple[float, ...] = (),
    ) -> None:
        """Say what the board shows, with the bed's place and its alarms; in standby, that alone."""
        alarm = self.alarm
        if alarm.standby:
            rate_bpm, rhythm, risk = None, "standby", None
        place = (alarm.bed, alarm.ward)
        seen = (time_ns, rate_bpm, rhythm, quality or {}, risk, alarm.active(), line)
        known = (round(alarm.paused_s), self.state.offset, self.state.tick_ns, self._gone())
        vitals = Vitals(self.device, *place, *seen, *known)
        self._given.vitals.append(message.encode(vitals))

    def _gone(self) -> bool:
        """Say whether the device is silent and nobody misses it."""
        return not self._expected() and self.state.tick_ns - self.state.frame_tick_ns >= SILENT_NS

    def snapshot(self, front: bytes | None) -> bytes:
        """Return the whole bed as bytes; `front` is what the array stages hold of it."""
        state, pending = self.state, self._pending
        kept = Kept(
            self.device,
            state,
            self.timeline.snapshot(),
            self.windows.snapshot(),
            self.rhythm.snapshot(),
            self.alarm.snapshot(),
            self.risk.snapshot(),
            front,
            pending.beats.snapshot(),
            pending.fibrillation.snapshot(),
            pending.quality,
            pending.probabilities,
            len(pending.trace),
            self.confirm.snapshot(),
            pending.pulses.snapshot(),
            self.st_qt.snapshot(),
            pending.measured.snapshot(),
        )
        return snapshot.encode(kept, state.covers, state.chain, state.links)

    def restore(self, kept: Kept) -> None:
        """Take over what a snapshot holds, but for the array stages."""
        self.state = kept.state
        self.timeline.restore(kept.timeline)
        self.windows = Windows(len(kept.state.leads))
        self.windows.restore(kept.windows)
        self.rhythm = Rhythm(kept.state.leads)
        self.rhythm.restore(kept.rhythm)
        self.alarm.restore(kept.alarm)
        self.risk.restore(kept.risk)
        self._pending.beats.restore(kept.beats)
        self._pending.fibrillation.restore(kept.fibrillation)
        self._pending.quality, self._pending.probabilities = kept.quality, kept.probabilities
        self.confirm = Confirm.restored(kept.confirm)
        self._pending.pulses.restore(kept.pulses)
        self.st_qt = StQt.restored(kept.st_qt)
        self._pending.measured.restore(kept.measured)
        if kept.trace:
            self._pending.trace = self.windows.last(kept.trace)[0]

    def snapshot_due(self) -> bool:
        """Say whether the bed has come to its next place of the 5-s grid, of its own time or of the ward's."""
        slot = self._slot(SNAPSHOT_EVERY_NS)
        due, self.state.snapshot_slot = slot != self.state.snapshot_slot, slot
        return due

    def checkpoint_due(self) -> bool:
        """Say the same of the ten-minute grid of checkpoints, from which replay starts."""
        slot = self._slot(CHECKPOINT_EVERY_NS)
        due, self.state.checkpoint_slot = slot != self.state.checkpoint_slot, slot
        return due

    def _slot(self, every_ns: int) -> int:
        """Beds are staggered over the grid by their names."""
        shift = self._stagger * every_ns // 1000
        return (max(self.state.now_ns, self.state.tick_ns) + shift) // every_ns
