"""`vigil evaluate quality`: whether what is said of the signal agrees with people, and what the ladder suspends.

* `cinc2011`: twelve leads of ten seconds, acceptable or not, by the forest of `ecg.quality_forest`. The positive class
  of sensitivity is *unacceptable*. Recordings that are one under two names count as one patient.
* `cinc2017`: strips of one lead; AUROC of class ~ (too noisy) against all others, by how restless their seconds are in
  the mean, and by the share of noisy ones.
* `vfdb`: how many of the seconds that are marked as noise are noisy, and how many of those without a mark.
* The artefact ladder (`ecg.artefact`), after `ecg.artefact_fit`: the share of seconds that it suspends, of those marked
  as noise in `vfdb`, of those without a mark there, of clean `mitdb`, and of its noisy stretches with the second half
  of electrode motion at 12 and 6 dB; and how many seconds of VF, flutter or VT it suspends in `vfdb` and `cudb`, those
  apart in which no lead can be read.

The forest and the rule of a restless second were learned from records of these sets (`ecg.learned`): headlines leave
them out, and figures ending in `_in_sample` are theirs. With `cross_validate` both are chosen anew without each fold,
and each record is judged by what has not seen it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg import artefact_fit, quality_fit, quality_forest
from ecg.artefact import is_noisy
from ecg.artefact_fit import CANDIDATES, Tally
from ecg.learned import has_seen
from ecg.quality import RESTLESS, Quality, unrest
from ecg.quality_fit import Described
from ecg.record import read
from ecg.resample import Resampler
from ecg.strip_fit import read_reference
from stream.evaluate import run
from stream.evaluate.figures import folds as divide
from stream.evaluate.quality_figures import Judged, Ladder, Strip, report, text

FOLDS = 10
SHIPPED = CANDIDATES.index(RESTLESS)


def evaluate(data: Path, *, json: bool, decisions: Path | None, cross_validate: bool) -> int:
    """Score the sets of a folder and print the figures; returns the exit status, 2 only if nothing could be scored."""
    failed: dict[str, str] = {}
    recordings = _recordings(data / "cinc2011", failed, cross_validate=cross_validate)
    strips = _strips(data / "cinc2017", failed)
    ladders = _ladders(data, failed, cross_validate=cross_validate)
    if decisions is not None:
        lines = [{"set": "cinc2011", **msgspec.to_builtins(each)} for each in recordings]
        lines += [{"set": "cinc2017", **msgspec.to_builtins(each)} for each in strips]
        lines += [{"set": each.record.split("/")[0], **msgspec.to_builtins(each)} for each in ladders]
        decisions.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    found = report(recordings, strips, ladders, failed)
    print(msgspec.json.encode(found).decode() if json else text(found))
    return 0 if recordings or strips or ladders else 2


def train(data: Path, out: Path) -> None:
    """Grow the forest on the recordings of `cinc2011` in a folder of the sets, and write it as safetensors.

    Raises
    ------
    ValueError
        If they are not there.
    """
    from model.commit import commit

    bad = _reference(data / "cinc2011")
    found = run.over([data / "cinc2011" / name for name in bad], quality_fit.collect)
    forest = quality_fit.fit(list(found.results.values()), bad)
    made = {
        "command": "vigil train quality --data DIR --out FILE",
        "seed": quality_fit.SEED,
        "split": f"{FOLDS} folds by recording for the figures, twins together; the weights are grown on all",
        "commit": commit(),
        "records": {"cinc2011": sorted(found.results)},
    }
    out.write_bytes(quality_forest.encode(forest, made))


def _reference(folder: Path) -> dict[str, bool]:
    listed = folder / "REFERENCE.csv"
    return quality_fit.read_reference(listed.read_text()) if listed.is_file() else {}


def _recordings(folder: Path, failed: dict[str, str], *, cross_validate: bool) -> list[Judged]:
    bad = _reference(folder)
    if not bad:
        return []
    outcome = run.over([folder / name for name in bad], quality_fit.collect)
    failed.update({f"cinc2011/{name}": reason for name, reason in outcome.failed.items()})
    found = list(outcome.results.values())
    whose = quality_fit.twins(found)
    votes = out_of_fold(found, bad, whose) if cross_validate else _votes(quality_forest.shipped(), found)
    seen = {name: not cross_validate and has_seen(["quality"], f"cinc2011/{name}") for name in bad}
    return [Judged(name, whose[name], bad[name], vote, seen[name]) for name, vote in votes.items()]


def out_of_fold(found: list[Described], bad: Mapping[str, bool], whose: Mapping[str, str]) -> dict[str, float]:
    """Return each recording's vote by a forest that was grown without its fold; twins share theirs."""
    votes: dict[str, float] = {}
    for fold in divide(set(whose.values()), FOLDS):
        without = {name for name, first in whose.items() if first in fold}
        forest = quality_fit.fit(found, bad, without)
        votes |= _votes(forest, [each for each in found if each.record in without])
    return {each.record: votes[each.record] for each in found}


