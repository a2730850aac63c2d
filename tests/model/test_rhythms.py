import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.labels import RHYTHMS, UNKNOWN
from model.rhythms import (
    AF,
    ASYSTOLE,
    CINC2017,
    CUDB,
    ECTOPY,
    MITDB,
    NOISE,
    NOT_VF,
    ORGANISED,
    PLAIN,
    SINUS,
    SVT,
    VF,
    VFDB,
    VT,
    Label,
    Span,
    of_window,
    sinus,
    spans,
)


def test_a_mark_holds_up_to_the_next_and_the_last_to_the_end() -> None:
    assert spans([(0.0, "(N"), (30.0, "(AFIB")], MITDB, 60.0) == [Span(0.0, 30.0, SINUS), Span(30.0, 60.0, AF)]


def test_before_the_first_mark_nothing_is_known_unless_said() -> None:
    assert spans([(5.0, "(N")], VFDB, 9.0)[0].label is None
    assert spans([(5.0, "[")], CUDB, 9.0, before="")[0].label == NOT_VF


def test_a_note_that_the_table_lacks_says_nothing() -> None:
    assert of_window(spans([(0.0, "(XYZ")], MITDB, 20.0), 0.0, 10.0) is None


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.0, SINUS), (0.5, None), (3.9, None), (4.0, VT), (6.0, VT), (10.0, VT)]
)
def test_a_window_is_vt_from_four_seconds_of_it_and_is_left_out_below(seconds: float, expected: object) -> None:
    rhythm = [Span(0.0, 10.0 - seconds, SINUS), Span(10.0 - seconds, 10.0, VT)]
    assert of_window([s for s in rhythm if s.end_s > s.first_s], 0.0, 10.0) == expected


def test_vt_that_turns_into_vf_may_be_either_and_is_an_arrhythmia() -> None:
    assert of_window([Span(0, 5, VT), Span(5, 10, VF)], 0, 10) == Label(VT.rhythm | VF.rhythm, 1)
    assert of_window([Span(0, 0.5, VT), Span(0.5, 10, VF)], 0, 10) == VF


def test_vf_counts_beside_a_stretch_of_which_nothing_is_known() -> None:
    assert of_window([Span(0, 5, None), Span(5, 10, VF)], 0, 10) == VF
    assert of_window([Span(0, 5, None), Span(5, 10, SINUS)], 0, 10) is None


@pytest.mark.parametrize(
    ("first", "second", "at_s", "expected"),
    [
        (SINUS, ECTOPY, 3.0, Label(frozenset({"sinus"}), 1)),
        (SINUS, SVT, 3.0, Label(SINUS.rhythm | SVT.rhythm, 1)),
        (SINUS, SVT, 8.0, None),
        (SINUS, AF, 2.0, AF),
        (SINUS, AF, 3.0, None),
        (SINUS, ASYSTOLE, 6.0, ASYSTOLE),
        (SINUS, ASYSTOLE, 7.0, None),
        (SINUS, NOISE, 5.0, NOISE),
        (SINUS, NOISE, 6.0, None),
        (SINUS, PLAIN, 5.0, None),
        (NOT_VF, ORGANISED, 5.0, None),
    ],
)
def test_mixtures_have_a_label_where_one_part_is_clear(
    first: Label, second: Label, at_s: float, expected: object
) -> None:
    assert of_window([Span(0, at_s, first), Span(at_s, 10, second)], 0, 10) == expected


@given(st.lists(st.sampled_from([*VFDB, "?"]), max_size=12), st.floats(0, 100))
def test_any_marks_give_a_label_or_none(notes: list[str], first_s: float) -> None:
    found = of_window(spans([(7.0 * k, note) for k, note in enumerate(notes)], VFDB, 90.0), first_s, first_s + 10)
    assert found is None or found.rhythm


def test_ectopic_beats_make_an_arrhythmia_of_sinus_rhythm_and_blocks_leave_it_open() -> None:
    assert sinus(["N"] * 12) == PLAIN == Label(frozenset({"sinus"}), 0)
    assert sinus(["N"] * 11 + ["V"]) == ECTOPY == Label(frozenset({"sinus"}), 1)
    assert sinus(["L"] * 12) == Label(frozenset({"sinus", "paced"}), UNKNOWN)
    assert sinus(["L", "V"]) == ECTOPY


@pytest.mark.parametrize("table", [MITDB, VFDB, CUDB, CINC2017])
def test_tables_name_rhythms_that_the_network_answers_with(table: dict[str, Label]) -> None:
    for label in table.values():
        assert label.rhythm
        assert label.rhythm <= set(RHYTHMS)
        assert label.arrhythmia in (0, 1, UNKNOWN)


def test_the_lethal_rhythms_of_every_table_are_never_mistaken_for_sinus() -> None:
    for table in (MITDB, VFDB, CUDB):
        for note in {"(VT", "(VF", "(VFL", "(VFIB", "["} & set(table):
            assert table[note] in (VT, VF)
