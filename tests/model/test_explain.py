"""What an answer rests on, what a window is like, and an alert in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecg import weights_file
from ecg.alert import Alert, Evidence
from ecg.window import SPAN
from model import dataset, monitors, rhythms, weights
from model.explain import prototypes
from model.explain.saliency import CELL, Saliency, choose_leads, deletion, log_odds, occluded, saliency
from model.explain.sentence import Measured, sentence
from model.explain.shared import encoded
from model.labels import RHYTHMS
from model.weights import load, shipped

SHAPE = (2, 20)
SHA = "a" * 64


def _floats(values: list[float]) -> np.ndarray:
    return np.array(values, np.float32)


def _of_two_cells(x_mv: np.ndarray) -> np.ndarray:
    """Answer 1 for what is in cell 7 of the second lead, and against what is in cell 3 of the first."""
    mean = np.nan_to_num(x_mv).reshape(len(x_mv), *SHAPE, CELL).mean(axis=3)
    odds = 3 * mean[:, 1, 7] - 2 * mean[:, 0, 3]
    return np.stack([np.zeros(len(x_mv)), odds], axis=1).astype(np.float32)


def _ones() -> np.ndarray:
    return np.ones((2, SHAPE[1] * CELL), np.float32)


def _marked(x_mv: np.ndarray, of: int | None = None) -> Saliency:
    return saliency(_of_two_cells(occluded(x_mv)), x_mv, of)


def test_a_cell_weighs_what_the_answer_loses_without_it() -> None:
    found = _marked(_ones())
    assert found.of == 1
    wanted = np.zeros(SHAPE)
    wanted[1, 7], wanted[0, 3] = 3, -2
    assert np.allclose(found.weight, wanted, atol=1e-5)
    assert np.allclose(_marked(_ones(), of=0).weight, -wanted, atol=1e-5)


def test_what_is_missing_weighs_nothing_and_an_empty_window_has_no_reason() -> None:
    x = _ones()
    x[1] = np.nan
    found = saliency(_of_two_cells(np.where(np.isnan(windows := occluded(x)), 5, windows)), x)
    assert not found.weight[1].any()
    empty = np.full_like(x, np.nan)
    nothing = _marked(empty)
    assert not nothing.weight.any()
    assert deletion(_of_two_cells, empty, nothing, 3) == (0, 0)


def test_deletion_takes_out_what_weighs_most_and_as_much_at_random() -> None:
    found = deletion(_of_two_cells, _ones(), _marked(_ones()), draws=400)
    assert found.marked == pytest.approx(3)
    assert found.at_random == pytest.approx(0.2 * (3 - 2), abs=0.15)


def test_log_odds_are_of_one_answer_against_all_others_and_do_not_overflow() -> None:
    p = np.array([[0.5, 0.3, 0.2]])
    assert log_odds(np.log(p), 1) == pytest.approx(np.log(0.3 / 0.7))
    assert log_odds(np.array([[900.0, -900.0]], np.float32), 0) == pytest.approx(1800)


def test_marks_on_the_network_count_more_than_chance() -> None:
    network = load(shipped())
    rng, t = np.random.default_rng(5), np.arange(SPAN) / 250
    x = np.full((2, SPAN), np.nan, np.float32)
    x[0] = (
        np.sin(2 * np.pi * 4.5 * t) * (t > 8) + np.sin(np.pi * 1.1 * t) ** 41 * (t <= 8) + 0.02 * rng.normal(size=SPAN)
    )

    def answer(x_mv: np.ndarray) -> np.ndarray:
        return network.rhythm_logits(x_mv, ["II", "V1"])

    why = saliency(answer(occluded(x)), x, RHYTHMS.index("ventricular_fibrillation"))
    assert why.weight.shape == (2, SPAN // CELL)
    assert not why.weight[1].any()
    fall = deletion(answer, x, why, 10)
    assert fall.marked > 2 * fall.at_random


def test_chunks_that_windows_share_are_encoded_once_to_the_same_bits(
    network: weights.Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(3).normal(size=(2, SPAN)).astype(np.float32)
    x[1, -400:] = np.nan
    windows, leads, encode, counts = occluded(x)[::9], ["II", "V1"], network.encode, list[int]()

    def counted(cut_mv: list[np.ndarray], names: list[list[str]]) -> list[weights.Encoded]:
        counts.append(len(cut_mv))
        return encode(cut_mv, names)

    monkeypatch.setattr(network, "encode", counted)
    found = encoded(network, windows, leads)
    assert len({id(chunk) for window in found for chunk in window}) == sum(counts) < 3 * len(windows)
    assert np.array_equal(network.answer(found, [leads] * len(found)), network.logits(windows, leads))


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"], (1, 6)),
        (["V5", "MLII"], (0, 1)),
        (["ECG"], (0,)),
        (["a", "b", "c"], (0, 1)),
        (["a", "V1", "MDC_ECG_LEAD_II"], (1, 2)),
        ([], ()),
    ],
)
def test_two_leads_are_chosen_by_what_they_show(names: list[str], chosen: tuple[int, ...]) -> None:
    assert choose_leads(names) == chosen


def test_prototypes_of_records_are_of_windows_that_may_be_one_rhythm_alone(
    rows: Path, weights_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weights, "shipped", lambda: weights_path)
    found = prototypes.train(rows, tmp_path / "p.safetensors")
    again = prototypes.load(tmp_path / "p.safetensors", load(weights_path).sha256)
    assert np.array_equal(again.centre, found.centre)
    counts = {name: int(found.windows[[name == k for k in found.labels]].sum()) for name in set(found.labels)}
    assert counts == {"sinus": 8, "atrial_fibrillation": 8, "noise": 8}
    with pytest.raises(ValueError, match="data must hold"):
        prototypes.train(tmp_path, tmp_path / "q.safetensors")


def test_features_of_kept_chunks_are_those_of_the_signal(
    rows: Path, strips: dataset.Records, network: weights.Network
) -> None:
    read = monitors._read(rows / "cinc2017" / "A00000")
    cut = read.cut(10.0, rhythms.PLAIN, "cinc2017/A00000")
    assert cut is not None
    wanted = network.features_of(cut.span_mv[None], ["ECG"])
    assert np.array_equal(prototypes._features(network, strips, np.intp(1)), wanted)


def _clusters() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    centres = np.repeat([[0, 0, 9], [5, 0, 9], [0, 5, 9]], [40, 30, 20], axis=0)
    labels = np.repeat(["vt", "normal", "vt"], [40, 30, 20])
    return (centres + 0.1 * rng.normal(size=centres.shape) * [1, 1, 0]).astype(np.float32), labels


def test_the_nearest_prototype_is_of_the_class_and_stands_for_its_windows() -> None:
    features, labels = _clusters()
    found = prototypes.fit(features, labels, SHA)
    assert found.windows.sum() == 90
    assert {label: int(found.windows[[k == label for k in found.labels]].sum()) for label in labels} == {
        "vt": 60,
        "normal": 30,
    }
    assert len(found.centre) <= 2 * prototypes.A_CLASS
    assert found.nearest(_floats([5, 0.1, 9]), 1)[0].label == "normal"
    near = found.nearest(_floats([0, 5, 9]), 4)
    assert near[0].label == "vt"
    assert [one.distance for one in near] == sorted(one.distance for one in near)


def test_prototypes_are_the_same_when_read_and_of_one_network_alone(tmp_path: Path) -> None:
    found = prototypes.fit(*_clusters(), SHA)
    prototypes.save(tmp_path / "p.safetensors", found, {"command": "test"})
    again = prototypes.load(tmp_path / "p.safetensors", SHA)
    assert again.labels == found.labels
    assert np.array_equal(again.centre, found.centre)
    with pytest.raises(ValueError, match="prototypes of weights aaaaaaaaaa, and the network is bbbbbbbbbb"):
        prototypes.load(tmp_path / "p.safetensors", "b" * 64)
    (tmp_path / "q.safetensors").write_bytes(weights_file.pack({"centre": found.centre}, {"labels": []}))
    with pytest.raises(ValueError, match="no prototypes"):
        prototypes.load(tmp_path / "q.safetensors", SHA)


def _alert(**more: Any) -> Alert:
    fields = Alert.__struct_fields__
    said: dict[str, Any] = dict.fromkeys(fields, "") | dict.fromkeys(("value", "limit", "risk"))
    said |= {"text": "*** VT 150 > 100 bpm", "evidence": Evidence(trace="run of 6 ventricular beats")}
    return Alert(**said | more)


def test_a_sentence_says_what_was_measured() -> None:
    seen = Measured(12, _floats([0.4] * 10 + [0.5]), _floats([140] * 12), 9, ("II", "V1"))
    assert sentence(_alert(), seen) == (
        "VT 150 > 100 bpm: run of 6 ventricular beats. In the 10 s before it: 12 beats, RR 0.40 to 0.50 s "
        "(median 0.40 s, 150 bpm), QRS 140 ms wide, seen in II and V1; 9 pulses."
    )


def test_a_sentence_says_nothing_that_was_not_measured() -> None:
    nothing = Measured(0, np.zeros(0, np.float32), np.zeros(0, np.float32), None, ())
    evidence = Evidence(leads=("II",))
    said = sentence(_alert(text="*** ASYSTOLE", evidence=evidence), nothing)
    assert said == "ASYSTOLE. In the 10 s before it: no beat; no lead of a pulse. Decided on II."
    one = Measured(1, np.zeros(0, np.float32), _floats([np.nan]), 0, ("V1",))
    assert "one beat, seen in V1; no pulse." in sentence(_alert(), one)
