"""What is cut: stretches of public records where there are some, of generated hearts where there are none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ecg.record import read
from simulators.heart import Heart
from simulators.replay import replay
from simulators.schedule import Segment
from simulators.source import Source

LENGTH_S = 300.0
STATED = (
    ("mitdb/100", 300), ("mitdb/106", 0), ("mitdb/119", 1200), ("mitdb/201", 0), ("mitdb/203", 600),
    ("mitdb/205", 1350), ("mitdb/207", 0), ("mitdb/208", 300), ("mitdb/217", 0), ("mitdb/233", 900),
    ("cinc2015/a103l", 0), ("cinc2015/a161l", 0), ("cinc2015/a165l", 0), ("cinc2015/a288s", 0),
    ("vfdb/418", 600), ("vfdb/421", 0), ("vfdb/428", 1750), ("cudb/cu01", 150), ("cudb/cu08", 200), ("cudb/cu22", 150),
)  # fmt: skip
"""The stated stretches: a record and the second at which its five minutes begin, or as much as the record has."""
SCRIPTS: tuple[tuple[Segment, ...], ...] = (
    (("sinus", 20, {}), ("ventricular_tachycardia", 9, {}), ("sinus", 31, {})),
    (("sinus", 25, {}), ("asystole", 8, {}), ("sinus", 27, {"rate_bpm": 64.0})),
    (("atrial_fibrillation", 60, {}),),
    (("sinus", 18, {}), ("ventricular_fibrillation", 12, {}), ("sinus", 30, {"rate_bpm": 96.0})),
    (("pvcs", 40, {"every": 4.0}), ("sinus", 20, {"rate_bpm": 150.0})),
    (("sinus", 30, {"rate_bpm": 38.0}), ("bigeminy", 30, {})),
)


class Stretch(NamedTuple):
    """One stretch: the device that sends it, and how to get its samples; it falls silent when they are sent."""

    device: str
    source: Callable[[], Source]


def short() -> list[Stretch]:
    """Return two stretches of a minute, of generated hearts."""
    return [_heart(0, 60.0, 250.0), _heart(1, 60.0, 360.0)]


def stated(records: Path | None) -> list[Stretch]:
    """Return the stated stretches; a heart beats in place of each record that is not there."""
    return [
        _record(records, name, first_s) if records and (records / f"{name}.hea").is_file() else _heart(at, LENGTH_S)
        for at, (name, first_s) in enumerate(STATED)
    ]


def full(records: Path) -> Iterator[list[Stretch]]:
    """Yield all of mitdb and cinc2015, five minutes at a time, about twenty stretches together."""
    found: list[Stretch] = []
    for folder in ("mitdb", "cinc2015"):
        for header in sorted((records / folder).glob("*.hea")):
            name = f"{folder}/{header.stem}"
            for first_s in range(0, max(1, int(read(records / name).duration_s)), round(LENGTH_S)):
                found.append(_record(records, name, first_s))
                if len(found) == len(STATED):
                    yield found
                    found = []
    if found:
        yield found


def _record(records: Path, name: str, first_s: float) -> Stretch:
    device = f"{name.replace('/', '-')}-{first_s:.0f}"

    def source() -> Source:
        path = records / name
        return replay(path, first_s, min(first_s + LENGTH_S, read(path).duration_s), loop=False)

    return Stretch(device, source)


def _heart(at: int, length_s: float, rate_hz: float = 250.0) -> Stretch:
    def source() -> Source:
        made = Heart(SCRIPTS[at % len(SCRIPTS)], ("II", "V1"), rate_hz, seed=at).source(f"heart-{at}")
        counts = made.take(0, round(length_s * rate_hz))
        return Source(made.name, rate_hz, made.leads, counts.copy(), None)

    return Stretch(f"heart-{at}", source)
