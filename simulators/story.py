"""The demo's beds: short stories in which something happens, from records where there are some, else from hearts."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from ecg.challenge2015 import ALARM_S
from ecg.condition import LETHAL
from ecg.record import read
from simulators.artefact import Artefact, disturb
from simulators.bedside import Bedside, Device
from simulators.fleet import phase_s
from simulators.heart import Heart
from simulators.replay import SLACK_S, replay
from simulators.schedule import Segment
from simulators.source import Source
from simulators.wearable import Wearable

FIRST_BURST_S, BURST_S = 20.0, 30.0
WEARABLE_NO_DATA_S = 45.0
_HEARTS = 32  # in larger wards some hearts beat twice
_PHYSIONET = "PhysioNet, Goldberger et al. 2000, ODC-By 1.0"


class Cut(NamedTuple):
    """A stretch of a record: the folder of its set and its name, from when to when, and where its event begins.

    Times that end at 0 or before count from the alarm for which the record was taken: 300 s after its start, or its
    end if that is earlier, as in an excerpt.
    """

    record: str
    first_s: float
    end_s: float
    event_s: float | None = None
    leads: tuple[str, ...] | None = None
    end_slack_s: float = SLACK_S


class Plot(NamedTuple):
    """What a story is, before it has a bed: the cuts that tell it, or the script that a heart plays instead.

    `allowed` are lethal conditions that may come with the expected one: a heart that stops was slow before, and a
    tachycardia of 200 bpm is an extreme one too, and near flutter.
    """

    title: str
    cuts: tuple[Cut, ...]
    script: tuple[Segment, ...]
    leads: tuple[str, ...] = ("II", "V1")
    expected: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    kind: Literal["bedside", "wearable"] = "bedside"
    artefacts: tuple[Artefact, ...] = ()
    source: str = f"MIT-BIH Arrhythmia Database, Moody and Mark 2001; {_PHYSIONET}"


@dataclasses.dataclass(frozen=True, eq=False)
class Story:
    """One bed of the demo.

    Attributes
    ----------
    bed, device : str
    title : str
        What happens, in a few words.
    kind : str
        `bedside` or `wearable`.
    source : Source
    expected : tuple of str
        Conditions that must be raised within the first 60 s.
    forbidden : tuple of str
        Conditions that must not be: every lethal one that is neither expected nor goes with what is.
    event_s : float or None
        When the event begins, in seconds from the start.
    no_data_s : float or None
        Limit of silence that this device's staff would set; None leaves the ward's.
    attribution : str
        Where the samples come from.
    """

    bed: str
    device: str
    title: str
    kind: Literal["bedside", "wearable"]
    source: Source
    expected: tuple[str, ...]
    forbidden: tuple[str, ...]
    event_s: float | None
    no_data_s: float | None
    attribution: str


_ICU = f"PhysioNet/CinC Challenge 2015, Clifford et al. 2015; {_PHYSIONET}"
_PULSE = ("II", "V1", "PLETH", "ABP")
PLOTS: tuple[Plot, ...] = (
    Plot(
        "normal rhythm",
        (Cut("mitdb/115", 300, 360), Cut("mitdb/122", 300, 360), Cut("mitdb/112", 600, 660)),
        (("sinus", 60.0, {}),),
    ),
    Plot(
        "atrial fibrillation",
        (Cut("mitdb/201", 60, 130), Cut("mitdb/219", 110, 180), Cut("mitdb/221", 100, 170)),
        (("atrial_fibrillation", 60.0, {}),),
        expected=("atrial_fibrillation",),
    ),
    Plot(
        "ventricular bigeminy",
        (Cut("mitdb/119", 1440, 1510), Cut("mitdb/119", 1500, 1570)),
        (("sinus", 15.0, {}), ("bigeminy", 45.0, {})),
        expected=("bigeminy",),
    ),
    Plot(
        "ventricular tachycardia",
        (Cut("mitdb/205", 1435, 1500, 1460.5), Cut("vfdb/428", 1893, 1985, 1923.3)),
        (("sinus", 25.0, {}), ("ventricular_tachycardia", 12.0, {}), ("sinus", 23.0, {})),
        expected=("ventricular_tachycardia",),
        allowed=("extreme_tachycardia", "ventricular_fibrillation"),
    ),
    Plot(
        "asystole",
        (Cut("cinc2015/a604s", -37, 0, -6.4, end_slack_s=0.3), Cut("cinc2015/a161l", -36, 0, -5.7, end_slack_s=0.3)),
        (("sinus", 28.0, {}), ("asystole", 10.0, {}), ("sinus", 22.0, {"rate_bpm": 64.0})),
        leads=_PULSE,
        expected=("asystole",),
        allowed=("extreme_bradycardia",),
        source=_ICU,
    ),
    Plot(
        "false asystole alarm: one lead fails, the pulse goes on",
        (Cut("cinc2015/a288s", -44, 0, -10.0), Cut("cinc2015/a165l", -44, 0, -10.0)),
        (("sinus", 60.0, {"rate_bpm": 84.0}),),
        leads=_PULSE,
        artefacts=(Artefact("flat", 25.0, 45.0, leads=("V1",)),),
        source=_ICU,
    ),
    Plot(
        "twelve leads",
        (Cut("ptbxl/records500/00000/00003_hr", 0, 10), Cut("ptbxl/records500/00000/00001_hr", 0, 10)),
        (("st_shift", 60.0, {"st_mv": 0.1}),),
        leads=("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"),
        source="PTB-XL, Wagner et al. 2020, CC-BY 4.0",
    ),
    Plot(
        "wearable in bursts",
        (Cut("cinc2017/A00419", 0, 60), Cut("cinc2017/A00358", 0, 60)),
        (("sinus", 60.0, {"rate_bpm": 66.0}),),
        leads=("I",),
        kind="wearable",
        source=f"PhysioNet/CinC Challenge 2017, Clifford et al. 2017; {_PHYSIONET}",
    ),
)
"""The eight stories; a ward with more beds tells them again with other records, or other hearts."""


def stories(records: Path | None, beds: int = 8, suffix: str = "") -> list[Story]:
    """Return the stories of a ward.

    Parameters
    ----------
    records : Path or None
        The folder of record sets; a story of which no record is there is played by a heart, as all are without one.
    beds : int
    suffix : str
        Ends the name of each device, so that wards on one Kafka do not mix.

    Raises
    ------
    ValueError
        If there is no bed.
    """
    if beds < 1:
        raise ValueError(f"beds must be at least 1, got {beds}")
    return [_story(PLOTS[index % len(PLOTS)], records, index, suffix) for index in range(beds)]


def devices(told: Sequence[Story], t0_ns: int, frame_s: float = 0.25, seed: int = 0) -> list[Device]:
    """Return the device of each story; `t0_ns` is the UTC of the virtual clock's start."""
    return [_device(story, t0_ns, frame_s, index, seed) for index, story in enumerate(told)]


