"""Figures of `vigil evaluate quality` from what each record gave, each with its interval by bootstrap over patients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ecg import estimate
from ecg.artefact_fit import KINDS
from ecg.quality import Unrest

THRESHOLD = 0.5
"""Vote from which a recording is called unacceptable."""
IN_SAMPLE = "_in_sample"
SHARES = {
    "vfdb_noise_suspended": "noise",
    "vfdb_rest_suspended": "rest",
    "mitdb_clean_suspended": "clean",
    "mitdb_em_12_suspended": "em_12",
    "mitdb_em_6_suspended": "em_6",
}
"""Figures that are a share of suspended seconds, and of which kind."""
NOTES = (
    "mitdb with electrode motion: the noisy stretches alone, second half of the noise",
    "records of cinc2011 and cinc2017 are not tied to patients",
)


class Judged(msgspec.Struct, frozen=True):
    """A recording of `cinc2011`: its vote for unacceptable, and whether the forest that gave it had `seen` it.

    `twin` is the first record that is the same recording.
    """

    record: str
    twin: str
    bad: bool
    vote: float
    seen: bool


class Strip(msgspec.Struct, frozen=True):
    """A strip of `cinc2017`: whether it is of class ~, how restless it is, and the share of noisy seconds."""

    record: str
    noisy: bool
    unrest: float
    noisy_share: float


class Ladder(msgspec.Struct, frozen=True):
    """What the ladder did in one record: seconds, those suspended and those noisy, by `ecg.artefact_fit.KINDS`."""

    record: str
    patient: str
    rule: Unrest
    seconds: list[float]
    suspended: list[float]
    noisy: list[float]
    seen: bool


class _Figures:
    def __init__(self) -> None:
        self.values: dict[str, float | None] = {}
        self.intervals: dict[str, tuple[float, float] | None] = {}

    def share(self, name: str, rows: dict[str, list[tuple[float, float]]]) -> None:
        """Add a part of a whole, by patient, as a fraction."""
        counts = np.array([np.sum(each, axis=0) for each in rows.values()], np.float64).reshape(-1, 2)
        self.values[name] = _rounded(float(_fraction(counts.sum(axis=0)[None])[0]))
        limits = estimate.interval(counts, _fraction)
        self.intervals[name] = (round(limits[0], 4), round(limits[1], 4)) if limits else None


def report(
    recordings: Sequence[Judged], strips: Sequence[Strip], ladders: Sequence[Ladder], failed: dict[str, str]
) -> dict[str, Any]:
    """Return the figures, by name, and what they are made of."""
    found = _Figures()
    for ending, is_seen in (("", False), (IN_SAMPLE, True)):
        judged = [each for each in recordings if each.seen == is_seen]
        walked = [each for each in ladders if each.seen == is_seen]
        if not is_seen or judged:
            _add_recordings(found, judged, ending)
        if not is_seen or walked:
            _add_ladders(found, walked, ending)
    truth = np.array([each.noisy for each in strips], np.bool_)
    for name, scores in (("unrest", [s.unrest for s in strips]), ("noisy_share", [s.noisy_share for s in strips])):
        found.values[f"cinc2017_noisy_auroc_by_{name}"] = auroc(np.array(scores), truth)
    counted = {"cinc2011_records": len(recordings), "cinc2017_records": len(strips), "ladder_records": len(ladders)}
    return {
        "figures": {**found.values, **counted, "records_failed": len(failed)},
        "intervals": found.intervals,
        "twins": sorted([each.twin, each.record] for each in recordings if each.twin != each.record),
        "lethal_suspended": {each.record: round(each.suspended[0], 1) for each in ladders if each.suspended[0] > 0},
        "noise_suspended": {
            each.record: [round(each.suspended[2], 1), round(each.seconds[2], 1)] for each in ladders if each.seconds[2]
        },
        "rules": sorted({tuple(each.rule) for each in ladders}),
        "failed": failed,
        "notes": [*NOTES],
    }


def _add_recordings(found: _Figures, judged: Sequence[Judged], ending: str) -> None:
    def rows(chosen: Callable[[Judged], bool]) -> dict[str, list[tuple[float, float]]]:
        out: dict[str, list[tuple[float, float]]] = {}
        for each in filter(chosen, judged):
            right = (each.vote >= THRESHOLD) == each.bad
            out.setdefault(each.twin, []).append((float(right), 1.0))
        return out

    found.share(f"cinc2011_accuracy{ending}", rows(lambda each: True))
    found.share(f"cinc2011_unacceptable_se{ending}", rows(lambda each: each.bad))
    found.share(f"cinc2011_unacceptable_sp{ending}", rows(lambda each: not each.bad))
    votes = np.array([each.vote for each in judged])
    found.values[f"cinc2011_auroc{ending}"] = auroc(votes, np.array([each.bad for each in judged], np.bool_))


def _add_ladders(found: _Figures, walked: Sequence[Ladder], ending: str) -> None:
    def rows(kind: str, *, noisy: bool = False) -> dict[str, list[tuple[float, float]]]:
        at, out = KINDS.index(kind), {}
        for each in walked:
            if each.seconds[at]:
                part = each.noisy[at] if noisy else each.suspended[at]
                out.setdefault(each.patient, []).append((part, each.seconds[at]))
        return out

    for name, kind in SHARES.items():
        found.share(name + ending, rows(kind))
    found.share(f"vfdb_noise_seconds_se{ending}", rows("noise", noisy=True))
    found.share(f"vfdb_rest_seconds_noisy{ending}", rows("rest", noisy=True))
    for kind in ("lethal", "unreadable"):
        at = KINDS.index(kind)
        scored = [each for each in walked if not each.record.startswith("mitdb/")]
        for what, seconds in (("suspended", "suspended"), ("", "seconds")):
            name = "_".join(filter(None, (kind, what, "s")))
            total = sum(getattr(each, seconds)[at] for each in scored)
            found.values[name + ending] = round(total, 1) if scored else None


def auroc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float | None:
    """Return the area under the receiver's curve, ties counted half; None where one of the kinds is absent.

    Examples
    --------
    >>> auroc(np.array([1.0, 2.0, 2.0, 3.0]), np.array([False, False, True, True]))
    0.875
    """
    positive, negative = scores[truth], np.sort(scores[~truth])
    if not len(positive) or not len(negative):
        return None
    below = np.searchsorted(negative, positive, side="left") + np.searchsorted(negative, positive, side="right")
    return _rounded(float(below.sum() / 2 / len(positive) / len(negative)))


def _fraction(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    return estimate.share(sums) / 100.0


def _rounded(value: float) -> float | None:
    return round(value, 4) if np.isfinite(value) else None


def text(found: dict[str, Any]) -> str:
    """Return what is printed without `--json`."""
    lines = []
    for name, value in found["figures"].items():
        between = found["intervals"].get(name)
        limits = "  ({:.3f}-{:.3f})".format(*between) if between else ""
        lines.append(f"{name:>42}  {'-' if value is None else value}{limits}")
    lines += [f"VF, flutter or VT suspended in {name}: {s} s" for name, s in found["lethal_suspended"].items()]
    lines += [f"marked as noise in {name}: {s} of {n} s suspended" for name, (s, n) in found["noise_suspended"].items()]
    lines += [f"one recording under two names: {' '.join(names)}" for names in found["twins"]]
    lines += [f"{name}: not scored: {reason}" for name, reason in found["failed"].items()]
    return "\n".join([*lines, *(f"note: {note}" for note in found["notes"])])
