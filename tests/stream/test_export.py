"""What `vigil export` writes, from a log in memory: the frames as sent, and a log that gives the same alerts."""

from __future__ import annotations

import asyncio
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest

from ecg.alert import decode_alert
from ecg.frame import MISSING, Frame, Lead, decode, encode
from ecg.record import annotations, read
from stream import topics
from stream.audit.replay import Wanted
from stream.export import Exported, export
from stream.export_log import find, read_header, read_log
from stream.exported import derive
from stream.nets import load_net, read_weights
from stream.recording import Recorder
from tests.stream.ward_log import SECOND_NS, T0_NS, WardLog, place, written


@cache
def ward() -> WardLog:
    """Thirteen minutes, so that checkpoints of all devices lie in the middle."""
    return written(780)


def exported(out: Path, device: str, first_s: int | None = None, end_s: int | None = None) -> Exported:
    wanted = Wanted(
        device,
        None if first_s is None else T0_NS + first_s * SECOND_NS,
        None if end_s is None else T0_NS + end_s * SECOND_NS,
    )
    return asyncio.run(export(ward().log, wanted, out))


def logged(device: str, first: int = 0, end: int = 2**62) -> list[bytes]:
    values = [entry.value or b"" for entry in ward().topics[topics.ALERTS][0]]
    alerts = [(decode_alert(value), value) for value in values]
    return [v for a, v in alerts if a.device == device and first <= a.source.last_offset < end]


@pytest.mark.parametrize("device", ["run", "flat", "calm"])
def test_an_export_from_the_first_offset_gives_the_alerts_of_the_ward_to_the_byte(device: str, tmp_path: Path) -> None:
    done = exported(tmp_path, device)
    assert done.identical
    assert done.log.at == 0
    assert derive(find(tmp_path)).alerts == logged(device)
    assert (tmp_path / f"{device}.alerts.ndjson").read_bytes().splitlines() == logged(device)


@pytest.mark.parametrize("device", ["run", "flat", "calm"])
def test_an_export_from_a_checkpoint_in_the_middle_gives_them_too(device: str, tmp_path: Path) -> None:
    done = exported(tmp_path, device, 690, 760)
    header = read_header(find(tmp_path))
    assert 0 < header.at < header.first
    expected = logged(device, header.first, header.end)
    assert derive(find(tmp_path)).alerts == expected
    assert done.identical
    assert expected


def test_the_weights_that_a_setup_names_lie_beside_the_log_and_decide_again(tmp_path: Path) -> None:
    data = read_weights("shipped")
    sha256, net = load_net(data)
    log = written(40, {sha256: net}, sha256)
    log.put(topics.WEIGHTS, 0, sha256.encode(), data, T0_NS)
    done = asyncio.run(export(log.log, Wanted("run"), tmp_path))
    assert done.identical
    assert (tmp_path / f"{sha256}.safetensors").read_bytes() == data
    seen = [alert for alert in map(decode_alert, derive(find(tmp_path)).alerts) if alert.weights_sha256 == (sha256,)]
    assert any(alert.evidence.probabilities for alert in seen)


def test_the_log_of_an_export_holds_what_the_pipeline_takes_and_nothing_of_other_devices(tmp_path: Path) -> None:
    exported(tmp_path, "flat", None, 30)
    entries = ward().topics[topics.INPUT][place("flat")]
    assert {entry.key for entry in entries} >= {None, b"flat", b"calm"}
    records, header = list(read_log(find(tmp_path))), read_header(find(tmp_path))
    assert [record.offset for record in records] == list(range(header.end)), "no offset is left out"
    for record in records:
        taken = entries[record.offset].key in (None, b"flat")
        assert record.value == (entries[record.offset].value if taken else b"")
    assert b"calm" not in find(tmp_path).read_bytes()


