"""Published networks: the golden answers, and what is said of files that do not fit."""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from ecg.lead import STANDARD
from model.backbones import backbone, checkpoint
from model.backbones.backbone import ORDER_FOUNDER, load
from model.backbones.ecgfm import ECGFM
from model.backbones.ecgfounder import ECGFounder

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "backbones.json").read_text())
"""Number, names and shapes (as a hash) of the published tensors, and the answer for a state and an input by rule."""
STATE = "pos_conv.0.parametrizations.weight.original"
Expected = dict[str, Tensor]


def _golden_state(shapes: Expected) -> Expected:
    """Give tensors whose values are a hash of their place: scaled by fan-in, or near one, or near zero."""
    most = max(tensor.numel() for tensor in shapes.values())
    base = np.arange(most, dtype=np.uint32) * np.uint32(2654435761)
    return {name: _golden_tensor(base, k, name, shapes[name]) for k, name in enumerate(sorted(shapes))}


def _golden_tensor(base: np.ndarray, index: int, name: str, like: Tensor) -> Tensor:
    if not like.is_floating_point():
        return torch.zeros(like.shape, dtype=like.dtype)
    h = base[: like.numel()] + np.uint32((index * 40503 + 12345) % 2**32)
    h ^= h >> np.uint32(15)
    h *= np.uint32(2246822519)
    h ^= h >> np.uint32(13)
    v = np.multiply(h, np.float32(2**-31), dtype=np.float32)
    v -= np.float32(1)
    near_one = name.endswith("original0") or (like.ndim < 2 and name.endswith(("weight", "running_var")))
    v *= np.float32(0.1 if near_one or like.ndim < 2 else np.sqrt(3 / (like.numel() // like.shape[0])))
    v += np.float32(near_one)
    return torch.from_numpy(v).reshape(like.shape)


def _golden_input(leads: int, samples: int) -> Tensor:
    t, lead = np.arange(samples) / 500, np.arange(leads)[:, None]
    x = np.sin(2 * np.pi * (1 + 0.3 * lead) * t) + 0.2 * np.sin(2 * np.pi * 17 * t + lead)
    return torch.from_numpy(x.astype(np.float32))[None]


@pytest.mark.parametrize(
    ("name", "network", "leads", "labels", "samples"),
    [
        ("ecgfounder_1", ECGFounder, 1, 150, 5000),
        ("ecgfounder_12", ECGFounder, 12, 150, 5000),
        ("ecgfm_12", ECGFM, 12, 17, 2500),
    ],
)
def test_a_network_takes_the_published_tensors_and_gives_the_published_answer(
    name: str, network: type[ECGFounder | ECGFM], leads: int, labels: int, samples: int
) -> None:
    wanted = GOLDEN[name]
    with torch.device("meta"):
        found = network(leads, labels)
    shapes = found.state_dict()
    layout = "\n".join(f"{key} {list(shapes[key].shape)}" for key in sorted(shapes))
    assert hashlib.sha256(layout.encode()).hexdigest() == wanted["layout_sha256"]
    assert sum(p.numel() for p in found.parameters()) == wanted["parameters"]
    found.load_state_dict(_golden_state(shapes), assign=True)
    with torch.inference_mode():
        logits = found.eval().answer(found.encode(_golden_input(leads, samples)))[0]
    assert np.abs(logits.numpy() - wanted["logits"]).max() < 1e-4  # 1e-3 is asked for


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the networks small: files are then taken apart, checked and named as the published ones are."""
    monkeypatch.setattr("model.backbones.ecgfounder.WIDTHS", (64, 80))
    monkeypatch.setattr("model.backbones.ecgfounder.DEPTHS", (1, 2))
    for name, value in (("LAYERS", 1), ("WIDTH", 48), ("INNER", 96), ("CHANNELS", 16)):
        monkeypatch.setattr(f"model.backbones.ecgfm.{name}", value)


def _state(network: type[ECGFounder | ECGFM], leads: int = 12, labels: int = 3) -> Expected:
    with torch.device("meta"):
        shapes = network(leads, labels).state_dict()
    return _golden_state(shapes)


def _answer(path: Path, network: type[ECGFounder | ECGFM]) -> dict[str, float]:
    path.with_suffix(".txt").write_text("one\ntwo\n\nthree\n")
    length = 5000 if network is ECGFounder else 2500
    return load(path).probabilities(_golden_input(12, length)[0].numpy(), 500, STANDARD)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("network", "inside"), [(ECGFounder, "state_dict"), (ECGFM, "model")])
def test_a_file_answers_the_same_as_pickle_as_plain_tensors_and_as_safetensors(
    network: type[ECGFounder | ECGFM], inside: str, tmp_path: Path
) -> None:
    state = _state(network)
    torch.save({inside: state, "epoch": 3, "best": {"auroc": 0.9}}, tmp_path / "a.pt")
    torch.save(state, tmp_path / "b.pth", _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(state, tmp_path / "c.safetensors")
    answers = [_answer(tmp_path / name, network) for name in ("a.pt", "b.pth", "c.safetensors")]
    assert list(answers[0]) == ["one", "two", "three"]
    assert answers[0] == answers[1] == answers[2]
    assert len(set(answers[0].values())) == 3


@pytest.mark.usefixtures("small")
def test_names_of_older_torch_and_tensors_of_pretraining_change_nothing(tmp_path: Path) -> None:
    state = _state(ECGFM)
    torch.save(state, tmp_path / "new.pt")
    old = {name.replace(STATE + "0", "pos_conv.0.weight_g"): tensor for name, tensor in state.items()}
    old = {name.replace(STATE + "1", "pos_conv.0.weight_v"): tensor for name, tensor in old.items()}
    torch.save(old | {"encoder.mask_emb": torch.zeros(48)}, tmp_path / "old.pt")
    assert _answer(tmp_path / "new.pt", ECGFM) == _answer(tmp_path / "old.pt", ECGFM)


@pytest.mark.usefixtures("small")
def test_a_file_from_pretraining_gives_the_same_features_and_no_answer(tmp_path: Path) -> None:
    state, x = _state(ECGFM), _golden_input(12, 2500)[0].numpy()
    torch.save(state, tmp_path / "tuned.pt")
    bare = {name.removeprefix("encoder."): tensor for name, tensor in state.items() if not name.startswith("proj")}
    torch.save({"model": bare | {"quantizer.vars": torch.zeros(1, 640, 128)}}, tmp_path / "bare.pt")
    found = load(tmp_path / "bare.pt")
    assert np.array_equal(found.features(x, 500, STANDARD), load(tmp_path / "tuned.pt").features(x, 500, STANDARD))
    with pytest.raises(ValueError, match=r"bare\.pt: no labels for its answers"):
        found.probabilities(x, 500, STANDARD)


def _without(state: Expected) -> None:
    del state["stage_list.0.block_list.0.conv2.conv.weight"]


def _longer(state: Expected) -> None:
    state["stage_list.1.block_list.1.se_fc1.bias"] = torch.zeros(41)


def _extra(state: Expected) -> None:
    state["dense2.bias"] = torch.zeros(150)


def _flat(state: Expected) -> None:
    state["first_conv.conv.weight"] = torch.zeros(64)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_without, "has a tensor stage_list.0.block_list.0.conv2.conv.weight of shape (64, 16, 16), which is missing"),
        (_longer, "stage_list.1.block_list.1.se_fc1.bias must be of shape (40) in ECGFounder of 12 leads and 3 labels"),
        (_extra, "ECGFounder of 12 leads and 3 labels has no tensor dense2.bias (shape (150))"),
        (_flat, "it must hold first_conv.conv.weight (ECGFounder) or encoder.feature_extractor"),
    ],
)
def test_a_file_that_does_not_fit_is_named_with_its_first_wrong_tensor(
    spoil: Callable[[Expected], None], said: str, tmp_path: Path
) -> None:
    state = _state(ECGFounder)
    spoil(state)
    torch.save({"state_dict": state}, tmp_path / "spoilt.pth")
    with pytest.raises(ValueError) as error:
        load(tmp_path / "spoilt.pth")
    assert str(error.value).startswith(f"{tmp_path / 'spoilt.pth'}: ")
    assert said in str(error.value)


def test_a_file_with_objects_is_not_run_and_the_error_says_how_to_save_its_tensors(tmp_path: Path) -> None:
    path = tmp_path / "finetuned.pt"
    torch.save({"args": argparse.Namespace(task="ecg"), "model": {"proj.bias": torch.zeros(3)}}, path)
    with pytest.raises(ValueError, match=r"argparse\.Namespace") as error:
        checkpoint.read(path)
    command = str(error.value).split('python -c "')[1].rstrip('"')
    exec(command.replace("'finetuned", f"'{tmp_path}/finetuned"), {})
    assert list(checkpoint.read(tmp_path / "finetuned-state.pt")) == ["proj.bias"]


class _Runs:
    """Unpickled without care, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.zeros(1)}, "cfg": _Runs(tmp_path / "ran")}, tmp_path / "evil.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(_Runs(tmp_path / "ran")))
    for name in ("evil.pt", "plain.pt"):
        with pytest.raises(ValueError, match=name):
            checkpoint.read(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"weights", b"PK\x03\x04" + bytes(60), b"\x20" + bytes(7) + b"{" + bytes(40)])
