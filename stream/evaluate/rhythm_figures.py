"""Figures and the report of `vigil evaluate rhythm`, from what its records count."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg import estimate
from ecg.condition import LETHAL
from ecg.learned import LEARNED, has_seen
from ecg.segments import JUDGED
from ecg.strip_class import Class
from stream.evaluate import atrial, strips
from stream.evaluate.figures import Figures
from stream.evaluate.refit import Refitted
from stream.evaluate.watched import EPISODES, FALSE, SHOCKED, Watched
from stream.records import missing

DAY_S = 86_400.0
NETWORK = "network"
VENTRICULAR, ATRIAL = ("wave", "beats", "run", "artefact"), ("wave", "beats", "atrial", "artefact", NETWORK)
"""Learned parts (`ecg.learned`, and the network) that can change the figures of ventricular rhythms and rates, and
those of AF."""


class Found(NamedTuple):
    """All that was run: records of the sets with alarms, of the two others, what failed and what is absent.

    `network_seen` are the patients whom the network that judged them was trained on.
    """

    watched: list[Watched]
    ltafdb: dict[str, atrial.Seconds]
    cinc2017: dict[str, strips.Decided]
    failed: dict[str, str]
    absent: list[str]
    network_seen: frozenset[str] = frozenset()

    def is_seen(self, parts: Sequence[str], patient: str) -> bool:
        """Say whether any of some learned parts has seen a patient."""
        known = [part for part in parts if part != NETWORK]
        return has_seen(known, patient) or (NETWORK in parts and patient in self.network_seen)


def shockable(found: Sequence[Watched], suffix: str, into: Figures) -> None:
    """Add sensitivity and specificity of segments to be shocked: of both sets together, by set, and by patient."""
    for where, chosen in (("", found), *((f"_{s}", [w for w in found if w.record_set == s]) for s in ("vfdb", "cudb"))):
        for name, label in (("shockable_se", "shockable"), ("shockable_sp", "other"), ("asystole_sp", "asystole")):
            counts = _by_patient(chosen, partial(_decided, label=label, also=False))
            into.add(f"{name}{where}{suffix}", counts, estimate.share)
            if not where and label in SHOCKED:
                wide = _by_patient(chosen, partial(_decided, label=label, also=True))
                into.add(f"{name}_with_extreme_tachycardia{suffix}", wide, estimate.share)
                each = {whose: (right / of, 1.0) for whose, (right, of) in counts.items() if of}
                into.add(f"{name}_mean_of_patients{suffix}", each, estimate.share)


def episodes(found: Sequence[Watched], suffix: str, into: Figures, kinds: Sequence[str] = tuple(EPISODES)) -> None:
    """Add sensitivity and predictive value of episodes and of their duration."""
    for where, chosen in (
        ("", found),
        *((f"_{s}", [w for w in found if w.record_set == s]) for s in ("vfdb", "mitdb")),
    ):
        chosen = [each for each in chosen if each.overlaps]
        for kind in kinds:
            for name, (part, of) in _OVERLAPS.items():
                counts = _by_patient(chosen, partial(_overlapped, kind=kind, part=part, of=of))
                into.add(f"{kind}_{name}{where}{suffix}", counts, estimate.share)


_OVERLAPS = {
    "episode_se": ("found", "episodes"),
    "episode_ppv": ("right", "claims"),
    "duration_se": ("common_s", "reference_s"),
    "duration_ppv": ("common_s", "test_s"),
}


def delays(found: Sequence[Watched], suffix: str, into: Figures) -> None:
    """Add the times within which a half, and 95 of 100 episodes, have been alarmed on; None where so many were not.

    `long_episodes_alarmed_before` counts those at whose onset an alarm was on already: they waited for 0 s.
    """
    every = [delay for each in found for delay in each.delays]
    for part in (50, 95):
        waited_s = estimate.waited([d.waited_s for d in every], [d.seen for d in every], part / 100)
        into.values[f"alarm_delay_p{part}_s{suffix}"] = None if waited_s is None else round(waited_s, 2)
    heard = _by_patient(found, lambda w: (sum(d.seen for d in w.delays), len(w.delays)))
    into.add(f"long_episodes_alarmed{suffix}", heard, estimate.share)
    into.values[f"long_episodes{suffix}"] = len(every)
    into.values[f"long_episodes_alarmed_before{suffix}"] = sum(delay.waited_s == 0 for delay in every)


def false_alarms(found: Sequence[Watched], suffix: str, into: Figures, names: Sequence[str] = FALSE) -> None:
    """Add false alarms a bed a day of each of these conditions; where the lethal ones are asked for, their sum too."""

    def count(each: Watched) -> list[float]:
        return [n for name in names for n in (len(each.false.get(name, ())), each.judged_s.get(name, 0.0) / DAY_S)]

    counts = _by_patient([each for each in found if each.judged_s], count)
    for k, name in enumerate(names):
        into.add(f"false_alarms_per_bed_day_{name}{suffix}", counts, partial(_a_day, columns=[k]))
    lethal = [k for k, name in enumerate(names) if name in LETHAL]
    if lethal:
        into.add(f"false_alarms_per_bed_day{suffix}", counts, partial(_a_day, columns=lethal))


def _a_day(sums: NDArray[np.float64], columns: Sequence[int]) -> NDArray[np.float64]:
    """Return the sum of rates, each of alarms over days in neighbouring columns; those without any day are left out."""
    n, days = sums[:, 0::2][:, columns], sums[:, 1::2][:, columns]
    rates = np.divide(n, days, out=np.full(n.shape, np.nan), where=days > 0)
    return np.where(np.isfinite(rates).any(axis=1), np.nansum(rates, axis=1), np.nan)


def _overlapped(each: Watched, kind: str, part: str, of: str) -> tuple[float, float]:
    return getattr(each.overlaps[kind], part), getattr(each.overlaps[kind], of)


def _decided(each: Watched, label: str, also: bool) -> tuple[float, float]:
    """Return how many segments of a label were decided rightly, and how many there are."""
    chosen = [
        segment.called or (also and more)
        for segment, more in zip(each.segments, each.also, strict=True)
        if segment.label == label
    ]
    right = sum(called == JUDGED[label] for called in chosen)  # pyright: ignore[reportArgumentType]
    return right, len(chosen)


def _by_patient(found: Sequence[Watched], count: Callable[[Watched], Sequence[float]]) -> dict[str, Sequence[float]]:
    """Sum up what the records of each patient count."""
    sums: dict[str, Sequence[float]] = {}
    for each in found:
        counted = count(each)
        sums[each.patient] = [a + b for a, b in zip(sums.get(each.patient, [0.0] * len(counted)), counted, strict=True)]
    return sums


def report(found: Found, costly: Sequence[Watched], refitted: Refitted | None = None) -> dict[str, Any]:
    """Return all that is printed: figures, their intervals, and what they were made of.

    Parameters
    ----------
    found : Found
        What was run.
    costly : sequence of Watched
        The records to name.
    refitted : Refitted, optional
        What was fitted anew without each record's patient. What was not has seen some patients still: figures of these
        are reported apart.
    """
    figures = Figures()
    anew = refitted.parts if refitted else ()
    for parts, adders in _GROUPS:
        fixed = [part for part in parts if part not in anew]
        seen = [each for each in found.watched if found.is_seen(fixed, each.patient)]
        unseen = [each for each in found.watched if not found.is_seen(fixed, each.patient)]
        for add in adders:
            add(unseen, "", figures)
            if seen:
                add(seen, "_in_sample", figures)
    _add_atrial(found, figures, anew)
    counts = {"records": len(found.watched) + len(found.ltafdb) + len(found.cinc2017)}
    counts |= {
        "records_in_sample": sum(_is_in_sample(found, each, anew) for each in found.watched),
        "records_failed": len(found.failed),
    }
    return {
        "figures": {**figures.values, **counts},
        "intervals": figures.intervals,
        "out_of_fold": refitted is not None,
        "anew": anew,
        "folds": {"seed": estimate.SEED, "patients": refitted.folds} if refitted else None,
        "segments": _tally(found.watched),
        "by_patient": {
            each.patient: {label: _decided(each, label, also=False) for label in SHOCKED}
            for each in found.watched
            if each.segments
        },
        "worst": [_worst(each) for each in costly],
        "absent": found.absent,
        "failed": found.failed,
        "notes": refitted.notes if refitted else [],
    }


_GROUPS: tuple[tuple[Sequence[str], tuple[Callable[[Sequence[Watched], str, Figures], None], ...]], ...] = (
    (VENTRICULAR, (shockable, partial(episodes, kinds=("vt", "vf")), delays, partial(false_alarms, names=LETHAL))),
    (ATRIAL, (partial(episodes, kinds=("af",)), partial(false_alarms, names=("atrial_fibrillation",)))),
)


def _is_in_sample(found: Found, each: Watched, anew: Sequence[str]) -> bool:
    return found.is_seen([part for part in (*LEARNED, NETWORK) if part not in anew], each.patient)


def _add_atrial(found: Found, into: Figures, anew: Sequence[str]) -> None:
    """Add the figures of `ltafdb` and of `cinc2017`."""
    fixed = [part for part in ("atrial",) if part not in anew]
    seen = {name: s for name, s in found.ltafdb.items() if has_seen(fixed, f"ltafdb/{name}")}
    unseen = {name: s for name, s in found.ltafdb.items() if name not in seen}
    for seconds, suffix in ((unseen, ""), *([(seen, "_in_sample")] if seen else [])):
        rows = {name: (s.both, s.reference) for name, s in seconds.items()}
        into.add(f"ltafdb_af_se{suffix}", rows, estimate.share)
        rows = {n: (s.all - s.reference - s.test + s.both, s.all - s.reference) for n, s in seconds.items()}
        into.add(f"ltafdb_af_sp{suffix}", rows, estimate.share)
        rows = {name: (s.both, s.test) for name, s in seconds.items()}
        into.add(f"ltafdb_af_ppv{suffix}", rows, estimate.share)
    for suffix in ("", "_in_sample"):
        chosen = {name: each for name, each in found.cinc2017.items() if each.seen == bool(suffix)}
        if suffix and not chosen:
            continue
        pairs: list[tuple[Class, Class]] = [(each.truth, each.decided) for each in chosen.values()]
        rows = dict(zip(chosen, strips.confusion(pairs).tolist(), strict=True))
        into.add(f"cinc2017_rules_f1_mean{suffix}", rows, strips.f1_mean)
        for name, symbol in strips.NAMED.items():
            into.add(f"cinc2017_rules_f1_{name}{suffix}", rows, partial(strips.f1, name=symbol))


def _tally(found: Sequence[Watched]) -> dict[str, dict[str, tuple[int, int]]]:
    """Return, by set and label, how many segments there are and how many were called to be shocked."""
    tally: dict[str, dict[str, tuple[int, int]]] = {}
    for each in found:
        for segment in each.segments:
            labels = tally.setdefault(each.record_set, {})
            n, called = labels.get(segment.label, (0, 0))
            labels[segment.label] = (n + 1, called + segment.called)
    return tally


def _worst(each: Watched) -> dict[str, Any]:
    return {
        "set": each.record_set,
        "record": each.record,
        "cost": each.cost,
        "missed_s": [segment.first_s for segment in each.wrong if not segment.called],
        "called_s": [segment.first_s for segment in each.wrong if segment.called],
        "false_alarms_s": {name: [round(s.onset_s, 1) for s in ours] for name, ours in each.false.items() if ours},
    }


def text(result: Mapping[str, Any]) -> str:
    """Return what `vigil evaluate rhythm` prints of a report."""
    values, intervals = result["figures"], result["intervals"]
    lines = [f"{name:>56} {_number(value):>9}  {_between(intervals.get(name))}" for name, value in values.items()]
    for record_set, labels in result["segments"].items():
        counts = (f"{label} {called}/{n}" for label, (n, called) in sorted(labels.items()))
        lines.append(f"segments of {record_set}, called to be shocked of all: {', '.join(counts)}")
    for whose, decided in result["by_patient"].items():
        parts = (f"{label} {right:.0f}/{of:.0f}" for label, (right, of) in decided.items() if of)
        lines.append(f"{whose:>12} decided rightly: {', '.join(parts)}")
    if result["folds"]:
        lines += [f"fold {k}: {' '.join(fold)}" for k, fold in enumerate(result["folds"]["patients"], 1)]
    for each in result["worst"]:
        looks = {"missed": each["missed_s"], "called": each["called_s"], **each["false_alarms_s"]}
        at = "; ".join(f"{what} at {' '.join(f'{s:g}' for s in found[:6])} s" for what, found in looks.items() if found)
        lines.append(f"{each['set']}/{each['record']} costs {each['cost']}: {at}")
    lines += [*(missing(name) for name in result["absent"]), *result["notes"]]
    return "\n".join([*lines, *(f"{name}: not scored: {reason}" for name, reason in result["failed"].items())])


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _between(interval: Sequence[float] | None) -> str:
    return f"({interval[0]:.4g}-{interval[1]:.4g})" if interval else ""
