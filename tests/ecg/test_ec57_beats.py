"""Each rule of the beat-by-beat comparison, on a case made by hand that fails without it."""

import math

import numpy as np
import pytest

from ecg.ec57.beats import Pair, compare, pairs
from ecg.ec57.label import CLASSES
from ecg.ec57.table import Counts, Table
from ecg.ec57.walk import match
from ecg.record import Annotations
from tests.ecg.ec57_marks import LATER, LENGTH, RATE, marks


def table(reference: Annotations, test: Annotations, **options: object) -> Table:
    return compare(reference, test, RATE, **({"length": LENGTH} | options))  # type: ignore[arg-type]


def qrs(reference: Annotations, test: Annotations, **options: object) -> Counts:
    return table(reference, test, **options).qrs


@pytest.mark.parametrize(("off", "found"), [(15, 1), (-15, 1), (16, 0), (-16, 0)])
def test_beats_match_within_150_ms_on_either_side(off: int, found: int) -> None:
    assert qrs(marks((0, "N")), marks((off, "N"))) == Counts(found, 1 - found, 1 - found)


def test_half_a_sample_of_the_window_counts_as_a_whole_one() -> None:
    reference, test = marks((60_000, "N")), marks((60_038, "N"))
    assert compare(reference, test, 250.0, length=2 * LENGTH).qrs.found == 1
    assert compare(reference, marks((60_039, "N")), 250.0, length=2 * LENGTH).qrs.found == 0


def test_a_better_match_of_the_next_beat_takes_it() -> None:
    assert qrs(marks((0, "N")), marks((-10, "V"), (1, "N"))) == Counts(1, 0, 1)
    assert table(marks((0, "N")), marks((-10, "V"), (1, "N"))).sum("N", "n") == 1


def test_a_next_beat_that_has_a_better_match_of_its_own_is_no_rival() -> None:
    # the case that the reference tool was mended with: 32 apart, 32 apart, 25 apart, within 37
    assert match(np.array([96, 160]), np.array([128, 185]), 37).tolist() == [0, 1]
    assert match(np.array([128, 185]), np.array([96, 160]), 37).tolist() == [0, 1]


def test_nothing_is_scored_before_minute_five() -> None:
    assert qrs(marks((-10_001, "N")), marks((-10_001, "N"), (-10_500, "V"))) == Counts(0, 0, 0)
    assert qrs(marks((-10_000, "N")), marks((-10_000, "N"))) == Counts(1, 0, 0)
    early = marks((-10_001, "N"), (-9_900, "N"))
    assert qrs(early, early) == Counts(1, 0, 0)
    assert qrs(early, early, first_s=0.0) == Counts(2, 0, 0)


def test_the_last_test_beat_before_the_start_may_match_the_first_beat_behind_it() -> None:
    start = 30_000 - LATER
    assert qrs(marks((start + 2, "N")), marks((start - 3, "N"))) == Counts(1, 0, 0)


def test_a_first_test_beat_that_matches_nothing_within_the_window_of_the_start_is_not_counted() -> None:
    start = 30_000 - LATER
    reference = marks((start - 1, "N"), (start + 100, "N"))
    assert qrs(reference, marks((start + 10, "N"), (start + 100, "N"))) == Counts(1, 0, 0)
    assert qrs(reference, marks((start + 16, "N"), (start + 100, "N"))) == Counts(1, 0, 1)


def test_a_stretch_ends_where_it_is_said() -> None:
    beats = marks((0, "N"), (100, "N"), (200, "N"))
    assert qrs(beats, beats, first_s=400.0, end_s=401.0) == Counts(2, 0, 0)


def test_test_beats_behind_the_last_reference_beat_are_false_if_the_length_is_known() -> None:
    reference, test = marks((0, "N")), marks((0, "N"), (100, "N"))
    assert qrs(reference, test) == Counts(1, 0, 1)
    assert qrs(reference, test, length=None) == Counts(1, 0, 0)


def test_classes_of_symbols() -> None:
    expected = {"N": "NLRB", "S": "aAJSejn", "V": "VEr", "F": "F", "Q": "/fQ?", "O": "!"}
    assert CLASSES["bxb"] == {symbol: label for label, symbols in expected.items() for symbol in symbols}
    differ = {s for s in CLASSES["bxb"] if CLASSES["papers"][s] != CLASSES["bxb"][s]}
    assert differ == set("ejn")
    assert {CLASSES["papers"][s] for s in differ} == {"N"}


