"""Weights of the diagnosis network in a file, and the answers that come of them.

Safetensors whose metadata says how they were made (`ecg.weights_file`), with the calibration of each set of leads.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
import torch
from numpy.typing import NDArray

from ecg import weights_file
from ecg.lead import STANDARD, canonical
from model.diagnosis.crossval import NET, THREADS, Asked, out_of_fold
from model.diagnosis.dataset import Records
from model.diagnosis.frontend import chunks, clean, last_span
from model.diagnosis.net import LEADS, Answer, DiagnosisNet, Leads
from model.diagnosis.score import OUTPUTS, calibrate, calibrated
from model.diagnosis.train import LEAD_SETS, Show, fit, person, truths
from model.train import commit

FORMAT = "vigil-diagnosis-1"
DECIMALS = 4
"""Probabilities are rounded to this, so that nothing is compared with a threshold by its last bits."""
FEW = 6
"""With this many leads and more an answer is calibrated as one of twelve leads is; with fewer as one of two, or one."""


class Diagnosis:
    """A trained network, ready to answer; made by `load`.

    Attributes
    ----------
    sha256 : str
        Hash of the file's bytes.
    made : dict
        How it was made: command, commit, seed, split, records, versions, calibration.
    net : DiagnosisNet
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]], made: Mapping[str, Any], sha256: str) -> None:
        self.sha256, self.made = sha256, dict(made)
        self.calibration = {of: np.array(fitted) for of, fitted in self.made["calibration"].items()}
        self.net = DiagnosisNet()
        self.net.load_state_dict({name: torch.from_numpy(np.array(held)) for name, held in tensors.items()})
        self.net.eval()

    def predict(
        self,
        signal_mv: NDArray[np.floating],
        rate_hz: float,
        leads: Sequence[str],
        age: float = float("nan"),
        sex: float = float("nan"),
    ) -> dict[str, float]:
        """Answer for the last 10.8 s of a recording, by name of the output.

        Parameters
        ----------
        signal_mv : ndarray, shape (leads, samples)
            In mV as it was recorded, NaN where missing, of 3 s and more.
        rate_hz : float
        leads : sequence of str
            Name of each, in any order and spelling; one that the network does not know is any other lead.
        age, sex : float
            Years; 0 male, 1 female; NaN where unknown.

        Raises
        ------
        ValueError
            The signal has another number of leads than names, or none.
        """
        x = np.asarray(signal_mv, np.float32)
        if x.ndim != 2 or not len(leads) or len(x) != len(leads):
            raise ValueError(f"signal_mv must be (leads, samples) with {len(leads)} leads, at least 1, got {x.shape}")
        parts = chunks(last_span(clean(x, rate_hz)))
        wave, morlet, level, mask = (torch.from_numpy(part.astype(np.float32))[None] for part in parts)
        usual = [canonical(name) for name in leads]
        place = torch.tensor([[STANDARD.index(name) if name in STANDARD else LEADS - 1 for name in usual]])
        told = person(np.array([age], np.float32), np.array([sex], np.float32))
        with torch.inference_mode():
            said: Answer = self.net(Leads(wave, morlet, level, mask, place, torch.ones(1), told))
        logits = torch.cat([said.normal[:, None], said.condition, said.superclass], 1).numpy()
        found = calibrated(logits, self.calibration[_nearest(usual)])[0]
        return {name: round(float(p), DECIMALS) for name, p in zip(OUTPUTS, found, strict=True)}


def _nearest(leads: Sequence[str]) -> str:
    """Return the set of leads whose calibration an answer takes."""
    if len(leads) == 1:
        return "i" if leads[0] == "I" else "ii"
    return "12" if len(leads) >= FEW else "ii_v1"


def make(copies: Sequence[Records], asked: Asked, command: str, show: Show) -> bytes:
    """Train on all records, calibrate on answers out of fold, and return a file of weights."""
    logits, _ = out_of_fold(copies, asked, [NET], show)
    truth = truths(copies[0])
    every = np.arange(len(truth))
    net = fit(copies, every, asked.seed, epochs=asked.epochs, show=lambda line: show(f"all: {line}"))
    made = {
        "format": FORMAT,
        "command": command,
        "commit": commit(),
        "seed": asked.seed,
        "epochs": asked.epochs,
        "threads": THREADS,
        "split": f"{asked.folds} folds by patient for the figures and the calibration; the weights are trained on all",
        "records": copies[0].name.tolist(),
        "calibration": {of: calibrate(logits[NET][of], truth).tolist() for of in LEAD_SETS},
        "versions": {name: version(name) for name in ("numpy", "scipy", "torch", "numba", "safetensors")}
        | {"python": platform.python_version()},
    }
    return weights_file.pack({name: held.numpy() for name, held in net.state_dict().items()}, made)


def load(path: Path) -> Diagnosis:
    """Load a file of weights.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is not one of this network's.
    """
    kept = path.read_bytes()
    made = weights_file.made(kept)
    if made.get("format") != FORMAT:
        raise ValueError(f"weights must be a {FORMAT} file, got {made.get('format')!r}")
    try:
        return Diagnosis(safetensors.numpy.load(kept), made, hashlib.sha256(kept).hexdigest())
    except (KeyError, RuntimeError, safetensors.SafetensorError) as error:
        raise ValueError(f"weights must be a {FORMAT} file: {error}") from error


def shipped() -> Path:
    """Return where the weights that come with Vigil lie."""
    return Path(str(files("model"))) / "weights" / "diagnosis.safetensors"
