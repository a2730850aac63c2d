"""Reports by record, gross and average, line by line as the reference tools and `sumstats` print them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from ecg.ec57.episodes import Episodes, Kind, no_episodes
from ecg.ec57.measurements import Measured
from ecg.ec57.runs import Matched, Runs, no_runs
from ecg.ec57.table import ROWS, Counts, Table, empty, percent

Share = tuple[float, float]
"""A part and what it is a part of."""


def average(shares: Iterable[Share]) -> float:
    """Return the mean of those shares that are of something, in percent, summed up as `sumstats` does; else NaN."""
    known = [part / of for part, of in shares if of > 0]
    return percent(sum(known), len(known))


def _number(value: float, width: int, digits: int) -> str:
    return " " + ("-".rjust(width) if math.isnan(value) else f"{value:{width}.{digits}f}")


def _whole(value: float) -> str:
    return _number(math.floor(value + 0.5) if not math.isnan(value) else value, 3, 0)


def _six(table: Table) -> list[Share]:
    kinds = (table.qrs, table.veb, table.sveb)
    return [share for n in kinds for share in ((n.found, n.found + n.missed), (n.found, n.found + n.false))]


def _sumstats_six(table: Table) -> list[Share]:
    """Return the same as sumstats has it, which does not see fusion beats that were called supraventricular."""
    *others, (found, called) = _six(table)
    return [*others, (found, called - table.sum("F", "s"))]


def _percents(shares: Iterable[Share], width: int, digits: int) -> str:
    return "".join(_number(percent(*share), width, digits) for share in shares)


_LINE = [
    *(("N", "nfq"), ("S", "nfq"), ("V", "nfq"), ("FQ", "nfq"), ("OX", "nfq")),
    *(("N", "s"), ("S", "s"), ("V", "s"), ("FQ", "s"), ("OX", "s")),
    *(("N", "v"), ("S", "v"), ("V", "v"), ("FQ", "v"), ("OX", "v")),
    *(("N", "ox"), ("S", "ox"), ("V", "ox"), ("FQ", "ox")),
]
_WIDTHS = [5, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 3, 3, 3, 3, 3, 3]


def _counts(table: Table) -> str:
    return " ".join(f"{table.sum(*cell):{width}}" for cell, width in zip(_LINE, _WIDTHS, strict=True))


def beat_lines(tables: Mapping[str, Table]) -> str:
    """Return the beat-by-beat table in line format, with supraventricular beats (bxb -L)."""
    head = "Record Nn' Sn' Vn' Fn' On'  Ns  Ss  Vs  Fs' Os' Nv  Sv   Vv  Fv' Ov' No' So' Vo' Fo'"
    lines = [f"{head}  Q Se   Q +P   V Se   V +P   S Se   S +P RR err"]
    for name, table in tables.items():
        shares = _percents(_six(table), 6, 2)
        error = "     -" if math.isnan(table.rr_error_ms) else _number(table.rr_error_ms, 6, 2)
        lines.append(f"{name:>4} {_counts(table)}{shares}{error}")
    gross = sum(tables.values(), empty())
    averages = [average(column) for column in zip(*map(_sumstats_six, tables.values()), strict=True)]
    errors = [round(table.rr_error_ms, 2) for table in tables.values() if table.rr_pairs]
    error = percent(sum(errors) / 100.0, len(errors))
    lines += [
        "_" * 132,
        f"Sum  {_counts(gross)}",
        "Gross".ljust(83) + _percents(_sumstats_six(gross), 6, 2),
        "Average".ljust(83) + "".join(_number(share, 6, 2) for share in [*averages, error]),
        f"Total QRS complexes: {_total(gross.qrs)}  Total VEBs: {_total(gross.veb)}  Total SVEBs: {_total(gross.sveb)}",
        "",
        _summary(len(tables)),
    ]
    return "\n".join(lines) + "\n"


def _total(counts: Counts) -> int:
    return counts.found + counts.missed


def _summary(n: int) -> str:
    return f"Summary of results from {n} record{'' if n == 1 else 's'}"


def beat_matrix(name: str, table: Table, reference: str = "atr", test: str = "vigil") -> str:
    """Return one record's beats as a matrix (bxb -S)."""
    lines = [
        f"Beat-by-beat comparison results for record {name}",
        f"Reference annotator: {reference}",
        f"     Test annotator: {test}",
        "",
        "               Algorithm",
        "        n    s    v    f    q    o    x",
        "   ____________________________________",
    ]
    for row, counts in zip(ROWS, table.counts.tolist(), strict=True):
        lines.append(f" {row} | " + " ".join(f"{n:4}" for n in (counts[:5] if row in "OX" else counts)))
    lines.append("")
    for title, counts in (("QRS", table.qrs), ("VEB", table.veb), ("SVEB", table.sveb)):
        for what, share, of in (
            ("sensitivity", counts.sensitivity, counts.found + counts.missed),
            ("positive predictivity", counts.ppv, counts.found + counts.false),
        ):
            value = "     - " if math.isnan(share) else f"{share:6.2f}%"
            lines.append(f"{f'{title} {what}':>26}: {value} ({counts.found}/{of})")
    error = "     -" if math.isnan(table.rr_error_ms) else f"{table.rr_error_ms:6.2f} ms"
    return "\n".join([*lines, f"     RMS RR interval error: {error}"]) + "\n"


