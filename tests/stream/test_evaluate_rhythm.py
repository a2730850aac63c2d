"""`vigil evaluate rhythm`: what is counted in a record, and what the figures are made of; cases made by hand."""

from __future__ import annotations

import pickle
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ecg import strip_fit
from ecg.atrial_weights import shipped
from ecg.episodes import Overlap, Span
from ecg.record import Annotations, Record, RecordLead, write_annotations, write_signals
from ecg.segments import Segment
from stream.evaluate import atrial, run
from stream.evaluate.figures import Figures
from stream.evaluate.refit import Anew, Refitted
from stream.evaluate.rhythm import evaluate
from stream.evaluate.rhythm_figures import Found, delays, episodes, false_alarms, report, shockable
from stream.evaluate.watched import BEFORE_END_S, Delay, Watched, count, watch

RATE_HZ = 250.0
VF, VT = "ventricular_fibrillation", "ventricular_tachycardia"


def record(seconds: float, hz: float = 5.0, name: str = "made") -> Record:
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    counts = np.round(200 * np.sin(2 * np.pi * hz * t)).astype(np.int16)[None]
    return Record(name, RATE_HZ, (RecordLead("II", "ecg", 200.0, 0, "mV"),), counts)


def marks(*found: tuple[float, str, str]) -> Annotations:
    ordered = sorted(found)
    samples = np.array([round(at_s * RATE_HZ) for at_s, *_ in ordered], np.int64)
    symbols = np.array([symbol for _, symbol, _ in ordered], "<U1")
    return Annotations(samples, symbols, tuple(aux for *_, aux in ordered), np.zeros_like(samples))


def rhythms(*found: tuple[float, str]) -> Annotations:
    return marks(*((at_s, "+", aux) for at_s, aux in found))


def span(condition: str, onset_s: float, last_s: float, value: float = 180.0, late_s: float = 4.0) -> Span:
    return Span(condition, onset_s, onset_s + late_s, last_s, value)


def watched(whose: str = "vfdb/1", record_set: str = "vfdb", **counted: object) -> Watched:
    empty = {"segments": [], "also": [], "overlaps": {}, "delays": [], "judged_s": {}, "false": {}}
    return Watched(**{"record_set": record_set, "record": "1", "patient": whose, "seconds": 60.0} | empty | counted)  # pyright: ignore


# one record


def test_segments_are_of_vfdb_and_cudb_and_episodes_of_vfdb_and_mitdb() -> None:
    found = {name: count(record(20), rhythms((0, "(VFIB")), [], name) for name in ("vfdb", "cudb", "mitdb")}
    assert [len(found[name].segments) for name in found] == [4, 4, 0]
    assert [sorted(found[name].overlaps) for name in found] == [["af", "vf", "vt"], [], ["af", "vf", "vt"]]


def test_episodes_run_from_the_onset_that_is_named_to_the_last_time_the_condition_held() -> None:
    made = count(record(60), rhythms((0, "(N"), (20, "(VFL"), (40, "(N")), [span(VF, 18, 30)], "vfdb")
    assert made.overlaps["vf"] == Overlap(1, 1, 1, 1, 20.0, 12.0, 10.0)


def test_an_alarm_of_another_rhythm_finds_no_episode() -> None:
    made = count(record(60), rhythms((0, "(N"), (20, "(VT"), (40, "(N")), [span(VF, 20, 40)], "vfdb")
    assert (made.overlaps["vt"].found, made.overlaps["vf"].right) == (0, 0)


def test_alarms_in_ectopy_of_a_high_grade_are_neither_right_nor_wrong() -> None:
    made = count(record(60), rhythms((0, "(N"), (20, "(HGEA"), (40, "(N")), [span(VT, 22, 30)], "vfdb")
    assert made.overlaps["vt"].claims == 0
    assert made.false[VT] == []
    assert made.judged_s[VT] == 40.0


def test_a_delay_is_to_the_announcement_with_the_time_of_the_filters() -> None:
    made = count(record(60), rhythms((0, "(N"), (20, "(VFIB"), (40, "(N")), [span(VF, 21, 40)], "vfdb")
    assert made.delays == [Delay(20.0, 40.0, pytest.approx(5.0 + BEFORE_END_S), True)]  # pyright: ignore
    assert 0 < BEFORE_END_S < 1


def test_an_episode_without_an_alarm_is_watched_until_it_ends() -> None:
    late = [span(VF, 38, 50), span("asystole", 20, 40), span(VT, 2, 15)]
    made = count(record(60), rhythms((0, "(N"), (20, "(VFIB"), (40, "(N")), late, "vfdb")
    assert [(each.seen, round(each.waited_s, 2)) for each in made.delays] == [(False, 20 + BEFORE_END_S)]


