"""A head of one's own on a published network: trained by the command, and used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from ecg import record, weights_file
from model.backbones import head
from model.backbones.backbone import Backbone, load
from model.backbones.ecgfounder import ECGFounder
from stream.commands.train import app

RATE_HZ, PATIENTS = 250, 10


@pytest.fixture
def backbone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backbone:
    """Give a small network of ECGFounder's kind, of one lead."""
    monkeypatch.setattr("model.backbones.ecgfounder.WIDTHS", (64, 80))
    monkeypatch.setattr("model.backbones.ecgfounder.DEPTHS", (1, 1))
    torch.manual_seed(2)
    torch.save({"state_dict": ECGFounder(1, 5).state_dict()}, tmp_path / "founder.pth")
    return load(tmp_path / "founder.pth")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write two records a patient, slow hearts and fast ones, with their labels."""
    rng, lines = np.random.default_rng(4), ["record,patient,labels"]
    for k in range(2 * PATIENTS):
        patient, fast = k // 2, k // 2 % 2 == 1
        t = np.arange(10 * RATE_HZ) / RATE_HZ
        beats = np.sin(np.pi * (2.6 if fast else 1.0) * t + rng.uniform(0, 3)) ** 40
        mv = (beats + 0.02 * rng.normal(size=t.shape)).astype(np.float32)[None]
        record.write_signals(tmp_path / f"r{k:02}", ["I"], mv, RATE_HZ)
        lines.append(f"r{k:02},p{patient},{'fast; any' if fast else 'slow;any'}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    return tmp_path


def _train(folder: Path, out: str) -> str:
    arguments = ["head", "--backbone", folder / "founder.pth", "--data", folder, "--out", folder / out]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_head_learns_on_frozen_features_and_says_so_out_of_fold(backbone: Backbone, folder: Path) -> None:
    before = backbone.path.read_bytes()
    said = _train(folder, "head.safetensors")
    assert "20 records of 10 patients, features of ECGFounder" in said
    figures = dict(line.split() for line in said.splitlines() if line.startswith("auroc_"))
    assert float(figures["auroc_fast"]) > 0.95
    assert figures["auroc_any"] == "nan"  # every record has it
    assert backbone.path.read_bytes() == before
    _train(folder, "again.safetensors")
    assert (folder / "head.safetensors").read_bytes() == (folder / "again.safetensors").read_bytes()
    _answers_for_a_record(backbone, folder)


def _answers_for_a_record(backbone: Backbone, folder: Path) -> None:
    found, fast = head.load_head(folder / "head.safetensors"), record.read(folder / "r02")
    answer = found.probabilities(backbone, backbone.features(fast.mv(), RATE_HZ, ["I"]))
    assert set(answer) == {"fast", "slow", "any"}
    assert answer["fast"] > 0.5 > answer["slow"]
    made = weights_file.made((folder / "head.safetensors").read_bytes())
    assert made["backbone_sha256"] == backbone.sha256
    assert made["positives"] == {"fast": 10, "slow": 10, "any": 20}
    assert len(made["records"]) == 20


def test_a_head_answers_for_the_weights_that_it_was_trained_on_alone(backbone: Backbone) -> None:
    other = head.Head(np.zeros((1, 80)), np.zeros(1), ("fast",), "0" * 64)
    with pytest.raises(ValueError, match=r"trained on weights 0000000000, and .*founder\.pth is"):
        other.probabilities(backbone, np.zeros(80))


def test_the_fit_is_where_the_loss_is_flat() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(3, [[1, 20, 0]], (40, 3)).astype(np.float32)
    truth = rng.random((40, 2)) < 1 / (1 + np.exp(-x[:, :1] + 3))
    weight, bias = head.fit(x, truth)
    off = 1 / (1 + np.exp(-(x @ weight.T + bias))) - truth
    spread = x.std(0)
    slope = (off.T @ ((x - x.mean(0)) / np.where(spread, spread, 1))) / off.size
    assert np.abs(off.mean(0)).max() < 1e-3
    assert np.abs(slope + 2 * head.PENALTY * weight * spread / 2).max() < 1e-3
    assert np.abs(weight[:, 0]).max() > 0.05


def test_folds_keep_a_patient_together() -> None:
    patients = [f"p{k // 3}" for k in range(60)]
    fold = head._folds(patients, 1)
    assert np.bincount(fold).tolist() == [12] * 5
    assert all(len(set(fold[3 * k : 3 * k + 3])) == 1 for k in range(20))


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("record,label\na,x\n", "it must have a column labels"),
        ("record,labels\na,x\na,y\n", "a record of its own, got 'a' 2 times"),
        ("record,labels\na,\nb,\n", "two patients at least, and a label"),
        ("record,patient,labels\na,1,x\nb,1,y\n", "two patients at least, and a label"),
    ],
)
def test_a_table_of_labels_that_is_wrong_is_named(table: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(table)
    with pytest.raises(ValueError, match=said):
        head.read_table(tmp_path)


def test_a_file_that_is_no_head_is_named(tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").write_bytes(weights_file.pack({"weight": np.zeros(2)}, {"labels": []}))
    with pytest.raises(ValueError, match=r"other\.safetensors: no head of `vigil train head`"):
        head.load_head(tmp_path / "other.safetensors")
