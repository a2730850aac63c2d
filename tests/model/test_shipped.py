"""The weights that come with Vigil, and the card that speaks of them."""

from pathlib import Path

import numpy as np
import pytest

from ecg import weights_file
from ecg.quality_forest import SHIPPED, made
from ecg.record import read
from model import monitors
from model.card import card, forest_card, small_cards
from model.explain import prototypes
from model.labels import RHYTHMS
from model.net import FEATURES
from model.score import OUTPUTS
from model.train import LEAD_SETS
from model.weights import Network, load, shipped

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trained() -> Network:
    return load(shipped())


def test_the_model_card_is_what_the_weights_say_of_themselves(trained: Network) -> None:
    forest = forest_card(made(SHIPPED.read_bytes()))
    assert (ROOT / "MODEL_CARD.md").read_text() == card(trained.made, trained.parameters) + forest + small_cards()


def test_the_weights_name_a_commit_of_unchanged_code(trained: Network) -> None:
    commit = trained.made["commit"]
    assert len(commit) == 40
    assert set(commit) <= set("0123456789abcdef")


def test_the_weights_name_the_records_that_they_learned_from_and_none_of_ds2(trained: Network) -> None:
    of = {name: {each.partition("/")[0] for each in trained.made[name]} for name in ("records", "monitors")}
    assert of == {"records": {"ptbxl", "ptbxl_zscored"}, "monitors": {"mitdb", "vfdb", "cudb", "cinc2017"}}
    mitdb = {name.partition("/")[2] for name in trained.made["monitors"] if name.startswith("mitdb/")}
    assert mitdb
    assert mitdb <= set(monitors.DS1)


def test_the_weights_are_calibrated_for_the_answers_of_today_and_small(trained: Network) -> None:
    calibration = trained.made["calibration"]
    assert {of: len(fitted) for of, fitted in calibration.items()} == dict.fromkeys(LEAD_SETS, len(OUTPUTS))
    assert any(fitted != [[1.0, 0.0]] * len(OUTPUTS) for fitted in calibration.values())
    temperature, bias = trained.made["rhythm_calibration"]
    assert temperature > 0
    assert len(bias) == len(RHYTHMS)
    assert shipped().stat().st_size < 10_000_000


@pytest.mark.records
@pytest.mark.parametrize(
    ("record", "end_s", "expected", "least"),
    [
        ("mitdb/101", 60.0, {"sinus"}, 0.6),
        ("mitdb/203", 40.0, {"atrial_fibrillation"}, 0.5),
        ("cudb/cu01", 260.0, {"ventricular_fibrillation", "ventricular_tachycardia"}, 0.6),
    ],
)
def test_clear_rhythms_are_named(
    trained: Network, records: Path, record: str, end_s: float, expected: set[str], least: float
) -> None:
    found = read(records / record, end_s - 40, end_s)
    p = trained.predict(found.mv(), found.rate_hz, [lead.name for lead in found.leads])
    assert sum(p[name] for name in expected) > least
    assert sum(p[name] for name in RHYTHMS) == pytest.approx(1, abs=1e-3)


def test_the_prototypes_are_of_these_weights_and_of_rhythms_that_they_know(trained: Network) -> None:
    found = prototypes.load(prototypes.shipped(), trained.sha256)
    assert {"sinus", "atrial_fibrillation", "ventricular_fibrillation"} <= set(found.labels) <= set(RHYTHMS)
    assert found.centre.shape == (len(found.labels), FEATURES)
    assert set(weights_file.made(prototypes.shipped().read_bytes())["commit"]) <= set("0123456789abcdef")


def test_a_probability_of_none_has_no_alone_in_its_set_and_one_of_all_has_yes(trained: Network) -> None:
    said = np.stack([np.zeros(len(OUTPUTS)), np.ones(len(OUTPUTS))])
    for leads in LEAD_SETS.values():
        assert trained.sets(said, leads).tolist() == [[[True, False]] * len(OUTPUTS), [[False, True]] * len(OUTPUTS)]