@pytest.mark.parametrize("symbol", "ejn")
def test_escape_beats_are_supraventricular_to_bxb_and_normal_to_the_papers(symbol: str) -> None:
    reference, test = marks((0, symbol)), marks((0, "N"))
    assert table(reference, test).sum("S", "n") == 1
    assert table(reference, test, mapping="papers").sum("N", "n") == 1


def test_every_cell_of_the_table() -> None:
    labels = "NAVFQ"
    at = [100 * k for k in range(25)]
    reference = marks(*zip(at, np.repeat([*labels], 5), strict=True))
    test = marks(*zip(at, [*labels] * 5, strict=True))
    counts = table(reference, test).counts
    assert (counts[:5, :5] == 1).all()
    assert counts.sum() == 25


def test_false_ventricular_beats_are_those_on_normal_supraventricular_and_no_beat() -> None:
    reference = marks((0, "N"), (100, "A"), (200, "F"), (300, "Q"), (400, "V"))
    test = marks(*((100 * k, "V") for k in range(6)))
    assert table(reference, test).veb == Counts(1, 0, 3)


def test_false_supraventricular_beats_are_those_on_all_but_unknown_ones() -> None:
    reference = marks((0, "N"), (100, "V"), (200, "F"), (300, "Q"), (400, "A"))
    test = marks(*((100 * k, "A") for k in range(6)))
    assert table(reference, test).sveb == Counts(1, 0, 4)


def test_false_positive_rate_is_of_all_that_was_not_that_class() -> None:
    reference = marks((0, "N"), (100, "N"), (200, "F"), (300, "V"), (500, "N"))
    found = table(reference, marks((0, "V"), (100, "N"), (200, "V"), (300, "V"), (400, "N"), (500, "N")))
    assert found.false_rate("V") == pytest.approx(100 * 1 / 4)
    assert math.isnan(table(marks(), marks()).false_rate("S"))


def test_a_flutter_wave_outside_marked_flutter_is_a_complex_of_no_class() -> None:
    assert table(marks((0, "!")), marks((0, "N"))).sum("O", "n") == 1
    assert table(marks((0, "N")), marks((0, "!"))).sum("N", "o") == 1


class TestFibrillation:
    reference = marks((0, "N"), (100, "["), (150, "N"), (400, "]"), (500, "N"))
    within = marks((0, "N"), (200, "N"), (500, "N"))

    def test_beats_inside_an_annotators_own_marks_are_not_read(self) -> None:
        assert qrs(self.reference, marks((0, "N"), (500, "N"))) == Counts(2, 0, 0)

    def test_test_beats_inside_the_references_marks_are_not_counted(self) -> None:
        assert qrs(self.reference, self.within) == Counts(2, 0, 0)

    def test_reference_beats_inside_the_tests_marks_are_missed_per_file_and_left_out_on_the_union(self) -> None:
        assert qrs(self.within, self.reference) == Counts(2, 1, 0)
        assert qrs(self.within, self.reference, fibrillation="union") == Counts(2, 0, 0)

    def test_a_test_beat_inside_may_still_match_one_outside_but_not_on_the_union(self) -> None:
        test = marks((0, "N"), (95, "N"), (395, "N"), (500, "N"))
        reference = marks((0, "N"), (90, "N"), (94, "["), (396, "]"), (405, "N"), (500, "N"))
        assert qrs(reference, test) == Counts(4, 0, 0)
        assert qrs(reference, test, fibrillation="union") == Counts(2, 2, 0)

    def test_without_an_end_it_lasts_to_the_end(self) -> None:
        open_ended = marks((0, "N"), (100, "["), (300, "N"))
        assert qrs(open_ended, self.within) == Counts(1, 0, 0)
        assert qrs(open_ended, self.within, fibrillation="union") == Counts(1, 0, 0)

    def test_a_later_one_without_an_end_has_the_end_of_the_one_before(self) -> None:
        reference = marks((0, "N"), (10, "["), (20, "]"), (100, "["))
        assert qrs(reference, marks((0, "N"), (200, "N"))) == Counts(1, 0, 1)

    def test_only_the_last_two_between_two_beats_are_remembered(self) -> None:
        brackets = [(at, s) for k in range(3) for at, s in ((100 + 100 * k, "["), (150 + 100 * k, "]"))]
        reference = marks((0, "N"), *brackets, (500, "N"))
        for at, false in ((120, 1), (220, 0), (320, 0)):
            assert qrs(reference, marks((0, "N"), (at, "N"), (500, "N"))) == Counts(2, 0, false)


