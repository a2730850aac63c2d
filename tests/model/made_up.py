"""What any network must hold for: one with random weights, and hearts that any network can tell apart."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ecg import record, weights_file
from ecg.window import SPAN
from model import weights
from model.labels import RHYTHMS, SUPERCLASSES
from model.measured import DESCRIBED, SHARE
from model.net import LEADS, Net
from model.score import OUTPUTS
from model.train import LEAD_SETS

STRIPS, STRIP_S, STRIP_HZ = 12, 21, 300


def random_weights(seed: int = 0) -> bytes:
    """Return a file of weights that have learned nothing and leave nothing out: any part of the answer depends on all.

    Its calibration changes nothing.
    """
    torch.manual_seed(seed)
    net = Net()
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            for held in (part.running_mean, part.bias):
                nn.init.normal_(held, std=0.2)
            for held in (part.running_var, part.weight):
                nn.init.uniform_(held, 0.5, 1.5)
    with torch.no_grad():
        for name in ("lead_gain.weight", "lead_shift.weight", "graph.edge", "heads.weight"):
            held = net.get_parameter(name)
            held += 0.4 * torch.randn_like(held)
        trees = net.trees
        trees.feature.copy_(torch.randint(LEADS * DESCRIBED, trees.feature.shape))
        trees.cut.normal_(std=0.3)
        trees.leaf.normal_(std=0.1)
        trees.share.fill_(SHARE)
    made = {
        "format": weights.FORMAT,
        "calibration": {of: [[1.0, 0.0]] * len(OUTPUTS) for of in LEAD_SETS},
        "rhythm_calibration": [1.0, [0.0] * len(RHYTHMS)],
    }
    return weights_file.pack({name: held.numpy() for name, held in net.state_dict().items()}, made)


def spans(n: int, leads: int, seed: int = 0) -> np.ndarray:
    """Return windows with their halo, (n, leads, 2700) in mV: no two alike, some leads missing, a gap in the first."""
    rng, t = np.random.default_rng(seed), np.arange(SPAN) / 250
    rate, size = rng.uniform(0.5, 8, (n, leads, 1)), rng.uniform(0.2, 2, (n, leads, 1))
    x = size * np.sin(2 * np.pi * rate * t + rng.uniform(0, 6, (n, leads, 1))) ** 3
    x += 0.05 * rng.normal(size=x.shape)
    x[rng.random((n, leads)) < 0.1] = np.nan
    x[0, :, 700:1400] = np.nan
    return x.astype(np.float32)


def write_rows(folder: Path, n: int = 16) -> None:
    """Write `ptbxl_zscored`, in which every other row has wide complexes and is called CD, the rest normal."""
    rng, t = np.random.default_rng(4), np.arange(1000) / 100
    wide = np.arange(n) % 2 == 1
    phase = ((t + rng.random((n, 1))) % 1)[:, None] - 0.5  # (n, 1, 1000)
    beat = np.exp(-0.5 * (phase / np.where(wide, 0.06, 0.02)[:, None, None]) ** 2)
    x = beat * rng.uniform(0.5, 1.5, (n, 12, 1)) + 0.02 * rng.normal(size=(n, 12, 1000))
    z = (x - x.mean(2, keepdims=True)) / x.std(2, keepdims=True)
    (folder / "ptbxl_zscored").mkdir(parents=True)
    np.savez(folder / "ptbxl_zscored" / "signals.npz", z10=np.clip(z * 10, -127, 127).astype(np.int8))
    with (folder / "ptbxl_zscored" / "labels.csv").open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["ecg_id", "split", *SUPERCLASSES, "scp_codes"])
        for k in range(n):
            codes = "" if k % 3 else ("CLBBB|SR" if wide[k] else "NORM|SR")
            writer.writerow(
                [1000 + k, "fold1-8", *(int(name == ("CD" if wide[k] else "NORM")) for name in SUPERCLASSES), codes]
            )


def write_strips(folder: Path) -> None:
    """Write `cinc2017`: in turn a regular heart, a fast irregular one, and noise, two windows each."""
    (folder / "cinc2017").mkdir(parents=True)
    rng, t = np.random.default_rng(8), np.arange(STRIP_S * STRIP_HZ) / STRIP_HZ
    said = []
    for k in range(STRIPS):
        name, kind = f"A{k:05}", "NA~"[k % 3]
        rr = rng.uniform(0.35, 0.8, 80) if kind == "A" else np.full(80, rng.uniform(0.8, 1.0))
        beats = np.exp(-0.5 * ((t[:, None] - np.cumsum(rr)) / 0.02) ** 2).sum(axis=1)
        x = rng.normal(size=len(t)) if kind == "~" else beats + 0.02 * rng.normal(size=len(t))
        record.write_signals(folder / "cinc2017" / name, ["ECG"], x[None].astype(np.float32), STRIP_HZ)
        said.append(f"{name},{kind}\n")
    (folder / "cinc2017" / "REFERENCE.csv").write_text("".join(said))
