"""What a beat is like beside those before it: intervals over minutes, and waves before and after the QRS."""

from __future__ import annotations

import math

from numba import njit

from ecg.beat_class import APART, NORMAL, SINCE
from ecg.beat_intervals import FIRST, SINCE_LONG, SINCE_NEAR, in_supraventricular_run, intervals
from ecg.beat_judge import log_odds, of_trees
from ecg.beat_state import JOIN, RING, SHAPE_LEADS, WIDE

# what a beat is described by beside `ecg.beat_class` and `ecg.beat_intervals`; logarithms of ratios, unless it says
# otherwise
P_LIKE = FIRST + 16  # likeness of what is before the QRS to the normal beat's
P_REST = FIRST + 17  # energy of the difference over the normal QRS's
P_SIZE = FIRST + 18  # energy before the normal QRS over the QRS's
P_NOW = FIRST + 19  # energy before this QRS over the normal QRS's
Q_LIKE = FIRST + 20  # the same two of the QRS
Q_GAIN = FIRST + 21
T_LIKE = FIRST + 22  # of what comes after the QRS
T_GAIN = FIRST + 23
LEAST_LIKE = FIRST + 24  # likeness of the QRS lead by lead: the smallest and the largest
MOST_LIKE = FIRST + 25
P_USUAL = FIRST + 26  # P_LIKE of normal beats, of late
P_CHANGE = FIRST + 27  # how much less P_LIKE is
P_MORE = FIRST + 28  # how much more P_REST is than for normal beats of late
LAST_LIKE = FIRST + 29  # likeness to the beat before
COUNT = FIRST + 30  # beats of its shape
THICK = FIRST + 31  # width by mass of its shape over the normal one's
T_RR = FIRST + 32  # interval before beats of its shape over the median
T_NEXT = FIRST + 33  # interval after beats of its shape over the median
T_V = FIRST + 34  # share of its shape's beats that looked ventricular
LAST_ODDS = FIRST + 35  # first impression of the beat before: log-odds of being ventricular
ODDS = FIRST + 36  # and of this one
WIDTH = FIRST + 38  # width, over 100 ms
P_BEST = FIRST + 39  # P_LIKE, moved up to 40 ms
EARLY_ODDS = FIRST + 40  # first impression of having come early, log-odds
T_REST = FIRST + 41  # energy of the difference after the QRS over the normal QRS's
LEAST_GAIN = FIRST + 42  # size of the QRS lead by lead over the normal one's: the smallest and the largest
MOST_GAIN = FIRST + 43
N_CONTEXT = FIRST + 44

V = ord("V")
FAST_S = 0.6
"""Interval of a ventricular tachycardia at its slowest: 100 a minute."""
NO_DOUBT = -5.5
"""First impression, as log-odds, up to which a beat is not ventricular; all but a few normal beats are below."""
FUSION_LEAST, FUSION_MOST, FUSION_ODDS, ON_TIME = 0.5, 0.85, -2.0, 0.12
"""Fusion: likeness to the normal beat, log-odds of being ventricular, interval over the median one as logarithm."""
EARLY = -0.02
"""Interval over the median one, as logarithm, from which on a beat is not early."""
CERTAIN = 9.0
"""Log-odds of a complex that there is no doubt about being a beat."""
ALIKE = 0.9
"""Likeness to the patient's normal beat, or of one fast ventricular beat to the one before, that leaves no doubt."""
QUIET, NOISY, MOSTLY = -4.0, -1.5, 0.1
"""Log-odds below which a complex is no beat: where none of the last were doubtful, and from this share of them on."""
DOUBT_GAIN = 0.1
"""Weight of the newest complex in that share: the last ten or so."""

_BEFORE = 74
"""Samples of the long shape before the anchor, 296 ms; every second one is kept, up to 192 ms behind it."""
_P_END = 29
_P_MOVED = 5
_Q_FIRST, _Q_END = 28, 48
_T_FIRST = 46
_MASK = RING - 1


@njit(cache=True)
def _part(s, leads, x, y, first, end, shift, sums):
    """Sum xx, yy, xy over leads of part of two long shapes, each less its mean there."""
    sums[0], sums[1], sums[2] = 0.0, 0.0, 0.0
    n = end - first
    for j in range(min(leads, SHAPE_LEADS)):
        q = s.lead[j]
        if q.blind_now > 0:
            continue
        share = q.weight / (q.level * q.level)
        a, b, aa, bb, ab = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(first, end):
            u, v = x[j, i + shift], y[j, i]
            a += u
            b += v
            aa += u * u
            bb += v * v
            ab += u * v
        sums[0] += share * (aa - a * a / n)
        sums[1] += share * (bb - b * b / n)
        sums[2] += share * (ab - a * b / n)


