"""`vigil evaluate ec57`: beats, runs and episodes of a set against its reference annotations, after ANSI/AAMI EC57."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from ecg.beat_weights import Weights
from ecg.ec57 import report
from ecg.ec57.beats import Pair
from ecg.ec57.episodes import Episodes, no_episodes
from ecg.ec57.runs import Matched, Runs, no_runs
from ecg.ec57.table import ROWS, Counts, Table, empty
from ecg.learned import has_seen
from ecg.record import annotations
from stream.evaluate import beats, peers, run
from stream.evaluate.beats import Extent, Scored, Task
from stream.evaluate.figures import Intervals, Values, figures, folds, rounded
from stream.evaluate.refit import Refitted, out_of_fold, whose
from stream.evaluate.rhythm_figures import ATRIAL, VENTRICULAR

NOISES = ("em", "ma", "bw")
LOOK_S = 10.0
"""Length of the stretches to look at in a record that costs much."""
LOOKS = 3
"""How many of them are named."""

PARTS: dict[tuple[str, ...], tuple[str, ...]] = {
    ("beats",): ("qrs", "auecdf", "veb", "sveb", *peers.PEERS),
    VENTRICULAR: ("vf",),
    ATRIAL: ("af",),
}
"""Learned parts (`ecg.learned`), and how the names of the figures begin that they can change.

A peer's figures are split as ours are, so that both are of the same records."""
REFITTED = "beats"
"""The part that `--cross-validate` fits anew (`stream.evaluate.refit`)."""
HOMES = ("mitdb", "svdb", "vfdb", "cudb")
"""Sets whose patients are their own; those of `nstdb` and of `qtdb` are theirs, too."""
NOT_FITTED_ANEW = "--cross-validate fits nothing anew: annotation files owe nothing to what is learned here"


@dataclass(frozen=True)
class Wanted:
    """What is asked of one run.

    Attributes
    ----------
    data : Path
        Folder of the set.
    json : bool
        Print one JSON object instead of tables.
    test : str or None
        Extension of annotation files to score instead of the pipeline, with their folder before it if they have one.
    noise, snr_db : str or None, float
        Noise of `NOISES` to mix in, and at which signal-to-noise ratio.
    decisions : Path or None
        Write a line a record there.
    worst : int
        How many of the records that cost most are named, with the times to look at.
    plot : Path or None
        Draw these times there.
    peers : sequence of str
        Of `stream.evaluate.peers.PEERS`.
    cross_validate : bool
        Print figures out of fold, and the folds.
    """

    data: Path
    json: bool = False
    test: str | None = None
    noise: str | None = None
    snr_db: float = 6.0
    decisions: Path | None = None
    worst: int = 0
    plot: Path | None = None
    peers: Sequence[str] = ()
    cross_validate: bool = False


def evaluate(wanted: Wanted) -> int:
    """Score every record of a set and print the figures; returns the exit status: 2 if none could be scored.

    Raises
    ------
    ValueError
        If a peer or a noise is unknown, or what is asked does not go together.
    FileNotFoundError
        If the noise is not there.
    """
    task = _task(wanted)
    paths = [path for path in run.records(wanted.data) if path.name not in NOISES]
    refitted = None
    if wanted.cross_validate and wanted.test is None:
        refitted = out_of_fold(wanted.data, [path.name for path in paths])
        task = replace(task, weights=_weights(wanted.data, paths, refitted))
    outcome = run.over(paths, partial(beats.score_record, task=task))
    scored = outcome.results
    if "neurokit2" in wanted.peers:
        scored = _with_neurokit(wanted.data, task, scored)
    costly = sorted(scored, key=lambda name: (-len(scored[name].mistakes), name))
    costly = costly[: wanted.worst or (10 if wanted.plot else 0)]
    if wanted.decisions is not None:
        wanted.decisions.write_bytes(b"".join(_decision(name, record) for name, record in scored.items()))
    if wanted.plot is not None:
        from stream.evaluate.beat_strip import draw

        for name in costly:
            draw(wanted.data / name, task, looks(scored[name]), LOOK_S, wanted.plot)
    result = _result(wanted, scored, outcome.failed, costly, refitted)
    print(msgspec.json.encode(result).decode() if wanted.json else _text(result))
    return 0 if scored else 2


def _weights(data: Path, paths: Sequence[Path], refitted: Refitted) -> dict[str, Weights]:
    """Return the weights for each record that have not seen its patient; none where none were fitted."""
    own = {path.name: refitted.anew[whose(data.resolve(), path.name)].beats for path in paths}
    return {name: weights for name, weights in own.items() if weights is not None}


