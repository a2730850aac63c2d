"""`vigil evaluate intervals`: QRS and QT of averaged beats against experts, and how often ST and QTc alarm.

* `qtdb`: two leads of fifteen minutes through the array stages, causal. Each beat that experts marked (`q1c`, one mark
  for both leads) is compared with the newest average that holds it (`ecg.average_beat`); the T end that counts is the
  last one before a U wave. Errors are ours less theirs, in ms: of each record the mean and the SD over its beats, then
  the mean of the records' means, their SD, and the mean of the records' SDs, which is what is usually published (with
  the better lead of each beat chosen by the expert's mark; here none is). Every second record by name chose the
  constants of `ecg.qt_measure`: figures ending in `_in_sample` are theirs. Excerpts of records that are kept back for
  scoring were in neither.
* `ludb`: twelve leads of ten seconds, one average of a record (`ecg.average_record`). Experts marked each lead: theirs
  is the median over leads and beats, of the QRS's onset the earliest tenth. None chose anything.
* `mitdb`, `cinc2015`: alarms of ST and QTc a bed a day from the whole pipeline with its default settings, with
  intervals by bootstrap over patients.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg.average_record import average
from ecg.frontend import Analysis, Chunk, FrontEnd
from ecg.mains import Mains
from ecg.qt_measure import measure
from ecg.record import Annotations, annotations, read
from ecg.resample import ANALYSIS_HZ, Resampler
from ecg.st_path import StPath
from stream.analyze import analyze
from stream.evaluate import run
from stream.evaluate.figures import Figures, rounded

CONDITIONS = ("st_high", "st_low", "qtc_high", "qtc_delta")
KEPT_BACK = ("sel213", "sel821", "sel853")
NEAR = 0.15 * ANALYSIS_HZ
"""A beat of ours within so many samples of an expert's is the same."""
NAMES = ("qrs_onset", "qrs_end", "t_end", "qt")
CHUNK_S = 60


class Errors(NamedTuple):
    """Of one record: errors in ms (beats, those of `NAMES`), NaN where nothing is said or known, and beats marked."""

    errors_ms: NDArray[np.float64]
    marked: int


def evaluate(data: Path, *, json: bool, decisions: Path | None) -> int:
    """Score the sets of a folder and print the figures; returns the exit status, 2 only if nothing could be scored."""
    figures: dict[str, float | None] = {}
    alarmed = Figures()
    failed: dict[str, str] = {}
    lines: list[dict[str, Any]] = []
    for name, score, folder in (("qtdb", causal, data / "qtdb"), ("ludb", whole, data / "ludb" / "data")):
        outcome = run.over(paths, score) if (paths := run.records(folder)) else run.Outcome({}, {})
        failed |= {f"{name}/{record}": reason for record, reason in outcome.failed.items()}
        chosen_on = sorted(outcome.results)[::2] if name == "qtdb" else []
        for suffix, part in (("_in_sample", chosen_on), ("", [r for r in outcome.results if r not in chosen_on])):
            scored = {record: outcome.results[record] for record in part if record not in KEPT_BACK}
            if scored:
                figures |= {f"{name}_{figure}{suffix}": v for figure, v in _summed(list(scored.values())).items()}
            lines += [{"set": name, "record": r, "errors_ms": _means(each)} for r, each in scored.items()]
    for name in ("mitdb", "cinc2015"):
        outcome = run.over(paths, alarms) if (paths := run.records(data / name)) else run.Outcome({}, {})
        failed |= {f"{name}/{record}": reason for record, reason in outcome.failed.items()}
        for each in CONDITIONS if outcome.results else ():
            rows = {record: (counts[each], counts["seconds"] / 86400) for record, counts in outcome.results.items()}
            alarmed.add(f"{name}_alarms_per_bed_day_{each}", rows, lambda sums: sums[:, 0] / sums[:, 1])
        lines += [{"set": name, "record": record, **counts} for record, counts in outcome.results.items()]
    figures |= alarmed.values
    if decisions is not None:
        decisions.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    if json:
        print(msgspec.json.encode({"figures": figures, "intervals": alarmed.intervals, "failed": failed}).decode())
    else:
        print("\n".join(f"{name:44} {value}" for name, value in figures.items()))
    return 0 if figures else 2


