"""Many devices at once: built from hearts or records, spread over time, in one order."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ecg.frame import Frame
from simulators.bedside import Bedside, Device
from simulators.fault import Fault, Faulty, spoiled
from simulators.heart import Heart
from simulators.replay import replay
from simulators.schedule import RHYTHMS
from simulators.source import Source

_GOLDEN = 0.6180339887498949
CUT_S = 120.0
"""How much of a record a simulated device plays over and over."""


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
    leads: Sequence[str] = ("II", "V1"),
    rate_hz: float = 250.0,
    faults: Sequence[Fault] = (),
    seed: int = 0,
) -> list[Device]:
    """Return the devices of `vigil simulate`: named bed-1, bed-2 and so on.

    Parameters
    ----------
    beds : int
    t0_ns : int
        UTC of the virtual clock's start.
    records : Path or None
        A folder of WFDB records, or of such folders, or one record; None: generated hearts.
    rhythm : str
        What the generated hearts do, one of `simulators.schedule.RHYTHMS`.
    frame_s : float
    leads : sequence of str
        Leads of generated hearts; a record's are its own.
    rate_hz : float
        Rate of generated hearts.
    faults : sequence of Fault
        `simulators.fault.parse` reads them from words.
    seed : int

    Raises
    ------
    ValueError
        If there is no such rhythm, record or device.
    """
    if records is None:
        sources = _hearts(rhythm, min(beds, 16), leads, rate_hz, seed)
    elif records.is_dir():
        sources = [replay(path, 0.0, CUT_S) for path in record_paths(records, min(beds, 64))]
    else:
        sources = [replay(records, 0.0, CUT_S)]
    devices = bedsides(sources, beds, t0_ns, frame_s)
    for fault in faults:
        devices = _with_fault(devices, fault)
    return devices


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
    if isinstance(device, Bedside):
        device = Bedside(
            device.device, spoiled(device.source, fault), device.t0_ns, device.frame_s, device.phase_s, device.session
        )
    return Faulty(device, fault)