def _task(wanted: Wanted) -> Task:
    unknown = sorted(set(wanted.peers) - set(peers.PEERS))
    if unknown:
        raise ValueError(f"peer must be one of {', '.join(peers.PEERS)}, got {', '.join(unknown)}")
    if wanted.test is not None and (wanted.noise is not None or wanted.peers):
        raise ValueError("--test scores annotation files: neither --noise nor --peer goes with it")
    if wanted.noise is None:
        return Task(wanted.test, sleepecg="sleepecg" in wanted.peers)
    if wanted.noise not in NOISES:
        raise ValueError(f"noise must be one of {', '.join(NOISES)}, got {wanted.noise}")
    places = [wanted.data / wanted.noise, wanted.data.resolve().parent / "nstdb" / wanted.noise]
    noise = next((place for place in places if place.with_suffix(".hea").exists()), None)
    if noise is None:
        folder = places[1].parent
        raise FileNotFoundError(f"no noise in {folder}: `vigil records get nstdb --to {folder.parent}` brings it")
    return Task(noise=noise, snr_db=wanted.snr_db, sleepecg="sleepecg" in wanted.peers)


def _with_neurokit(data: Path, task: Task, scored: Mapping[str, Scored]) -> dict[str, Scored]:
    found = peers.neurokit2(beats.task_recording(data / name, task) for name in scored)
    return {
        name: replace(record, peers={**record.peers, "neurokit2": _peer(data / name, task, record, found[name])})
        for name, record in scored.items()
    }


def _peer(path: Path, task: Task, record: Scored, found: np.ndarray) -> Counts:
    extent = Extent(record.rate_hz, record.length)
    stretches = beats.scored_stretches(extent, task)
    return beats.qrs(annotations(path, beats.REFERENCE), found, extent, stretches)


