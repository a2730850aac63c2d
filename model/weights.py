"""Weights files, and the classifier that answers from them: the same bits whatever the batch.

A file is safetensors; its metadata says how it was made. Its name in the log is the sha256 of its bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from scipy.signal import resample_poly
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from model.labels import CLASSES
from model.net import RATE_HZ, SLOTS, WINDOW, Block, RhythmNet, prepare

FORMAT = "vigil-rhythm-1"
BATCH = 16
"""Windows that are run together; fewer are padded with empty ones to this number."""
DECIMALS = 4
"""Probabilities are rounded to this, so that nothing is compared with a threshold by its last bits."""
PREFERRED: tuple[str, ...] = ("II", "MLII", "V1", "MCL1", "V5", "MCL5", "I", "V2", "III")
"""Leads of a bed with more than two, best first."""
_WITH_TWO_DIMENSIONS, _WITH_THREE_DIMENSIONS = 2, 3


class Classifier:
    """A trained network, ready to answer; made by `load` or `load_bytes`.

    Attributes
    ----------
    sha256 : str
        Hash of the file's bytes.
    metadata : dict
        What the file says of itself: command, commit, seed, split, records, preprocessing, figures, versions.
    classes : tuple of str
        Names in the order of the probabilities.
    parameters : int
        Number of trained parameters.
    """

    def __init__(self, tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, Any], sha256: str) -> None:
        self.sha256, self.metadata = sha256, dict(metadata)
        self.classes: tuple[str, ...] = tuple(self.metadata["classes"])
        self._temperature = np.float32(self.metadata["temperature"])
        self._bias = np.asarray(self.metadata["bias"], np.float32)
        net = RhythmNet(len(self.classes))
        net.load_state_dict(dict(tensors))
        self.parameters = sum(p.numel() for p in net.parameters())
        self._net = _folded(net.eval())

    def predict(self, signal_mv: NDArray[np.floating], rate_hz: float, leads: Sequence[str]) -> NDArray[np.float32]:
        """Answer for windows of any number of leads; of more than two, `choose_leads` takes two.

        Parameters
        ----------
        signal_mv : ndarray, shape (n_leads, n_samples) or (n_windows, n_leads, n_samples)
            Clean signal of at most 10 s, NaN where a sample is missing; a shorter one counts as missing at its start.
        rate_hz : float
            Its rate; other than 250 Hz it is resampled first.
        leads : sequence of str
            Name of each lead.

        Returns
        -------
        ndarray of float32, shape (n_windows, n_classes)
            Calibrated probabilities, in the order of `classes`.

        Raises
        ------
        ValueError
            The signal has another number of leads than names, or is longer than 10 s.
        """
        if rate_hz <= 0:
            raise ValueError(f"rate_hz must be positive, got {rate_hz}")
        x = np.asarray(signal_mv, np.float32)
        x = x[None] if x.ndim == _WITH_TWO_DIMENSIONS else x
        if x.ndim != _WITH_THREE_DIMENSIONS or x.shape[1] != len(leads):
            raise ValueError(f"signal_mv must have {len(leads)} leads (windows, leads, samples), got {x.shape}")
        return self.predict_windows(placed(x[:, list(choose_leads(leads))], rate_hz))

    def predict_windows(self, x_mv: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answer for windows of two slots at 250 Hz, as the pipeline has them.

        Parameters
        ----------
        x_mv : ndarray of float32, shape (n, 2, 2500)
            NaN where a sample or a whole lead is missing.

        Returns
        -------
        ndarray of float32, shape (n, n_classes)
        """
        return self._in_batches(x_mv, lambda part: self._calibrated(self._run(self._net, part)))

    def logits(self, x_mv: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answer for windows as `predict_windows` does, before calibration: shape (n, n_classes)."""
        return self._in_batches(x_mv, partial(self._run, self._net))

    def features(self, x_mv: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the last layer answers from, for windows as of `predict_windows`: shape (n, 64)."""
        return self._in_batches(x_mv, partial(self._run, self._net.features))

    def classify(self, windows: Sequence[tuple[NDArray[np.float32], Sequence[str]]]) -> list[dict[str, float]]:
        """Answer for windows of many beds, each (n_leads, 2500) at 250 Hz with its lead names, by name of the class."""
        x_mv = np.full((len(windows), SLOTS, WINDOW), np.nan, np.float32)
        for into, (signal_mv, leads) in zip(x_mv, windows, strict=True):
            chosen = choose_leads(leads)
            into[: len(chosen)] = signal_mv[list(chosen)]
        rows = self.predict_windows(x_mv)
        return [{name: round(float(p), DECIMALS) for name, p in zip(self.classes, row, strict=True)} for row in rows]

    def _in_batches(
        self, x_mv: NDArray[np.float32], run: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        if x_mv.ndim != _WITH_THREE_DIMENSIONS or x_mv.shape[1:] != (SLOTS, WINDOW):
            raise ValueError(f"x_mv must be (n, {SLOTS}, {WINDOW}), got {x_mv.shape}")
        out = []
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            for first in range(0, max(len(x_mv), 1), BATCH):
                part = x_mv[first : first + BATCH]
                out.append(run(part)[: len(part)])
        finally:
            torch.set_num_threads(threads)
        return np.concatenate(out)

    def _run(self, module: Callable[..., torch.Tensor], x_mv: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run up to `BATCH` windows through a network or a part of it; what it gives has `BATCH` rows."""
        padded = np.full((BATCH, SLOTS, WINDOW), np.nan, np.float32)
        padded[: len(x_mv)] = x_mv
        scaled, mask, log_scale = (torch.from_numpy(a) for a in prepare(padded.reshape(-1, WINDOW)))
        shape = (BATCH, SLOTS)
        with torch.inference_mode():
            return module(scaled.reshape(*shape, -1), mask.reshape(*shape, -1), log_scale.reshape(shape)).numpy()

    def _calibrated(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        scaled = logits / self._temperature + self._bias
        power = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.round(power / power.sum(axis=1, keepdims=True), DECIMALS)


def choose_leads(names: Sequence[str]) -> tuple[int, ...]:
    """Return the two leads of a bed that the network sees: by `PREFERRED`, else the first ones."""
    upper = [name.upper().removeprefix("MDC_ECG_LEAD_") for name in names]
    known = sorted((PREFERRED.index(name), row) for row, name in enumerate(upper) if name in PREFERRED)
    order = [row for _, row in known] + [row for row, name in enumerate(upper) if name not in PREFERRED]
    return tuple(sorted(order[:SLOTS]))


def load(path: Path | str) -> Classifier:
    """Load a file of weights.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        The file is not one of this network's.
    """
    return load_bytes(Path(path).read_bytes())


def load_bytes(data: bytes) -> Classifier:
    """Load weights from the bytes of a file; raises ValueError where they are not this network's."""
    try:
        length = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + length])["__metadata__"]
        tensors = safetensors.torch.load(data)
        if header["format"] != FORMAT:
            raise ValueError(f"format must be {FORMAT}, got {header['format']!r}")
        metadata = {name: json.loads(value) for name, value in header.items() if name != "format"}
        return Classifier(tensors, metadata, hashlib.sha256(data).hexdigest())
    except (KeyError, TypeError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        raise ValueError(f"weights must be a {FORMAT} safetensors file: {error}") from error


def shipped() -> Path:
    """Return the path of the weights that come with Vigil."""
    return Path(str(files("model"))) / "weights" / "rhythm.safetensors"


def save(
    path: Path, net: RhythmNet, temperature: float, bias: Sequence[float], provenance: Mapping[str, object]
) -> None:
    """Write weights with their calibration and all that says how they were made."""
    metadata = {"classes": CLASSES, "temperature": temperature, "bias": list(bias)} | dict(provenance)
    header = {"format": FORMAT} | {name: json.dumps(value, sort_keys=True) for name, value in sorted(metadata.items())}
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in net.state_dict().items()}
    path.write_bytes(_in_order(safetensors.torch.save(tensors, header)))


def _in_order(data: bytes) -> bytes:
    """Return a safetensors file with its header in order, so that the same weights are the same bytes."""
    length = int.from_bytes(data[:8], "little")
    header = json.dumps(json.loads(data[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def placed(x: NDArray[np.float32], rate_hz: float) -> NDArray[np.float32]:
    """Bring chosen leads to 250 Hz and into two slots of 2500 samples that end where the signal ends."""
    if rate_hz != RATE_HZ:
        x = _resampled(x, rate_hz)
    if x.shape[2] > WINDOW:
        raise ValueError(f"signal_mv must be at most {WINDOW / RATE_HZ:g} s, got {x.shape[2] / RATE_HZ:g} s")
    out = np.full((x.shape[0], SLOTS, WINDOW), np.nan, np.float32)
    out[:, : x.shape[1], WINDOW - x.shape[2] :] = x
    return out


def _resampled(x: NDArray[np.float32], rate_hz: float) -> NDArray[np.float32]:
    ratio = Fraction(RATE_HZ) / Fraction(rate_hz).limit_denominator(1000)
    missing = np.isnan(x)
    y = resample_poly(np.where(missing, np.float32(0), x), ratio.numerator, ratio.denominator, axis=2)
    nearest = np.minimum((np.arange(y.shape[2]) / float(ratio) + 0.5).astype(np.int64), x.shape[2] - 1)
    return np.where(missing[..., nearest], np.float32(np.nan), y.astype(np.float32))


def _folded(net: RhythmNet) -> RhythmNet:
    """Fold each normalisation into its convolution: the same answer with less work."""
    for block in net.modules():
        if isinstance(block, Block) and isinstance(block.norm, nn.BatchNorm1d):
            block.conv = fuse_conv_bn_eval(block.conv, block.norm)
            block.norm = nn.Identity()
    return net
