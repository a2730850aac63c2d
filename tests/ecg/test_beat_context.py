"""What describes a beat beside others: waves before the QRS, and the history of its shape."""

import numpy as np
from numpy.typing import NDArray

from ecg import beat_context as names
from ecg.beat_class import NORMAL, SINCE
from ecg.beat_detect import detect
from ecg.beat_intervals import SINCE_LONG, SINCE_NEAR
from ecg.beat_judge import Judge, Judges, shipped
from ecg.beat_state import BEAT, Rules, first_state
from ecg.rows import Rows
from tests.ecg.test_beat_judge import stump
from tests.ecg.test_beats import RATE, complexes, every, noise


def described(leads: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return when beats were, in seconds, and what describes each."""
    rows = Rows(first_state())
    rows.reset(0)
    x = np.ascontiguousarray(leads[None], np.float32)
    log, beats = np.zeros((2000, 2 + names.N_CONTEXT)), np.zeros((1, 1000), BEAT)
    detect(
        rows.state,
        np.array([0]),
        x,
        np.array([len(leads)]),
        np.array([x.shape[2]]),
        Rules(),
        beats,
        np.zeros(1, int),
        log,
    )
    log = log[1 : 1 + int(log[0, 0])]
    log = log[log[:, 1] > 0]
    return log[:, 0] / RATE, log[:, 2:]


def with_p(at: list[float], seconds: float) -> NDArray[np.float32]:
    """P waves 160 ms before each of these times."""
    t = np.arange(int(seconds * RATE)) / RATE
    return sum((0.15 * np.exp(-(((t - a + 0.16) / 0.025) ** 2)) for a in at), np.zeros_like(t)).astype(np.float32)


AT = every(0.9, 90)
WITHOUT = AT[30::10]
WIDE = [t + 0.45 for t in AT[25::10]]
LEAD = complexes(AT, 90) + complexes(WIDE, 90, qrs_mv=-1.2, width_s=0.16)
LEAD += with_p([t for t in AT if t not in WITHOUT], 90) + noise(90, 0.005)
TIMES, F = described(np.stack([LEAD, 0.6 * LEAD]))


def of(at: list[float]) -> NDArray[np.float64]:
    """Return what describes the beats at these times, from the 20th second on."""
    return F[[int(np.argmin(abs(TIMES - t))) for t in at if 20 < t < 88]]


def test_a_beat_without_its_p_wave_is_less_like_the_normal_ones_before_the_qrs() -> None:
    usual = of([t for t in AT if t not in WITHOUT and t - 0.45 not in WIDE])
    assert np.median(usual[:, names.P_LIKE]) > 0.9
    assert of(WITHOUT)[:, names.P_LIKE].max() < 0.6
    assert of(WITHOUT)[:, names.P_REST].min() > np.median(usual[:, names.P_REST]) + 1
    assert of(WITHOUT)[:, names.Q_LIKE].min() > 0.9


def test_a_shape_is_known_by_when_its_beats_came_before() -> None:
    wide = of(WIDE)[2:]
    assert (wide[:, names.T_RR] < -0.5).all()
    assert (wide[:, names.THICK] > 0.3).all()
    assert (wide[:, names.MOST_LIKE] < 0.8).all()
    assert (np.diff(wide[:, names.COUNT]) > 0).all()


def test_everything_that_describes_a_beat_is_a_number() -> None:
    assert np.isfinite(F).all()


def test_a_fast_beat_after_a_ventricular_one_is_ventricular_on_first_impression() -> None:
    bed, f = first_state().reshape(1), np.zeros(names.N_CONTEXT)
    bed["dominant"] = 0
    never = shipped()._replace(ventricular=shipped().ventricular._replace(lean=np.array([-99.0])))
    for last, since_s, odds, kind in (("V", 0.4, 1.0, 1), ("V", 0.8, 1.0, 0), ("V", 0.4, -1.0, 0), ("N", 0.4, 1.0, 0)):
        bed["found"]["label"], f[SINCE] = ord(last), since_s
        assert names.ventricular_or_early(bed[0], f, odds, never) == kind, (last, since_s, odds)


def test_judges_are_not_asked_where_there_is_no_doubt() -> None:
    bed, f = first_state().reshape(1), np.zeros(names.N_CONTEXT)
    bed["dominant"] = 0
    always = Judges(*(judge._replace(lean=np.array([99.0])) for judge in shipped()))
    assert names.ventricular_or_early(bed[0], f, names.NO_DOUBT - 0.1, always) == 0
    assert names.ventricular_or_early(bed[0], f, names.NO_DOUBT + 0.1, always) == 1
    f[SINCE_LONG] = names.EARLY - 0.01
    assert names.ventricular_or_early(bed[0], f, names.NO_DOUBT - 0.1, always) == 2


def test_a_beat_between_the_normal_one_and_others_that_is_on_time_and_nearly_ventricular_is_fusion() -> None:
    bed, f = first_state().reshape(1), np.zeros(names.N_CONTEXT)
    bed["dominant"] = 0
    nets = shipped().ventricular.nets
    silent = nets._replace(into=0 * nets.into, begin=0 * nets.begin, between=0 * nets.between, end=0 * nets.end)
    none = stump(0.0)._replace(base=np.zeros(1), leaf=np.zeros((1, 2), np.float32))
    for like, since, answer, kind in (
        (0.7, 0.0, -1.0, 3),
        (0.7, 0.0, 1.0, 1),
        (0.7, 0.0, -3.0, 0),
        (0.95, 0.0, -1.0, 0),
        (0.3, 0.0, -1.0, 0),
        (0.7, 0.2, -1.0, 0),
    ):
        f[NORMAL], f[SINCE_NEAR] = like, since
        judges = Judges(*(Judge(np.array([lean]), none, silent) for lean in (answer, -9.0)))
        assert names.ventricular_or_early(bed[0], f, 0.0, judges) == kind, (like, since, answer)
