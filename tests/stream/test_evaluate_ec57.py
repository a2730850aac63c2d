"""The command that scores a set of beats: its figures, what it leaves out, and what it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecg.beat_weights import Weights
from ecg.ec57.label import BEATS
from ecg.record import annotations, read, write_annotations, write_signals
from stream.analyze import analyze, write
from stream.evaluate import ec57, peers, run
from stream.evaluate.beats import Task, annotation_file, header, own_annotations, score_record
from stream.evaluate.ec57 import Wanted, evaluate
from stream.evaluate.figures import folds
from stream.evaluate.refit import Anew, Refitted

RATE = 250
SECONDS = 440


def heart(seed: int) -> tuple[np.ndarray, list[int], list[str]]:
    """A minute rate of 75 with a wide, early beat in every tenth place."""
    rng = np.random.default_rng(seed)
    wave = rng.normal(0, 0.01, SECONDS * RATE)
    at = np.cumsum(np.where(np.arange(SECONDS) % 10 == 9, 0.55, 0.8) + rng.normal(0, 0.005, SECONDS)) + 1
    at = [round(t * RATE) for t in at if t < SECONDS - 1]
    labels = ["V" if k % 10 == 9 else "N" for k in range(len(at))]
    t = np.arange(-50, 51) / RATE
    for k, label in zip(at, labels, strict=True):
        beat = -1.4 * np.exp(-((t / 0.06) ** 2)) if label == "V" else np.exp(-((t / 0.012) ** 2))
        wave[k - 50 : k + 51] += beat[: len(wave[k - 50 : k + 51])]
    return wave, at, labels


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three records: 201 and 202, which are one patient, and 104, which is paced; and one that cannot be read."""
    folder = tmp_path_factory.mktemp("set")
    for seed, name in enumerate(("104", "201", "202")):
        wave, at, labels = heart(seed)
        write_signals(folder / name, ["MLII"], wave[None].astype(np.float32), RATE)
        write_annotations(folder / name, "atr", at, ["/" if name == "104" else x for x in labels], rate_hz=RATE)
        moved = [x + (3 if k % 5 else 80) for k, x in enumerate(at)]
        write_annotations(folder / name, "mine", moved, labels, rate_hz=RATE)
    (folder / "bad.hea").write_text("bad 1 250 1000\nbad.dat 16 200\n")
    noise = folder.parent / "nstdb"
    noise.mkdir(exist_ok=True)
    write_signals(noise / "em", ["noise"], np.random.default_rng(9).normal(0, 1, (1, 50_000)).astype(np.float32), RATE)
    return folder


@pytest.fixture(autouse=True)
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PROCESSES", 1)


def printed(capsys: pytest.CaptureFixture[str], wanted: Wanted, status: int = 0) -> dict[str, Any]:
    assert evaluate(wanted) == status
    return json.loads(capsys.readouterr().out)


