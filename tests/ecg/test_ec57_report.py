"""The reference tools' tables: every number of those that they printed, and their own rules for sums and means."""

from pathlib import Path

import pytest

from ecg.ec57 import report
from ecg.ec57.beats import compare
from ecg.ec57.episodes import compare_episodes
from ecg.ec57.measurements import Measured
from ecg.ec57.runs import compare_runs
from ecg.ec57.table import Table, empty
from ecg.record import Annotations, annotations
from tests.ecg.ec57_marks import LENGTH, RATE, marks

MITDB_LENGTH, MITDB_RATE = 650_000, 360.0


def beats(reference: str, test: str) -> Table:
    """A table of beats 1 s apart."""
    theirs, ours = (marks(*((100 * k, s) for k, s in enumerate(each) if s != " ")) for each in (reference, test))
    return compare(theirs, ours, RATE, length=LENGTH)


def words(line: str) -> str:
    """A line with one blank between any two of its words."""
    return " ".join(line.split())


def test_a_line_has_the_counts_and_shares_of_a_record() -> None:
    line = report.beat_lines({"100": beats("NNVVAF ", "NVV ASN")}).splitlines()[1]
    assert words(line) == "100 1 0 0 0 1 0 1 0 1 0 1 0 1 0 0 0 0 1 0 83.33 83.33 50.00 50.00 100.00 50.00 632.46"


def test_gross_and_average_do_not_see_fusion_called_supraventricular_as_sumstats_does() -> None:
    lines = report.beat_lines({"100": beats("AF", "AA")}).splitlines()
    assert lines[1].split()[-2] == "50.00"
    assert words(lines[4]).endswith("100.00 100.00")
    assert words(lines[5]).endswith("100.00 100.00 0.00")


def test_what_cannot_be_said_is_a_dash_and_left_out_of_the_average() -> None:
    text = report.beat_lines({"100": beats("NN", "NN"), "101": beats("VV", "VN")})
    assert text.splitlines()[1].split()[-5:-1] == ["-"] * 4
    assert text.splitlines()[5].split()[3] == "50.00"
    assert "Total QRS complexes: 4  Total VEBs: 2  Total SVEBs: 0" in text
    assert text.endswith("Summary of results from 2 records\n")


def test_the_matrix_has_no_cells_for_two_beats_that_are_none() -> None:
    lines = report.beat_matrix("100", empty(), test="mine").splitlines()
    assert lines[2] == "     Test annotator: mine"
    assert [len(line.split()) - 2 for line in lines[7:14]] == [7] * 5 + [5] * 2
    assert lines[15] == "           QRS sensitivity:      -  (0/0)"


def test_beats_missed_in_shutdown_leave_supraventricular_ones_out_of_the_first_share_as_bxb_does() -> None:
    reference = marks((0, "N"), (100, "A"), (200, "V"), (300, "N"))
    test = marks((0, "N"), (50, "~", -1), (250, "~", 0), (300, "N"))
    lines = report.shutdown_lines({"100": compare(reference, test, RATE, length=LENGTH)}).splitlines()
    assert words(lines[2]) == "100 0 1 1 0 0 25.00 0.00 100.00 100.00 - 2 seconds 2 1 1 0 0"


def test_gross_duration_is_from_the_rounded_share_of_the_longer_side() -> None:
    reference = marks((0, "+", "(AFIB"), (300, "+", "(N"))
    test = marks((0, "+", "(AFIB"), (200, "+", "(N"))
    found = compare_episodes(reference, test, RATE, "AF", length=LENGTH)
    lines = report.episode_lines({"100": found}, "AF").splitlines()
    assert words(lines[2]) == "100 1 0 1 0 100 100 67 100 0:03.000 0:02.000"
    # 67 % of 3 s are 2.01 s, which is 100.5 % of 2 s
    assert words(lines[5]) == "Gross 100 100 67 100"


def test_times_have_hours_where_there_are_some() -> None:
    long = marks((0, "+", "(AFIB"), (400_050, "+", "(N"))
    found = compare_episodes(long, long, RATE, "AF", length=10 * LENGTH)
    assert "  1:06:40.500    1:06:40.500" in report.episode_lines({"100": found}, "AF")


def test_runs_have_their_totals() -> None:
    reference = marks(*((100 * k, s) for k, s in enumerate("NVVNVVVN")))
    found = compare_runs(reference, reference, RATE, length=LENGTH)
    text = report.run_lines({"100": found["V"]})
    assert text.splitlines()[1].split() == [
        "100",
        "1",
        "0",
        "1",
        "0",
        "1",
        "0",
        "1",
        "0",
        "0",
        "0",
        "0",
        "0",
        "100",
        "100",
        "100",
        "100",
        "-",
        "-",
    ]
    assert "Total couplets: 1  Total short runs: 1  Total long runs: 0" in text
    assert report.run_lines({}, supraventricular=True).startswith("(SVE run detection)\n")


def test_errors_of_measurements_have_a_line_a_record_and_a_mean() -> None:
    text = report.measurement_lines({"100": Measured(2, 8.0, 140.0, 2), "101": Measured(1, 0.0, 60.0, 1)})
    assert text.splitlines()[3] == "   100\t 2.8571\t\t70"
    assert text.splitlines()[6] == "Average  1.4285\t\t65"


@pytest.mark.records
@pytest.mark.parametrize(
    "table", ["bxb_beats", "bxb_shutdown", "bxb_matrices", "rxr_veb", "rxr_sveb", "epicmp_af", "epicmp_vf"]
)
def test_every_number_of_the_reference_programs_tables(records: Path, table: str) -> None:
    golden = records.parent / "reference" / "ec57"
    if not golden.is_dir():
        pytest.skip(f"no tables of the reference programs in {golden}")
    files = {
        path.stem: (annotations(records / "mitdb" / path.stem), annotations(golden / path.stem, "tst"))
        for path in sorted(golden.glob("*.tst"))
    }
    assert _reported(table, files) == (golden / f"{table}.txt").read_text()


def _reported(table: str, files: dict[str, tuple[Annotations, Annotations]]) -> str:
    if table.startswith("bxb"):
        tables = {name: compare(a, b, MITDB_RATE, length=MITDB_LENGTH) for name, (a, b) in files.items()}
        if table == "bxb_beats":
            return report.beat_lines(tables)
        if table == "bxb_shutdown":
            return report.shutdown_lines(tables)
        return "".join(report.beat_matrix(name, each, "atr", "tst") for name, each in tables.items())
    if table.startswith("rxr"):
        runs = {name: compare_runs(a, b, MITDB_RATE, length=MITDB_LENGTH) for name, (a, b) in files.items()}
        kind = "S" if table == "rxr_sveb" else "V"
        return report.run_lines({name: each[kind] for name, each in runs.items()}, kind == "S")
    what = "AF" if table == "epicmp_af" else "VF"
    found = {n: compare_episodes(a, b, MITDB_RATE, what, length=MITDB_LENGTH) for n, (a, b) in files.items()}
    return report.episode_lines(found, what)
