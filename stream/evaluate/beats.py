"""One record's beats, runs and episodes: the pipeline's, or anyone's annotation file, against the reference."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping as Map
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ecg.beat_given import classify
from ecg.beat_weights import Weights, in_force, weighing
from ecg.ec57.beats import FIRST_S, Pair, compare, pairs
from ecg.ec57.episodes import Episodes, FibrillationMarks, compare_episodes
from ecg.ec57.label import BEATS, FLUTTER_WAVE, Mapping, marks
from ecg.ec57.noise import noisy, noisy_stretches
from ecg.ec57.runs import Kind, Runs, compare_runs
from ecg.ec57.short import Short, short_intervals
from ecg.ec57.table import Counts, Table, empty
from ecg.record import Annotations, Record, annotations, read
from ecg.resample import ANALYSIS_HZ
from stream.analyze import Analyzed, analyze, write
from stream.evaluate import peers

REFERENCE = "atr"
PACED = "/"
"""A record with such a beat in its reference has a pacemaker, and is outside the report, after EC57."""

Stretches = Sequence[tuple[float, float | None]]
"""What is scored, from and to which second (None: the end)."""


@dataclass(frozen=True)
class Task:
    """What is scored.

    Attributes
    ----------
    test : str or None
        Extension of annotation files to score, with a folder before it where they are not beside the records
        (`../mine/tst`); None: the pipeline's beats, from the record's samples.
    noise : Path or None
        Noise record that is mixed in; the noisy stretches alone are scored.
    snr_db : float
        Signal-to-noise ratio.
    sleepecg : bool
        Score that detector's beats, too.
    weights : mapping of str to Weights
        Those of the beat detector by which a record is judged; a record that is not there, by the shipped ones.
    """

    test: str | None = None
    noise: Path | None = None
    snr_db: float = 0.0
    sleepecg: bool = False
    weights: Map[str, Weights] = field(default_factory=dict)


@dataclass(frozen=True)
class Scored:
    """What one record scored.

    Attributes
    ----------
    tables : dict of str to Table
        By protocol: `papers` and `bxb` leave the first five minutes out and map escape beats as their name says;
        `papers_whole` scores the first five minutes, too; `bxb_union` leaves out beats inside anyone's fibrillation;
        `papers_reference_peaks` and `bxb_reference_peaks` are of the classes at the reference's R peaks.
    runs : dict of Kind to Runs
        Ventricular and supraventricular, as rxr has them; empty with noise.
    sound_runs : dict of Kind to Runs
        The same without atrial fibrillation as a run.
    episodes : dict of str to Episodes
        Of AF and VF; empty with noise.
    mistakes : list of Pair
        Pairs that count against a figure, by the papers' mapping: beats missed, false, or of a wrong class.
    peers : dict of str to Counts
        All beats by a public detector.
    """

    rate_hz: float
    length: int
    paced: bool
    tables: dict[str, Table]
    runs: dict[Kind, Runs]
    sound_runs: dict[Kind, Runs]
    episodes: dict[str, Episodes]
    short: Short
    mistakes: list[Pair]
    peers: dict[str, Counts]


def score_record(path: Path, task: Task) -> Scored:
    """Score one record, without extension; raises what reading it raises, ValueError where a file is cut."""
    reference = whole_annotations(path, REFERENCE)
    if not np.isin(reference.symbols, list(BEATS)).any():
        raise ValueError(f"{path.name}.{REFERENCE}: no beat")
    if task.test is not None:
        test = whole_annotations(*annotation_file(path, task.test))
        last = max((int(at[-1]) for at in (reference.samples, test.samples) if len(at)), default=0)
        rate_hz, length = header(path)
        return score_files(reference, test, Extent(rate_hz, length or last + 1), [(FIRST_S, None)], "brackets")
    recording = task_recording(path, task)
    extent = Extent(recording.rate_hz, recording.n_samples)
    stretches = scored_stretches(extent, task)
    with weighing(task.weights.get(path.name, in_force())):
        analyzed = analyze(recording, {})
        given = at_reference_peaks(reference, analyzed, extent)
    found = score_files(reference, own_annotations(analyzed, recording), extent, stretches, "rhythm")
    for mapping in ("papers", "bxb"):
        found.tables[f"{mapping}_reference_peaks"] = _table(reference, given, extent, stretches, mapping)
    if not task.sleepecg:
        return found
    return replace(found, peers={"sleepecg": qrs(reference, peers.sleepecg(recording), extent, stretches)})


def task_recording(path: Path, task: Task) -> Record:
    """Return a record as the task has it analysed, with its noise."""
    recording = read(path)
    if task.noise is None:
        return recording
    return noisy(recording, annotations(path, REFERENCE), read(task.noise), task.snr_db)


def whole_annotations(path: Path, extension: str) -> Annotations:
    """Read an annotation file; raises ValueError where its end mark, two zero bytes, is missing."""
    if path.with_name(f"{path.name}.{extension}").read_bytes()[-2:] != b"\0\0":
        raise ValueError(f"{path.name}.{extension}: cut")
    return annotations(path, extension)


class Extent(NamedTuple):
    """A record's rate, and its samples a lead."""

    rate_hz: float
    length: int


