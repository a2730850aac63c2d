"""Published files: which tensors one holds, and whether they are those of a network.

A torch pickle is read by `torch.load(weights_only=True)` alone, which runs nothing that lies in the file.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

INSIDE = ("state_dict", "model")
"""Under which names a dictionary may hold the tensors: ECGFounder's, fairseq's."""
WEIGHT_NORM = (
    ("weight_g", "parametrizations.weight.original0"),
    ("weight_v", "parametrizations.weight.original1"),
)
"""How older torch named the two parts of a weight normalisation, and how newer does."""
PRETRAINING = ("mask_emb", "quantizer.", "input_quantizer.", "project_q.", "project_inp.", "target_glu.", "final_proj.")
"""What ECG-FM's files may hold for pretraining alone; it is left out."""
ENCODER = "encoder."
_PLAIN = "feature_extractor.conv_layers.0.0.weight"


def read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by the names that the networks of this package have.

    Parameters
    ----------
    path : Path
        safetensors, or a torch pickle: the tensors themselves, or a dictionary with them under `state_dict` or `model`.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is neither, is damaged, or holds more than tensors and plain values.
    """
    with path.open("rb") as file:
        start = file.read(9)
    tensors = _safetensors(path) if start[8:9] == b"{" else _pickled(path)
    return _renamed(tensors)


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path}: no whole safetensors file: {error}") from error


def _pickled(path: Path) -> dict[str, Tensor]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols, before the error that says the same
            kept = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path}: {_refused(path, str(error))}") from error
    except (RuntimeError, EOFError, ValueError) as error:
        raise ValueError(f"{path}: neither safetensors nor a whole torch file: {_line(str(error))}") from error
    inside: Any = kept
    for name in INSIDE:
        if isinstance(kept, Mapping) and isinstance(kept.get(name), Mapping):
            inside = kept[name]
    if not isinstance(inside, Mapping) or not all(isinstance(value, Tensor) for value in inside.values()):
        held = ", ".join(map(str, kept)) if isinstance(kept, Mapping) else type(kept).__name__
        raise ValueError(f"{path}: tensors must lie in it, or under {' or '.join(INSIDE)}; it holds {held}")
    return dict(inside)


def _refused(path: Path, said: str) -> str:
    """Say that a file holds objects, and how to save what is wanted of it."""
    alone = path.with_name(f"{path.stem}-state.pt").name
    return (
        f"no torch file of tensors and plain values alone, and nothing else is loaded ({_line(said)}). "
        "If you trust the file and it is whole, save its tensors where the packages are that wrote it, and name that "
        f"file instead: python -c \"import torch; kept = torch.load('{path.name}', map_location='cpu', "
        f"weights_only=False); torch.save({{'model': kept.get('model', kept.get('state_dict'))}}, '{alone}')\""
    )


def _line(said: str) -> str:
    """Return what torch says is wrong, without its advice."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    named = [line for line in lines if "GLOBAL" in line]
    return (named or lines or ["no reason given"])[0][:200]


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take pretraining's own tensors out, newer names for older, and the prefix that a pretraining file lacks."""
    before = ENCODER if _PLAIN in tensors else ""
    out = {}
    for name, tensor in tensors.items():
        inner = name.removeprefix(ENCODER) if not before else name
        if inner.startswith(PRETRAINING):
            continue
        for old, new in WEIGHT_NORM:
            if name.endswith(f"pos_conv.0.{old}"):
                name = name.removesuffix(old) + new
        out[before + name] = tensor
    return out


def check(path: Path, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor], what: str) -> None:
    """Raise ValueError, which names the first tensor that is missing, misshapen or not the network's."""
    for name, wanted in expected.items():
        if name not in tensors:
            raise ValueError(f"{path}: {what} has a tensor {name} of shape {_shape(wanted)}, which is missing")
        if tensors[name].shape != wanted.shape:
            found = _shape(tensors[name])
            raise ValueError(f"{path}: {name} must be of shape {_shape(wanted)} in {what}, got {found}")
    for name, tensor in tensors.items():
        if name not in expected:
            raise ValueError(f"{path}: {what} has no tensor {name} (shape {_shape(tensor)})")


def _shape(tensor: Tensor) -> str:
    return f"({', '.join(map(str, tensor.shape))})"
