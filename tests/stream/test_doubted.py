"""Atrial fibrillation that the network sees no sign of is withheld, on record; nothing lethal is, whatever it says."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ecg.alert import Alert, Vitals, decode_alert, decode_vitals
from ecg.clinical import Settings
from ecg.condition import CONDITIONS, LETHAL
from ecg.frame import Admit, Command, Setup, Standby, Tick, encode
from model.labels import RHYTHMS
from model.risk import DOUBTED
from simulators.bedside import Framer
from simulators.heart import Heart
from stream.batch import Record
from stream.pipeline import Pipeline

T0_NS = 1_800_000_000_000_000_000
SECOND_NS = 1_000_000_000
AF, SECONDS = "atrial_fibrillation", 130
NAME = "f" * 64


class Says:
    """Says one probability of atrial fibrillation up to a window of each bed, and another from there on."""

    def __init__(self, *probabilities: float, until: int = 1000) -> None:
        self.probabilities, self.until, self.asked = probabilities, until, 0

    def encode(self, cut_mv: Sequence[np.ndarray], leads: Sequence[Sequence[str]]) -> list[Any]:
        return list(cut_mv)

    def classify(self, windows: Sequence[Sequence[Any]], leads: Sequence[Sequence[str]]) -> list[dict[str, float]]:
        said = []
        for _ in windows:
            said.append(dict.fromkeys(RHYTHMS, 0.0) | {AF: self.probabilities[self.asked >= self.until]})
            self.asked += 1
        return said


def run(
    net: Says | None,
    story: Sequence[tuple[str, float, dict[str, float]]] = ((AF, SECONDS + 2.0, {}),),
    *,
    moved: bool = False,
    standby: bool = False,
    settings: Settings | None = None,
) -> tuple[list[Alert], list[Vitals]]:
    nets = {} if net is None else {NAME: net}
    setup = Setup("test", "a story", T0_NS, settings or Settings(), {"net": NAME if nets else None}, unsigned=True)
    framer = Framer(Heart(list(story), ("II", "V1"), 250.0, seed=3).source(), "monitor", T0_NS, 1.0)
    commands = [Admit("icu", "3"), *([Standby(True)] if standby else [])]
    entries: list[tuple[str, bytes]] = [("", encode(setup))]
    for k, command in enumerate(commands):
        entries.append(
            ("monitor", encode(Command("monitor", "nurse", "test", f"{k}", T0_NS, T0_NS + 60 * SECOND_NS, command)))
        )
    for n in range(SECONDS):
        entries.append(("monitor", encode(framer.frame(n, n * framer.n, framer.n))))
        entries.append(("", encode(Tick("a", n, T0_NS + (n + 1) * SECOND_NS))))
    records = [Record(0, offset, key.encode(), value) for offset, (key, value) in enumerate(entries)]
    pipeline, alerts, vitals = Pipeline(nets), list[Alert](), list[Vitals]()
    for first, end in itertools.pairwise([0, 83, 151, 167, len(records)]):
        out = pipeline.feed(records[first:end])
        alerts += [decode_alert(value) for _, value in out.alerts]
        vitals += [decode_vitals(value) for _, value in out.vitals]
        if moved:
            kept, pipeline = pipeline.snapshot(0), Pipeline(nets)
            pipeline.restore(0, kept)
    return alerts, vitals


def of(alerts: Sequence[Alert], condition: str = AF) -> list[str]:
    return [alert.phase for alert in alerts if alert.condition == condition]


def test_only_a_condition_of_medium_priority_can_be_doubted() -> None:
    assert not DOUBTED.keys() & set(LETHAL)
    assert {CONDITIONS[name].priority for name in DOUBTED} == {"medium"}
    assert all(0 < back < least <= 0.1 for least, back in DOUBTED.values())


@pytest.mark.parametrize("net", [None, Says(0.1), Says(0.9)])
def test_what_the_network_does_not_deny_is_announced(net: Says | None) -> None:
    alerts, vitals = run(net)
    assert of(alerts) == ["start"]
    assert vitals[-1].rhythm == "atrial fibrillation"


def test_what_it_denies_is_withheld_once_with_the_reason_and_its_intervals_still_alarm() -> None:
    alerts, vitals = run(Says(0.02))
    assert of(alerts) == ["suppressed"]
    told = next(alert for alert in alerts if alert.condition == AF)
    assert (told.presence, told.priority) == ("off", "medium")
    assert told.evidence.trace.endswith("; withheld: the network sees it at 2.0 % (mean of 30 s)")
    assert not [second for second in vitals if AF in second.alarms]
    assert "atrial fibrillation" not in {second.rhythm for second in vitals[15:]}
    assert of(alerts, "irregular_rhythm") == ["start"]


def test_an_announced_one_is_taken_back_only_below_half_of_what_withholds_it() -> None:
    assert of(run(Says(0.12, 0.06, until=15))[0]) == ["start"]
    assert of(run(Says(0.12, 0.0, until=15))[0]) == ["start", "suppressed", "end"]


def test_it_is_announced_when_the_network_comes_to_see_it() -> None:
    assert of(run(Says(0.0, 0.9, until=25))[0]) == ["suppressed", "start"]


def test_a_bed_that_moves_withholds_the_same_once() -> None:
    assert run(Says(0.02), moved=True) == run(Says(0.02))
    assert run(Says(0.0, 0.9, until=25), moved=True) == run(Says(0.0, 0.9, until=25))


def test_nothing_is_on_record_of_a_patient_who_is_away_or_of_what_a_ward_switched_off() -> None:
    assert of(run(Says(0.02), standby=True)[0]) == []
    assert of(run(Says(0.02), settings=Settings(off=(AF,)))[0]) == []


@pytest.mark.parametrize("condition", [name for name in LETHAL if name != "extreme_bradycardia"])
def test_a_lethal_event_alarms_the_same_whatever_the_network_says(condition: str) -> None:
    kind = {"extreme_tachycardia": "sinus"}.get(condition, condition)
    story = [("sinus", 60.0, {}), (kind, 25.0, {"rate_bpm": 190.0} if kind == "sinus" else {}), ("sinus", 47.0, {})]
    alone, denied = (
        [(a.condition, a.phase, a.onset_ns) for a in run(net, story)[0] if a.condition in LETHAL]
        for net in (None, Says(0.0))
    )
    assert condition in {name for name, *_ in alone}
    assert denied == alone
