"""Beats: found wherever they are, the same however the stream is cut, and none where there are none."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecg.beats import BEAT, MAX_DELAY_S, Beats
from ecg.ec57 import score
from ecg.frontend import Chunk, FrontEnd
from ecg.record import annotations, read
from ecg.resample import Resampler

RATE = 250


def complexes(
    at: list[float],
    seconds: float,
    qrs_mv: float = 1.0,
    width_s: float = 0.08,
    t_mv: float = 0.2,
    t_s: float = 0.18,
    rate_hz: int = RATE,
) -> NDArray[np.float32]:
    """One lead: at each time a QRS, three half sines of which the middle one is the R peak, and a T wave."""
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    x = np.zeros_like(t)
    for middle in at:
        for centre, share, size in ((0, 0.5, 1.0), (-0.3, 0.3, -0.15), (0.35, 0.35, -0.25)):
            u = (t - middle - centre * width_s) / (share * width_s)
            x += np.where(abs(u) < 0.5, size * qrs_mv * np.cos(np.pi * u), 0)
        u = (t - middle - 0.30 + width_s / 2) / t_s
        x += np.where(abs(u) < 0.5, t_mv * np.cos(np.pi * u) ** 2, 0)
    return x.astype(np.float32)


def every(interval_s: float, seconds: float) -> list[float]:
    """Return the times of a regular rhythm."""
    return list(np.arange(0.5, seconds - 0.3, interval_s))


def noise(seconds: float, rms_mv: float, seed: int = 0) -> NDArray[np.float32]:
    """Return white noise."""
    return (np.random.default_rng(seed).normal(size=int(seconds * RATE)) * rms_mv).astype(np.float32)


def feed(leads: NDArray[np.float32], beats: Beats | None = None) -> NDArray[np.void]:
    """Return the beats of one bed, fed at once."""
    if beats is None:
        beats = Beats()
        beats.reset(0)
    leads = np.atleast_2d(leads)
    return beats.feed(np.array([0]), leads[None], np.array([len(leads)]), np.array([leads.shape[1]]))[0]


def missed_and_false(
    found: NDArray[np.void], at: list[float], since_s: float = 5.0, near_s: float = 0.06
) -> tuple[int, int]:
    """Count beats that were missed, and found ones that are none, from `since_s` on."""
    times = found["sample"] / RATE
    wanted = np.array([t for t in at if t >= since_s])
    missed = sum(not (abs(times - t) <= near_s).any() for t in wanted)
    return missed, sum(not (abs(np.array(at) - t) <= near_s).any() for t in times[times >= since_s - 0.2])


def mixed(seconds: float = 30.0) -> NDArray[np.float32]:
    """Two leads with beats, early wide ones among them, noise, and a lead that fails for a while."""
    at = every(0.8, seconds)
    x = np.stack([complexes(at, seconds), complexes(at, seconds, qrs_mv=-0.6)])
    x += complexes([t + 0.45 for t in at[4::5]], seconds, qrs_mv=-1.6, width_s=0.16)
    x += np.stack([noise(seconds, 0.03), noise(seconds, 0.05, 1)])
    x[1, 2000:3500] = np.nan
    x[0, 4000:4003] = np.nan
    return x


SIGNAL = mixed()
WHOLE = feed(SIGNAL)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 900), max_size=30), st.integers(0, 29))
def test_any_cutting_and_a_snapshot_between_give_the_same_beats(sizes: list[int], moved: int) -> None:
    beats = Beats()
    beats.reset(3)
    cuts = (
        [0, *np.minimum(np.cumsum(sizes), SIGNAL.shape[1]).tolist(), SIGNAL.shape[1]] if sizes else [0, SIGNAL.shape[1]]
    )
    found = []
    for n, (first, end) in enumerate(pairwise(cuts)):
        if n == moved:
            other = Beats()
            other.restore(3, beats.snapshot(3))
            beats = other
        found += beats.feed(np.array([3]), SIGNAL[None, :, first:end], np.array([2]), np.array([end - first]))
    assert np.concatenate(found).tobytes() == WHOLE.tobytes()


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(0, 2000), min_size=2, max_size=5))
def test_neighbours_in_a_batch_change_nothing(offsets: list[int]) -> None:
    beats = Beats()
    rows = np.arange(len(offsets))[::-1].copy()
    x = np.full((len(offsets), 3, SIGNAL.shape[1]), np.nan, np.float32)
    for i, offset in enumerate(offsets):
        beats.reset(i)
        x[i, :2, : SIGNAL.shape[1] - offset] = SIGNAL[:, offset:]
    found = beats.feed(rows, x, np.full(len(offsets), 2), np.array([SIGNAL.shape[1] - offset for offset in offsets]))
    for i, offset in enumerate(offsets):
        assert found[i].tobytes() == feed(SIGNAL[:, offset:]).tobytes()


def test_beats_come_in_order_and_are_confirmed_in_time() -> None:
    assert (np.diff(WHOLE["sample"]) > 0).all()
    assert (np.diff(WHOLE["confirmed"]) >= 0).all()
    late = WHOLE["confirmed"] - WHOLE["sample"]
    assert (late > 0).all()
    assert late.max() <= MAX_DELAY_S * RATE
    assert np.median(late) <= 0.35 * RATE


def test_intervals_are_between_successive_beats() -> None:
    assert np.isnan(WHOLE["rr_s"][0])
    assert np.allclose(WHOLE["rr_s"][1:], np.diff(WHOLE["sample"]) / RATE)


@pytest.mark.parametrize("rate_hz", [100, 128, 250, 360, 500, 1000])
def test_beats_are_found_at_any_rate_of_the_device_through_mains_and_pacer_spikes(rate_hz: int) -> None:
    at = every(0.75, 40)
    lead = complexes(at, 40, rate_hz=rate_hz)
    lead += (0.05 * np.sin(2 * np.pi * 50.3 * np.arange(len(lead)) / rate_hz)).astype(np.float32)
    spikes = [round((t - 0.08) * rate_hz) for t in at[20:]]
    lead[spikes] += 50.0
    front = FrontEnd()
    bed = front.open(rate_hz, 2)
    found = front.feed([Chunk(bed, np.stack([lead, -0.7 * lead]), 0, (), True, spikes)])[0].beats
    assert missed_and_false(found, at) == (0, 0)


@pytest.mark.parametrize("bpm", [20, 30, 45, 60, 100, 150, 200, 250, 300])
def test_every_rate_from_20_to_300_is_counted(bpm: int) -> None:
    at = every(60 / bpm, 40)
    t_s = min(0.18, 20 / bpm)
    found = feed(complexes(at, 40, width_s=min(0.08, 16 / bpm), t_mv=0.2 if bpm < 120 else 0.0, t_s=t_s))
    assert missed_and_false(found, at, since_s=6) == (0, 0)


def test_60601_2_27_qrs_of_half_a_millivolt_and_more_are_counted() -> None:
    at = every(0.75, 30)
    for qrs_mv in (0.5, 1.0, 5.0):
        for width_s in (0.07, 0.12):
            x = complexes(at, 30, qrs_mv, width_s) + noise(30, 0.02)
            assert missed_and_false(feed(x), at) == (0, 0), (qrs_mv, width_s)


def test_60601_2_27_qrs_of_0_15_mv_are_not_counted() -> None:
    x = complexes(every(0.75, 30), 30, qrs_mv=0.15 / 1.25, t_mv=0.0)
    assert np.ptp(x) <= 0.151
    assert len(feed(x)) == 0


def test_60601_2_27_tall_t_waves_are_not_counted() -> None:
    for bpm in (60, 80, 120):
        at = every(60 / bpm, 30)
        x = complexes(at, 30, qrs_mv=1.0, width_s=0.1, t_mv=1.2, t_s=0.18)
        assert missed_and_false(feed(x), at) == (0, 0), bpm


def test_60601_2_27_mains_of_100_uv_are_not_counted() -> None:
    t = np.arange(30 * RATE) / RATE
    for mains_hz in (50, 60):
        hum = (0.05 * np.sin(2 * np.pi * mains_hz * t)).astype(np.float32)
        assert len(feed(hum)) == 0
        at = every(0.75, 30)
        assert missed_and_false(feed(complexes(at, 30, 0.5) + hum), at) == (0, 0)


@pytest.mark.parametrize("value", [0.0, 5.0, -300.0, np.nan, np.inf])
def test_a_flat_or_missing_lead_gives_no_beats(value: float) -> None:
    assert len(feed(np.full((2, 20 * RATE), value, np.float32))) == 0


def test_noise_of_0_02_mv_gives_no_beats() -> None:
    assert len(feed(np.stack([noise(60, 0.02), noise(60, 0.02, 1)]))) == 0


def test_a_heart_that_stops_gives_no_beats_and_is_found_again() -> None:
    at = every(0.8, 20)
    again = [t + 30 for t in at]
    x = complexes(at + again, 50) + noise(50, 0.01)
    assert missed_and_false(feed(x), at + again) == (0, 0)


def test_smaller_beats_after_a_lead_change_are_found_within_6_s() -> None:
    at = every(0.8, 60)
    x = complexes(at, 60)
    x[30 * RATE :] *= 0.3
    found = feed(x + noise(60, 0.01))
    assert missed_and_false(found, at, since_s=36) == (0, 0)


def test_a_failed_lead_drops_out_and_comes_back() -> None:
    at = every(0.8, 60)
    x = np.stack([complexes(at, 60), complexes(at, 60, qrs_mv=0.7)]) + noise(60, 0.01)
    x[0, 10 * RATE : 20 * RATE] = np.nan
    x[1, 25 * RATE : 35 * RATE] = 0.0
    x[0, 40 * RATE : 50 * RATE] = noise(10, 1.0)
    found = feed(x)
    assert missed_and_false(found, [t for t in at if t < 40]) == (0, sum(found["sample"] > 40 * RATE))
    assert missed_and_false(found, at, since_s=52) == (0, 0)
    assert found["leads"][-1] == 0b11


def test_pacer_spikes_alone_are_not_beats() -> None:
    x = noise(30, 0.01)
    x[RATE::RATE] += 5.0
    assert len(feed(x)) == 0


def test_any_samples_are_accepted() -> None:
    rng = np.random.default_rng(5)
    x = rng.choice([0.0, np.nan, np.inf, -np.inf, 1e30, -1e30, 3.3, 1e-40], size=(3, 5000)).astype(np.float32)
    beats = Beats()
    beats.reset(0)
    feed(x, beats)
    feed(np.zeros((3, 10 * RATE), np.float32), beats)
    at = every(0.8, 40)
    found = feed(np.stack([complexes(at, 40)] * 3), beats)
    found["sample"] -= 5000 + 10 * RATE
    assert missed_and_false(found, at, since_s=12) == (0, 0)


def test_nothing_fed_is_nothing_found() -> None:
    beats = Beats()
    beats.reset(0)
    none = np.empty((1, 1, 0), np.float32)
    assert beats.feed(np.array([0]), none, np.array([1]), np.array([0]))[0].dtype == BEAT
    assert beats.feed(np.empty(0, np.int64), none[:0], np.empty(0, np.int64), np.empty(0, np.int64)) == []


def labels(found: NDArray[np.void], since_s: float = 0.0, end_s: float = 1e9) -> str:
    """Return the labels of the beats of a stretch."""
    times = found["sample"] / RATE
    return bytes(found["label"][(times >= since_s) & (times < end_s)]).decode()


def test_a_regular_narrow_rhythm_is_normal() -> None:
    assert set(labels(feed(complexes(every(0.8, 60), 60) + noise(60, 0.02)), 5)) == {"N"}


def test_a_fast_narrow_run_that_begins_at_once_is_supraventricular_to_its_end() -> None:
    before, after = every(0.8, 60), [float(t) for t in np.arange(101, 130, 0.8)]
    run = [float(t) for t in np.arange(60.1, 100, 0.4)]
    found = feed(complexes([*before, *run, *after], 131, t_s=0.14) + noise(131, 0.02))
    assert labels(found, 63, 99.5).count("S") >= 0.95 * len(labels(found, 63, 99.5))
    assert labels(found, 104, 130).count("N") >= 0.9 * len(labels(found, 104, 130))


def test_a_heart_that_becomes_fast_little_by_little_is_normal() -> None:
    rr = np.concatenate([np.full(40, 0.8), np.linspace(0.8, 0.55, 300), np.full(60, 0.55)])
    at = [float(t) for t in 0.5 + np.cumsum(rr)]
    named = labels(feed(complexes(at, at[-1] + 1, t_s=0.14) + noise(at[-1] + 1, 0.02)), 6)
    assert named.count("N") >= 0.97 * len(named)


def test_narrow_beats_of_an_irregular_rhythm_without_p_waves_are_mostly_normal() -> None:
    rr = np.random.default_rng(3).uniform(0.45, 1.1, 250)
    at = [float(t) for t in 0.5 + np.cumsum(rr)]
    named = labels(feed(complexes(at, at[-1] + 1) + noise(at[-1] + 1, 0.02)), 60)
    assert named.count("V") == 0
    assert named.count("N") >= 0.7 * len(named)


@pytest.mark.parametrize("bpm", [130, 160, 200])
def test_a_run_of_wide_beats_after_a_normal_rhythm_is_ventricular(bpm: int) -> None:
    before = every(0.8, 30)
    run = [float(t) for t in np.arange(30.0, 50.0, 60 / bpm)]
    x = complexes(before, 50) + complexes(run, 50, qrs_mv=-1.3, width_s=0.17, t_mv=0.0) + noise(50, 0.02)
    found = feed(x)
    assert missed_and_false(found, before + run, near_s=0.1)[0] <= 1
    named = labels(found, 29.9, 49.5)
    assert named[1:].count("V") >= 0.95 * len(named[1:]), named


def notched(at: list[float], seconds: float) -> np.ndarray:
    """Return wide complexes of three waves, as of a bundle branch block."""
    waves = ((0.0, 1.0), (0.08, -1.0), (0.16, 1.2))
    return np.sum([complexes([t + late for t in at], seconds, mv, width_s=0.1, t_mv=0.0) for late, mv in waves], axis=0)


def test_wide_beats_of_one_shape_that_were_always_there_become_the_patients_own() -> None:
    found = feed(notched(np.arange(0.5, 300, 0.54).tolist(), 300) + noise(300, 0.02))
    early, late = (found["label"][found["sample"] // 250 >= first] for first in (10, 150))
    assert (early[:100] == ord("V")).all()
    assert late.size > 270
    assert (late == ord("N")).mean() > 0.95


def test_a_run_of_wide_beats_that_lasts_for_minutes_after_a_normal_rhythm_stays_ventricular() -> None:
    before, run = np.arange(0.5, 70, 0.75).tolist(), np.arange(70.3, 370, 0.54).tolist()
    found = feed(complexes(before, 370) + notched(run, 370) + noise(370, 0.02))
    late = found["label"][found["sample"] > 72 * 250]
    assert late.size > 540
    assert (late == ord("V")).mean() > 0.95


def test_early_wide_beats_are_ventricular_and_early_normal_ones_supraventricular() -> None:
    at = every(0.8, 120)
    wide, narrow = at[10::12], at[16::12]
    for early in (*wide, *narrow):
        at.remove(early)
    wide, narrow = [t - 0.25 for t in wide], [t - 0.3 for t in narrow]
    x = complexes(at + narrow, 120) + complexes(wide, 120, qrs_mv=-1.4, width_s=0.16) + noise(120, 0.02)
    found = feed(x)
    times = found["sample"] / RATE
    for expected, when in (("V", wide), ("S", narrow), ("N", at)):
        given = [chr(found["label"][np.argmin(abs(times - t))]) for t in when if t > 6]
        assert given.count(expected) >= 0.9 * len(given), (expected, given)


def test_beats_of_one_shape_have_one_number_and_others_another() -> None:
    at = every(0.8, 90)
    wide, tall = [t + 0.42 for t in at[20::16]], [t + 0.42 for t in at[28::16]]
    x = complexes(at, 90) + complexes(wide, 90, qrs_mv=-1.4, width_s=0.16) + noise(90, 0.01)
    x += complexes(tall, 90, qrs_mv=1.8, width_s=0.2)
    found = feed(x)
    times = found["sample"] / RATE
    numbers = [{int(found["shape"][np.argmin(abs(times - t))]) for t in when if t > 6} for when in (at, wide, tall)]
    assert all(len(each) == 1 for each in numbers), numbers
    assert len(set.union(*numbers)) == 3
    assert min(min(each) for each in numbers) >= 0


def test_the_t_wave_of_the_beat_before_is_found_also_where_an_early_beat_lies_on_it() -> None:
    at = every(0.9, 60)
    early = [t + 0.28 for t in at[20::10]]
    x = complexes(at, 60, t_mv=0.35) + complexes(early, 60, qrs_mv=-1.4, width_s=0.14, t_mv=0.0) + noise(60, 0.01)
    found = feed(x)
    after = found["t_peak"][1:] - found["sample"][:-1]
    assert found["t_peak"][0] == -1
    normal = found["label"][:-1] == ord("N")
    assert (abs(after[normal] / RATE - 0.26) <= 0.03).mean() > 0.97  # complexes() has it at 0.30 s less half a QRS
    on_it = [np.argmin(abs(found["sample"] / RATE - t)) for t in early]
    assert all(abs(int(found["t_peak"][k] - found["sample"][k])) < 0.1 * RATE for k in on_it)


@pytest.mark.records
@pytest.mark.parametrize("name", ["100", "119", "208", "233"])
def test_beats_of_a_record_are_found_and_its_ventricular_ones_named(records: Path, name: str) -> None:
    record = read(records / "mitdb" / name)
    resampler, leads = Resampler(), record.mv()
    rows = np.arange(len(leads))
    for row in range(len(leads)):
        resampler.reset(row, record.rate_hz)
    signal, made = resampler.feed(rows, leads, np.full(len(leads), leads.shape[1]))
    found = feed(np.ascontiguousarray(signal[:, : made[0]]))
    at = np.round(found["sample"] * record.rate_hz / RATE).astype(np.int64)
    counts = score(annotations(records / "mitdb" / name), at, labels(found), record.rate_hz)
    assert min(counts.qrs.sensitivity, counts.qrs.ppv) >= 98.5
    assert counts.veb.sensitivity >= 93 or counts.veb.found + counts.veb.missed < 10
