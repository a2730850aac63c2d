"""`vigil evaluate risk`: how often a bed's risk level changes an hour, on beds of which nothing calls for a change.

Records with annotated beats (`mitdb`, `svdb`, `qtdb`: `.atr`) go through the whole pipeline with the network and the
ward's default settings. The reference sorts them, never what Vigil says:

* stable: no rhythm is marked but sinus, no beat is paced, at most 1 % of the beats are ectopic, and over any eight
  beats the rate lies where it asks for no level (50 to 110 bpm);
* sinus: the same, but for the rate;
* other: the rest.

The first level of a record is no change. The reason of a rise is what asked for most when it rose.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg.alert import RiskLevel
from ecg.ec57.label import BEATS, CLASSES
from ecg.record import Annotations, annotations, read
from model.risk import LEVELS, RATES_BPM
from stream.analyze import EPOCH_NS, analyze
from stream.evaluate import run
from stream.evaluate.figures import Figures
from stream.nets import load_nets

SETS = ("mitdb", "svdb", "qtdb")
SINUS = frozenset({"(N", "(SBR"})
"""Marks of rhythm that a stable record may have."""
ECTOPIC = frozenset(symbol for symbol, of in CLASSES["bxb"].items() if of in "SVF")
PACED = frozenset("/f")
MOST_ECTOPIC = 0.01
RATE_BEATS = 8
LOW_BPM, HIGH_BPM, _ = RATES_BPM[-1]
Group = Literal["stable", "sinus", "other"]
GROUPS: tuple[Group, ...] = ("stable", "sinus", "other")


class Change(NamedTuple):
    """A change of level: when, from which, to which, and the reasons of the new one, that of most weight first."""

    at_s: float
    before: RiskLevel
    after: RiskLevel
    reasons: tuple[str, ...]

    @property
    def rises(self) -> bool:
        """Whether the bed is worse than before."""
        return LEVELS.index(self.after) > LEVELS.index(self.before)


class Watched(NamedTuple):
    """A record: what it is of, how long it lasts, and how its level changed."""

    group: Group
    seconds: float
    changes: tuple[Change, ...]


def evaluate(data: Path, *, json: bool, net: str, decisions: Path | None) -> int:
    """Score the sets of a folder and print the figures; returns the exit status, 2 only if nothing could be scored.

    `net` is as `stream.nets.load_nets` takes it.
    """
    found: dict[str, Watched] = {}
    failed: dict[str, str] = {}
    for name in SETS:
        outcome = run.over(paths, partial(watch, net)) if (paths := run.records(data / name)) else run.Outcome({}, {})
        found |= {f"{name}/{record}": each for record, each in outcome.results.items()}
        failed |= {f"{name}/{record}": reason for record, reason in outcome.failed.items()}
    report = {**figures(found), "failed": failed}
    if decisions is not None:
        lines = [{"record": record, **each._asdict()} for record, each in found.items()]
        decisions.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    print(msgspec.json.encode(report).decode() if json else text(report))
    return 0 if found else 2


_nets = functools.cache(load_nets)


def watch(net: str, path: Path) -> Watched:
    """Run a record through the pipeline, and return what became of its risk level."""
    recording, reference = read(path), annotations(path)
    alerts = [each for each in analyze(recording, _nets(net)).alerts if each.condition == "risk_level"]
    said = [((each.decided_ns - EPOCH_NS) / 1e9, each.risk) for each in alerts if each.risk]
    changes = tuple(
        Change(at_s, before.level, after.level, after.reasons) for (_, before), (at_s, after) in pairwise(said)
    )
    return Watched(group(reference, recording.rate_hz), recording.duration_s, changes)


def group(reference: Annotations, rate_hz: float) -> Group:
    """Say what a record is of, by its annotations."""
    at_s, symbols = reference.samples / rate_hz, reference.symbols
    is_beat = np.isin(symbols, list(BEATS))
    marks = {
        aux.rstrip("\0")
        for aux, symbol in zip(reference.aux, symbols.tolist(), strict=True)
        if symbol == "+" and aux.startswith("(")
    }
    beats = symbols[is_beat]
    odd = not marks <= SINUS or np.isin(beats, list(PACED)).any()
    if odd or len(beats) <= RATE_BEATS or np.isin(beats, list(ECTOPIC)).mean() > MOST_ECTOPIC:
        return "other"
    bpm = _rates(at_s[is_beat])
    return "stable" if bpm.min() >= LOW_BPM and bpm.max() <= HIGH_BPM else "sinus"


def _rates(beats_s: NDArray[np.float64]) -> NDArray[np.float64]:
    return 60 * RATE_BEATS / (beats_s[RATE_BEATS:] - beats_s[:-RATE_BEATS])


def whose(record: str) -> str:
    """Return the patient of a record: `qtdb` has excerpts of other sets' records (sel103 of 103, which `mitdb` has)."""
    return run.patient(record.partition("/")[2].removeprefix("sel"))


def figures(found: Mapping[str, Watched]) -> dict[str, Any]:
    """Return the changes per bed-hour of each group, those of the stable by set, with intervals, and their reasons."""
    made = Figures()
    for name in GROUPS:
        _add(made, name, {record: each for record, each in found.items() if each.group == name})
    stable = {record: each for record, each in found.items() if each.group == "stable"}
    for name in SETS:
        _add(made, f"stable_{name}", {record: each for record, each in stable.items() if record.startswith(f"{name}/")})
    return {
        "figures": made.values,
        "intervals": made.intervals,
        "reasons": {name: reasons([each for each in found.values() if each.group == name]) for name in GROUPS},
    }


def _add(made: Figures, name: str, found: Mapping[str, Watched]) -> None:
    if not found:
        return
    rows: dict[str, tuple[float, float]] = {}
    for record, each in found.items():
        changes, hours = rows.get(whose(record), (0.0, 0.0))
        rows[whose(record)] = changes + len(each.changes), hours + each.seconds / 3600
    made.values[f"records_{name}"] = float(len(found))
    made.values[f"bed_hours_{name}"] = round(sum(each.seconds for each in found.values()) / 3600, 2)
    made.add(f"changes_per_bed_hour_{name}", rows, lambda sums: sums[:, 0] / sums[:, 1])


def reasons(found: Sequence[Watched]) -> dict[str, int]:
    """Count what rises began with, numbers left out, and falls by where they went; most first."""
    counted = Counter(
        f"rise: {re.sub(r'[0-9.]+', '#', change.reasons[0])}" if change.rises else f"fall to {change.after}"
        for each in found
        for change in each.changes
    )
    return dict(counted.most_common())


def text(report: Mapping[str, Any]) -> str:
    """Return what is printed without `--json`."""
    lines = [f"{name:40} {value}" for name, value in report["figures"].items()]
    for name, counted in report["reasons"].items():
        lines += [f"{name:8} {times:4}  {reason}" for reason, times in counted.items()]
    return "\n".join([*lines, *(f"{record}: {why}" for record, why in report["failed"].items())])
