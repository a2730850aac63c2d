"""Fleets: all frames of all devices in the order in which they leave, and faults only where they were asked for."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from ecg.frame import FrameError, check_frame
from simulators.fault import FAULTS, Fault, parse
from simulators.fleet import merged, record_paths, simulate
from simulators.heart import Heart

T0 = 1_700_000_000_000_000_000


def sent(fault: str, seconds: float = 60.0, device: str = "bed-2") -> tuple[list, list]:
    """Return what a device sends without and with a fault."""
    frames = [
        [(due_s, frame) for due_s, name, frame in merged(simulate(3, T0, faults=faults), seconds) if name == device]
        for faults in ((), (parse(fault),))
    ]
    return frames[0], frames[1]


def test_frames_of_all_devices_come_in_the_order_in_which_they_leave() -> None:
    frames = list(merged(simulate(20, T0, frame_s=0.5), until_s=10.0))
    due = [due_s for due_s, _, _ in frames]
    assert due == sorted(due)
    assert due[-1] <= 10.0
    for device in {name for _, name, _ in frames}:
        seqs = [frame.seq for _, name, frame in frames if name == device]
        assert seqs == list(range(len(seqs)))
        assert len(seqs) in (19, 20)


def test_frames_are_spread_evenly_over_the_length_of_a_frame() -> None:
    first = [next(device.frames())[0] for device in simulate(100, T0, frame_s=1.0)]
    assert np.histogram(first, bins=10, range=(1.0, 2.0))[0].tolist() == pytest.approx([10] * 10, abs=2)


def test_a_large_fleet_shares_its_samples() -> None:
    devices = simulate(1500, T0)
    assert len({id(device.source) for device in devices}) <= 16  # pyright: ignore[reportAttributeAccessIssue]
    counted = Counter(name for _, name, _ in itertools.islice(merged(devices), 3000))
    assert len(counted) == 1500


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_spoils_its_device_alone_and_only_from_its_second_on(name: str) -> None:
    clean, faulty = sent(f"{name}@20:bed-2")
    assert faulty != clean
    before = [item for item in clean if item[0] <= 20.0]
    assert faulty[: len(before)] == before
    clean, neighbour = sent(f"{name}@20:bed-2", device="bed-1")
    assert neighbour == clean


def test_a_stopped_device_sends_no_more() -> None:
    assert sent("stop@20:bed-2")[1][-1][0] <= 20.0


def test_a_gap_loses_three_seconds_of_frames() -> None:
    clean, faulty = sent("gap@20:bed-2")
    assert len(clean) - len(faulty) == 12


def test_a_late_frame_comes_after_the_next() -> None:
    clean, faulty = sent("late@20:bed-2")
    seqs = [frame.seq for _, frame in faulty]
    assert seqs != sorted(seqs)
    assert {frame.seq for _, frame in clean} - set(seqs) <= {clean[-1][1].seq}


def test_a_restart_begins_a_session_at_its_first_frame() -> None:
    faulty = sent("restart@20:bed-2")[1]
    sessions = [frame.session for _, frame in faulty]
    assert len(set(sessions)) == 2
    assert next(frame.seq for _, frame in faulty if frame.session == sessions[-1]) == 0


def test_poison_is_one_frame_outside_the_contract() -> None:
    def is_bad(frame) -> bool:
        try:
            check_frame(frame)
        except FrameError:
            return True
        return False

    assert sum(is_bad(frame) for _, frame in sent("poison@20:bed-2")[1]) == 1


def test_a_fault_is_read_from_words() -> None:
    assert parse("stop@12.5:bed-3") == Fault("stop", 12.5, "bed-3")
    assert parse("noise") == Fault("noise", 20.0, "")
    with pytest.raises(ValueError, match="fault must be NAME"):
        parse("explode")


def test_what_cannot_be_simulated_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rhythm must be one of"):
        simulate(1, T0, rhythm="tango")
    with pytest.raises(ValueError, match=re.escape("device of bed-1 to bed-2")):
        simulate(2, T0, faults=[Fault("stop", 1.0, "bed-7")])
    with pytest.raises(ValueError, match="holds WFDB records"):
        simulate(1, T0, records=tmp_path)


def written(folder: Path, name: str, rate_hz: int = 250, seconds: int = 12, unit: str = "mV") -> Path:
    heart = Heart([("sinus", 20.0, {})], ("II", "V1"), 250.0, 3).source()
    counts = heart.counts[:, : seconds * rate_hz]
    lines = [f"{name}.dat 16 {heart.leads[0].gain}(0)/{unit} 16 0 0 0 0 {lead}" for lead in ("II", "V1")]
    (folder / f"{name}.hea").write_text("\n".join([f"{name} 2 {rate_hz} {counts.shape[1]}", *lines]) + "\n")
    (folder / f"{name}.dat").write_bytes(counts.T.astype("<i2").tobytes())
    return folder / name


def test_records_of_a_folder_that_cannot_be_played_are_told_and_left_out(tmp_path: Path) -> None:
    written(tmp_path, "good", unit="adu")
    cut = written(tmp_path, "cut").with_suffix(".dat")
    cut.write_bytes(cut.read_bytes()[:100])
    written(tmp_path, "slow", rate_hz=50)
    written(tmp_path, "brief", seconds=1)
    written(tmp_path, "lone").with_suffix(".dat").unlink()
    (tmp_path / "none.hea").write_text("hello world\n")
    told: list[str] = []
    devices = simulate(6, T0, records=tmp_path, tell=told.append)
    assert {device.source.name for device in devices} == {"good"}  # pyright: ignore[reportAttributeAccessIssue]
    assert [re.sub(r"^left out .*/(\w+): .*", r"\1", line) for line in told] == [
        "brief", "cut",
        "good: unit 'adu' of lead II is taken as mV", "good: unit 'adu' of lead V1 is taken as mV",
        "lone", "none", "slow",
    ]  # fmt: skip
    assert all("\n" not in line for line in told)
    (tmp_path / "good.hea").unlink()
    with pytest.raises(ValueError, match="of which a record can be played"):
        simulate(6, T0, records=tmp_path)


def test_leads_of_a_record_are_chosen(tmp_path: Path) -> None:
    path = written(tmp_path, "good")
    _, _, frame = next(merged(simulate(1, T0, records=path, leads=["V1"])))
    assert [lead.name for lead in frame.leads] == ["V1"]
    with pytest.raises(ValueError, match="leads must be of II, V1, got 'V9'"):
        simulate(1, T0, records=path, leads=["V9"])


def test_a_generated_ward_has_the_leads_and_the_rate_asked_for() -> None:
    _, _, frame = next(merged(simulate(1, T0, leads=["aVR", "V5"], rate_hz=500.0)))
    assert ([lead.name for lead in frame.leads], frame.rate_hz) == (["aVR", "V5"], 500.0)
    with pytest.raises(ValueError, match="V9"):
        simulate(1, T0, leads=["V9"])


def test_wearables_send_one_lead_in_bursts_at_different_times() -> None:
    frames = list(merged(simulate(4, T0, kind="wearable", leads=["V1", "II"], faults=[parse("stop@70:bed-2")]), 100.0))
    for _, _, frame in frames:
        check_frame(frame)
        assert [lead.name for lead in frame.leads] == ["V1"]
    bursts = {name: [due_s for due_s, device, _ in frames if device == name] for name in ("bed-1", "bed-2", "bed-3")}
    assert len({due[0] for due in bursts.values()}) == 3, "spread evenly"
    assert max(np.diff(bursts["bed-1"])) > 25.0
    assert max(bursts["bed-2"]) <= 70.0 < max(bursts["bed-3"])


@pytest.mark.records
def test_records_are_spread_over_a_folder_and_played_in_turn(records: Path) -> None:
    assert len(set(record_paths(records / "mitdb", 5))) == 5
    devices = simulate(3, T0, records=records / "mitdb")
    assert {name for _, name, _ in merged(devices, 2.0)} == {"bed-1", "bed-2", "bed-3"}
