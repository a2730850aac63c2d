"""`vigil evaluate challenge2015`: which alarms of the 2015 challenge our own monitor would have kept.

Each record, the last minutes before a monitor's alarm, goes through the ward's pipeline with the challenge's
definitions, from its first sample to its last; the last frame ends the session, so that what the filters still hold is
heard, without padding. An alarm is kept if one of ours that answers for its type has its event in the last ten seconds
(`ecg.challenge2015`). Each record runs twice, with its pulse signals and without them.

How tolerantly each type of alarm is defined was chosen on records of this set (`ecg.learned`): they are in no headline,
and figures ending in `_in_sample` are theirs. With `cross_validate` it is chosen anew without each fold
(`ecg.challenge2015_fit`), and each record is judged by definitions that have not seen it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg import challenge2015 as challenge
from ecg import estimate
from ecg.challenge2015 import Alarm, Counts
from ecg.challenge2015_fit import CANDIDATES, SHIPPED, Definition, fit_all
from ecg.condition import CONDITIONS, LETHAL
from ecg.episodes import Span, spans
from ecg.learned import LEARNED, has_seen
from ecg.rate import spreading
from ecg.record import Record, read
from stream.analyze import EPOCH_NS, Analyzed, analyze
from stream.evaluate import run
from stream.evaluate.figures import folds as divide
from stream.evaluate.networks import RULES, Networks, asked_for
from stream.evaluate.strip import Band, draw

PULSE = ("pleth", "abp")
SHOWN_S = 20.0
"""Seconds before the monitor's alarm that a drawn strip shows."""
DRAWN = 10
"""Strips that are drawn where nobody says how many."""

NOTES = ("records are not tied to patients in this set: folds and the bootstrap are by record",)
IN_SAMPLE = "_in_sample"


class Decision(msgspec.Struct, frozen=True):
    """What was decided on one alarm, and what is true.

    `event` is the alarm of ours that kept it, with the pulse signals and (`event_ecg_only`) without them; `ours` are
    all alarms of the patient that held in the last ten seconds.
    """

    record: str
    kind: str
    true: bool
    end_s: float
    event: Span | None
    event_ecg_only: Span | None
    ours: tuple[Span, ...]

    @property
    def kept(self) -> bool:
        """Whether the alarm is kept."""
        return self.event is not None

    @property
    def kept_ecg_only(self) -> bool:
        """Whether it is kept by the ECG alone."""
        return self.event_ecg_only is not None

    @property
    def cost(self) -> float:
        """What the decision takes from the score, in alarms."""
        return 0.0 if self.kept == self.true else challenge.COST if self.true else 1.0


def without_pulse(recording: Record) -> Record:
    """Return a record without its pulse signals."""
    rows = [row for row, lead in enumerate(recording.leads) if lead.kind not in PULSE]
    leads = tuple(recording.leads[row] for row in rows)
    return dataclasses.replace(recording, leads=leads, counts=np.ascontiguousarray(recording.counts[rows]))


def decide(
    path: Path, alarms: dict[str, Alarm], definition: Definition | None = None, networks: Networks = RULES
) -> Decision:
    """Run one record with and without its pulse signals, and decide on its alarm by a definition, or the shipped one.

    The truth is the set's `ALARMS`, or the header's comments where that names no such record.

    Raises
    ------
    ValueError
        If neither says what the alarm was.
    """
    recording = read(path, end_s=challenge.ALARM_S)
    alarm = alarms.get(path.name) or _from_comments(recording)
    definition = definition or SHIPPED[alarm.kind]
    alerts = _analyzed(recording, definition, networks).alerts
    alone = ours = spans(alerts, EPOCH_NS, recording.duration_s)
    if any(
        each.phase == "suppressed" and each.condition in LETHAL for each in alerts
    ):  # else the pulse changed nothing
        alerts = _analyzed(without_pulse(recording), definition, networks).alerts
        alone = spans(alerts, EPOCH_NS, recording.duration_s)
    end_s = recording.duration_s
    event, ecg_only = (challenge.event(alarm.kind, each, end_s) for each in (ours, alone))
    late = tuple(span for span in ours if span.last_s >= end_s - challenge.LAST_S and _is_clinical(span))
    return Decision(path.name, alarm.kind, alarm.true, end_s, event, ecg_only, late)


