"""Calm hearts of many beds, as rows: how far nothing but a rate is to be said of them, told by one kernel a batch.

What it goes by is what the rules do (`ecg.rhythm_calm`, `ecg.rhythm_intervals`), for hearts that beat as they should:
their beats like the normal ones and none ventricular, their last intervals without a break and alike, no wave, no lead
that comes or goes, nothing else to tell. At the first step at which that is not certain a row is over, and the rules
decide. They also have the state: beats and judgements are theirs to take later, for nobody looks at it in the meantime.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ecg import atrial, atrial_features
from ecg.atrial_features import describe
from ecg.atrial_weights import in_force, log_odds
from ecg.beat_state import BEAT
from ecg.clinical import Settings
from ecg.fibrillation import FIBRILLATION
from ecg.rate import SURE
from ecg.resample import ANALYSIS_HZ
from ecg.rhythm_calm import UNSURE
from ecg.rhythm_ectopy import MINUTE, many_pvcs, may_speak
from ecg.rhythm_intervals import SPREAD_BEATS
from ecg.rhythm_lethal import BRADY_BEATS, TACHY_BEATS
from ecg.rhythm_now import ECTOPY, IRREGULAR, QUICK_BEATS, QUICK_SHARE, RATE_BEATS, RUN_GAP_S, UNSURE_S
from ecg.rhythm_state import STEP, UNLIKE, USUAL, Mark, State
from ecg.rhythm_wave import LEAST_ODDS, SMOOTHED, WAVE_BEGINS
from ecg.rows import Rows

NAME = "regular"
"""The rhythm's name of a calm heart."""
_LIMITS = (
    "rate_low_bpm",
    "rate_high_bpm",
    "extreme_low_bpm",
    "extreme_high_bpm",
    "pause_s",
    "asystole_s",
    "svt_rate_bpm",
    "missed_beat_ratio",
    "irregular_spread",
)
_BEATS, _WAITING = SPREAD_BEATS, 4
_N, _S, _F, _Q = (ord(label) for label in "NSFQ")


def _sources() -> str:
    """Name the sources of what the kernel calls and compares with: it is compiled anew where they change.

    A compiled kernel is kept until its own file changes; the type of its rows is part of the key (`ecg.beat_state`).
    """
    folder = Path(__file__).parent
    files = [*sorted(folder.glob("rhythm*.py")), *sorted(folder.glob("atrial*.py")), folder / "rate.py"]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]


_ROW = np.dtype(
    [
        ("on", "i1"),
        ("end", "i8"),  # the last step that was gone through
        ("until", "i8"),  # the last sample at which no beat is overdue
        ("stands", "i8"),  # the last sample at which so many were ventricular in the last minute
        ("bpm", "f8"),
        ("last", "i8"),  # sample of the last beat
        ("quiet_since", "i8"),
        ("usable", "i8"),
        ("rr", "i8", (_BEATS,)),  # the last intervals, oldest first
        ("usual", "i8", (USUAL + 1,)),
        ("n_usual", "i8"),
        ("odds", "f8", (SMOOTHED,)),
        ("n_odds", "i8"),
        ("rr_s", "f8", (atrial_features.WINDOWS[-1],)),
        ("n_rr_s", "i8"),
        ("taken", "i8"),
        ("beat", BEAT, (_WAITING,)),  # what is not known yet at `end`
        ("n_beats", "i8"),
        ("judgement", FIBRILLATION, (_WAITING,)),
        ("n_judgements", "i8"),
        *((limit, "f8") for limit in _LIMITS),
        ("of_" + _sources(), "i1"),
    ]
)


class Told(NamedTuple):
    """What is told of a calm heart: the heart rate at steps `first`, `first + STEP`, ... up to `until`."""

    first: int
    until: int
    bpm: Sequence[float]


