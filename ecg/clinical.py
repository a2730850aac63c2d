"""Clinical settings: the numbers of the definitions and the limits that decide alarms, in one table with their ranges.

What they decide, and after whom, stands in `ecg.condition_table`.
"""

from __future__ import annotations

import hashlib
from typing import Literal, NamedTuple

import msgspec

from ecg.condition import MAY_BE_OFF


class Range(NamedTuple):
    """The range of one setting, its unit and what it means."""

    low: float
    high: float
    unit: str
    meaning: str


RANGES: dict[str, Range] = {
    "asystole_s": Range(3.0, 8.0, "s", "no QRS for this long is asystole"),
    "fibrillation_s": Range(2.0, 6.0, "s", "fibrillatory waves for this long are ventricular fibrillation or flutter"),
    "vt_beats": Range(3, 15, "beats", "a run of this many ventricular beats is ventricular tachycardia"),
    "vt_rate_bpm": Range(80, 200, "bpm", "the rate above which such a run is a tachycardia"),
    "rate_low_bpm": Range(30, 100, "bpm", "low limit of the heart rate"),
    "rate_high_bpm": Range(60, 220, "bpm", "high limit of the heart rate"),
    "extreme_below_low_bpm": Range(0, 30, "bpm", "extreme bradycardia lies this far below the low limit"),
    "extreme_above_high_bpm": Range(0, 50, "bpm", "extreme tachycardia lies this far above the high limit"),
    "pvcs_per_minute": Range(1, 60, "1/min", "more ventricular beats in a minute than this alarm"),
    "run_beats": Range(3, 10, "beats", "so many ventricular beats in a row are a run, or a ventricular rhythm"),
    "bigeminy_cycles": Range(2, 8, "cycles", "bigeminy or trigeminy once its pattern came this many times in a row"),
    "r_on_t_ms": Range(40, 200, "ms", "a ventricular beat this near to a T wave's peak is R on T"),
    "multiform_beats": Range(5, 20, "beats", "ventricular beats of two shapes among so many beats are multiform"),
    "pause_s": Range(1.0, 5.0, "s", "an RR interval longer than this is a pause"),
    "af_s": Range(0.0, 300.0, "s", "atrial fibrillation that lasts for this long alarms"),
    "missed_beat_ratio": Range(1.5, 2.5, "x", "an RR interval over this many times the mean one is a missed beat"),
    "pacer_ratio": Range(1.5, 3.0, "x", "no QRS for this many times the mean interval is a pacer that fails"),
    "svt_beats": Range(3, 30, "beats", "a run of this many beats from above the ventricles can be a tachycardia"),
    "svt_rate_bpm": Range(120, 250, "bpm", "the rate above which such a run is a supraventricular tachycardia"),
    "irregular_spread": Range(0.08, 0.4, "x mean", "RR intervals that spread by more than this are irregular"),
    "st_high_mv": Range(-1.8, 2.0, "mV", "ST of a lead above this alarms"),
    "st_low_mv": Range(-2.0, 1.8, "mV", "ST of a lead below this alarms"),
    "qtc_high_ms": Range(200, 800, "ms", "QTc above this alarms"),
    "qtc_delta_ms": Range(30, 200, "ms", "QTc this much longer than in the patient's first five minutes alarms"),
    "lead_off_s": Range(0.5, 10, "s", "an electrode off for this long alarms"),
    "no_data_s": Range(2, 120, "s", "no frame for this long alarms"),
}
"""Every setting that is a number, with its range. Extreme bradycardia is never sought below 30 bpm, nor extreme
tachycardia above 200."""

EXTREME_FLOOR_BPM, EXTREME_CEILING_BPM = 30.0, 200.0


class Limits(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What staff may set for one patient; None leaves the ward's setting."""

    rate_low_bpm: float | None = None
    rate_high_bpm: float | None = None
    pvcs_per_minute: float | None = None
    no_data_s: float | None = None
    st_high_mv: float | None = None
    st_low_mv: float | None = None
    qtc_high_ms: float | None = None
    qtc_delta_ms: float | None = None

    def check(self) -> None:
        """Raise ValueError where a limit is outside its range."""
        _check(self)


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ward's settings, in force for every patient without limits of their own.

    `off` names the conditions that do not alarm in this ward, of those in `ecg.condition.MAY_BE_OFF`; `qtc_formula` is
    how QT is brought to a rate of 60 (`ecg.rhythm_st`).
    """

    asystole_s: float = 4.0
    fibrillation_s: float = 4.0
    vt_beats: int = 5
    vt_rate_bpm: float = 100.0
    rate_low_bpm: float = 50.0
    rate_high_bpm: float = 120.0
    extreme_below_low_bpm: float = 10.0
    extreme_above_high_bpm: float = 20.0
    pvcs_per_minute: float = 10.0
    lead_off_s: float = 3.0
    no_data_s: float = 5.0
    run_beats: int = 3
    bigeminy_cycles: int = 3
    r_on_t_ms: float = 100.0
    multiform_beats: int = 15
    pause_s: float = 3.0
    af_s: float = 30.0
    missed_beat_ratio: float = 1.8
    pacer_ratio: float = 1.75
    svt_beats: int = 5
    svt_rate_bpm: float = 180.0
    irregular_spread: float = 0.15
    st_high_mv: float = 0.2
    st_low_mv: float = -0.2
    qtc_high_ms: float = 500.0
    qtc_delta_ms: float = 60.0
    qtc_formula: Literal["fridericia", "bazett"] = "fridericia"
    off: tuple[str, ...] = ()

    def check(self) -> None:
        """Raise ValueError where a setting is outside its range, or what is off may not be."""
        _check(self)
        for name in self.off:
            if name not in MAY_BE_OFF:
                raise ValueError(f"off must be of {', '.join(MAY_BE_OFF)}, got {name!r}")

    @property
    def extreme_low_bpm(self) -> float:
        """The rate below which bradycardia is extreme."""
        return max(EXTREME_FLOOR_BPM, self.rate_low_bpm - self.extreme_below_low_bpm)

    @property
    def extreme_high_bpm(self) -> float:
        """The rate above which tachycardia is extreme."""
        return min(EXTREME_CEILING_BPM, self.rate_high_bpm + self.extreme_above_high_bpm)

    def sha256(self) -> str:
        """Return the hash that stands on every alert that these settings decided."""
        return hashlib.sha256(msgspec.msgpack.encode(self)).hexdigest()

    def with_limits(self, limits: Limits) -> Settings:
        """Return these settings with one patient's limits over them."""
        changes = {k: v for k, v in msgspec.structs.asdict(limits).items() if v is not None}
        return msgspec.structs.replace(self, **changes)


def _check(values: Limits | Settings) -> None:
    for name, value in msgspec.structs.asdict(values).items():
        if name in RANGES and value is not None and not RANGES[name].low <= value <= RANGES[name].high:
            low, high, unit, _ = RANGES[name]
            raise ValueError(f"{name} must be between {low:g} and {high:g} {unit}, got {value!r}")
    for below, above in (("rate_low_bpm", "rate_high_bpm"), ("st_low_mv", "st_high_mv")):
        low, high = getattr(values, below), getattr(values, above)
        if low is not None and high is not None and low >= high:
            raise ValueError(f"{below} must be below {above} ({high:g}), got {low!r}")