def decide_by_each(path: Path, alarms: dict[str, Alarm], networks: Networks = RULES) -> list[Decision]:
    """Decide on a record's alarm by each candidate of its type."""
    alarm = alarms.get(path.name) or _from_comments(read(path, end_s=challenge.ALARM_S))
    return [decide(path, alarms, each, networks) for each in CANDIDATES[alarm.kind]]


def out_of_fold(found: Mapping[str, Sequence[Decision]]) -> tuple[list[list[str]], list[dict[str, int]]]:
    """Return the folds, and for each of them the candidates chosen without it, by what each candidate decided.

    There are none for less than two records.
    """
    folds, chosen = divide(found) if len(found) > 1 else [], []
    for fold in folds:
        others = [each for name, each in found.items() if name not in fold]
        chosen.append(fit_all([(each[0].kind, each[0].true, [one.kept for one in each]) for each in others]))
    return folds, chosen


def evaluate(
    data: Path,
    *,
    json: bool,
    decisions: Path | None,
    worst: int,
    plot: Path | None,
    cross_validate: bool,
    net: str = "shipped",
) -> int:
    """Score every record of a folder like `cinc2015` and print the figures; returns the exit status.

    Whichever network `stream.evaluate.networks.networks` is asked for by `net`: none was trained on these records.
    """
    judges = asked_for(net)
    listed = data / "ALARMS"
    alarms = {alarm.record: alarm for alarm in challenge.read_alarms(listed.read_text())} if listed.exists() else {}
    names = sorted({*alarms, *(header.stem for header in data.glob("*.hea"))})
    paths, folds, chosen = [data / name for name in names], [], []
    if cross_validate:
        found = run.over(paths, partial(decide_by_each, alarms=alarms, networks=judges))
        folds, chosen = out_of_fold(found.results)
        made = _judged(found.results, folds, chosen)
    else:
        found = run.over(paths, partial(decide, alarms=alarms, networks=judges))
        made = list(found.results.values())
    if decisions is not None:
        decisions.write_bytes(b"".join(msgspec.json.encode(_line(each)) + b"\n" for each in made))
    costly = sorted((each for each in made if each.cost), key=lambda each: (-each.cost, each.record))
    if plot is not None:
        plot.mkdir(parents=True, exist_ok=True)
        for each in costly[: worst or DRAWN]:
            _plot(data, each, plot, judges)
    report = _report(made, found.failed, costly[:worst], folds, chosen)
    print(msgspec.json.encode(report).decode() if json else _text(report))
    return 0 if made else 2


def _judged(
    found: Mapping[str, Sequence[Decision]], folds: list[list[str]], chosen: list[dict[str, int]]
) -> list[Decision]:
    """Return of each record the decision by the candidate chosen without its fold; without folds by the shipped one."""
    by_record = {name: choice for fold, choice in zip(folds, chosen, strict=True) for name in fold}
    shipped = {kind: CANDIDATES[kind].index(definition) for kind, definition in SHIPPED.items()}
    return [each[by_record.get(name, shipped)[each[0].kind]] for name, each in found.items()]


def figures(made: Sequence[Decision], ending: str = "") -> tuple[_Values, _Intervals]:
    """Return the figures by name, with this ending, and their intervals."""
    values: _Values = {}
    intervals: _Intervals = {}

    def add(name: str, chosen: Sequence[Decision], statistic: estimate.Statistic, ecg_only: bool = False) -> None:
        rows = np.array([challenge.count([_pair(each, ecg_only)]) for each in chosen], np.float64).reshape(-1, 4)
        values[name + ending] = _rounded(float(statistic(rows.sum(axis=0)[None])[0]))
        intervals[name + ending] = estimate.interval(rows, statistic)

    for suffix, ecg_only in (("", False), ("_ecg_only", True)):
        for name, statistic in _STATISTICS.items():
            add(f"{name}{suffix}", made, statistic, ecg_only)
    for kind in challenge.KINDS:
        chosen = [each for each in made if each.kind == kind]
        for name, statistic in _STATISTICS.items():
            add(f"{name}_{challenge.SHORT.get(kind, kind)}", chosen, statistic)
    return values, intervals