def test_the_record_holds_the_counts_the_gain_and_the_rate_that_were_sent(tmp_path: Path) -> None:
    exported(tmp_path, "calm", 100, 130)
    record = read(tmp_path / "calm")
    assert (record.n_samples, record.rate_hz) == (30 * 250, 250.0)
    seconds = record.counts.reshape(2, 30, 250)
    frames = [decode(entry.value or b"") for entry in ward().topics[topics.INPUT][place("calm")]]
    sent = {(f.t0_ns - T0_NS) // SECOND_NS: f for f in frames if isinstance(f, Frame) and f.device == "calm"}
    for second in range(100, 130):
        if second in sent:
            assert (seconds[:, second - 100] == sent[second].samples()).all()
        else:
            assert (seconds[:, second - 100] == MISSING).all()
    assert [second for second in range(100, 130) if second not in sent] == list(range(110, 120))
    leads = sent[100].leads
    assert [(x.name, x.gain, x.baseline) for x in record.leads] == [(x.name, x.gain, x.baseline) for x in leads]


def test_alerts_and_beats_are_annotations_at_their_samples(tmp_path: Path) -> None:
    exported(tmp_path, "run", None, 120)
    beats, alarms = annotations(tmp_path / "run", "vigil"), annotations(tmp_path / "run", "alarm")
    assert set(beats.symbols) <= {"N", "V", "S", "F", "Q", "/"}
    assert 150 < len(beats.samples) < 300
    alerts = [decode_alert(line) for line in (tmp_path / "run.alerts.ndjson").read_bytes().splitlines()]
    start = next(a for a in alerts if a.condition == "ventricular_tachycardia" and a.phase == "start")
    at = alarms.samples[alarms.aux.index("ventricular_tachycardia start")]
    assert at == pytest.approx((start.onset_ns - T0_NS) * 250 / SECOND_NS, abs=1)


def test_the_audit_has_a_line_for_each_record_with_its_hash_and_each_alert_with_its_bytes(tmp_path: Path) -> None:
    done = exported(tmp_path, "flat", None, 90)
    lines = [msgspec.json.decode(line) for line in (tmp_path / "flat.audit.ndjson").read_bytes().splitlines()]
    inputs = [line for line in lines if "type" in line]
    alerts = [line["value"].encode() for line in lines if "alert" in line]
    assert alerts == logged("flat", done.log.first, done.log.end)
    assert {"frame", "signed tick", "signed setup", "signed command", "command"} <= {line["type"] for line in inputs}
    read = [msgspec.json.decode(line) for line in (tmp_path / "flat.entries.ndjson").read_bytes().splitlines()]
    assert {line["entry"]["type"] for line in read} == {"tick", "command", "setup"}


@pytest.mark.parametrize("cut", [5, 5000])
def test_a_log_that_was_cut_or_is_none_is_one_line(cut: int, tmp_path: Path) -> None:
    exported(tmp_path, "calm", 0, 20)
    log = find(tmp_path)
    log.write_bytes(log.read_bytes()[:-cut])
    with pytest.raises(ValueError, match="ends in the middle of a record"):
        derive(log)
    log.write_bytes(b"else")
    with pytest.raises(ValueError, match="must hold one log"):
        find(tmp_path)


def test_a_changed_byte_gives_other_alerts(tmp_path: Path) -> None:
    exported(tmp_path, "run", 0, 60)
    log = find(tmp_path)
    value = bytearray(log.read_bytes())
    at = value.rindex(b"run", 0, len(value) // 2)
    value[at : at + 3] = b"nun"
    log.write_bytes(value)
    assert derive(log).alerts != (tmp_path / "run.alerts.ndjson").read_bytes().splitlines()


def test_an_export_of_nothing_or_into_a_full_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the log holds nothing of run"):
        exported(tmp_path, "run", 5000)
    with pytest.raises(ValueError, match="the log holds nothing of nobody"):
        exported(tmp_path, "nobody")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "there").write_text("x")
    with pytest.raises(ValueError, match="out must be a new or an empty folder"):
        exported(tmp_path, "run")


def frame(seq: int, t_s: float, leads: tuple[Lead, ...] = (Lead("II", 204.8, "ecg", -7),), n: int = 100) -> Frame:
    counts = np.full((len(leads), n), seq + 1, np.int16)
    t0_ns = T0_NS + round(t_s * SECOND_NS)
    return decode(encode(Frame("a.b", "s", seq, t0_ns, 100.0, leads, counts.astype("<i2").tobytes())))  # pyright: ignore[reportReturnType]


def recorded(folder: Path, *frames: Frame) -> Recorder:
    recorder = Recorder("a.b", folder)
    for offset, each in enumerate(frames):
        recorder.feed(each, offset)
    recorder.close(len(frames))
    return recorder


def test_gaps_are_missing_samples_and_doubles_and_disorder_leave_no_trace(tmp_path: Path) -> None:
    frames = [frame(n, n) for n in range(40)]
    recorder = recorded(tmp_path, frames[0], frames[2], frames[1], frames[1], *frames[8:12], *frames[25:])
    record = read(tmp_path / "a-b")
    seconds = record.counts[0].reshape(-1, 100)
    assert (seconds == seconds[:, :1]).all()
    present = [0, 1, 2, 8, 9, 10, 11, *range(25, 40)]
    assert seconds[:, 0].tolist() == [n + 1 if n in present else MISSING for n in range(40)]
    assert recorder.place(T0_NS + 30 * SECOND_NS) == ("a-b", 3000)


def test_electrodes_that_were_off_keep_what_they_gave(tmp_path: Path) -> None:
    off = msgspec.structs.replace(frame(0, 0), lead_off=((0, 10, 60),))
    recorded(tmp_path, off)
    assert (read(tmp_path / "a-b").counts == 1).all()


def test_other_gains_or_leads_begin_another_record_and_keep_their_own(tmp_path: Path) -> None:
    other = (Lead("II", 1e3 / 3, "ecg", 5, "mV"), Lead("PLETH wave", 2.5, "pleth", 0, ""))
    recorder = recorded(tmp_path, frame(0, 0), frame(1, 1), frame(2, 2, other), frame(3, 3, other))
    assert list(recorder.records) == ["a-b", "a-b-2"]
    first, second = read(tmp_path / "a-b"), read(tmp_path / "a-b-2")
    assert [(x.gain, x.baseline, x.unit) for x in first.leads] == [(204.8, -7, "mV")]
    assert [(x.name, x.gain, x.baseline, x.unit) for x in second.leads] == [
        ("II", 1e3 / 3, 5, "mV"), ("PLETH wave", 2.5, 0, "NU"),
    ]  # fmt: skip
    assert (first.n_samples, second.n_samples) == (200, 200)