def shutdown_lines(tables: Mapping[str, Table]) -> str:
    """Return the beats missed in shutdowns and the shutdowns' duration, in line format (bxb -L, its second file)."""
    lines = [
        "Record Nx   Sx   Vx   Fx   Qx  % beats  % N    % S    % V    % F   Total Shutdown",
        "                                missed missed missed missed missed      Time",
    ]
    for name, table in tables.items():
        missed = [table.sum(row, "x") for row in "NSVFQ"]
        totals = [table.sum(row, "nsvfqox") for row in "NSVFQ"]
        # bxb leaves S out of the first share's numerator
        of_all = (sum(missed) - missed[1], _total(table.qrs))
        text = _percents([of_all, *zip(missed[:4], totals[:4], strict=True)], 6, 2)
        counts = " ".join(map(str, totals))
        lines.append(f"{name:>4} {' '.join(f'{n:4}' for n in missed)}  {text}{table.shutdown_s:5} seconds {counts}")
    gross = sum(tables.values(), empty())
    missed = " ".join(f"{gross.sum(row, 'x'):4}" for row in "NSVFQ")
    lines += ["_" * 72, f"Sum  {missed}{'':38}{gross.shutdown_s:4} seconds", "", _summary(len(tables))]
    return "\n".join(lines) + "\n"


def run_lines(runs: Mapping[str, Runs], supraventricular: bool = False) -> str:
    """Return the run-by-run table in line format (rxr -L)."""
    lines = ["(SVE run detection)"] * supraventricular
    lines.append("Record CTs CFN CTp CFP STs SFN STp SFP LTs LFN LTp LFP  CSe C+P SSe S+P LSe L+P")
    for name, found in runs.items():
        shares = "".join(_whole(percent(*share)) for share in _run_shares(found))
        lines.append(f"{name:>4} {_run_counts(found)} {shares}")
    gross = sum(runs.values(), no_runs())
    columns = zip(*map(_run_shares, runs.values()), strict=True)
    totals = [kind.found + kind.missed for kind in _kinds(gross)]
    lines += [
        "_" * 77,
        f"Sum   {_run_counts(gross).rjust(48)}",
        "Gross".ljust(55) + _percents(_run_shares(gross), 3, 0),
        "Average".ljust(55) + "".join(_number(average(column), 3, 0) for column in columns),
        f"Total couplets: {totals[0]}  Total short runs: {totals[1]}  Total long runs: {totals[2]}",
        "",
        _summary(len(runs)),
    ]
    return "\n".join(lines) + "\n"


def _kinds(runs: Runs) -> tuple[Matched, Matched, Matched]:
    return runs.couplets, runs.short, runs.long


def _run_counts(runs: Runs) -> str:
    return " ".join(f"{n:3}" for kind in _kinds(runs) for n in kind)


def _run_shares(runs: Runs) -> list[Share]:
    return [share for kind in _kinds(runs) for share in _both(kind)]


def _both(n: Matched) -> tuple[Share, Share]:
    return (n.found, n.found + n.missed), (n.confirmed, n.confirmed + n.false)


