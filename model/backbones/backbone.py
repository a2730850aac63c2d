"""A published network, ready to look at records: features for a head of one's own, probabilities by its labels."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ecg.lead import STANDARD, canonical
from model.backbones import checkpoint, prepare
from model.backbones.ecgfm import ECGFM
from model.backbones.ecgfounder import ECGFounder

Network = ECGFounder | ECGFM
Prepare = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Kind(NamedTuple):
    """What is known of a published network.

    Attributes
    ----------
    name : str
    network : type
    window : int
        Samples at 500 Hz.
    leads : dict of int to tuple of str
        By how many leads the file's first convolution takes: which, in which order.
    prepare : callable
        From a window in mV to what the network takes.
    first, head : str
        Names of the first convolution's weight, and of the head.
    """

    name: str
    network: type[Network]
    window: int
    leads: Mapping[int, tuple[str, ...]]
    prepare: Prepare
    first: str
    head: str


ORDER_FOUNDER = ("I", "II", "III", "aVR", "aVF", "aVL", *STANDARD[6:])
"""Leads as in ECGFounder's own data class, with aVF before aVL; the order of pretraining is stated nowhere else."""
KINDS = (
    Kind(
        "ECGFounder",
        ECGFounder,
        10 * prepare.RATE_HZ,
        {12: ORDER_FOUNDER, 1: ("I",)},
        prepare.founder,
        "first_conv.conv.weight",
        "dense",
    ),
    Kind(
        "ECG-FM",
        ECGFM,
        5 * prepare.RATE_HZ,
        {12: STANDARD},
        prepare.fm,
        "encoder.feature_extractor.conv_layers.0.0.weight",
        "proj",
    ),
)


