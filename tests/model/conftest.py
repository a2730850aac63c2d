"""A network with random weights, for what holds whatever it has learned."""

from pathlib import Path

import pytest
import torch

from model import weights
from model.labels import CLASSES
from model.net import RhythmNet


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    net = RhythmNet(len(CLASSES))
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.15)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    weights.save(path, net.eval(), 0.9, [0.1, 0.0, -0.2, 0.3, 0.0, -0.1], {"figures": {}})
    return path


@pytest.fixture(scope="session")
def random_classifier(random_weights: Path) -> weights.Classifier:
    return weights.load(random_weights)