def test_a_damaged_file_is_one_error_that_names_it(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "damaged.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged\.pt: "):
        load(tmp_path / "damaged.pt")


def test_a_file_without_tensors_says_what_it_holds(tmp_path: Path) -> None:
    torch.save({"history": [1, 2], "model": {"depth": 3}}, tmp_path / "other.pt")
    with pytest.raises(ValueError, match="it holds history, model"):
        load(tmp_path / "other.pt")


@pytest.mark.usefixtures("small")
def test_labels_and_leads_must_be_as_many_as_the_network_has(tmp_path: Path) -> None:
    torch.save(_state(ECGFounder), tmp_path / "w.pth")
    (tmp_path / "tasks.txt").write_text("one\ntwo\n")
    with pytest.raises(ValueError, match=r"tasks\.txt: .*: 3 of them, all different, got 2"):
        load(tmp_path / "w.pth", labels=tmp_path / "tasks.txt")
    with pytest.raises(ValueError, match="leads must be 12, as first_conv"):
        load(tmp_path / "w.pth", leads=("I", "II"))
    torch.save(_state(ECGFounder, leads=2), tmp_path / "two.pth")
    with pytest.raises(ValueError, match="takes 2 leads: name them"):
        load(tmp_path / "two.pth")
    assert load(tmp_path / "two.pth", leads=("mlii", "c1")).leads == ("MLII", "V1")


def test_the_founders_order_has_every_lead_and_avf_before_avl() -> None:
    assert sorted(ORDER_FOUNDER) == sorted(STANDARD)
    assert ORDER_FOUNDER.index("aVF") == ORDER_FOUNDER.index("aVL") - 1
    assert [kind.leads[12] for kind in backbone.KINDS] == [ORDER_FOUNDER, STANDARD]
