"""`vigil explain`: each alarm of a record in words, with what the network's answer rests on, without a server."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.alert import Alert, decode_alert
from ecg.clinical import Settings
from ecg.condition import CONDITIONS
from ecg.frame import Setup
from ecg.frontend import Analysis
from ecg.lead import PULSE_KINDS, of_record
from ecg.record import Record as Recording
from ecg.resample import ANALYSIS_HZ
from ecg.window import SPAN
from model.explain.prototypes import Near, Prototypes
from model.explain.saliency import CELL, choose_leads, occluded, saliency
from model.explain.sentence import SECONDS, Measured, Words, diagnoses, sentence
from model.explain.shared import encoded
from model.frontend import last_span
from model.labels import RHYTHMS
from model.score import OUTPUTS
from model.weights import Network
from stream.analyze import EPOCH_NS, fed, pseudonym
from stream.pipeline import Pipeline

_NS = 1_000_000_000 // ANALYSIS_HZ
SHOWN = 3
"""Places and prototypes that are named."""


class Place(NamedTuple):
    """0.4 s of a lead, from `first_s` of the record on, and by how much the answer falls without it."""

    lead: str
    first_s: float
    weight: float


class Explained(NamedTuple):
    """An alarm with its reasons.

    Attributes
    ----------
    id : str
        Of the alert.
    condition : str
    decided_s : float
        From the record's start.
    sentence : str
    answer : str
        The rhythm whose answer is explained: the alarm's own where the network has it, else its likeliest.
    probability : float
    places : tuple of Place
        What the answer rests on most, first.
    saliency : dict of str to list of float
        By lead: the fall of the log odds without each 0.4 s of the window, the 10.8 s up to the decision.
    like : tuple of Near
        Nearest prototypes; empty without any.
    sets : dict of str to tuple of str
        Of normal and each condition, the words ("no", "yes") that its conformal set holds: what is left out is excluded
        at `model.score.CONFORMAL_LEVEL`, of records like those that the network was calibrated on.
    """

    id: str
    condition: str
    decided_s: float
    sentence: str
    answer: str
    probability: float
    places: tuple[Place, ...]
    saliency: dict[str, list[float]]
    like: tuple[Near, ...]
    sets: dict[str, Words]


class _Seen:
    """Collects what the array stages found, by the samples of the bed."""

    def __init__(self) -> None:
        self.origin_ns = 0
        self.clean: list[NDArray[np.float32]] = []
        self.beats: list[NDArray[np.void]] = []
        self.pulses: list[NDArray[np.void]] = []

    def __call__(self, device: str, origin_ns: int, analysis: Analysis) -> None:
        self.origin_ns = origin_ns
        self.clean.append(analysis.clean)
        self.beats.append(analysis.beats)
        self.pulses.append(analysis.pulses)


def explain(recording: Recording, network: Network, prototypes: Prototypes | None = None) -> list[Explained]:
    """Run a record through the pipeline, and explain the alarms of its patient.

    Parameters
    ----------
    recording : ecg.record.Record
        At 100 to 1000 Hz, with at least one ECG lead.
    network : Network
    prototypes : Prototypes, optional
        Of the same weights.

    Raises
    ------
    ValueError
        As of `stream.analyze.analyze`.
    """
    seen = _Seen()
    pipeline = Pipeline({network.sha256: network}, seen)
    setup = Setup("explain", "one recording", EPOCH_NS, Settings(), {"net": network.sha256}, unsigned=True)
    alerts: list[Alert] = []
    for _, out in fed(recording, pipeline, pseudonym(recording.name), setup):
        alerts += [decode_alert(value) for _, value in out.alerts]
    leads = tuple(lead.name for lead in of_record(recording).leads if lead.kind == "ecg")
    has_pulse = any(recording.rows(kind) for kind in PULSE_KINDS)
    clean = np.concatenate(seen.clean, axis=1)
    beats, pulses = np.concatenate(seen.beats), np.concatenate(seen.pulses)
    found = []
    for alert in alerts:
        if alert.phase == "start" and alert.condition != "risk_level" and not CONDITIONS[alert.condition].technical:
            end = min(round((alert.decided_ns - seen.origin_ns) / _NS), clean.shape[1])
            measured = _measured(beats, pulses if has_pulse else None, leads, end)
            found.append(_explained(alert, measured, clean, leads, end, network, prototypes))
    return found


def _measured(beats: NDArray[np.void], pulses: NDArray[np.void] | None, leads: tuple[str, ...], end: int) -> Measured:
    """Gather what was found in the ten seconds up to a sample."""
    first = end - round(SECONDS * ANALYSIS_HZ)
    mine = beats[(beats["sample"] >= first) & (beats["sample"] < end)]
    showing = [((mine["leads"] >> row) & 1).mean() if len(mine) else 0.0 for row in range(len(leads))]
    return Measured(
        beats=len(mine),
        rr_s=(np.diff(mine["sample"]) / ANALYSIS_HZ).astype(np.float32),
        qrs_ms=np.where(mine["width_ms"] > 0, mine["width_ms"], np.nan).astype(np.float32),
        pulses=None if pulses is None else int(((pulses["sample"] >= first) & (pulses["sample"] < end)).sum()),
        leads=tuple(lead for lead, share in zip(leads, showing, strict=True) if share >= 0.5),
    )


def _explained(
    alert: Alert,
    measured: Measured,
    clean: NDArray[np.float32],
    leads: tuple[str, ...],
    end: int,
    network: Network,
    prototypes: Prototypes | None,
) -> Explained:
    chosen = choose_leads(leads)
    window, names = last_span(clean[list(chosen), :end]), [leads[row] for row in chosen]
    own = RHYTHMS.index(alert.condition) if alert.condition in RHYTHMS else None
    windows = encoded(network, occluded(window), names)
    logits = network.answer(windows, [names] * len(windows))
    why = saliency(logits[:, len(OUTPUTS) :], window, own)
    said = network.probabilities(logits[:1], names)
    return Explained(
        id=alert.id,
        condition=alert.condition,
        decided_s=round(end / ANALYSIS_HZ, 2),
        sentence=sentence(alert, measured),
        answer=RHYTHMS[why.of],
        probability=float(said[0, len(OUTPUTS) + why.of]),
        places=_places(why.weight, names, (end - SPAN) / ANALYSIS_HZ),
        saliency={name: [round(float(w), 3) for w in row] for name, row in zip(names, why.weight, strict=True)},
        like=tuple(prototypes.nearest(network.features(windows[:1], [names])[0], SHOWN)) if prototypes else (),
        sets=_sets(network.sets(said[:, : len(OUTPUTS)], names)[0]),
    )


def _sets(held: NDArray[np.bool_]) -> dict[str, Words]:
    """Return the words in the sets (11, 2) of normal and the conditions, by name."""
    return {
        name.removeprefix("condition_"): tuple(word for word, is_in in zip(("no", "yes"), row, strict=True) if is_in)
        for name, row in zip(OUTPUTS, held.tolist(), strict=True)
        if not name.startswith("superclass_")
    }


def _places(weight: NDArray[np.float32], names: list[str], first_s: float) -> tuple[Place, ...]:
    """Return the cells that speak for an answer most."""
    order = np.argsort(-weight.ravel(), kind="stable")[:SHOWN]
    at = [divmod(int(k), weight.shape[1]) for k in order if weight.ravel()[k] > 0]
    return tuple(
        Place(names[row], round(first_s + cell * CELL / ANALYSIS_HZ, 2), round(float(weight[row, cell]), 3))
        for row, cell in at
    )


def as_object(explained: Explained) -> dict[str, Any]:
    """Return what `vigil explain --json` prints of an alarm."""
    said = {
        "places": [each._asdict() for each in explained.places],
        "like": [each._asdict() for each in explained.like],
    }
    return explained._asdict() | said


def lines(explained: Explained) -> list[str]:
    """Return what `vigil explain` prints of an alarm."""
    out = [f"{explained.decided_s:9.1f} s  {explained.sentence}"]
    places = ", ".join(f"{place.lead} from {place.first_s:.1f} s ({place.weight:+.2f})" for place in explained.places)
    out.append(f"{'':13}network: {explained.answer} {explained.probability:.2f}, rests on {places or 'nothing'}")
    if explained.like:
        near = ", ".join(f"{one.label} ({one.windows} windows, {one.distance:.2f} away)" for one in explained.like)
        out.append(f"{'':13}like: {near}")
    out.append(f"{'':13}diagnoses: {diagnoses(explained.sets)}")
    return out
