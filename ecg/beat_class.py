"""What a complex is: described in a few numbers against the patient's normal beat, and named from them."""

from __future__ import annotations

import math

from numba import njit

from ecg.beat_shape import fit
from ecg.beat_state import JOIN, RECENT, TEMPLATES

FEATURES = (
    "vote",
    "agree",
    "like",
    "known",
    "normal",
    "apart",
    "gain",
    "steep",
    "wide",
    "heavy",
    "width",
    "mass",
    "early",
    "before",
    "uneven",
    "share",
    "habit",
    "size",
    "noisy",
    "t",
    "last_steep",
    "since",
)


@njit(cache=True)
def silent(s, q):
    """Return whether a lead showed next to nothing of the last two beats: it has failed, and does not disagree."""
    limit = 0.2 * q.level
    return q.levels[(s.n_beats - 1) % RECENT] < limit and q.levels[(s.n_beats - 2) % RECENT] < limit


@njit(cache=True)
def describe(s, leads, anchor, since, vote, m, template, like, x, sums, f):
    """Describe a complex against what the bed has shown."""
    f[0] = math.log(max(vote, 0.02))
    agree, noisy, weights = 9.0, 0.0, 0.0
    for j in range(leads):
        q = s.lead[j]
        weights = max(weights, q.weight)
    for j in range(leads):
        q = s.lead[j]
        if q.weight > 0.3 * weights and q.blind == 0 and not silent(s, q):
            agree = min(agree, q.at_peak / q.level)
        noisy = max(noisy, q.noise / q.level * q.weight / weights)
    f[1] = math.log(max(agree, 0.1))
    f[2] = like
    count = s.template[template].count if template >= 0 else 0
    f[3] = like if count >= 3 else 0.0
    f[16] = s.template[template].early if template >= 0 and like > JOIN else 0.0
    f[15] = 0.0
    if template >= 0 and like > JOIN:
        t = s.template[template]
        f[15] = t.share if t.ventricular < 0.5 or t.interval > 150.0 else 0.0
    f[4], f[5], f[6], f[7], f[8], f[9] = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    if s.dominant >= 0:
        t = s.template[s.dominant]
        f[4] = fit(s, leads, anchor, x, s.dominant, sums)[0]
        f[5] = 2 * sums[2] / (sums[0] + sums[1]) if sums[0] + sums[1] > 0.0 else 0.0
        f[6] = 0.5 * math.log(max(sums[0], 1e-9) / max(sums[1], 1e-9))
        f[7] = math.log(max(m[1], 1e-9) / max(t.steep, 1e-9))
        f[8] = math.log(max(m[2], 8.0) / max(t.width_ms, 8.0))
        f[9] = math.log(max(m[4], 8.0) / max(t.mass_ms, 8.0))
    f[10] = math.log(max(m[2], 8.0) / 100.0)
    f[11] = math.log(max(m[4], 8.0) / 100.0)
    f[12] = math.log(min(since, 500) / s.interval)
    f[13] = math.log(max(s.found.rr_s, 0.1) * 250 / s.interval) if s.found.rr_s > 0 else 0.0
    n = min(s.n_intervals, len(s.intervals))
    uneven = 0.0
    for i in range(n):
        uneven += abs(math.log(s.intervals[i] / s.interval))
    f[14] = uneven / max(n, 1)
    f[17] = math.log(max(m[0], 1e-3))
    f[18] = noisy
    f[19] = 1.0 if since < 100 else 0.0
    f[20] = math.log(max(m[1], 1e-9) / s.beat_slope) if s.beat_slope > 0.0 else 0.0
    f[21] = since * 0.004


@njit(cache=True)
def evidence(f, since, rules):
    """Return the points that speak for a complex being a beat; above 0 it is one."""
    points = rules.base + rules.vote * min(0.0, f[0]) + rules.agree * min(0.0, f[1])
    points += rules.like * max(0.5, f[2]) + rules.known * max(0.0, f[3]) + rules.apart * max(0.0, f[5])
    points += rules.early * max(-0.7, min(0.0, f[12])) + rules.steep * min(0.0, f[7])
    if since < 100:
        points += rules.t_wave * min(0.0, f[20]) * (2.0 if since < 80 else 1.0)
    return points


@njit(cache=True)
def ventricular(s, f):
    """Return the log-odds that a complex is ventricular rather than normal or supraventricular."""
    if s.dominant < 0:
        return 8.0 * (f[11] + 0.2)
    early = max(-0.7, min(0.1, f[12]))
    z = 0.7 - 3.8 * f[5] - 9.4 * max(0.0, f[5] - 0.8) - 2.0 * early + 2.7 * f[6] + 2.8 * f[16] + 1.4 * f[11]
    common = min(0.3, f[15]) * (1.0 - f[16])
    return z - 1.6 * f[7] + 2.0 * max(-0.5, min(0.7, f[13])) + 4.1 * f[14] - 5.0 * common


@njit(cache=True)
def supraventricular(s, f):
    """Return the log-odds that a complex that is not ventricular came early from above the ventricles."""
    if s.dominant < 0:
        return -1.0
    z = -3.4 - 38.0 * min(0.0, f[12] + 0.1) + 36.0 * min(0.0, f[12] + 0.25)
    return z - 4.9 * f[14] + 5.6 * min(0.0, f[13])


@njit(cache=True)
def remember(s, k, f, m, odds):
    """Note what a beat says of its template, and which template is the patient's normal beat."""
    t = s.template[k]
    gain = max(1.0 / t.count, 0.1)
    t.steep += gain * (m[1] - t.steep)
    t.width_ms += gain * (m[2] - t.width_ms)
    t.mass_ms += gain * (m[4] - t.mass_ms)
    t.interval += gain * (min(f[21], 2.0) * 250.0 - t.interval)
    t.early += gain * ((1.0 if f[12] < -0.12 else 0.0) - t.early)
    t.ventricular += gain * ((1.0 if odds > 0.0 else 0.0) - t.ventricular)
    best, most = s.dominant, -1.0
    for j in range(TEMPLATES):
        c = s.template[j]
        slow = c.interval > 150.0  # below 100 bpm
        ordinary = c.ventricular < 0.5 and (c.mass_ms < 82.0 or c.count >= 60)
        if c.count >= 3 and (slow or ordinary):
            score = c.share * (1.0 - 0.8 * c.early) * (1.0 - 0.9 * c.ventricular) / max(c.mass_ms, 30.0)
            score *= 1.5 if j == s.dominant else 1.0
            if score > most:
                best, most = j, score
    s.dominant = best
