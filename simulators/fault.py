"""What goes wrong between a heart and the log, on purpose: `NAME[@SECOND][:DEVICE]`."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator

import msgspec

from simulators.artefact import Artefact, Kind, disturb
from simulators.bedside import Device, Due
from simulators.source import Source

_SIGNAL: dict[str, tuple[Kind, float, float]] = {
    "noise": ("motion", 10.0, 1.0),
    "mains": ("mains", 10.0, 0.3),
    "lead-off": ("lead_off", 10.0, 0.0),
    "flat": ("flat", 10.0, 0.0),
    "dropout": ("dropout", 3.0, 0.0),
}
GAP_S, CLOCK_STEP_S = 3.0, 30.0


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes
    ----------
    name : str
        `stop`: no frame any more; `gap`: 3 s of frames are lost; `late`: every fifth frame comes after the next;
        `duplicate`: every fifth comes twice; `clock-step`: the device's clock jumps 30 s ahead; `restart`: a new
        session; `poison`: one frame outside the contract; and upon the signal itself `noise`, `mains`, `lead-off` and
        `flat` for 10 s of each turn of it, `dropout` for 3 s.
    at_s : float
        From when on, in seconds of the device.
    device : str
        Which device; empty: all.
    """

    name: str
    at_s: float = 20.0
    device: str = ""


def parse(text: str) -> Fault:
    """Return the fault that `NAME[@SECOND][:DEVICE]` names, as in `stop@20:bed-3`.

    Raises
    ------
    ValueError
        If there is no such fault.
    """
    found = re.fullmatch(r"([a-z-]+)(?:@(\d+(?:\.\d+)?))?(?::(.+))?", text)
    if not found or found[1] not in FAULTS:
        raise ValueError(f"fault must be NAME[@SECOND][:DEVICE] with one of {', '.join(FAULTS)}, got {text!r}")
    return Fault(found[1], float(found[2] or 20.0), found[3] or "")


def spoiled(source: Source, fault: Fault) -> Source:
    """Return the source with a fault of the signal upon it; other faults leave it as it is."""
    if fault.name not in _SIGNAL:
        return source
    kind, seconds, mv = _SIGNAL[fault.name]
    length_s = source.n_samples / source.rate_hz
    first_s = min(fault.at_s, max(0.0, length_s - seconds))
    return disturb(source, [Artefact(kind, first_s, min(length_s, first_s + seconds), mv)])


@dataclasses.dataclass(frozen=True, eq=False)
class Faulty:
    """A device with a fault between it and the log."""

    inner: Device
    fault: Fault

    @property
    def device(self) -> str:
        """Pseudonym of the device."""
        return self.inner.device

    def frames(self) -> Iterator[Due]:
        """Give the device's frames as the fault leaves them."""
        return _CARRIED.get(self.fault.name, _as_it_is)(self.inner.frames(), self.fault.at_s)


def _as_it_is(frames: Iterator[Due], at_s: float) -> Iterator[Due]:
    return frames


def _stop(frames: Iterator[Due], at_s: float) -> Iterator[Due]:
    for due_s, frame in frames:
        if due_s > at_s:
            return
        yield due_s, frame


def _gap(frames: Iterator[Due], at_s: float) -> Iterator[Due]:
    return ((due_s, frame) for due_s, frame in frames if not at_s < due_s <= at_s + GAP_S)


def _late(frames: Iterator[Due], at_s: float) -> Iterator[Due]:
    kept = None
    for due_s, frame in frames:
        if kept is None and due_s > at_s and frame.seq % 5 == 0 and not frame.last:
            kept = frame
            continue
        yield due_s, frame
        if kept is not None:
            yield due_s, kept
            kept = None


def _duplicate(frames: Iterator[Due], at_s: float) -> Iterator[Due]:
    for due_s, frame in frames:
        yield due_s, frame
        if due_s > at_s and frame.seq % 5 == 0:
            yield due_s, frame


def _clock_step(frames: Iterator[Due], at_s: float) -> Iterator[Due]:
    step_ns = round(CLOCK_STEP_S * 1e9)
    for due_s, frame in frames:
        yield due_s, msgspec.structs.replace(frame, t0_ns=frame.t0_ns + step_ns) if due_s > at_s else frame


def _restart(frames: Iterator[Due], at_s: float) -> Iterator[Due]:
    first = None
    for due_s, frame in frames:
        if due_s <= at_s:
            yield due_s, frame
            continue
        first = frame.seq if first is None else first
        yield due_s, msgspec.structs.replace(frame, session=frame.session + ".2", seq=frame.seq - first)


def _poison(frames: Iterator[Due], at_s: float) -> Iterator[Due]:
    done = False
    for due_s, frame in frames:
        if not done and due_s > at_s:
            yield due_s, msgspec.structs.replace(frame, rate_hz=1.0)
            done = True
        yield due_s, frame


_CARRIED: dict[str, Callable[[Iterator[Due], float], Iterator[Due]]] = {
    "stop": _stop,
    "gap": _gap,
    "late": _late,
    "duplicate": _duplicate,
    "clock-step": _clock_step,
    "restart": _restart,
    "poison": _poison,
}
FAULTS = (*_CARRIED, *_SIGNAL)
"""Every fault by its name."""