class CalmHearts:
    """Tells calm hearts of many beds, a row a bed."""

    def __init__(self) -> None:
        self._rows = Rows(np.zeros((), _ROW))

    def enter(
        self,
        row: int,
        state: State,
        settings: Settings,
        beats: Sequence[tuple[object, ...]],
        judgements: Sequence[tuple[object, ...]],
    ) -> list[Mark] | None:
        """Begin a row where the rules are, if the heart is calm; return what is to be told of it, None where it is not.

        Parameters
        ----------
        row : int
        state : State
            What the rules remember, of a patient without a pacemaker.
        settings : Settings
            In force.
        beats, judgements : sequence of tuple
            What is found and was not taken yet, as rows.
        """
        if not _may_be_calm(state, settings) or max(len(beats), len(judgements)) > _WAITING:
            return None
        self._rows.reset(row)
        own, heart = self._rows.state[row], state.atrial
        own["end"], own["last"], own["quiet_since"] = state.end, state.beats[-1].sample, state.quiet_since
        own["usable"], own["rr"] = state.usable, state.intervals[-_BEATS:]
        for name, values in (("usual", state.usual), ("odds", state.wave_odds), ("rr_s", heart.rr_s)):
            own[name][: len(values)], own[f"n_{name}"] = values, len(values)
        for name, values in (("beat", beats), ("judgement", judgements)):
            for at, each in enumerate(values):
                own[name][at] = each
            own[f"n_{name}s"] = len(values)
        own["taken"] = heart.taken
        for name in _LIMITS:
            own[name] = getattr(settings, name)
        pvcs = many_pvcs(state, state.end, settings)
        own["stands"] = np.iinfo(np.int64).max if pvcs is None else pvcs.onset + MINUTE - 1
        own["on"] = _is_calm(own)
        if not own["on"]:
            return None
        return [pvcs] if pvcs is not None and pvcs.condition not in settings.off else []

    def feed(
        self,
        rows: Sequence[int],
        clean: Sequence[int],
        beats: Sequence[NDArray[np.void]],
        judgements: Sequence[NDArray[np.void]],
    ) -> list[Told | None]:
        """Take what was found of some beds, and say how far they are calm.

        Parameters
        ----------
        rows : sequence of int
            Rows of the beds, each at most once.
        clean : sequence of int
            Samples up to which all is found.
        beats, judgements : sequence of ndarray of `BEAT` and `FIBRILLATION`
            What was found since.

        Returns
        -------
        list of Told or None
            Of each bed; None where the rules decide.
        """
        if not len(self._rows.state) or not len(rows):
            return [None] * len(rows)
        state, numbers, ends = self._rows.state, np.array(rows, np.int64), np.array(clean, np.int64) // STEP * STEP
        known = numbers < len(state)
        numbers = np.where(known, numbers, 0)
        on = known & (state["on"][numbers] != 0)
        first = state["end"][numbers] + STEP
        most = int(np.max(ends - first, where=on, initial=-STEP)) // STEP + 1
        bpm, until = np.empty((len(rows), most)), np.full(len(rows), -1)
        _feed(
            state, numbers, on, ends, _joined(beats, BEAT), _counts(beats), _joined(judgements, FIBRILLATION),
            _counts(judgements), in_force(), bpm, until,
        )  # fmt: skip
        told = zip(first.tolist(), until.tolist(), bpm.tolist(), strict=True)
        return [Told(*each) if each[1] >= 0 else None for each in told]


def _joined(found: Sequence[NDArray[np.void]], kind: np.dtype[np.void]) -> NDArray[np.void]:
    return np.frombuffer(bytearray().join([each.tobytes() for each in found]), kind)


def _counts(found: Sequence[NDArray[np.void]]) -> NDArray[np.int64]:
    return np.array([len(each) for each in found], np.int64)


def _may_be_calm(state: State, settings: Settings) -> bool:
    """Say whether a heart may be calm by what only the rules remember."""
    if len(state.intervals) < _BEATS or settings.svt_beats > _BEATS or not state.usable:
        return False
    if may_speak(state.beats, settings) or [beat.ventricular for beat in state.beats[-10:]].count(True) >= ECTOPY:
        return False
    if state.sure_at != state.beats[-1].sample or state.marks:
        return False
    since = (state.wave_since, state.flat_since, state.atrial.since, *state.off_since)
    return max(since) < 0


@njit(cache=True, error_model="numpy")
def _feed(state, rows, on, ends, beats, n_beats, judgements, n_judgements, weights, bpm, until):  # pyright: ignore
    """Go through the steps of each bed up to the first at which its heart is not certainly calm."""
    found = np.empty(atrial_features.N_FEATURES)
    beat, judgement = 0, 0
    for b in range(len(rows)):
        if on[b]:
            row = state[rows[b]]
            new, judged = beats[beat : beat + n_beats[b]], judgements[judgement : judgement + n_judgements[b]]
            until[b] = _go(row, ends[b], new, judged, weights, found, bpm[b])
        beat, judgement = beat + n_beats[b], judgement + n_judgements[b]