def looks(record: Scored) -> list[tuple[float, int]]:
    """Return the stretches with most mistakes: seconds from the record's start, and how many there are."""
    at_s = np.array([pair.reference_at for pair in record.mistakes]) / record.rate_hz
    which, n = np.unique((at_s // LOOK_S).astype(np.int64), return_counts=True)
    order = np.lexsort((which, -n))[:LOOKS]
    return [(float(which[k] * LOOK_S), int(n[k])) for k in order]


def _decision(name: str, record: Scored) -> bytes:
    """Return a record's line: its counts, and each beat that was missed, false or called another class."""
    table = record.tables["papers"]
    line = {
        "record": name,
        "paced": record.paced,
        "cost": len(record.mistakes),
        **{kind: getattr(table, kind)._asdict() for kind in ("qrs", "veb", "sveb")},
        "mistakes": [_mistake(pair, record.rate_hz) for pair in record.mistakes],
    }
    return msgspec.json.encode(line) + b"\n"


def _mistake(pair: Pair, rate_hz: float) -> dict[str, Any]:
    return {"at_s": round(pair.reference_at / rate_hz, 3), "reference": pair.reference, "test": pair.test}


def headlines(scored: Mapping[str, Scored], record_set: str, anew: Sequence[str] = ()) -> tuple[Values, Intervals]:
    """Return the figures and their intervals; those of patients that a part has seen which can change them, apart.

    Parts that were fitted anew without each record's patient have not seen it.
    """
    values, intervals = figures(scored)
    for parts, kinds in PARTS.items():
        behind = [part for part in parts if part not in anew]
        seen = {name: record for name, record in scored.items() if is_seen(behind, record_set, name)}
        if not seen:
            continue
        unseen = {name: record for name, record in scored.items() if name not in seen}
        for chosen, suffix in ((unseen, ""), (seen, "_in_sample")):
            found, limits = figures(chosen)
            names = [name for name in found if name.partition("_")[0] in kinds]
            values |= {name + suffix: found[name] for name in names}
            intervals |= {name + suffix: limits[name] for name in names if name in limits}
    return values, intervals


def is_seen(parts: Sequence[str], record_set: str, record: str) -> bool:
    """Whether a learned part has seen a record's patient; a folder of another name may hold records of any set.

    Examples
    --------
    >>> is_seen(["beats"], "qtdb", "sel803"), is_seen(["beats"], "mitdb", "202"), is_seen(["beats"], "mitdb", "100")
    (True, True, False)
    """
    whose = run.patient(record.removeprefix("sel"))
    sets = (record_set,) if record_set in HOMES else HOMES
    return any(has_seen(parts, f"{name}/{whose}") for name in sets)


def _result(
    wanted: Wanted,
    scored: Mapping[str, Scored],
    failed: dict[str, str],
    costly: Sequence[str],
    refitted: Refitted | None,
) -> dict[str, Any]:
    """Return all that is printed, as one object."""
    record_set = wanted.data.resolve().name
    anew = refitted.parts if refitted else ()
    values, intervals = figures(scored) if wanted.test else headlines(scored, record_set, anew)
    # files that someone gives are tabled as the reference tools table them; our report leaves paced records out
    tabled = dict(scored) if wanted.test else {name: record for name, record in scored.items() if not record.paced}
    result: dict[str, Any] = {
        "figures": {
            **values,
            "records": len(scored),
            "records_unpaced": sum(not record.paced for record in scored.values()),
            "records_in_sample": sum(is_seen([REFITTED], record_set, name) for name in scored) if not anew else 0,
            "records_failed": len(failed),
        },
        "intervals": intervals,
        "noise": {"name": wanted.noise, "snr_db": wanted.snr_db} if wanted.noise else None,
        "records": {name: _record(record) for name, record in scored.items()},
        "gross": _gross(tabled),
        "reports": reports(tabled),
        "failed": failed,
        "worst": [{"record": name, "cost": len(scored[name].mistakes), "look": looks(scored[name])} for name in costly],
        "notes": refitted.notes if refitted else [NOT_FITTED_ANEW] if wanted.cross_validate else [],
    }
    if wanted.cross_validate:
        result["folds"] = refitted.folds if refitted else folds(scored)
    return result


def reports(scored: Mapping[str, Scored]) -> dict[str, str]:
    """Return the tables in the reference tools' layout, by tool."""
    tables = {name: record.tables["bxb"] for name, record in scored.items()}
    if not tables:
        return {}
    found = {"bxb_beats": report.beat_lines(tables), "bxb_shutdown": report.shutdown_lines(tables)}
    for kind, name in (("V", "rxr_veb"), ("S", "rxr_sveb")):
        runs = {record: each.runs[kind] for record, each in scored.items() if kind in each.runs}
        found |= {name: report.run_lines(runs, kind == "S")} if runs else {}
    for kind in ("AF", "VF"):
        episodes = {name: record.episodes[kind] for name, record in scored.items() if kind in record.episodes}
        found |= {f"epicmp_{kind.lower()}": report.episode_lines(episodes, kind)} if episodes else {}
    return found


def _record(record: Scored) -> dict[str, Any]:
    return {
        "paced": record.paced,
        "beats": {protocol: _table(table) for protocol, table in record.tables.items()},
        "runs": {kind: _runs(runs) for kind, runs in record.runs.items()},
        "runs_sound": {kind: _runs(runs) for kind, runs in record.sound_runs.items()},
        "episodes": {kind: _episodes(episodes) for kind, episodes in record.episodes.items()},
        "peers": {peer: _counts(counts) for peer, counts in record.peers.items()},
    }


def _gross(scored: Mapping[str, Scored]) -> dict[str, Any]:
    """Return the sums over records, as each record is given."""
    every = list(scored.values())
    protocols = every[0].tables if every else {}
    return {
        "beats": {key: _table(sum((record.tables[key] for record in every), empty())) for key in protocols},
        "runs": {
            kind: _runs(sum((r.runs[kind] for r in every), no_runs())) for kind in (every[0].runs if every else ())
        },
        "episodes": {
            kind: _episodes(sum((record.episodes[kind] for record in every), no_episodes()))
            for kind in (every[0].episodes if every else ())
        },
    }


def _table(table: Table) -> dict[str, Any]:
    return {
        "matrix": {
            row: dict(zip(ROWS.lower(), counts, strict=True))
            for row, counts in zip(ROWS, table.counts.tolist(), strict=True)
        },
        **{kind: _counts(getattr(table, kind)) for kind in ("qrs", "veb", "sveb")},
        "veb_fpr": rounded(table.false_rate("V")),
        "sveb_fpr": rounded(table.false_rate("S")),
        "rr_error_ms": rounded(table.rr_error_ms),
        "rr_error_matched_ms": rounded(table.matched_rr_error_ms),
        "shutdown_s": table.shutdown_s,
    }


def _counts(counts: Counts) -> dict[str, Any]:
    shares = {"se": counts.sensitivity, "ppv": counts.ppv, "f1": counts.f1}
    return {**counts._asdict(), **{name: rounded(share) for name, share in shares.items()}}


def _matched(matched: Matched) -> dict[str, Any]:
    return {**matched._asdict(), "se": rounded(matched.sensitivity), "ppv": rounded(matched.ppv)}


def _runs(runs: Runs) -> dict[str, Any]:
    return {kind: _matched(getattr(runs, kind)) for kind in ("couplets", "short", "long")}


def _episodes(found: Episodes) -> dict[str, Any]:
    return {
        **_matched(found.matched),
        "reference_s": round(found.reference_s, 3),
        "test_s": round(found.test_s, 3),
        "duration_se": rounded(found.duration_sensitivity),
        "duration_ppv": rounded(found.duration_ppv),
    }


def _text(result: dict[str, Any]) -> str:
    lines = list(result["reports"].values())
    paced = {name: record["beats"]["papers"]["qrs"] for name, record in result["records"].items() if record["paced"]}
    lines += [f"{name}: paced, QRS Se {counts['se']} +P {counts['ppv']}" for name, counts in paced.items()]
    for name, value in result["figures"].items():
        limits = result["intervals"].get(name)
        lines.append(
            f"{name:32} {'-' if value is None else value:>9}{'  ({} to {})'.format(*limits) if limits else ''}"
        )
    for worst in result["worst"]:
        where = ", ".join(f"{n} in the {LOOK_S:.0f} s from {at:.0f} s" for at, n in worst["look"])
        lines.append(f"{worst['record']}: {worst['cost']} mistakes; {where or 'none'}")
    lines += [f"fold {k}: {' '.join(fold)}" for k, fold in enumerate(result.get("folds", ()))]
    lines += [f"{name}: not scored: {reason}" for name, reason in result["failed"].items()]
    return "\n".join([*lines, *result["notes"]])