@njit(cache=True)
def _r(sums):
    product = sums[0] * sums[1]
    return sums[2] / math.sqrt(product) if product > 1e-18 else 0.0


@njit(cache=True)
def _log(a, b):
    return math.log((a + 1e-6) / (b + 1e-6))


@njit(cache=True)
def cut_long(s, leads, anchor, x):
    """Cut a complex with what is before and after it out of the ring, x of shape (SHAPE_LEADS, WIDE)."""
    for j in range(min(leads, SHAPE_LEADS)):
        for k in range(WIDE):
            x[j, k] = s.ring[j, (anchor - _BEFORE + 2 * k) & _MASK]


@njit(cache=True)
def _lead_by_lead(s, leads, x, f):
    """Compare the QRS with the normal beat's in each lead that shows it."""
    least, most, small, large = 2.0, -2.0, 9.0, -9.0
    n = _Q_END - _Q_FIRST
    for j in range(min(leads, SHAPE_LEADS)):
        if s.lead[j].blind_now > 0 or s.lead[j].weight < 0.1:
            continue
        a, b, aa, bb, ab = 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(_Q_FIRST, _Q_END):
            u, v = x[j, i], s.long[j, i]
            a += u
            b += v
            aa += u * u
            bb += v * v
            ab += u * v
        aa, bb = aa - a * a / n, bb - b * b / n
        product = aa * bb
        r = (ab - a * b / n) / math.sqrt(product) if product > 1e-12 else 0.0
        least, most = min(least, r), max(most, r)
        small, large = min(small, _log(aa, bb)), max(large, _log(aa, bb))
    f[LEAST_LIKE], f[MOST_LIKE] = (least, most) if least < 1.5 else (f[Q_LIKE], f[Q_LIKE])
    f[LEAST_GAIN], f[MOST_GAIN] = (small, large) if least < 1.5 else (f[Q_GAIN], f[Q_GAIN])


@njit(cache=True)
def waves(s, leads, x, sums, f):
    """Compare a long shape, part by part, with the normal beat's and with the last beat's."""
    f[P_LIKE : LAST_LIKE + 1] = 0.0
    f[P_BEST] = 0.0
    f[T_REST : MOST_GAIN + 1] = 0.0
    if s.n_beats > 0:
        _part(s, leads, x, s.last_long, _Q_FIRST, _Q_END, 0, sums)
        f[LAST_LIKE] = _r(sums)
    if s.dominant < 0 or s.long_count < 3:
        return
    y = s.long
    _part(s, leads, x, y, _Q_FIRST, _Q_END, 0, sums)
    size = sums[1]
    f[Q_LIKE], f[Q_GAIN] = _r(sums), _log(sums[0], sums[1])
    _part(s, leads, x, y, 0, _P_END, 0, sums)
    f[P_LIKE] = f[P_BEST] = _r(sums)
    rest = max(0.0, sums[0] + sums[1] - 2.0 * sums[2])
    f[P_REST], f[P_SIZE], f[P_NOW] = _log(rest, size), _log(sums[1], size), _log(sums[0], size)
    for shift in range(-_P_MOVED, _P_MOVED + 1):
        _part(s, leads, x, y, _P_MOVED, _P_END - _P_MOVED, shift, sums)
        f[P_BEST] = max(f[P_BEST], _r(sums))
    _part(s, leads, x, y, _T_FIRST, WIDE, 0, sums)
    f[T_LIKE], f[T_GAIN] = _r(sums), _log(sums[0], sums[1])
    f[T_REST] = _log(max(0.0, sums[0] + sums[1] - 2.0 * sums[2]), size)
    _lead_by_lead(s, leads, x, f)
    f[P_USUAL], f[P_CHANGE], f[P_MORE] = s.p_usual, s.p_usual - f[P_LIKE], f[P_REST] - s.p_rest


@njit(cache=True)
def shape_history(s, template, joins, m, f):
    """Describe the shape that a beat has by the beats that had it before."""
    for k in range(COUNT, T_V + 1):
        f[k] = 0.0
    if joins:
        t = s.template[template]
        f[COUNT] = math.log(1.0 + t.count)
        normal = s.template[s.dominant].mass_ms if s.dominant >= 0 else 80.0
        f[THICK] = math.log(max(t.mass_ms, 8.0) / max(normal, 8.0))
        f[T_RR], f[T_NEXT], f[T_V] = t.before, t.after, t.ventricular
    elif s.dominant >= 0:
        f[THICK] = math.log(max(m[4], 8.0) / max(s.template[s.dominant].mass_ms, 8.0))


