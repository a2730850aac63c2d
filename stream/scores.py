"""Where Vigil stands on every set that is here: `make scores` runs `vigil evaluate` over them and prints one table.

The table is in Markdown, as `docs/evaluation.md` has it. No figure is computed here: each is one that a command prints.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from stream.records import missing
from stream.settings import read_settings

IN_SAMPLE = "_in_sample"
Report = dict[str, Any]


class Asked(NamedTuple):
    """One run of `vigil evaluate`.

    Attributes
    ----------
    title : str
        What stands in the table for it.
    command : tuple of str
        The protocol, and what else the command is told.
    sets : tuple of str
        The sets that it needs. One: the command is given its folder. Several: a folder that holds these alone.
    figures : dict of str to str
        Names of figures, and what stands in the table for each.
    """

    title: str
    command: tuple[str, ...]
    sets: tuple[str, ...]
    figures: dict[str, str]


class Row(NamedTuple):
    """One line of the table: figures of records that no learned part has seen, of those it has, and of a peer."""

    title: str
    figure: str
    unseen: str
    in_sample: str = ""
    peer: str = ""


_QRS = {"qrs_se": "QRS Se", "qrs_ppv": "QRS +P"}
_BEATS = {
    **_QRS,
    "qrs_se_all": "QRS Se, paced records too",
    "qrs_ppv_all": "QRS +P, paced records too",
    "auecdf_se": "AUecdf of Se (less is better)",
    "auecdf_ppv": "AUecdf of +P (less is better)",
    "veb_se": "VEB Se",
    "veb_ppv": "VEB +P",
    "sveb_se": "SVEB Se",
    "sveb_ppv": "SVEB +P",
    "sveb_se_bxb": "SVEB Se, bxb's mapping",
    "sveb_ppv_bxb": "SVEB +P, bxb's mapping",
    "veb_se_reference_peaks": "VEB Se, R peaks given",
    "veb_ppv_reference_peaks": "VEB +P, R peaks given",
    "sveb_se_reference_peaks": "SVEB Se, R peaks given",
    "sveb_ppv_reference_peaks": "SVEB +P, R peaks given",
}
_ALARMS = {
    "score": "score, with pulse",
    "score_ecg_only": "score, ECG alone",
    "tpr": "true alarms kept, %",
    "tnr": "false alarms withheld, %",
    "score_asystole": "score, asystole",
    "score_bradycardia": "score, bradycardia",
    "score_tachycardia": "score, tachycardia",
    "score_vf": "score, VF and flutter",
    "score_vt": "score, VT",
}
_RHYTHM = {
    "shockable_se_vfdb": "`vfdb`: shockable segments, Se",
    "shockable_sp_vfdb": "`vfdb`: shockable segments, Sp",
    "shockable_se_cudb": "`cudb`: shockable segments, Se",
    "shockable_sp_cudb": "`cudb`: shockable segments, Sp",
    "shockable_se_mean_of_patients": "`vfdb`, `cudb`: Se, mean of patients",
    "shockable_sp_mean_of_patients": "`vfdb`, `cudb`: Sp, mean of patients",
    "asystole_sp_vfdb": "`vfdb`: asystole not called shockable",
    "vt_episode_se": "VT episodes, Se",
    "vt_episode_ppv": "VT episodes, +P",
    "vt_duration_se": "VT duration, Se",
    "vf_episode_se": "VF and flutter episodes, Se",
    "vf_episode_ppv": "VF and flutter episodes, +P",
    "vf_duration_se": "VF and flutter duration, Se",
    "af_episode_se_mitdb": "`mitdb`: AF episodes, Se",
    "af_episode_ppv_mitdb": "`mitdb`: AF episodes, +P",
    "af_duration_se_mitdb": "`mitdb`: AF duration, Se",
    "af_duration_ppv_mitdb": "`mitdb`: AF duration, +P",
    "long_episodes": "long episodes to be shocked",
    "long_episodes_alarmed": "of these alarmed on, %",
    "long_episodes_alarmed_before": "of these with an alarm on before",
    "alarm_delay_p50_s": "delay, half of them, s",
    "alarm_delay_p95_s": "delay, 95 of 100, s",
    "false_alarms_per_bed_day": "false lethal alarms a bed a day",
    "false_alarms_per_bed_day_asystole": "... asystole",
    "false_alarms_per_bed_day_ventricular_fibrillation": "... VF",
    "false_alarms_per_bed_day_ventricular_tachycardia": "... VT",
    "false_alarms_per_bed_day_extreme_bradycardia": "... extreme bradycardia",
    "false_alarms_per_bed_day_extreme_tachycardia": "... extreme tachycardia",
    "false_alarms_per_bed_day_atrial_fibrillation": "false AF alarms a bed a day",
    "ltafdb_af_se": "`ltafdb`: AF from RR intervals, duration, Se",
    "ltafdb_af_sp": "`ltafdb`: AF from RR intervals, duration, Sp",
    "ltafdb_af_ppv": "`ltafdb`: AF from RR intervals, duration, +P",
    "cinc2017_rules_f1_mean": "`cinc2017`: mean F1 of N, A, O (a fraction)",
    "cinc2017_rules_f1_af": "`cinc2017`: F1 of AF (a fraction)",
}
_ATRIAL = {name: text for name, text in _RHYTHM.items() if "atrial_fibrillation" in name or name.endswith("_mitdb")}
_FITTED_ON = ("vfdb", "cudb", "mitdb", "svdb", "nstdb", "ltafdb")
_QUALITY = {
    "cinc2011_accuracy": "`cinc2011`: acceptable or not, accuracy (a fraction)",
    "cinc2011_unacceptable_se": "... unacceptable recordings found",
    "cinc2011_unacceptable_sp": "... acceptable ones left",
    "cinc2011_auroc": "... AUROC",
    "lethal_suspended_s": "`vfdb`, `cudb`: s of VF, flutter or VT at level 2",
    "lethal_s": "... of so many",
    "vfdb_noise_suspended": "`vfdb`: seconds marked as noise at level 2 (a fraction)",
    "vfdb_rest_suspended": "... of those without a mark",
    "mitdb_clean_suspended": "`mitdb`: seconds at level 2",
    "mitdb_em_12_suspended": "... with electrode motion at 12 dB",
    "mitdb_em_6_suspended": "... at 6 dB",
    "cinc2017_noisy_auroc_by_unrest": "`cinc2017`: class ~ by unrest, AUROC",
}
_PEER = ("--peer", "sleepecg")

SCORES: tuple[Asked, ...] = (
    *(
        Asked(f"`ec57`, `{name}`", ("ec57", *how), (name,), _BEATS)
        for name in ("mitdb", "svdb")
        for how in ((), ("--cross-validate", *_PEER))
    ),
    *(
        Asked(
            f"`ec57`, `mitdb`, {noise} at {db} dB", ("ec57", "--noise", noise, "--snr-db", db, *_PEER), ("mitdb",), _QRS
        )
        for noise, db in (("em", "12"), ("em", "6"), ("em", "0"), ("ma", "6"), ("bw", "6"))
    ),
    *(
        Asked("`challenge2015`, `cinc2015`", ("challenge2015", *how), ("cinc2015",), _ALARMS)
        for how in ((), ("--cross-validate",))
    ),
    *(
        Asked("`challenge2015`, rules alone", ("challenge2015", *how, "--net", "none"), ("cinc2015",), _ALARMS)
        for how in ((), ("--cross-validate",))
    ),
    Asked("`rhythm`", ("rhythm",), ("vfdb", "cudb", "mitdb"), _RHYTHM),
    Asked(
        "`rhythm`",
        ("rhythm", "--cross-validate"),
        (*_FITTED_ON, "cinc2017"),
        _RHYTHM,
    ),
    *(
        Asked("`rhythm`, rules alone", ("rhythm", *how, "--net", "none"), sets, _ATRIAL)
        for how, sets in (((), ("vfdb", "mitdb")), (("--cross-validate",), _FITTED_ON))
    ),
    *(
        Asked("`quality`", ("quality", *how), ("cinc2011", "vfdb", "cudb", "mitdb", "nstdb", "cinc2017"), _QUALITY)
        for how in ((), ("--cross-validate",))
    ),
)
"""What is run. Where what is learned is fitted anew it is run twice: by what is shipped, and by that of each fold."""


def evaluated(asked: Asked, records: Path) -> Report:
    """Run one command over those of its sets that are here, and return what it prints; its progress goes to stderr.

    Raises
    ------
    ValueError
        The command could score nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in here(asked, records):
            (Path(folder) / name).symlink_to(records / name, target_is_directory=True)
        data = records / asked.sets[0] if len(asked.sets) == 1 else Path(folder)
        command = [sys.executable, "-m", "stream", "evaluate", *asked.command, "--data", str(data), "--json"]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise ValueError(f"`vigil evaluate {' '.join(asked.command)}` ended with status {done.returncode}")
    return json.loads(done.stdout)