def test_an_alarm_that_is_on_already_does_not_make_one_wait() -> None:
    made = count(record(60), rhythms((0, "(N"), (20, "(VFIB"), (40, "(N")), [span(VT, 5, 30)], "vfdb")
    assert [(each.seen, each.waited_s) for each in made.delays] == [(True, 0.0)]


def test_only_episodes_of_ten_seconds_to_be_shocked_have_a_delay() -> None:
    short = rhythms((0, "(VFIB"), (9.9, "(N"))
    slow = rhythms((0, "(VT"), (30, "(N"))
    assert count(record(60), short, [], "vfdb").delays == []
    assert count(record(60, hz=2.0), slow, [], "vfdb").delays == []
    assert len(count(record(60, hz=3.0), slow, [], "vfdb").delays) == 1


def test_tachycardia_that_becomes_fibrillation_is_one_episode() -> None:
    made = count(record(60), rhythms((0, "(N"), (20, "(VT"), (26, "(VFIB"), (40, "(N")), [], "vfdb")
    assert [(each.onset_s, each.end_s) for each in made.delays] == [(20.0, 40.0)]


@pytest.mark.parametrize(("onset_s", "is_false"), [(44.9, False), (45.1, True), (30.0, False)])
def test_an_alarm_is_false_more_than_five_seconds_from_any_event(onset_s: float, is_false: bool) -> None:
    made = count(record(60), rhythms((0, "(N"), (20, "(VFIB"), (40, "(N")), [span(VF, onset_s, 55)], "vfdb")
    assert bool(made.false[VF]) == is_false
    assert made.judged_s[VF] == 40.0


def test_a_ventricular_alarm_is_not_false_in_another_ventricular_rhythm() -> None:
    made = count(record(60), rhythms((0, "(N"), (20, "(VT"), (40, "(N")), [span(VF, 25, 30)], "vfdb")
    assert made.false[VF] == []


def test_hours_of_noise_count_and_alarms_in_it_are_false() -> None:
    made = count(record(60), rhythms((0, "(NOISE")), [span(VF, 25, 30)], "vfdb")
    assert (made.judged_s[VF], len(made.false[VF])) == (60.0, 1)


def beats(bpm: float, seconds: float = 60.0, but: tuple[float, float] = (0.0, 0.0)) -> Annotations:
    at_s = np.arange(0.2, seconds, 60 / bpm)
    return marks((0, "+", "(N"), *((float(t), "N", "") for t in at_s if not but[0] < t < but[1]))


@pytest.mark.parametrize(
    ("condition", "reference", "is_false"),
    [
        ("extreme_bradycardia", beats(38), False),
        ("extreme_bradycardia", beats(50), True),
        ("extreme_tachycardia", beats(150), False),
        ("extreme_tachycardia", beats(120), True),
        ("asystole", beats(60, but=(20, 26)), False),
        ("asystole", beats(60, but=(20, 22)), True),
    ],
)
def test_extreme_rates_and_pauses_are_those_of_the_references_beats(
    condition: str, reference: Annotations, is_false: bool
) -> None:
    assert bool(count(record(60), reference, [span(condition, 24, 30)], "mitdb").false[condition]) == is_false


def test_where_no_beats_are_marked_extreme_rates_are_not_judged() -> None:
    made = count(record(60), rhythms((0, "(N")), [span("extreme_tachycardia", 24, 30)], "vfdb")
    assert not {"extreme_tachycardia", "extreme_bradycardia"} & {*made.false, *made.judged_s}


def test_cudb_names_too_few_rhythms_to_tell_false_alarms() -> None:
    assert count(record(60), beats(60), [span(VT, 24, 30)], "cudb").false == {}


def test_atrial_flutter_makes_no_alarm_of_fibrillation_false() -> None:
    made = count(record(60), rhythms((0, "(AFL")), [span("atrial_fibrillation", 24, 30)], "mitdb")
    assert made.false["atrial_fibrillation"] == []


def test_episodes_of_fibrillation_under_30_s_and_flutter_count_neither_for_nor_against() -> None:
    marked = rhythms((0, "(N"), (20, "(AFIB"), (45, "(N"), (60, "(AFL"), (100, "(N"), (120, "(AFIB"), (180, "(N"))
    alarms = [span("atrial_fibrillation", 20, 45), span("atrial_fibrillation", 60, 110)]
    found = count(record(200), marked, [*alarms, span("atrial_fibrillation", 130, 180)], "mitdb").overlaps["af"]
    assert (found.episodes, found.found) == (1, 1)
    assert (found.reference_s, found.common_s, found.test_s) == (60.0, 50.0, 60.0)


