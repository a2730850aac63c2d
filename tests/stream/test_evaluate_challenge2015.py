"""`vigil evaluate challenge2015` on records made by hand, from the first sample to the printed figures."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ecg.challenge2015 import Alarm
from ecg.challenge2015_fit import CANDIDATES, SHIPPED, Definition
from ecg.episodes import Span
from ecg.record import Record, RecordLead, write_signals
from stream.evaluate import run
from stream.evaluate.challenge2015 import (
    Decision,
    decide,
    decide_by_each,
    evaluate,
    figures,
    out_of_fold,
    without_pulse,
)

RATE_HZ, SECONDS = 250, 30
EVENT = Span("asystole", 24.0, 28.5, 30.0, 4.5)


def heart(silent_s: float = 0.0, bpm: float = 75.0) -> np.ndarray:
    """Beats of 1 mV in two leads, with none in the last seconds."""
    t = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    beats = np.zeros_like(t)
    for at_s in np.arange(0.4, SECONDS - silent_s, 60 / bpm):
        beats += np.exp(-(((t - at_s) / 0.012) ** 2))
    noise = np.random.default_rng(7).normal(0, 0.01, (2, len(t)))
    return (np.stack([beats, 0.8 * beats]) + noise).astype(np.float32)


def written(folder: Path, name: str, mv: np.ndarray, kind: str = "", true: bool = False) -> Path:
    write_signals(folder / name, ["II", "V"], mv, float(RATE_HZ))
    if kind:
        with (folder / f"{name}.hea").open("a") as header:
            header.write(f"# {kind}\n# {'True' if true else 'False'} alarm\n")
    return folder / name


def decision(kind: str, true: bool, kept: bool, kept_ecg_only: bool | None = None) -> Decision:
    alone = kept if kept_ecg_only is None else kept_ecg_only
    return Decision("r", kind, true, 30.0, EVENT if kept else None, EVENT if alone else None, ())


@pytest.mark.parametrize(("silent_s", "kept"), [(291.0, True), (315.0, False)])
def test_what_a_record_holds_behind_the_alarm_is_not_heard(tmp_path: Path, silent_s: float, kept: bool) -> None:
    beats = np.tile(heart(), (1, 11))
    beats[:, round(silent_s * RATE_HZ) : round((silent_s + 12) * RATE_HZ)] = 0.0
    path = written(tmp_path, "a103l", beats, "Asystole", true=True)
    found = decide(path, {})
    assert (found.end_s, found.kept) == (300.0, kept)
    assert all(span.decided_s <= 300.0 for span in found.ours)


def test_figures_are_of_all_and_by_type() -> None:
    made = [
        decision("asystole", True, True),
        decision("asystole", True, False),
        decision("asystole", False, False),
        decision("ventricular_tachycardia", False, True),
        decision("ventricular_flutter_fib", True, True),
    ]
    values, intervals = figures(made)
    assert values["score"] == pytest.approx(100 * 3 / (3 + 1 + 5), abs=0.01)
    assert values["score_asystole"] == pytest.approx(100 * 2 / 7, abs=0.01)
    assert (values["score_vt"], values["score_vf"], values["score_bradycardia"]) == (0.0, 100.0, None)
    assert (values["tpr"], values["tnr"]) == (pytest.approx(66.67), pytest.approx(50.0))
    assert (values["tpr_asystole"], values["tnr_vt"], values["tnr_vf"]) == (50.0, 0.0, None)
    low, high = intervals["score"] or (100.0, 0.0)
    assert low < 33.3 < high
    assert intervals["score_vt"] is None


def test_the_score_by_the_ecg_alone_is_of_its_own_decisions() -> None:
    made = [decision("asystole", False, False, kept_ecg_only=True), decision("asystole", True, True)]
    values, _ = figures(made)
    assert (values["score"], values["score_ecg_only"]) == (100.0, 50.0)


@pytest.mark.parametrize(("true", "kept", "cost"), [(1, 1, 0), (0, 0, 0), (0, 1, 1), (1, 0, 5)])
def test_a_decision_costs_what_the_score_loses(true: int, kept: int, cost: float) -> None:
    assert decision("asystole", bool(true), bool(kept)).cost == cost


def test_without_its_pulse_a_record_keeps_its_ecg_and_breath() -> None:
    kinds = ("ecg", "pleth", "resp", "abp")
    leads = tuple(RecordLead(kind, kind, 100.0, 0, "mV") for kind in kinds)
    counts = np.arange(8, dtype=np.int16).reshape(4, 2)
    kept = without_pulse(Record("r", 250.0, leads, counts))
    assert [lead.kind for lead in kept.leads] == ["ecg", "resp"]
    assert kept.counts.tolist() == [[0, 1], [4, 5]]


def test_an_alarm_that_is_ours_is_kept_and_another_withheld(tmp_path: Path) -> None:
    path = written(tmp_path, "stops", heart(silent_s=6.0))
    for kind, kept in (("asystole", True), ("ventricular_tachycardia", False)):
        made = decide(path, {"stops": Alarm("stops", kind, True)})
        assert (made.kept, made.kept_ecg_only) == (kept, kept)
        assert made.end_s == SECONDS


def test_what_the_filters_still_hold_at_the_records_end_is_heard(tmp_path: Path) -> None:
    # by the challenge's own definition 4.4 s of silence make an alarm: here there are 4.7 s, the last 0.42 s in filters
    mv = heart(silent_s=5.1)
    mv[:, : int(0.8 * RATE_HZ)] = heart()[:, : int(0.8 * RATE_HZ)]
    last_beat_s = np.arange(0.4, SECONDS - 5.1, 0.8)[-1]
    path = written(tmp_path, "late", mv[:, : int((last_beat_s + 4.7) * RATE_HZ)])
    assert decide(path, {"late": Alarm("late", "asystole", True)}, Definition()).kept
    path = written(tmp_path, "short", mv[:, : int((last_beat_s + 4.0) * RATE_HZ)])
    assert not decide(path, {"short": Alarm("short", "asystole", True)}, Definition()).kept


@pytest.mark.parametrize(("bpm", "kind", "kept"), [(37.0, "bradycardia", True), (43.0, "bradycardia", False)])
def test_extreme_rates_are_the_challenges_or_as_tolerant_as_chosen(
    tmp_path: Path, bpm: float, kind: str, kept: bool
) -> None:
    path, alarms = written(tmp_path, "rate", heart(bpm=bpm)), {"rate": Alarm("rate", kind, True)}
    assert decide(path, alarms, Definition()).kept == kept
    assert decide(path, alarms).kept


def test_without_a_list_the_header_says_what_the_alarm_was(tmp_path: Path) -> None:
    made = decide(written(tmp_path, "noted", heart(), "Ventricular_Tachycardia", true=True), {})
    assert (made.kind, made.true) == ("ventricular_tachycardia", True)
    with pytest.raises(ValueError, match="neither ALARMS nor the header"):
        decide(written(tmp_path, "silent", heart()), {})


def test_bad_records_are_named_and_the_others_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "over", partial(run.over, processes=1))
    written(tmp_path, "a1", heart(silent_s=6.0))
    written(tmp_path, "a2", heart())
    (tmp_path / "a2.dat").write_bytes(b"cut")
    (tmp_path / "ALARMS").write_text("a1,Asystole,0\na2,Asystole,1\na3,Asystole,1\n")
    out = tmp_path / "out.ndjson"
    status = evaluate(tmp_path, json=True, decisions=out, worst=3, plot=tmp_path / "strips", cross_validate=True)
    printed = msgspec.json.decode(capsys.readouterr().out)
    assert status == 0
    assert (printed["figures"]["records"], printed["figures"]["records_failed"]) == (1, 2)
    assert set(printed["failed"]) == {"a2", "a3"}
    assert printed["figures"]["score"] == 0.0
    assert [each["record"] for each in printed["worst"]] == ["a1"]
    assert printed["true_alarms_withheld"]["asystole"] == []
    line = msgspec.json.decode(out.read_bytes())
    assert (line["record"], line["true"], line["kept"]) == ("a1", False, True)
    assert line["event"]["condition"] == "asystole"
    assert "asystole" in [each["condition"] for each in line["ours"]]
    assert not {"rules_alone", "risk_level"} & {each["condition"] for each in line["ours"]}
    drawn = (tmp_path / "strips" / "a1.svg").read_text()
    assert "monitor: asystole (false)" in drawn
    assert "ours: asystole" in drawn


def test_records_that_chose_a_number_are_in_no_headline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "over", partial(run.over, processes=1))
    for name, silent_s in (("a103l", 6.0), ("a999l", 0.0)):
        written(tmp_path, name, heart(silent_s), "Asystole", true=True)
    assert evaluate(tmp_path, json=True, decisions=None, worst=0, plot=None, cross_validate=False) == 0
    figures = msgspec.json.decode(capsys.readouterr().out)["figures"]
    assert (figures["score"], figures["score_in_sample"], figures["records_in_sample"]) == (0.0, 100.0, 1)
    assert evaluate(tmp_path, json=False, decisions=None, worst=0, plot=None, cross_validate=True) == 0
    printed = capsys.readouterr().out
    assert "all, ECG and pulse      1/2" in printed
    assert "in_sample" not in printed
    assert "definitions were chosen on" not in printed
    assert printed.count("\nfold ") == 2


def kept_from(name: str, true: bool, first: int) -> list[Decision]:
    """A pause that is called asystole by every definition from this one on."""
    made = [decision("asystole", true, k >= first) for k in range(len(CANDIDATES["asystole"]))]
    return [msgspec.structs.replace(each, record=name) for each in made]


def test_no_record_is_judged_by_a_definition_that_it_has_chosen() -> None:
    found = {"a": kept_from("a", True, 2), "b": kept_from("b", False, 2), "c": kept_from("c", True, 1)}
    folds, chosen = out_of_fold(found)
    assert sorted(name for fold in folds for name in fold) == ["a", "b", "c"]
    assert {fold[0]: choice["asystole"] for fold, choice in zip(folds, chosen, strict=True)} == {"a": 1, "b": 2, "c": 2}
    assert out_of_fold(found) == (folds, chosen)
    assert out_of_fold({"a": found["a"]}) == ([], [])


def test_each_candidate_of_its_type_decides_on_an_alarm(tmp_path: Path) -> None:
    path, alarms = written(tmp_path, "v1", heart(bpm=43.0)), {"v1": Alarm("v1", "bradycardia", True)}
    made = decide_by_each(path, alarms)
    assert [each.kept for each in made] == [each.settings.extreme_low_bpm > 43 for each in CANDIDATES["bradycardia"]]
    assert made[CANDIDATES["bradycardia"].index(SHIPPED["bradycardia"])] == decide(path, alarms)


def test_another_process_can_decide() -> None:
    assert pickle.loads(pickle.dumps(partial(decide, alarms={}))).func is decide
    assert pickle.loads(pickle.dumps(decision("asystole", True, True))) == decision("asystole", True, True)


def test_status_is_2_only_if_nothing_could_be_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ALARMS").write_text("a3,Asystole,1\n")
    assert evaluate(tmp_path, json=False, decisions=None, worst=0, plot=None, cross_validate=False) == 2
    assert "a3: not scored" in capsys.readouterr().out
