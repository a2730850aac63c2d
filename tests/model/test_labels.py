import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.labels import AF, CUDB, MITDB, NOISE, NORMAL, NOT_VF, OTHER, SINUS, VF, VFDB, VT, Span, sinus, spans
from model.labels import window_label as label


def test_a_mark_holds_up_to_the_next_and_the_last_to_the_end() -> None:
    assert spans([(0.0, "(N"), (30.0, "(AFIB")], MITDB, 60.0) == [Span(0.0, 30.0, NORMAL), Span(30.0, 60.0, AF)]


def test_before_the_first_mark_nothing_is_known_unless_said() -> None:
    assert spans([(5.0, "(N")], VFDB, 9.0)[0].allowed is None
    assert spans([(5.0, "[")], CUDB, 9.0, before="")[0].allowed == NOT_VF


def test_a_note_that_the_table_lacks_says_nothing() -> None:
    assert label(spans([(0.0, "(XYZ")], MITDB, 20.0), 0.0, 10.0) is None


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.0, NORMAL), (0.5, None), (3.9, None), (4.0, VT), (6.0, VT), (10.0, VT)]
)
def test_a_window_is_vt_from_four_seconds_of_it_and_is_left_out_below(seconds: float, expected: object) -> None:
    rhythm = [Span(0.0, 10.0 - seconds, NORMAL), Span(10.0 - seconds, 10.0, VT)]
    assert label([s for s in rhythm if s.end_s > s.first_s], 0.0, 10.0) == expected


def test_vt_that_turns_into_vf_may_be_either() -> None:
    assert label([Span(0, 5, VT), Span(5, 10, VF)], 0, 10) == VT | VF
    assert label([Span(0, 0.5, VT), Span(0.5, 10, VF)], 0, 10) == VF


def test_vf_counts_beside_a_stretch_of_which_nothing_is_known() -> None:
    assert label([Span(0, 5, None), Span(5, 10, VF)], 0, 10) == VF
    assert label([Span(0, 5, None), Span(5, 10, NORMAL)], 0, 10) is None


@pytest.mark.parametrize(
    ("first", "second", "at_s", "expected"),
    [
        (NORMAL, OTHER, 3.0, OTHER),
        (NORMAL, OTHER, 8.0, None),
        (NORMAL, AF, 2.0, AF),
        (NORMAL, AF, 3.0, None),
        (NORMAL, NOISE, 5.0, NOISE),
        (NORMAL, NOISE, 6.0, None),
        (SINUS, NORMAL, 5.0, None),
        (NOT_VF, OTHER, 5.0, None),
    ],
)
def test_mixtures_have_a_label_where_one_part_is_clear(
    first: frozenset[str], second: frozenset[str], at_s: float, expected: object
) -> None:
    assert label([Span(0, at_s, first), Span(at_s, 10, second)], 0, 10) == expected


@given(st.lists(st.sampled_from([*VFDB, "?"]), max_size=12), st.floats(0, 100))
def test_any_marks_give_a_label_or_none(notes: list[str], first_s: float) -> None:
    found = label(spans([(7.0 * k, note) for k, note in enumerate(notes)], VFDB, 90.0), first_s, first_s + 10)
    assert found is None or len(found) > 0


def test_ectopic_beats_make_a_sinus_window_other_and_blocks_leave_it_open() -> None:
    assert sinus(["N"] * 12, 10.0) == NORMAL
    assert sinus(["N"] * 11 + ["V"], 10.0) == OTHER
    assert sinus(["L"] * 12, 10.0) == SINUS
    assert sinus(["N"] * 25, 10.0) == SINUS
