"""`vigil evaluate 60601`: the figures that it prints, and its exit status."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from simulators import lethal
from stream.evaluate import standards
from stream.evaluate.standards import CLEAN, FLAT, MOTION, OFF, Happened, Seen, evaluate, shares


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Events that were run before, and no meter."""

    def happened(seeds: int, variants: Sequence[str], records: Path | None = None) -> list[Happened]:
        late = 9.9 if MOTION in variants else 4.0
        return [Happened(variant, kind, 0, late) for variant in variants for kind in lethal.KINDS]

    monkeypatch.setattr(standards, "events", happened)
    monkeypatch.setattr(standards, "meter", lambda: {"filters_s": 0.4})


@pytest.mark.usefixtures("quick")
def test_one_object_is_printed_with_every_figure_and_what_it_was_tested_against(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert evaluate(json=True, data=None, noise=False, seeds=1, sets=None) == 0
    said = msgspec.json.decode(capsys.readouterr().out)
    assert said["tested against"].startswith("IEC 60601-2-27")
    assert (said["noise"], said["missed"], said["figures"]["filters_s"]) == ("none", [], 0.4)
    for variant in (CLEAN, FLAT, OFF):
        assert said["figures"][f"lethal_{variant}_alarmed_pct"] == 100.0
        assert said["figures"][f"lethal_{variant}_asystole_longest_s"] == 4.0


@pytest.mark.usefixtures("quick")
def test_an_event_that_alarmed_late_is_named_and_the_answer_is_no(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(json=False, data=None, noise=True, seeds=1, sets=None) == 1
    said = capsys.readouterr().out
    assert "noise: generated" in said
    assert "missed: motion_12_db asystole seed 0, after 9.9 s" in said


def test_shares_are_of_the_events_that_alarmed_within_10_s_with_the_filters() -> None:
    of = [Happened(CLEAN, kind, seed, 4.0) for kind in lethal.KINDS for seed in range(4)]
    of[0] = of[0]._replace(after_s=None)
    of[1] = of[1]._replace(after_s=9.9)
    figures = shares(of)
    assert figures["lethal_clean_asystole_alarmed_pct"] == 50.0
    assert figures["lethal_clean_alarmed_pct"] == 90.0
    assert figures["lethal_clean_asystole_longest_s"] == 9.9


def test_what_never_alarms_and_never_follows_is_none() -> None:
    assert Seen([], []).alarm_s(("asystole",), 0.0) is None
    assert Seen([], []).follows_s(80.0, 0.0) is None
