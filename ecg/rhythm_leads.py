"""Rules of the electrodes: which are off, and whether every lead is flat."""

from __future__ import annotations

from ecg.condition import Finding
from ecg.resample import ANALYSIS_HZ
from ecg.rhythm_now import Now

SETTLED_S = 2.0
"""Seconds that all leads are flat beyond those that the judgement looks back on."""


def electrodes(now: Now) -> Finding | None:
    """Find electrodes that the device has said to be off for `lead_off_s`: some, or all."""
    limit_s, end = now.settings.lead_off_s, now.end
    if max(now.state.off_since, default=-1) < 0:
        return None
    off = {k: at for k, at in enumerate(now.state.off_since) if at >= 0 and end - at >= limit_s * ANALYSIS_HZ}
    if not off:
        return None
    condition = "all_leads_off" if len(off) == len(now.leads) else "lead_off"
    onset = max(off.values()) if len(off) == len(now.leads) else min(off.values())
    names = ",".join(now.leads[lead] for lead in off)
    off_s = (end - onset) / ANALYSIS_HZ
    return now.find(condition, onset, off_s, limit_s, "s", f"off: {names}", sum(1 << lead for lead in off))


def flat_signal(now: Now) -> Finding | None:
    """Find every lead flat, and none reported off."""
    since = now.state.flat_since
    if since < 0 or (now.end - since) < SETTLED_S * ANALYSIS_HZ or not now.state.usable:
        return None
    flat_s = (now.end - since) / ANALYSIS_HZ
    trace = f"all leads flat for {flat_s:.1f} s, none reported off"
    return now.find("flat_signal", since, flat_s, SETTLED_S, "s", trace, now.state.usable)


RULES = (electrodes, flat_signal)