def test_the_pipeline_is_scored_end_to_end(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = printed(capsys, Wanted(data, json=True, peers=("sleepecg",)))
    figures = result["figures"]
    assert figures["qrs_se_in_sample"] > 95
    assert figures["qrs_ppv_in_sample"] > 95
    assert figures["sleepecg_qrs_se_in_sample"] > 95
    assert figures["qrs_se"] is None
    assert (figures["records"], figures["records_unpaced"], figures["records_failed"]) == (3, 2, 1)
    assert list(result["failed"]) == ["bad"]
    assert figures["veb_f1_reference_peaks_in_sample"] > 95
    assert figures["veb_f1_reference_peaks"] is None
    given = result["records"]["201"]["beats"]["papers_reference_peaks"]["qrs"]
    assert (given["missed"], given["false"]) == (0, 0)
    assert result["records"]["104"]["paced"]


def test_figures_are_those_of_the_counts(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = printed(capsys, Wanted(data, json=True, test="mine"))
    unpaced = [result["records"][name]["beats"]["papers"] for name in ("201", "202")]
    for kind in ("qrs", "veb", "sveb"):
        found, missed, false = (sum(table[kind][n] for table in unpaced) for n in ("found", "missed", "false"))
        expected = round(100 * found / (found + missed), 3) if found + missed else None
        assert result["figures"][f"{kind}_se"] == expected
        if found:
            assert result["figures"][f"{kind}_f1"] == round(200 * found / (2 * found + missed + false), 3)
    assert 75 < result["figures"]["qrs_se"] < 85


def test_records_that_were_learned_from_are_kept_out_and_printed_apart(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = printed(capsys, Wanted(data, json=True))["records"]
    monkeypatch.setattr(ec57, "is_seen", lambda parts, _, name: "beats" in parts and name == "201")
    result = printed(capsys, Wanted(data, json=True))
    figures = result["figures"]
    assert figures["veb_f1"] == plain["202"]["beats"]["papers"]["veb"]["f1"]
    assert figures["veb_f1_in_sample"] == plain["201"]["beats"]["papers"]["veb"]["f1"]
    assert {"veb_f1_in_sample", "sveb_se_bxb_in_sample", "vf_episode_se_in_sample"} <= set(figures)
    assert figures["qrs_f1"] == plain["202"]["beats"]["papers"]["qrs"]["f1"]
    assert figures["qrs_f1_in_sample"] == plain["201"]["beats"]["papers"]["qrs"]["f1"]
    assert set(result["intervals"]) <= set(figures)


def test_patients_are_known_in_other_sets_and_folders() -> None:
    assert ec57.is_seen(["beats"], "qtdb", "sel803")
    assert ec57.is_seen(["beats"], "a copy", "101")
    assert ec57.is_seen(["beats"], "mitdb", "202")  # the patient of 201
    assert ec57.is_seen(["beats"], "nstdb", "118e06")
    assert not ec57.is_seen(["beats"], "mitdb", "100")
    assert not ec57.is_seen(["beats"], "mitdb", "800")


def test_one_patient_gives_no_interval_and_two_do(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = printed(capsys, Wanted(data, json=True, test="mine"))
    assert result["intervals"]["qrs_se"] is None
    low, high = result["intervals"]["qrs_se_all"]
    assert low <= result["figures"]["qrs_se_all"] <= high


def test_the_same_run_prints_the_same(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = Wanted(data, json=True, test="mine", cross_validate=True)
    first = printed(capsys, wanted)
    assert printed(capsys, wanted) == first
    assert ec57.NOT_FITTED_ANEW in first["notes"]


def test_annotation_files_of_anyone_are_tabled_as_the_reference_tools_do(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(Wanted(data, test="mine", worst=1)) == 0
    out = capsys.readouterr().out
    for title in ("Record Nn'", "Total Shutdown", "CTs CFN", "(SVE run detection)", "(AF detection)", "(VF detection)"):
        assert title in out
    assert "Summary of results from 3 records" in out
    assert "bad: not scored: " in out
    assert "104: paced, QRS Se" in out


def test_annotation_files_may_lie_elsewhere() -> None:
    assert annotation_file(Path("set/100"), "tst") == (Path("set/100"), "tst")
    assert annotation_file(Path("set/100"), "../mine/tst") == (Path("../mine/100"), "tst")


def test_annotations_are_scored_without_signals(data: Path, tmp_path: Path) -> None:
    for name in ("201.hea", "201.atr", "201.mine"):
        (tmp_path / name).write_bytes((data / name).read_bytes())
    assert score_record(tmp_path / "201", Task("mine")).tables["papers"].qrs.found > 0


def test_a_cut_annotation_file_and_a_reference_without_beats_are_failures(data: Path, tmp_path: Path) -> None:
    for name in ("201.hea", "201.atr", "201.mine"):
        (tmp_path / name).write_bytes((data / name).read_bytes())
    (tmp_path / "201.mine").write_bytes((data / "201.mine").read_bytes()[:-3])
    with pytest.raises(ValueError, match=r"201\.mine: cut"):
        score_record(tmp_path / "201", Task("mine"))
    write_annotations(tmp_path / "201", "atr", [5], ["+"], rate_hz=RATE, aux=["(N"])
    with pytest.raises(ValueError, match="no beat"):
        score_record(tmp_path / "201", Task("mine"))


@pytest.mark.parametrize(
    ("line", "expected"),
    [("r 2 360 650000", (360.0, 650000)), ("# x\n\nr 2 128/1(0) 0", (128.0, None)), ("r 0 250.5", (250.5, None))],
)
def test_rate_and_length_come_from_the_header(tmp_path: Path, line: str, expected: tuple[float, int | None]) -> None:
    (tmp_path / "r.hea").write_text(line)
    assert header(tmp_path / "r") == expected


def test_a_header_without_a_rate_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "r.hea").write_text("r 2\n")
    with pytest.raises(ValueError, match="no rate"):
        header(tmp_path / "r")


def test_noise_is_mixed_in_and_the_noisy_stretches_alone_are_scored(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loud = printed(capsys, Wanted(data, json=True, noise="em", snr_db=-12.0))
    faint = printed(capsys, Wanted(data, json=True, noise="em", snr_db=40.0))
    assert loud["figures"]["qrs_f1_in_sample"] < faint["figures"]["qrs_f1_in_sample"]
    qrs = faint["records"]["201"]["beats"]["papers"]["qrs"]
    at = annotations(data / "201").samples / RATE
    assert qrs["found"] + qrs["missed"] == pytest.approx(((at >= 300) & (at <= 420)).sum(), abs=1)
    assert faint["noise"] == {"name": "em", "snr_db": 40.0}


def test_noisy_records_too_are_judged_by_weights_fitted_without_their_patient(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deaf = Weights()._replace(evidence=Weights().evidence._replace(base=-99.0))
    anew = {"mitdb/104": Anew(beats=Weights()), "mitdb/201": Anew(beats=deaf), f"{data.name}/bad": Anew(beats=deaf)}
    monkeypatch.setattr(ec57, "out_of_fold", lambda *_: Refitted([[*anew]], anew, ("beats",), []))
    result = printed(capsys, Wanted(data, json=True, noise="em", snr_db=40.0, cross_validate=True))
    found = {name: record["beats"]["papers"]["qrs"]["found"] for name, record in result["records"].items()}
    assert found["104"] > 0
    assert (found["201"], found["202"]) == (0, 0)
    assert (result["figures"]["records_in_sample"], result["figures"]["qrs_se"]) == (0, 0.0)
    assert "qrs_se_in_sample" not in result["figures"]


def test_decisions_have_a_line_a_record_and_strips_show_the_worst(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = Wanted(data, json=True, test="mine", decisions=tmp_path / "d", worst=1, plot=tmp_path / "strips")
    result = printed(capsys, wanted)
    lines = [json.loads(line) for line in (tmp_path / "d").read_text().splitlines()]
    assert [line["record"] for line in lines] == ["104", "201", "202"]
    worst = max(lines, key=lambda line: line["cost"])
    (named,) = result["worst"]
    assert (named["record"], named["cost"]) == (worst["record"], worst["cost"])
    for mistake in worst["mistakes"]:
        assert mistake["at_s"] >= 300
        assert "O" in (mistake["reference"], mistake["test"]) or "V" in (mistake["reference"], mistake["test"])
    assert len(list((tmp_path / "strips").glob(f"{worst['record']}_*.svg"))) == len(named["look"])


def test_a_folder_of_which_nothing_can_be_scored_is_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.hea").write_text("bad 1 250 1000\nbad.dat 16 200\n")
    result = printed(capsys, Wanted(tmp_path, json=True), status=2)
    assert result["figures"]["qrs_se"] is None
    assert result["figures"]["records_failed"] == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"peers": ("gqrs",)}, "peer must be one of"),
        ({"noise": "xx"}, "noise must be one of"),
        ({"test": "mine", "noise": "em"}, "--test"),
    ],
)
def test_what_does_not_go_together_is_said(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        evaluate(Wanted(tmp_path, **options))


def test_noise_that_is_not_there_names_the_command_that_brings_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="vigil records get nstdb"):
        evaluate(Wanted(tmp_path / "set", noise="ma"))


def test_a_peer_without_its_environment_names_the_make_target(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="make peers"):
        peers.neurokit2(iter(()), tmp_path)


def test_folds_keep_a_patient_together_and_hold_every_record_once() -> None:
    names = [str(n) for n in range(195, 215)]
    found = folds(names, 4)
    assert sorted(name for fold in found for name in fold) == names
    assert [("201" in fold) == ("202" in fold) for fold in found] == [True] * 4
    assert folds(names, 4) == found
    assert folds(names, 4, seed=1) != found


def test_what_is_scored_is_the_file_that_analyze_writes(data: Path, tmp_path: Path) -> None:
    recording = read(data / "201", end_s=60.0)
    analyzed = analyze(recording, {})
    write(analyzed, recording, tmp_path)
    written, own = annotations(tmp_path / "201", "vigil"), own_annotations(analyzed, recording)
    assert (own.samples == written.samples).all()
    assert (own.symbols == written.symbols).all()
    assert set(own.symbols.tolist()) <= BEATS | {"+"}