# the figures


def segments(label: str, right: int, wrong: int) -> list[Segment]:
    is_right = label == "shockable"
    return [Segment(0.0, label, is_right)] * right + [Segment(0.0, label, not is_right)] * wrong  # pyright: ignore


def segmented(whose: str, record_set: str, found: list[Segment], also: list[bool] | None = None) -> Watched:
    return watched(whose, record_set, segments=found, also=also or [False] * len(found))


def test_segments_are_shared_out_by_set_and_what_is_counted_apart_is_in_none() -> None:
    figures = Figures()
    apart = [Segment(0.0, label, True) for label in ("slow_vt", "noise", "boundary", "fast_unlabelled", "unreadable")]  # pyright: ignore
    found = [
        segmented("vfdb/1", "vfdb", [*segments("shockable", 3, 1), *segments("asystole", 1, 1)]),
        segmented("cudb/1", "cudb", [*segments("shockable", 0, 1), *segments("other", 9, 1), *apart]),
    ]
    shockable(found, "", figures)
    assert (figures.values["shockable_se"], figures.values["shockable_se_vfdb"]) == (60.0, 75.0)
    assert (figures.values["shockable_sp"], figures.values["shockable_sp_cudb"]) == (90.0, 90.0)
    assert (figures.values["shockable_sp_vfdb"], figures.values["asystole_sp"]) == (None, 50.0)
    assert figures.values["shockable_se_mean_of_patients"] == 37.5


def test_an_alarm_of_extreme_tachycardia_calls_only_in_figures_that_say_so() -> None:
    figures = Figures()
    missed = segments("shockable", 0, 2)
    shockable([segmented("vfdb/1", "vfdb", missed, also=[True, False])], "", figures)
    assert figures.values["shockable_se"] == 0.0
    assert figures.values["shockable_se_with_extreme_tachycardia"] == 50.0


def test_episodes_and_durations_are_gross_and_by_set() -> None:
    figures = Figures()
    none = {kind: Overlap() for kind in ("af", "vt", "vf")}
    found = [
        watched("mitdb/1", "mitdb", overlaps=none | {"af": Overlap(4, 3, 2, 1, 100.0, 50.0, 40.0)}),
        watched("vfdb/1", "vfdb", overlaps=none | {"af": Overlap(0, 0, 2, 0, 0.0, 30.0, 0.0)}),
    ]
    episodes(found, "", figures)
    assert [figures.values[f"af_{name}"] for name in ("episode_se", "episode_ppv", "duration_se", "duration_ppv")] == [
        75.0,
        25.0,
        40.0,
        50.0,
    ]
    assert (figures.values["af_duration_ppv_mitdb"], figures.values["af_duration_se_vfdb"]) == (80.0, None)


def test_delays_are_right_censored() -> None:
    figures = Figures()
    waited = [Delay(0.0, 60.0, 3.0, True)] * 8 + [Delay(0.0, 12.0, 12.0, False), Delay(0.0, 60.0, 20.0, True)]
    delays([watched(delays=waited)], "", figures)
    assert (figures.values["alarm_delay_p50_s"], figures.values["alarm_delay_p95_s"]) == (3.0, 20.0)
    assert (figures.values["long_episodes_alarmed"], figures.values["long_episodes"]) == (90.0, 10)
    assert figures.values["long_episodes_alarmed_before"] == 0
    delays([watched(delays=waited[:9]), watched(delays=[Delay(0.0, 60.0, 0.0, True)])], "_x", figures)
    assert figures.values["long_episodes_alarmed_before_x"] == 1
    assert figures.values["alarm_delay_p95_s_x"] is None


def test_false_alarms_are_over_the_hours_in_which_each_condition_can_be_told() -> None:
    figures = Figures()
    day = 86_400.0
    found = [
        watched("mitdb/1", "mitdb", judged_s={VF: day, "asystole": day}, false={VF: [span(VF, 1, 2)] * 3}),
        watched("vfdb/1", "vfdb", judged_s={VF: day}, false={VF: []}),
        watched("mitdb/2", "mitdb", judged_s={"asystole": day}, false={"asystole": [span("asystole", 1, 2)]}),
    ]
    false_alarms(found, "", figures)
    assert figures.values["false_alarms_per_bed_day_ventricular_fibrillation"] == 1.5
    assert figures.values["false_alarms_per_bed_day_asystole"] == 0.5
    assert figures.values["false_alarms_per_bed_day_atrial_fibrillation"] is None
    assert figures.values["false_alarms_per_bed_day"] == 2.0