@njit(cache=True)
def describe_beat(s, leads, anchor, since, template, like, m, x, sums, f):
    """Describe a beat beside those before it; x, of shape (SHAPE_LEADS, WIDE), is filled with its long shape."""
    intervals(s, since, f)
    cut_long(s, leads, anchor, x)
    waves(s, leads, x, sums, f)
    shape_history(s, template, template >= 0 and like > JOIN, m, f)
    f[LAST_ODDS], f[WIDTH] = s.last_odds, m[2] * 0.01


@njit(cache=True)
def ventricular_or_early(s, f, odds, judges):
    """Return 1 for a ventricular beat, 2 for one that came early from above the ventricles, 3 for fusion, else 0.

    As long as no normal beat is known there is nothing to compare with, and the first impression, `odds`, decides. That
    is enough, too, where a beat follows a ventricular one as fast as in a tachycardia: none of these is to be missed.
    The judges are asked only where there may be a doubt. Fusion is what is nearly as likely ventricular as not, between
    the normal beat and others in shape, and on time.
    """
    if s.dominant < 0:
        return 1 if odds > 0.0 else 0
    if s.found.label == V and odds > 0.0 and f[SINCE] < FAST_S:
        return 1
    answer = log_odds(judges.ventricular, f) if odds > NO_DOUBT else -99.0
    if answer > 0.0:
        return 1
    if min(f[SINCE_NEAR], f[SINCE_LONG]) < EARLY and log_odds(judges.supraventricular, f) > 0.0:
        return 2
    if in_supraventricular_run(s):
        return 2
    between = FUSION_LEAST < f[NORMAL] < FUSION_MOST and abs(f[SINCE_NEAR]) < ON_TIME
    return 3 if between and answer > FUSION_ODDS else 0


@njit(cache=True)
def beat_odds(s, f, doubt):
    """Return the log-odds of a complex being a beat.

    As long as no normal beat is known, and in a regular ventricular tachycardia, there is no doubt.
    """
    fast = s.found.label == V and f[SINCE] < FAST_S and f[LAST_LIKE] > ALIKE
    return CERTAIN if s.dominant < 0 or f[APART] >= ALIKE or fast else of_trees(doubt, f)


@njit(cache=True)
def is_none(s, odds):
    """Return whether a complex is no beat, by its log-odds and by how many of the last were doubtful, and note it."""
    limit = QUIET + (NOISY - QUIET) * min(1.0, s.doubtful / MOSTLY)
    s.doubtful += DOUBT_GAIN * ((1.0 if odds < 0.0 else 0.0) - s.doubtful)
    return odds < limit


@njit(cache=True)
def learn_context(s, leads, k, x, f):
    """Note what a beat says of its shape, and of what comes before and after a normal beat."""
    if s.shape_last >= 0:
        t = s.template[s.shape_last]
        if t.number == s.shape_number:
            t.after += max(1.0 / t.count, 0.1) * (f[SINCE_NEAR] - t.after)
    t = s.template[k]
    t.before += max(1.0 / t.count, 0.1) * (f[SINCE_NEAR] - t.before) if t.count > 1 else f[SINCE_NEAR] - t.before
    if t.count == 1:
        t.after = 0.0
    s.shape_last, s.shape_number = k, t.number
    s.last_odds = f[ODDS]
    for j in range(min(leads, SHAPE_LEADS)):
        for i in range(WIDE):
            s.last_long[j, i] = x[j, i]
    if s.dominant < 0:
        return
    if s.template[s.dominant].number != s.long_of:
        s.long_of, s.long_count = s.template[s.dominant].number, 0
    if k != s.dominant or in_supraventricular_run(s) or f[SINCE_NEAR] < -0.12 or (s.long_count >= 3 and f[APART] < 0.5):
        return
    s.long_count += 1
    gain = max(1.0 / s.long_count, 0.04)
    for j in range(min(leads, SHAPE_LEADS)):
        for i in range(WIDE):
            s.long[j, i] += gain * (x[j, i] - s.long[j, i])
    if s.long_count == 4:
        s.p_usual, s.p_rest = f[P_LIKE], f[P_REST]
    elif s.long_count > 4:
        s.p_usual += 0.04 * (f[P_LIKE] - s.p_usual)
        s.p_rest += 0.04 * (f[P_REST] - s.p_rest)