class TestShutdown:
    reference = marks((0, "N"), (100, "V"), (200, "A"), (300, "N"))

    def test_beats_missed_in_the_tests_shutdown_are_counted_apart(self) -> None:
        found = table(self.reference, marks((0, "N"), (50, "~", -1), (250, "~", 0), (300, "N")))
        assert (found.sum("V", "x"), found.sum("S", "x"), found.sum("NSVFQ", "o")) == (1, 1, 0)
        assert found.qrs == Counts(2, 2, 0)

    def test_extra_beats_in_the_references_shutdown_are_counted_apart(self) -> None:
        reference = marks((0, "N"), (50, "~", 48), (250, "~", 1), (300, "N"))
        found = table(reference, marks((0, "N"), (100, "V"), (300, "N")))
        assert (found.sum("X", "v"), found.sum("O", "nsvfq")) == (1, 0)
        assert found.veb == Counts(0, 0, 1)

    def test_a_change_of_quality_is_none(self) -> None:
        found = table(self.reference, marks((0, "N"), (50, "~", 17), (250, "~", 0), (300, "N")))
        assert found.sum("NSVFQ", "x") == 0

    def test_a_single_mark_lasts_from_beat_to_mark_but_for_the_window(self) -> None:
        test = marks((0, "N"), (110, "~", -1), (230, "N"), (300, "N"))
        reference = marks((0, "N"), (16, "N"), (115, "N"), (230, "N"), (300, "N"))
        assert table(reference, test).sum("N", "x") == 2
        assert table(marks((0, "N"), (220, "N"), (300, "N")), test).sum("N", "x") == 0
        assert table(reference, test).shutdown_s == 2

    def test_its_seconds_are_rounded_and_counted_from_the_records_start(self) -> None:
        test = marks((-39_000, "~", -1), (-38_750, "~", 0), (0, "N"), (50, "~", -1), (250, "~", 0), (300, "N"))
        assert table(self.reference, test).shutdown_s == 5

    def test_without_an_end_it_lasts_to_the_records_end(self) -> None:
        test = marks((0, "N"), (50, "~", -1))
        found = table(self.reference, test, length=LATER + 1050)
        assert found.sum("VSN", "x") == 3
        assert found.shutdown_s == 10


class TestIntervals:
    def test_the_error_is_of_intervals_that_end_in_the_beats_at_hand(self) -> None:
        found = table(marks((0, "N"), (100, "N"), (200, "N")), marks((0, "N"), (103, "N"), (200, "N")))
        assert found.rr_error_ms == pytest.approx(30.0)
        assert found.rr_pairs == 2
        assert found.matched_rr_error_ms == pytest.approx(30.0)

    def test_beats_without_a_match_count_too_but_not_by_the_sound_rule(self) -> None:
        reference, test = marks((0, "N"), (100, "N"), (200, "N")), marks((0, "N"), (100, "N"), (150, "N"), (200, "N"))
        found = table(reference, test)
        assert found.rr_pairs == 3
        assert found.rr_error_ms == pytest.approx(1000 * math.sqrt(2 * 0.5**2 / 3))
        assert (found.matched_rr_pairs, found.matched_rr_error_ms) == (1, 0.0)

    @pytest.mark.parametrize("gap", [[(120, "["), (180, "]")], [(120, "~", -1), (180, "~", 0)]])
    def test_fibrillation_and_shutdowns_make_no_interval(self, gap: list[tuple]) -> None:
        reference = marks((0, "N"), (100, "N"), *gap, (210, "N"))
        assert table(reference, marks((0, "N"), (100, "N"), (200, "N"))).rr_pairs == 1

    def test_nothing_has_no_error(self) -> None:
        assert math.isnan(table(marks(), marks()).rr_error_ms)
        assert math.isnan(table(marks(), marks()).matched_rr_error_ms)


def test_pairs_say_where_and_what() -> None:
    found = pairs(marks((0, "N"), (100, "V")), marks((2, "V"), (300, "N")), RATE, length=LENGTH)
    assert found == [
        Pair(LATER, LATER + 2, "N", "V"),
        Pair(LATER + 100, LATER + 100, "V", "O"),
        Pair(LATER + 300, LATER + 300, "O", "N"),
    ]


def test_tables_add_up() -> None:
    one = table(marks((0, "N"), (100, "V")), marks((0, "N"), (103, "V")))
    assert (one + one).qrs == Counts(4, 0, 0)
    assert (one + one).rr_error_ms == pytest.approx(one.rr_error_ms)
    assert one.qrs.f1 == 100.0
    assert Counts(1, 1, 2).f1 == pytest.approx(40.0)