def _device(story: Story, t0_ns: int, frame_s: float, index: int, seed: int) -> Device:
    if story.kind == "wearable":
        return Wearable(
            story.device, story.source, t0_ns, burst_s=BURST_S, first_burst_s=FIRST_BURST_S, seed=seed + index
        )
    return Bedside(story.device, story.source, t0_ns, frame_s, phase_s(index, frame_s))


def _story(plot: Plot, records: Path | None, index: int, suffix: str) -> Story:
    lap = index // len(PLOTS)
    there = [cut for cut in plot.cuts if records and (records / f"{cut.record}.hea").is_file()]
    if records and there:
        source, event_s = _from_record(records, there[lap % len(there)])
        attribution = f"{source.name}: {plot.source}"
    else:
        source, event_s = _from_heart(index % _HEARTS)
        attribution = "generated by simulators.heart"
    return Story(
        bed=f"bed-{index + 1}",
        device=f"{plot.kind}-{index + 1}{suffix}",
        title=plot.title,
        kind=plot.kind,
        source=source,
        expected=plot.expected,
        forbidden=tuple(name for name in LETHAL if name not in plot.expected + plot.allowed),
        event_s=event_s,
        no_data_s=WEARABLE_NO_DATA_S if plot.kind == "wearable" else None,
        attribution=attribution,
    )


@functools.lru_cache(maxsize=64)
def _from_record(records: Path, cut: Cut) -> tuple[Source, float | None]:
    path = records / cut.record
    zero_s = min(read(path).duration_s, ALARM_S) if cut.end_s <= 0 else 0.0
    source = replay(path, zero_s + cut.first_s, zero_s + cut.end_s, cut.leads, end_slack_s=cut.end_slack_s)
    return source, None if cut.event_s is None else zero_s + cut.event_s - source.start_s


@functools.lru_cache(maxsize=64)
def _from_heart(index: int) -> tuple[Source, float | None]:
    plot = PLOTS[index % len(PLOTS)]
    source = Heart(plot.script, plot.leads, 250.0, seed=index).source(f"heart {index + 1}")
    event_s = plot.script[0][1] if len(plot.script) > 1 else None
    if plot.artefacts:
        source, event_s = disturb(source, plot.artefacts, seed=index), plot.artefacts[0].first_s
    return source, event_s