def test_records_of_patients_that_the_weights_have_seen_are_in_no_headline() -> None:
    seen = segmented("vfdb/418", "vfdb", segments("shockable", 1, 0))
    unseen = segmented("vfdb/427", "vfdb", segments("shockable", 0, 1))
    found = Found([seen, unseen], {}, {}, {}, [])
    figures = report(found, [])["figures"]
    assert (figures["shockable_se"], figures["shockable_se_in_sample"]) == (0.0, 100.0)
    only = report(found._replace(watched=[seen]), [])["figures"]
    assert (only["shockable_se"], only["records_in_sample"]) == (None, 1)


def anew(*parts: str, folds: list[list[str]] | None = None) -> Refitted:
    return Refitted(folds or [], {}, parts, ["a note"])


def test_parts_fitted_anew_count_as_not_having_seen_a_patient() -> None:
    found = Found([segmented("vfdb/418", "vfdb", segments("shockable", 1, 0))], {}, {}, {}, [])
    made = report(found, [], anew("wave", "beats", "atrial", "artefact", folds=[["vfdb/418"]]))
    assert made["figures"]["shockable_se"] == 100.0
    assert "shockable_se_in_sample" not in made["figures"]
    assert (made["figures"]["records_in_sample"], made["notes"]) == (0, ["a note"])
    assert made["folds"]["patients"] == [["vfdb/418"]]


def test_with_all_parts_fitted_anew_no_figure_stays_in_sample() -> None:
    none = {k: Overlap(1, 1, 1, 1, 9.0, 9.0, 9.0) for k in ("af", "vt", "vf")}
    found = Found(
        [watched("mitdb/101", "mitdb", overlaps=none, judged_s={VF: 86_400.0}, false={VF: [span(VF, 1, 2)]})],
        {"00": atrial.Seconds(1.0, 2.0, 1.0, 10.0)},
        {},
        {},
        [],
    )
    figures = report(found, [], anew("wave", "beats", "atrial", "artefact"))["figures"]
    assert not [name for name in figures if name.endswith("_in_sample") and name != "records_in_sample"]
    assert (figures["af_duration_se"], figures["ltafdb_af_se"], figures["false_alarms_per_bed_day"]) == (100, 50, 1)


def test_parts_that_are_not_fitted_anew_keep_their_patients_apart() -> None:
    day = {"judged_s": {VF: 86_400.0}, "false": {VF: [span(VF, 1, 2)]}}
    figures = report(Found([watched("mitdb/101", "mitdb", **day)], {}, {}, {}, []), [], anew("wave"))["figures"]
    assert figures["false_alarms_per_bed_day"] is None
    assert figures["false_alarms_per_bed_day_in_sample"] == 1.0


def test_atrial_fibrillation_is_in_sample_where_its_rule_was_chosen_and_ventricular_rhythms_are_not() -> None:
    each = watched("mitdb/100", "mitdb", overlaps={k: Overlap(1, 1, 1, 1, 9.0, 9.0, 9.0) for k in ("af", "vt", "vf")})
    figures = report(Found([each], {}, {}, {}, []), [], anew("artefact"))["figures"]
    assert (figures["af_duration_se"], figures["af_duration_se_in_sample"]) == (None, 100.0)
    assert figures["vt_duration_se"] == 100.0
    assert "vt_duration_se_in_sample" not in figures


def test_what_of_ltafdb_the_weights_have_seen_is_apart() -> None:
    seconds = {"00": atrial.Seconds(1.0, 2.0, 1.0, 10.0), "unseen": atrial.Seconds(3.0, 3.0, 4.0, 10.0)}
    figures = report(Found([], seconds, {}, {}, []), [])["figures"]
    assert (figures["ltafdb_af_se"], figures["ltafdb_af_se_in_sample"]) == (100.0, 50.0)
    assert (figures["ltafdb_af_sp"], figures["ltafdb_af_ppv"]) == (pytest.approx(600 / 7, abs=0.001), 75.0)


def test_202_is_its_patient() -> None:
    assert count(record(20, name="202"), beats(60, 20), [], "mitdb").patient == "mitdb/201"


# atrial fibrillation from intervals


