"""Sets of records through the same pipeline as the ward's, scored against their reference annotations."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from ecg import ec57
from ecg.record import annotations, read
from stream.analyze import analyze

PACED = ("102", "104", "107", "217")
"""Records of `mitdb` with a pacemaker: outside the report, after EC57."""


def beats(data: Path, json: bool) -> int:
    """Score the beats of every record of a set, end to end, and print the figures; returns the exit status.

    A record that cannot be read is named and counted, and the others are scored; 2 only if none could be.
    """
    scores: dict[str, ec57.Score] = {}
    failed: dict[str, str] = {}
    for header in sorted(data.glob("*.hea")):
        try:
            scores[header.stem] = _score(header.with_suffix(""))
        except (OSError, ValueError) as error:
            failed[header.stem] = str(error)
        print(f"\r{len(scores) + len(failed)} records", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    unpaced = [score for name, score in scores.items() if name not in PACED]
    gross = ec57.total([score.qrs for score in unpaced])
    every = ec57.total([score.qrs for score in scores.values()])
    veb, sveb = ec57.total([score.veb for score in unpaced]), ec57.total([score.sveb for score in unpaced])
    figures = {
        "qrs_se": round(gross.sensitivity, 3),
        "qrs_ppv": round(gross.ppv, 3),
        "qrs_se_all": round(every.sensitivity, 3),
        "qrs_ppv_all": round(every.ppv, 3),
        "veb_se": round(veb.sensitivity, 2),
        "veb_ppv": round(veb.ppv, 2),
        "sveb_se": round(sveb.sensitivity, 2),
        "sveb_ppv": round(sveb.ppv, 2),
        "records": len(scores),
        "records_unpaced": len(unpaced),
        "records_failed": len(failed),
    }
    if json:
        print(msgspec.json.encode({"figures": figures, "records": scores, "failed": failed}).decode())
    else:
        for name, score in scores.items():
            print(f"{name:>8} {_line(score.qrs)}{'  paced' if name in PACED else ''}")
        print(f"   gross {_line(gross)}   ({len(unpaced)} unpaced records, after the first 5 min, 150 ms)")
        for name, reason in failed.items():
            print(f"{name:>8} not scored: {reason}")
    return 0 if scores else 2


def _score(path: Path) -> ec57.Score:
    recording = read(path)
    analyzed = analyze(recording, {})
    return ec57.score(annotations(path), analyzed.beat_samples, analyzed.beat_labels, recording.rate_hz)


def _line(counts: ec57.Counts) -> str:
    found, missed, false = counts
    return f"found {found:6} missed {missed:5} false {false:5}  Se {counts.sensitivity:6.2f} +P {counts.ppv:6.2f}"
