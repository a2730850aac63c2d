"""Nothing that anybody sends crashes a codec or the pipeline, grows without bound, or changes a neighbour's alerts."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecg.alert import decode_alert
from ecg.clinical import Settings
from ecg.frame import Frame, FrameError, Lead, Setup, Tick, check_input, decode, encode
from stream.batch import Record
from stream.pipeline import Pipeline
from tests.fuzz.codec import codec
from tests.fuzz.mutants import T0_NS, WILD, frame, good
from tests.fuzz.whole import MOST_SNAPSHOT, SCRIPTS, nonsense, through, whole

SECOND_NS = 1_000_000_000


def test_a_million_mutants_through_the_codec_are_records_or_frame_errors() -> None:
    found = codec(1_000_000)
    assert found["frames"] > 50_000
    assert found["timelined"] > 3_000


def test_twenty_thousand_mutants_through_the_pipeline_change_no_neighbours_alert() -> None:
    found = whole(20_000)
    assert found["neighbours_changed"] == 0
    assert found["accepted"] > 5_000
    assert 10_000 < found["largest_snapshot_bytes"] < MOST_SNAPSHOT
    assert found["rss_growth_mb"] < 100


def test_the_neighbours_have_something_to_lose_and_the_batches_do_not_matter() -> None:
    found = through(nonsense(4000, 3), 16, batch=1000)
    raised = {(alert.device, alert.condition) for alert in found.alerts if alert.phase == "start"}
    assert {("vt", "ventricular_tachycardia"), ("flat", "asystole")} <= raised
    assert {alert.device for alert in found.alerts} == set(SCRIPTS)
    assert through(nonsense(4000, 3), 16, batch=7).alerts == found.alerts


@pytest.mark.parametrize("wild", WILD)
@pytest.mark.parametrize("at", [0, 1, 20])
def test_what_announces_gigabytes_allocates_nothing(wild: bytes, at: int) -> None:
    for value in good():
        tracemalloc.start()
        with suppress(FrameError):
            decode(value[:at] + wild + value[at:])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1_000_000


NUMBERS = st.one_of(
    st.sampled_from([0, -1, 2**31, 2**53, 2**62, 2**63, 2**64 - 1, -(2**63), 0.0, -0.0, 1e308, 5e-324]),
    st.floats(), st.integers(-(2**63), 2**64 - 1),
)  # fmt: skip
ANYTHING = st.recursive(
    st.one_of(NUMBERS, st.none(), st.booleans(), st.text(max_size=40), st.binary(max_size=40), st.just("x" * 70_000)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
PLAIN: list[dict[str, Any]] = [msgspec.msgpack.decode(value) for value in good()]


@settings(max_examples=250, deadline=None)
@given(st.data())
def test_any_value_in_any_field_is_a_record_or_a_frame_error(data: st.DataObject) -> None:
    record = dict(data.draw(st.sampled_from(PLAIN)))
    for field in data.draw(st.lists(st.sampled_from(sorted(record)), min_size=1, max_size=3, unique=True)):
        record[field] = _wild(data, record[field])
    told = ""
    try:
        check_input(decode(msgspec.msgpack.encode(record)))
    except FrameError as error:
        told = str(error)
    assert len(told) < 400, "what is said of a record does not grow with it"


def _wild(data: st.DataObject, part: Any) -> Any:
    """Put anything in a field's place, or into one of the fields that it has itself."""
    inside = part[0] if isinstance(part, list) and part else part
    if not isinstance(inside, dict) or not inside or data.draw(st.booleans()):
        return data.draw(ANYTHING)
    changed = {**inside, data.draw(st.sampled_from(sorted(inside))): data.draw(ANYTHING)}
    return [changed] if isinstance(part, list) else changed


@st.composite
def wild_frames(draw: st.DrawFn) -> Frame:
    """A frame that keeps all limits, and is impossible beside those before it."""
    rate_hz = draw(st.sampled_from([100.0, 250.0, 333.3, 999.9, 1000.0]))
    leads = draw(st.integers(1, 3))
    n = draw(st.integers(-(-40 * round(rate_hz) // 1000) + 1, int(2 * rate_hz)))
    seq = draw(st.one_of(st.integers(0, 6), st.sampled_from([2**31, 2**53, 2**53 - 1])))
    t0_ns = draw(st.one_of(st.integers(0, 20).map(lambda s: T0_NS + s * SECOND_NS), st.sampled_from([0, 1, 2**62])))
    names = ("II", "V1", "PLETH")[:leads]
    kinds = ("ecg", "ecg", "pleth")
    made = tuple(Lead(name, draw(st.sampled_from([1e-3, 200.0, 1e6])), kinds[at]) for at, name in enumerate(names))
    session = draw(st.sampled_from(["s", "t"]))
    return Frame("wild", session, seq, t0_ns, rate_hz, made, bytes(2 * leads * n), last=draw(st.integers(0, 9)) == 0)


@settings(max_examples=150, deadline=None)
@given(st.lists(wild_frames(), min_size=1, max_size=12), st.integers(1, 5))
def test_a_device_that_sends_the_impossible_is_taken_in_batches_or_at_once_alike(
    frames: list[Frame], size: int
) -> None:
    setup = Setup("test", "fuzz", T0_NS, Settings(), unsigned=True)
    entries = [(None, setup), *(("wild", each) for each in frames)]
    entries += [(None, Tick("t", s, T0_NS + s * SECOND_NS)) for s in range(1, 12)]
    log = [Record(0, at, key and key.encode(), encode(entry), T0_NS) for at, (key, entry) in enumerate(entries)]
    whole, parts, alerts = Pipeline({}).feed(log), Pipeline({}), []
    for at in range(0, len(log), size):
        alerts += parts.feed(log[at : at + size]).alerts
    assert alerts == whole.alerts
    assert not whole.dead
    assert "no_data" in {decode_alert(value).condition for _, value in alerts} or any(each.last for each in frames)


def test_a_wild_number_and_then_silence_is_a_silence() -> None:
    setup = Setup("test", "fuzz", T0_NS, Settings(), unsigned=True)
    sent = [frame("wild", seq, n=100) for seq in range(4)]
    sent.append(msgspec.structs.replace(sent[-1], seq=2**53, t0_ns=2**62))
    entries = [(None, setup), (None, Tick("t", 0, T0_NS)), *((each.device, each) for each in sent)]
    entries += [(None, Tick("t", s, T0_NS + s * SECOND_NS)) for s in range(1, 20)]
    log = [Record(0, at, key and key.encode(), encode(entry), T0_NS) for at, (key, entry) in enumerate(entries)]
    raised = [decode_alert(value).condition for _, value in Pipeline({}).feed(log).alerts]
    assert "no_data" in raised
