"""The table of conditions: what alarms, how loudly, in which words, by which definition and after whom.

Definitions follow manufacturers' public manuals, named with each; codes are IEEE 11073 MDC, SNOMED CT, or Vigil's own
where those have none that fits.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Priority = Literal["high", "medium", "low"]


class Condition(NamedTuple):
    """What a condition is to a ward.

    `text` is formatted with `value` and `limit`; `definition` says when it holds, with `{setting}` where a number of
    `ecg.clinical.Settings` decides, and `source` after whom. `delay_s` is how long it must hold before it alarms,
    beyond what its definition says; it has ended once it was absent for `hold_s`, so that a flicker is one episode; for
    `inhibit_s` after its end, or that of a worse one of its chains, it does not sound again. A latching one stays
    visible after it ended until somebody acknowledges it; one `by_lead` speaks again when a further lead joins.
    """

    name: str
    priority: Priority
    code: str
    text: str
    definition: str
    source: str
    lethal: bool = False
    latching: bool = False
    technical: bool = False
    delay_s: float = 0.0
    hold_s: float = 3.0
    inhibit_s: float = 0.0
    by_lead: bool = False


# fmt: off
ALL: tuple[Condition, ...] = (
    Condition("asystole", "high", "MDC 199684", "*** ASYSTOLE no beat for {value:.1f} s (limit {limit:g} s)",
              "no QRS on any usable lead for {asystole_s}", "Philips ST/AR, GE EK-Pro", lethal=True, latching=True),
    Condition("ventricular_fibrillation", "high", "SNOMED 71908006", "*** VFIB/FLUTTER for {value:.1f} s",
              "a fibrillatory wave for {fibrillation_s}", "Philips ST/AR", lethal=True, latching=True, hold_s=10.0),
    Condition("ventricular_tachycardia", "high", "SNOMED 25569003", "*** VTACH {value:.0f} bpm (limit {limit:g})",
              "a run of ventricular beats, at least {vt_beats}, by their mean RR faster than {vt_rate_bpm}; or a "
              "wide, regular wave as fast",
              "Philips ST/AR, Mindray ePM", lethal=True, latching=True, hold_s=10.0),
    Condition("extreme_bradycardia", "high", "MDC 199692", "*** EXTREME BRADY {value:.0f} < {limit:g} bpm",
              "the mean of the last 4 intervals is below the low limit less {extreme_below_low_bpm}, never sought "
              "below 30 bpm",
              "Philips ST/AR", lethal=True, latching=True),
    Condition("extreme_tachycardia", "high", "MDC 199870", "*** EXTREME TACHY {value:.0f} > {limit:g} bpm",
              "the mean of the last 12 intervals is above the high limit plus {extreme_above_high_bpm}, never "
              "sought above 200 bpm",
              "Philips ST/AR", lethal=True, latching=True, hold_s=10.0),
    Condition("nonsustained_vt", "medium", "SNOMED 66657009", "** NON-SUSTAINED VT {value:.0f} bpm (limit {limit:g})",
              "a run of ventricular beats, at least {run_beats} and fewer than {vt_beats}, at over {vt_rate_bpm}, "
              "once it ended",
              "Mindray ePM", hold_s=10.0, inhibit_s=180.0),
    Condition("ventricular_rhythm", "medium", "SNOMED 61277005", "** VENTRICULAR RHYTHM {value:.0f} bpm",
              "a run of ventricular beats, at least {run_beats}, at {vt_rate_bpm} or less",
              "Mindray V Series, Welch Allyn Acuity", hold_s=10.0, inhibit_s=180.0),
    Condition("pvc_run", "medium", "VIGIL pvc_run", "** RUN OF {value:.0f} PVCs",
              "a run of ventricular beats, at least {run_beats}, at whatever rate, even or not, once it ended",
              "Mindray TM80, Spacelabs", hold_s=10.0, inhibit_s=180.0),
    Condition("couplet", "medium", "SNOMED 251182009", "** PVC COUPLET",
              "two ventricular beats in a row between others",
              "Welch Allyn Acuity, Mindray TM80", hold_s=10.0, inhibit_s=600.0),
    Condition("r_on_t", "medium", "VIGIL r_on_t", "** R ON T, PVC {value:.0f} ms from the T peak (limit {limit:g})",
              "a ventricular beat within {r_on_t_ms} of the peak of the T wave of a beat that is not",
              "Philips ST/AR, Mindray TM80", hold_s=10.0, inhibit_s=600.0),
    Condition("bigeminy", "medium", "SNOMED 11157007", "** BIGEMINY",
              "every second beat ventricular, {bigeminy_cycles} in a row",
              "Mindray TM80, Welch Allyn Acuity", hold_s=10.0, inhibit_s=600.0),
    Condition("trigeminy", "medium", "SNOMED 251180001", "** TRIGEMINY",
              "every third beat ventricular, {bigeminy_cycles} in a row",
              "Mindray TM80, Welch Allyn Acuity", hold_s=10.0, inhibit_s=600.0),
    Condition("supraventricular_tachycardia", "medium", "SNOMED 6456007", "** SVT {value:.0f} bpm (limit {limit:g})",
              "a run of even beats, none ventricular, at least {svt_beats}, at over {svt_rate_bpm}",
              "Philips ST/AR, Spacelabs", hold_s=10.0, inhibit_s=180.0),
    Condition("pacer_not_capturing", "medium", "VIGIL pacer_not_capturing",
              "** PACER NOT CAPTURING, no QRS for {value:.1f} x the mean (limit {limit:g})",
              "of a patient admitted as paced, no QRS for {pacer_ratio} the mean interval, with a spike since the last",
              "Philips ST/AR", hold_s=10.0),
    Condition("pacer_not_pacing", "medium", "VIGIL pacer_not_pacing",
              "** PACER NOT PACING, no QRS for {value:.1f} x the mean (limit {limit:g})",
              "the same without a spike", "Philips ST/AR", hold_s=10.0),
    Condition("pause", "medium", "VIGIL pause", "** PAUSE {value:.1f} s (limit {limit:g} s)",
              "an RR interval, or the time since the last beat, longer than {pause_s}",
              "Mindray ePM", hold_s=10.0, inhibit_s=60.0),
    Condition("atrial_fibrillation", "medium", "MDC 199736", "** AFIB, rate {value:.0f} bpm",
              "irregular intervals of beats that are not ventricular for {af_s}, counted from the onset that is named; "
              "`ecg.atrial`",
              "Philips ST/AR", hold_s=30.0),
    Condition("irregular_rhythm", "medium", "MDC 199726", "** IRREGULAR RHYTHM",
              "intervals between beats that are not ventricular spread by over {irregular_spread}, without atrial "
              "fibrillation",
              "Mindray Passport V, Philips ST/AR", delay_s=60.0, hold_s=30.0, inhibit_s=600.0),
    Condition("rate_high", "medium", "MDC 199870", "** HR {value:.0f} > {limit:g} bpm",
              "the heart rate is above {rate_high_bpm}", "all", delay_s=3.0, hold_s=20.0),
    Condition("rate_low", "medium", "MDC 199692", "** HR {value:.0f} < {limit:g} bpm",
              "the heart rate is below {rate_low_bpm}", "all", delay_s=3.0, hold_s=20.0),
    Condition("pvcs_per_minute", "medium", "MDC 148066", "** PVCs {value:.0f}/min (limit {limit:g})",
              "ventricular beats in the last minute over {pvcs_per_minute}",
              "Philips ST/AR, Mindray V Series", hold_s=10.0, inhibit_s=180.0),
    Condition("multiform_pvcs", "medium", "SNOMED 10626002", "** MULTIFORM PVCs",
              "ventricular beats of two shapes among the last {multiform_beats}",
              "Philips ST/AR, Mindray TM80", hold_s=10.0, inhibit_s=600.0),
    Condition("missed_beat", "medium", "MDC 199686", "** MISSED BEAT, RR {value:.1f} x the mean (limit {limit:g})",
              "an RR interval over {missed_beat_ratio} the mean of even ones before it, no ventricular beat "
              "among them",
              "Mindray TM80, Spacelabs", hold_s=10.0, inhibit_s=600.0),
    Condition("st_high", "medium", "MDC 131840", "** ST {leads} {value:+.2f} > {limit:+.2f} mV",
              "in some lead ST at J + 60 ms of the averaged normal beat is above {st_high_mv}, with a QRS of at most "
              "120 ms",
              "Philips ST/AR, Mindray", delay_s=60.0, hold_s=60.0, inhibit_s=600.0, by_lead=True),
    Condition("st_low", "medium", "MDC 131840", "** ST {leads} {value:+.2f} < {limit:+.2f} mV",
              "the same is below {st_low_mv}",
              "Philips ST/AR, Mindray", delay_s=60.0, hold_s=60.0, inhibit_s=600.0, by_lead=True),
    Condition("qtc_high", "medium", "MDC 146948", "** QTc {value:.0f} > {limit:g} ms",
              "QTc of the averaged normal beat, the median of five minutes, is above {qtc_high_ms}, with a QRS of at "
              "most 120 ms",
              "Philips, Mindray", delay_s=150.0, hold_s=60.0, inhibit_s=600.0),
    Condition("qtc_delta", "medium", "MDC 146948", "** QTc {value:+.0f} ms (limit {limit:g} ms)",
              "the same is longer than in the first five minutes of the patient by over {qtc_delta_ms}",
              "Philips, Mindray", delay_s=150.0, hold_s=60.0, inhibit_s=600.0),
    Condition("no_data", "medium", "VIGIL no_data", "! NO DATA for {value:.0f} s",
              "no frame for {no_data_s}, by the ward's clock in the log", "Vigil", technical=True, hold_s=0.0),
    Condition("cannot_analyse", "medium", "VIGIL cannot_analyse", "! CANNOT ANALYSE ECG for {value:.0f} s",
              "for 10 s of signal neither a rate nor a lethal rhythm nor electrodes off could be said, whatever "
              "the reason",
              "Philips ST/AR", technical=True),
    Condition("artefact_suspended", "medium", "MDC 197040",
              "! ARTEFACT, ANALYSIS SUSPENDED: noise in {value:.0f} of the last 30 s",
              "every lead with a signal noisy in 20 of the last 30 s", "GE EK-Pro", technical=True),
    Condition("all_leads_off", "medium", "MDC 196876", "! ALL LEADS OFF for {value:.0f} s",
              "the device says of every electrode that it is off, for {lead_off_s}",
              "IEC 60601-2-27, as described", technical=True),
    Condition("lead_off", "low", "MDC 196876", "! LEAD OFF {leads}",
              "the same of some", "IEC 60601-2-27, as described", technical=True, by_lead=True),
    Condition("artefact", "low", "MDC 197040", "! ARTEFACT, LETHAL ALARMS ONLY: noise in {value:.0f} of the last 30 s",
              "every lead with a signal noisy in 10 of the last 30 s", "GE EK-Pro", technical=True, hold_s=10.0),
    Condition("flat_signal", "low", "MDC 197040", "! FLAT SIGNAL on all leads, lead not reported off",
              "every lead flat for 2 s, and none reported off; it is asystole too", "Vigil", technical=True),
    Condition("data_gap", "low", "VIGIL data_gap", "! GAP in the data, {value:.1f} s",
              "samples missing, in the last 10 s", "Vigil", technical=True),
    Condition("data_loss", "medium", "VIGIL data_loss", "! DATA LOST, {value:.0f} records of the log missing",
              "offsets of the log are missing", "Vigil", technical=True),
    Condition("clock_skew", "low", "VIGIL clock_skew", "! DEVICE CLOCK stepped {value:.1f} s",
              "the device's clock was set, in the last 10 s", "Vigil", technical=True),
    Condition("bad_frames", "low", "VIGIL bad_frames", "! DEVICE sends bad frames ({value:.0f})",
              "10 frames in a row that could not be accepted", "Vigil", technical=True),
    Condition("rules_alone", "low", "VIGIL rules_alone", "! MODEL not running, rules alone",
              "the setup names no network", "Vigil", technical=True),
    Condition("store_down", "high", "VIGIL store_down", "! ALERTS NOT SHOWN, Redis silent {value:.0f} s",
              "the store of what the ward sees does not answer", "IEC 60601-1-8, as described", technical=True),
    Condition("alert_conflict", "high", "VIGIL alert_conflict", "! CONFLICT: an alert came again changed",
              "an alert came again with other bytes", "Vigil", technical=True),
    Condition("chain_fork", "high", "VIGIL chain_fork", "! FORK: two alerts follow the same one",
              "two alerts of a device follow the same one", "Vigil", technical=True),
    Condition("risk_level", "low", "VIGIL risk_level", "risk {level}",
              "the bed's risk level changed", "Vigil"),
)
# fmt: on
"""Every condition; the order is the order in which chains are read, worst first."""
