"""A record becomes the same frames whoever plays it, and a broken one is told in one line."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ecg.frame import NAME, check_frame
from ecg.record import read
from simulators.heart import Heart
from simulators.replay import replay
from stream.analyze import frames, pseudonym

SIGNAL = Heart([("sinus", 12.0, {})], leads=("II", "V1"), seed=3).samples(0, 3000)
ODD = {
    "alike": [("ECG", 16, 200, "mV")] * 2,
    "long": [("ECG lead number one", 16, 200, "mV"), ("ECG lead number two", 16, 200, "mV")],
    "microvolts": [("II", 16, 5, "uV"), ("V1", 16, 0.5, "uV")],
    "nanovolts": [("II", 16, 0.001, "nV")],
    "volts": [("II", 16, 200_000, "V")],
    "no_unit": [("II", 16, 200, "NU"), ("V1", 16, 200, "adu")],
    "bits_24": [("II", 24, 3_000_000, "mV")],
    "bits_32": [("II", 32, 300_000_000, "mV")],
    "inverted": [("II", 16, -200, "mV")],
    "steep": [("II", 32, 5_000_000, "mV")],
    "fifteen": [(f"v{n}", 16, 200, "mV") for n in range(15)],
}
"""Leads of records by name: name, bits, counts a unit, unit."""
MV = {"uV": 1e-3, "nV": 1e-6, "V": 1e3}


def written(folder: Path, name: str) -> Path:
    """Write a record of a heart with these leads."""
    header, rows = [f"{name} {len(ODD[name])} 250 {SIGNAL.shape[1]}"], []
    for row, (lead, bits, gain, unit) in enumerate(ODD[name]):
        header.append(f"{name}.dat {bits} {gain}(0)/{unit} {bits} 0 0 0 0 {lead}")
        counts = np.round(SIGNAL[row % 2].astype(float) * gain / MV.get(unit, 1.0)).astype("<i4")
        rows.append(counts.view(np.uint8).reshape(-1, 4)[:, : bits // 8])
    (folder / f"{name}.hea").write_text("\n".join(header) + "\n")
    (folder / f"{name}.dat").write_bytes(np.concatenate(rows, axis=1).tobytes())
    return folder / name


@pytest.mark.parametrize("name", ODD)
def test_replay_and_analyze_send_the_same_leads_and_counts(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name)
    recording, source = read(path), replay(path, loop=False)
    sent = list(frames(recording, "device"))
    for frame in sent:
        check_frame(frame)
        assert frame.leads == source.leads
    counts = np.concatenate([frame.samples() for frame in sent], axis=1)
    np.testing.assert_array_equal(counts, source.counts)
    for lead, row in zip(source.mv(0, SIGNAL.shape[1]), SIGNAL[[0, 1] * 8], strict=False):
        np.testing.assert_allclose(lead, row, atol=6e-3)
    assert all(later.seq == earlier.seq + 1 for earlier, later in pairwise(sent))


def test_what_is_taken_otherwise_is_told(tmp_path: Path) -> None:
    said: list[str] = []
    replay(written(tmp_path, "no_unit"), tell=said.append)
    assert said == ["no_unit: unit 'NU' of lead II is taken as mV", "no_unit: unit 'adu' of lead V1 is taken as mV"]


@pytest.mark.parametrize("name", ["100", "_under", "a b", "...", "é", "x" * 80, "ok-1_2.3:4"])
def test_every_record_has_a_legal_name_of_a_device(name: str) -> None:
    made = pseudonym(name)
    assert NAME.fullmatch(made)
    assert made == name or not NAME.fullmatch(name), "a legal name stays"
