"""`vigil evaluate rhythm`: what the alarms of the running system say of rhythms, and how soon.

`vfdb`, `cudb` and `mitdb` go through the ward's pipeline with its default settings, whole records, causal.

* **Segments** of 5 s (`ecg.segments`), on `vfdb` and `cudb`: one is called to be shocked if an alarm of fibrillation,
  or of ventricular tachycardia from 150 bpm, was announced within it, or held at its end. The network has no part in
  this. Sensitivity is of segments filled by fibrillation, flutter, or tachycardia whose spectral peak is at 150 bpm or
  more; specificity is of all others but asystole, which has one of its own. Left out, and counted apart with what was
  called in them: slower tachycardia, noise, ectopy of a high grade (HGEA), segments on a boundary; on `cudb`, which
  names tachycardia in cu02 alone, unlabelled segments over 150 bpm by their median RR, and those in most of whose
  seconds every lead is flat, railed or missing.
* **Episodes and durations** of atrial fibrillation, ventricular tachycardia, and fibrillation with flutter, on `vfdb`
  and `mitdb`: from the onset that an alert names to the last time its condition held, against the marks of rhythm. Any
  overlap finds an episode.
* **Delay** from the onset of an episode of at least 10 s to be shocked, to the announcement of an alarm of ventricular
  tachycardia or fibrillation, with the time that the filters take; right-censored where the episode ended first.
* **False alarms** a bed a day by condition, on `mitdb` and `vfdb`: alarms more than 5 s from any event of their
  condition, over all hours without one; extreme rates on `mitdb` alone, which has beats.
* `ltafdb`: atrial fibrillation by duration, the rule given the annotated beats (`stream.evaluate.atrial`).
* `cinc2017`: four classes of short strips by forests (`ecg.strip_class`), on what front end and network say.

Parts of the pipeline were learned from some of these records (`ecg.learned`): headlines leave the patients out that a
part which can change the figure has seen, and figures ending in `_in_sample` are theirs. With `cross_validate` all of
these parts, the weights of the wave, those of the beat detector and the rule for atrial fibrillation, are fitted anew
without each fold's patients (`stream.evaluate.refit`), and every patient is judged by what has not seen them; strips of
`cinc2017`, of which no part has seen any, by the shipped ones. Intervals are by bootstrap over patients.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from ecg.episodes import spans
from ecg.learned import LEARNED, has_seen
from ecg.record import annotations, read
from ecg.segments import ventricular
from stream.analyze import EPOCH_NS, analyze
from stream.evaluate import atrial, run, strips
from stream.evaluate.networks import Networks, asked_for
from stream.evaluate.refit import Anew, judging, rhythm_out_of_fold
from stream.evaluate.rhythm_figures import Found, report, text
from stream.evaluate.strip import Band, draw
from stream.evaluate.watched import FALSE, Watched, watch

SETS = ("vfdb", "cudb", "mitdb")
STRIP_S, DRAWN = 30.0, 10


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
    """Score the sets of a folder and print the figures; returns the exit status, 2 only if nothing could be scored.

    Parameters
    ----------
    net : str
        What `stream.evaluate.networks.networks` takes.
    """
    judges = asked_for(net)
    refitted = rhythm_out_of_fold(data, SETS) if cross_validate else None
    anew = refitted.anew if refitted else {}
    found = _run(data, anew, judges, cross_validate=cross_validate)
    costly = sorted((each for each in found.watched if each.cost), key=lambda each: -each.cost)
    if decisions is not None:
        decisions.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in _lines(found)))
    if plot is not None:
        plot.mkdir(parents=True, exist_ok=True)
        for each in costly[: worst or DRAWN]:
            _plot(data, each, plot, anew.get(each.patient, Anew()), judges)
    result = report(found, costly[:worst], refitted)
    print(msgspec.json.encode(result).decode() if json else text(result))
    return 0 if found.watched or found.ltafdb or found.cinc2017 else 2


def _run(data: Path, anew: Mapping[str, Anew], judges: Networks, *, cross_validate: bool) -> Found:
    """Run whatever sets the folder has."""
    found = Found([], {}, {}, {}, [], judges.seen)
    for record_set in SETS:
        paths = run.records(data / record_set)
        if not paths:
            found.absent.append(record_set)
            continue
        outcome = run.over(paths, partial(watch, record_set=record_set, anew=anew, networks=judges))
        found.watched.extend(outcome.results.values())
        found.failed.update({f"{record_set}/{name}": reason for name, reason in outcome.failed.items()})
    paths = sorted(path.with_suffix("") for path in (data / "ltafdb").glob("*.atr"))
    if paths:
        outcome = run.over(paths, partial(atrial.intervals, anew=anew))
        found.ltafdb.update(outcome.results)
        found.failed.update({f"ltafdb/{name}": reason for name, reason in outcome.failed.items()})
    else:
        found.absent.append("ltafdb")
    if strips.reference(data / "cinc2017"):
        found.cinc2017.update(strips.decide(data / "cinc2017", found.failed, cross_validate=cross_validate))
    else:
        found.absent.append("cinc2017")
    return found


def _lines(found: Found) -> list[dict[str, Any]]:
    """Return what `--decisions` writes: a line a record."""
    lines: list[dict[str, Any]] = []
    for each in found.watched:
        line = {
            "set": each.record_set,
            "seen_by": [part for part in LEARNED if has_seen([part], each.patient)]
            + ["network"] * (each.patient in found.network_seen),
            **msgspec.to_builtins(each),
        }
        lines.append({name: value for name, value in line.items() if name != "record_set"})
    lines += [{"set": "ltafdb", "record": name, **s._asdict()} for name, s in found.ltafdb.items()]
    lines += [
        {"set": "cinc2017", "record": name, "true": each.truth, "decided": each.decided}
        for name, each in found.cinc2017.items()
    ]
    return lines


def _plot(data: Path, each: Watched, out: Path, anew: Anew, judges: Networks) -> None:
    """Draw the first wrong segment, or the first false alarm, of a record."""
    path = data / each.record_set / each.record
    recording, reference = read(path), annotations(path)
    with judging(anew):
        analyzed = analyze(recording, judges.judging(each.patient))
    alarms = spans(analyzed.alerts, EPOCH_NS, recording.duration_s)
    rhythms = ventricular(reference, recording.rate_hz, recording.duration_s)
    bands = [Band(f"reference: {name}", [(a, b) for a, b in at]) for name, at in rhythms.items() if len(at)]
    for name in FALSE:
        held = [(span.onset_s, span.last_s) for span in alarms if span.condition == name]
        bands += [Band(f"ours: {name}", held)] if held else []
    wrong_s = [segment.first_s for segment in each.wrong] + [s.onset_s for ours in each.false.values() for s in ours]
    beats_s = analyzed.beat_samples / recording.rate_hz
    name, first_s = f"{each.record_set} {each.record}", min(wrong_s) - STRIP_S / 3
    draw(out / f"{each.record_set}_{each.record}.svg", name, recording, first_s, STRIP_S, bands, beats_s)