_TITLES: dict[Kind, str] = {
    "AF": "(AF detection)",
    "VF": "(VF detection)",
    "ST0": "(Ischemic ST detection, signal 0)",
    "ST1": "(Ischemic ST detection, signal 1)",
    "ST": "(Ischemic ST detection, both signals)",
}


def episode_lines(episodes: Mapping[str, Episodes], kind: Kind) -> str:
    """Return the episode-by-episode table in line format (epicmp -L).

    Gross and average shares of duration are sumstats': from each record's share in whole percent, the gross one of the
    longer of the record's two durations.
    """
    lines = [_TITLES[kind], "Record  TPs   FN  TPp   FP  ESe E+P DSe D+P  Ref duration  Test duration "]
    overlap_ms = 0
    for name, found in episodes.items():
        shares = "".join(_whole(percent(*share)) for share in (*_both(found.matched), *_durations(found)))
        times = "   ".join(_time(s) if s else "       0.000" for s in (found.reference_s, found.test_s))
        lines.append(f"{name:>6} {_episode_counts(found.matched)} {shares}  {times}")
        overlap_ms = int(overlap_ms + _overlap_ms(found))
    gross = sum(episodes.values(), no_episodes())
    reference_ms = sum(_ms(found.reference_s) for found in episodes.values())
    test_ms = sum(_ms(found.test_s) for found in episodes.values())
    shares = [*_both(gross.matched), (overlap_ms, reference_ms), (overlap_ms, test_ms)]
    each = [(*_both(found.matched), *_rounded(found)) for found in episodes.values()]
    averages = [average(column) for column in zip(*each, strict=True)]
    times = "   ".join(_time(ms / 1000) for ms in (reference_ms, test_ms))
    lines += [
        "_" * 72,
        f"Sum    {_episode_counts(gross.matched)}{'':19}{times}",
        "Gross".ljust(27) + _percents(shares, 3, 0),
        "Average".ljust(27) + "".join(_number(share, 3, 0) for share in averages),
        "",
        _summary(len(episodes)),
    ]
    return "\n".join(lines) + "\n"


def _episode_counts(matched: Matched) -> str:
    return " ".join(f"{n:4}" for n in matched)


def _durations(found: Episodes) -> tuple[Share, Share]:
    return (found.reference_overlap_s, found.reference_s), (found.test_overlap_s, found.test_s)


def _rounded(found: Episodes) -> tuple[Share, Share]:
    """Return the shares of duration in whole percent."""
    both = [(math.floor(percent(part, of) + 0.5), 100) if of > 0 else (0, 0) for part, of in _durations(found)]
    return both[0], both[1]


def _overlap_ms(found: Episodes) -> float:
    (sensitivity, _), (predictivity, _) = _rounded(found)
    reference_ms, test_ms = _ms(found.reference_s), _ms(found.test_s)
    return reference_ms * (sensitivity / 100.0) if reference_ms > test_ms else test_ms * (predictivity / 100.0)


def _ms(seconds: float) -> int:
    return math.floor(seconds * 1000 + 0.5)


def _time(seconds: float) -> str:
    minutes, ms = divmod(_ms(seconds), 60_000)
    hours, minutes = divmod(minutes, 60)
    clock = f"{minutes:02}:" if hours else f"{minutes:2}:"
    return f"{f'{hours:2}:' if hours else '   '}{clock}{ms // 1000:02}.{ms % 1000:03}"


def measurement_lines(measured: Mapping[str, Measured], kind: int = 0) -> str:
    """Return the errors of measurements in line format (mxm -L)."""
    lines = ["(Measurement errors)", f"Measurement {kind}", "Record\tRMS error (%)\tMean reference measurement"]
    for name, found in measured.items():
        lines.append(f"{name:>6}\t{found.rms_error_percent:7.4f}\t\t{found.mean_reference:g}")
    errors = [round(found.rms_error_percent, 4) for found in measured.values()]
    means = [float(f"{found.mean_reference:g}") for found in measured.values()]
    error, value = (percent(sum(column), 100.0 * len(column)) for column in (errors, means))
    lines += ["_" * 50, f"Average{_number(error, 7, 4)}\t\t{value:g}", "", _summary(len(measured))]
    return "\n".join(lines) + "\n"
