"""Strips of a record's worst stretches, with the beats of both annotators, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ecg.ec57.label import BEATS
from ecg.record import Annotations, Record, annotations
from stream.analyze import analyze
from stream.evaluate import beats
from stream.evaluate.beats import Task

MARGIN_S = 2.0


def draw(path: Path, task: Task, looks: Sequence[tuple[float, int]], seconds: float, folder: Path) -> list[Path]:
    """Draw a record's stretches, a file each: `RECORD_SECOND.svg`; returns the files.

    Parameters
    ----------
    path : Path
        The record, without extension.
    task : Task
        What was scored: whose beats, and with which noise.
    looks : sequence of (float, int)
        Where the stretches begin, in seconds, and how many mistakes each has.
    seconds : float
        How long they are.
    folder : Path
        Is made, where it is not there.
    """
    if not looks:
        return []
    from matplotlib.figure import Figure

    recording = beats.task_recording(path, task)
    reference = annotations(path, beats.REFERENCE)
    if task.test:
        test = annotations(*beats.annotation_file(path, task.test))
    else:
        test = beats.own_annotations(analyze(recording, {}), recording)
    mv = recording.mv()
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for first_s, n in looks:
        first, last = first_s - MARGIN_S, first_s + seconds + MARGIN_S
        window = slice(max(0, round(first * recording.rate_hz)), round(last * recording.rate_hz))
        figure = Figure(figsize=(14, 2.2 * len(mv) + 1), layout="constrained")
        for row, axis in enumerate(figure.subplots(len(mv), sharex=True, squeeze=False)[:, 0]):
            wave = mv[row, window]
            axis.plot((window.start + np.arange(len(wave))) / recording.rate_hz, wave, linewidth=0.7, color="black")
            axis.set_ylabel(f"{_names(recording)[row]} mV")
            axis.axvspan(first_s, first_s + seconds, color="0.95", zorder=0)
            for name, marks, height, colour in (("reference", reference, 1.0, "C2"), ("test", test, 0.9, "C3")):
                for at_s, symbol in _beats(marks, recording.rate_hz, first, last):
                    axis.axvline(at_s, ymax=height - 0.1, linewidth=0.4, color=colour)
                    axis.text(at_s, height, symbol, transform=axis.get_xaxis_transform(), ha="center", color=colour)
                if row == 0:
                    axis.text(last, height, name, transform=axis.get_xaxis_transform(), color=colour)
        figure.axes[-1].set_xlabel("s")
        figure.suptitle(f"{path.name}: {n} mistakes from {first_s:.0f} s to {first_s + seconds:.0f} s")
        files.append(folder / f"{path.name}_{first_s:.0f}.svg")
        figure.savefig(files[-1])
    return files


def _names(recording: Record) -> list[str]:
    return [recording.leads[row].name for row in recording.rows("ecg")]


def _beats(marks: Annotations, rate_hz: float, first_s: float, last_s: float) -> list[tuple[float, str]]:
    inside = (marks.samples >= first_s * rate_hz) & (marks.samples < last_s * rate_hz)
    found = zip(marks.samples[inside] / rate_hz, marks.symbols[inside], strict=True)
    return [(float(at_s), str(symbol)) for at_s, symbol in found if symbol in BEATS]
