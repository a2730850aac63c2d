"""Training on generated windows: what must hold whatever the records are."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ecg.microvolts import MISSING
from model import dataset, train, weights
from model.labels import CLASSES
from model.net import SLOTS, WINDOW

EPOCHS = 2


@pytest.fixture(scope="module")
def generated() -> dataset.Windows:
    """Two kinds of rhythm, told apart by their rate: 60 patients of three windows."""
    rng = np.random.default_rng(3)
    t = np.arange(WINDOW) / 250
    n = 180
    fast = np.arange(n) // 3 % 2 == 1
    rate = np.where(fast, 4.0, 1.1)[:, None] * rng.uniform(0.9, 1.1, (n, 1))
    x = np.sin(2 * np.pi * (rate * t + rng.random((n, 1)))) ** (np.where(fast, 1, 21)[:, None])
    leads = np.round(1000 * x + 30 * rng.normal(size=x.shape)).astype(np.int16)
    slots = np.stack([np.arange(n), np.full(n, -1)], axis=1).astype(np.int32)
    allowed = np.zeros((n, len(CLASSES)), bool)
    allowed[fast, CLASSES.index("ventricular_fibrillation")] = True
    allowed[~fast, CLASSES.index("normal")] = True
    patient = np.array([f"mitdb/{k // 3}" for k in range(n)])
    return dataset.Windows(leads, slots, allowed, patient, np.zeros(n, bool))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, generated: dataset.Windows) -> None:
    monkeypatch.setattr(train, "WINDOWS_AN_EPOCH", 320)
    monkeypatch.setattr(train, "BATCH", 32)
    monkeypatch.setattr(dataset, "cached", lambda data, cache, report: generated)


@pytest.mark.usefixtures("small")
def test_the_same_seed_gives_the_same_file_and_it_has_learned(tmp_path: Path) -> None:
    lines: list[str] = []
    a = train.train(tmp_path, tmp_path / "a.safetensors", 7, epochs=EPOCHS, folds=2, show=lines.append)
    train.train(tmp_path, tmp_path / "b.safetensors", 7, epochs=EPOCHS, folds=2, show=lambda line: None)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert a["auroc_lethal"] > 0.95
    assert any("epoch 2 of 2" in line for line in lines)


@pytest.mark.usefixtures("small")
def test_the_file_says_how_it_was_made(tmp_path: Path) -> None:
    found = train.train(tmp_path, tmp_path / "w.safetensors", 5, epochs=1, folds=2, show=lambda line: None)
    classifier = weights.load(tmp_path / "w.safetensors")
    said = classifier.metadata
    assert said["seed"] == 5
    assert len(said["records"]["mitdb"]) == 60
    assert said["commit"]
    assert (
        said["versions"]["torch"] == torch.__version__.split("+")[0] or said["versions"]["torch"] == torch.__version__
    )
    assert {k: v for k, v in said["figures"].items() if v == v} == {k: v for k, v in found.items() if v == v}


def test_a_patient_is_in_one_fold_only(generated: dataset.Windows) -> None:
    fold = dataset.folds(generated, 5, 1)
    for patient in np.unique(generated.patient):
        assert len(np.unique(fold[generated.patient == patient])) == 1
    lethal = generated.allowed[:, CLASSES.index("ventricular_fibrillation")]
    assert [int(lethal[fold == k].sum()) for k in range(5)] == [18] * 5


def test_missing_slots_and_samples_are_nan(generated: dataset.Windows) -> None:
    marked = generated._replace(leads=generated.leads.copy())
    marked.leads[4, 10:20] = MISSING
    x = marked.signal_mv(np.array([4, 5]))
    assert x.shape == (2, SLOTS, WINDOW)
    assert np.isnan(x[:, 1]).all()
    assert np.isnan(x[0, 0, 10:20]).all()
    assert np.isnan(x[:, 0]).sum() == 10


def test_a_rare_class_and_a_patient_with_few_windows_gain_by_sampling(generated: dataset.Windows) -> None:
    rare = generated.take(np.r_[np.flatnonzero(generated.allowed[:, 0]), np.flatnonzero(~generated.allowed[:, 0])[:3]])
    chance = train._chances(rare)
    assert chance.sum() == pytest.approx(1)
    assert chance[-3:].sum() > 2 * 3 / len(rare.slots)


def test_calibration_takes_back_overconfidence() -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, len(CLASSES), 4000)
    honest = rng.normal(size=(4000, len(CLASSES))) + 2 * np.eye(len(CLASSES))[label]
    allowed = np.eye(len(CLASSES), dtype=bool)[label]
    plain, sharp = (train.calibrate((honest * k).astype(np.float32), allowed) for k in (1, 4))
    assert sharp.temperature == pytest.approx(4 * plain.temperature, rel=0.02)
    assert np.allclose(sharp.apply(4 * honest), plain.apply(honest), atol=0.01)