def intervals(*parts: tuple[str, int, float]) -> tuple[Annotations, float]:
    """Rhythms of so many beats, irregular by up to this many seconds; returns the end of the last."""
    rng, at_s, found = np.random.default_rng(3), 0.5, []
    for aux, n, spread_s in parts:
        found.append((at_s, "+", aux))
        for _ in range(n):
            found.append((at_s, "N", ""))
            at_s += 0.7 + rng.uniform(-spread_s, spread_s)
    return marks(*found), at_s


def test_irregular_intervals_are_atrial_fibrillation_and_regular_ones_are_not() -> None:
    found, end_s = intervals(("(N", 400, 0.005), ("(AFIB", 600, 0.2), ("(N", 400, 0.005))
    scored = atrial.from_beats(found, RATE_HZ)
    assert scored.reference == pytest.approx(420, rel=0.05)
    assert scored.both > 0.9 * scored.reference
    assert scored.test < 1.2 * scored.reference
    assert scored.all == pytest.approx(end_s, abs=2.0)


def test_gaps_and_atrial_flutter_are_not_scored() -> None:
    found, _ = intervals(("(N", 100, 0.005), ("(AFL", 100, 0.005), ("(N", 100, 0.005))
    whole = atrial.from_beats(found, RATE_HZ)
    assert whole.all == pytest.approx(140, abs=2)
    late = found.samples + np.where(np.arange(len(found.samples)) > 50, round(60 * RATE_HZ), 0)
    assert atrial.from_beats(found._replace(samples=late), RATE_HZ).all == pytest.approx(whole.all, abs=1)


def test_a_record_without_beats_has_no_seconds() -> None:
    assert atrial.from_beats(marks(), RATE_HZ) == atrial.Seconds(0.0, 0.0, 0.0, 0.0)


# the command


def written(folder: Path, name: str, reference: Annotations | None) -> None:
    folder.mkdir(exist_ok=True)
    write_signals(folder / name, ["II"], record(20).mv(), RATE_HZ)
    if reference is not None:
        write_annotations(
            folder / name, "atr", reference.samples, reference.symbols.tolist(), rate_hz=RATE_HZ, aux=reference.aux
        )


def test_what_is_absent_or_bad_is_named_and_the_rest_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "over", partial(run.over, processes=1))
    written(tmp_path / "vfdb", "427", rhythms((0, "(VFIB")))
    written(tmp_path / "vfdb", "429", None)
    out = tmp_path / "out.ndjson"
    status = evaluate(tmp_path, json=True, decisions=out, worst=2, plot=tmp_path / "strips", cross_validate=False)
    printed = msgspec.json.decode(capsys.readouterr().out)
    assert status == 0
    assert (printed["figures"]["records"], printed["figures"]["records_failed"]) == (1, 1)
    assert set(printed["failed"]) == {"vfdb/429"}
    assert printed["absent"] == ["cudb", "mitdb", "ltafdb", "cinc2017"]
    assert printed["figures"]["shockable_se"] == 100.0 * printed["segments"]["vfdb"]["shockable"][1] / 4
    line = msgspec.json.decode(out.read_bytes())
    assert (line["set"], line["record"], line["seen_by"], len(line["segments"])) == ("vfdb", "427", [], 4)


def test_a_command_for_a_missing_set_is_named_and_status_is_2_if_nothing_could_be_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(tmp_path, json=False, decisions=None, worst=0, plot=None, cross_validate=False) == 2
    assert "vigil records get vfdb" in capsys.readouterr().out


def test_another_process_can_do_the_work() -> None:
    given = {"vfdb/1": Anew()}
    for work in (
        partial(watch, record_set="vfdb", anew=given),
        partial(atrial.intervals, anew=given),
        strip_fit.collect,
    ):
        assert pickle.loads(pickle.dumps(work))
    made = watched(delays=[Delay(1.0, 2.0, 3.0, True)], segments=segments("other", 1, 0), also=[False])
    assert pickle.loads(pickle.dumps(made)) == made


def test_a_patient_is_judged_by_what_has_not_seen_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = intervals(("(N", 400, 0.005), ("(AFIB", 600, 0.2), ("(N", 400, 0.005))
    monkeypatch.setitem(atrial.atrial_fit.RATE_HZ, "ltafdb", RATE_HZ)
    written(tmp_path / "ltafdb", "00", found)
    deaf = Anew(atrial=shipped()._replace(last_bias=np.array([-99.0])))
    path = tmp_path / "ltafdb" / "00"
    assert atrial.intervals(path).both > 0
    assert atrial.intervals(path, {"ltafdb/00": deaf}).test == 0
    assert atrial.intervals(path, {"ltafdb/01": deaf}) == atrial.intervals(path)