@njit(cache=True, error_model="numpy")
def _go(row, last, beats, judgements, weights, found, bpm):  # pyright: ignore
    """Go through the steps of a bed up to the last one; returns the last at which its heart is calm."""
    b, j, first = -row.n_beats, -row.n_judgements, row.end + STEP
    for end in range(first, last + 1, STEP):
        calm = True
        while calm and j < len(judgements):
            judgement = judgements[j] if j >= 0 else row.judgement[row.n_judgements + j]
            if judgement.end > end:
                break
            calm = _judged(row, judgement)
            j += 1
        news = False
        while calm and b < len(beats):
            beat = beats[b] if b >= 0 else row.beat[row.n_beats + b]
            if beat.confirmed >= end:
                break
            calm, news = _beaten(row, beat, weights, found), True
            b += 1
        if not calm or (news and not _is_calm(row)) or end > row.until:
            row.on = 0
            return row.end
        row.end = end
        bpm[(end - first) // STEP] = row.bpm
    if len(beats) - b > _WAITING or len(judgements) - j > _WAITING:
        row.on = 0
        return row.end
    n = 0
    for at in range(b, len(beats)):
        row.beat[n] = beats[at] if at >= 0 else row.beat[row.n_beats + at]
        n += 1
    row.n_beats, n = n, 0
    for at in range(j, len(judgements)):
        row.judgement[n] = judgements[at] if at >= 0 else row.judgement[row.n_judgements + at]
        n += 1
    row.n_judgements = n
    return row.end


@njit(cache=True, error_model="numpy")
def _judged(row, judgement):  # pyright: ignore
    """Take a judgement; True where it changes nothing that the rules look at (`ecg.rhythm_wave`)."""
    n = row.n_odds
    if n == SMOOTHED:
        row.odds[:-1] = row.odds[1:]
        n -= 1
    row.odds[n] = max(np.float64(judgement.score), LEAST_ODDS)
    row.n_odds = n + 1
    total = 0.0
    for k in range(n + 1):
        total += row.odds[k]
    likely = total > WAVE_BEGINS * (n + 1)
    return judgement.usable == row.usable and not judgement.flat and not judgement.fibrillatory and not likely


@njit(cache=True, error_model="numpy")
def _beaten(row, beat, weights, found):  # pyright: ignore
    """Take a beat (`ecg.rhythm_state`, `ecg.atrial`); True where it is as normal ones are, and follows the last."""
    label, rr = beat.label, beat.sample - row.last
    known = label in (_N, _S, _F, _Q)
    if not known or not beat.similarity >= UNLIKE or beat.rr_s != beat.rr_s or rr <= 0:
        return False
    if row.last < row.quiet_since:
        return False
    row.last = beat.sample
    row.rr[:-1] = row.rr[1:]
    row.rr[-1] = rr
    if row.n_usual == len(row.usual):
        row.usual[:-1] = row.usual[1:]
        row.n_usual -= 1
    row.usual[row.n_usual] = beat.sample
    row.n_usual += 1
    return not 0.2 * ANALYSIS_HZ < rr < 2.5 * ANALYSIS_HZ or _is_no_fibrillation(row, rr / ANALYSIS_HZ, weights, found)


@njit(cache=True, error_model="numpy")
def _is_no_fibrillation(row, rr_s, weights, found):  # pyright: ignore
    if row.n_rr_s == len(row.rr_s):
        row.rr_s[:-1] = row.rr_s[1:]
        row.n_rr_s -= 1
    row.rr_s[row.n_rr_s] = rr_s
    row.n_rr_s += 1
    row.taken += 1
    if row.taken < atrial.LEAST or row.taken % atrial.EVERY:
        return True
    describe(row.rr_s[: row.n_rr_s], found)
    return log_odds(found, weights) < SURE * atrial.ONSET


@njit(cache=True, error_model="numpy")
def _is_calm(row):  # pyright: ignore
    """Say whether nothing is to be told of the last beats but their rate, and note that and for how long it stands."""
    rr, last8 = row.rr, row.rr[_BEATS - RATE_BEATS :]
    row.bpm, row.until = _rate_bpm(last8), _until(row)
    if not row.rate_low_bpm <= row.bpm <= row.rate_high_bpm or rr[-1] + 1 >= row.pause_s * ANALYSIS_HZ:
        return False
    if not 0.501 * (last8.max() - last8.min()) * RATE_BEATS < IRREGULAR * last8.sum():
        return False
    longest, shortest = rr[_BEATS - BRADY_BEATS :].max(), rr[_BEATS - TACHY_BEATS :].min()
    for k in range(1, row.n_usual):
        longest = max(longest, row.usual[k] - row.usual[k - 1])
    if row.extreme_low_bpm * longest >= SURE * MINUTE or SURE * row.extreme_high_bpm * shortest <= MINUTE:
        return False
    low = SURE * rr.min()
    if low * row.svt_rate_bpm <= MINUTE or rr[-1] >= row.missed_beat_ratio * low:
        return False
    return rr.max() - low < 2 * row.irregular_spread * low


@njit(cache=True, error_model="numpy")
def _rate_bpm(last):  # pyright: ignore
    """Return the rate of intervals as `ecg.rhythm_now` does."""
    n = len(last) - QUICK_BEATS
    before, quick = last[:n].sum() / n, last[n:]
    if quick.min() > (1 + QUICK_SHARE) * before or quick.max() < (1 - QUICK_SHARE) * before:
        last = quick
    return 60.0 * ANALYSIS_HZ * len(last) / last.sum()


@njit(cache=True, error_model="numpy")
def _until(row):  # pyright: ignore
    """Return the last sample at which no beat is overdue, -1 where the heart may stand still until then."""
    last = max(row.last, row.quiet_since)
    until = last + row.rr[-1] + UNSURE
    if row.n_usual > 1:
        newest = row.usual[row.n_usual - 1]
        until = min(until, max(newest, row.quiet_since) + newest - row.usual[row.n_usual - 2] + UNSURE)
    still_s = (until - last) / ANALYSIS_HZ
    return -1 if still_s >= row.asystole_s + UNSURE_S or still_s > RUN_GAP_S else min(until, row.stands)