def header(path: Path) -> tuple[float, int | None]:
    """Return a record's rate and its samples a lead (None: not said), from the header alone.

    Raises
    ------
    ValueError
        If the header does not begin with them.
    """
    lines = path.with_name(f"{path.name}.hea").read_text(errors="replace").splitlines()
    words = next((line.split() for line in lines if line.strip() and not line.startswith("#")), [])
    try:
        return float(re.split(r"[/(]", words[2])[0]), (int(words[3]) or None) if len(words) > 3 else None
    except (IndexError, ValueError) as error:
        raise ValueError(f"{path.name}.hea: no rate and length in its first line") from error


def scored_stretches(extent: Extent, task: Task) -> Stretches:
    """Return what is scored of a record: from minute five on, or the noisy stretches."""
    if task.noise is None:
        return [(FIRST_S, None)]
    noise = noisy_stretches(extent.length, extent.rate_hz)
    return [(first / extent.rate_hz, last / extent.rate_hz) for first, last in noise]


def annotation_file(path: Path, test: str) -> tuple[Path, str]:
    """Return the record and extension of an annotation file that `Task.test` names."""
    folder, _, extension = test.rpartition("/")
    return (Path(folder) / path.name if folder else path), extension


def own_annotations(analyzed: Analyzed, recording: Record) -> Annotations:
    """Return the annotation file that `vigil analyze` writes of a recording."""
    with tempfile.TemporaryDirectory() as folder:
        write(analyzed, recording, Path(folder))
        return annotations(Path(folder) / recording.name, "vigil")


def at_reference_peaks(reference: Annotations, analyzed: Analyzed, extent: Extent) -> Annotations:
    """Return the reference's beats, each with the class that the pipeline's rules give it from the clean signal."""
    at = reference.samples[np.isin(reference.symbols, list(BEATS - {FLUTTER_WAVE}))]
    peaks = np.round(at * (ANALYSIS_HZ / extent.rate_hz)).astype(np.int64)
    return marks(at, classify(analyzed.clean_mv, peaks))


def score_files(
    reference: Annotations, test: Annotations, extent: Extent, stretches: Stretches, fibrillation: FibrillationMarks
) -> Scored:
    """Score two annotation files of a record."""
    rate_hz, length = extent
    whole = list(stretches) == [(FIRST_S, None)]
    tables = {mapping: _table(reference, test, extent, stretches, mapping) for mapping in ("papers", "bxb")}
    if whole:
        tables["papers_whole"] = compare(reference, test, rate_hz, length=length, mapping="papers", first_s=0.0)
        tables["bxb_union"] = compare(reference, test, rate_hz, length=length, fibrillation="union")
    return Scored(
        rate_hz,
        length,
        bool((reference.symbols == PACED).any()),
        tables,
        compare_runs(reference, test, rate_hz, length=length) if whole else {},
        compare_runs(reference, test, rate_hz, length=length, fibrillation_is_run=False) if whole else {},
        {
            kind: compare_episodes(reference, test, rate_hz, kind, length=length, fibrillation=fibrillation)
            for kind in (("AF", "VF") if whole else ())
        },
        short_intervals(reference, test, rate_hz, length=length, stretches_s=stretches),
        _mistakes(reference, test, extent, stretches),
        {},
    )


def _table(reference: Annotations, test: Annotations, extent: Extent, stretches: Stretches, mapping: Mapping) -> Table:
    tables = (
        compare(reference, test, extent.rate_hz, length=extent.length, mapping=mapping, first_s=first, end_s=last)
        for first, last in stretches
    )
    return sum(tables, empty())


def qrs(reference: Annotations, beats: NDArray[np.int64], extent: Extent, stretches: Stretches) -> Counts:
    """Score beats without classes."""
    return _table(reference, marks(beats, "N" * len(beats)), extent, stretches, "papers").qrs


def _mistakes(reference: Annotations, test: Annotations, extent: Extent, stretches: Stretches) -> list[Pair]:
    ends = [(first, np.inf if last is None else last) for first, last in stretches]
    return [
        pair
        for pair in pairs(reference, test, extent.rate_hz, length=extent.length, mapping="papers")
        if _costs(pair) and any(first <= pair.reference_at / extent.rate_hz < last for first, last in ends)
    ]


def _costs(pair: Pair) -> bool:
    """Whether a pair counts against one of the figures: beats, ventricular or supraventricular ones."""
    truth, called = pair.reference, pair.test
    if truth in "OX" or called in "OX":
        return True
    return truth != called and bool({truth, called} & {"V", "S"}) and f"{truth}{called}" not in ("QV", "QS", "FV")
