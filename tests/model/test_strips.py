"""What the network says of short strips, and what they are called by it and the forests together."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from ecg import strip_class, strip_fit
from ecg.record import read
from ecg.strip_class import SAID
from ecg.strip_features import NAMES
from ecg.weights_file import pack
from model import crossval, dataset, monitors, strips
from model.crossval import Asked, Material
from model.labels import RHYTHMS
from model.net import Net, folded
from model.score import OUTPUTS
from model.train import EPOCHS
from stream.evaluate import run
from stream.evaluate import strips as scored
from tests.ecg.test_strip_class import RATE_HZ, irregular, regular, signal
from tests.model import made_up

WIDTH = len(OUTPUTS) + len(RHYTHMS)


@pytest.fixture
def strips_of(strips: dataset.Records) -> dataset.Records:
    return strips


def test_a_regular_strip_with_p_waves_is_normal_and_an_irregular_one_without_them_fibrillation() -> None:
    assert strips.judge(signal(regular()), RATE_HZ) == "N"
    assert strips.judge(signal(irregular(), p_mv=0.0), RATE_HZ) == "A"


def test_a_strip_of_noise_alone_is_noise() -> None:
    assert strips.judge((0.3 * np.random.default_rng(2).normal(size=9000)).astype(np.float32), RATE_HZ) == "~"


@pytest.mark.parametrize("n", [1, 60, 400, 9000])
def test_any_strip_has_a_class(n: int) -> None:
    for x in (np.zeros(n, np.float32), np.full(n, np.nan, np.float32), signal(regular())[:n]):
        assert strips.judge(x, RATE_HZ) in "NAO~"


def test_what_is_said_of_windows_is_pooled_to_their_mean_most_and_least() -> None:
    logits = np.random.default_rng(1).normal(size=(3, WIDTH)).astype(np.float32)
    found = strips.pooled(logits).reshape(3, 10)
    p = np.exp(logits[:, len(OUTPUTS) :])
    each = np.c_[
        np.log(p / p.sum(axis=1, keepdims=True)), logits[:, OUTPUTS.index("condition_arrhythmia")], logits[:, 0]
    ]
    np.testing.assert_allclose(found, [each.mean(axis=0), each.max(axis=0), each.min(axis=0)], atol=3e-3)
    assert strips.pooled(logits[:0]).tolist() == [0] * SAID


def test_every_other_window_of_a_strip_is_one_that_the_network_learned_from(
    rows: Path, strips_of: dataset.Records
) -> None:
    path = rows / "cinc2017" / "A00001"
    recording = read(path)
    found = monitors.strip(recording.mv()[0], recording.rate_hz)
    assert found is not None
    trained = strips_of.take(np.flatnonzero(strips_of.patient == "cinc2017/A00001"))
    assert (len(found.name), len(trained.name)) == (3, 2)
    taught = found.take(np.array([0, 2]))
    assert all(np.array_equal(a, b) for a, b in zip(taught.leads, trained.leads, strict=True))
    assert np.array_equal(taught.lead, trained.lead)
    assert monitors.strip(np.full(9000, np.nan, np.float32), RATE_HZ) is None
    torch.manual_seed(2)
    net = Net().eval()
    assert np.array_equal(strips.said(net, taught), strips.said(net, trained))
    assert strips.said(net, None).tolist() == [0] * SAID
    assert strips.collect(path).features.shape == (len(NAMES) + SAID,)


def test_forests_are_grown_on_what_networks_said_out_of_fold_and_keep_it(
    rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, work, out = tmp_path / "data", tmp_path / "work", tmp_path / "forests"
    shutil.copytree(rows, data)
    names = [f"A{k:05}" for k in range(made_up.STRIPS)]
    reference = "".join(f"{name},{'NAO~'[k % 4]}\n" for k, name in enumerate(names))
    (data / "cinc2017" / "REFERENCE.csv").write_text(reference)
    monkeypatch.setattr(crossval, "COPIES", 0)
    monkeypatch.setattr(run, "over", partial(run.over, processes=1))
    asked = Asked(data, work)
    held = crossval.material(asked)
    assert held.windows is not None
    torch.manual_seed(3)
    nets = [Net().eval() for _ in range(asked.folds)]
    for k, net in enumerate(nets):
        asked.network(k).write_bytes(pack(crossval.tensors(net), {}))
        folded(net)
    monkeypatch.setattr(crossval, "out_of_fold", lambda *asked: {})
    said = {}
    for name in names:
        recording, own = read(data / "cinc2017" / name), held.windows.patient == f"cinc2017/{name}"
        (fold,) = set(held.window_fold[own].tolist())
        said[name] = strips.said(nets[fold], monitors.strip(recording.mv()[0], recording.rate_hz))
    scored.train(data, out, work)
    kept = strip_class.said_out_of_fold(out.read_bytes())
    assert list(kept) == names
    assert all(np.array_equal(kept[name], said[name]) for name in names)
    assert strip_class.made(out.read_bytes())["network"].endswith(f"seed 1, {EPOCHS} epochs")
    grown = strip_class.decode(out.read_bytes())
    again = strip_fit.fit(
        [strip_fit.beside(strip_fit.collect(data / "cinc2017" / name), kept[name]) for name in names],
        strip_fit.read_reference(reference),
    )
    assert all(np.array_equal(a, b) for x, y in zip(grown, again, strict=True) for a, b in zip(x, y, strict=True))


def test_without_windows_of_monitors_nothing_is_said_out_of_fold(generated: dataset.Records, tmp_path: Path) -> None:
    none = np.zeros(0, np.int64)
    assert strips.unlearned(Asked(tmp_path, tmp_path), Material([generated], None, none, none), print) == {}
