"""Many devices at once: built from hearts or records, spread over time, in one order."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from ecg.frame import Frame, check_frame
from simulators.bedside import Bedside, Device
from simulators.fault import Fault, Faulty, spoiled
from simulators.heart import Heart
from simulators.replay import replay
from simulators.schedule import RHYTHMS
from simulators.source import Source
from simulators.wearable import Wearable, one_lead

_GOLDEN = 0.6180339887498949
LEADS = ("II", "V1")
"""Leads of generated hearts unless others are asked for."""
CUT_S = 120.0
"""How much of a record a simulated device plays over and over."""

DeviceKind = Literal["bedside", "wearable"]


def phase_s(index: int, frame_s: float) -> float:
    """Return how late the index-th device starts, so that frames are spread evenly however many devices there are."""
    return index * _GOLDEN % 1 * frame_s


def bedsides(
    sources: Sequence[Source], beds: int, t0_ns: int, frame_s: float = 0.25, name: Callable[[int], str] | None = None
) -> list[Device]:
    """Return so many bedside monitors, which share the sources in turn; their samples lie in memory once."""
    if not sources or beds < 1:
        raise ValueError(f"sources and beds must be at least 1, got {len(sources)} and {beds}")
    name = name or (lambda index: f"bed-{index + 1}")
    return [
        Bedside(name(index), sources[index % len(sources)], t0_ns, frame_s, phase_s(index, frame_s))
        for index in range(beds)
    ]


def wearables(sources: Sequence[Source], beds: int, t0_ns: int, frame_s: float = 0.25) -> list[Device]:
    """Return so many wearables, which share the sources in turn; their bursts are spread evenly over time."""
    shared = [one_lead(source) for source in sources]
    return [
        Wearable(
            f"bed-{index + 1}",
            shared[index % len(shared)],
            t0_ns,
            frame_s,
            first_burst_s=Wearable.burst_s - phase_s(index, Wearable.burst_s),
            seed=index,
        )
        for index in range(beds)
    ]


def merged(devices: Sequence[Device], until_s: float | None = None) -> Iterator[tuple[float, str, Frame]]:
    """Give the frames of all devices in the order in which they leave: (second, device, frame).

    Parameters
    ----------
    devices : sequence of Device
    until_s : float or None
        No frame that leaves later is given; None goes on for as long as the devices do.
    """
    for due_s, index, frame in heapq.merge(*(_ordered(index, device) for index, device in enumerate(devices))):
        if until_s is not None and due_s > until_s:
            return
        yield due_s, devices[index].device, frame


def _ordered(index: int, device: Device) -> Iterator[tuple[float, int, Frame]]:
    return ((due_s, index, frame) for due_s, frame in device.frames())


def record_paths(folder: Path, most: int) -> list[Path]:
    """Return up to `most` records of a folder of records, or of the folders in it, spread evenly over them.

    Raises
    ------
    ValueError
        If there is no record.
    """
    found = sorted(folder.glob("*.hea")) or sorted(folder.glob("*/*.hea"))
    if not found:
        raise ValueError(f"records must be a folder that holds WFDB records, got {folder}")
    step = max(1.0, len(found) / most)
    return [found[int(k * step)].with_suffix("") for k in range(min(most, len(found)))]


def simulate(
    beds: int,
    t0_ns: int,
    records: Path | None = None,
    rhythm: str = "sinus",
    frame_s: float = 0.25,
    leads: Sequence[str] | None = None,
    rate_hz: float = 250.0,
    faults: Sequence[Fault] = (),
    seed: int = 0,
    kind: DeviceKind = "bedside",
    tell: Callable[[str], None] | None = None,
) -> list[Device]:
    """Return the devices of `vigil simulate`: named bed-1, bed-2 and so on.

    Parameters
    ----------
    beds : int
    t0_ns : int
        UTC of the virtual clock's start.
    records : Path or None
        A folder of WFDB records, or of such folders, or one record; None: generated hearts. Records of a folder that
        cannot be played are left out.
    rhythm : str
        What the generated hearts do, one of `simulators.schedule.RHYTHMS`.
    frame_s : float
    leads : sequence of str or None
        Which leads, in which order; None: II and V1 of generated hearts, all of a record.
    rate_hz : float
        Rate of generated hearts.
    faults : sequence of Fault
        `simulators.fault.parse` reads them from words.
    seed : int
    kind : str
        `bedside`, or `wearable`: the first of the ECG leads, in bursts.
    tell : callable, optional
        Is given a line for each record left out, and for each lead that is taken otherwise than a record says.

    Raises
    ------
    ValueError
        If there is no such rhythm, record, lead or device.
    """
    if records is None:
        sources = _hearts(rhythm, min(beds, 16), leads or LEADS, rate_hz, seed)
    elif records.is_dir():
        sources = _folder(records, min(beds, 64), leads, frame_s, tell or (lambda line: None))
    else:
        sources = [_played(records, leads, frame_s, tell)]
    built = wearables if kind == "wearable" else bedsides
    devices = built(sources, beds, t0_ns, frame_s)
    for fault in faults:
        devices = _with_fault(devices, fault)
    return devices


def _folder(
    folder: Path, most: int, leads: Sequence[str] | None, frame_s: float, tell: Callable[[str], None]
) -> list[Source]:
    """Return what can be played of a folder's records; the others are told."""
    sources = []
    for path in record_paths(folder, most):
        try:
            sources.append(_played(path, leads, frame_s, tell))
        except (ValueError, OSError) as error:
            tell(f"left out {path}: {error}")
    if not sources:
        raise ValueError(f"records must be a folder of which a record can be played, got {folder}")
    return sources


def _played(
    path: Path, leads: Sequence[str] | None, frame_s: float, tell: Callable[[str], None] | None = None
) -> Source:
    """Return a record as a source; raises ecg.frame.FrameError where no frame can hold it, as at 50 Hz."""
    source = replay(path, 0.0, CUT_S, leads, tell=tell)
    check_frame(next(Bedside("bed", source, 0, frame_s).frames())[1])
    return source


def _hearts(rhythm: str, number: int, leads: Sequence[str], rate_hz: float, seed: int) -> list[Source]:
    if rhythm not in RHYTHMS:
        raise ValueError(f"rhythm must be one of {', '.join(RHYTHMS)}, got {rhythm!r}")
    scripts = [[("sinus", 20.0, {}), (rhythm, 40.0, {})] if rhythm != "sinus" else [("sinus", 60.0, {})]] * number
    return [
        Heart(script, leads, rate_hz, seed + index).source(f"heart {rhythm} {seed + index}")
        for index, script in enumerate(scripts)
    ]


def _with_fault(devices: Sequence[Device], fault: Fault) -> list[Device]:
    if fault.device and fault.device not in {device.device for device in devices}:
        raise ValueError(f"fault must name a device of bed-1 to bed-{len(devices)}, got {fault.device!r}")
    return [_made_faulty(device, fault) if fault.device in ("", device.device) else device for device in devices]


def _made_faulty(device: Device, fault: Fault) -> Device:
    if isinstance(device, Bedside | Wearable):
        device = dataclasses.replace(device, source=spoiled(device.source, fault))
    return Faulty(device, fault)
