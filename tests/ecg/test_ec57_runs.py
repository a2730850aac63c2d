"""Each rule of the run-by-run comparison, on a case made by hand that fails without it."""

import math

from ecg.ec57.runs import Matched, Runs, compare_runs
from ecg.record import Annotations
from tests.ecg.ec57_marks import LATER, LENGTH, RATE, marks


def beats(labels: str, first: int = 0, off: int = 0) -> list[tuple]:
    """Beats every 100 samples; a space is none."""
    return [(first + 100 * k + off, label) for k, label in enumerate(labels) if label != " "]


def ventricular(reference: Annotations, test: Annotations, **options: object) -> Runs:
    return compare_runs(reference, test, RATE, **({"length": LENGTH} | options))["V"]  # type: ignore[arg-type]


def supraventricular(reference: Annotations, test: Annotations, **options: object) -> Runs:
    return compare_runs(reference, test, RATE, **({"length": LENGTH} | options))["S"]  # type: ignore[arg-type]


def both(reference: str, test: str) -> Runs:
    return ventricular(marks(*beats(reference)), marks(*beats(test)))


def test_runs_are_couplets_short_ones_and_long_ones() -> None:
    labels = "NVVNVVVNVVVVVNVVVVVVNVN"
    found = both(labels, labels)
    assert (found.couplets, found.short, found.long) == (Matched(1, 0, 1, 0), Matched(2, 0, 2, 0), Matched(1, 0, 1, 0))
    assert found.by_reference.diagonal().tolist() == [0, 1, 1, 1, 0, 1, 1]


def test_a_couplet_is_found_by_any_two_beats_and_missed_by_one() -> None:
    assert both("NVVNN", "NVVVN").couplets == Matched(1, 0, 0, 0)
    assert both("NVVNN", "NVNNN").couplets == Matched(0, 1, 0, 0)


def test_a_couplet_of_the_test_is_false_beside_less_than_two_beats() -> None:
    assert both("NVNN", "NVVN").couplets == Matched(0, 0, 0, 1)
    assert both("NVVVN", "NNVVN").couplets == Matched(0, 0, 1, 0)


def test_a_short_run_is_found_by_three_beats_or_more() -> None:
    assert both("NVVVVVN", "NVVVNNN").short == Matched(1, 0, 1, 0)
    assert both("NVVVVVN", "NVVNVVN").short == Matched(0, 1, 0, 0)
    assert both("NVVVNNN", "NVVVVVVVN").short == Matched(1, 0, 0, 0)


def test_a_long_run_is_found_by_six_beats_alone() -> None:
    assert both("NVVVVVVVN", "NVVVVVVNN").long == Matched(1, 0, 1, 0)
    assert both("NVVVVVVVN", "NVVVVVNNN").long == Matched(0, 1, 0, 0)
    assert both("NVVVVVNNN", "NVVVVVVNN").long == Matched(0, 0, 0, 1)


def test_the_longest_run_in_reach_counts() -> None:
    assert both("NVVVVVVN", "NVNVVVVN").by_reference[6, 4] == 1


def test_a_run_reaches_150_ms_beyond_its_beats() -> None:
    reference = marks((0, "N"), (100, "V"), (200, "V"), (300, "N"))
    for off, found in ((15, 1), (-15, 1), (16, 0), (-16, 0)):
        test = marks((0, "N"), (100 + off, "V"), (200 + off, "V"), (300, "N"))
        assert ventricular(reference, test).couplets.found == found


def test_fusion_beats_make_runs_and_all_others_end_them() -> None:
    assert both("NFVNN", "NFFNN").couplets == Matched(1, 0, 1, 0)
    for ending in "NQAe":
        assert both(f"NVV{ending}VN", "NVV NVN").couplets.found == 1
        assert both(f"NV{ending}VN", "NNNNN").by_reference[1, 0] == 2


def test_a_shutdown_ends_a_run_once() -> None:
    reference = marks((0, "N"), (100, "V"), (150, "~", -1), (160, "~", -1), (180, "~", 0), (200, "V"), (300, "N"))
    assert ventricular(reference, reference).by_reference[1, 1] == 2


