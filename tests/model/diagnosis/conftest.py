"""Two kinds of hearts that any network can tell apart, as rows of the z-scored set."""

import csv
from pathlib import Path

import numpy as np
import pytest

from model.diagnosis import dataset
from model.diagnosis.labels import SUPERCLASSES

N = 16


def write_rows(folder: Path, n: int = N) -> None:
    """Write rows of which every other has wide complexes and is called CD, the rest being called normal."""
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


@pytest.fixture(scope="session")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets")
    write_rows(folder)
    return folder


@pytest.fixture(scope="session")
def generated(rows: Path) -> dataset.Records:
    return dataset.read_sets(rows)
