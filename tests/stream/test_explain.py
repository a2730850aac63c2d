"""`vigil explain`: a record's alarms in words, and where the network looked."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from typer.testing import CliRunner

from ecg.record import read, write_signals
from ecg.window import SPAN
from model.explain.prototypes import fit, save
from model.explain.saliency import CELL
from model.labels import CONDITIONS
from model.net import FEATURES
from model.weights import load, shipped
from simulators.heart import Heart
from stream.commands.analysis import app
from stream.explain import explain, lines


def _record(folder: Path) -> Path:
    """Write a heart that beats for 20 s and then fibrillates."""
    heart = Heart([("sinus", 20.0, {}), ("ventricular_fibrillation", 15.0, {})], leads=("II", "V1"), seed=3)
    write_signals(folder / "heart", ["II", "V1"], heart.samples(0, 35 * 250).astype(np.float32), 250)
    return folder / "heart"


def test_an_alarm_is_told_with_what_was_measured_and_where_the_network_looked(tmp_path: Path) -> None:
    path, network = _record(tmp_path), load(shipped())
    features = np.random.default_rng(1).random((20, FEATURES)).astype(np.float32)
    save(tmp_path / "p.safetensors", fit(features, np.repeat(["sinus", "noise"], 10), network.sha256), {})
    arguments = ["explain", str(path), "--json", "--prototypes", str(tmp_path / "p.safetensors")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    said = msgspec.json.decode(result.stdout)
    (fibrillation,) = [each for each in said["alarms"] if each["condition"] == "ventricular_fibrillation"]
    assert fibrillation["answer"] == "ventricular_fibrillation"
    assert "In the 10 s before it: " in fibrillation["sentence"]
    assert "no lead of a pulse" in fibrillation["sentence"]
    assert 20 < fibrillation["decided_s"] < read(path).duration_s
    assert {name: len(row) for name, row in fibrillation["saliency"].items()} == {
        "II": SPAN // CELL,
        "V1": SPAN // CELL,
    }
    most = max(weight for row in fibrillation["saliency"].values() for weight in row)
    assert fibrillation["places"][0]["weight"] == most > 0
    assert len(fibrillation["like"]) == 3
    assert list(fibrillation["sets"]) == ["normal", *CONDITIONS]
    assert all(set(words) <= {"no", "yes"} for words in fibrillation["sets"].values())
    assert fibrillation["sets"]["normal"] == ["no"]


def test_a_pulse_lead_without_a_pulse_is_no_pulse(tmp_path: Path) -> None:
    heart = Heart([("sinus", 15.0, {}), ("asystole", 10.0, {})], leads=("II",), seed=3)
    mv = np.concatenate([heart.samples(0, 25 * 250), np.zeros((1, 25 * 250))]).astype(np.float32)
    write_signals(tmp_path / "still", ["II", "PLETH"], mv, 250)
    found = explain(read(tmp_path / "still"), load(shipped()))
    (asystole,) = [each for each in found if each.condition == "asystole"]
    assert "no pulse" in asystole.sentence
    said = dict.fromkeys(asystole.sets, ()) | {"normal": ("no",), "arrhythmia": ("yes",)}
    assert "diagnoses: at 90 %: arrhythmia; neither yes nor no fits " in lines(asystole._replace(sets=said))[-1]