def test_fibrillation_is_a_long_run() -> None:
    reference = marks((0, "N"), (100, "["), (600, "]"), (700, "N"))
    assert ventricular(reference, reference).long == Matched(1, 0, 1, 0)
    assert ventricular(reference, marks(*beats("NVVVVVVN"))).long.found == 1
    assert ventricular(reference, marks(*beats("NVVVNNNN"))).long.missed == 1
    rhythm = marks((0, "N"), (100, "+", "(VFL"), (600, "+", "(N"), (700, "N"))
    assert ventricular(reference, rhythm).long == Matched(1, 0, 1, 0)


def test_fibrillation_that_goes_on_before_and_behind_a_run_counts_as_the_longest() -> None:
    reference = marks((0, "N"), (100, "V"), (200, "V"), (300, "N"), (400, "V"), (500, "V"), (600, "N"))
    test = marks((0, "N"), (50, "["), (550, "]"), (600, "N"))
    assert ventricular(reference, test).by_reference[2, 6] == 2
    endless = marks((0, "N"), (50, "["), (60, "N"))
    assert ventricular(reference, endless).by_reference[2, 6] == 2


def test_fibrillation_that_began_before_minute_five_is_compared_from_there() -> None:
    start = 30_000 - LATER
    reference = marks((start - 500, "["), (start + 100, "]"), (start + 200, "N"))
    assert ventricular(reference, reference).long == Matched(1, 0, 1, 0)
    ended = marks((start - 500, "["), (start - 400, "]"), (start + 200, "N"))
    assert ventricular(ended, ended).long == Matched(0, 0, 0, 0)


def test_runs_before_minute_five_do_not_count() -> None:
    start = 30_000 - LATER
    reference = marks((start - 300, "V"), (start - 200, "V"), (start - 100, "N"), (start + 100, "N"))
    assert ventricular(reference, reference).by_reference.sum() == 0


def test_a_run_that_the_last_annotation_ends_counts_and_one_cut_by_the_records_end_does_not() -> None:
    reference = marks((0, "N"), (100, "V"), (200, "V"))
    assert ventricular(reference, reference).couplets == Matched(1, 0, 1, 0)
    cut = marks((0, "N"), (100, "V"), (200, "V"), (300, "N"))
    assert ventricular(cut, cut, length=LATER + 250).couplets == Matched(0, 0, 0, 0)


def test_a_file_without_annotations_has_no_runs() -> None:
    found = ventricular(marks(*beats("NVVN")), marks())
    assert found.couplets == Matched(0, 1, 0, 0)


class TestSupraventricular:
    reference = marks(*beats("NAAJN"))

    def test_runs_of_premature_and_escape_beats(self) -> None:
        assert supraventricular(self.reference, marks(*beats("NeSaN"))).short == Matched(1, 0, 1, 0)
        assert supraventricular(self.reference, marks(*beats("NAVAN"))).short == Matched(0, 1, 0, 0)

    def test_atrial_fibrillation_is_a_long_run_to_rxr_and_none_by_the_sound_rule(self) -> None:
        fibrillation = marks((50, "+", "(AFIB"), *beats("NNNNNNN", 100), (850, "+", "(N"), (900, "N"))
        assert supraventricular(fibrillation, fibrillation).long == Matched(1, 0, 1, 0)
        sound = supraventricular(fibrillation, fibrillation, fibrillation_is_run=False)
        assert sound.by_reference.sum() == 0

    def test_normal_beats_in_atrial_fibrillation_are_supraventricular_to_rxr(self) -> None:
        reference = marks(
            (0, "+", "(AFIB"), (100, "N"), (200, "V"), (300, "N"), (400, "N"), (450, "+", "(N"), (500, "N")
        )
        assert supraventricular(reference, marks(*beats("NNVSSN"))).by_reference[2, 2] == 1
        sound = supraventricular(reference, marks(*beats("NNVSSN")), fibrillation_is_run=False)
        assert sound.by_reference.sum() == 0

    def test_a_change_of_rhythm_without_a_name_changes_nothing(self) -> None:
        reference = marks((50, "+", "(AFIB"), (100, "N"), (150, "+", ""), (200, "N"), (250, "+", "(N"), (300, "N"))
        assert supraventricular(reference, reference).by_reference[6, 6] == 1


def test_counts_add_up_and_nothing_has_no_share() -> None:
    found = both("NVVN", "NVVN")
    assert (found + found).couplets == Matched(2, 0, 2, 0)
    assert (found.couplets.sensitivity, found.couplets.ppv) == (100.0, 100.0)
    assert math.isnan(found.long.sensitivity)