class Backbone:
    """A published network with the weights of a file; made by `load`.

    Attributes
    ----------
    path : Path
    kind : Kind
    leads : tuple of str
        Which leads it takes, in which order.
    labels : tuple of str
        Names of its own answers; empty where the file has no head, or no labels were found.
    """

    def __init__(
        self, path: Path, kind: Kind, network: Network, leads: tuple[str, ...], labels: tuple[str, ...]
    ) -> None:
        self.path, self.kind, self.leads, self.labels = path, kind, leads, labels
        self.network = network

    @functools.cached_property
    def sha256(self) -> str:
        """Hash of the file's bytes."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def windows(self, signal_mv: NDArray[np.floating], rate_hz: float, names: Sequence[str]) -> NDArray[np.float32]:
        """Return what the network sees of a record, shape (n, leads, samples); errors as of `features`."""
        arranged = prepare.arranged(np.asarray(signal_mv), names, self.leads)
        cut = prepare.windows(arranged, rate_hz, self.kind.window)
        out = np.zeros((len(cut), len(self.leads), self.kind.window), np.float32)
        for into, window in zip(out, cut, strict=True):
            into[:, : window.shape[1]] = self.kind.prepare(window)
        return out

    def features(self, signal_mv: NDArray[np.floating], rate_hz: float, names: Sequence[str]) -> NDArray[np.float32]:
        """Return what the network makes of a record, before its head.

        Parameters
        ----------
        signal_mv : ndarray, shape (n_leads, n_samples)
            NaN where a sample is missing.
        rate_hz : float
        names : sequence of str
            Of the leads; those that the network does not take are left out.

        Returns
        -------
        ndarray of float32, shape (n_features,)
            Mean over the record's windows.

        Raises
        ------
        ValueError
            A lead that the network takes is lacking, there is not a name for each lead, the rate is not positive, or
            the record is shorter than 1 s.
        """
        with torch.inference_mode():
            return self._encoded(signal_mv, rate_hz, names).mean(0).numpy()

    def probabilities(self, signal_mv: NDArray[np.floating], rate_hz: float, names: Sequence[str]) -> dict[str, float]:
        """Return the network's own answer for a record, by label, each for itself: mean over the record's windows.

        Parameters as of `features`; raises ValueError as it does, and where the network has no labels.
        """
        if not self.labels:
            raise ValueError(f"{self.path}: no labels for its answers: {_wanted_labels(self.path)}")
        with torch.inference_mode():
            logits = self.network.answer(self._encoded(signal_mv, rate_hz, names))
            found = torch.sigmoid(logits.double()).mean(0).tolist()
        return dict(zip(self.labels, found, strict=True))

    def _encoded(self, signal_mv: NDArray[np.floating], rate_hz: float, names: Sequence[str]) -> Tensor:
        seen = torch.from_numpy(self.windows(signal_mv, rate_hz, names))
        return torch.cat([self.network.encode(window[None]) for window in seen])


def load(path: Path | str, *, labels: Path | str | None = None, leads: Sequence[str] | None = None) -> Backbone:
    """Load a published file, or one like it.

    Parameters
    ----------
    path : path
        safetensors, or a torch pickle without objects.
    labels : path, optional
        Text with a label on each line, in the order of the network's answers; unless given, the file beside the
        weights with `.txt` for their extension, if it is there.
    leads : sequence of str, optional
        Which leads, in which order; unless given, the order of `KINDS`.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file does not fit (its name, the first tensor that does not and what was expected are in the message), the
        labels or the leads are not as many as the network has.
    """
    path = Path(path)
    tensors = checkpoint.read(path)
    kind = _kind(path, tensors)
    chosen = _leads(path, kind, tensors[kind.first], leads)
    found, answers = _network(path, kind, tensors, len(chosen))
    return Backbone(path, kind, found, chosen, _labels(path, labels, answers))


def _kind(path: Path, tensors: Mapping[str, Tensor]) -> Kind:
    for kind in KINDS:
        if kind.first in tensors and tensors[kind.first].ndim == 3:
            return kind
    wanted = " or ".join(f"{kind.first} ({kind.name})" for kind in KINDS)
    held = ", ".join(sorted(tensors)[:3]) or "none"
    raise ValueError(f"{path}: no network known here: it must hold {wanted}, of three axes; its first tensors: {held}")


def _leads(path: Path, kind: Kind, first: Tensor, leads: Sequence[str] | None) -> tuple[str, ...]:
    count = first.shape[1]
    if leads is not None:
        if len(leads) != count:
            raise ValueError(f"{path}: leads must be {count}, as {kind.first} takes, got {len(leads)}")
        return tuple(canonical(lead) for lead in leads)
    if count not in kind.leads:
        raise ValueError(f"{path}: {kind.first} takes {count} leads: name them, as only {list(kind.leads)} are known")
    return kind.leads[count]


def _network(path: Path, kind: Kind, tensors: Mapping[str, Tensor], leads: int) -> tuple[Network, int]:
    """Return the network with the file's weights, and how many answers its head gives: 0 where there is none."""
    head = tensors.get(f"{kind.head}.weight")
    answers = 0 if head is None or not head.ndim else len(head)
    with torch.device("meta"):
        network = kind.network(leads, max(answers, 1))
    lacking = {} if answers else {name: t for name, t in network.state_dict().items() if name.startswith(kind.head)}
    expected = {name: tensor for name, tensor in network.state_dict().items() if name not in lacking}
    checkpoint.check(path, tensors, expected, f"{kind.name} of {leads} leads and {answers} labels")
    network.load_state_dict({name: _own(tensor) for name, tensor in tensors.items()}, strict=not lacking, assign=True)
    return network.eval().requires_grad_(requires_grad=False), answers


def _own(tensor: Tensor) -> Tensor:
    """Return a copy in memory, of single precision where it is a float: the file may change later."""
    return tensor.to(torch.float32 if tensor.is_floating_point() else tensor.dtype, copy=True).contiguous()


def _labels(path: Path, labels: Path | str | None, answers: int) -> tuple[str, ...]:
    beside = path.with_suffix(".txt")
    named = Path(labels) if labels is not None else beside if beside.is_file() else None
    if named is None or not answers:
        return ()
    found = tuple(line.strip() for line in named.read_text().splitlines() if line.strip())
    if len(found) != answers or len(set(found)) != answers:
        raise ValueError(f"{named}: {_wanted_labels(path)}: {answers} of them, all different, got {len(found)}")
    return found


def _wanted_labels(path: Path) -> str:
    return f"they lie in a text file, a label on each line ({path.with_suffix('.txt').name} beside the weights)"
