"""Windows of the training records that are like this one: centres of a network's features, by class.

A prototype is a mean of feature vectors (k-means within a class): no strip is kept, and none can be got back.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2

from ecg import weights_file
from ecg.lead import STANDARD
from ecg.window import CHUNKS
from model import monitors, weights
from model.commit import commit
from model.dataset import Records
from model.frontend import Chunks
from model.labels import RHYTHMS
from model.net import ANY_LEAD

A_CLASS = 5
"""Prototypes of a class; fewer where it has fewer windows."""
ROUNDS = 30


class Near(NamedTuple):
    """A prototype near a window: its class, how many windows it stands for, and how far it is."""

    label: str
    windows: int
    distance: float


class Prototypes(NamedTuple):
    """Centres of a network's features.

    Attributes
    ----------
    centre : ndarray of float32, shape (n, n_features)
        In units of `spread`.
    spread : ndarray of float32, shape (n_features,)
        Standard deviation of each feature over the windows.
    windows : ndarray of int64, shape (n,)
        How many each stands for.
    labels : tuple of str
        Class of each.
    net_sha256 : str
        Hash of the weights whose features these are.
    """

    centre: NDArray[np.float32]
    spread: NDArray[np.float32]
    windows: NDArray[np.int64]
    labels: tuple[str, ...]
    net_sha256: str

    def nearest(self, features: NDArray[np.float32], count: int = 3) -> list[Near]:
        """Return the prototypes nearest to the features of a window, nearest first."""
        apart = np.sqrt(np.square(features / self.spread - self.centre).mean(axis=1))
        order = np.argsort(apart, kind="stable")[:count]
        return [Near(self.labels[k], int(self.windows[k]), round(float(apart[k]), 3)) for k in order]


def fit(features: NDArray[np.float32], labels: NDArray[np.str_], net_sha256: str, seed: int = 1) -> Prototypes:
    """Find the prototypes of each class.

    Parameters
    ----------
    features : ndarray of float32, shape (n, n_features)
    labels : ndarray of str, shape (n,)
        Class of each window.
    """
    spread = features.std(axis=0)
    spread[spread == 0] = 1.0
    scaled, centres, sizes, names = features / spread, [], [], []
    for name in np.unique(labels):
        mine = scaled[labels == name].astype(np.float64)
        count = min(A_CLASS, len(np.unique(mine, axis=0)))
        centre, belongs = kmeans2(mine, count, iter=ROUNDS, minit="++", rng=np.random.default_rng(seed))
        size = np.bincount(belongs, minlength=count)
        order = [k for k in np.argsort(-size, kind="stable") if size[k]]
        centres.append(centre[order])
        sizes.append(size[order])
        names += [str(name)] * len(order)
    kept = np.concatenate(centres).astype(np.float32)
    return Prototypes(kept, spread.astype(np.float32), np.concatenate(sizes).astype(np.int64), tuple(names), net_sha256)


def save(path: Path, found: Prototypes, made: dict[str, object]) -> None:
    """Write prototypes, with what says how they were made."""
    tensors = {"centre": found.centre, "spread": found.spread, "windows": found.windows}
    said = made | {"labels": found.labels, "net_sha256": found.net_sha256}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(weights_file.pack(tensors, said))


def shipped() -> Path:
    """Return where the prototypes of the weights that come with Vigil lie."""
    return weights.shipped().with_name("prototypes.safetensors")


def load(path: Path | str, net_sha256: str) -> Prototypes:
    """Load prototypes of a network; raises ValueError where they are none, or another network's."""
    kept = Path(path).read_bytes()
    made = weights_file.made(kept)
    try:
        found = Prototypes(**safetensors.numpy.load(kept), labels=tuple(made["labels"]), net_sha256=made["net_sha256"])
    except (KeyError, TypeError, safetensors.SafetensorError) as error:
        raise ValueError(f"{path}: no prototypes of `vigil train prototypes`: {error}") from error
    if found.net_sha256 != net_sha256:
        raise ValueError(f"{path}: prototypes of weights {found.net_sha256[:10]}, and the network is {net_sha256[:10]}")
    return found


def train(data: Path, out: Path, seed: int = 1, cache: Path | None = None) -> Prototypes:
    """Find the prototypes of the shipped network in the records that it was trained on, and write them.

    Windows whose annotation allows one rhythm alone count. `data` and `cache` are as of `model.monitors.cached`; raises
    ValueError without records.
    """
    network = weights.load(weights.shipped())
    windows = monitors.cached(data, cache)
    if windows is None:
        raise ValueError(f"data must hold mitdb, vfdb, cudb or cinc2017, got {data}")
    rows = np.flatnonzero((windows.rhythm.sum(axis=1) == 1) & monitors.counted(windows))
    features = np.concatenate([_features(network, windows, row) for row in rows])
    labels = np.array(RHYTHMS)[windows.rhythm[rows].argmax(axis=1)]
    found = fit(features, labels, network.sha256, seed)
    patients = sorted({str(patient) for patient in windows.patient[rows]})
    made = {"command": f"vigil train prototypes --data DIR --out FILE --seed {seed}", "seed": seed}
    save(out, found, made | {"commit": commit(), "records": patients})
    return found


def _features(network: weights.Network, windows: Records, row: np.intp) -> NDArray[np.float32]:
    """Return the features of one window, (1, 128), from the leads that it has."""
    held = windows.leads.mask[row].any(axis=(1, 2))
    parts = Chunks(*(part[row][held].swapaxes(0, 1).reshape(-1, *part.shape[3:]) for part in windows.leads))
    names = [STANDARD[place] if place < ANY_LEAD else "ECG" for place in windows.lead[row][held]]
    return network.features(weights.windows_of(network.encoded(parts, [names] * CHUNKS)), [names])
