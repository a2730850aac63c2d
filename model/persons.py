"""Whether two records are of one heart: what can be known where patient ids are missing, as in `ptbxl_zscored`.

`python -m model.persons DATA` prints how alike the middle beats of records are, as the cosine of all leads
together, each without its mean and of length one: of records of one patient and of different ones, where that is
known, and of rows without ids. PTB-XL's fold 9 holds no patient of folds 1 to 8, so that pairs across show what chance
gives, and the excess of pairs within is what one patient's records may be.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecg.lead import STANDARD
from model import dataset
from model.measured import BEAT, DESCRIBED
from model.train import described

ALIKE = (0.95, 0.96, 0.97, 0.98, 0.99)


def likeness(records: dataset.Records) -> NDArray[np.float32]:
    """Return the cosine between the middle beats of records, (n, n)."""
    leads = described(records, STANDARD).reshape(len(records.name), -1, DESCRIBED)
    beat = leads[:, : len(STANDARD), : len(BEAT)]
    beat = beat - beat.mean(axis=2, keepdims=True)
    beat /= np.maximum(np.linalg.norm(beat, axis=2, keepdims=True), np.float32(1e-6))
    flat = beat.reshape(len(beat), -1) / np.float32(np.sqrt(len(STANDARD)))
    return flat @ flat.T


def shares(alike: NDArray[np.float32], pairs: NDArray[np.bool_]) -> list[str]:
    """Return how many of some pairs are at least as alike as each of `ALIKE`."""
    found = alike[pairs]
    return [f"{(found >= least).sum()} of {len(found)}" for least in ALIKE]


def main(data: Path) -> None:
    """Print the counts of each kind of pairs."""
    records = dataset.read_sets(data)
    alike, once = likeness(records), np.triu(np.ones((len(records.name),) * 2, bool), 1)
    same = records.patient[:, None] == records.patient[None]
    raw, rows = records.of_set(dataset.RAW), records.of_set(dataset.ZSCORED)
    last = np.zeros(len(rows), bool)
    with (data / dataset.ZSCORED / "labels.csv").open() as file:
        last[rows] = [row["split"] == "fold9" for row in csv.DictReader(file)]
    known, unknown = once & raw[:, None] & raw, once & rows[:, None] & rows
    across = last[:, None] != last
    kinds = {
        "one patient": known & same,
        "two patients": known & ~same,
        "no ids, across folds 8 and 9": unknown & across,
        "no ids, within": unknown & ~across,
        "with and without ids": raw[:, None] & rows,
    }
    print("alike by at least", *ALIKE, sep=" | ")
    for name, pairs in kinds.items():
        print(name, *shares(alike, pairs), sep=" | ")
    for a, b in np.argwhere(kinds["two patients"] & (alike >= ALIKE[-1])):
        print(f"one recording of two patients: {records.name[a]} and {records.name[b]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
