"""Each rule of the measurement-by-measurement comparison, on a case made by hand that fails without it."""

import math

import pytest

from ecg.ec57.measurements import Measured, compare_measurements
from ecg.record import Annotations
from tests.ecg.ec57_marks import LATER, LENGTH, RATE, marks


def rates(*values: tuple[int, str]) -> Annotations:
    return marks(*((at, "=", value) for at, value in values))


def compared(reference: Annotations, test: Annotations, **options: int) -> Measured:
    return compare_measurements(reference, test, RATE, **({"length": LATER + 99} | options))


def test_each_measurement_is_compared_with_the_nearest_in_time() -> None:
    reference = rates((0, "60"), (100, "80"), (1000, "100"))
    found = compared(reference, rates((40, "61"), (70, "83")))
    assert found == Measured(2, 1.0 + 9.0, 140.0, 2)
    assert found.rms_error == pytest.approx(math.sqrt(5.0))
    assert found.rms_error_percent == pytest.approx(100 * math.sqrt(5.0) / 70)


def test_half_way_the_later_one_counts() -> None:
    assert compared(rates((0, "60"), (100, "80"), (1000, "0")), rates((50, "80"))).squared == 0.0


def test_where_the_test_ends_first_its_last_measurement_is_compared_once_more() -> None:
    found = compared(rates((0, "60"), (100, "80"), (200, "90")), rates((100, "80")), length=LENGTH)
    assert (found.pairs, found.squared, found.n) == (2, 100.0, 1)
    assert found.rms_error == 10.0
    assert found.rms_error_of_pairs == pytest.approx(10.0 / math.sqrt(2))


def test_measurements_before_minute_five_are_not_compared_but_divide() -> None:
    start = 30_000 - LATER
    reference, test = rates((start + 100, "60"), (1000, "60")), rates((start - 10, "99"), (start + 100, "62"))
    found = compared(reference, test, length=30_099)
    assert (found.n, found.pairs, found.squared) == (2, 1, 4.0)


def test_other_kinds_and_other_annotations_are_left_out() -> None:
    reference = marks((0, "=", "60"), (50, "N"), (1000, "=", "60"))
    test = marks((0, "=", 3), (10, "=", "60"))
    assert compared(reference, test).n == 1


def test_a_measurement_without_a_number_repeats_the_one_before() -> None:
    found = compared(rates((0, "60"), (100, "60"), (1000, "0")), rates((0, "63"), (100, "")))
    assert found.squared == 18.0


def test_nothing_was_measured_as_zero_before_the_record() -> None:
    far = marks((100_000, "=", "60"))
    assert compare_measurements(far, rates((0, "60")), RATE, length=LENGTH).squared == 3600.0


def test_nothing_has_no_error() -> None:
    assert math.isnan(compared(marks(), marks()).rms_error)
    assert math.isnan(compared(marks(), marks()).rms_error_percent)
    assert math.isnan(Measured(0, 0.0, 0.0, 0).rms_error_of_pairs)