def _votes(forest: quality_forest.Forest, found: list[Described]) -> dict[str, float]:
    if not found:
        return {}
    votes = quality_forest.unacceptable(forest, np.array([each.features for each in found]))
    return dict(zip((each.record for each in found), votes.tolist(), strict=True))


def _strips(folder: Path, failed: dict[str, str]) -> list[Strip]:
    listed = folder / "REFERENCE.csv"
    truth = read_reference(listed.read_text()) if listed.is_file() else {}
    outcome = run.over([folder / name for name in sorted(truth)], strip) if truth else run.Outcome({}, {})
    failed.update({f"cinc2017/{name}": reason for name, reason in outcome.failed.items()})
    return [Strip(name, truth[name] == "~", *scores) for name, scores in outcome.results.items()]


def strip(path: Path) -> tuple[float, float]:
    """Return of a strip of one lead how restless it is, as a mean over its seconds, and the share of noisy ones.

    How restless a second is, is the range of its fourth calmest tenth over its steepest step.
    """
    recording = read(path)
    resampler, quality, row = Resampler(), Quality(), np.array([0])
    resampler.reset(0, recording.rate_hz)
    quality.reset(0)
    raw, count = resampler.feed(row, recording.mv()[:1], np.array([recording.n_samples]))
    seconds = quality.feed(row, raw, count)[0]
    noisy = [is_noisy([(each.verdict, each.restless)]) for each in seconds]
    calm: NDArray[np.float64] = unrest(raw[:, : int(count[0])])[0, :, 1]
    return (float(calm.mean()), float(np.mean(noisy))) if len(seconds) else (0.0, 0.0)


def _ladders(data: Path, failed: dict[str, str], *, cross_validate: bool) -> list[Ladder]:
    tallies: list[Tally] = []
    for name in artefact_fit.SETS:
        outcome = run.over(run.records(data / name), partial(artefact_fit.collect, record_set=name))
        failed.update({f"{name}/{record}": reason for record, reason in outcome.failed.items()})
        tallies += outcome.results.values()
    patients = {each.patient for each in tallies}
    chosen: dict[str, int] = {}
    for fold in divide(patients, FOLDS) if cross_validate and len(patients) > 1 else []:
        chosen |= dict.fromkeys(fold, artefact_fit.fit(tallies, fold))
    return [_ladder(each, chosen.get(each.patient)) for each in tallies]


def _ladder(tally: Tally, anew: int | None) -> Ladder:
    """Return what the ladder did by a rule that was chosen without the patient, or by the shipped one."""
    rule = SHIPPED if anew is None else anew
    counts = (tally.seconds.tolist(), tally.suspended[rule].tolist(), tally.noisy.tolist())
    was_seen = anew is None and has_seen(["artefact"], tally.patient)
    return Ladder(tally.record, tally.patient, CANDIDATES[rule], *counts, was_seen)
