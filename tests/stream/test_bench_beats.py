"""The beats' bench: it measures every side that is here, says which is not, and its ward has beats to find."""

import json
from pathlib import Path

import numpy as np
import pytest

from stream import bench_beats
from stream.bench_beats import CHUNK, MINUTE, TURN_CHUNKS, Ward, beats, ward


def test_each_side_has_a_figure_and_absent_peers_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench_beats, "PEER_LEADS", {"sleepecg": 1, "xqrs": 1, "neurokit2": 1})
    assert beats(json=True, quick=True, environment=tmp_path) == 0
    found = json.loads(capsys.readouterr().out)
    figures = found["figures"]
    for side in ("beats", "beats_and_rhythm", "sleepecg"):
        assert figures[f"{side}_ns_per_sample_lead"] > 0
    assert figures["beats_and_rhythm_ns_per_sample_lead"] > figures["beats_ns_per_sample_lead"]
    assert any(line.startswith("neurokit2: ") for line in found["left_out"])
    assert figures["beds"] == 20


def test_the_ward_has_ventricular_beats_and_goes_on_where_its_minute_ends() -> None:
    beds = Ward(2, rules=True)
    found: list[np.ndarray] = []
    feed = beds.beats.feed
    beds.beats.feed = lambda *given: found.append(feed(*given)[1]) or feed_nothing(found)  # pyright: ignore
    for _ in range(MINUTE // CHUNK // TURN_CHUNKS + 2):
        beds.turn()
    labels = np.concatenate(found)["label"].tobytes().decode()
    assert labels.count("N") > 60
    assert labels.count("V") >= 3
    assert beds.at > MINUTE
    assert len({lead.tobytes() for lead in ward(4)}) == 4


def feed_nothing(found: list[np.ndarray]) -> list[np.ndarray]:
    """Return the last beats for both beds."""
    return [found[-1], found[-1]]
