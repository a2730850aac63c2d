"""Replayed records: the record's own counts, and a loop without a seam."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ecg import record
from ecg.frame import MISSING
from simulators.heart import Heart
from simulators.replay import closed, peaks, replay
from simulators.source import Source

CUTS = [("mitdb/115", 300.0, 360.0), ("mitdb/201", 60.0, 130.0), ("cinc2015/a170s", 45.0, 90.0)]


def stretch(rhythm: str, seconds: float = 40.0, **params: float) -> Source:
    heart = Heart([(rhythm, seconds + 7.0, params)], leads=("II", "V1"), seed=2).source()
    n = round(seconds * heart.rate_hz)
    return dataclasses.replace(heart, counts=heart.counts[:, 333 : 333 + n].copy(), loop_to=None)


def assert_no_seam(source: Source) -> None:
    """No step at the joint beyond those of the record, and an RR interval across it that the record has."""
    n, rate = source.n_samples, source.rate_hz
    twice = source.mv(0, 2 * n)[[row for row, lead in enumerate(source.leads) if lead.kind == "ecg"]]
    steps = np.abs(np.diff(twice, axis=1))
    assert (steps[:, n - 1] <= np.nanpercentile(steps[:, : n - 1], 98, axis=1)).all()
    at = peaks(twice, rate)
    within = np.diff(at[at < n]) / rate
    across = np.diff(at[np.searchsorted(at, n) - 1 : np.searchsorted(at, n) + 1]) / rate
    assert 0.95 * within.min() <= across[0] <= 1.05 * within.max()


@pytest.mark.parametrize("rhythm", ["sinus", "atrial_fibrillation", "pvcs", "bigeminy", "paced"])
def test_a_loop_has_no_seam(rhythm: str) -> None:
    assert_no_seam(closed(stretch(rhythm)))


def test_a_loop_keeps_the_counts_but_for_the_blend_before_its_joint() -> None:
    source = stretch("sinus")
    loop = closed(source)
    start = round((loop.start_s - source.start_s) * source.rate_hz)
    kept = slice(0, loop.n_samples - round(0.12 * loop.rate_hz))
    np.testing.assert_array_equal(loop.counts[:, kept], source.counts[:, start : start + loop.n_samples][:, kept])
    assert loop.n_samples >= source.n_samples - 8 * source.rate_hz


@pytest.mark.parametrize("rhythm", ["asystole", "ventricular_fibrillation"])
def test_a_stretch_without_beats_closes_too(rhythm: str) -> None:
    loop = closed(stretch(rhythm))
    steps = np.abs(np.diff(loop.mv(0, 2 * loop.n_samples), axis=1))
    assert (steps[:, loop.n_samples - 1] <= steps[:, : loop.n_samples - 1].max(axis=1)).all()


def test_missing_samples_stay_missing_in_a_loop() -> None:
    source = stretch("sinus")
    source.counts[1] = MISSING
    assert (closed(source).counts[1] == MISSING).all()


def test_the_end_of_a_stretch_is_kept_where_it_matters() -> None:
    source = stretch("sinus")
    source.counts[:, -2000:] = source.counts[:, -2000:-1999]
    assert closed(source, end_slack_s=0.5).n_samples >= source.n_samples - 4.5 * source.rate_hz


def test_too_short_a_stretch_is_refused() -> None:
    with pytest.raises(ValueError, match="2 s to be a loop"):
        closed(stretch("sinus", 1.5))


def test_peaks_are_the_beats_of_a_clean_heart() -> None:
    heart = Heart([("sinus", 60, {"rate_bpm": 75})])
    found = peaks(heart.samples(0, heart.n_samples), heart.rate_hz)
    assert len(found) == pytest.approx(len(heart.beats), abs=1)
    assert np.abs(found[:, None] - heart.beats["sample"][None, :]).min(axis=1).max() <= 8


@pytest.mark.records
@pytest.mark.parametrize(("name", "first_s", "end_s"), CUTS)
def test_a_loop_of_a_record_has_no_seam(records: Path, name: str, first_s: float, end_s: float) -> None:
    assert_no_seam(replay(records / name, first_s, end_s))


@pytest.mark.records
@pytest.mark.parametrize("name", ["mitdb/100", "vfdb/418", "cinc2015/a103l", "cinc2017/A00001"])
def test_a_record_played_once_is_the_record(records: Path, name: str) -> None:
    source, whole = replay(records / name, 2.0, 9.0, loop=False), record.read(records / name, 2.0, 9.0)
    np.testing.assert_array_equal(source.counts, whole.counts)
    np.testing.assert_allclose(source.mv(0, source.n_samples), whole.mv(None), rtol=1e-5)
    assert source.loop_to is None


@pytest.mark.records
def test_leads_are_chosen_by_name_and_in_order(records: Path) -> None:
    source = replay(records / "cinc2015/a170s", 60, 70, leads=("ABP", "II"))
    assert [(lead.name, lead.kind) for lead in source.leads] == [("ABP", "abp"), ("II", "ecg")]
    with pytest.raises(ValueError, match="leads must be of II"):
        replay(records / "cinc2015/a170s", 60, 70, leads=("V9",))
