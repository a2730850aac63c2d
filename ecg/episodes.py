"""Episodes: stretches of time in which a rhythm was marked or an alarm's condition held, and arithmetic on them.

Stretches are rows (first, end) of a float64 array in seconds, in order, apart from each other, the end not included.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ecg.alert import Alert
from ecg.condition import CONDITIONS
from ecg.record import Annotations

Stretches = NDArray[np.float64]
NOTHING: Stretches = np.empty((0, 2))

RHYTHMS: dict[str, tuple[str, ...]] = {
    "af": ("(AFIB", "(AF"),
    "afl": ("(AFL",),
    "vt": ("(VT",),
    "vf": ("(VF", "(VFIB", "(VFL"),
    "asystole": ("(ASYS",),
    "noise": ("(NOISE",),
    "ectopy": ("(HGEA",),
}
"""Rhythm marks of WFDB by what they are scored as; fibrillation has two spellings, and flutter is scored with it."""


class Span(NamedTuple):
    """One alarm of ours on a record's clock, in seconds.

    `onset_s` is the first evidence that the alert names, `decided_s` when it was announced, and `last_s` when the
    condition held last: an alarm stays on for a while after that, so that a flicker is one episode. `value` is the
    largest that its alerts name, NaN where they name none.
    """

    condition: str
    onset_s: float
    decided_s: float
    last_s: float
    value: float


def spans(alerts: Iterable[Alert], t0_ns: int, end_s: float) -> list[Span]:
    """Return the alarms among alerts, in order of decision; one that did not end lasts until `end_s`.

    Parameters
    ----------
    alerts : iterable of Alert
        Those of one device, in order.
    t0_ns : int
        Event time of the record's first sample.
    end_s : float
        Length of the record.
    """
    begun: dict[str, Span] = {}
    ended: dict[str, Span] = {}
    for alert in alerts:
        decided_s = (alert.decided_ns - t0_ns) / 1e9
        value = np.nan if alert.value is None else alert.value
        if alert.phase == "start":
            onset_s = max(0.0, (alert.onset_ns - t0_ns) / 1e9)
            begun[alert.episode] = Span(alert.condition, onset_s, decided_s, end_s, value)
        elif alert.episode in begun:
            span = begun[alert.episode]
            span = begun[alert.episode] = span._replace(value=float(np.fmax(span.value, value)))
            if alert.episode not in ended and (alert.presence == "latched" or alert.phase == "end"):
                last_s = max(span.decided_s, decided_s - CONDITIONS[span.condition].hold_s)
                ended[alert.episode] = span._replace(last_s=min(last_s, end_s))
    return [ended.get(episode, span) for episode, span in begun.items()]


def marked(annotations: Annotations, marks: Sequence[str], rate_hz: float, end_s: float) -> Stretches:
    """Return the stretches whose rhythm (`+`) is one of these marks; the last rhythm lasts to the record's end."""
    notes = zip(annotations.samples.tolist(), annotations.symbols.tolist(), annotations.aux, strict=True)
    at = [(sample / rate_hz, aux) for sample, symbol, aux in notes if symbol == "+" and aux.startswith("(")]
    ends = [*(first for first, _ in at), end_s][1:]
    return union([(first, end) for (first, aux), end in zip(at, ends, strict=True) if aux in marks])


def bracketed(annotations: Annotations, rate_hz: float, end_s: float) -> Stretches:
    """Return the stretches of flutter or fibrillation between `[` and `]`; one that nothing closes lasts to the end."""
    found, opened = [], None
    for sample, symbol in zip(annotations.samples.tolist(), annotations.symbols.tolist(), strict=True):
        if symbol == "[" and opened is None:
            opened = sample / rate_hz
        elif symbol == "]" and opened is not None:
            found.append((opened, sample / rate_hz))
            opened = None
    return union(found if opened is None else [*found, (opened, end_s)])


def union(*stretches: ArrayLike) -> Stretches:
    """Return what lies in any of these.

    Examples
    --------
    >>> union([(0, 2), (5, 6)], [(1, 3), (6, 7)]).tolist()
    [[0.0, 3.0], [5.0, 7.0]]
    """
    rows = [row for each in stretches for row in np.asarray(each, np.float64).reshape(-1, 2).tolist()]
    joined: list[list[float]] = []
    for first, end in sorted(rows):
        if end <= first:
            continue
        if joined and first <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([first, end])
    return np.array(joined, np.float64).reshape(-1, 2)


def outside(stretches: Stretches, first: float, end: float) -> Stretches:
    """Return what lies between two times and in none of these."""
    edges = np.concatenate([[first], union(stretches).ravel(), [end]]).reshape(-1, 2)
    return common(union(edges), np.array([[first, end]]))


def common(a: Stretches, b: Stretches) -> Stretches:
    """Return what lies in both.

    Examples
    --------
    >>> common(union([(0, 4), (6, 9)]), union([(2, 7)])).tolist()
    [[2.0, 4.0], [6.0, 7.0]]
    """
    return union([(max(p, r), min(q, s)) for p, q in a for r, s in b if max(p, r) < min(q, s)])


def widened(stretches: Stretches, by_s: float) -> Stretches:
    """Return stretches that begin and end this much further out."""
    return union(np.asarray(stretches) + np.array([-by_s, by_s]))


def total(stretches: Stretches) -> float:
    """Return how long they are together."""
    return float((stretches[:, 1] - stretches[:, 0]).sum())


def touched(stretches: Stretches, others: Stretches) -> NDArray[np.bool_]:
    """Return which of these have any time in common with any of the others."""
    return np.array([any(r < q and p < s for r, s in others) for p, q in stretches], np.bool_).reshape(-1)


class Overlap(NamedTuple):
    """Episodes and seconds of a reference and of a test: how many, and how many of each the other has too."""

    episodes: int = 0
    found: int = 0
    claims: int = 0
    right: int = 0
    reference_s: float = 0.0
    test_s: float = 0.0
    common_s: float = 0.0


def compare(reference: Stretches, test: Stretches) -> Overlap:
    """Compare after EC57: any overlap finds an episode, and makes a claim right; seconds are compared apart."""
    return Overlap(
        len(reference),
        int(touched(reference, test).sum()),
        len(test),
        int(touched(test, reference).sum()),
        total(reference),
        total(test),
        total(common(reference, test)),
    )