def causal(path: Path) -> Errors:
    """Compare the experts' beats of a record with the average that was newest soon after."""
    recording = read(path)
    front = FrontEnd()
    bed = front.open(recording.rate_hz, len(recording.mv()))
    found = _through(front, bed, recording.mv(), recording.rate_hz)
    beats, measured = (np.concatenate(each) for each in zip(*((a.beats, a.measured) for a in found), strict=True))
    marks = marked(annotations(path, "q1c"), ANALYSIS_HZ / recording.rate_hz)
    errors = np.full((len(marks), len(NAMES)), np.nan)
    for k, mark in enumerate(marks):
        at = beats["sample"][np.abs(beats["sample"] - mark[0]).argmin()] if len(beats) else -NEAR
        holding = measured[(measured["first"] <= at) & (measured["at"] > at)]
        if abs(at - mark[0]) <= NEAR and len(holding):
            errors[k] = _errors(holding[0]["onset"] + at, holding[0]["qrs_ms"], holding[0]["qt_ms"], mark)
    return Errors(errors, len(marks))


def whole(path: Path) -> Errors:
    """Compare the average of a short record with what experts marked in all its leads."""
    recording = read(path)
    mv, ratio = recording.mv(), ANALYSIS_HZ / recording.rate_hz
    front = FrontEnd()
    found = _through(front, front.open(recording.rate_hz, len(mv)), mv, recording.rate_hz)
    beats = np.concatenate([each.beats for each in found])
    beats = beats[beats["label"] == ord("N")]
    nothing = Errors(np.full((1, len(NAMES)), np.nan), 1)
    if not len(beats):
        return nothing
    shape = Counter(beats["shape"].tolist()).most_common(1)[0][0]
    beats = beats[beats["shape"] == shape]
    theirs = _of_leads([marked(annotations(path, each.name.lower()), ratio) for each in recording.leads], beats)
    one = average(_level(mv, recording.rate_hz), beats["sample"])
    if one is None or theirs is None:
        return nothing
    seen = measure(one.beat_mv, one.error_mv, float(np.nanmedian(beats["rr_s"])))
    return Errors(_errors(seen.qrs_first, seen.qrs_ms, seen.qt_ms, theirs)[None], 1)


def marked(marks: Annotations, ratio: float) -> NDArray[np.float64]:
    """Return the beats that an expert marked: where they are, QRS onset and end, T end, at 250 Hz; NaN where not."""
    symbols, samples = marks.symbols.tolist(), marks.samples.astype(np.float64) * np.float64(ratio)
    found = []
    for k, symbol in enumerate(symbols):
        if symbol in "()ptu":
            continue
        onset = samples[k - 1] if k and symbols[k - 1] == "(" else np.nan
        end = samples[k + 1] if symbols[k + 1 : k + 2] == [")"] else np.nan
        found.append((samples[k], onset, end, _t_end(symbols, samples, k + 1)))
    return np.array(found, np.float64).reshape(-1, 4)


def _t_end(symbols: Sequence[str], samples: NDArray[np.float64], first: int) -> float:
    """Return where the last T wave ends that is marked from a place on, before another wave."""
    end = np.nan
    for k in range(first, len(symbols)):
        if symbols[k] not in "()t":
            break
        if symbols[k - 1 : k + 1] == ["t", ")"]:
            end = float(samples[k])
    return end


def _of_leads(leads: Sequence[NDArray[np.float64]], beats: NDArray[np.void]) -> NDArray[np.float64] | None:
    """Return what experts marked in all leads, in samples from our beats: the earliest onset, else medians."""
    rows = []
    for mark in np.concatenate(leads):
        at = beats["sample"][np.abs(beats["sample"] - mark[0]).argmin()]
        if abs(at - mark[0]) <= NEAR:
            rows.append(mark - at)
    if not rows:
        return None
    onset = float(np.nanpercentile([row[1] for row in rows], 10))
    return np.array([0.0, onset, *np.nanmedian(np.array(rows)[:, 2:], axis=0)], np.float64)