_Values = dict[str, float | None]
_Intervals = dict[str, tuple[float, float] | None]


def _tpr(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return estimate.percent(counts[:, 0], counts[:, 0] + counts[:, 2])


def _tnr(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return estimate.percent(counts[:, 3], counts[:, 3] + counts[:, 1])


_STATISTICS: dict[str, estimate.Statistic] = {"score": challenge.score, "tpr": _tpr, "tnr": _tnr}


def _pair(decision: Decision, ecg_only: bool) -> tuple[bool, bool]:
    return decision.true, decision.kept_ecg_only if ecg_only else decision.kept


def _rounded(value: float) -> float | None:
    return round(value, 2) if np.isfinite(value) else None


def _from_comments(recording: Record) -> Alarm:
    """Read what the header says: a line with the type, and one with `True alarm` or `False alarm`."""
    said = [comment.strip().lower() for comment in recording.comments]
    kinds = [kind for kind in said if kind in challenge.KINDS]
    truths = [line.startswith("true") for line in said if line in ("true alarm", "false alarm")]
    if len(kinds) != 1 or len(truths) != 1:
        raise ValueError(f"{recording.name}: neither ALARMS nor the header says what the alarm was")
    return Alarm(recording.name, kinds[0], truths[0])


def _analyzed(recording: Record, definition: Definition, networks: Networks) -> Analyzed:
    with spreading(definition.spread):
        return analyze(recording, networks.judging(""), settings=definition.settings)


def _is_clinical(span: Span) -> bool:
    """Whether an alarm is of the patient: neither of the device or the service, nor a change of risk."""
    return not CONDITIONS[span.condition].technical and span.condition != "risk_level"


def _line(decision: Decision) -> dict[str, Any]:
    """Return what `--decisions` writes of a record."""
    return {
        "record": decision.record,
        "kind": decision.kind,
        "true": decision.true,
        "kept": decision.kept,
        "kept_ecg_only": decision.kept_ecg_only,
        "cost": decision.cost,
        "end_s": decision.end_s,
        "event": decision.event and decision.event._asdict(),
        "ours": [span._asdict() for span in decision.ours],
    }


def _report(
    made: Sequence[Decision],
    failed: dict[str, str],
    costly: Sequence[Decision],
    folds: list[list[str]],
    chosen: list[dict[str, int]],
) -> dict[str, Any]:
    seen = [] if folds else [each for each in made if has_seen(LEARNED, f"cinc2015/{each.record}")]
    unseen = [each for each in made if each not in seen]
    values, intervals = figures(unseen)
    if seen:
        more, limits = figures(seen, IN_SAMPLE)
        values, intervals = values | more, intervals | limits
    return {
        "figures": {**values, "records": len(made), "records_in_sample": len(seen), "records_failed": len(failed)},
        "intervals": intervals,
        "counts": _counts(unseen),
        "counts_in_sample": _counts(seen),
        "true_alarms_withheld": _by_kind(each for each in made if each.true and not each.kept),
        "withheld_by_pulse": _by_kind(each for each in made if each.true and each.kept_ecg_only and not each.kept),
        "worst": [_line(each) for each in costly],
        "folds": {"seed": estimate.SEED, "records": folds, "definitions": [_words(choice) for choice in chosen]}
        if folds
        else None,
        "failed": failed,
        "notes": [*NOTES],
    }


def _words(choice: Mapping[str, int]) -> dict[str, str]:
    """Return what of the definitions that were chosen is not the challenge's own."""
    said = {kind: CANDIDATES[kind][at].words() for kind, at in choice.items()}
    return {kind: words for kind, words in said.items() if words}


def _counts(made: Sequence[Decision]) -> dict[str, Counts]:
    return {
        kind: challenge.count([_pair(each, False) for each in made if each.kind == kind]) for kind in challenge.KINDS
    }


def _by_kind(decisions: Iterable[Decision]) -> dict[str, list[str]]:
    chosen = list(decisions)
    return {kind: [each.record for each in chosen if each.kind == kind] for kind in challenge.KINDS}


def _text(report: dict[str, Any]) -> str:
    lines = []
    for title, ending in (("", ""), ("records that the definitions were chosen on:", IN_SAMPLE)):
        counted = report[f"counts{ending}"]
        if any(map(sum, counted.values())):
            lines += [title] if title else []
            lines += _table(report, counted, ending)
    for kind, names in report["true_alarms_withheld"].items():
        by_pulse = report["withheld_by_pulse"][kind]
        lines.append(f"true alarms withheld, {kind}: {len(names)} {' '.join(names)} ({len(by_pulse)} by the pulse)")
    lines += [_worst(each) for each in report["worst"]]
    if report["folds"]:
        each = zip(report["folds"]["records"], report["folds"]["definitions"], strict=True)
        for k, (fold, said) in enumerate(each, 1):
            lines.append(f"fold {k}: {'; '.join(f'{kind}: {words}' for kind, words in said.items())}: {' '.join(fold)}")
    lines += [f"{name}: not scored: {reason}" for name, reason in report["failed"].items()]
    return "\n".join([*lines, *(f"note: {note}" for note in report["notes"])])


def _table(report: dict[str, Any], counted: dict[str, Counts], ending: str) -> list[str]:
    values = report["figures"]
    lines = [f"{'alarms of':>26}   true kept  false kept   score                 TPR    TNR"]
    for kind, counts in counted.items():
        lines.append(_row(report, kind, counts, f"_{challenge.SHORT.get(kind, kind)}{ending}"))
    every = Counts(*np.sum(list(counted.values()), axis=0).tolist())
    lines.append(_row(report, "all, ECG and pulse", every, ending))
    alone = {name: _number(values[f"{name}_ecg_only{ending}"]) for name in _STATISTICS}
    lines.append(f"{'all, ECG alone':>26}   score {alone['score']}  TPR {alone['tpr']}  TNR {alone['tnr']}")
    if values[f"score{ending}"] == values[f"score_ecg_only{ending}"]:
        lines.append(f"{'':>26}   the pulse changes no decision here")
    return lines


def _row(report: dict[str, Any], title: str, counts: Counts, ending: str) -> str:
    between = report["intervals"][f"score{ending}"]
    low_high = "({:.1f}-{:.1f})".format(*between) if between else ""
    score, tpr, tnr = (_number(report["figures"][f"{name}{ending}"]) for name in _STATISTICS)
    return (
        f"{title:>26}   {counts.tp:4}/{counts.tp + counts.fn:<4}  {counts.fp:4}/{counts.fp + counts.tn:<4}"
        f"  {score:>7} {low_high:<12}  {tpr:>6} {tnr:>6}"
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _worst(line: dict[str, Any]) -> str:
    what = "true alarm not kept" if line["true"] else "false alarm kept"
    event = line["event"]
    at = "no alarm of ours answers for it"
    if event:
        at = "{condition} from {onset_s:.1f} to {last_s:.1f} s".format(**event)
    end_s = line["end_s"]
    return f"{line['record']:>8} {line['kind']}: {what}; look at {end_s - challenge.LAST_S:.0f}-{end_s:.0f} s: {at}"


def _plot(data: Path, decision: Decision, out: Path, networks: Networks) -> None:
    recording = read(data / decision.record, end_s=challenge.ALARM_S)
    analyzed = _analyzed(recording, SHIPPED[decision.kind], networks)
    truth = "true" if decision.true else "false"
    bands = [Band(f"monitor: {decision.kind} ({truth})", ((decision.end_s - challenge.LAST_S, decision.end_s),))]
    bands += [Band(f"ours: {span.condition}", ((span.onset_s, span.last_s),)) for span in decision.ours]
    beats_s = analyzed.beat_samples / recording.rate_hz
    draw(out / f"{decision.record}.svg", decision.record, recording, decision.end_s - SHOWN_S, SHOWN_S, bands, beats_s)
