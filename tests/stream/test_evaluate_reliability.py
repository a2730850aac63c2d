"""Reliability: what was said in ten bins against what was so, pooled as it is read."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from model.labels import RHYTHMS
from model.score import calibration_errors, draws
from stream.evaluate.reliability import Curve, bins, draw, of_records, of_windows

N = 900
RNG = np.random.default_rng(4)
SAID = RNG.random(N)
SO = RNG.random(N) < SAID**2
PATIENT = np.array([f"patient {k // 3}" for k in range(N)])
CURVE = Curve("ece", "made up", SAID, SO, PATIENT)


def test_the_error_of_each_draw_is_that_of_the_cases_as_often_as_their_patient_was_drawn() -> None:
    assert CURVE.errors() == pytest.approx(calibration_errors(SAID, SO, draws(PATIENT)))


def test_bins_hold_every_case_once_and_their_interval_holds_what_was_found() -> None:
    found = bins(CURVE)
    assert sum(each.cases for each in found) == N
    assert [int(each.said * 10) for each in found] == list(range(10))
    assert all(each.low <= each.found < each.high for each in found)
    assert sum(each.cases * each.found for each in found) == pytest.approx(SO.sum())
    (all_right,) = bins(Curve("ece", "sure", np.ones(20), np.ones(20, bool), PATIENT[:20]))
    assert (all_right.said, all_right.found, all_right.high) == (1, 1, pytest.approx(1))
    assert all_right.low == pytest.approx(20 / (20 + 1.96**2), abs=1e-3)  # Wilson's


def test_what_is_unknown_of_a_record_is_in_no_bin() -> None:
    truth = np.array([[1, -1, 0], [-1, -1, 1]], np.int8)
    curve = of_records(np.array([[0.9, 0.5, 0.1], [0.5, 0.5, 0.8]]), truth, np.array(["a", "b"]))
    assert curve.said.tolist() == [0.9, 0.1, 0.8]
    assert curve.so.tolist() == [True, False, True]
    assert curve.patient.tolist() == ["a", "a", "b"]


def test_windows_count_where_one_rhythm_alone_is_allowed() -> None:
    vt, vf, sinus = (RHYTHMS.index(name) for name in ("ventricular_tachycardia", "ventricular_fibrillation", "sinus"))
    said, allowed = np.zeros((3, len(RHYTHMS))), np.zeros((3, len(RHYTHMS)), bool)
    said[:, vt], said[:, vf], said[:, sinus] = 0.5, 0.3, 0.2
    allowed[0, vf] = allowed[1, sinus] = allowed[2, sinus] = allowed[2, vf] = True
    each, likeliest, lethal = of_windows(said, allowed, np.array(["a", "b", "c"]))
    assert (len(each.said), each.so.sum(), each.patient.tolist().count("a")) == (16, 2, 8)
    assert likeliest.said.tolist() == [0.5, 0.5]
    assert not likeliest.so.any()
    assert lethal.said.tolist() == [0.8, 0.8]
    assert lethal.so.tolist() == [True, False]


def test_the_picture_has_a_plot_a_curve_and_a_point_a_bin(tmp_path: Path) -> None:
    draw(tmp_path / "r.svg", [CURVE] * 3, ["calibration error 0.1"] * 3)
    picture = ElementTree.parse(tmp_path / "r.svg").getroot()
    points = picture.findall("{*}circle")
    assert len(points) == 3 * len(bins(CURVE))
    height, width = (float(picture.attrib["viewBox"].split()[k]) for k in (3, 2))
    assert all(0 < float(p.attrib["cx"]) < width and 0 < float(p.attrib["cy"]) < height for p in points)
    first = sorted(points[:10], key=lambda p: float(p.attrib["cx"]))
    assert float(first[0].attrib["cy"]) > float(first[-1].attrib["cy"])  # more was so where more was said