def _errors(onset: float, qrs_ms: float, qt_ms: float, mark: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ours less theirs, in ms."""
    ms = 1000 / ANALYSIS_HZ
    late = (onset - mark[1]) * ms
    end, t_end = late + qrs_ms - (mark[2] - mark[1]) * ms, late + qt_ms - (mark[3] - mark[1]) * ms
    return np.array([late, end, t_end, t_end - late])


def _through(front: FrontEnd, bed: int, mv: NDArray[np.float32], rate_hz: float) -> list[Analysis]:
    """Run a record through the array stages."""
    n = round(CHUNK_S * rate_hz)
    starts = range(0, mv.shape[1], n)
    chunks = [Chunk(bed, mv[:, at : at + n], front.raw_after(bed, at), last=at + n >= mv.shape[1]) for at in starts]
    return [front.feed([chunk])[0] for chunk in chunks]


def _level(mv: NDArray[np.float32], rate_hz: float) -> NDArray[np.float32]:
    """Return a whole record at 250 Hz without mains and baseline."""
    resampler, mains, path, rows = Resampler(), Mains(), StPath(), np.arange(len(mv))
    for row in rows.tolist():
        resampler.reset(row, rate_hz)
        mains.reset(row)
        path.reset(row)
    raw, _ = resampler.feed(rows, mv, np.full(len(mv), mv.shape[1]))
    raw = np.concatenate([raw, [resampler.flush(row) for row in rows.tolist()]], axis=1)
    count = np.full(len(mv), raw.shape[1])
    level, _ = path.feed(rows, mains.feed(rows, np.ascontiguousarray(raw), count), count)
    return np.concatenate([level, [path.flush(row) for row in rows.tolist()]], axis=1)


def alarms(path: Path) -> dict[str, float]:
    """Count the alarms of ST and QTc of a record, in the whole pipeline without the network."""
    recording = read(path)
    raised = Counter(a.condition for a in analyze(recording, {}).alerts if a.phase == "start")
    return {"seconds": recording.duration_s, **{name: float(raised[name]) for name in CONDITIONS}}


def _means(scored: Errors) -> dict[str, float | None]:
    return {
        name: rounded(float(np.mean(known))) if len(known := column[np.isfinite(column)]) else None
        for name, column in zip(NAMES, scored.errors_ms.T, strict=True)
    }


def _summed(scored: Sequence[Errors]) -> dict[str, float | None]:
    """Return figures over records, in ms, and of how many of the marked beats, in percent, QT is not said."""
    figures: dict[str, float | None] = {"records": float(len(scored))}
    for k, name in enumerate(NAMES):
        known = [each.errors_ms[:, k][np.isfinite(each.errors_ms[:, k])] for each in scored]
        known = [each for each in known if len(each)]
        means = np.array([each.mean() for each in known]) if known else np.array([np.nan])
        figures[f"{name}_error_ms"] = rounded(float(means.mean()))
        figures[f"{name}_error_sd_of_records_ms"] = rounded(float(means.std()))
        figures[f"{name}_error_median_ms"] = rounded(float(np.median(means)))
        if any(len(each) > 1 for each in known):
            figures[f"{name}_error_sd_within_ms"] = rounded(float(np.mean([each.std() for each in known])))
        figures[f"{name}_records"] = float(len(known))
    beats = sum(each.marked for each in scored)
    said = sum(int(np.isfinite(each.errors_ms[:, NAMES.index("qrs_end")]).sum()) for each in scored)
    ends = sum(int(np.isfinite(each.errors_ms[:, NAMES.index("qt")]).sum()) for each in scored)
    figures["beats"] = float(beats)
    figures["beats_without_qrs_percent"] = rounded(100 - 100 * said / max(1, beats))
    figures["beats_without_qt_percent"] = rounded(100 - 100 * ends / max(1, beats))
    return figures