def here(asked: Asked, records: Path) -> list[str]:
    """Return the sets of a run that a folder holds."""
    return [name for name in asked.sets if (records / name).is_dir()]


def rows(asked: Asked, report: Report) -> list[Row]:
    """Return the lines of one run; a figure that it does not have is left out."""
    figures, intervals = report["figures"], report["intervals"]

    def cell(name: str) -> str:
        value, limits = figures.get(name), intervals.get(name)
        if value is None:
            return ""
        return f"{_number(value)} ({_number(limits[0])} to {_number(limits[1])})" if limits else _number(value)

    made = []
    for name, text in asked.figures.items():
        row = Row(asked.title, text, cell(name), cell(name + IN_SAMPLE), cell(f"sleepecg_{name}"))
        if row.unseen or row.in_sample:
            made.append(row)
    return made


def _number(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def merged(first: Sequence[Row], out_of_fold: Sequence[Row]) -> list[Row]:
    """Return the lines of two runs of one protocol: what folds judged, beside the in-sample figures of the other."""
    in_sample = {row.figure: row.in_sample for row in first}
    return [row._replace(in_sample=in_sample.get(row.figure) or row.in_sample) for row in out_of_fold]


def table(made: Sequence[Row]) -> str:
    """Return the table in Markdown."""
    lines = ["| protocol, set | figure | not trained on | in-sample | sleepecg |", "| --- | --- | --- | --- | --- |"]
    titles = [None, *(row.title for row in made)]
    for before, row in zip(titles, made, strict=False):
        lines.append(f"| {row.title if row.title != before else ''} | {' | '.join(row[1:])} |")
    return "\n".join(lines)


def scores(records: Path, say: Callable[[str], None], asked: Sequence[Asked] = SCORES) -> str:
    """Run everything over a folder of sets; returns the table, what was scored for it, and what could not be."""
    made: dict[str, list[Row]] = {}
    notes: list[str] = []
    for one in asked:
        notes += [missing(name) for name in one.sets if not (records / name).is_dir()]
        if not here(one, records):
            continue
        say(f"vigil evaluate {' '.join(one.command)}: {', '.join(here(one, records))}")
        try:
            report = evaluated(one, records)
        except ValueError as error:
            notes.append(str(error))
            continue
        found = rows(one, report)
        made[one.title] = merged(made[one.title], found) if one.title in made else found
        notes.append(f"`vigil evaluate {' '.join(one.command)}` on {', '.join(here(one, records))}: {_counted(report)}")
    lines = [
        table([row for each in made.values() for row in each]),
        "",
        *(f"- {note}" for note in dict.fromkeys(notes)),
    ]
    return "\n".join(lines)


def _counted(report: Report) -> str:
    """Say how many records there were, and how many of which kind."""
    counted = {
        name: n for name, n in report["figures"].items() if name.startswith("records") or name.endswith("_records")
    }
    return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counted.items() if n or name == "records")


def main() -> int:
    """Print the table for the sets in VIGIL_RECORDS; returns the exit status."""
    records = read_settings().records
    if records is None:
        print(f"vigil: VIGIL_RECORDS names no folder of record sets; {missing('mitdb')}", file=sys.stderr)
        return 2
    print(scores(records, lambda line: print(line, file=sys.stderr, flush=True)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
